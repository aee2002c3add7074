//! A posted goal, and the plan made of it without a model.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ApprovalPoints, CriterionSpec, PlanContext, TaskSpec, check_instant, check_plan, check_values,
    discovered::DiscoveredPolicy,
    playbook::{
        PlaybookUse,
        expand::{Expansion, Given, expand},
        shelf::Shelf,
    },
};
use crate::domain::{
    access::person::Person,
    budget::{BudgetNode, BudgetSpec},
    check::Checks,
    dedup::Dedup,
    goal::criteria::check_criteria,
    outline::{NoTasks, Ordering, Outline, OutlineCriterion, OutlineNote, OutlineTask, outline},
    refusal::{Code, FieldError, Refusal},
    risk::Risk,
    routing::turns,
    settings,
    states::Planner,
    words::words,
};

words! {
    /// A planner of a goal: `outline` reads the tasks from the structure of the brief, without a model
    /// and always the same way; `tasks` takes the tasks of the request; `playbook` fills in a stored template;
    /// `llm` asks a language model; `agent` has an agent with the capability `plan` make the plan.
    pub enum PlannerChoice {
        /// Reads the tasks from the structure of the brief, without a model.
        Outline => "outline",
        /// Takes the tasks of the request.
        Tasks => "tasks",
        /// Fills in a stored template.
        Playbook => "playbook",
        /// Asks the language model that is configured on the server.
        Llm => "llm",
        /// Makes a task with the capability `plan`, whose result is the plan.
        Agent => "agent",
    }
}

impl PlannerChoice {
    /// The producer that its plans name.
    #[must_use]
    pub const fn planner(self) -> Planner {
        match self {
            Self::Outline => Planner::Outline,
            Self::Tasks => Planner::Tasks,
            Self::Playbook => Planner::Playbook,
            Self::Llm => Planner::Llm,
            Self::Agent => Planner::Agent,
        }
    }

    /// The choice of a producer.
    #[must_use]
    pub const fn of(planner: Planner) -> Self {
        match planner {
            Planner::Outline => Self::Outline,
            Planner::Tasks => Self::Tasks,
            Planner::Llm => Self::Llm,
            Planner::Agent => Self::Agent,
            Planner::Playbook => Self::Playbook,
        }
    }

    /// Whether it needs nobody: it plans within the request, and always the same way.
    #[must_use]
    pub const fn needs_nobody(self) -> bool {
        match self {
            Self::Outline | Self::Tasks | Self::Playbook => true,
            Self::Llm | Self::Agent => false,
        }
    }
}

/// The points at which a goal waits for an approval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GoalApproval {
    /// Whether a person must approve the plan before its tasks exist. Default false.
    pub plan: bool,
}

/// Settings of the plan's tasks that set none themselves, and of tasks added to the goal later.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TaskDefaults {
    /// The capabilities an agent needs, for tasks that list none.
    #[schema(example = json!(["rust"]))]
    pub capabilities: Vec<String>,
    /// Approvals that every task needs, in addition to its own.
    pub approval: ApprovalPoints,
    /// The least risk of approvals about tasks that set none. It is how a brief's tasks get one.
    pub risk: Option<Risk>,
    /// The number of failed or expired attempts after which a task fails.
    #[schema(minimum = 1, maximum = 100)]
    pub max_attempts: Option<i32>,
    /// The number of rejected results after which a person chooses how a task continues.
    #[schema(minimum = 1, maximum = 20)]
    pub max_rework: Option<i32>,
    /// The lease in seconds: an attempt without a heartbeat for this long expires.
    #[schema(minimum = 1, maximum = 3600)]
    pub lease_seconds: Option<u32>,
    /// Hard limit of one attempt, in seconds.
    #[schema(minimum = 1, maximum = 2592000)]
    pub attempt_timeout_seconds: Option<u32>,
}

