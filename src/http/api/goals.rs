//! Goals, and the preview of their plans.

use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        caller::{
            AdminCaller, ProjectOperatorCaller, ProjectReaderCaller, ProjectSubmitterCaller,
            SubmitterCaller,
        },
        goals::{
            PlanPreview,
            additions::{AddedTasks, NewTasks},
            edit::GoalChange,
            progress::GoalProgress,
            replan::{ReplanRequest, ReplannedGoal},
            retry::{RetriedGoal, RetryRequest},
            views::{Goal, GoalFilter, PostedGoal},
        },
        tasks::{Acknowledgement, Cancellation},
        unit::idempotency::Outcome,
    },
    domain::{
        goal::criteria::CriterionDecision,
        ids::{GoalId, ProjectId},
        plan::new_goal::NewGoal,
        states::GoalState,
    },
    http::{
        describe::{Describe, Description},
        extract::{
            auth::Auth,
            body::{ApiJson, OptionalJson},
            conditional::{IfMatch, IfNoneMatch, Versioned},
            idempotency::Create,
            long_poll::{WaitQuery, WaitSeconds},
            meter::Meter,
            page::{Listing, Paged},
            path::ApiPath,
            query::ApiQuery,
        },
        fairness::quotas::Counted,
        problem::Result,
        reply::{Created, NoContent, Replayable, Reply},
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
    /// `true`: only archived goals. Absent or `false`: only others.
    pub archived: Option<bool>,
}

/// How long the answer to a posted goal waits for its plan.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PlanWaitQuery {
    /// Seconds to wait while a planner plans. Without a planner that needs somebody nothing is waited for.
    #[serde(default)]
    #[param(value_type = u32, minimum = 0, maximum = 60, default = 0)]
    pub wait_seconds: WaitSeconds,
}

/// Preview a plan.
///
/// Returns the tasks that a goal with this brief would get, and the notes of the planner. Writes
/// nothing. The `outline` planner reads the tasks from the structure of a Markdown document,
/// without a model: the same document always gives the same plan.
///
/// `findings` says what is wrong or doubtful in the plan, and `numbers` what it uses, how long it takes with the
/// agents that are online and what holds it up; both as of now. Errors of the plan itself (a circle, an unknown
/// ref, a size) are refused instead, each with its code in `errors`.
///
/// The body is that of `POST /v1/goals`, which may lack the title here: what this accepts can be posted as it
/// is, and what it refuses is refused there for the same reason. A preview calls nobody: of a chain of planners it
/// shows the plan of the first that needs nobody, and refuses a chain of `llm` and `agent` alone.
#[utoipa::path(post, path = "/v1/plans/preview")]
pub async fn preview_plan(
    Auth { app, caller }: Auth<SubmitterCaller>,
    ApiJson(new): ApiJson<NewGoal>,
) -> Result<Reply<PlanPreview>> {
    Ok(Reply(app.preview_plan(&caller, &new).await?))
}

/// Create a goal.
///
/// Writes the goal, its plan and all of its tasks in one transaction. If the planner that has its turn is `llm` or
/// `agent`, the goal is `planning` instead, the answer comes at once, and its plan follows;
/// with `wait_seconds` the answer waits until it is there, or a person has to decide. With `approval.plan`, the
/// plan waits for the approval of a person, and the tasks are created with the approval. The answer
/// counts the tasks; `GET /v1/tasks?goal_id=` lists them. `notes` says what the planner saw in the brief and made
/// no task of. Control characters of the brief are dropped, with a note. With `criteria`, or boxes of the brief below
/// a label of criteria that belongs to no task, the goal is `verifying` after its tasks until these are satisfied.
///
/// With `dedup`, a goal that holds the key is answered with 200 and `deduplicated`, and nothing is created. If that goal
/// was deleted, `already_exists` says until when the key is held.
#[utoipa::path(post, path = "/v1/goals")]
pub async fn create_goal(
    Auth { app, caller }: Auth<ProjectSubmitterCaller>,
    meter: Meter,
    ApiQuery(wait): ApiQuery<PlanWaitQuery>,
    Create { body, idempotency }: Create<NewGoal>,
) -> Result<Posted> {
    meter.check(Counted::Tasks)?;
    let wait = wait.wait_seconds.duration();
    let outcome = app.create_goal(&caller, &body, idempotency.as_ref(), wait).await?;
    if !outcome.replayed && !outcome.value.deduplicated {
        // Only the planner knows how many tasks a brief has: they are counted afterwards.
        meter.add(
            Counted::Tasks,
            usize::try_from(outcome.value.goal.tasks.total).unwrap_or_default(),
        );
    }
    Ok(Posted(outcome))
}

/// 201 for a new goal, 200 for one that holds the dedup key of the request.
pub struct Posted(Outcome<PostedGoal>);

impl IntoResponse for Posted {
    fn into_response(self) -> Response {
        let location = |posted: &PostedGoal| format!("/v1/goals/{}", posted.goal.id);
        if self.0.value.deduplicated {
            return Replayable(self.0).into_response();
        }
        Created::new(self.0, location).version(|posted| posted.goal.version).into_response()
    }
}

