//! The nodes that tasks and attempts are charged to, and the expected spend of tasks.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        budget::{BudgetNode, ask::Estimates},
        ids::{AgentId, AttemptId, GoalId, LimitId, ProjectId, TaskId, WorkspaceId},
        spend::Amounts,
    },
    store::{Tx, columns::uuids, traced},
};

/// The nodes above a goal.
#[derive(Debug, Clone)]
pub struct Above {
    /// The goal.
    pub goal_id: GoalId,
    /// Its project.
    pub project_id: Option<ProjectId>,
    /// Limits with an open allocation of the goal; its attempts do not touch these.
    pub allocated: Vec<LimitId>,
}

/// Reads the nodes above goals.
pub async fn above(tx: &mut Tx, goals: &[GoalId]) -> sqlx::Result<Vec<Above>> {
    let rows = sqlx::query!(
        r#"select goal_id as "goal_id: GoalId", project_id as "project_id: ProjectId",
                  array(select a.limit_id from allocations a where a.workspace_id = $1
                        and a.goal_id = g.goal_id and a.closed_at is null) as "allocated!: Vec<LimitId>"
           from goals g where workspace_id = $1 and goal_id = any($2)"#,
        tx.workspace.0,
        &uuids(goals),
    )
    .fetch_all(traced!(tx, "budgets.charged.above"))
    .await?;
    let above = rows.into_iter().map(|row| Above {
        goal_id: row.goal_id,
        project_id: row.project_id,
        allocated: row.allocated,
    });
    Ok(above.collect())
}

/// The nodes that an attempt is charged to, and its times.
#[derive(Debug, Clone)]
pub struct ChargedAt {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// Its agent; `None` if a person holds it.
    pub agent_id: Option<AgentId>,
    /// Its goal's project.
    pub project_id: Option<ProjectId>,
    /// Time of its start; its spend belongs to the periods that contain it.
    pub started_at: DateTime<Utc>,
    /// Time of its end.
    pub ended_at: Option<DateTime<Utc>>,
    /// Allocations of its goal.
    pub shares: Vec<Share>,
}

/// An allocation of a goal. While it is open, the goal's attempts do not touch the limit; once
/// closed, they settle in the limit's window that starts at `starts_at`.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// The goal.
    pub goal_id: GoalId,
    /// The limit.
    pub limit_id: LimitId,
    /// Start of the window.
    pub starts_at: DateTime<Utc>,
    /// Whether the goal has ended and the allocation is settled.
    pub is_closed: bool,
}

/// Reads the nodes that attempts are charged to.
pub async fn charged_at(tx: &mut Tx, attempts: &[AttemptId]) -> sqlx::Result<Vec<ChargedAt>> {
    let rows = sqlx::query!(
        r#"
        select a.attempt_id as "attempt_id: AttemptId", a.task_id as "task_id: TaskId",
               a.goal_id as "goal_id: GoalId", a.agent_id as "agent_id: AgentId",
               g.project_id as "project_id: ProjectId", a.started_at, a.ended_at
        from unnest((select $2::uuid[])) as n (attempt_id)
        join attempts a on a.workspace_id = $1 and a.attempt_id = n.attempt_id
        join goals g on g.workspace_id = $1 and g.goal_id = a.goal_id
        "#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "budgets.charged.charged_at"))
    .await?;
    let goals: BTreeSet<GoalId> = rows.iter().map(|row| row.goal_id).collect();
    let goals: Vec<GoalId> = goals.into_iter().collect();
    let mut by_goal: HashMap<GoalId, Vec<Share>> = HashMap::new();
    // Read once per goal: many attempts share few goals.
    for share in shares(tx, &goals).await? {
        by_goal.entry(share.goal_id).or_default().push(share);
    }
    let places = rows.into_iter().map(|row| ChargedAt {
        attempt_id: row.attempt_id,
        task_id: row.task_id,
        goal_id: row.goal_id,
        agent_id: row.agent_id,
        project_id: row.project_id,
        started_at: row.started_at,
        ended_at: row.ended_at,
        shares: by_goal.get(&row.goal_id).cloned().unwrap_or_default(),
    });
    Ok(places.collect())
}

/// Reads the allocations of goals and keeps them from being closed until the transaction ends: a
/// close settles the goal's spend above, and spend that it did not see would be settled nowhere.
async fn shares(tx: &mut Tx, goals: &[GoalId]) -> sqlx::Result<Vec<Share>> {
    sqlx::query_as!(
        Share,
        r#"select goal_id as "goal_id: GoalId", limit_id as "limit_id: LimitId", starts_at,
                  closed_at is not null as "is_closed!"
           from allocations where workspace_id = $1 and goal_id = any($2)
           order by goal_id, limit_id
           for key share"#,
        tx.workspace.0,
        &uuids(goals),
    )
    .fetch_all(traced!(tx, "budgets.charged.shares"))
    .await
}

/// The expected spend of a task being claimed.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The task.
    pub task_id: TaskId,
    /// The estimate of the task itself.
    pub estimate: Option<Json<Estimates>>,
    /// 90th percentile of tasks with the same capabilities: unit to amount.
    pub usual: Option<Json<Amounts>>,
    /// Spend of its earlier attempts, by unit, rounded up; `None` before the first.
    pub used: Option<Json<Amounts>>,
}

/// Reads the expected spend of tasks.
pub async fn expected(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<Expected>> {
    sqlx::query_as!(
        Expected,
        r#"select t.task_id as "task_id: TaskId", x.estimate as "estimate: Json<Estimates>",
                  (select jsonb_object_agg(u.unit, u.p90) from usual_spend u
                   where u.workspace_id = $1 and u.capability_key = t.capability_key)
                      as "usual: Json<Amounts>",
                  case when t.attempts_started > 0 then (
                      select jsonb_object_agg(s.unit, s.amount) from (
                          select p.unit, least(sum(p.entries::numeric + p.reported)
                                     + ceil(sum(p.fraction) / 1000000), 1000000000000000000)::bigint as amount
                          from attempts a
                          join attempt_spend p on p.workspace_id = $1 and p.attempt_id = a.attempt_id
                          where a.workspace_id = $1 and a.task_id = t.task_id group by p.unit
                          union all
                          select 'wall_ms', coalesce(sum(floor(
                                     extract(epoch from a.ended_at - a.started_at) * 1000)), 0)::bigint
                          from attempts a
                          where a.workspace_id = $1 and a.task_id = t.task_id
                            and a.ended_at is not null) s) end
                      as "used: Json<Amounts>"
           from tasks t join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
           where t.workspace_id = $1 and t.task_id = any($2)"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "budgets.charged.expected"))
    .await
}

/// All nodes above tasks and agents that can have limits.
#[must_use]
pub fn nodes(
    workspace: WorkspaceId,
    tasks: &[TaskId],
    above: &[Above],
    agents: &[AgentId],
) -> Vec<(BudgetNode, Uuid)> {
    let mut nodes = vec![(BudgetNode::Workspace, workspace.0)];
    nodes.extend(tasks.iter().map(|id| (BudgetNode::Task, id.0)));
    nodes.extend(above.iter().map(|above| (BudgetNode::Goal, above.goal_id.0)));
    nodes.extend(agents.iter().map(|id| (BudgetNode::Agent, id.0)));
    nodes.extend(above.iter().filter_map(|above| Some((BudgetNode::Project, above.project_id?.0))));
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}
