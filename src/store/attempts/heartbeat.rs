//! What heartbeats write and read.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    domain::{
        ids::{AgentId, AttemptId, GoalId, KeyId, TaskId, WorkspaceId},
        loops::{Pattern, Window},
        states::{AgentState, AttemptState},
        task::{AttemptFacts, holder::Holder},
    },
    store::{SystemTx, columns::holder, traced},
};

/// One heartbeat: the attempt, its lease, its progress.
#[derive(Debug, Clone, PartialEq)]
pub struct Beat {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Whose it must be.
    pub holder: Holder,
    /// SHA-256 of the lease that it must have.
    pub lease_sha256: [u8; 32],
    /// For people; none leaves what was said before.
    pub progress: Option<Value>,
    /// For the next attempt; none leaves what was there before.
    pub checkpoint: Option<Value>,
    /// Steps that ended since; none leaves what was there before.
    pub steps: Option<Window>,
}

/// An attempt that was heard of, and what its agent is to be told of.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The attempt.
    pub attempt: AttemptFacts,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
    /// Whether its task's cancellation was asked for.
    pub cancelling: bool,
    /// The state of its agent; none: a person holds it.
    pub agent_state: Option<AgentState>,
    /// When its agent was last heard of, as far as it was noted.
    pub agent_seen_at: Option<DateTime<Utc>>,
    /// When it was heard of now.
    pub now: DateTime<Utc>,
    /// Whether anything in the workspace is frozen: only then it is worth asking what.
    pub freezes: bool,
    /// Whether a nudge waits for the holder of its task.
    pub nudges: bool,
    /// Its steps, where the beat brought some.
    pub steps: Option<Steps>,
}

/// The steps of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    /// The last ones, those that came with the beat among them.
    pub window: Window,
    /// The loops that it was in before, as far as could be seen without waiting.
    pub loops: Vec<Pattern>,
}

/// Moves the leases of running attempts on, stores how far they are, and reads what their agents are
/// told; what is not running, or not theirs, is left out. The beats come in the order of attempts, in
/// which everybody locks them, and no two say the same attempt, agent and lease.
///
/// One statement, so that it can be a transaction of its own: there are hundreds of beats a second,
/// in small batches, and what a batch costs is mostly what its statements cost. `now` is the
/// database's time unless it is given.
///
/// The rule is [`crate::domain::task::heartbeat::renewed`], written once more because it is applied where
/// the row is. Changes no indexed column, so the rows are updated in their pages.
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
            },
            started_at: row.started_at,
            cancelling: row.cancelling,
            agent_state: row.agent_state,
            agent_seen_at: row.agent_seen_at,
            now: row.now,
            freezes: row.freezes,
            nudges: row.nudges,
            steps: row.steps.map(|steps| Steps {
                window: Window::from_bytes(&steps),
                loops: row.loops.unwrap_or_default(),
            }),
        })
    });
    heard.collect()
}

/// Agents and keys have ids of their own, so one column tells one holder from every other.
fn holder_id(holder: Holder) -> uuid::Uuid {
    match holder {
        Holder::Agent(agent) => agent.0,
        Holder::Key(key) => key.0,
    }
}
