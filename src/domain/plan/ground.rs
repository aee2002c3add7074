//! What a plan is judged against: the fleet, what its work used so far, open tasks, budgets and the deadline.
//!
//! It is read once per plan and is bounded: agents are grouped by their capabilities, and only so many
//! groups, sets of capabilities and open tasks are read.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{ids::TaskId, spend::measured::Quantiles, task::claim::capability_key};

/// The ground of a plan at one instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ground {
    /// The instant at which it was read.
    pub now: DateTime<Utc>,
    /// When the goal should be completed.
    pub deadline: Option<DateTime<Utc>>,
    /// Whether the goal has criteria of its own: then it is verified as a whole.
    pub goal_criteria: bool,
    /// The registered agents that are not retired, in groups of equal capabilities.
    pub agents: Vec<AgentGroup>,
    /// Every capability that an agent has or that finished work required.
    pub capabilities: BTreeMap<String, Able>,
    /// What finished tasks used, by their set of capabilities: sorted and joined with a comma.
    pub measured: BTreeMap<String, BTreeMap<String, Quantiles>>,
    /// What finished tasks of the workspace used, whatever their capabilities.
    pub overall: BTreeMap<String, Quantiles>,
    /// Open tasks of the same goal or project.
    pub open_tasks: Vec<OpenTask>,
    /// What is left of the tightest limit above the goal's tasks, by unit.
    pub budget_left: BTreeMap<String, i64>,
}

/// Agents with the same capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentGroup {
    /// Their capabilities.
    pub capabilities: BTreeSet<String>,
    /// Number of them that are registered and not retired.
    pub agents: i64,
    /// Number of them that are active and online.
    pub online: i64,
    /// Attempts that those online can have at once.
    pub slots: i64,
}

/// What the fleet can do with one capability.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Able {
    /// Number of registered agents with it that are not retired.
    pub agents: i64,
    /// Number of them that are active and online.
    pub online: i64,
    /// Attempts at latest tasks that required it and succeeded.
    pub succeeded: i64,
    /// Attempts at latest tasks that required it and failed, expired or were rejected.
    pub failed: i64,
    /// What a finished task that required it used, by unit; `wall_ms` is its duration.
    pub used: BTreeMap<String, Quantiles>,
}

/// An open task that a planned one could repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTask {
    /// The task.
    pub task_id: TaskId,
    /// Its title.
    pub title: String,
    /// Whether it is of the goal that is planned.
    pub same_goal: bool,
}

impl Ground {
    /// What finished tasks with exactly these capabilities used of `unit`.
    #[must_use]
    pub fn used(&self, capabilities: &[String], unit: &str) -> Option<Quantiles> {
        self.measured_of(capabilities)?.get(unit).copied()
    }

    /// What finished tasks with exactly these capabilities used, by unit.
    #[must_use]
    pub fn measured_of(&self, capabilities: &[String]) -> Option<&BTreeMap<String, Quantiles>> {
        self.measured.get(&capability_key(capabilities))
    }
}
