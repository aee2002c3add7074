//! Wire types of assignments.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    domain::{
        ids::{AgentId, AttemptId, GoalId, TaskId},
        routing::{assign::Reason, policy::Policy},
    },
    store::routing::assignments::AssignmentRow,
};

/// Why a task was given to an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Assignment {
    /// Id of the attempt that began.
    pub attempt_id: AttemptId,
    /// Id of its task.
    pub task_id: TaskId,
    /// Id of the goal of the task.
    pub goal_id: GoalId,
    /// Id of the agent that got it.
    pub agent_id: AgentId,
    /// When it was assigned.
    pub at: DateTime<Utc>,
    /// How long the task had been ready, in milliseconds.
    #[schema(example = 420)]
    pub waited_ms: i64,
    /// Whether the task belongs to the share that is assigned at random.
    pub control: bool,
    /// The policy of the workspace at that time.
    pub policy: Policy,
    /// Why this agent. `kept`: an operator assigned the task to it. `only`: no other able agent asked, or is better
    /// and free in time. `order`: it asked first, and nothing is known of the agents. `score`: its score was the best.
    /// `better_busy`: it was the best of those that asked; a better one was not free in time. `control`: at random.
    pub reason: Reason,
    /// The agents that were compared, best first, at most five. Empty: there was nobody to compare with.
    pub candidates: Vec<AssignmentCandidate>,
}

/// An agent that was compared for a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AssignmentCandidate {
    /// Id of the agent.
    pub agent_id: AgentId,
    /// Its score at this task: drawn from what is believed of it, with its load and affinity. Higher is better; a
    /// difference of 0.1 is about a tenth.
    #[schema(example = -0.21)]
    pub score: f64,
    /// Expected share of accepted attempts.
    #[schema(example = 0.91)]
    pub success: f64,
    /// Expected cost of an attempt in `usd_micros`; `null`: no agent reported any.
    #[schema(example = 41_000)]
    pub usd_micros: Option<i64>,
    /// Expected duration of an accepted attempt in milliseconds; `null`: no agent finished any.
    #[schema(example = 93_000)]
    pub duration_ms: Option<i64>,
    /// Share of its slots in use; `null`: it did not ask, and the task could have been left for it.
    #[schema(example = 0.5)]
    pub load: Option<f64>,
    /// What nearness to its latest tasks added to the score.
    #[schema(example = 0.05)]
    pub affinity: f64,
}

impl From<AssignmentRow> for Assignment {
    fn from(row: AssignmentRow) -> Self {
        let AssignmentRow {
            attempt_id,
            task_id,
            goal_id,
            agent_id,
            at,
            waited_ms,
            control,
            policy,
            reason,
            candidates,
        } = row;
        let candidates = candidates.as_ref().and_then(Value::as_array);
        let candidates = candidates.into_iter().flatten().filter_map(candidate).collect();
        Self {
            attempt_id,
            task_id,
            goal_id,
            agent_id,
            at,
            waited_ms,
            control,
            policy,
            reason,
            candidates,
        }
    }
}

fn candidate(stored: &Value) -> Option<AssignmentCandidate> {
    let number = |key: &str| stored.get(key).and_then(Value::as_f64);
    let whole = |key: &str| stored.get(key).and_then(Value::as_i64);
    Some(AssignmentCandidate {
        agent_id: stored.get("a")?.as_str()?.parse().ok()?,
        score: number("s")?,
        success: number("p")?,
        usd_micros: whole("c"),
        duration_ms: whole("d"),
        load: number("l"),
        affinity: number("f").unwrap_or_default(),
    })
}
