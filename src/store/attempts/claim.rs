//! Claims: the claiming agents, the ready tasks, and the handover of a claimed task.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    domain::{
        budget::ask::Estimates,
        handover::{ChildResult, ClaimedComment, ClaimedCriterion, EarlierAttempt, NeededResult},
        ids::{AgentId, GoalId, TaskId},
        settings,
        states::AgentState,
        task::claim::Keeping,
    },
    store::{Tx, columns::uuids, traced},
};

/// A claiming agent.
#[derive(Debug, Clone)]
pub struct Claimer {
    /// The agent.
    pub agent_id: AgentId,
    /// Its capabilities.
    pub capabilities: Vec<String>,
    /// Most attempts at once: the agent's own number, or the cap of the workspace if that is less.
    pub max_concurrent: i32,
    /// Longest lease that the workspace allows, in seconds.
    pub max_lease_seconds: Option<i32>,
    /// Only active agents may claim.
    pub state: AgentState,
    /// An archived agent may not, whatever its state.
    pub archived: bool,
    /// Number of its running attempts.
    pub running: i64,
    /// Whether a freeze covers the agent itself, whatever the task.
    pub frozen: bool,
}

impl Claimer {
    /// Longest lease that the workspace allows.
    #[must_use]
    pub fn longest_lease(&self) -> Option<Duration> {
        self.max_lease_seconds.map(|seconds| Duration::from_secs(seconds.unsigned_abs().into()))
    }
}

/// Reads agents without a lock: enough to decide how many tasks to look for.
pub async fn claimers(tx: &mut Tx, agents: &[AgentId]) -> sqlx::Result<Vec<Claimer>> {
    sqlx::query_as!(
        Claimer,
        r#"select g.agent_id as "agent_id: AgentId", g.capabilities,
                  least(g.max_concurrent, w.agent_max_concurrent) as "max_concurrent!",
                  w.max_lease_seconds,
                  g.state as "state: AgentState", g.archived,
                  (select count(*) from attempts a where a.workspace_id = $1
                   and a.agent_id = g.agent_id and a.state = 'running') as "running!",
                  exists (select from freezes_over($1, null, g.agent_id)) as "frozen!"
           from agents g
           join workspaces w on w.workspace_id = g.workspace_id
           where g.workspace_id = $1 and g.agent_id = any($2)"#,
        tx.workspace.0,
        &uuids(agents),
    )
    .fetch_all(traced!(tx, "attempts.claim.claimers"))
    .await
}

/// Locks agents in id order. Excludes their other claims, so a count of their attempts read
/// afterwards is exact.
pub async fn lock_agents(tx: &mut Tx, agents: &[AgentId]) -> sqlx::Result<()> {
    sqlx::query!(
        "select agent_id from agents where workspace_id = $1 and agent_id = any($2)
         order by agent_id for no key update",
        tx.workspace.0,
        &uuids(agents),
    )
    .fetch_all(traced!(tx, "attempts.claim.lock_agents"))
    .await?;
    Ok(())
}

/// A ready task, locked for this transaction.
#[derive(Debug, Clone)]
pub struct ReadyTask {
    /// The task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// Key of the claim order; lower is claimed first.
    pub claim_rank: DateTime<Utc>,
    /// Capabilities it requires.
    pub required: Vec<String>,
    /// Number of attempts ever started.
    pub attempts_started: i32,
    /// Its lease in milliseconds.
    pub lease_ms: Option<i64>,
    /// Hard limit of an attempt in milliseconds.
    pub attempt_timeout_ms: Option<i64>,
    /// When all attempts together must have ended.
    pub finish_by: Option<DateTime<Utc>>,
    /// Assignment to one agent, or exclusion of one.
    pub keeping: Keeping,
}

/// Ready tasks that were locked.
#[derive(Debug, Default)]
pub struct LockedTasks {
    /// The tasks in claim order.
    pub tasks: Vec<ReadyTask>,
    /// Whether there may be ready tasks beyond the examined candidates.
    pub more: bool,
}

/// The agents that look for ready tasks.
#[derive(Debug, Clone, Copy)]
pub struct Lookers<'a> {
    /// Capabilities that each of the agents has.
    pub able: &'a [String],
    /// The agents.
    pub agents: &'a [AgentId],
}

