//! Tasks that are too large for one attempt.

use chrono::{DateTime, Utc};

use super::Scope;
use crate::{
    domain::{
        attention::COUNTED,
        ids::{AgentId, GoalId, TaskId},
    },
    store::{Tx, traced},
};

/// A task that waits to be divided.
#[derive(Debug)]
pub struct Oversized {
    /// The task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// Title, one line.
    pub title: String,
    /// The agent of its last attempt; `None`: a person.
    pub agent_id: Option<AgentId>,
    /// Number of its attempts that failed as too large.
    pub too_large: i64,
    /// What the last of them said.
    pub message: Option<String>,
    /// Since when it waits.
    pub since: DateTime<Utc>,
}

/// Tasks that wait for a person who divides them, the oldest [`COUNTED`]: no planner has its turn for their parts.
pub async fn oversized(tx: &mut Tx, scope: Scope<'_>) -> sqlx::Result<Vec<Oversized>> {
    sqlx::query_as!(
        Oversized,
        r#"
        select t.task_id as "task_id: TaskId", t.goal_id as "goal_id: GoalId", x.title,
               a.agent_id as "agent_id?: AgentId", r.message as "message?",
               (select count(*) from attempts b
                join attempt_results f on f.workspace_id = $1 and f.attempt_id = b.attempt_id
                where b.workspace_id = $1 and b.task_id = t.task_id and b.state = 'failed'
                  and f.failure_class = 'too_large') as "too_large!",
               t.oversized_at as "since!"
        from (
            select * from tasks t
            where t.workspace_id = $1 and t.oversized_at is not null
              and ($2::uuid[] is null or t.goal_id = any($2))
              and not exists (
                  select from planning_runs p
                  where p.workspace_id = $1 and p.parts_of = t.task_id and p.state in ('waiting', 'running'))
            order by t.oversized_at, t.task_id limit $3
        ) t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        left join attempts a on a.workspace_id = $1 and a.attempt_id = t.current_attempt_id
        left join attempt_results r on r.workspace_id = $1 and r.attempt_id = a.attempt_id
        order by t.oversized_at, t.task_id
        "#,
        tx.workspace.0,
        scope.live,
        COUNTED,
    )
    .fetch_all(traced!(tx, "attention.oversized.oversized"))
    .await
}
