//! What a submitter posts, and the plan that comes of it without a model.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ApprovalPoints, CriterionSpec, PlanContext, TaskSpec, check_instant, check_plan};
use crate::domain::{
    access::person::Person,
    budget::{BudgetNode, BudgetSpec},
    check::Checks,
    outline::{NoTasks, Ordering, Outline, OutlineNote, OutlineTask, outline},
    refusal::{Code, FieldError, Refusal},
    settings,
    states::Planner,
    words::words,
};

words! {
    /// How the plan of a posted goal is made.
    pub enum PlannerChoice {
        /// From the structure of the brief, deterministically and without a model.
        Outline => "outline",
        /// From the tasks given in the request.
        Tasks => "tasks",
    }
}

/// When a person must be asked about a goal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GoalApproval {
    /// Before any task of the plan exists.
    pub plan: bool,
}

/// What tasks get that do not say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TaskDefaults {
    /// What an agent must be able to do.
    #[schema(example = json!(["rust"]))]
    pub capabilities: Vec<String>,
    /// When a person must be asked.
    pub approval: ApprovalPoints,
    /// How often a task is tried.
    #[schema(minimum = 1, maximum = 100)]
    pub max_attempts: Option<i32>,
    /// How often results are rejected before a person chooses what becomes of the task.
    #[schema(minimum = 1, maximum = 20)]
    pub max_rework: Option<i32>,
    /// How long an agent may stay silent, in seconds.
    #[schema(minimum = 1, maximum = 3600)]
    pub lease_seconds: Option<u32>,
    /// Hard limit of one attempt, in seconds.
    #[schema(minimum = 1, maximum = 2592000)]
    pub attempt_timeout_seconds: Option<u32>,
}

/// What a plan is made of: posted with a goal, or alone for a preview.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanSource {
    /// Markdown, at most 256 KiB: what is wanted. The `outline` planner finds the tasks in it.
    #[serde(default)]
    #[schema(example = "## Tasks\n- [ ] T001 Write the schema\n- [ ] T002 Write the endpoints")]
    pub brief: String,
    /// How the plan is made; default: `tasks` when tasks are given, else `outline`.
    #[serde(default)]
    pub planner: Option<PlannerChoice>,
    /// The tasks, for the planner `tasks`. At most 5,000.
    #[serde(default)]
    pub tasks: Vec<TaskSpec>,
    /// How the `outline` planner orders items that the document does not mark: `auto` (as it
    /// marks them), `sequential` or `parallel`.
    #[serde(default)]
    pub ordering: Ordering,
    /// What tasks get that do not say otherwise.
    #[serde(default)]
    pub task_defaults: TaskDefaults,
}

/// A goal to be posted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGoal {
    /// One line.
    #[schema(example = "Ship the importer", min_length = 1, max_length = 500)]
    pub title: String,
    /// Markdown, at most 256 KiB: what is wanted. The `outline` planner finds the tasks in it.
    #[serde(default)]
    #[schema(example = "## Tasks\n- [ ] T001 Write the schema\n- [ ] T002 Write the endpoints")]
    pub brief: String,
    /// Name of the project that it is charged to; made when it does not exist.
    #[serde(default)]
    #[schema(example = "importer", max_length = 200)]
    pub project: Option<String>,
    /// 0 (lowest) to 9, default 5; tasks inherit it. Each point outranks five minutes of waiting.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 9)]
    pub priority: Option<i16>,
    /// When its tasks should be finished. Informs; stops nothing.
    #[serde(default)]
    pub deadline: Option<DateTime<Utc>>,
    /// How the plan is made; default: `tasks` when tasks are given, else `outline`.
    #[serde(default)]
    pub planner: Option<PlannerChoice>,
    /// The tasks, for the planner `tasks`. At most 5,000.
    #[serde(default)]
    pub tasks: Vec<TaskSpec>,
    /// How the `outline` planner orders items that the document does not mark: `auto` (as it
    /// marks them), `sequential` or `parallel`.
    #[serde(default)]
    pub ordering: Ordering,
    /// What tasks get that do not say otherwise.
    #[serde(default)]
    pub task_defaults: TaskDefaults,
    /// When a person must be asked about the goal.
    #[serde(default)]
    pub approval: GoalApproval,
    /// What its tasks may use. Only operators can raise it later.
    #[serde(default)]
    pub budget: Option<BudgetSpec>,
    /// The people for whom you post it, nearest first; at most 10. None of them decides about it,
    /// nor do you.
    #[serde(default)]
    #[schema(example = json!(["alice@example.com"]), max_items = 10)]
    pub on_behalf_of: Vec<Person>,
    /// A JSON object of your own, such as a commit or a ticket; at most 256 KiB.
    #[serde(default)]
    pub metadata: BTreeMap<String, Value>,
}

