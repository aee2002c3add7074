//! Planning of a goal by a chain of planners.
//!
//! Each planner of a chain has one run. The runs of a goal have ordinals, over all its chains. One run of a goal
//! is live at a time: it waits for a server, or is running. The runs after it are queued. When it fails, the next
//! queued run waits; when there is none, a person continues the goal or cancels it. When it plans, the queued
//! runs are skipped.
//!
//! A server that takes a run holds it until [`running_until`](RunFacts::running_until), and renews that while it
//! plans. After it, any server takes the run again: the server before was killed. Each taking has a number
//! ([`attempt`](RunFacts::attempt)), and only the result of the last taking counts. So a run makes one plan,
//! whatever is killed. The run of the planner `agent` has no such time: its task has the time limits of tasks.
//!
//! The planner `llm` asks a model: [`model`] has its settings, what it is asked and what it answers, [`prompt`]
//! writes the question, and [`dialogue`] decides after each answer: a plan, a repair turn, or the end.
//!
//! The plan of a run is the first of its goal, a new version of it while the goal is worked on, or the parts of one
//! task ([`Target`], [`matter`]). The runs of one target are a chain of their own: the plan of a goal and the parts of
//! its tasks do not wait for each other. Only a first plan is waited for by its goal; when the planners of another
//! target fail, the goal goes on as it is.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ids::{KeyId, PlanningRunId, TaskId},
    outline::Ordering,
    plan::{
        TaskSpec,
        finding::Finding,
        new_goal::{PlanSource, PlannerChoice},
        playbook::PlaybookUse,
    },
    settings,
    states::GoalState,
    words::words,
};

pub mod address;
pub mod dialogue;
pub mod judge;
pub mod matter;
pub mod model;
pub mod prompt;
#[cfg(test)]
mod tests;

words! {
    /// State of a planning run. `planned`, `failed`, `skipped` and `cancelled` are ends.
    pub enum RunState {
        /// Another planner of its chain has its turn first.
        Queued => "queued",
        /// Has its turn, and waits for a server that takes it.
        Waiting => "waiting",
        /// The planner plans.
        Running => "running",
        /// Made the plan of the goal.
        Planned => "planned",
        /// Made no plan.
        Failed => "failed",
        /// An earlier planner of its chain made the plan.
        Skipped => "skipped",
        /// The goal was cancelled, or a person gave it another chain or a plan.
        Cancelled => "cancelled",
    }
}

impl RunState {
    /// Whether the run has its turn.
    #[must_use]
    pub const fn is_live(self) -> bool {
        match self {
            Self::Waiting | Self::Running => true,
            Self::Queued | Self::Planned | Self::Failed | Self::Skipped | Self::Cancelled => false,
        }
    }

    /// Whether the state is final.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Planned | Self::Failed | Self::Skipped | Self::Cancelled => true,
            Self::Queued | Self::Waiting | Self::Running => false,
        }
    }
}

words! {
    /// What the plan of a run becomes.
    pub enum Target {
        /// The first plan of its goal.
        Plan => "plan",
        /// A new version of that plan, while the goal is worked on.
        Replan => "replan",
        /// The parts of a task that is too large.
        Parts => "parts",
    }
}

/// What a planner said in its run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Said {
    /// Why it made no plan, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was found in the last plan that it handed in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// A remark of the planner for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The dialogue with a model, without its prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialogue: Option<Value>,
}

impl Said {
    /// A planner that made no plan.
    #[must_use]
    pub fn failed(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..Self::default() }
    }

    /// A plan with errors.
    #[must_use]
    pub fn wrong(error: impl Into<String>, mut findings: Vec<Finding>) -> Self {
        findings.truncate(settings::FINDINGS);
        Self { findings, ..Self::failed(error) }
    }
}

/// What is asked for with a new version of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Anew {
    /// The new brief; `None`: that of the goal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brief: Option<String>,
    /// Why the plan changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who asked for it, and so does not approve it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<KeyId>,
}

/// What a planner gets beside the texts of its goal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlannerInput {
    /// How an outline of the brief orders list items.
    pub ordering: Ordering,
    /// The tasks of the planner `tasks`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskSpec>,
    /// The playbook of the planner `playbook`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playbook: Option<PlaybookUse>,
    /// What is asked for with a new version of a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anew: Option<Anew>,
}

