//! Answers of earlier tasks, and what lessons change.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        attempts::answered::{AcceptAnswerInAttempt, AcceptAnswerRequest, AnsweredTask},
        caller::{HolderCaller, ProjectOperatorCaller, ProjectReaderCaller},
        knowledge::{
            answers::{Answers, AnswersRequest},
            uplift::{UpliftAsk, UpliftReport},
        },
    },
    domain::ids::{AttemptId, ProjectId, TaskId},
    http::{
        extract::{auth::Auth, body::ApiJson, idempotency::Create, path::ApiPath, query::ApiQuery},
        problem::Result,
        reply::{Replayable, Reply},
    },
};

/// Find finished tasks like a text.
///
/// Done tasks whose titles are like the first line of the text, with what they used and how far they are verified: look
/// before you post a task. Titles are compared by their words.
#[utoipa::path(post, path = "/v1/knowledge/answers")]
pub async fn find_answers(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiJson(request): ApiJson<AnswersRequest>,
) -> Result<Reply<Answers>> {
    Ok(Reply(app.text_answers(&caller, &request).await?))
}

/// Find finished tasks like a task.
///
/// Done tasks whose titles are like that of this one, with what they used and how far they are verified, and the
/// answer that was accepted for it. `POST /v1/tasks/{task_id}/accept-answer` takes the result of one.
#[utoipa::path(get, path = "/v1/tasks/{task_id}/answers")]
pub async fn list_task_answers(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(task): ApiPath<TaskId>,
) -> Result<Reply<Answers>> {
    Ok(Reply(app.task_answers(&caller, task).await?))
}

/// Close a task with an earlier result.
///
/// The task is done with the result and the artifacts of the earlier one, and what needs it goes on. Nobody must work on
/// it. Required criteria that an earlier result does not show are waived by you, unless you are excluded from decisions
/// about the task. If its result needs an approval, that is asked for.
#[utoipa::path(post, path = "/v1/tasks/{task_id}/accept-answer")]
pub async fn accept_answer(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(task): ApiPath<TaskId>,
    Create { body, idempotency }: Create<AcceptAnswerRequest>,
) -> Result<Replayable<AnsweredTask>> {
    Ok(Replayable(app.accept_answer(&caller, task, &body, idempotency.as_ref()).await?))
}

/// Complete an attempt with an earlier result.
///
/// As `complete`, with the result and the artifacts of the earlier task, and evidence that names it. If a required
/// criterion demands more than your word, it is refused with `evidence_missing`: do the task, or let an operator accept
/// the answer. The same request again gets the same answer.
#[utoipa::path(post, path = "/v1/attempts/{attempt_id}/accept-answer")]
pub async fn accept_answer_in_attempt(
    Auth { app, caller }: Auth<HolderCaller>,
    ApiPath(attempt): ApiPath<AttemptId>,
    Create { body, idempotency }: Create<AcceptAnswerInAttempt>,
) -> Result<Replayable<AnsweredTask>> {
    let outcome =
        app.accept_answer_in_attempt(&caller, attempt, &body, idempotency.as_ref()).await?;
    Ok(Replayable(outcome))
}

/// Which tasks are compared.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct UpliftQuery {
    /// Only tasks of this project. A key for single projects has to name one.
    pub project_id: Option<ProjectId>,
    /// Only tasks first claimed at this instant or later.
    #[param(example = "2026-03-01T00:00:00Z")]
    pub since: Option<DateTime<Utc>>,
    /// Only tasks first claimed before this instant.
    #[param(example = "2026-04-01T00:00:00Z")]
    pub until: Option<DateTime<Utc>>,
}

/// What do lessons change?
///
/// Compares tasks that were given lessons to those of the control group, a part of all tasks that gets none: success,
/// cost and attempts, each with its 95 % interval. Only tasks for which lessons were found count, in both groups, and
/// only done and failed ones. `lesson_control_percent` of the workspace is the size of the control group.
#[utoipa::path(get, path = "/v1/knowledge/uplift")]
pub async fn lesson_uplift(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiQuery(query): ApiQuery<UpliftQuery>,
) -> Result<Reply<UpliftReport>> {
    let UpliftQuery { project_id, since, until } = query;
    let ask = UpliftAsk { project: project_id, since, until };
    Ok(Reply(app.lesson_uplift(&caller, ask).await?))
}
