//! What agents may lack.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    domain::{
        access::person::Person,
        explain::answer::{FreezeOver, NamedTask, OfferedTo},
        freeze::{FreezeMode, FreezeScope},
        ids::{AgentId, AttemptId, FreezeId, ProjectId, TaskId},
        states::{AgentState, TaskState},
    },
    store::{Tx, columns::uuids, traced},
};

/// What claims do not read of an agent.
#[derive(Debug)]
pub struct AsideRow {
    /// The agent.
    pub agent_id: AgentId,
    /// Its account.
    pub account: Option<String>,
    /// Given no tasks before this time, since its provider limits its rate.
    pub limited_until: Option<DateTime<Utc>>,
    /// Whether one of its keys is valid.
    pub has_key: bool,
    /// Its longest running attempt in the projects.
    pub oldest: Option<AttemptId>,
}

/// Reads what claims do not read of agents. `within`: the only projects whose attempts are looked at; `None`: all.
pub async fn aside(
    tx: &mut Tx,
    agents: &[AgentId],
    within: Option<&[ProjectId]>,
) -> sqlx::Result<Vec<AsideRow>> {
    sqlx::query_as!(
        AsideRow,
        r#"
        select g.agent_id as "agent_id: AgentId", g.account, g.limited_until,
               exists (select from keys k where k.workspace_id = $1 and k.agent_id = g.agent_id
                       and k.revoked_at is null and (k.expires_at is null or k.expires_at > $3))
                   as "has_key!",
               (select a.attempt_id from attempts a
                where a.workspace_id = $1 and a.agent_id = g.agent_id and a.state = 'running'
                  and ($4::uuid[] is null
                       or exists (select from goals o where o.workspace_id = $1 and o.goal_id = a.goal_id
                                  and o.project_id = any($4)))
                order by a.started_at, a.attempt_id limit 1) as "oldest: AttemptId"
        from agents g
        where g.workspace_id = $1 and g.agent_id = any($2)
        "#,
        tx.workspace.0,
        &uuids(agents),
        tx.now,
        within.map(uuids) as Option<Vec<Uuid>>,
    )
    .fetch_all(traced!(tx, "explain.agents.aside"))
    .await
}

/// The latest freeze over each of the frozen ones of some agents, whatever the task.
pub async fn freezes(tx: &mut Tx, agents: &[AgentId]) -> sqlx::Result<Vec<(AgentId, FreezeOver)>> {
    let rows = sqlx::query!(
        r#"
        select n.agent_id as "agent_id!: AgentId", f.freeze_id as "freeze_id!: FreezeId",
               f.scope as "scope!: FreezeScope", f.scope_id, f.capability, f.mode as "mode!: FreezeMode",
               f.reason as "reason!", k.person as "set_by?: Person", f.set_at as "set_at!"
        from unnest($2::uuid[]) as n (agent_id)
        cross join lateral (
            select * from freezes_over($1, null, n.agent_id) order by generation desc limit 1) f
        left join keys k on k.workspace_id = $1 and k.key_id = f.set_by
        "#,
        tx.workspace.0,
        &uuids(agents),
    )
    .fetch_all(traced!(tx, "explain.agents.freezes"))
    .await?;
    let freeze = rows.into_iter().map(|row| {
        let freeze = FreezeOver {
            freeze_id: row.freeze_id,
            scope: row.scope,
            scope_id: row.scope_id,
            capability: row.capability,
            mode: row.mode,
            reason: row.reason,
            set_by: row.set_by,
            set_at: row.set_at,
        };
        (row.agent_id, freeze)
    });
    Ok(freeze.collect())
}

/// An agent, also a retired or archived one.
#[derive(Debug)]
pub struct AgentRow {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: i32,
    /// Its state.
    pub state: AgentState,
    /// Whether it is archived.
    pub archived: bool,
}

/// Reads an agent; `None` for an unknown one.
pub async fn agent(tx: &mut Tx, agent: AgentId) -> sqlx::Result<Option<AgentRow>> {
    sqlx::query_as!(
        AgentRow,
        r#"select name, version, state as "state: AgentState", archived from agents
           where workspace_id = $1 and agent_id = $2"#,
        tx.workspace.0,
        agent.0,
    )
    .fetch_optional(traced!(tx, "explain.agents.agent"))
    .await
}

/// The sets of capabilities that ready tasks require, at most 1,000.
pub async fn wanted(tx: &mut Tx) -> sqlx::Result<Vec<Vec<String>>> {
    sqlx::query_scalar!(
        // The `limit` makes this one index lookup per set instead of a read of all ready tasks.
        "select s.capabilities
         from capability_sets s cross join lateral (
             select from tasks t
             where t.workspace_id = $1 and t.state = 'ready' and t.capability_key = s.capability_key
             limit 1) t
         where s.workspace_id = $1
         order by s.capability_key limit 1000",
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "explain.agents.wanted"))
    .await
}

/// A ready task within the capabilities of an agent, and for whom it is kept.
#[derive(Debug)]
pub struct WithinRow {
    /// The task.
    pub task: NamedTask,
    /// For whom it is kept.
    pub to: OfferedTo,
    /// Whether it is a check that the agent may not do.
    pub own_check: bool,
}

/// The first ready tasks within the capabilities `able`, at most 50 of each set and 200 in all.
pub async fn within(tx: &mut Tx, agent: AgentId, able: &[String]) -> sqlx::Result<Vec<WithinRow>> {
    let rows = sqlx::query!(
        r#"
        select t.task_id as "task_id: TaskId", t.ref as reference, x.title, t.state as "state: TaskState",
               t.assigned_agent_id as "assigned: AgentId", n.name as "assigned_name?",
               t.barred_agent_id as "barred: AgentId", t.offered_capability, t.offer_until,
               (t.checks_attempt_id is not null
                and $2 in (select barred_from_check($1, t.task_id))) as "own_check!"
        from capability_sets s cross join lateral (
            select t.task_id, t.ref, t.state, t.claim_rank, t.assigned_agent_id, t.barred_agent_id,
                   t.offered_capability, t.offer_until, t.checks_attempt_id
            from tasks t
            where t.workspace_id = $1 and t.state = 'ready' and t.capability_key = s.capability_key
            order by t.turn_of, t.claim_rank, t.task_id limit 50) t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        left join agents n on n.workspace_id = $1 and n.agent_id = t.assigned_agent_id
        where s.workspace_id = $1 and s.capabilities <@ $3::text[]
        order by t.claim_rank, t.task_id limit 200
        "#,
        tx.workspace.0,
        agent.0,
        able,
    )
    .fetch_all(traced!(tx, "explain.agents.within"))
    .await?;
    let task = rows.into_iter().map(|row| {
        let task = NamedTask {
            task_id: row.task_id,
            r#ref: row.reference,
            title: row.title,
            state: row.state,
            attempt_id: None,
            agent_id: None,
            agent_name: None,
        };
        let to = OfferedTo {
            agent_id: row.assigned,
            agent_name: row.assigned_name,
            capability: row.offered_capability,
            except_agent_id: row.barred,
            until: row.offer_until,
        };
        WithinRow { task, to, own_check: row.own_check }
    });
    Ok(task.collect())
}
