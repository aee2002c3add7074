//! Goals and their plans: creation, locks, state changes.

pub mod criteria;
pub mod discovered;
pub mod ground;
pub mod moving;
pub mod plans;
pub mod progress;
pub mod read;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use super::{
    Tx, WriteError,
    columns::{names, uuids},
    complete, traced,
};
use crate::domain::{
    access::person::Person,
    goal::TaskCounts,
    ids::{GoalId, KeyId, PlanId, ProjectId},
    plan::{TaskSpec, discovered::DiscoveredPolicy, new_goal::TaskDefaults},
    states::{GoalState, PlanState, Planner},
};

/// A goal to be created.
#[derive(Debug)]
pub struct NewGoal<'a> {
    /// Its id.
    pub goal_id: GoalId,
    /// The project it belongs to.
    pub project_id: Option<ProjectId>,
    /// Title, one line.
    pub title: &'a str,
    /// Its initial state.
    pub state: GoalState,
    /// The planner that makes its plan.
    pub planner: Planner,
    /// 0 (lowest) to 9.
    pub priority: i16,
    /// Its weight in the turns of claims.
    pub weight: i32,
    /// Whether the plan needs an approval.
    pub plan_approval: bool,
    /// Target time for the end of its tasks.
    pub deadline: Option<DateTime<Utc>>,
    /// The key that posted it.
    pub created_by: KeyId,
    /// The people it was posted for.
    pub on_behalf_of: &'a [Person],
    /// Brief in Markdown.
    pub brief: &'a str,
    /// The poster's own JSON object.
    pub metadata: &'a Value,
    /// Settings of tasks that set none themselves, JSON.
    pub task_defaults: &'a Value,
    /// Reworks of a criterion up to which an agent's report makes a further one.
    pub max_rework: i16,
    /// What becomes of discovered work.
    pub discovered: DiscoveredPolicy,
}

/// Creates a goal with its texts.
pub async fn insert(tx: &mut Tx, goal: &NewGoal<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into goals (workspace_id, goal_id, project_id, title, state, planner, priority,
                            plan_approval, deadline, created_by, created_at, updated_at,
                            on_behalf_of, max_rework, discovered, weight)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13, $14, $15)",
        tx.workspace.0,
        goal.goal_id.0,
        goal.project_id.map(|id| id.0),
        goal.title,
        goal.state.as_str(),
        goal.planner.as_str(),
        goal.priority,
        goal.plan_approval,
        goal.deadline,
        goal.created_by.0,
        tx.now,
        &names(goal.on_behalf_of),
        goal.max_rework,
        goal.discovered.as_str(),
        goal.weight,
    )
    .execute(traced!(tx, "goals.insert"))
    .await?;
    sqlx::query!(
        "insert into goal_texts (workspace_id, goal_id, brief, metadata, task_defaults)
         values ($1, $2, $3, $4, $5)",
        tx.workspace.0,
        goal.goal_id.0,
        goal.brief,
        goal.metadata,
        goal.task_defaults,
    )
    .execute(traced!(tx, "goals.insert"))
    .await?;
    Ok(())
}

/// Raises the version of a goal.
pub(super) async fn raise_version(tx: &mut Tx, goal: GoalId) -> sqlx::Result<()> {
    sqlx::query!(
        "update goals set version = version + 1, updated_at = $3
         where workspace_id = $1 and goal_id = $2",
        tx.workspace.0,
        goal.0,
        tx.now,
    )
    .execute(traced!(tx, "goals.raise_version"))
    .await?;
    Ok(())
}

/// The facts of a goal for the rules.
#[derive(Debug, Clone)]
pub struct GoalFacts {
    /// The goal.
    pub goal_id: GoalId,
    /// Its project.
    pub project_id: Option<ProjectId>,
    /// Its state.
    pub state: GoalState,
    /// Priority that its tasks inherit.
    pub priority: i16,
    /// Whether its plan needed an approval.
    pub plan_approval: bool,
    /// Numbers of its tasks by state.
    pub counts: TaskCounts,
    /// Its version.
    pub version: i32,
    /// The people it was posted for.
    pub on_behalf_of: Vec<String>,
}

