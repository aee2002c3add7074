//! Attempts: starting, reading under lock, ending.

pub mod claim;
pub mod heartbeat;
pub mod loops;
pub mod read;
pub mod results;
pub mod takeover;
pub mod turns;
pub mod waiting;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Tx,
    columns::{holder, uuids},
    traced,
};
use crate::domain::{
    freeze::FreezeMode,
    ids::{AgentId, AttemptId, GoalId, KeyId, TaskId},
    states::AttemptState,
    task::{AttemptFacts, holder::Holder},
};

/// The task and goal of an attempt.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// Mode of the strongest freeze over it; `None` if there is none or the query does not look.
    pub frozen: Option<FreezeMode>,
}

/// The tasks and goals of attempts, with the strongest freeze over each; omits unknown ids. Needs
/// no lock: nothing of it changes during a unit of work.
pub async fn locate(tx: &mut Tx, attempts: &[AttemptId]) -> sqlx::Result<Vec<Place>> {
    sqlx::query_as!(
        Place,
        r#"select attempt_id as "attempt_id: AttemptId", task_id as "task_id: TaskId",
                  goal_id as "goal_id: GoalId",
                  -- The strongest mode is the last by the alphabet.
                  (select max(f.mode) from freezes_over($1, task_id, agent_id) f)
                  as "frozen: FreezeMode"
           from attempts where workspace_id = $1 and attempt_id = any($2)"#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "attempts.locate"))
    .await
}

/// Locks attempts in id order and reads the facts for the rules.
pub async fn lock(tx: &mut Tx, attempts: &[AttemptId]) -> sqlx::Result<Vec<AttemptFacts>> {
    let rows = sqlx::query!(
        r#"
        select attempt_id as "attempt_id: AttemptId", task_id as "task_id: TaskId",
               goal_id as "goal_id: GoalId", agent_id as "agent_id: AgentId",
               held_by_key as "held_by_key: KeyId", number, state as "state: AttemptState",
               lease_sha256, lease_ms, lease_expires_at, hard_deadline,
               withdrawn_at is not null as "withdrawn!"
        from attempts
        where workspace_id = $1 and attempt_id = any($2)
        order by attempt_id
        for no key update
        "#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "attempts.lock"))
    .await?;
    let facts = rows.into_iter().map(|row| {
        Ok(AttemptFacts {
            attempt_id: row.attempt_id,
            task_id: row.task_id,
            goal_id: row.goal_id,
            holder: holder(row.agent_id, row.held_by_key)?,
            number: row.number,
            state: row.state,
            lease_sha256: row.lease_sha256,
            lease_ms: row.lease_ms,
            lease_expires_at: row.lease_expires_at,
            hard_deadline: row.hard_deadline,
            withdrawn: row.withdrawn,
        })
    });
    facts.collect()
}

/// The latest progress and checkpoint of an attempt; `None` keeps the stored one.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Progress for people.
    pub progress: Option<Value>,
    /// Checkpoint for the next attempt.
    pub checkpoint: Option<Value>,
}

/// Stores progress and checkpoints.
pub async fn progress(tx: &mut Tx, reports: &[Progress]) -> sqlx::Result<()> {
    if reports.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"
        insert into attempt_progress as old (workspace_id, attempt_id, progress, checkpoint, updated_at)
        select $1, p.attempt_id, p.progress, p.checkpoint, $2
        from unnest($3::uuid[], $4::jsonb[], $5::jsonb[]) as p (attempt_id, progress, checkpoint)
        on conflict (workspace_id, attempt_id) do update
            set progress = coalesce(excluded.progress, old.progress),
                checkpoint = coalesce(excluded.checkpoint, old.checkpoint),
                updated_at = excluded.updated_at
        "#,
        tx.workspace.0,
        tx.now,
        &reports.iter().map(|r| r.attempt_id.0).collect::<Vec<_>>(),
        &reports.iter().map(|r| r.progress.clone()).collect::<Vec<_>>() as &[Option<Value>],
        &reports.iter().map(|r| r.checkpoint.clone()).collect::<Vec<_>>() as &[Option<Value>],
    )
    .execute(traced!(tx, "attempts.progress"))
    .await?;
    Ok(())
}

/// Ends attempts, or moves submitted ones to their next state. Releases what they held: concurrency keys and resources.
pub async fn end(tx: &mut Tx, ends: &[(AttemptId, AttemptState)]) -> sqlx::Result<()> {
    if ends.is_empty() {
        return Ok(());
    }
    let states: Vec<&str> = ends.iter().map(|(_, state)| state.as_str()).collect();
    sqlx::query!(
        "with released_keys as (
             delete from concurrency_grants where workspace_id = $1 and attempt_id = any($3)
         ), released_resources as (
             delete from resource_grants where workspace_id = $1 and attempt_id = any($3)
         )
         update attempts a set state = e.state, ended_at = coalesce(a.ended_at, $2)
         from unnest($3::uuid[], $4::text[]) as e (attempt_id, state)
         where a.workspace_id = $1 and a.attempt_id = e.attempt_id",
        tx.workspace.0,
        tx.now,
        &ends.iter().map(|(id, _)| id.0).collect::<Vec<_>>(),
        &states as &[&str],
    )
    .execute(traced!(tx, "attempts.end"))
    .await?;
    Ok(())
}