/// Locks up to `wanted` ready tasks for agents with the capabilities `able`, in claim order and
/// without those in `held`. Tasks assigned to or barred from one of the agents come in addition,
/// since the other agents may be unable to take them.
///
/// Searches only the sets of capabilities within `able`, each by its own index range: tasks of
/// other sets cost nothing. Skips tasks locked by other transactions; `slack` is the number of
/// extra candidates for that. Skips frozen tasks and tasks that wait for a price during the search, so
/// they do not block later ones; without any freeze or wait these checks do not run.
pub async fn lock_ready(
    tx: &mut Tx,
    lookers: Lookers<'_>,
    wanted: i64,
    slack: i64,
    held: &[TaskId],
) -> sqlx::Result<LockedTasks> {
    let Lookers { able, agents } = lookers;
    let rows = sqlx::query!(
        r#"
        with covered as materialized (
            select capability_key, capabilities from capability_sets
            where workspace_id = $1 and capabilities <@ $2::text[]
        ), candidates as materialized (
            select c.task_id, c.claim_rank, c.is_kept, covered.capability_key,
                   covered.capabilities
            from covered cross join lateral (
                select t.task_id, t.claim_rank,
                       coalesce(t.assigned_agent_id, t.barred_agent_id) is not null as is_kept
                from tasks t
                where t.workspace_id = $1 and t.state = 'ready'
                  and t.capability_key = covered.capability_key
                  -- Null for nearly every task: kept for one of these, or for others than one.
                  and (t.assigned_agent_id is null or t.assigned_agent_id = any($6::uuid[]))
                  and (t.barred_agent_id is null or t.barred_agent_id <> any($6::uuid[]))
                  and (not (select exists (select from price_waits where workspace_id = $1))
                       or not exists (select from price_waits p
                                      where p.workspace_id = $1 and p.task_id = t.task_id))
                  and (not (select exists (select from freezes f
                                           where f.workspace_id = $1 and f.lifted_at is null))
                       or not exists (select from freezes_over($1, t.task_id, null)))
                order by t.claim_rank, t.task_id
                limit $3::bigint + cardinality($4::uuid[]) + $5::bigint
            ) c
            where c.task_id <> all($4)
            order by c.claim_rank, c.task_id
            limit $3::bigint + $5::bigint
        ), locked as materialized (
            select t.task_id, t.goal_id, t.attempts_started, t.lease_ms, t.attempt_timeout_ms,
                   t.finish_by, t.claim_rank, t.assigned_agent_id, t.barred_agent_id, c.capabilities
            from candidates c join tasks t on t.workspace_id = $1 and t.task_id = c.task_id
            -- Judged again under the lock: an edit may have changed what it requires.
            where t.state = 'ready' and t.capability_key = c.capability_key
            order by c.claim_rank, c.task_id
            limit $3::bigint + (select count(*) from candidates where is_kept)
            for no key update of t skip locked
        )
        select task_id as "task_id: TaskId", goal_id as "goal_id: GoalId", claim_rank,
               capabilities as "required", attempts_started, lease_ms, attempt_timeout_ms, finish_by,
               assigned_agent_id as "assigned: AgentId", barred_agent_id as "barred: AgentId",
               (select count(*) from candidates) as "looked_at!"
        from locked order by claim_rank, task_id
        "#,
        tx.workspace.0,
        able,
        wanted,
        &uuids(held),
        slack,
        &uuids(agents),
    )
    .fetch_all(traced!(tx, "attempts.claim.lock_ready"))
    .await?;
    // No row: the number of candidates is unknown.
    let more = rows.first().is_none_or(|row| row.looked_at >= wanted + slack);
    let tasks = rows.into_iter().map(|row| ReadyTask {
        task_id: row.task_id,
        goal_id: row.goal_id,
        claim_rank: row.claim_rank,
        required: row.required,
        attempts_started: row.attempts_started,
        lease_ms: row.lease_ms,
        attempt_timeout_ms: row.attempt_timeout_ms,
        finish_by: row.finish_by,
        keeping: Keeping::of(row.assigned, row.barred),
    });
    Ok(LockedTasks { tasks: tasks.collect(), more })
}

