//! The append-only record of what happened.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{
    event::NewEvent,
    ids::{AgentId, ApprovalId, AttemptId, GoalId, KeyId, TaskId, WorkspaceId},
};

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
    let actors = column(&|event| event.actor.as_ref()?.key.map(|id| id.0));
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

/// A stored event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Its number in the workspace.
    pub seq: i64,
    /// What happened; a later version may have written kinds that this one does not know.
    pub kind: String,
    /// The goal it concerns.
    pub goal_id: Option<GoalId>,
    /// The task it concerns.
    pub task_id: Option<TaskId>,
    /// The attempt it concerns.
    pub attempt_id: Option<AttemptId>,
    /// The agent it concerns.
    pub agent_id: Option<AgentId>,
    /// The approval it concerns.
    pub approval_id: Option<ApprovalId>,
    /// The key that did it.
    pub actor_key_id: Option<KeyId>,
    /// Details.
    pub data: serde_json::Value,
    /// The time of its transaction.
    pub created_at: DateTime<Utc>,
}

/// Which events to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventFilter<'a> {
    /// Only those that concern this goal.
    pub goal: Option<GoalId>,
    /// Only those that concern this task.
    pub task: Option<TaskId>,
    /// Only those of this kind.
    pub kind: Option<&'a str>,
}

/// The number of the newest event; 0 when there is none.
///
/// Every event up to this number is visible to statements that begin afterwards: the number is
/// taken under a lock that is held until the commit.
///
/// # Errors
/// When the database fails.
pub async fn newest(conn: &mut PgConnection, workspace: WorkspaceId) -> sqlx::Result<i64> {
    let newest = sqlx::query_scalar!(
        "select last_seq from event_heads where workspace_id = $1",
        workspace.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(newest.unwrap_or(0))
}

/// The number of the newest event, and the database's clock.
///
/// # Errors
/// When the database fails.
pub async fn head(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
) -> sqlx::Result<(i64, DateTime<Utc>)> {
    let row = sqlx::query!(
        r#"select coalesce((select last_seq from event_heads where workspace_id = $1), 0) as "newest!",
                  clock_timestamp() as "now!""#,
        workspace.0,
    )
    .fetch_one(conn)
    .await?;
    Ok((row.newest, row.now))
}

/// Agents that were edited, or lost a key, in the events above `after` and up to `until`.
///
/// # Errors
/// When the database fails.
pub async fn agents_touched(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    after: i64,
    until: i64,
) -> sqlx::Result<Vec<AgentId>> {
    sqlx::query_scalar!(
        r#"select distinct agent_id as "agent_id!: AgentId" from events
           where workspace_id = $1 and seq > $2 and seq <= $3
             and kind in ('agent.updated', 'key.revoked') and agent_id is not null"#,
        workspace.0,
        after,
        until,
    )
    .fetch_all(conn)
    .await
}

/// At most `rows` events numbered above `after` and up to `until`, in their order.
///
/// # Errors
/// When the database fails.
pub async fn read(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    filter: EventFilter<'_>,
    after: i64,
    until: i64,
    rows: i64,
) -> sqlx::Result<Vec<EventRow>> {
    sqlx::query_as!(
        EventRow,
        r#"
        select seq, kind, goal_id as "goal_id: GoalId", task_id as "task_id: TaskId",
               attempt_id as "attempt_id: AttemptId", agent_id as "agent_id: AgentId",
               approval_id as "approval_id: ApprovalId", actor_key_id as "actor_key_id: KeyId",
               data, created_at
        from events
        where workspace_id = $1 and seq > $2 and seq <= $3
          and ($4::uuid is null or goal_id = $4)
          and ($5::uuid is null or task_id = $5)
          and ($6::text is null or kind = $6)
        order by seq
        limit $7
        "#,
        workspace.0,
        after,
        until,
        filter.goal.map(|id| id.0),
        filter.task.map(|id| id.0),
        filter.kind,
        rows,
    )
    .fetch_all(conn)
    .await
}

/// The goal of a task: its events are found by it.
///
/// # Errors
/// When the database fails.
pub async fn goal_of_task(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    task: TaskId,
) -> sqlx::Result<Option<GoalId>> {
    sqlx::query_scalar!(
        r#"select goal_id as "goal_id: GoalId" from tasks where workspace_id = $1 and task_id = $2"#,
        workspace.0,
        task.0,
    )
    .fetch_optional(conn)
    .await
}