/// Locks goals in id order.
pub async fn lock(tx: &mut Tx, goals: &[GoalId]) -> sqlx::Result<Vec<GoalFacts>> {
    let rows = sqlx::query!(
        r#"
        select goal_id as "goal_id: GoalId", project_id as "project_id: ProjectId",
               state as "state: GoalState", priority, plan_approval, tasks_total, tasks_open,
               tasks_done, tasks_failed, tasks_cancelled, version, on_behalf_of
        from goals where workspace_id = $1 and goal_id = any($2)
        order by goal_id for no key update
        "#,
        tx.workspace.0,
        &uuids(goals),
    )
    .fetch_all(traced!(tx, "goals.lock"))
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| GoalFacts {
            goal_id: row.goal_id,
            project_id: row.project_id,
            state: row.state,
            priority: row.priority,
            plan_approval: row.plan_approval,
            counts: TaskCounts {
                total: row.tasks_total,
                open: row.tasks_open,
                done: row.tasks_done,
                failed: row.tasks_failed,
                cancelled: row.tasks_cancelled,
            },
            version: row.version,
            on_behalf_of: row.on_behalf_of,
        })
        .collect())
}

/// Sets the state of a goal.
///
/// # Errors
/// When the goal has ended.
pub async fn set_state(
    tx: &mut Tx,
    goal: GoalId,
    state: GoalState,
    reason: Option<&str>,
) -> Result<(), WriteError> {
    let changed = sqlx::query!(
        "update goals set state = $3, end_reason = coalesce($4, end_reason),
                ended_at = case when $5 then $6::timestamptz end, version = version + 1,
                updated_at = $6
         where workspace_id = $1 and goal_id = $2 and ended_at is null",
        tx.workspace.0,
        goal.0,
        state.as_str(),
        reason,
        state.is_terminal(),
        tx.now,
    )
    .execute(traced!(tx, "goals.set_state"))
    .await?;
    complete(&changed, 1, "a goal that has ended was to be moved")
}

/// Makes a completed, failed or verifying goal active again.
///
/// # Errors
/// When the goal is in another state.
pub async fn reactivate(tx: &mut Tx, goal: GoalId) -> Result<(), WriteError> {
    let changed = sqlx::query!(
        "update goals set state = 'active', end_reason = null, ended_at = null,
                acknowledged_at = null, archived = false, archived_at = null,
                version = version + 1, updated_at = $3
         where workspace_id = $1 and goal_id = $2 and state in ('completed', 'failed', 'verifying')",
        tx.workspace.0,
        goal.0,
        tx.now,
    )
    .execute(traced!(tx, "goals.reactivate"))
    .await?;
    complete(&changed, 1, "a goal that is worked on or cancelled was to be active again")
}

