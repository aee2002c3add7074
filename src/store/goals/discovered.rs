//! Work that agents discover: what bounds it, and the plans that hold it.

use crate::{
    domain::{
        ids::{ApprovalId, AttemptId, GoalId, PlanId, TaskId},
        plan::discovered::{DiscoveredPolicy, Known, Standing},
    },
    store::{Tx, columns::uuids, traced},
};

/// How far discovered work of a goal, of a task and of an attempt has gone.
pub async fn standing(
    tx: &mut Tx,
    goal: GoalId,
    task: TaskId,
    attempt: AttemptId,
) -> sqlx::Result<Standing> {
    sqlx::query_as!(
        Standing,
        r#"
        with recursive up (task_id, depth) as (
            select $3::uuid, 0::bigint
            union all
            select coalesce(t.discovered_from, t.parent_id),
                   up.depth + (t.discovered_from is not null)::int
            from up join tasks t on t.workspace_id = $1 and t.task_id = up.task_id
            where coalesce(t.discovered_from, t.parent_id) is not null
        )
        select g.discovered as "policy: DiscoveredPolicy", g.plan_approval, g.title as goal_title,
               x.title as task_title,
               (select max(up.depth) from up) as "depth!",
               (select coalesce(sum(jsonb_array_length(p.document)), 0)::bigint from plans p
                where p.workspace_id = $1 and p.discovered_by = $4 and p.state <> 'superseded')
                   as "by_attempt!",
               (select coalesce(sum(jsonb_array_length(p.document)), 0)::bigint from plans p
                where p.workspace_id = $1 and p.goal_id = $2 and p.discovered_from is not null
                  and p.state in ('proposed', 'applied')) as "of_goal!"
        from goals g
        join task_texts x on x.workspace_id = $1 and x.task_id = $3
        where g.workspace_id = $1 and g.goal_id = $2
        "#,
        tx.workspace.0,
        goal.0,
        task.0,
        attempt.0,
    )
    .fetch_one(traced!(tx, "goals.discovered.standing"))
    .await
}

/// The open tasks of a goal, and its tasks that wait for a decision, with the titles of new ones: without
/// regard to case and space. Each with the index of the new one; an open task comes first.
pub async fn known(tx: &mut Tx, goal: GoalId, titles: &[String]) -> sqlx::Result<Vec<Known>> {
    sqlx::query_as!(
        Known,
        r#"
        with wanted as materialized (
            select (n - 1)::int as index,
                   lower(btrim(regexp_replace(title, '\s+', ' ', 'g'))) as title
            from unnest($3::text[]) with ordinality as w (title, n)
        ), found as (
            select w.index, t.task_id, t.ref as reference, null::uuid as plan_id,
                   row_number() over (partition by w.index order by t.position, t.task_id) as n
            from tasks t
            join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
            join wanted w on w.title = lower(btrim(regexp_replace(x.title, '\s+', ' ', 'g')))
            where t.workspace_id = $1 and t.goal_id = $2 and t.ended_at is null
        ), waiting as (
            select w.index, null::uuid as task_id, d.task ->> 'ref' as reference, p.plan_id,
                   row_number() over (partition by w.index order by p.number) as n
            from plans p
            cross join lateral jsonb_array_elements(p.document) as d (task)
            join wanted w on w.title = lower(btrim(regexp_replace(d.task ->> 'title', '\s+', ' ', 'g')))
            where p.workspace_id = $1 and p.goal_id = $2 and p.state = 'proposed'
              and p.discovered_from is not null
        )
        select u.index as "index!", u.task_id as "task_id: TaskId", u.reference as "reference!",
               u.plan_id as "plan_id: PlanId",
               (select a.approval_id from approvals a
                where a.workspace_id = $1 and a.plan_id = u.plan_id and a.state = 'pending'
                order by a.approval_id limit 1) as "approval_id: ApprovalId"
        from (select * from found where n = 1
              union all
              select w.* from waiting w
              where w.n = 1 and not exists (select from found f where f.index = w.index)) u
        order by u.index
        "#,
        tx.workspace.0,
        goal.0,
        titles,
    )
    .fetch_all(traced!(tx, "goals.discovered.known"))
    .await
}

/// Where a plan of discovered work comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discovered {
    /// The task whose attempt discovered it.
    pub from: TaskId,
    /// That attempt.
    pub by: AttemptId,
    /// Whether the goal waits for the decision.
    pub required: bool,
}

/// Where a plan comes from; `None` if nobody discovered it.
pub async fn origin(tx: &mut Tx, plan: PlanId) -> sqlx::Result<Option<Discovered>> {
    sqlx::query_as!(
        Discovered,
        r#"select discovered_from as "from!: TaskId", discovered_by as "by!: AttemptId", required
           from plans where workspace_id = $1 and plan_id = $2 and discovered_from is not null"#,
        tx.workspace.0,
        plan.0,
    )
    .fetch_optional(traced!(tx, "goals.discovered.origin"))
    .await
}

/// Records where a new plan comes from.
pub async fn set_origin(tx: &mut Tx, plan: PlanId, origin: Discovered) -> sqlx::Result<()> {
    sqlx::query!(
        "update plans set discovered_from = $3, discovered_by = $4, required = $5
         where workspace_id = $1 and plan_id = $2",
        tx.workspace.0,
        plan.0,
        origin.from.0,
        origin.by.0,
        origin.required,
    )
    .execute(traced!(tx, "goals.discovered.set_origin"))
    .await?;
    Ok(())
}

/// Whether discovered work keeps a goal from completing.
pub async fn holds_up(tx: &mut Tx, goal: GoalId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
               select from plans
               where workspace_id = $1 and goal_id = $2 and required and state = 'proposed')
               as "held!""#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "goals.discovered.holds_up"))
    .await
}

/// Records which task new tasks were discovered from.
pub async fn set_source(tx: &mut Tx, tasks: &[TaskId], from: TaskId) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks set discovered_from = $3 where workspace_id = $1 and task_id = any($2)",
        tx.workspace.0,
        &uuids(tasks),
        from.0,
    )
    .execute(traced!(tx, "goals.discovered.set_source"))
    .await?;
    Ok(())
}
