//! The plans of goals, and how they are made.

use crate::{
    app::{
        caller::{ProjectOperatorCaller, ProjectReaderCaller},
        goals::{
            planning::{person::NewPlanning, views::PlanningRun},
            plans::Plan,
            views::PostedGoal,
        },
    },
    domain::ids::GoalId,
    http::{
        extract::{
            auth::Auth,
            idempotency::Create,
            meter::Meter,
            page::{Listing, NoFilter, Paged},
            path::ApiPath,
        },
        fairness::quotas::Counted,
        problem::Result,
        reply::Created,
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

/// List the planning runs of a goal.
///
/// The turn of each planner of its chains, latest first, with what it said: the plan that it made, or why it made
/// none. A goal whose only planner made the plan within the request has none.
#[utoipa::path(get, path = "/v1/goals/{goal_id}/planning")]
pub async fn list_planning_runs(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(goal): ApiPath<GoalId>,
    list: Listing<NoFilter, i32>,
) -> Result<Paged<PlanningRun>> {
    let runs = app.list_planning_runs(&caller, goal, list.after, list.rows()).await?;
    list.page(runs, |run| run.ordinal)
}

/// Plan a goal.
///
/// Replaces the planning of a goal in state `planning`, after the failure of its planners or during their work. The
/// new plan comes from another chain of planners, or is given as `tasks`. A planner at work is asked to stop, and its
/// plan is discarded. `outline` and `playbook` plan within the request; if the chain has no others and none of them
/// makes a plan, the request is refused and changes nothing. The approval of plans applies to the new plan too.
#[utoipa::path(post, path = "/v1/goals/{goal_id}/plan")]
pub async fn plan_goal(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    meter: Meter,
    ApiPath(goal): ApiPath<GoalId>,
    Create { body, idempotency }: Create<NewPlanning>,
) -> Result<Created<PostedGoal>> {
    meter.count(Counted::Tasks, body.tasks.len())?;
    let outcome = app.plan_goal(&caller, goal, &body, idempotency.as_ref()).await?;
    let created = Created::new(outcome, |posted| format!("/v1/goals/{}/planning", posted.goal.id));
    Ok(created.version(|posted| posted.goal.version))
}
