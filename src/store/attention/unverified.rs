//! Verifying goals for which no task is left.

use chrono::{DateTime, Utc};

use super::Scope;
use crate::{
    domain::{attention::COUNTED, ids::GoalId},
    store::{Tx, traced},
};

/// A verifying goal without an open task.
#[derive(Debug)]
pub struct UnverifiedGoal {
    /// The goal.
    pub goal_id: GoalId,
    /// Title, one line.
    pub title: String,
    /// Target time for the end of its tasks.
    pub deadline: Option<DateTime<Utc>>,
    /// Time of the last change.
    pub since: DateTime<Utc>,
    /// Number of its required criteria that are not satisfied.
    pub unmet: i64,
    /// The first of them.
    pub number: i16,
    /// The beginning of its text.
    pub text: String,
    /// Rework tasks made for it.
    pub reworks: i16,
    /// The beginning of its last finding.
    pub note: Option<String>,
}

/// Verifying goals without an open task, each with its first unsatisfied criterion. Examines the first
/// [`COUNTED`] goals, by id.
pub async fn unverified_goals(tx: &mut Tx, scope: Scope<'_>) -> sqlx::Result<Vec<UnverifiedGoal>> {
    sqlx::query_as!(
        UnverifiedGoal,
        r#"
        select g.goal_id as "goal_id: GoalId", g.title, g.deadline, g.updated_at as since,
               c.unmet as "unmet!", c.number as "number!", c.text as "text!",
               c.reworks as "reworks!", c.note
        from goals g
        cross join lateral (
            select count(*) over () as unmet, number, left(text, 200) as text, reworks,
                   left(note, 200) as note
            from goal_criteria
            where workspace_id = $1 and goal_id = g.goal_id and required and state <> 'satisfied'
            order by number limit 1
        ) c
        where g.workspace_id = $1 and g.state = 'verifying' and g.tasks_open = 0
          and ($2::uuid[] is null or g.goal_id = any($2))
        order by g.goal_id limit $3
        "#,
        tx.workspace.0,
        scope.live,
        COUNTED,
    )
    .fetch_all(traced!(tx, "attention.unverified.unverified_goals"))
    .await
}
