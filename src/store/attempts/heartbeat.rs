//! Storage of heartbeats.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    domain::{
        freeze::FreezeMode,
        ids::{AgentId, AttemptId, GoalId, KeyId, TaskId, WorkspaceId},
        loops::{Pattern, Window},
        states::{AgentState, AttemptState, TaskState},
        task::{AttemptFacts, holder::Holder},
    },
    store::{
        SystemTx, Tx,
        columns::{holder, uuids},
        traced,
    },
};

/// One heartbeat: the attempt, its lease, its progress.
#[derive(Debug, Clone, PartialEq)]
pub struct Beat {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The holder the attempt must have.
    pub holder: Holder,
    /// SHA-256 of the lease token the attempt must have.
    pub lease_sha256: [u8; 32],
    /// Progress for people; `None` keeps the stored one.
    pub progress: Option<Value>,
    /// Checkpoint for the next attempt; `None` keeps the stored one.
    pub checkpoint: Option<Value>,
    /// Steps since the last heartbeat; `None` keeps the stored ones.
    pub steps: Option<Window>,
}

/// An attempt after its heartbeat, and what the answer needs.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The attempt.
    pub attempt: AttemptFacts,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
    /// Whether the cancellation of its task was requested.
    pub cancelling: bool,
    /// The state of its agent; `None` if a person holds it.
    pub agent_state: Option<AgentState>,
    /// The agent's last recorded presence.
    pub agent_seen_at: Option<DateTime<Utc>>,
    /// Time of this heartbeat.
    pub now: DateTime<Utc>,
    /// Whether the workspace has a freeze; only then the caller looks for one over this attempt.
    pub freezes: bool,
    /// Whether a nudge is pending for its task.
    pub nudges: bool,
    /// Whether a comment for it is not acknowledged.
    pub comments: bool,
    /// Its steps, if the heartbeat brought some.
    pub steps: Option<Steps>,
}

/// The steps of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    /// The latest steps, including those of this heartbeat.
    pub window: Window,
    /// Its recorded loops, read without waiting for locks.
    pub loops: Vec<Pattern>,
}