/// The source of a plan: brief, tasks and planner settings of a posted goal.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PlanSource {
    /// Title of the goal, for playbooks.
    pub title: String,
    /// The goal in Markdown.
    pub brief: String,
    /// The planner, if it is the only one; default: `playbook` or `tasks` if one of these is given, else `outline`.
    pub planner: Option<PlannerChoice>,
    /// The chain of planners; empty: `planner` alone.
    pub planners: Vec<PlannerChoice>,
    /// The playbook of the planner `playbook`; else `None`.
    pub playbook: Option<PlaybookUse>,
    /// The playbook that is named, and those that it uses.
    #[serde(skip)]
    pub shelf: Shelf,
    /// The tasks of the planner `tasks`; else empty.
    pub tasks: Vec<TaskSpec>,
    /// How the `outline` planner orders list items.
    pub ordering: Ordering,
    /// Settings for tasks that set none themselves.
    pub task_defaults: TaskDefaults,
    /// Conditions of success of the goal as a whole.
    pub criteria: Vec<CriterionSpec>,
}

/// A goal to post.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGoal {
    /// The goal in one line, for people and agents. A preview needs none.
    #[serde(default)]
    #[schema(example = "Ship the importer", min_length = 1, max_length = 500, required)]
    pub title: String,
    /// The goal in Markdown, at most 256 KiB. The `outline` planner reads the tasks from it.
    #[serde(default)]
    #[schema(example = "## Tasks\n- [ ] T001 Write the schema\n- [ ] T002 Write the endpoints")]
    pub brief: String,
    /// Name of the project whose budget it is charged to; created if it does not exist.
    #[serde(default)]
    #[schema(example = "importer", max_length = 200)]
    pub project: Option<String>,
    /// 0 (lowest) to 9, default 5; tasks inherit it. Each point doubles the share of the claims that the goal gets
    /// beside others.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 9)]
    pub priority: Option<i16>,
    /// 1 to 1000, default 1: while several goals have ready tasks, claims give of a goal with weight 3 three times as
    /// many as of a goal with weight 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000, example = 3)]
    pub weight: Option<i32>,
    /// When the goal should be completed. Tasks with less than a day of slack to it come earlier in the goal.
    /// Shown in reports and forecasts; stops nothing.
    #[serde(default)]
    pub deadline: Option<DateTime<Utc>>,
    /// When its work begins: none of its tasks is ready before, and `start_within_seconds` counts from then. Before
    /// the deadline. Planning does not wait. Default: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<DateTime<Utc>>,
    /// A key under which the goal exists once in its project: while another goal holds the key, none is created, and
    /// the answer is that goal, with 200 and `deduplicated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup: Option<Dedup>,
    /// The planner; default: `playbook` or `tasks` if one of these is given, else `outline`. It is short for
    /// `planners` with one planner.
    #[serde(default)]
    pub planner: Option<PlannerChoice>,
    /// The planners to be tried in this order, 1 to 5 different ones, instead of `planner`: each gets its
    /// turn when the one before made no plan. `outline`, `playbook` and `tasks` plan within the request. When `llm` or
    /// `agent` has its turn, the goal is `planning`. After the last one a person decides how it continues.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["outline", "agent"]), max_items = 5)]
    pub planners: Vec<PlannerChoice>,
    /// The tasks of the planner `tasks`, at most 5,000; else empty.
    #[serde(default)]
    pub tasks: Vec<TaskSpec>,
    /// The playbook of the planner `playbook`, with values for its variables. Its templates see the title and
    /// the brief of the goal as `title` and `brief`.
    #[serde(default)]
    pub playbook: Option<PlaybookUse>,
    /// How the `outline` planner orders list items: `auto` (as the document marks them), `sequential`
    /// or `parallel`.
    #[serde(default)]
    pub ordering: Ordering,
    /// Settings for tasks that set none themselves.
    #[serde(default)]
    pub task_defaults: TaskDefaults,
    /// Conditions of success of the goal as a whole, at most 1,000 with those of the brief, whose come
    /// first. When its tasks are done, the goal is `verifying` until each required one is satisfied: by
    /// evidence of a task that the service makes for it, or by a person. They are texts: only criteria of tasks have
    /// another type, or a `min_tier`.
    #[serde(default)]
    pub criteria: Vec<CriterionSpec>,
    /// The number of reworks of one criterion up to which an agent's report that it is not met makes a
    /// further one; default 3. After it a person decides. A person's rejection always makes one.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 20)]
    pub max_rework: Option<i16>,
    /// The points at which the goal waits for an approval. Default: none.
    #[serde(default)]
    pub approval: GoalApproval,
    /// What becomes of work that its agents discover: `ask` a person (the default), `accept` it within the limits
    /// of depth, number and budget, or `refuse` it. Not `accept` with `approval.plan`.
    #[serde(default)]
    pub discovered: Option<DiscoveredPolicy>,
    /// The goal's own budget: limits over all its tasks. Later only operators can change it.
    #[serde(default)]
    pub budget: Option<BudgetSpec>,
    /// The people for whom you post it, nearest first; at most 10. Neither they nor you can decide its
    /// approvals.
    #[serde(default)]
    #[schema(example = json!(["alice@example.com"]), max_items = 10)]
    pub on_behalf_of: Vec<Person>,
    /// A JSON object of your own, such as a commit or ticket; at most 256 KiB. Not interpreted.
    #[serde(default)]
    pub metadata: BTreeMap<String, Value>,
}