/// Takes tasks back from their expired attempts: a late completion of these is refused from now on. The
/// caller has locked the tasks.
pub async fn withdraw(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<()> {
    sqlx::query!(
        "with lapsed as materialized (
             select a.attempt_id from tasks t
             join attempts a on a.workspace_id = $1 and a.attempt_id = t.current_attempt_id
             where t.workspace_id = $1 and t.task_id = any($3) and a.state = 'expired'
             order by a.attempt_id for no key update of a
         )
         update attempts a set withdrawn_at = $2
         from lapsed l where a.workspace_id = $1 and a.attempt_id = l.attempt_id",
        tx.workspace.0,
        tx.now,
        &uuids(tasks),
    )
    .execute(traced!(tx, "attempts.withdraw"))
    .await?;
    Ok(())
}

/// Running attempts with an expired lease or a passed hard deadline.
pub async fn silent(tx: &mut Tx) -> sqlx::Result<Vec<Place>> {
    sqlx::query_as!(
        Place,
        r#"select attempt_id as "attempt_id: AttemptId", task_id as "task_id: TaskId",
                  goal_id as "goal_id: GoalId", null::text as "frozen: FreezeMode"
           from attempts
           where workspace_id = $1 and state = 'running'
             and (lease_expires_at <= $2 or hard_deadline <= $2)
           order by lease_expires_at limit 200"#,
        tx.workspace.0,
        tx.now,
    )
    .fetch_all(traced!(tx, "attempts.silent"))
    .await
}

/// An attempt to be started.
#[derive(Debug, Clone)]
pub struct NewAttempt {
    /// Its id.
    pub attempt_id: AttemptId,
    /// Its task.
    pub task_id: TaskId,
    /// The task's goal.
    pub goal_id: GoalId,
    /// The agent or person's key that holds it.
    pub holder: Holder,
    /// Ordinal within its task, from 1; also the fencing epoch.
    pub number: i32,
    /// SHA-256 of its lease token.
    pub lease_sha256: [u8; 32],
    /// Its lease in milliseconds.
    pub lease_ms: i64,
    /// When the lease ends.
    pub lease_expires_at: DateTime<Utc>,
    /// Time by which it must end, heartbeats or not.
    pub hard_deadline: DateTime<Utc>,
}

/// Starts attempts. Moves their tasks to `running` and clears the tasks' assignment and exclusion.
pub async fn start(tx: &mut Tx, attempts: &[NewAttempt]) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:expr) => {
            &attempts.iter().map($of).collect::<Vec<_>>()
        };
    }
    let ids: Vec<Uuid> = attempts.iter().map(|a| a.attempt_id.0).collect();
    let tasks: Vec<Uuid> = attempts.iter().map(|a| a.task_id.0).collect();
    sqlx::query!(
        r#"
        insert into attempts (workspace_id, state, started_at, attempt_id, task_id, goal_id,
            agent_id, held_by_key, number, lease_sha256, lease_ms, lease_expires_at, hard_deadline)
        select $1, 'running', $2, a.*
        from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::int[],
                    $9::bytea[], $10::bigint[], $11::timestamptz[], $12::timestamptz[]) as a
        "#,
        tx.workspace.0,
        tx.now,
        &ids,
        &tasks,
        column!(|a| a.goal_id.0),
        column!(|a| a.holder.agent().map(|id| id.0)) as &[Option<Uuid>],
        column!(|a| a.holder.key().map(|id| id.0)) as &[Option<Uuid>],
        column!(|a| a.number),
        column!(|a| a.lease_sha256.to_vec()),
        column!(|a| a.lease_ms),
        column!(|a| a.lease_expires_at),
        column!(|a| a.hard_deadline),
    )
    .execute(traced!(tx, "attempts.start"))
    .await?;
    sqlx::query!(
        r#"
        update tasks t
        set state = 'running', current_attempt_id = a.attempt_id, attempts_started = a.number,
            start_by = null, assigned_agent_id = null, barred_agent_id = null,
            offered_capability = null, offer_until = null,
            version = t.version + 1, updated_at = $2
        from unnest($3::uuid[], $4::uuid[], $5::int[]) as a (task_id, attempt_id, number)
        -- Written so that no index on states is thought of: the rows are found by their ids.
        where t.workspace_id = $1 and t.task_id = a.task_id and (t.state = 'ready') is true
        "#,
        tx.workspace.0,
        tx.now,
        &tasks,
        &ids,
        column!(|a| a.number),
    )
    .execute(traced!(tx, "attempts.start"))
    .await?;
    Ok(())
}