/// Renews the leases of running attempts, stores their progress, and reads the answers' data. Omits
/// attempts that are not running or whose holder or lease differs. `beats` must be in order of
/// attempt ids, the common lock order, without duplicates of attempt, holder and lease.
///
/// One statement that can be a transaction by itself: hundreds of heartbeats a second arrive in
/// small batches, and statements dominate the cost of a batch. Without `now` the database's clock
/// counts.
///
/// Applies the rule of [`crate::domain::task::heartbeat::renewed`] in SQL, in place. Changes no
/// indexed column of `attempts`, so the updates stay within their pages (HOT).
pub async fn renew(
    tx: &mut SystemTx,
    workspace: WorkspaceId,
    now: Option<DateTime<Utc>>,
    beats: &[Beat],
) -> sqlx::Result<Vec<Heard>> {
    let rows = sqlx::query!(
        r#"
        with moment as materialized (
            select coalesce($2, clock_timestamp()) as now
        ), renewed as (
            update attempts a
            set lease_expires_at = greatest(a.lease_expires_at,
                    least(m.now + a.lease_ms * interval '1 ms', a.hard_deadline))
            -- Selected, so that the planner does not count them: a plan for just as many would look
            -- better each time, and making it takes longer than following any.
            from unnest((select $3::uuid[]), (select $4::uuid[]), (select $5::bytea[]),
                        (select $6::jsonb[]), (select $7::jsonb[]), (select $8::bytea[]))
                 as b (attempt_id, holder_id, lease_sha256, progress, checkpoint, steps)
            cross join moment m
            where a.workspace_id = $1 and a.attempt_id = b.attempt_id
              and coalesce(a.agent_id, a.held_by_key) = b.holder_id
              and a.lease_sha256 = b.lease_sha256 and (a.state = 'running') is true
            returning a.*, b.progress, b.checkpoint, b.steps, m.now
        ), reported as (
            insert into attempt_progress as old
                (workspace_id, attempt_id, progress, checkpoint, steps, updated_at, progressed_at)
            select $1, attempt_id, progress, checkpoint, steps, now, now from renewed
            where progress is not null or checkpoint is not null or steps is not null
            on conflict (workspace_id, attempt_id) do update
                set progress = coalesce(excluded.progress, old.progress),
                    checkpoint = coalesce(excluded.checkpoint, old.checkpoint),
                    steps = case when excluded.steps is null then old.steps
                                 else steps_after(coalesce(old.steps, ''), excluded.steps) end,
                    updated_at = excluded.updated_at,
                    -- The same again is no progress.
                    progressed_at = case when coalesce(excluded.progress <> old.progress,
                                                       excluded.progress is not null)
                                or coalesce(excluded.checkpoint <> old.checkpoint,
                                            excluded.checkpoint is not null)
                                or steps_after(coalesce(old.steps, ''), excluded.steps)
                                   <> coalesce(old.steps, '')
                            then excluded.updated_at else old.progressed_at end
            returning attempt_id, steps
        )
        select a.attempt_id as "attempt_id: AttemptId", a.task_id as "task_id: TaskId",
               a.goal_id as "goal_id: GoalId", a.agent_id as "agent_id: AgentId",
               a.held_by_key as "held_by_key: KeyId", a.number, a.state as "state: AttemptState", a.lease_sha256, a.lease_ms, a.lease_expires_at,
               a.hard_deadline, a.started_at, t.cancel_requested_at is not null as "cancelling!",
               g.state as "agent_state?: AgentState", p.last_seen_at as "agent_seen_at?",
               a.now as "now!",
               (select exists (select from freezes f
                               where f.workspace_id = $1 and f.lifted_at is null)) as "freezes!",
               -- Asked of each task only when anything is to be told at all.
               case when (select exists (select from nudges n
                                         where n.workspace_id = $1 and n.closed_at is null))
                    then exists (select from nudges n where n.workspace_id = $1
                                 and n.task_id = a.task_id and n.closed_at is null)
                    else false end as "nudges!",
               case when (select exists (select from comment_deliveries d
                                         where d.workspace_id = $1 and d.seen_at is null))
                    then exists (select from comment_deliveries d where d.workspace_id = $1
                                 and d.attempt_id = a.attempt_id and d.seen_at is null)
                    else false end as "comments!",
               case when a.steps is not null then
                   (select r.steps from reported r where r.attempt_id = a.attempt_id)
                   end as "steps?",
               case when a.steps is not null then array(
                   select l.pattern from attempt_loops l
                   where l.workspace_id = $1 and l.attempt_id = a.attempt_id and l.left_at is null)
                   end as "loops?: Vec<Pattern>"
        from renewed a
        join tasks t on t.workspace_id = $1 and t.task_id = a.task_id
        left join agents g on g.workspace_id = $1 and g.agent_id = a.agent_id
        left join agent_presence p on p.workspace_id = $1 and p.agent_id = a.agent_id
        "#,
        workspace.0,
        now,
        &beats.iter().map(|beat| beat.attempt_id.0).collect::<Vec<_>>(),
        &beats.iter().map(|beat| holder_id(beat.holder)).collect::<Vec<_>>(),
        &beats.iter().map(|beat| beat.lease_sha256.to_vec()).collect::<Vec<_>>(),
        &beats.iter().map(|beat| beat.progress.clone()).collect::<Vec<_>>() as &[Option<Value>],
        &beats.iter().map(|beat| beat.checkpoint.clone()).collect::<Vec<_>>() as &[Option<Value>],
        &beats.iter().map(|beat| beat.steps.as_ref().map(Window::to_bytes)).collect::<Vec<_>>()
            as &[Option<Vec<u8>>],
    )
    .fetch_all(traced!(tx, "attempts.heartbeat.renew"))
    .await?;
    let heard = rows.into_iter().map(|row| {
        Ok(Heard {
            attempt: AttemptFacts {
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
                withdrawn: false,
            },
            started_at: row.started_at,
            cancelling: row.cancelling,
            agent_state: row.agent_state,
            agent_seen_at: row.agent_seen_at,
            now: row.now,
            freezes: row.freezes,
            nudges: row.nudges,
            comments: row.comments,
            steps: row.steps.map(|steps| Steps {
                window: Window::from_bytes(&steps),
                loops: row.loops.unwrap_or_default(),
            }),
        })
    });
    heard.collect()
}

/// Agent ids and key ids never collide, so one column identifies a holder.
fn holder_id(holder: Holder) -> uuid::Uuid {
    match holder {
        Holder::Agent(agent) => agent.0,
        Holder::Key(key) => key.0,
    }
}

/// The task of an attempt that was not renewed.
#[derive(Debug, Clone, Copy)]
pub struct TaskOf {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// State of the task.
    pub state: TaskState,
    /// Latest attempt at the task.
    pub latest: Option<AttemptId>,
    /// Mode of the strongest freeze over the attempt.
    pub frozen: Option<FreezeMode>,
}

/// The tasks of attempts, by attempt; nothing is locked.
pub async fn tasks_of(
    tx: &mut Tx,
    attempts: &[AttemptId],
) -> sqlx::Result<HashMap<AttemptId, TaskOf>> {
    let rows = sqlx::query_as!(
        TaskOf,
        r#"
        select a.attempt_id as "attempt_id: AttemptId", t.state as "state: TaskState",
               t.current_attempt_id as "latest: AttemptId",
               -- The strongest mode is the last by the alphabet.
               (select max(f.mode) from freezes_over($1, a.task_id, a.agent_id) f)
               as "frozen: FreezeMode"
        from attempts a
        join tasks t on t.workspace_id = a.workspace_id and t.task_id = a.task_id
        where a.workspace_id = $1 and a.attempt_id = any($2)
        "#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "attempts.heartbeat.tasks_of"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.attempt_id, row)).collect())
}