impl NewGoal {
    /// The source of the goal's plan.
    #[must_use]
    pub fn source(&self) -> PlanSource {
        PlanSource {
            title: self.title.clone(),
            brief: self.brief.clone(),
            planner: self.planner,
            playbook: self.playbook.clone(),
            shelf: Shelf::default(),
            planners: self.planners.clone(),
            tasks: self.tasks.clone(),
            ordering: self.ordering,
            task_defaults: self.task_defaults.clone(),
            criteria: self.criteria.clone(),
        }
    }

    /// Checks the goal without its plan.
    ///
    /// # Errors
    /// `invalid`, with every bad value.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        checks.line("/title", &self.title, settings::TITLE_CHARS);
        self.check_rest(&mut checks);
        checks.finish()
    }

    /// Checks a goal that is only previewed, which needs no title.
    ///
    /// # Errors
    /// `invalid`, with every bad value.
    pub fn check_preview(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        if !self.title.is_empty() {
            checks.line("/title", &self.title, settings::TITLE_CHARS);
        }
        self.check_rest(&mut checks);
        checks.finish()
    }

    fn check_rest(&self, checks: &mut Checks) {
        if let Some(project) = &self.project {
            checks.line("/project", project, settings::NAME_CHARS);
        }
        if let Some(priority) = self.priority {
            checks.range("/priority", priority, 0..=settings::PRIORITY_MAX);
        }
        if let Some(weight) = self.weight {
            checks.range("/weight", weight, turns::WEIGHT);
        }
        if let Some(deadline) = self.deadline {
            check_instant(checks, "/deadline", deadline);
        }
        check_start(checks, self.start_at, self.deadline);
        if let Some(dedup) = &self.dedup {
            dedup.check(checks, "/dedup");
        }
        if let Some(reworks) = self.max_rework {
            checks.range("/max_rework", reworks, 0..=settings::GOAL_MAX_REWORK_MOST);
        }
        if let Some(budget) = &self.budget {
            budget.check(checks, "/budget", BudgetNode::Goal);
        }
        check_discovered(checks, self.discovered, self.approval.plan);
        checks.count("/on_behalf_of", self.on_behalf_of.len(), settings::ON_BEHALF_OF);
        let metadata = Value::Object(self.metadata.clone().into_iter().collect());
        checks.json("/metadata", Some(&metadata));
    }
}

/// Refuses a start that is no instant of this age, or not before the deadline.
pub fn check_start(
    checks: &mut Checks,
    start: Option<DateTime<Utc>>,
    deadline: Option<DateTime<Utc>>,
) {
    let Some(start) = start else { return };
    check_instant(checks, "/start_at", start);
    let before = deadline.is_none_or(|deadline| start < deadline);
    checks.ensure(before, "/start_at", "must be before the deadline");
}

