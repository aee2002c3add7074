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

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ids::{PlanningRunId, TaskId},
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

pub mod dialogue;
pub mod judge;
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
}

impl PlannerInput {
    /// What this planner gets of a source.
    #[must_use]
    pub fn of(source: &PlanSource, planner: PlannerChoice) -> Self {
        let ordering = source.ordering;
        match planner {
            PlannerChoice::Tasks => Self { ordering, tasks: source.tasks.clone(), playbook: None },
            PlannerChoice::Playbook => {
                Self { ordering, tasks: Vec::new(), playbook: source.playbook.clone() }
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
}

/// What a goal needs for its plan now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Nothing: somebody plans, a person has to decide, or it is not planning.
    Nothing,
    /// A server takes this run: for the first time, or because the server before was killed.
    Take(&'a RunFacts),
    /// This run was taken too often, and fails.
    GiveUp(&'a RunFacts),
    /// The planning task of this run is looked at.
    Look(&'a RunFacts, TaskId),
}

/// The live run of a goal.
#[must_use]
pub fn live(runs: &[RunFacts]) -> Option<&RunFacts> {
    runs.iter().find(|run| run.state.is_live())
}

/// What a goal in this state with these runs needs.
#[must_use]
pub fn step(goal: GoalState, runs: &[RunFacts], now: DateTime<Utc>) -> Step<'_> {
    if goal != GoalState::Planning {
        return Step::Nothing;
    }
    let Some(run) = live(runs) else { return Step::Nothing };
    let is_free = match (run.state, run.task_id) {
        (RunState::Running, Some(task)) => return Step::Look(run, task),
        (RunState::Running, None) => run.running_until.is_none_or(|until| until <= now),
        (_, _) => true,
    };
    match (is_free, run.attempt < settings::PLANNING_TAKES) {
        (false, _) => Step::Nothing,
        (true, true) => Step::Take(run),
        (true, false) => Step::GiveUp(run),
    }
}

/// Whether the result of a taking counts: the goal is planning, and nobody took the run since or ended it.
#[must_use]
pub fn counts(goal: GoalState, run: &RunFacts, attempt: i32) -> bool {
    goal == GoalState::Planning && run.state.is_live() && run.attempt == attempt
}

/// The run that has its turn after this one failed; `None`: a person decides.
#[must_use]
pub fn after<'a>(runs: &'a [RunFacts], failed: &RunFacts) -> Option<&'a RunFacts> {
    let queued = |run: &&RunFacts| run.state == RunState::Queued && run.ordinal > failed.ordinal;
    runs.iter().filter(queued).min_by_key(|run| run.ordinal)
}
