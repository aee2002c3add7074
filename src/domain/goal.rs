//! The end state of a goal, derived from its tasks.

pub mod criteria;
pub mod progress;

use serde::{Deserialize, Serialize};

use super::states::GoalState;

/// The tasks of a goal by state, containers and subtasks included. Updated in the transaction that
/// moves a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskCounts {
    /// The number of tasks; 0 until a plan is applied.
    pub total: i32,
    /// Tasks that are not `done`, `failed` or `cancelled`.
    pub open: i32,
    /// Tasks in state `done`.
    pub done: i32,
    /// Tasks in state `failed`.
    pub failed: i32,
    /// Tasks in state `cancelled`.
    pub cancelled: i32,
}

/// The end state of an active goal, or `None` while it continues.
///
/// A goal without tasks never ends this way. Once no task is open, the goal is `completed` if all
/// are done, `failed` if one failed, else `cancelled`. The caller excludes from `failed` and
/// `cancelled` the subtasks whose parent task was done nevertheless. A goal with open criteria of its
/// own is [verified](criteria) instead of completed.
#[must_use]
pub fn roll_up(state: GoalState, counts: TaskCounts) -> Option<GoalState> {
    match state {
        GoalState::Active => {}
        GoalState::Planning
        | GoalState::Proposed
        | GoalState::Verifying
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
