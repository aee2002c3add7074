//! Lessons: entries of the knowledge repository.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        caller::{ProjectOperatorCaller, ProjectReaderCaller},
        knowledge::{
            edit::{ArchiveRequest, LessonChange, MergeRequest, NewLessonRequest, OtherLesson},
            read::LessonFilter,
            statistics::LessonStatistics,
            transfer::{LessonImport, LessonLine},
            views::{Lesson, LessonVersion},
        },
    },
    domain::{ids::LessonId, knowledge::LessonState, refusal::Refusal},
    http::{
        extract::{
            auth::Auth,
            body::{ApiJson, OptionalJson},
            conditional::{IfMatch, IfNoneMatch, Versioned},
            idempotency::Create,
            lines::Lines,
            page::{Listing, NoFilter, Paged},
            path::ApiPath,
            query::ApiQuery,
        },
        problem::Result,
        reply::{Created, Reply, lessons::LessonFile, ndjson::ExportType},
    },
};

/// How an import takes its lines.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
pub struct ImportQuery {
    /// `active`: the caller vouches for the lines. `candidate` (default): they are from outside and not verified.
    pub state: Option<LessonState>,
}

impl ImportQuery {
    /// Whether the caller vouches for the lines.
    fn vouched(self) -> Result<bool> {
        match self.state {
            None | Some(LessonState::Candidate) => Ok(false),
            Some(LessonState::Active) => Ok(true),
            Some(LessonState::Quarantined | LessonState::Archived | LessonState::Superseded) => {
                Err(Refusal::invalid_at("?state", "must be `active` or `candidate`").into())
            }
        }
    }
}

/// List the lessons.
///
/// Newest first; by default those that agents get: active ones and candidates. A key sees the lessons of the workspace
/// and of the projects that it sees; an agent those of the projects whose tasks it works on.
#[utoipa::path(get, path = "/v1/lessons")]
pub async fn list_lessons(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    list: Listing<LessonFilter, LessonId>,
) -> Result<Paged<Lesson>> {
    let lessons = app.list_lessons(&caller, &list.filter, list.after, list.rows()).await?;
    list.page(lessons, |lesson| lesson.id)
}

/// Count the lessons.
///
/// Numbers about the lessons that the caller sees: how they grow, and what needs a look.
#[utoipa::path(get, path = "/v1/knowledge/statistics")]
pub async fn lesson_statistics(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
) -> Result<Reply<LessonStatistics>> {
    Ok(Reply(app.lesson_statistics(&caller).await?))
}

/// Write a lesson.
///
/// It is active at once: a person vouches for what they write. A key, password or token in it is refused with its
/// place, and nothing is stored. A text with orders to its reader ("ignore previous instructions") is stored as
/// `quarantined`, and waits in the attention list.
#[utoipa::path(post, path = "/v1/lessons")]
pub async fn create_lesson(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    Create { body, idempotency }: Create<NewLessonRequest>,
) -> Result<Created<Lesson>> {
    let outcome = app.create_lesson(&caller, &body, idempotency.as_ref()).await?;
    let created = Created::new(outcome, |lesson| format!("/v1/lessons/{}", lesson.id));
    Ok(created.version(|lesson| lesson.version))
}

/// Read a lesson.
#[utoipa::path(get, path = "/v1/lessons/{lesson_id}")]
pub async fn get_lesson(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(lesson): ApiPath<LessonId>,
    known: IfNoneMatch,
) -> Result<Versioned<Lesson>> {
    let lesson = app.get_lesson(&caller, lesson).await?;
    Ok(Versioned::new(lesson, |lesson| lesson.version).unless(known))
}

/// List the versions of a lesson.
///
/// Newest first. A version is never changed.
#[utoipa::path(get, path = "/v1/lessons/{lesson_id}/versions")]
pub async fn list_lesson_versions(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(lesson): ApiPath<LessonId>,
    list: Listing<NoFilter, i32>,
) -> Result<Paged<LessonVersion>> {
    let versions = app.list_lesson_versions(&caller, lesson, list.after, list.rows()).await?;
    list.page(versions, |version| version.version)
}

/// Edit a lesson.
///
/// Writes a new version; the old ones stay. It passes the same gate as a new lesson.
#[utoipa::path(patch, path = "/v1/lessons/{lesson_id}")]
pub async fn update_lesson(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(lesson): ApiPath<LessonId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<LessonChange>,
) -> Result<Versioned<Lesson>> {
    let lesson = app.update_lesson(&caller, lesson, if_match.version, &change).await?;
    Ok(Versioned::new(lesson, |lesson| lesson.version))
}

