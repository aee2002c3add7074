//! What plans are judged against: agents, measured use, open tasks and the rest of budgets.
//!
//! Every read is bounded. Nothing is locked: a plan is judged by what is the case when it is made.

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        ids::{GoalId, ProjectId, TaskId},
        plan::discovered::Left,
        settings,
        spend::measured::{ENOUGH_TASKS, MeasuredOf},
    },
    store::{Tx, traced},
};

/// Agents with equal capabilities.
#[derive(Debug)]
pub struct AgentGroupRow {
    /// Their capabilities.
    pub capabilities: Vec<String>,
    /// Number of them, without retired and archived ones.
    pub agents: i64,
    /// Number of active ones that are online.
    pub online: i64,
    /// Attempts that those online can have at once.
    pub slots: i64,
}

/// The registered agents by their capabilities; at most 500 groups, those with online agents first.
pub async fn agents(tx: &mut Tx) -> sqlx::Result<Vec<AgentGroupRow>> {
    let seen = tx.now - settings::LATE_AFTER;
    sqlx::query_as!(
        AgentGroupRow,
        r#"
        with known as (
            select a.capabilities, a.max_concurrent,
                   a.state = 'active' and coalesce(p.last_seen_at >= $2, false) as online
            from agents a
            left join agent_presence p on p.workspace_id = $1 and p.agent_id = a.agent_id
            where a.workspace_id = $1 and not a.archived and a.state <> 'retired'
        )
        select capabilities, count(*) as "agents!", count(*) filter (where online) as "online!",
               coalesce(sum(max_concurrent) filter (where online), 0)::bigint as "slots!"
        from known group by capabilities
        order by count(*) filter (where online) desc, count(*) desc, capabilities limit 500
        "#,
        tx.workspace.0,
        seen,
    )
    .fetch_all(traced!(tx, "goals.ground.agents"))
    .await
}

/// The spread of what finished tasks used of one unit.
#[derive(Debug)]
pub struct MeasuredRow {
    /// The tasks that were measured.
    pub kind: MeasuredOf,
    /// Their capabilities.
    pub name: String,
    /// The unit.
    pub unit: String,
    /// 10th percentile.
    pub p10: i64,
    /// Median.
    pub p50: i64,
    /// 90th percentile.
    pub p90: i64,
    /// Number of tasks.
    pub tasks: i32,
}

/// What enough finished tasks used; at most 10,000 rows, those of the workspace and of sets first.
pub async fn measured(tx: &mut Tx) -> sqlx::Result<Vec<MeasuredRow>> {
    sqlx::query_as!(
        MeasuredRow,
        r#"
        select kind as "kind: MeasuredOf", name, unit, p10, p50, p90, tasks
        from measured_use
        where workspace_id = $1 and tasks >= $2
        order by kind desc, name, unit limit 10000
        "#,
        tx.workspace.0,
        ENOUGH_TASKS,
    )
    .fetch_all(traced!(tx, "goals.ground.measured"))
    .await
}

/// How attempts at tasks with a capability ended.
#[derive(Debug)]
pub struct OutcomeRow {
    /// The capability.
    pub capability: String,
    /// Accepted attempts.
    pub succeeded: i32,
    /// Failed, expired and rejected attempts.
    pub failed: i32,
}

/// How attempts ended, by capability; at most 2,000.
pub async fn outcomes(tx: &mut Tx) -> sqlx::Result<Vec<OutcomeRow>> {
    sqlx::query_as!(
        OutcomeRow,
        "select capability, succeeded, failed from capability_outcomes
         where workspace_id = $1 order by capability limit 2000",
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "goals.ground.outcomes"))
    .await
}

/// An open task.
#[derive(Debug)]
pub struct OpenTaskRow {
    /// Its id.
    pub task_id: TaskId,
    /// Its title.
    pub title: String,
    /// Whether it is of the goal itself.
    pub same_goal: bool,
}

/// Open tasks of a goal and of its project; of the 50 newest open goals, at most 1,000 tasks of each are read,
/// and at most 1,000 open ones are returned.
pub async fn open_tasks(
    tx: &mut Tx,
    goal: Option<GoalId>,
    project: Option<ProjectId>,
) -> sqlx::Result<Vec<OpenTaskRow>> {
    sqlx::query_as!(
        OpenTaskRow,
        r#"
        with goals_near as materialized (
            (select goal_id from goals where workspace_id = $1 and goal_id = $2)
            union
            (select goal_id from goals
             where workspace_id = $1 and project_id = $3 and not archived
               and ended_at is null
             order by goal_id desc limit 50)
        )
        select t.task_id as "task_id!: TaskId", x.title as "title!",
               coalesce(t.goal_id = $2, false) as "same_goal!"
        from goals_near g
        cross join lateral (
            select task_id, goal_id, container, ended_at from tasks
            where workspace_id = $1 and goal_id = g.goal_id
            order by position desc, task_id desc limit 1000
        ) t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        where not t.container and t.ended_at is null
        order by 3 desc, t.task_id desc limit 1000
        "#,
        tx.workspace.0,
        goal.map(|id| id.0),
        project.map(|id| id.0),
    )
    .fetch_all(traced!(tx, "goals.ground.open_tasks"))
    .await
}

/// What is left of the limits above a goal that never renew, by unit: the rest of the tightest one. A limit that
/// renews has room again, and one that only notifies stops nothing: neither counts. `workspace`: whether limits of
/// the workspace count.
pub async fn budget_left(
    tx: &mut Tx,
    goal: Option<GoalId>,
    project: Option<ProjectId>,
    workspace: bool,
) -> sqlx::Result<Vec<Left>> {
    sqlx::query_as!(
        Left,
        r#"
        select l.unit, min(greatest(
                   coalesce(w.amount, l.amount)::numeric - coalesce(w.settled, 0)
                   - ceil(coalesce(w.fraction, 0) / 1000000.0) - coalesce(w.reserved, 0),
                   0))::bigint as "amount!"
        from budget_limits l
        join budgets b on b.workspace_id = $1 and b.budget_id = l.budget_id
        left join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
             and w.starts_at <= $5 and (w.ends_at is null or $5 < w.ends_at)
        where l.workspace_id = $1 and l.removed_at is null and l.period = 'lifetime'
          and b.on_exhausted <> 'notify'
          and ((l.node = 'goal' and l.node_id = $2) or (l.node = 'project' and l.node_id = $3)
               or ($4 and l.node = 'workspace' and l.node_id = $1))
        group by l.unit
        order by l.unit
        "#,
        tx.workspace.0,
        goal.map(|id| id.0),
        project.map(|id| id.0),
        workspace,
        tx.now,
    )
    .fetch_all(traced!(tx, "goals.ground.budget_left"))
    .await
}

/// What a goal says to its plan.
#[derive(Debug)]
pub struct GoalGroundRow {
    /// Its project.
    pub project_id: Option<ProjectId>,
    /// When it should be completed.
    pub deadline: Option<DateTime<Utc>>,
    /// Whether it has criteria of its own.
    pub criteria: bool,
}

/// What a goal says to its plan; `None` for an unknown goal.
pub async fn goal(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Option<GoalGroundRow>> {
    sqlx::query_as!(
        GoalGroundRow,
        r#"
        select project_id as "project_id: ProjectId", deadline,
               exists (select from goal_criteria c where c.workspace_id = $1 and c.goal_id = $2)
                   as "criteria!"
        from goals where workspace_id = $1 and goal_id = $2
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_optional(traced!(tx, "goals.ground.goal"))
    .await
}
