//! Goals, and the preview of their plans.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        caller::{
            ProjectOperatorCaller, ProjectReaderCaller, ProjectSubmitterCaller, SubmitterCaller,
        },
        goals::{
            GoalChange, PlanPreview,
            views::{Goal, GoalFilter, PostedGoal},
        },
        tasks::Cancellation,
    },
    domain::{
        ids::{GoalId, ProjectId},
        plan::new_goal::{NewGoal, PlanSource},
        states::GoalState,
    },
    http::{
        extract::{
            auth::Auth,
            body::{ApiJson, OptionalJson},
            conditional::{IfMatch, IfNoneMatch, Versioned},
            idempotency::Create,
            long_poll::WaitQuery,
            meter::Meter,
            page::{Listing, Paged},
            path::ApiPath,
            query::ApiQuery,
        },
        fairness::quotas::Counted,
        problem::Result,
        reply::{Created, Reply},
    },
};

/// The filters of the list of goals.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct GoalQuery {
    /// Only goals in this state; may be repeated.
    #[serde(default)]
    pub state: Vec<GoalState>,
    /// Only goals of this project.
    pub project_id: Option<ProjectId>,
}

/// Preview a plan.
///
/// Returns the tasks that a goal with this brief would get, and the notes of the planner. Writes
/// nothing. The `outline` planner reads the tasks from the structure of a Markdown document,
/// without a model: the same document always gives the same plan.
#[utoipa::path(post, path = "/v1/plans/preview")]
pub async fn preview_plan(
    Auth { app, caller }: Auth<SubmitterCaller>,
    ApiJson(source): ApiJson<PlanSource>,
) -> Result<Reply<PlanPreview>> {
    Ok(Reply(app.preview_plan(&caller, &source)?))
}

/// Create a goal.
///
/// Writes the goal, its plan and all of its tasks in one transaction. With `approval.plan`, the
/// plan waits for the approval of a person, and the tasks are created with the approval. The answer
/// counts the tasks; `GET /v1/tasks?goal_id=` lists them. `notes` says what the planner saw in the brief and made
/// no task of. Control characters of the brief are dropped, with a note.
#[utoipa::path(post, path = "/v1/goals")]
pub async fn create_goal(
    Auth { app, caller }: Auth<ProjectSubmitterCaller>,
    meter: Meter,
    Create { body, idempotency }: Create<NewGoal>,
) -> Result<Created<PostedGoal>> {
    meter.check(Counted::Tasks)?;
    let outcome = app.create_goal(&caller, &body, idempotency.as_ref()).await?;
    if !outcome.replayed {
        // Only the planner knows how many tasks a brief has: they are counted afterwards.
        meter.add(
            Counted::Tasks,
            usize::try_from(outcome.value.goal.tasks.total).unwrap_or_default(),
        );
    }
    let created = Created::new(outcome, |posted| format!("/v1/goals/{}", posted.goal.id));
    Ok(created.version(|posted| posted.goal.version))
}

/// List the goals.
///
/// Newest first, without their briefs.
#[utoipa::path(get, path = "/v1/goals")]
pub async fn list_goals(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    list: Listing<GoalQuery, GoalId>,
) -> Result<Paged<Goal>> {
    let GoalQuery { state, project_id } = &list.filter;
    let filter = GoalFilter { states: state.clone(), project: *project_id };
    let goals = app.list_goals(&caller, &filter, list.after, list.rows()).await?;
    list.page(goals, |goal| goal.id)
}

/// Read a goal.
///
/// With `wait_seconds`, the answer waits until the goal has ended: a script needs one request to
/// wait for its goal. Together with `If-None-Match`, it waits for another version, which is a
/// change of state or an edit. Task counts and spend change without a new version: omit
/// `If-None-Match` to see them.
#[utoipa::path(get, path = "/v1/goals/{goal_id}")]
pub async fn get_goal(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(goal): ApiPath<GoalId>,
    ApiQuery(wait): ApiQuery<WaitQuery>,
    known: IfNoneMatch,
) -> Result<Versioned<Goal>> {
    let goal = app.wait_goal(&caller, goal, known.version, wait.duration()).await?;
    Ok(Versioned::new(goal, |goal| goal.version).unless(known))
}

/// Edit a goal.
///
/// Changes its title, priority or deadline. Open tasks that inherited the priority of the goal get
/// the new one.
#[utoipa::path(patch, path = "/v1/goals/{goal_id}")]
pub async fn update_goal(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(goal): ApiPath<GoalId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<GoalChange>,
) -> Result<Versioned<Goal>> {
    let goal = app.update_goal(&caller, goal, if_match.version, &change).await?;
    Ok(Versioned::new(goal, |goal| goal.version))
}

/// Cancel a goal.
///
/// Waiting and ready tasks are cancelled at once. Running attempts are asked to stop and have one
/// minute; a result that arrives before counts. Cancelling a cancelled goal changes nothing.
#[utoipa::path(post, path = "/v1/goals/{goal_id}/cancel")]
pub async fn cancel_goal(
    Auth { app, caller }: Auth<ProjectSubmitterCaller>,
    ApiPath(goal): ApiPath<GoalId>,
    OptionalJson(cancellation): OptionalJson<Cancellation>,
) -> Result<Versioned<Goal>> {
    Ok(Versioned::new(app.cancel_goal(&caller, goal, &cancellation).await?, |goal| goal.version))
}