/// Confirm a lesson.
///
/// A person vouches for it: it is active, with trust `person`, whatever its source says.
#[utoipa::path(post, path = "/v1/lessons/{lesson_id}/confirm")]
pub async fn confirm_lesson(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(lesson): ApiPath<LessonId>,
) -> Result<Reply<Lesson>> {
    Ok(Reply(app.confirm_lesson(&caller, lesson).await?))
}

/// Archive a lesson.
///
/// Agents get it no longer. A search by a person finds it with the state `archived`.
#[utoipa::path(post, path = "/v1/lessons/{lesson_id}/archive")]
pub async fn archive_lesson(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(lesson): ApiPath<LessonId>,
    OptionalJson(request): OptionalJson<ArchiveRequest>,
) -> Result<Reply<Lesson>> {
    Ok(Reply(app.archive_lesson(&caller, lesson, &request).await?))
}

/// Restore a lesson.
///
/// Brings back one that was archived, superseded or quarantined. It is active or a candidate, as its source says.
#[utoipa::path(post, path = "/v1/lessons/{lesson_id}/restore")]
pub async fn restore_lesson(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(lesson): ApiPath<LessonId>,
) -> Result<Reply<Lesson>> {
    Ok(Reply(app.restore_lesson(&caller, lesson).await?))
}

/// Promote a lesson to the workspace.
///
/// Shows a lesson of a project to the whole workspace.
#[utoipa::path(post, path = "/v1/lessons/{lesson_id}/promote")]
pub async fn promote_lesson(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(lesson): ApiPath<LessonId>,
) -> Result<Reply<Lesson>> {
    Ok(Reply(app.promote_lesson(&caller, lesson).await?))
}

/// Merge lessons.
///
/// Writes a new version of this lesson that replaces the others; these are superseded. Its trust is the least of all.
#[utoipa::path(post, path = "/v1/lessons/{lesson_id}/merge")]
pub async fn merge_lessons(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(lesson): ApiPath<LessonId>,
    ApiJson(request): ApiJson<MergeRequest>,
) -> Result<Reply<Lesson>> {
    Ok(Reply(app.merge_lessons(&caller, lesson, &request).await?))
}

/// Supersede a lesson.
///
/// Says that another lesson replaces it.
#[utoipa::path(post, path = "/v1/lessons/{lesson_id}/supersede")]
pub async fn supersede_lesson(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(lesson): ApiPath<LessonId>,
    ApiJson(by): ApiJson<OtherLesson>,
) -> Result<Reply<Lesson>> {
    Ok(Reply(app.supersede_lesson(&caller, lesson, by).await?))
}

/// Link a contradicting lesson.
///
/// Links two lessons with opposite contents. Each names the other in `contradicts`.
#[utoipa::path(post, path = "/v1/lessons/{lesson_id}/contradict")]
pub async fn contradict_lesson(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiPath(lesson): ApiPath<LessonId>,
    ApiJson(with): ApiJson<OtherLesson>,
) -> Result<Reply<Lesson>> {
    Ok(Reply(app.contradict_lesson(&caller, lesson, with).await?))
}

/// Import lessons.
///
/// One lesson per line of JSON, as an export writes them; `kind`, `title` and `body` are enough. At most 5,000 lines.
/// The same file again changes nothing. Lines that are refused are listed with their numbers, and their
/// neighbours are imported.
///
/// Imported lessons are candidates and marked as external, unless the caller vouches for them with `state=active`.
#[utoipa::path(post, path = "/v1/lessons/import")]
pub async fn import_lessons(
    Auth { app, caller }: Auth<ProjectOperatorCaller>,
    ApiQuery(query): ApiQuery<ImportQuery>,
    Lines(lines): Lines<LessonLine>,
) -> Result<Reply<LessonImport>> {
    Ok(Reply(app.import_lessons(&caller, lines, query.vouched()?).await?))
}

/// Export the lessons.
///
/// Every lesson that the caller sees with its newest text, in every state, one per line of JSON. Generated clients get
/// the same bytes with `Accept: application/octet-stream`.
#[utoipa::path(get, path = "/v1/lessons/export")]
pub async fn export_lessons(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    media_type: ExportType,
) -> Result<LessonFile> {
    Ok(LessonFile { app, caller, media_type })
}
