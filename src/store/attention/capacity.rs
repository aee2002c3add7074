//! Ready tasks, and the agents able to do them. Tasks are grouped by required capabilities, so no
//! task is compared with every agent.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Scope;
use crate::{
    domain::{
        attention::COUNTED,
        ids::{AgentId, FreezeId, GoalId, TaskId},
        states::AgentState,
    },
    store::{Tx, traced},
};

/// An agent that is not retired.
#[derive(Debug)]
pub struct AbleAgent {
    /// The agent.
    pub agent_id: AgentId,
    /// Its name.
    pub name: String,
    /// Its capabilities.
    pub capabilities: Vec<String>,
    /// The state set by operators.
    pub state: AgentState,
    /// Its version.
    pub version: i32,
    /// Latest of its presence, registration and edit.
    pub heard_at: DateTime<Utc>,
    /// A freeze on the agent itself.
    pub freeze_id: Option<FreezeId>,
}

/// Every agent that is neither retired nor archived, by name. A registration without changes creates a key and
/// leaves the agent as it is, so the newest key counts as presence. (`revoked_at is null` selects
/// the index of keys.)
pub async fn fleet(tx: &mut Tx) -> sqlx::Result<Vec<AbleAgent>> {
    sqlx::query_as!(
        AbleAgent,
        r#"
        select a.agent_id as "agent_id: AgentId", a.name, a.capabilities,
               a.state as "state: AgentState", a.version,
               greatest(a.updated_at,
                   (select p.last_seen_at from agent_presence p
                    where p.workspace_id = $1 and p.agent_id = a.agent_id),
                   (select k.created_at from keys k
                    where k.workspace_id = $1 and k.agent_id = a.agent_id and k.revoked_at is null
                    order by k.created_at desc limit 1)) as "heard_at!",
               (select f.freeze_id from freezes f
                where f.workspace_id = $1 and f.lifted_at is null and f.scope = 'agent'
                  and f.scope_id = a.agent_id
                order by f.freeze_id limit 1) as "freeze_id: FreezeId"
        from agents a
        where a.workspace_id = $1 and not a.archived and a.state <> 'retired'
        order by a.name
        "#,
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "attention.capacity.fleet"))
    .await
}

/// The sets of capabilities required by ready tasks: (key, capabilities). Omits sets under a freeze
/// of a capability; empty under a freeze of the workspace, because then nothing waits for an agent.
pub async fn ready_capabilities(tx: &mut Tx) -> sqlx::Result<Vec<(String, Vec<String>)>> {
    let rows = sqlx::query!(
        // The `limit` makes this one index lookup per set instead of a read of all ready tasks.
        r#"
        select s.capability_key, s.capabilities
        from capability_sets s cross join lateral (
            select from tasks t
            where t.workspace_id = $1 and t.state = 'ready' and t.capability_key = s.capability_key
            limit 1
        ) t
        where s.workspace_id = $1 and (select not exists (select from freezes_over($1, null, null)))
          and not exists (select from freezes f where f.workspace_id = $1 and f.lifted_at is null
                          and f.scope = 'capability' and f.capability = any (s.capabilities))
        order by s.capability_key
        "#,
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "attention.capacity.ready_capabilities"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.capability_key, row.capabilities)).collect())
}

/// Ready tasks with one set of capabilities.
#[derive(Debug)]
pub struct ShortSet {
    /// An id derived from the key of the set.
    pub id: Uuid,
    /// Key of the set of capabilities.
    pub capability_key: String,
    /// Number of tasks, counted up to [`COUNTED`].
    pub waiting: i64,
    /// Time at which the first of them became ready.
    pub since: DateTime<Utc>,
    /// The first of them by rank.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
}

