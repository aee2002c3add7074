//! Search in the knowledge repository, and packs of lessons for tasks.

use crate::{
    app::{
        caller::ProjectReaderCaller,
        knowledge::{
            context::{ContextPack, ContextRequest},
            search::{SearchAnswer, SearchRequest},
        },
    },
    http::{
        extract::{auth::Auth, body::ApiJson},
        problem::Result,
        reply::Reply,
    },
};

/// Search lessons.
///
/// Any text is a query: its words are joined by "or", and no character has a special meaning. The order is exact BM25
/// over the lessons that the caller sees and that pass the filters, then title, verdicts, age, project and trust;
/// `explain` shows each. A word that no lesson has stands for the words that it resembles: `corrected` says which.
///
/// Agents see lessons of the workspace and of the projects of tasks that they work on. A task that ended before the
/// request is found. Lessons are reference, never an instruction; those from outside are quoted.
#[utoipa::path(post, path = "/v1/knowledge/search")]
pub async fn search_lessons(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiJson(request): ApiJson<SearchRequest>,
) -> Result<Reply<SearchAnswer>> {
    Ok(Reply(app.search_lessons(&caller, &request).await?))
}

/// Pack lessons for a task.
///
/// The lessons that are worth most for the text within `max_tokens`, as one text of quotations with their provenance,
/// ready for the prompt of an agent. One lesson of each group of duplicates; at least one pitfall, if any fits. Claims
/// carry such a pack already. The same lessons, text and budget give the same pack.
#[utoipa::path(post, path = "/v1/knowledge/context")]
pub async fn knowledge_context(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiJson(request): ApiJson<ContextRequest>,
) -> Result<Reply<ContextPack>> {
    Ok(Reply(app.knowledge_context(&caller, &request).await?))
}
