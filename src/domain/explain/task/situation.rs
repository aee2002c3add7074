//! What a task may wait for.

use chrono::{DateTime, Utc};

use super::{cause::TaskCause, gates::Gate};
use crate::domain::{
    explain::{
        answer::{FreezeOver, LackingLimit, NamedTask, OfferedRequest, OpenApproval, QueuePlace},
        fleet::FleetAgent,
    },
    ids::{AgentId, AttemptId, GoalId, KeyId, TaskId},
    states::{FailureClass, GoalState, TaskState},
    task::claim::Keeping,
};

/// The attempt that works on a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its agent; `None`: a person holds it.
    pub agent_id: Option<AgentId>,
    /// The name of the agent.
    pub agent_name: Option<String>,
    /// The key of the person; `None`: an agent holds it.
    pub held_by_key: Option<KeyId>,
    /// The start of the attempt.
    pub since: DateTime<Utc>,
    /// When it is lost without a heartbeat.
    pub lease_expires_at: DateTime<Utc>,
}

/// A pending approval, and the ready-made decision about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The approval.
    pub approval: OpenApproval,
    /// The decision.
    pub decision: OfferedRequest,
}

/// A capability whose rate is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedRate {
    /// The capability.
    pub capability: String,
    /// When the next attempt may start.
    pub free_at: DateTime<Utc>,
}

/// A model without a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpriced {
    /// The model, as people read it.
    pub model: String,
    /// The request that adds its price.
    pub add: OfferedRequest,
}

/// A task that is left for a better agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftFor {
    /// The better agent.
    pub agent_id: AgentId,
    /// Its name.
    pub name: String,
    /// When the task goes to anybody.
    pub until: DateTime<Utc>,
}

/// Everything that a task may wait for, in one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Situation {
    /// The time of the snapshot.
    pub now: DateTime<Utc>,
    /// The task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// The state of the goal.
    pub goal_state: GoalState,
    /// The start time of the goal.
    pub start_at: Option<DateTime<Utc>>,
    /// Its state.
    pub state: TaskState,
    /// Whether it only contains other tasks.
    pub container: bool,
    /// Capabilities that it requires.
    pub required: Vec<String>,
    /// Assignment to one agent, or exclusion of some.
    pub keeping: Keeping,
    /// A capability that a claim needs besides, after a hand-off.
    pub offered_capability: Option<String>,
    /// When the assignment or the capability of a hand-off ends.
    pub offer_until: Option<DateTime<Utc>>,
    /// Whether it is a check that demands another owner.
    pub other_owner: bool,
    /// Not ready before this time.
    pub ready_from: DateTime<Utc>,
    /// Its own start time.
    pub not_before: Option<DateTime<Utc>>,
    /// Needed tasks that are not done, and its closed container.
    pub needs_unmet: i32,
    /// Its children that have not ended.
    pub children_open: i32,
    /// Attempts that count.
    pub attempts_used: i32,
    /// Most attempts that count.
    pub max_attempts: i32,
    /// Class of its final failure.
    pub failure_class: Option<FailureClass>,
    /// Whether it failed because its leases were lost.
    pub quarantined: bool,
    /// Why it failed or was cancelled.
    pub end_reason: Option<String>,
    /// Whether it waits to be divided.
    pub oversized: bool,
    /// When a requested cancellation is forced.
    pub cancel_by: Option<DateTime<Utc>>,
    /// The attempt that works on it.
    pub holding: Option<Holding>,
    /// Its pending approval, or that of the limit it waits for.
    pub question: Option<Question>,
    /// The tasks that it waits for and that wait for no other.
    pub roots: Vec<NamedTask>,
    /// Number of all tasks that it waits for.
    pub blocked_by: i64,
    /// The decisive cause of the first of `roots`.
    pub root: Option<Box<TaskCause>>,
    /// The failed task because of which it was cancelled.
    pub failed_first: Option<NamedTask>,
    /// Freezes over it.
    pub freezes: Vec<FreezeOver>,
    /// Models without a price that it waits for.
    pub models: Vec<Unpriced>,
    /// Gates without room.
    pub gates: Vec<Gate>,
    /// Rates that are used up.
    pub rates: Vec<UsedRate>,
    /// Limits above it without enough room: those it is parked for, or would be.
    pub limits: Vec<LackingLimit>,
    /// All agents that are not retired.
    pub fleet: Vec<FleetAgent>,
    /// The agent it is left for.
    pub left_for: Option<LeftFor>,
    /// Its place in the order.
    pub place: Option<QueuePlace>,
}

/// For tests of the rules.
#[cfg(test)]
pub(super) mod tests_only {
    use uuid::Uuid;

    use super::*;
    use crate::domain::explain::{
        fleet::sound,
        task::{cause::TaskCauseKind, causes},
    };

    pub const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    /// A task in a state, and one agent that can do it.
    pub fn situation(state: TaskState) -> Situation {
        Situation {
            now: NOW,
            task_id: TaskId(Uuid::nil()),
            goal_id: GoalId(Uuid::nil()),
            goal_state: GoalState::Active,
            start_at: None,
            state,
            container: false,
            required: vec!["rust".to_owned()],
            keeping: Keeping::Anybody,
            offered_capability: None,
            offer_until: None,
            other_owner: false,
            ready_from: NOW,
            not_before: None,
            needs_unmet: 0,
            children_open: 0,
            attempts_used: 0,
            max_attempts: 3,
            failure_class: None,
            quarantined: false,
            end_reason: None,
            oversized: false,
            cancel_by: None,
            holding: None,
            question: None,
            roots: Vec::new(),
            blocked_by: 0,
            root: None,
            failed_first: None,
            freezes: Vec::new(),
            models: Vec::new(),
            gates: Vec::new(),
            rates: Vec::new(),
            limits: Vec::new(),
            fleet: vec![sound(1, &["rust"])],
            left_for: None,
            place: None,
        }
    }

    /// Its causes.
    pub fn kinds(at: &Situation) -> Vec<TaskCauseKind> {
        causes(at).iter().map(|cause| cause.cause).collect()
    }
}