/// Ready tasks of some sets that are neither frozen nor assigned to an agent. Examines [`COUNTED`] of
/// each set, goal by goal as the index has them, or with a scope all of its goals. Calls `freezes_over`
/// per task only if single tasks are frozen; other freezes are looked up once per goal.
pub async fn waiting_in(
    tx: &mut Tx,
    scope: Scope<'_>,
    keys: &[String],
) -> sqlx::Result<Vec<ShortSet>> {
    sqlx::query_as!(
        ShortSet,
        r#"
        with looked as materialized (
            select o.capability_key, t.task_id, t.goal_id, t.claim_rank, t.updated_at
            from unnest($2::text[]) as o (capability_key) cross join lateral (
                select * from tasks t
                where t.workspace_id = $1 and t.state = 'ready'
                  and t.capability_key = o.capability_key and t.assigned_agent_id is null
                order by t.turn_of, t.claim_rank, t.task_id limit $4
            ) t
            where $3::uuid[] is null
            union all
            select t.capability_key, t.task_id, t.goal_id, t.claim_rank, t.updated_at
            from unnest($3::uuid[]) as g (goal_id) cross join lateral (
                select * from tasks t
                where t.workspace_id = $1 and t.goal_id = g.goal_id and t.state = 'ready'
                  and t.capability_key = any($2) and t.assigned_agent_id is null
            ) t
        ), frozen as materialized (
            select g.goal_id from (select distinct goal_id from looked) l
            join goals g on g.workspace_id = $1 and g.goal_id = l.goal_id
            where exists (select from freezes f where f.workspace_id = $1 and f.lifted_at is null
                          and ((f.scope = 'goal' and f.scope_id = g.goal_id)
                               or (f.scope = 'project' and f.scope_id = g.project_id)))
        )
        select md5(l.capability_key)::uuid as "id!", l.capability_key as "capability_key!",
               least(count(*), $4) as "waiting!", min(l.updated_at) as "since!",
               (array_agg(l.task_id order by l.claim_rank, l.task_id))[1] as "task_id!: TaskId",
               (array_agg(l.goal_id order by l.claim_rank, l.task_id))[1] as "goal_id!: GoalId"
        from looked l
        where l.goal_id not in (select goal_id from frozen)
          and (not (select exists (select from freezes f where f.workspace_id = $1
                                   and f.lifted_at is null and f.scope = 'task'))
               or not exists (select from freezes_over($1, l.task_id, null)))
        group by l.capability_key
        "#,
        tx.workspace.0,
        keys,
        scope.live,
        COUNTED,
    )
    .fetch_all(traced!(tx, "attention.capacity.waiting_in"))
    .await
}

/// Ready tasks assigned to one agent.
#[derive(Debug)]
pub struct KeptTasks {
    /// The agent.
    pub agent_id: AgentId,
    /// Number of tasks.
    pub waiting: i64,
    /// Time at which the first of them became ready.
    pub since: DateTime<Utc>,
    /// The first in claim order.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
}

/// Ready tasks assigned by operators, by agent. These are few: the start of an attempt clears the
/// assignment.
pub async fn kept(tx: &mut Tx, scope: Scope<'_>) -> sqlx::Result<Vec<KeptTasks>> {
    sqlx::query_as!(
        KeptTasks,
        r#"
        select t.assigned_agent_id as "agent_id!: AgentId", count(*) as "waiting!",
               min(t.updated_at) as "since!",
               (array_agg(t.task_id order by t.claim_rank, t.task_id))[1] as "task_id!: TaskId",
               (array_agg(t.goal_id order by t.claim_rank, t.task_id))[1] as "goal_id!: GoalId"
        from tasks t
        where t.workspace_id = $1 and t.assigned_agent_id is not null and t.state = 'ready'
          and ($2::uuid[] is null or t.goal_id = any($2))
          and not exists (select from freezes_over($1, t.task_id, null))
        group by t.assigned_agent_id
        "#,
        tx.workspace.0,
        scope.live,
    )
    .fetch_all(traced!(tx, "attention.capacity.kept"))
    .await
}
