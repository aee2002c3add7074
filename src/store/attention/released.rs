//! Tasks that agents release again and again.

use chrono::{DateTime, Utc};

use super::Scope;
use crate::{
    domain::{
        attention::COUNTED,
        ids::{AgentId, GoalId, TaskId},
        settings,
    },
    store::{Tx, traced},
};

/// A task that was released too often in a row.
#[derive(Debug)]
pub struct ReleasedAgain {
    /// The task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// Title, one line.
    pub title: String,
    /// The agent that released it last; `None`: a person.
    pub agent_id: Option<AgentId>,
    /// Name of that agent.
    pub agent_name: Option<String>,
    /// Number of consecutive releases.
    pub released_in_row: i32,
    /// Time of the release that made it too often.
    pub since: DateTime<Utc>,
}

/// Tasks that were released, or failed for a rate limit, at least [`settings::RELEASED_LIMIT`] times in a row and are offered again
/// now or later, at most [`COUNTED`]. Reads only tasks that were tried and are offered again.
pub async fn released_again(tx: &mut Tx, scope: Scope<'_>) -> sqlx::Result<Vec<ReleasedAgain>> {
    sqlx::query_as!(
        ReleasedAgain,
        r#"
        select t.task_id as "task_id: TaskId", t.goal_id as "goal_id: GoalId", x.title,
               a.agent_id as "agent_id?: AgentId", g.name as "agent_name?", t.released_in_row,
               coalesce(f.ended_at, t.updated_at) as "since!"
        from (
            select * from tasks t
            where t.workspace_id = $1 and t.attempts_started > 0 and t.state in ('waiting', 'ready')
              and t.released_in_row >= $2
              and ($3::uuid is null or t.goal_id = $3)
              and ($4::uuid is null or exists (
                  select from goals g where g.workspace_id = $1 and g.goal_id = t.goal_id
                  and g.project_id = $4))
            order by t.task_id limit $5
        ) t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        left join attempts a on a.workspace_id = $1 and a.attempt_id = t.current_attempt_id
        left join agents g on g.workspace_id = $1 and g.agent_id = a.agent_id
        -- The attempt whose release was the first too many, so that the item keeps its place.
        left join attempts f on f.workspace_id = $1 and f.task_id = t.task_id
             and f.number = a.number - t.released_in_row + $2
        "#,
        tx.workspace.0,
        settings::RELEASED_LIMIT,
        scope.goal.map(|id| id.0),
        scope.project.map(|id| id.0),
        COUNTED,
    )
    .fetch_all(traced!(tx, "attention.released_again"))
    .await
}