impl Describe for Posted {
    fn describe(doc: &mut Description<'_>) {
        Replayable::<PostedGoal>::describe(doc);
        Created::<PostedGoal>::describe(doc);
    }
}

/// List the goals.
///
/// Newest first, without their briefs. Archived goals are left out unless `archived=true`.
#[utoipa::path(get, path = "/v1/goals")]
pub async fn list_goals(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    list: Listing<GoalQuery, GoalId>,
) -> Result<Paged<Goal>> {
    let GoalQuery { state, project_id, archived } = list.filter.clone();
    let archived = archived.unwrap_or_default();
    let filter = GoalFilter { states: state, project: project_id, archived };
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

/// Read the progress of a goal.
///
/// How much of its work is done, by weight: a task weighs its estimate, in the unit in which most tasks of the
/// plan have one, else as much as an average task. What is left on the longest path, and when the goal may be
/// done with the agents that are online now, from what tasks of the same capabilities took. Who holds it up, with
/// how much work waits behind each. A read costs the same for ten tasks and for ten thousand.
#[utoipa::path(get, path = "/v1/goals/{goal_id}/progress")]
pub async fn goal_progress(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(goal): ApiPath<GoalId>,
) -> Result<Reply<GoalProgress>> {
    Ok(Reply(app.goal_progress(&caller, goal).await?))
}

/// Edit a goal.
///
/// A goal that has ended is not edited. Open tasks that inherited the priority of the goal get the
/// new one. A new brief is text for people: it is not planned again. New `task_defaults` hold for
/// tasks that are added later.
///
/// With `project` the goal moves to another project, and what it has spent moves with it: the spend of
/// both projects and the use of their limits stay true. The move is refused with 409 while an attempt
/// of the goal runs, for a goal with an allocated budget, and if a limit of the new project has no room
/// for what the goal has spent.
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

/// Add tasks to a goal.
///
/// Creates one or many tasks in a goal that is `active` or `verifying`, all or none, with the same
/// specification as the tasks of a plan. A verifying goal is active again. Their `needs` name tasks of the
/// request by ref and tasks of the goal by ref or id: done ones count as met, failed and cancelled ones are
/// refused. Their `parent` is a task of the request or an open container of the goal. A submitter adds to
/// goals that they posted.
///
/// A request has at most 5,000 tasks. A goal grows beyond that by adding, to at most 50,000 tasks,
/// subtasks of agents included. Tasks that are not done count towards the `open_tasks` of the
/// workspace.
#[utoipa::path(post, path = "/v1/goals/{goal_id}/tasks")]
pub async fn add_tasks(
    Auth { app, caller }: Auth<ProjectSubmitterCaller>,
    meter: Meter,
    ApiPath(goal): ApiPath<GoalId>,
    Create { body, idempotency }: Create<NewTasks>,
) -> Result<Created<AddedTasks>> {
    meter.count(Counted::Tasks, body.tasks.len())?;
    let outcome = app.add_tasks(&caller, goal, &body, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |added| format!("/v1/tasks?goal_id={}", added.goal_id)))
}

/// Plan a goal anew.
///
/// Compares a new plan with the tasks of the goal and changes the differences: adds tasks, edits tasks, and cancels
/// tasks without a place in the plan. Everything else stays, with its id, attempts and results: finished tasks never change,
/// and running ones only in what an edit of them could change. The same plan again changes nothing (`unchanged`).
///
/// A task is found again by its ref if somebody wrote that, else by its title and place. So a line that is inserted,
/// moved or reworded does not make other tasks of those around it.
///
/// The new plan is the `tasks` of the request, or that of its `playbook` with values for the variables, or is read from
/// its `brief`, or from that of the goal. With `base_version` it is refused with 409 if the goal has another plan by
/// now. With `dry_run` nothing is written. If the goal asks for the approval of its plan, the new one waits for it as
/// `proposed` while the work goes on; a newer one replaces it.
///
/// `planners` names the planners, as for a posted goal. `outline`, `playbook` and `tasks` plan within the request. When
/// `llm` or `agent` has its turn, the answer is `planning`, and comes at once or, with `wait_seconds`, when it has
/// planned: the goal is worked on meanwhile, and its plan is compared with the goal as it is then. Such a planner begins
/// with the open tasks of the plan. If none makes a plan, the goal goes on as it is, and its planning runs say why.
///
/// The criteria of the goal follow the boxes of the brief, or the playbook. A reworded criterion is open again;
/// `criteria` of the diff names its former verdict. A tick satisfies an open criterion, and does not outweigh a check. Criteria that came with the request of the goal stay, and so do all with the planners `tasks`, `llm` and
/// `agent`.
///
/// Only goals that are `active` or `verifying` are planned anew. What was not from the plan, such as tasks that were
/// added by hand or by agents, is touched only if the plan names it by ref, or if it needs a task that is cancelled.
#[utoipa::path(post, path = "/v1/goals/{goal_id}/replan")]
pub async fn replan_goal(
    Auth { app, caller }: Auth<ProjectSubmitterCaller>,
    meter: Meter,
    ApiPath(goal): ApiPath<GoalId>,
    ApiQuery(wait): ApiQuery<PlanWaitQuery>,
    Create { body, idempotency }: Create<ReplanRequest>,
) -> Result<Replayable<ReplannedGoal>> {
    meter.check(Counted::Tasks)?;
    let wait = wait.wait_seconds.duration();
    let outcome = app.replan_goal(&caller, goal, &body, idempotency.as_ref(), wait).await?;
    if !outcome.replayed && outcome.value.outcome.is_applied() {
        // Only the comparison knows how many tasks are new: they are counted afterwards.
        meter.add(Counted::Tasks, outcome.value.diff.counts.added);
    }
    Ok(Replayable(outcome))
}