impl PlannerInput {
    /// What this planner gets of a source.
    #[must_use]
    pub fn of(source: &PlanSource, planner: PlannerChoice) -> Self {
        let ordering = source.ordering;
        match planner {
            PlannerChoice::Tasks => {
                Self { ordering, tasks: source.tasks.clone(), ..Self::default() }
            }
            PlannerChoice::Playbook => {
                Self { ordering, playbook: source.playbook.clone(), ..Self::default() }
            }
            PlannerChoice::Outline | PlannerChoice::Llm | PlannerChoice::Agent => {
                Self { ordering, ..Self::default() }
            }
        }
    }

    /// Gives it back to a source.
    pub fn give(self, source: &mut PlanSource) {
        source.ordering = self.ordering;
        source.tasks = self.tasks;
        source.playbook = self.playbook;
    }
}

/// Columns of a planning run that the rules read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFacts {
    /// Id of the run.
    pub run_id: PlanningRunId,
    /// Ordinal within its goal, from 1.
    pub ordinal: i32,
    /// Whose turn it is.
    pub planner: PlannerChoice,
    /// Its state.
    pub state: RunState,
    /// Number of times that a server took it.
    pub attempt: i32,
    /// Time after which it is taken again; `None`: never, or it is not running.
    pub running_until: Option<DateTime<Utc>>,
    /// The planning task of the planner `agent`.
    pub task_id: Option<TaskId>,
    /// What the plan becomes.
    pub target: Target,
    /// The task that is divided.
    pub parts_of: Option<TaskId>,
    /// Whether that task no longer waits for its parts: somebody divided it, or has it done as a whole.
    pub moot: bool,
}

impl RunFacts {
    /// Whether its plan is still wanted by a goal in this state.
    #[must_use]
    pub const fn is_wanted(&self, goal: GoalState) -> bool {
        match self.target {
            Target::Plan => matches!(goal, GoalState::Planning),
            Target::Replan => goal.is_worked_on(),
            Target::Parts => goal.is_worked_on() && !self.moot,
        }
    }
}

/// What a run needs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing: somebody plans, it has no turn, or its goal is not planned.
    Nothing,
    /// A server takes it: for the first time, or because the server before was killed.
    Take,
    /// It was taken too often, and fails.
    GiveUp,
    /// Its planning task is looked at.
    Look(TaskId),
    /// Its goal no longer needs the plan: it ends, with the runs after it.
    Close,
}

/// The live run of a chain.
#[must_use]
pub fn live(runs: &[RunFacts]) -> Option<&RunFacts> {
    runs.iter().find(|run| run.state.is_live())
}

/// What a run of a goal in this state needs.
#[must_use]
pub fn step(goal: GoalState, run: &RunFacts, now: DateTime<Utc>) -> Step {
    if !run.state.is_live() {
        return Step::Nothing;
    }
    if !run.is_wanted(goal) {
        return match run.target {
            // What ends the planning of a goal ends its runs.
            Target::Plan => Step::Nothing,
            Target::Replan | Target::Parts => Step::Close,
        };
    }
    let is_free = match (run.state, run.task_id) {
        (RunState::Running, Some(task)) => return Step::Look(task),
        (RunState::Running, None) => run.running_until.is_none_or(|until| until <= now),
        (_, _) => true,
    };
    match (is_free, run.attempt < settings::PLANNING_TAKES) {
        (false, _) => Step::Nothing,
        (true, true) => Step::Take,
        (true, false) => Step::GiveUp,
    }
}

/// Whether the result of a taking counts: it is still wanted, and nobody took the run since or ended it.
#[must_use]
pub fn counts(goal: GoalState, run: &RunFacts, attempt: i32) -> bool {
    run.is_wanted(goal) && run.state.is_live() && run.attempt == attempt
}

/// The run of the same chain that has its turn after this one failed; `None`: a person decides, or the goal goes on
/// as it is.
#[must_use]
pub fn after<'a>(runs: &'a [RunFacts], failed: &RunFacts) -> Option<&'a RunFacts> {
    let queued = |run: &&RunFacts| {
        let same = run.target == failed.target && run.parts_of == failed.parts_of;
        same && run.state == RunState::Queued && run.ordinal > failed.ordinal
    };
    runs.iter().filter(queued).min_by_key(|run| run.ordinal)
}
