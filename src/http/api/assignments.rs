//! Assignments: why tasks were given to agents.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        caller::ReportCaller,
        routing::{AssignmentFilter, views::Assignment},
    },
    domain::ids::{AgentId, AttemptId, GoalId, TaskId},
    http::{
        extract::{
            auth::Auth,
            page::{Listing, Paged},
        },
        problem::Result,
    },
};

/// The filters of the list of assignments.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AssignmentQuery {
    /// Only assignments of this task.
    pub task_id: Option<TaskId>,
    /// Only assignments to this agent.
    pub agent_id: Option<AgentId>,
    /// Only assignments of tasks of this goal.
    pub goal_id: Option<GoalId>,
}

/// List the assignments.
///
/// Why each claimed task was given to its agent: the policy, the reason, and the agents that were compared. Newest
/// first. Assignments are kept for 30 days, and go earlier with their goal. What an operator takes over has none.
#[utoipa::path(get, path = "/v1/assignments")]
pub async fn list_assignments(
    Auth { app, caller }: Auth<ReportCaller>,
    list: Listing<AssignmentQuery, AttemptId>,
) -> Result<Paged<Assignment>> {
    let AssignmentQuery { task_id, agent_id, goal_id } = list.filter;
    let filter = AssignmentFilter { task: task_id, agent: agent_id, goal: goal_id };
    let found = app.list_assignments(&caller, filter, list.after, list.rows()).await?;
    list.page(found, |assignment| assignment.attempt_id)
}
