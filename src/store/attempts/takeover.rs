//! Takeovers and reassignments: assignment of tasks, and its checks.

use super::claim::{ReadyTask, Turn};
use crate::{
    domain::{
        freeze::FreezeMode,
        ids::{AgentId, GoalId, TaskId},
        states::{AgentState, ApprovalKind},
        task::{claim::Keeping, takeover::Waits},
    },
    store::{Tx, traced},
};

/// Sets the assignment or exclusion of a task, and ends its row of releases. The caller has locked the task.
pub async fn keep(tx: &mut Tx, task: TaskId, keeping: Keeping) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks set assigned_agent_id = $3, barred_agent_id = $4, released_in_row = 0,
                offered_capability = null, offer_until = null,
                version = version + 1, updated_at = $5
         where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        task.0,
        keeping.assigned().map(|id| id.0),
        keeping.barred().map(|id| id.0),
        tx.now,
    )
    .execute(traced!(tx, "attempts.takeover.keep"))
    .await?;
    Ok(())
}

/// An agent that is to get a task.
#[derive(Debug)]
pub struct Assignee {
    /// The required capabilities it lacks.
    pub lacks: Vec<String>,
    /// Its state.
    pub state: AgentState,
    /// Whether it is archived.
    pub archived: bool,
    /// Whether the task is a check that it may not do.
    pub barred: bool,
    /// Whether it worked on what the task checks.
    pub author: bool,
}

/// An agent that is to get a task; `None` if the agent does not exist.
pub async fn assignee(tx: &mut Tx, task: TaskId, agent: AgentId) -> sqlx::Result<Option<Assignee>> {
    sqlx::query_as!(
        Assignee,
        r#"select array(select c from tasks t
                        join capability_sets s on s.workspace_id = $1
                             and s.capability_key = t.capability_key
                        cross join unnest(s.capabilities) c
                        where t.workspace_id = $1 and t.task_id = $2
                          and c <> all(g.capabilities)) as "lacks!",
                  g.state as "state: AgentState", g.archived,
                  exists (select from tasks c
                          where c.workspace_id = $1 and c.task_id = $2 and c.checks_attempt_id is not null
                            and g.agent_id in (select barred_from_check($1, c.task_id))) as "barred!",
                  exists (select from tasks c
                          join attempts x on x.workspace_id = $1 and x.attempt_id = c.checks_attempt_id
                          join attempts a on a.workspace_id = $1 and a.task_id = x.task_id
                          where c.workspace_id = $1 and c.task_id = $2 and a.agent_id = g.agent_id)
                      as "author!"
           from agents g where g.workspace_id = $1 and g.agent_id = $3"#,
        tx.workspace.0,
        task.0,
        agent.0,
    )
    .fetch_optional(traced!(tx, "attempts.takeover.assignee"))
    .await
}

/// The waits of a task that its locked row does not show.
pub async fn waits(tx: &mut Tx, task: TaskId) -> sqlx::Result<Waits> {
    sqlx::query_as!(
        Waits,
        r#"select needs_unmet,
                  (select p.kind from approvals p where p.workspace_id = $1 and p.task_id = $2
                   and p.state = 'pending') as "pending: ApprovalKind"
           from tasks where workspace_id = $1 and task_id = $2"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_one(traced!(tx, "attempts.takeover.waits"))
    .await
}

/// The strongest freeze over a task, regardless of its holder.
pub async fn frozen(tx: &mut Tx, task: TaskId) -> sqlx::Result<Option<FreezeMode>> {
    sqlx::query_scalar!(
        r#"select max(mode) as "mode: FreezeMode" from freezes_over($1, $2, null)"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_one(traced!(tx, "attempts.takeover.frozen"))
    .await
}

/// A locked task in the form a claim reads it.
pub async fn offered(tx: &mut Tx, task: TaskId) -> sqlx::Result<ReadyTask> {
    let row = sqlx::query!(
        r#"select goal_id as "goal_id: GoalId", claim_rank, ranked_from, ready_from, attempts_started, finish_by, gated,
                  assigned_agent_id as "assigned: AgentId", barred_agent_id as "barred: AgentId",
                  array(select c from capability_sets s cross join unnest(s.capabilities) c
                        where s.workspace_id = $1 and s.capability_key = t.capability_key)
                  as "required!"
           from tasks t where workspace_id = $1 and task_id = $2"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_one(traced!(tx, "attempts.takeover.offered"))
    .await?;
    Ok(ReadyTask {
        task_id: task,
        goal_id: row.goal_id,
        claim_rank: row.claim_rank,
        ranked_from: row.ranked_from,
        turn: Turn::default(),
        ready_from: row.ready_from,
        required: row.required,
        attempts_started: row.attempts_started,
        lease_ms: None,
        attempt_timeout_ms: None,
        finish_by: row.finish_by,
        gated: row.gated,
        keeping: Keeping::of(row.assigned, row.barred),
    })
}

/// Clears the assignments of open tasks to an agent and returns these tasks. The caller has the
/// workspace's exclusive lock.
pub async fn drop_kept_for(tx: &mut Tx, agent: AgentId) -> sqlx::Result<Vec<(TaskId, GoalId)>> {
    let rows = sqlx::query!(
        r#"update tasks set assigned_agent_id = null, offer_until = null,
                  version = version + 1, updated_at = $3
           where workspace_id = $1 and assigned_agent_id = $2 and ended_at is null
             and (assigned_agent_id is not null or barred_agent_id is not null)
           returning task_id as "task_id: TaskId", goal_id as "goal_id: GoalId""#,
        tx.workspace.0,
        agent.0,
        tx.now,
    )
    .fetch_all(traced!(tx, "attempts.takeover.drop_kept_for"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.goal_id)).collect())
}
