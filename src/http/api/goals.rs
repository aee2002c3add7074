//! Goals, and the plans that they would get.

use std::sync::Arc;

use axum::{Extension, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{
        App,
        caller::{OperatorCaller, ReaderCaller, SubmitterCaller},
        goals::{
            GoalChange, PlanPreview,
            views::{Goal, GoalFilter},
        },
        tasks::Cancellation,
    },
    domain::{
        ids::{GoalId, ProjectId},
        plan::new_goal::{NewGoal, PlanSource},
        states::GoalState,
    },
    http::{
        describe::handlers,
        extract::{
            auth::Auth,
            body::{ApiJson, BodyLimit, OptionalJson},
            conditional::{IfMatch, IfNoneMatch, Versioned},
            idempotency::Create,
            long_poll::{LongPoll, WaitQuery},
            page::{Listing, Paged, SortKey},
            path::ApiPath,
            query::ApiQuery,
        },
        problem::Result,
        reply::{Created, Reply},
        state::HttpState,
    },
};

/// How large a body with a whole plan may be.
pub const PLAN_LIMIT: BodyLimit = BodyLimit(4 * 1024 * 1024);

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    let plans = handlers![preview_plan[NoTasksFound, PlanInvalid], create_goal[NoTasksFound, PlanInvalid, BudgetExhausted]];
    let goals = handlers![list_goals, get_goal, update_goal[GoalEnded], cancel_goal[GoalEnded]];
    plans.layer(Extension(PLAN_LIMIT)).merge(goals)
}

/// Which goals to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GoalQuery {
    /// Only goals in this state; may be repeated.
    #[serde(default)]
    pub state: Vec<GoalState>,
    /// Only goals of this project.
    pub project_id: Option<ProjectId>,
}

/// Where a page of goals starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct GoalAfter {
    id: GoalId,
}

impl SortKey for GoalAfter {
    const LIST: &'static str = "goals";
}

/// Preview a plan.
///
/// The tasks that a goal with this brief would get, and what the planner noticed. Nothing is
/// written. The `outline` planner finds the tasks in a Markdown document by its own structure,
/// without a model: the same document always gives the same plan.
#[utoipa::path(post, path = "/v1/plans/preview", tag = "plans")]
async fn preview_plan(
    Auth(caller): Auth<SubmitterCaller>,
    State(app): State<Arc<App>>,
    ApiJson(source): ApiJson<PlanSource>,
) -> Result<Reply<PlanPreview>> {
    Ok(Reply(app.preview_plan(&caller, &source)?))
}

/// Post a goal.
///
/// The goal, its plan and all of its tasks are written at once, or nothing is. With
/// `approval.plan` the plan is put before a person first, and the tasks exist when it is approved.
/// The answer says how many tasks there are; `GET /v1/tasks?goal_id=` lists them.
#[utoipa::path(post, path = "/v1/goals", tag = "goals")]
async fn create_goal(
    Auth(caller): Auth<SubmitterCaller>,
    State(app): State<Arc<App>>,
    Create { body, idempotency }: Create<NewGoal>,
) -> Result<Created<Goal>> {
    let outcome = app.create_goal(&caller, &body, idempotency.as_ref()).await?;
    let goal = &outcome.value;
    let (location, version) = (format!("/v1/goals/{}", goal.id), i64::from(goal.version));
    Ok(Created::new(location, outcome).version(version))
}

/// List the goals.
///
/// Newest first, without their briefs.
#[utoipa::path(get, path = "/v1/goals", tag = "goals")]
async fn list_goals(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    list: Listing<GoalQuery, GoalAfter>,
) -> Result<Paged<Goal>> {
    let GoalQuery { state, project_id } = &list.filter;
    let filter = GoalFilter { states: state.clone(), project: *project_id };
    let after = list.after.map(|after| after.id);
    let goals = app.list_goals(&caller, &filter, after, list.rows()).await?;
    list.page(goals, |goal| GoalAfter { id: goal.id })
}

/// Read a goal.
///
/// With `wait_seconds` the answer waits until the goal has ended: one request is enough for a
/// script that waits for its goal. With `If-None-Match` too, it waits for any other version, which
/// is a change of state or an edit. How the tasks stand and what was spent change without a new
/// version: leave `If-None-Match` out to see them.
#[utoipa::path(get, path = "/v1/goals/{goal_id}", tag = "goals")]
async fn get_goal(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(goal): ApiPath<GoalId>,
    ApiQuery(wait): ApiQuery<WaitQuery>,
    known: IfNoneMatch,
    _: LongPoll,
) -> Result<Versioned<Goal>> {
    let goal = app.wait_goal(&caller, goal, known.version, wait.duration()).await?;
    Ok(Versioned::new(i64::from(goal.version), goal).unless(known))
}

/// Edit a goal.
///
/// Its title, priority or deadline. Open tasks that inherited its priority follow it.
#[utoipa::path(patch, path = "/v1/goals/{goal_id}", tag = "goals")]
async fn update_goal(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(goal): ApiPath<GoalId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<GoalChange>,
) -> Result<Versioned<Goal>> {
    let goal = app.update_goal(&caller, goal, if_match.version, &change).await?;
    Ok(Versioned::new(i64::from(goal.version), goal))
}

/// Cancel a goal.
///
/// What waits is cancelled at once. What runs is told to stop and has a minute; a result that
/// arrives first still counts. Cancelling a cancelled goal changes nothing.
#[utoipa::path(post, path = "/v1/goals/{goal_id}/cancel", tag = "goals")]
async fn cancel_goal(
    Auth(caller): Auth<SubmitterCaller>,
    State(app): State<Arc<App>>,
    ApiPath(goal): ApiPath<GoalId>,
    OptionalJson(cancellation): OptionalJson<Cancellation>,
) -> Result<Versioned<Goal>> {
    let goal = app.cancel_goal(&caller, goal, &cancellation).await?;
    Ok(Versioned::new(i64::from(goal.version), goal))
}