/// Decide a criterion of a goal.
///
/// While the goal is `verifying`, a person can decide each of its criteria, whatever an agent found.
/// `approve` satisfies it: its rework ends, and the goal is completed with the last required one. `reject`
/// makes a task that reworks it, with `reason` as its finding; afterwards it is checked again. Approving a
/// satisfied criterion changes nothing.
#[utoipa::path(post, path = "/v1/goals/{goal_id}/criteria/{number}/decide")]
pub async fn decide_goal_criterion(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath((goal, number)): ApiPath<(GoalId, i16)>,
    ApiJson(decision): ApiJson<CriterionDecision>,
) -> Result<Versioned<Goal>> {
    let goal = app.decide_goal_criterion(&caller, goal, number, &decision).await?;
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

/// Retry what failed of a goal.
///
/// Retries every task of the goal that failed and can come back, as `POST /v1/tasks/{task_id}/retry`
/// does, and brings back what was cancelled because of one of them. A failed goal is active again.
/// Finished work stays, and so does what was cancelled on request.
#[utoipa::path(post, path = "/v1/goals/{goal_id}/retry")]
pub async fn retry_goal(
    Auth { app, caller }: Auth<ProjectSubmitterCaller>,
    ApiPath(goal): ApiPath<GoalId>,
    OptionalJson(request): OptionalJson<RetryRequest>,
) -> Result<Versioned<RetriedGoal>> {
    let retried = app.retry_goal(&caller, goal, &request).await?;
    Ok(Versioned::new(retried, |retried| retried.goal.version))
}

/// Acknowledge a failed goal.
///
/// Records that a person has seen the failure, and removes the goal from `GET /v1/attention`. The goal
/// stays failed. Acknowledging it again changes nothing.
#[utoipa::path(post, path = "/v1/goals/{goal_id}/acknowledge")]
pub async fn acknowledge_goal(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(goal): ApiPath<GoalId>,
    OptionalJson(said): OptionalJson<Acknowledgement>,
) -> Result<Versioned<Goal>> {
    Ok(Versioned::new(app.acknowledge_goal(&caller, goal, &said).await?, |goal| goal.version))
}

/// Archive a goal.
///
/// Lists leave it out from then on, unless they are asked for `archived=true`. Nothing else changes. Only a
/// goal that has ended can be archived. Archiving an archived goal changes nothing.
#[utoipa::path(post, path = "/v1/goals/{goal_id}/archive")]
pub async fn archive_goal(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(goal): ApiPath<GoalId>,
) -> Result<Versioned<Goal>> {
    Ok(Versioned::new(app.archive_goal(&caller, goal).await?, |goal| goal.version))
}

/// Unarchive a goal.
///
/// Puts it back into the lists. Does nothing to a goal that is not archived.
#[utoipa::path(post, path = "/v1/goals/{goal_id}/unarchive")]
pub async fn unarchive_goal(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(goal): ApiPath<GoalId>,
) -> Result<Versioned<Goal>> {
    Ok(Versioned::new(app.unarchive_goal(&caller, goal).await?, |goal| goal.version))
}

/// Delete a goal for good.
///
/// Deletes an ended goal with its plans, tasks, attempts, results, approvals, comments and budgets. It cannot
/// be undone. Its journal stays, and what it spent still counts in the budgets above it and in reports: in these
/// by day, agent, project and model, no longer by goal. To hide a goal only, archive it.
///
/// A goal is refused while something alive refers to it: an agent that was asked to stop, a freeze, an open
/// intervention. Spend that an agent reports after the deletion is not found.
///
/// A goal of many thousand tasks may take too long (`unavailable`). `muster prune` deletes it once its retention
/// is over.
#[utoipa::path(delete, path = "/v1/goals/{goal_id}")]
pub async fn delete_goal(
    Auth { app, caller }: Auth<AdminCaller>,
    ApiPath(goal): ApiPath<GoalId>,
    if_match: IfMatch,
) -> Result<NoContent> {
    app.delete_goal(&caller, goal, if_match.version).await?;
    Ok(NoContent)
}
