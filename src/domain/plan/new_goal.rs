//! A posted goal, and the plan made of it without a model.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ApprovalPoints, CriterionSpec, PlanContext, TaskSpec, check_instant, check_plan, check_values,
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
    goal::criteria::check_criteria,
    outline::{NoTasks, Ordering, Outline, OutlineCriterion, OutlineNote, OutlineTask, outline},
    refusal::{Code, FieldError, Refusal},
    risk::Risk,
    settings,
    states::Planner,
    words::words,
};

words! {
    /// The planner of a posted goal: `outline` reads the tasks from the structure of the brief, without
    /// a model and always the same way; `tasks` takes the tasks of the request; `playbook` fills in a stored
    /// template.
    pub enum PlannerChoice {
        /// Reads the tasks from the structure of the brief, without a model.
        Outline => "outline",
        /// Takes the tasks of the request.
        Tasks => "tasks",
        /// Fills in a stored template.
        Playbook => "playbook",
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
    /// The planner; default: `playbook` or `tasks` if one of these is given, else `outline`.
    pub planner: Option<PlannerChoice>,
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
    /// 0 (lowest) to 9, default 5; tasks inherit it. One point outranks five minutes of waiting.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 9)]
    pub priority: Option<i16>,
    /// When the goal should be completed. Shown in reports and forecasts; stops nothing.
    #[serde(default)]
    pub deadline: Option<DateTime<Utc>>,
    /// The planner; default: `playbook` or `tasks` if one of these is given, else `outline`.
    #[serde(default)]
    pub planner: Option<PlannerChoice>,
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
    /// evidence of a task that the service makes for it, or by a person.
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
        if let Some(deadline) = self.deadline {
            check_instant(checks, "/deadline", deadline);
        }
        if let Some(reworks) = self.max_rework {
            checks.range("/max_rework", reworks, 0..=settings::GOAL_MAX_REWORK_MOST);
        }
        if let Some(budget) = &self.budget {
            budget.check(checks, "/budget", BudgetNode::Goal);
        }
        checks.count("/on_behalf_of", self.on_behalf_of.len(), settings::ON_BEHALF_OF);
        let metadata = Value::Object(self.metadata.clone().into_iter().collect());
        checks.json("/metadata", Some(&metadata));
    }
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

/// Makes the plan of a source.
///
/// # Errors
/// `invalid` for sizes, for tasks given to another planner than `tasks`, and for a playbook given to another than
/// `playbook`, or with wrong values; `not_found` for an unknown playbook; `no_tasks_found` if the brief has none;
/// `plan_invalid`.
pub fn draft(source: &PlanSource) -> Result<Draft, Refusal> {
    let chosen = chosen(source)?;
    let mut draft = match chosen {
        PlannerChoice::Tasks => Draft {
            planner: Planner::Tasks,
            tasks: source.tasks.clone(),
            criteria: Vec::new(),
            notes: Vec::new(),
            playbook: None,
        },
        PlannerChoice::Outline => read_brief(source)?,
        PlannerChoice::Playbook => return of_playbook(source),
    };
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

/// The planner of a source, which has what that one needs and nothing of the others.
fn chosen(source: &PlanSource) -> Result<PlannerChoice, Refusal> {
    let mut checks = Checks::new();
    checks.bytes("/brief", &source.brief, settings::BRIEF_BYTES);
    let by_content = if source.playbook.is_some() {
        PlannerChoice::Playbook
    } else if source.tasks.is_empty() {
        PlannerChoice::Outline
    } else {
        PlannerChoice::Tasks
    };
    let chosen = source.planner.unwrap_or(by_content);
    checks.ensure(
        chosen == PlannerChoice::Tasks || source.tasks.is_empty(),
        "/tasks",
        format!("must be empty for the planner `{chosen}`"),
    );
    if chosen == PlannerChoice::Playbook {
        checks.ensure(source.playbook.is_some(), "/playbook", "names the playbook: it is missing");
    } else {
        let detail = format!("must be absent for the planner `{chosen}`");
        checks.ensure(source.playbook.is_none(), "/playbook", detail);
    }
    checks.finish()?;
    Ok(chosen)
}

/// Adds what the source says about any plan, and checks the whole.
fn finish(source: &PlanSource, mut draft: Draft) -> Result<Draft, Refusal> {
    draft.criteria.extend(source.criteria.iter().cloned());
    let mut checks = Checks::new();
    let texts = draft.criteria.iter().map(|criterion| criterion.text.as_str());
    check_criteria(&mut checks, "/criteria", texts);
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
    CriterionSpec { text, required: true, satisfied }
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
}
