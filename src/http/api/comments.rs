//! Comments on tasks and goals.

use crate::{
    app::{
        caller::{CommentCaller, ProjectReaderCaller},
        comments::views::{Comment, NewComment},
    },
    domain::ids::{CommentId, GoalId, TaskId},
    http::{
        extract::{
            auth::Auth,
            idempotency::Create,
            page::{Listing, NoFilter, Paged},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, Reply},
    },
};

/// List the comments on a task.
///
/// Newest first.
#[utoipa::path(get, path = "/v1/tasks/{task_id}/comments")]
pub async fn list_task_comments(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(task): ApiPath<TaskId>,
    list: Listing<NoFilter, CommentId>,
) -> Result<Paged<Comment>> {
    let comments = app.list_task_comments(&caller, task, list.after, list.rows()).await?;
    list.page(comments, |comment| comment.id)
}

/// Comment on a task.
///
/// The next claim of the task hands it over in `comments`, and an attempt that runs gets it with its next heartbeat: if
/// `to` names somebody, only attempts of these. It changes nothing else: to ask a person use an approval, to direct a
/// running agent use a rule or a freeze.
///
/// An agent comments on a task while it holds a running attempt of it. A submitter comments on tasks of
/// goals that they posted. An agent writes at most 30 comments a minute.
#[utoipa::path(post, path = "/v1/tasks/{task_id}/comments")]
pub async fn comment_on_task(
    Auth { app, caller }: Auth<CommentCaller>,
    ApiPath(task): ApiPath<TaskId>,
    Create { body, idempotency }: Create<NewComment>,
) -> Result<Created<Comment>> {
    let outcome = app.comment_on_task(&caller, task, &body, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |comment| format!("/v1/comments/{}", comment.id)))
}

/// List the comments on a goal.
///
/// Newest first, without the comments on its tasks.
#[utoipa::path(get, path = "/v1/goals/{goal_id}/comments")]
pub async fn list_goal_comments(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(goal): ApiPath<GoalId>,
    list: Listing<NoFilter, CommentId>,
) -> Result<Paged<Comment>> {
    let comments = app.list_goal_comments(&caller, goal, list.after, list.rows()).await?;
    list.page(comments, |comment| comment.id)
}

/// Comment on a goal.
///
/// Every later claim of one of its tasks hands it over in `comments`, together with those on the task. Attempts that run
/// get it with their next heartbeat: if `to` names somebody, only attempts of these. So agents at different tasks of
/// a goal ask and answer each other.
///
/// An agent comments on a goal while it holds a running attempt of one of its tasks. A submitter comments on
/// goals that they posted.
#[utoipa::path(post, path = "/v1/goals/{goal_id}/comments")]
pub async fn comment_on_goal(
    Auth { app, caller }: Auth<CommentCaller>,
    ApiPath(goal): ApiPath<GoalId>,
    Create { body, idempotency }: Create<NewComment>,
) -> Result<Created<Comment>> {
    let outcome = app.comment_on_goal(&caller, goal, &body, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |comment| format!("/v1/comments/{}", comment.id)))
}

/// Read a comment.
///
/// The event `comment.created` names it and repeats only its beginning.
#[utoipa::path(get, path = "/v1/comments/{comment_id}")]
pub async fn get_comment(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(comment): ApiPath<CommentId>,
) -> Result<Reply<Comment>> {
    Ok(Reply(app.get_comment(&caller, comment).await?))
}