/// Records that a person acknowledged the failure of a locked goal; returns whether it is new.
pub async fn acknowledge(tx: &mut Tx, goal: GoalId) -> sqlx::Result<bool> {
    let changed = sqlx::query!(
        "update goals set acknowledged_at = $3, version = version + 1
         where workspace_id = $1 and goal_id = $2 and acknowledged_at is null",
        tx.workspace.0,
        goal.0,
        tx.now,
    )
    .execute(traced!(tx, "goals.acknowledge"))
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// Archives a goal, or puts it back into the lists. The caller holds its lock.
pub async fn set_archived(tx: &mut Tx, goal: GoalId, archived: bool) -> sqlx::Result<()> {
    sqlx::query!(
        "update goals set archived = $3, archived_at = case when $3 then $4::timestamptz end,
                version = version + 1, updated_at = $4
         where workspace_id = $1 and goal_id = $2",
        tx.workspace.0,
        goal.0,
        archived,
        tx.now,
    )
    .execute(traced!(tx, "goals.set_archived"))
    .await?;
    Ok(())
}

/// Numbers of failed and of cancelled tasks that count against a goal. Descendants of a done task
/// with subtasks do not: its own result replaces theirs. Nor do the tasks of the goal's verification, nor
/// those of a cancelled task, which no retry brings back, nor what a plan dropped. A failed container is no failure of its own: what
/// failed is inside it, or was retried since and is done.
pub async fn not_made_up_for(tx: &mut Tx, goal: GoalId) -> sqlx::Result<(i32, i32)> {
    let row = sqlx::query!(
        r#"
        with recursive made_up (task_id) as (
            select c.task_id from tasks p
            join tasks c on c.workspace_id = $1 and c.parent_id = p.task_id
            where p.workspace_id = $1 and p.goal_id = $2
              and (p.purpose is not null or p.dropped or p.state = 'done' and not p.container
                   or p.state = 'cancelled')
            union
            select c.task_id from made_up m
            join tasks c on c.workspace_id = $1 and c.parent_id = m.task_id
        )
        select count(*) filter (where state = 'failed' and not container)::int as "failed!",
               count(*) filter (where state = 'cancelled' or container)::int as "cancelled!"
        from tasks
        where workspace_id = $1 and goal_id = $2 and state in ('failed', 'cancelled')
          and purpose is null and not dropped and task_id not in (select task_id from made_up)
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "goals.not_made_up_for"))
    .await?;
    Ok((row.failed, row.cancelled))
}

/// Active goals with tasks, none of them open, that nothing holds up.
pub async fn to_roll_up(tx: &mut Tx) -> sqlx::Result<Vec<GoalId>> {
    sqlx::query_scalar!(
        r#"select goal_id as "goal_id: GoalId" from goals
           where workspace_id = $1 and state = 'active' and tasks_open = 0 and tasks_total > 0
             and not exists (
                 select from plans p
                 where p.workspace_id = $1 and p.goal_id = goals.goal_id and p.required
                   and p.state = 'proposed')
           order by goal_id limit 200"#,
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "goals.to_roll_up"))
    .await
}

/// The values of a goal after an edit.
#[derive(Debug)]
pub struct GoalEdit<'a> {
    /// Title, one line.
    pub title: &'a str,
    /// 0 (lowest) to 9.
    pub priority: i16,
    /// Its weight in the turns of claims.
    pub weight: i32,
    /// Target time for the end of its tasks.
    pub deadline: Option<DateTime<Utc>>,
    /// The project it belongs to.
    pub project_id: Option<ProjectId>,
    /// Brief in Markdown.
    pub brief: &'a str,
    /// The poster's own JSON object.
    pub metadata: &'a Value,
    /// Settings of tasks that set none themselves, JSON.
    pub task_defaults: &'a Value,
    /// What becomes of discovered work.
    pub discovered: DiscoveredPolicy,
}

/// Edits a goal.
pub async fn edit(tx: &mut Tx, goal: GoalId, edit: &GoalEdit<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "update goals set title = $3, priority = $4, deadline = $5, project_id = $6,
                discovered = $8, weight = $9, version = version + 1, updated_at = $7
         where workspace_id = $1 and goal_id = $2",
        tx.workspace.0,
        goal.0,
        edit.title,
        edit.priority,
        edit.deadline,
        edit.project_id.map(|id| id.0),
        tx.now,
        edit.discovered.as_str(),
        edit.weight,
    )
    .execute(traced!(tx, "goals.edit"))
    .await?;
    sqlx::query!(
        "update goal_texts set brief = $3, metadata = $4, task_defaults = $5
         where workspace_id = $1 and goal_id = $2",
        tx.workspace.0,
        goal.0,
        edit.brief,
        edit.metadata,
        edit.task_defaults,
    )
    .execute(traced!(tx, "goals.edit"))
    .await?;
    Ok(())
}