/// Records that agents were seen now; leaves a recent record unchanged.
pub async fn touch_presence(tx: &mut Tx, agents: &[AgentId]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into agent_presence as old (workspace_id, agent_id, last_seen_at)
         select $1, agent_id, $2::timestamptz from (select distinct unnest($3::uuid[]) as agent_id) a
         where not exists (select from agent_presence p where p.workspace_id = $1
                           and p.agent_id = a.agent_id and p.last_seen_at > $4)
         order by agent_id
         on conflict (workspace_id, agent_id) do update set last_seen_at = excluded.last_seen_at
             where old.last_seen_at < excluded.last_seen_at",
        tx.workspace.0,
        tx.now,
        &uuids(agents),
        tx.now - settings::SEEN_EXACT_TO,
    )
    .execute(traced!(tx, "attempts.claim.touch_presence"))
    .await?;
    Ok(())
}

/// Everything a claim returns about a task.
#[derive(Debug, Clone)]
pub struct Handover {
    /// The task.
    pub task_id: TaskId,
    /// Its name in the plan (`ref`).
    pub reference: String,
    /// Title of the task, one line.
    pub title: String,
    /// Description in Markdown.
    pub description: String,
    /// Input for the agent, JSON.
    pub input: Option<Value>,
    /// Expected spend of one attempt, by unit.
    pub estimate: Option<Json<Estimates>>,
    /// Labels set by the plan's author.
    pub labels: Vec<String>,
    /// Heading of the plan above the task.
    pub section: Option<String>,
    /// 0 (lowest) to 9.
    pub priority: i16,
    /// Its goal's title.
    pub goal_title: String,
    /// Its criteria.
    pub criteria: Json<Vec<ClaimedCriterion>>,
    /// Results of its dependencies.
    pub needs: Json<Vec<NeededResult>>,
    /// Outcomes of its children.
    pub children: Json<Vec<ChildResult>>,
    /// The latest earlier attempts, oldest first.
    pub earlier: Json<Vec<EarlierAttempt>>,
    /// The latest checkpoint of any attempt.
    pub checkpoint: Option<Value>,
    /// The latest comments on the task and its goal, oldest first.
    pub comments: Json<Vec<ClaimedComment>>,
}

/// Size limits of a handover. Omitted parts can be read from the tasks.
#[derive(Debug, Clone, Copy)]
pub struct HandoverLimits {
    /// Most bytes of one result; a larger one is omitted (`null`).
    pub result_bytes: i32,
    /// Most bytes of all results of dependencies, and of all results of children.
    pub total_bytes: i64,
    /// Most dependencies, and most children.
    pub tasks: i64,
    /// Most comments.
    pub comments: i64,
    /// Most bytes of all comments; the oldest are omitted.
    pub comment_bytes: i64,
}

