//! The append-only record of what happened.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{event::NewEvent, ids::WorkspaceId};

/// Appends events in their order and gives each the next number of the workspace.
///
/// Must be the last statement before the commit: it takes the lock that makes the order of numbers
/// the order of commits.
///
/// # Errors
/// When the database fails.
pub async fn append(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    now: DateTime<Utc>,
    events: &[NewEvent],
) -> sqlx::Result<()> {
    let column = |of: &dyn Fn(&NewEvent) -> Option<Uuid>| events.iter().map(of).collect::<Vec<_>>();
    let goals = column(&|event| event.goal.map(|id| id.0));
    let tasks = column(&|event| event.task.map(|id| id.0));
    let attempts = column(&|event| event.attempt.map(|id| id.0));
    let agents = column(&|event| event.agent.map(|id| id.0));
    let approvals = column(&|event| event.approval.map(|id| id.0));
    let actors = column(&|event| event.actor.map(|id| id.0));
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    let data: Vec<serde_json::Value> = events.iter().map(|event| event.data.clone()).collect();
    sqlx::query!(
        r#"
        with head as (
            insert into event_heads as heads (workspace_id, last_seq)
            values ($1, $2)
            on conflict (workspace_id) do update set last_seq = heads.last_seq + $2
            returning last_seq - $2 as before
        )
        insert into events (workspace_id, seq, kind, goal_id, task_id, attempt_id, agent_id,
                            approval_id, actor_key_id, data, created_at)
        select $1, head.before + e.place, e.kind, e.goal_id, e.task_id, e.attempt_id, e.agent_id,
               e.approval_id, e.actor_key_id, e.data, $3
        from head,
             unnest($4::text[], $5::uuid[], $6::uuid[], $7::uuid[], $8::uuid[], $9::uuid[],
                    $10::uuid[], $11::jsonb[])
             with ordinality as e (kind, goal_id, task_id, attempt_id, agent_id, approval_id,
                                   actor_key_id, data, place)
        "#,
        workspace.0,
        events.len() as i64,
        now,
        &kinds as &[&str],
        &goals as &[Option<Uuid>],
        &tasks as &[Option<Uuid>],
        &attempts as &[Option<Uuid>],
        &agents as &[Option<Uuid>],
        &approvals as &[Option<Uuid>],
        &actors as &[Option<Uuid>],
        &data as &[serde_json::Value],
    )
    .execute(conn)
    .await?;
    Ok(())
}