/// Refuses a goal whose plan a person approves, and whose agents could add to it without one.
pub fn check_discovered(
    checks: &mut Checks,
    policy: Option<DiscoveredPolicy>,
    plan_approval: bool,
) {
    let around = plan_approval && policy == Some(DiscoveredPolicy::Accept);
    let detail = "must be `ask` or `refuse` for a goal whose plan a person approves: agents would change it \
                  without one";
    checks.ensure(!around, "/discovered", detail);
}

/// A checked plan, ready to be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The planner that made it.
    pub planner: Planner,
    /// Its tasks.
    pub tasks: Vec<TaskSpec>,
    /// Conditions of success of the goal as a whole: of the brief, then of the request.
    pub criteria: Vec<CriterionSpec>,
    /// Remarks of the planner about the brief.
    pub notes: Vec<OutlineNote>,
    /// The playbook that it was made of, with the version that was used.
    pub playbook: Option<PlaybookUse>,
}

/// A planner that made no plan, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The planner.
    pub planner: PlannerChoice,
    /// Why it made none.
    pub refusal: Refusal,
}

/// How far a chain of planners comes without calling anybody.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// The planners that made no plan, in their order.
    pub tried: Vec<Tried>,
    /// The plan of the planner after them; `None` if that one needs somebody.
    pub draft: Option<Draft>,
    /// The planners that were not tried, in their order.
    pub rest: Vec<PlannerChoice>,
}

impl PlanSource {
    /// The chain of planners, checked.
    ///
    /// # Errors
    /// `invalid` for `planner` beside `planners`, a chain that is too long or names a planner twice, and
    /// tasks or a playbook without the planner that takes it.
    pub fn chain(&self) -> Result<Vec<PlannerChoice>, Refusal> {
        let mut checks = Checks::new();
        checks.bytes("/brief", &self.brief, settings::BRIEF_BYTES);
        let chain = self.chosen(&mut checks);
        checks.count("/planners", chain.len(), settings::PLANNERS);
        let mut seen = HashSet::new();
        for (index, planner) in chain.iter().enumerate() {
            let at = format!("/planners/{index}");
            checks.ensure(seen.insert(*planner), &at, format!("`{planner}` is listed twice"));
        }
        let takes_tasks = chain.contains(&PlannerChoice::Tasks);
        let detail = match chain.as_slice() {
            [only] => format!("must be empty for the planner `{only}`"),
            _ => "must be empty unless `planners` has `tasks`".to_owned(),
        };
        checks.ensure(takes_tasks || self.tasks.is_empty(), "/tasks", detail);
        let none = chain.len() > 1 && takes_tasks && self.tasks.is_empty();
        checks.ensure(!none, "/tasks", "must have at least one task for the planner `tasks`");
        let takes_playbook = chain.contains(&PlannerChoice::Playbook);
        let detail = "names the playbook: it is missing";
        checks.ensure(!takes_playbook || self.playbook.is_some(), "/playbook", detail);
        let detail = match chain.as_slice() {
            [only] => format!("must be absent for the planner `{only}`"),
            _ => "must be absent unless `planners` has `playbook`".to_owned(),
        };
        checks.ensure(takes_playbook || self.playbook.is_none(), "/playbook", detail);
        checks.finish()?;
        Ok(chain)
    }

    fn chosen(&self, checks: &mut Checks) -> Vec<PlannerChoice> {
        if !self.planners.is_empty() {
            let detail =
                "give `planner` or `planners`, not both: `planner` is short for a chain of one";
            checks.ensure(self.planner.is_none(), "/planner", detail);
            return self.planners.clone();
        }
        let usual = match (&self.playbook, self.tasks.is_empty()) {
            (Some(_), _) => PlannerChoice::Playbook,
            (None, false) => PlannerChoice::Tasks,
            (None, true) => PlannerChoice::Outline,
        };
        vec![self.planner.unwrap_or(usual)]
    }
}

