//! The plans of goals.

use crate::{
    app::{caller::ProjectReaderCaller, goals::plans::Plan},
    domain::ids::GoalId,
    http::{
        extract::{
            auth::Auth,
            page::{Listing, NoFilter, Paged},
            path::ApiPath,
        },
        problem::Result,
    },
};

/// List the plans of a goal.
///
/// Latest first, each with its tasks as planned.
#[utoipa::path(get, path = "/v1/goals/{goal_id}/plans")]
pub async fn list_plans(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(goal): ApiPath<GoalId>,
    list: Listing<NoFilter, i32>,
) -> Result<Paged<Plan>> {
    let plans = app.list_plans(&caller, goal, list.after, list.rows()).await?;
    list.page(plans, |plan| plan.number)
}