impl NewGoal {
    /// Splits the goal from what its plan is made of.
    #[must_use]
    pub fn source(&self) -> PlanSource {
        PlanSource {
            brief: self.brief.clone(),
            planner: self.planner,
            tasks: self.tasks.clone(),
            ordering: self.ordering,
            task_defaults: self.task_defaults.clone(),
        }
    }

    /// Notes everything that is wrong with the goal itself.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        checks.line("/title", &self.title, settings::TITLE_CHARS);
        if let Some(project) = &self.project {
            checks.line("/project", project, settings::NAME_CHARS);
        }
        if let Some(priority) = self.priority {
            checks.range("/priority", priority, 0..=settings::PRIORITY_MAX);
        }
        if let Some(deadline) = self.deadline {
            check_instant(&mut checks, "/deadline", deadline);
        }
        if let Some(budget) = &self.budget {
            budget.check(&mut checks, "/budget", BudgetNode::Goal);
        }
        let chain = self.on_behalf_of.len() <= settings::ON_BEHALF_OF;
        let most = format!("names more than {} people", settings::ON_BEHALF_OF);
        checks.ensure(chain, "/on_behalf_of", most);
        let metadata = Value::Object(self.metadata.clone().into_iter().collect());
        checks.json("/metadata", Some(&metadata));
        checks.finish()
    }
}

/// A plan that can be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// What made it.
    pub planner: Planner,
    /// Its tasks, checked.
    pub tasks: Vec<TaskSpec>,
    /// What the planner noticed.
    pub notes: Vec<OutlineNote>,
}

/// Makes the plan.
///
/// # Errors
/// `invalid` for sizes and for tasks beside the planner `outline`; `no_tasks_found` when the brief
/// holds none; `plan_invalid` when the tasks do not fit together.
pub fn draft(source: &PlanSource) -> Result<Draft, Refusal> {
    let mut checks = Checks::new();
    checks.bytes("/brief", &source.brief, settings::BRIEF_BYTES);
    let chosen = source.planner.unwrap_or(if source.tasks.is_empty() {
        PlannerChoice::Outline
    } else {
        PlannerChoice::Tasks
    });
    checks.ensure(
        chosen == PlannerChoice::Tasks || source.tasks.is_empty(),
        "/tasks",
        "are given, but the planner is `outline`; leave out one of the two",
    );
    checks.finish()?;
    let (planner, mut tasks, notes) = match chosen {
        PlannerChoice::Tasks => (Planner::Tasks, source.tasks.clone(), Vec::new()),
        PlannerChoice::Outline => {
            let Outline { tasks, notes, shape: _ } =
                outline(&source.brief, source.ordering).map_err(|none| no_tasks(&none))?;
            (Planner::Outline, tasks.into_iter().map(spec).collect(), notes)
        }
    };
    let containers: HashSet<String> = tasks.iter().filter_map(|task| task.parent.clone()).collect();
    for task in &mut tasks {
        if containers.contains(&task.r#ref) {
            contain(task, planner);
        } else {
            fill(task, &source.task_defaults);
        }
    }
    check_plan(&tasks, PlanContext { at: "/tasks", taken: &HashSet::new() })?;
    Ok(Draft { planner, tasks, notes })
}

fn no_tasks(none: &NoTasks) -> Refusal {
    let detail = none.to_string();
    Refusal { errors: vec![FieldError::new("/brief", &detail)], code: Code::NoTasksFound, detail }
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
        parallel: _,
        line: _,
        origin: _,
    } = task;
    if optional {
        labels.push("optional".into());
    }
    labels.truncate(settings::TASK_LABELS);
    let criterion = |text| CriterionSpec { text, required: true };
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
        ..TaskSpec::default()
    }
}

/// What a document lists as criteria of a container is kept as text: nobody hands in a result for
/// it. Tasks that were given are not changed; they are refused.
fn contain(task: &mut TaskSpec, planner: Planner) {
    if planner != Planner::Outline {
        return;
    }
    for criterion in std::mem::take(&mut task.criteria) {
        task.description.push_str("\n- ");
        task.description.push_str(&criterion.text);
    }
}

fn fill(task: &mut TaskSpec, defaults: &TaskDefaults) {
    if task.capabilities.is_empty() {
        task.capabilities.clone_from(&defaults.capabilities);
    }
    task.approval.start |= defaults.approval.start;
    task.approval.result |= defaults.approval.result;
    task.max_attempts = task.max_attempts.or(defaults.max_attempts);
    task.max_rework = task.max_rework.or(defaults.max_rework);
    task.lease_seconds = task.lease_seconds.or(defaults.lease_seconds);
    task.attempt_timeout_seconds =
        task.attempt_timeout_seconds.or(defaults.attempt_timeout_seconds);
}