/// Reads the handovers of tasks. The database applies the limits, so a task with a thousand large
/// dependencies costs no more than another.
pub async fn handovers(
    tx: &mut Tx,
    tasks: &[TaskId],
    limits: HandoverLimits,
) -> sqlx::Result<Vec<Handover>> {
    sqlx::query_as!(
        Handover,
        r#"
        select t.task_id as "task_id: TaskId", t.ref as reference, x.title, x.description, x.input,
               x.estimate as "estimate: Json<Estimates>", x.labels, x.section, t.priority, g.title as goal_title,
               coalesce((select jsonb_agg(jsonb_build_object('number', c.number, 'text', c.text,
                                          'required', c.required, 'satisfied', c.satisfied) order by c.number)
                from criteria c where c.workspace_id = $1 and c.task_id = t.task_id), '[]') as "criteria!: Json<Vec<ClaimedCriterion>>",
               coalesce((select jsonb_agg(jsonb_build_object('task_id', n.task_id, 'ref', n.ref,
                    'title', n.title, 'result', case when n.small and n.total <= $3::bigint then n.result end)
                    order by n.position, n.task_id)
                from (select n.task_id, n.ref, n.position, nx.title, nr.result,
                             nr.result_bytes <= $4::int as small,
                             sum(case when nr.result_bytes <= $4::int then nr.result_bytes end)
                                 over (order by n.position, n.task_id) as total
                      from dependencies d
                      join tasks n on n.workspace_id = $1 and n.task_id = d.needs_task_id
                      join task_texts nx on nx.workspace_id = $1 and nx.task_id = n.task_id
                      -- The current attempt of a task that is done is the one that was accepted.
                      left join attempt_results nr on nr.workspace_id = $1
                           and nr.attempt_id = n.current_attempt_id and n.state = 'done'
                      where d.workspace_id = $1 and d.task_id = t.task_id
                      order by n.position, n.task_id limit $5) n), '[]') as "needs!: Json<Vec<NeededResult>>",
               -- A first attempt has nothing behind it: no children, no attempt, no checkpoint.
               case when t.attempts_started <= 1 then '[]' else
               coalesce((select jsonb_agg(jsonb_build_object('task_id', n.task_id, 'ref', n.ref,
                    'title', n.title, 'state', n.state, 'reason', n.end_reason,
                    'result', case when n.small and n.total <= $3::bigint then n.result end)
                    order by n.position, n.task_id)
                from (select n.task_id, n.ref, n.position, n.state, nx.title, nx.end_reason, nr.result,
                             nr.result_bytes <= $4::int as small,
                             sum(case when nr.result_bytes <= $4::int then nr.result_bytes end)
                                 over (order by n.position, n.task_id) as total
                      from tasks n
                      join task_texts nx on nx.workspace_id = $1 and nx.task_id = n.task_id
                      left join attempt_results nr on nr.workspace_id = $1
                           and nr.attempt_id = n.current_attempt_id and n.state = 'done'
                      where n.workspace_id = $1 and n.parent_id = t.task_id
                      order by n.position, n.task_id limit $5) n), '[]') end as "children!: Json<Vec<ChildResult>>",
               case when t.attempts_started <= 1 then '[]' else
               coalesce((select jsonb_agg(jsonb_build_object('attempt_id', a.attempt_id, 'number', a.number, 'state', a.state,
                    'result', case when a.state = 'rejected' and octet_length(r.result::text) <= $4::int then r.result end,
                    'failure_class', r.failure_class, 'message', r.message, 'feedback', r.feedback,
                    'feedback_points', coalesce(r.feedback_points, '[]'))
                    order by a.number)
                from (select * from attempts a where a.workspace_id = $1 and a.task_id = t.task_id
                      and a.state <> 'running' order by a.number desc limit 10) a
                left join attempt_results r on r.workspace_id = $1 and r.attempt_id = a.attempt_id
                ), '[]') end as "earlier!: Json<Vec<EarlierAttempt>>",
               case when t.attempts_started <= 1 then null else (select p.checkpoint from attempts a
                join attempt_progress p on p.workspace_id = $1 and p.attempt_id = a.attempt_id
                where a.workspace_id = $1 and a.task_id = t.task_id and p.checkpoint is not null
                order by a.number desc limit 1) end as checkpoint,
               -- Both flags are in rows that are read anyway; without a comment nothing is searched.
               case when not (t.commented or g.commented) then '[]' else
               coalesce((select jsonb_agg(jsonb_build_object('comment_id', c.comment_id,
                    'task_id', c.task_id, 'text', c.text, 'agent_id', c.agent_id,
                    'person', c.person, 'created_at', c.created_at) order by c.comment_id)
                from (select c.*, sum(octet_length(c.text)) over (order by c.comment_id desc) as total
                      from ((select c.* from comments c
                             where t.commented and c.workspace_id = $1 and c.task_id = t.task_id
                             order by c.comment_id desc limit $6)
                            union all
                            (select c.* from comments c
                             where g.commented and c.workspace_id = $1 and c.goal_id = t.goal_id
                               and c.task_id is null
                             order by c.comment_id desc limit $6)) c
                      order by c.comment_id desc limit $6) c
                where c.total <= $7::bigint), '[]') end as "comments!: Json<Vec<ClaimedComment>>"
        from tasks t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        join goals g on g.workspace_id = $1 and g.goal_id = t.goal_id
        where t.workspace_id = $1 and t.task_id = any($2)
        "#,
        tx.workspace.0,
        &uuids(tasks),
        limits.total_bytes,
        limits.result_bytes,
        limits.tasks,
        limits.comments,
        limits.comment_bytes,
    )
    .fetch_all(traced!(tx, "attempts.claim.handovers"))
    .await
}