/// Tries the planners of a source in their order, up to the first that plans or needs somebody.
///
/// # Errors
/// Those of [`PlanSource::chain`]; `not_found` for an unknown playbook; `plan_invalid` for tasks that any planner of the chain would take; those
/// of the last planner if none plans and none needs somebody.
pub fn open(source: &PlanSource) -> Result<Opening, Refusal> {
    let chain = source.chain()?;
    let mut opening = Opening { tried: Vec::new(), draft: None, rest: Vec::new() };
    let mut planners = chain.into_iter();
    for planner in planners.by_ref() {
        if !planner.needs_nobody() {
            opening.rest.push(planner);
            break;
        }
        match draft_by(source, planner) {
            Ok(draft) => {
                opening.draft = Some(draft);
                break;
            }
            Err(refusal) => opening.tried.push(Tried { planner, refusal }),
        }
    }
    opening.rest.extend(planners);
    if opening.draft.is_some() || !opening.rest.is_empty() {
        if opening.draft.is_none() {
            check_ahead(source, &opening.rest)?;
        }
        return Ok(opening);
    }
    let none = || Refusal::invalid_at("/planners", "must have at least one planner");
    Err(opening.tried.pop().map_or_else(none, |tried| tried.refusal))
}

/// Checks what later planners get, so that whoever posts it learns of errors.
fn check_ahead(source: &PlanSource, rest: &[PlannerChoice]) -> Result<(), Refusal> {
    let mut checks = Checks::new();
    check_criteria(&mut checks, "/criteria", &source.criteria);
    checks.finish()?;
    source.task_defaults.check("/task_defaults")?;
    if rest.contains(&PlannerChoice::Tasks) {
        draft_by(source, PlannerChoice::Tasks)?;
    }
    if rest.contains(&PlannerChoice::Playbook) {
        draft_by(source, PlannerChoice::Playbook)?;
    }
    Ok(())
}

/// Makes the plan of a source, as a preview shows it: by the first planner of its chain that plans without
/// calling anybody.
///
/// # Errors
/// As [`open`]; `invalid` at `/planners` if each planner of the chain needs somebody.
pub fn draft(source: &PlanSource) -> Result<Draft, Refusal> {
    let mut last = None;
    for planner in source.chain()?.into_iter().filter(|planner| planner.needs_nobody()) {
        match draft_by(source, planner) {
            Ok(draft) => return Ok(draft),
            Err(refusal) => last = Some(refusal),
        }
    }
    let detail = "a preview calls nobody, and each of these planners needs a model or an agent: preview with \
                  `outline`, `playbook` or `tasks`, or post the goal with `approval.plan` and read its plan there";
    Err(last.unwrap_or_else(|| Refusal::invalid_at("/planners", detail)))
}

/// Makes the plan of a source by a planner that needs nobody.
///
/// # Errors
/// `invalid` for sizes, and for a planner that needs somebody; `no_tasks_found` if the brief has none;
/// `plan_invalid`.
pub fn draft_by(source: &PlanSource, planner: PlannerChoice) -> Result<Draft, Refusal> {
    let made = match planner {
        PlannerChoice::Tasks => given(Planner::Tasks, source.tasks.clone()),
        PlannerChoice::Outline => read_brief(source)?,
        PlannerChoice::Playbook => return of_playbook(source),
        PlannerChoice::Llm | PlannerChoice::Agent => {
            let detail = format!("the planner `{planner}` needs a model or an agent");
            return Err(Refusal::invalid_at("/planners", detail));
        }
    };
    complete(made, source)
}

/// The tasks of a planner that says nothing else.
#[must_use]
pub fn given(planner: Planner, tasks: Vec<TaskSpec>) -> Draft {
    Draft { planner, tasks, criteria: Vec::new(), notes: Vec::new(), playbook: None }
}

