//! The plans of goals.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{App, caller::ReaderCaller, goals::plans::Plan},
    domain::ids::GoalId,
    http::{
        describe::handlers,
        extract::{
            auth::Auth,
            page::{Listing, NoFilter, Paged, SortKey},
            path::ApiPath,
        },
        problem::Result,
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![list_plans]
}

/// Where a page of plans starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct PlanAfter {
    number: i32,
}

impl SortKey for PlanAfter {
    const LIST: &'static str = "plans";
}

/// List the plans of a goal.
///
/// Latest first, each with its tasks as they were planned.
#[utoipa::path(get, path = "/v1/goals/{goal_id}/plans", tag = "plans")]
async fn list_plans(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(goal): ApiPath<GoalId>,
    list: Listing<NoFilter, PlanAfter>,
) -> Result<Paged<Plan>> {
    let after = list.after.map(|after| after.number);
    let plans = app.list_plans(&caller, goal, after, list.rows()).await?;
    list.page(plans, |plan| PlanAfter { number: plan.number })
}
