//! Affinity: an agent that just worked on something near knows its way around there.

use std::collections::{HashMap, HashSet};

use crate::domain::ids::{AgentId, GoalId, TaskId};

/// What is near a task, besides its goal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Near {
    /// The task it is part of.
    pub parent: Option<TaskId>,
    /// Labels from the plan.
    pub labels: Vec<String>,
}

/// What an agent worked on lately.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lately {
    /// Goals of its latest attempts.
    pub goals: HashSet<GoalId>,
    /// Parents of these tasks.
    pub parents: HashSet<TaskId>,
    /// Their labels.
    pub labels: HashSet<String>,
}

/// What agents worked on lately, and what is near tasks that are ready.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affinities {
    /// By agent.
    pub lately: HashMap<AgentId, Lately>,
    /// By task; only those with a parent or labels.
    pub near: HashMap<TaskId, Near>,
}

/// Score for the same goal, for the same parent, and for each shared label.
const GOAL: f64 = 0.05;
const PARENT: f64 = 0.1;
const LABEL: f64 = 0.05;
/// Most labels that count.
const LABELS: usize = 2;

impl Affinities {
    /// What the nearness of a task adds to the score of an agent: 0 to 0.25. It decides between agents that are
    /// about as good, and never against one that is clearly better.
    #[must_use]
    pub fn of(&self, agent: AgentId, task: TaskId, goal: GoalId) -> f64 {
        let Some(lately) = self.lately.get(&agent) else { return 0.0 };
        let mut score = if lately.goals.contains(&goal) { GOAL } else { 0.0 };
        if let Some(near) = self.near.get(&task) {
            if near.parent.is_some_and(|parent| lately.parents.contains(&parent)) {
                score += PARENT;
            }
            let shared = near.labels.iter().filter(|label| lately.labels.contains(*label));
            score += LABEL * shared.take(LABELS).count() as f64;
        }
        score
    }
}