/// Completes what a planner made with the criteria and defaults of the source, and checks it.
///
/// # Errors
/// `invalid` for criteria and defaults; `plan_invalid`.
pub fn complete(mut draft: Draft, source: &PlanSource) -> Result<Draft, Refusal> {
    let containers: HashSet<String> =
        draft.tasks.iter().filter_map(|task| task.parent.clone()).collect();
    if draft.planner == Planner::Outline {
        let most = settings::GOAL_CRITERIA.saturating_sub(source.criteria.len());
        for task in draft.tasks.iter_mut().filter(|task| containers.contains(&task.r#ref)) {
            hand_up(task, &mut draft.criteria, most);
        }
    }
    finish(source, draft)
}

/// Adds what the source says about any plan, and checks the whole.
fn finish(source: &PlanSource, mut draft: Draft) -> Result<Draft, Refusal> {
    draft.criteria.extend(source.criteria.iter().cloned());
    let mut checks = Checks::new();
    check_criteria(&mut checks, "/criteria", &draft.criteria);
    checks.finish()?;
    let containers: HashSet<String> =
        draft.tasks.iter().filter_map(|task| task.parent.clone()).collect();
    for task in draft.tasks.iter_mut().filter(|task| !containers.contains(&task.r#ref)) {
        fill(task, &source.task_defaults);
    }
    check_plan(&draft.tasks, PlanContext { at: "/tasks", taken: &HashSet::new(), around: None })?;
    if !draft.criteria.is_empty() {
        // The tasks that verify the goal get them whatever the tasks of the plan set.
        source.task_defaults.check("/task_defaults")?;
    }
    Ok(draft)
}

/// The plan of a playbook. Its errors are at the use in the request, with the place in the document.
fn of_playbook(source: &PlanSource) -> Result<Draft, Refusal> {
    const AT: &str = "/playbook";
    let used = source.playbook.clone().unwrap_or_default();
    let name = used.name.as_str();
    let Some((version, playbook)) = source.shelf.find(name, used.version) else {
        let version = used.version.map_or_else(String::new, |v| format!(" with version {v}"));
        let detail =
            format!("there is no playbook `{name}`{version}; GET /v1/playbooks lists them");
        let errors = vec![FieldError::new(format!("{AT}/name"), &detail)];
        return Err(Refusal::at(Code::NotFound, detail, errors));
    };
    let given = Given { title: &source.title, brief: &source.brief };
    let expanded = expand(playbook, &used.variables, given, &source.shelf);
    let mut expansion = expanded.map_err(|faults| {
        Refusal::invalid(faults.iter().map(|fault| fault.of_use(AT, name)).collect())
    })?;
    let tasks = std::mem::take(&mut expansion.tasks);
    let criteria = std::mem::take(&mut expansion.criteria);
    let kept = PlaybookUse { version: Some(version), ..used.clone() };
    let draft = Draft {
        planner: Planner::Playbook,
        tasks,
        criteria,
        notes: Vec::new(),
        playbook: Some(kept),
    };
    finish(source, draft).map_err(|refusal| in_document(refusal, &expansion, name))
}

/// A refusal of the plan of a playbook, with the places in its document.
fn in_document(refusal: Refusal, expansion: &Expansion, name: &str) -> Refusal {
    if refusal.code != Code::PlanInvalid {
        return refusal;
    }
    let error = |error: &FieldError| {
        let place = expansion.place(&error.pointer);
        FieldError::new("/playbook/name", format!("`{name}` at `{place}`: {}", error.detail))
    };
    let errors: Vec<FieldError> = refusal.errors.iter().map(error).collect();
    let detail = errors.first().map_or(refusal.detail, |first| first.detail.clone());
    Refusal::at(Code::PlanInvalid, detail, errors)
}

fn read_brief(source: &PlanSource) -> Result<Draft, Refusal> {
    let Outline { tasks, criteria, notes, shape: _ } =
        outline(&source.brief, source.ordering).map_err(|none| no_tasks(&none))?;
    let tasks = tasks.into_iter().map(spec).collect();
    let criteria = criteria.into_iter().map(criterion).collect();
    Ok(Draft { planner: Planner::Outline, tasks, criteria, notes, playbook: None })
}

fn no_tasks(none: &NoTasks) -> Refusal {
    let detail = none.to_string();
    Refusal::at(Code::NoTasksFound, &detail, vec![FieldError::new("/brief", &detail)])
}

fn spec(task: OutlineTask) -> TaskSpec {
    let OutlineTask {
        reference,
        explicit_id: _,
        title,
        description,
        section,
        mut labels,
        parent,
        needs,
        criteria,
        done,
        optional,
        parallel,
        line: _,
        origin: _,
    } = task;
    if optional {
        labels.push("optional".into());
    }
    labels.truncate(settings::TASK_LABELS);
    TaskSpec {
        r#ref: reference,
        title,
        description,
        section,
        labels,
        parent,
        needs,
        criteria: criteria.into_iter().map(criterion).collect(),
        done,
        parallel,
        ..TaskSpec::default()
    }
}

fn criterion(criterion: OutlineCriterion) -> CriterionSpec {
    let OutlineCriterion { text, satisfied, line: _ } = criterion;
    CriterionSpec { text, required: true, satisfied, ..CriterionSpec::default() }
}

/// Moves the criteria of a container to the goal: a container has no result to check them on. Those of
/// a ticked one, or beyond `most`, become its text. For the planner `tasks` they stay, and
/// the check of the plan refuses them.
fn hand_up(task: &mut TaskSpec, criteria: &mut Vec<CriterionSpec>, most: usize) {
    for criterion in std::mem::take(&mut task.criteria) {
        let text = format!("{}: {}", task.r#ref, criterion.text);
        let fits = criteria.len() < most && text.len() <= settings::MESSAGE_BYTES;
        if task.done || !fits {
            task.description.push_str("\n- ");
            task.description.push_str(&criterion.text);
            continue;
        }
        criteria.push(CriterionSpec { text, ..criterion });
    }
}

/// Completes tasks that set none themselves with the defaults of their goal; containers take none.
pub fn with_defaults(tasks: &mut [TaskSpec], defaults: &TaskDefaults) {
    let containers: HashSet<String> = tasks.iter().filter_map(|task| task.parent.clone()).collect();
    for task in tasks.iter_mut().filter(|task| !containers.contains(&task.r#ref)) {
        fill(task, defaults);
    }
}

impl TaskDefaults {
    /// Checks defaults without a task.
    ///
    /// # Errors
    /// `invalid`, with every bad value.
    pub fn check(&self, at: &str) -> Result<(), Refusal> {
        let mut task =
            TaskSpec { r#ref: "task".into(), title: "task".into(), ..TaskSpec::default() };
        fill(&mut task, self);
        check_values(at, &task, false)
    }
}

fn fill(task: &mut TaskSpec, defaults: &TaskDefaults) {
    if task.capabilities.is_empty() {
        task.capabilities.clone_from(&defaults.capabilities);
    }
    task.approval.start |= defaults.approval.start;
    task.approval.result |= defaults.approval.result;
    task.risk = task.risk.or(defaults.risk);
    task.max_attempts = task.max_attempts.or(defaults.max_attempts);
    task.max_rework = task.max_rework.or(defaults.max_rework);
    task.lease_seconds = task.lease_seconds.or(defaults.lease_seconds);
    task.attempt_timeout_seconds =
        task.attempt_timeout_seconds.or(defaults.attempt_timeout_seconds);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn criteria_of(brief: &str) -> Vec<(String, bool)> {
        let source = PlanSource { brief: brief.to_owned(), ..PlanSource::default() };
        let draft = draft(&source).expect("the brief has tasks");
        draft.criteria.into_iter().map(|found| (found.text, found.satisfied)).collect()
    }

    #[test]
    fn the_criteria_of_a_container_are_the_goals() {
        let text = |text: &str, satisfied| (text.to_owned(), satisfied);
        for (brief, found) in [
            (
                "- [ ] T001 a\n  - [ ] sub\n  - Acceptance criteria:\n    - [ ] ok\n    - [x] fine\n",
                vec![text("T001: ok", false), text("T001: fine", true)],
            ),
            (
                "### Task 1: a\n- [ ] step\n\n**Acceptance criteria:**\n- [ ] ok\n### Task 2: b\n",
                vec![text("1: ok", false)],
            ),
            ("- [x] T001 a\n  - [x] sub\n  - Acceptance criteria:\n    - [ ] ok\n", Vec::new()),
            ("- [ ] T001 a\n  - Acceptance criteria:\n    - [ ] ok\n", Vec::new()),
        ] {
            assert_eq!(criteria_of(brief), found, "{brief}");
        }
    }

    #[test]
    fn criteria_beyond_the_most_of_a_goal_stay_in_the_text() {
        let mut brief = String::from("- [ ] T001 a\n  - [ ] sub\n  - Acceptance criteria:\n");
        for number in 0..1_200 {
            brief.push_str(&format!("    - [ ] ok {number}\n"));
        }
        assert_eq!(criteria_of(&brief).len(), settings::GOAL_CRITERIA);
    }

    fn chained(planners: &[PlannerChoice], brief: &str) -> PlanSource {
        let planners = planners.to_vec();
        PlanSource { brief: brief.to_owned(), planners, ..PlanSource::default() }
    }

    const LIST: &str = "- [ ] T001 a\n- [ ] T002 b\n";

    #[test]
    fn planners_that_need_nobody_are_tried_up_to_the_first_that_plans_or_needs_somebody() {
        use PlannerChoice::{Agent, Llm, Outline};
        let plans = open(&chained(&[Outline, Agent], LIST)).unwrap();
        assert!(plans.tried.is_empty() && plans.draft.is_some());
        assert_eq!(plans.rest, [Agent]);
        let waits = open(&chained(&[Outline, Agent, Llm], "Make it fast.")).unwrap();
        assert_eq!((waits.draft, waits.rest), (None, vec![Agent, Llm]));
        assert_eq!(waits.tried[0].refusal.code, Code::NoTasksFound);
        let waits = open(&chained(&[Llm, Outline], LIST)).unwrap();
        assert_eq!((waits.tried, waits.draft, waits.rest), (vec![], None, vec![Llm, Outline]));
        let refused = open(&chained(&[Outline], "Make it fast.")).unwrap_err();
        assert_eq!(refused.code, Code::NoTasksFound);
    }

    #[test]
    fn a_chain_names_each_planner_once_and_its_short_form_names_one() {
        use PlannerChoice::{Agent, Llm, Outline, Tasks};
        let refused = |source: &PlanSource| {
            let errors = source.chain().unwrap_err().errors;
            errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>()
        };
        assert_eq!(refused(&chained(&[Outline, Agent, Outline], LIST)), ["/planners/2"]);
        let six = [Outline, Agent, Llm, Tasks, Outline, Agent];
        assert!(refused(&chained(&six, LIST)).contains(&"/planners".to_owned()));
        let both = PlanSource { planner: Some(Agent), ..chained(&[Agent], LIST) };
        assert_eq!(refused(&both), ["/planner"]);
        assert_eq!(refused(&chained(&[Llm, Tasks], LIST)), ["/tasks"]);
        let task = TaskSpec { r#ref: "a".into(), title: "a".into(), ..TaskSpec::default() };
        let given = PlanSource { tasks: vec![task], ..chained(&[Llm, Agent], LIST) };
        assert_eq!(refused(&given), ["/tasks"]);
        let short = PlanSource { planner: Some(Agent), ..chained(&[], LIST) };
        assert_eq!(short.chain().unwrap(), [Agent]);
        assert_eq!(chained(&[], LIST).chain().unwrap(), [Outline]);
    }

    #[test]
    fn tasks_for_a_later_planner_are_checked_when_they_are_given() {
        let task = |name: &str| TaskSpec {
            r#ref: name.into(),
            title: name.into(),
            needs: vec!["b".into()],
            ..TaskSpec::default()
        };
        let planners = vec![PlannerChoice::Agent, PlannerChoice::Tasks];
        let source = PlanSource { planners, tasks: vec![task("a")], ..PlanSource::default() };
        assert_eq!(open(&source).unwrap_err().code, Code::PlanInvalid);
    }

    #[test]
    fn a_preview_is_by_the_first_planner_that_needs_nobody() {
        use PlannerChoice::{Agent, Llm, Outline};
        let shown = draft(&chained(&[Llm, Agent, Outline], LIST)).unwrap();
        assert_eq!(shown.planner, Planner::Outline);
        let refused = draft(&chained(&[Llm, Agent], LIST)).unwrap_err();
        assert_eq!(refused.errors[0].pointer, "/planners");
    }
}