/// The settings of a goal's tasks that set none themselves.
pub async fn task_defaults(tx: &mut Tx, goal: GoalId) -> sqlx::Result<TaskDefaults> {
    let defaults = sqlx::query_scalar!(
        r#"select task_defaults as "task_defaults: Json<TaskDefaults>" from goal_texts
           where workspace_id = $1 and goal_id = $2"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "goals.task_defaults"))
    .await?;
    Ok(defaults.0)
}

/// Changes the priority of a goal's open tasks. The caller ranks them again.
pub async fn reprioritise(tx: &mut Tx, goal: GoalId, before: i16, after: i16) -> sqlx::Result<()> {
    // Only tasks with the goal's former priority follow; others have one of their own.
    sqlx::query!(
        "with mine as materialized (
             select task_id from tasks
             where workspace_id = $1 and goal_id = $2 and ended_at is null and priority = $3
             order by task_id for no key update
         )
         update tasks t set priority = $4, version = version + 1
         from mine where t.workspace_id = $1 and t.task_id = mine.task_id",
        tx.workspace.0,
        goal.0,
        before,
        after,
    )
    .execute(traced!(tx, "goals.reprioritise"))
    .await?;
    Ok(())
}

/// Stores a plan as the goal's next; returns its number.
pub async fn insert_plan(
    tx: &mut Tx,
    goal: GoalId,
    plan: PlanId,
    planner: Planner,
    state: PlanState,
    document: &Value,
    notes: &Value,
) -> sqlx::Result<i32> {
    sqlx::query_scalar!(
        "insert into plans (workspace_id, plan_id, goal_id, number, state, planner, document, notes,
                            created_at, applied_at)
         select $1, $2, $3, coalesce(max(number), 0) + 1, $4, $5, $6, $7, $8,
                case when $4 = 'applied' then $8::timestamptz end
         from plans where workspace_id = $1 and goal_id = $3
         returning number",
        tx.workspace.0,
        plan.0,
        goal.0,
        state.as_str(),
        planner.as_str(),
        document,
        notes,
        tx.now,
    )
    .fetch_one(traced!(tx, "goals.insert_plan"))
    .await
}

/// Reads and locks a plan's document.
pub async fn plan_document(tx: &mut Tx, plan: PlanId) -> sqlx::Result<Vec<TaskSpec>> {
    let document = sqlx::query_scalar!(
        r#"select document as "document: Json<Vec<TaskSpec>>" from plans
           where workspace_id = $1 and plan_id = $2 for no key update"#,
        tx.workspace.0,
        plan.0,
    )
    .fetch_one(traced!(tx, "goals.plan_document"))
    .await?;
    Ok(document.0)
}

/// Rejects the proposed plans of a cancelled goal.
pub async fn drop_proposed_plans(tx: &mut Tx, goal: GoalId) -> sqlx::Result<()> {
    sqlx::query!(
        "update plans set state = 'rejected'
         where workspace_id = $1 and goal_id = $2 and state = 'proposed'",
        tx.workspace.0,
        goal.0,
    )
    .execute(traced!(tx, "goals.drop_proposed_plans"))
    .await?;
    Ok(())
}

/// Decides a proposed plan.
pub async fn set_plan_state(tx: &mut Tx, plan: PlanId, state: PlanState) -> sqlx::Result<()> {
    sqlx::query!(
        "update plans set state = $3,
                applied_at = case when $3 = 'applied' then $4::timestamptz end
         where workspace_id = $1 and plan_id = $2",
        tx.workspace.0,
        plan.0,
        state.as_str(),
        tx.now,
    )
    .execute(traced!(tx, "goals.set_plan_state"))
    .await?;
    Ok(())
}

/// The project of a goal; the outer `None` if there is no such goal.
pub async fn project_of(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Option<Option<ProjectId>>> {
    sqlx::query_scalar!(
        r#"select project_id as "project_id: ProjectId" from goals
           where workspace_id = $1 and goal_id = $2"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_optional(traced!(tx, "goals.project_of"))
    .await
}
