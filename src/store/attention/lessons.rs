//! Quarantined lessons.

use chrono::{DateTime, Utc};

use super::Scope;
use crate::{
    domain::{
        attention::COUNTED,
        ids::{AgentId, LessonId},
    },
    store::{Tx, traced},
};

/// A lesson that is kept away from agents until a person decides.
#[derive(Debug)]
pub struct QuarantinedLesson {
    /// The lesson.
    pub lesson_id: LessonId,
    /// Why it is quarantined.
    pub reason: Option<String>,
    /// The agent that handed it in.
    pub agent_id: Option<AgentId>,
    /// Time of the quarantine.
    pub since: DateTime<Utc>,
}

/// Quarantined lessons of the project, or of all, at most [`COUNTED`]. A goal has none: they outlive it.
pub async fn quarantined_lessons(
    tx: &mut Tx,
    scope: Scope<'_>,
) -> sqlx::Result<Vec<QuarantinedLesson>> {
    if scope.goal.is_some() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        QuarantinedLesson,
        r#"
        select lesson_id as "lesson_id: LessonId", reason, source_agent as "agent_id: AgentId",
               changed_at as since
        from lessons
        where workspace_id = $1 and state = 'quarantined'
          and ($2::uuid is null or project_id = $2)
        order by changed_at, lesson_id limit $3
        "#,
        tx.workspace.0,
        scope.project.map(|id| id.0),
        COUNTED,
    )
    .fetch_all(traced!(tx, "attention.quarantined_lessons"))
    .await
}
