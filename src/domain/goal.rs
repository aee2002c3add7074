//! When a goal is finished.

use super::states::GoalState;

/// How the tasks of a goal stand; containers and subtasks count.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
pub struct TaskCounts {
    /// All tasks.
    pub total: i32,
    /// In no final state.
    pub open: i32,
    /// Done.
    pub done: i32,
    /// Failed.
    pub failed: i32,
    /// Cancelled.
    pub cancelled: i32,
}

/// The state that an active goal should end in, or nothing while it goes on.
///
/// An empty goal is never complete. A goal whose last open task ended is `completed` when all of
/// them are done, `failed` when one failed, and `cancelled` when none failed but some were
/// cancelled. Subtasks that were not done are left out of `failed` and `cancelled` by the caller
/// when the task that had asked for them came back and was done all the same.
#[must_use]
pub fn roll_up(state: GoalState, counts: TaskCounts) -> Option<GoalState> {
    match state {
        GoalState::Active => {}
        GoalState::Planning
        | GoalState::Proposed
        | GoalState::Completed
        | GoalState::Failed
        | GoalState::Cancelled => return None,
    }
    if counts.total == 0 || counts.open > 0 {
        return None;
    }
    match (counts.failed, counts.cancelled) {
        (0, 0) => Some(GoalState::Completed),
        (0, _) => Some(GoalState::Cancelled),
        (_, _) => Some(GoalState::Failed),
    }
}
