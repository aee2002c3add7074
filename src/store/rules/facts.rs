//! The facts of tasks and goals that rules check, read in one statement for many.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::types::Json;

use crate::{
    domain::{
        budget::ask::Estimates,
        ids::{AttemptId, GoalId, TaskId},
        loops::Pattern,
        rule::{Failure, Share},
        spend::Amounts,
    },
    store::{Tx, columns::uuids, traced},
};

/// The facts of an open task.
#[derive(Debug, Clone)]
pub struct TaskRow {
    /// The task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// The running attempt.
    pub attempt_id: Option<AttemptId>,
    /// Usage of the task's own limits.
    pub shares: Json<Vec<Share>>,
    /// Number of attempts that count as failed.
    pub failures: i32,
    /// The last two failures, the latest first.
    pub last_failures: Json<Vec<Failure>>,
    /// Time of the last new progress of the running attempt.
    pub progressed_at: Option<DateTime<Utc>>,
    /// Spend of the task, by unit.
    pub used: Json<Amounts>,
    /// Estimate of the task.
    pub estimate: Option<Json<Estimates>>,
    /// Number of rejected results.
    pub rework: i64,
    /// Number of subtasks, while some are open.
    pub subtasks: i64,
    /// Capabilities it requires.
    pub capabilities: Vec<String>,
    /// The current loops of the running attempt.
    pub loops: Vec<Pattern>,
    /// Number of all its loops, ended ones included.
    pub loops_found: i64,
}

/// The facts of open tasks; omits containers.
pub async fn of_tasks(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<TaskRow>> {
    sqlx::query_as!(
        TaskRow,
        r#"
        select t.task_id as "task_id: TaskId", t.goal_id as "goal_id: GoalId",
               a.attempt_id as "attempt_id?: AttemptId", t.attempts_used as failures,
               coalesce((
                   select jsonb_agg(jsonb_build_object('unit', l.unit, 'limit', w.amount,
                              'used',
                              least(w.settled + ceil(w.fraction / 1000000.0), 9223372036854775807)::bigint, 'starts_at', w.starts_at))
                   from budget_limits l
                   join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
                        and w.starts_at <= $2 and (w.ends_at is null or w.ends_at > $2)
                   where l.workspace_id = $1 and l.node = 'task' and l.node_id = t.task_id
                     and l.removed_at is null), '[]') as "shares!: Json<Vec<Share>>",
               coalesce((
                   select jsonb_agg(jsonb_build_object('class', f.failure_class,
                              'message', coalesce(f.message, '')) order by f.number desc)
                   from (select b.number, r.failure_class, r.message from attempts b
                         join attempt_results r on r.workspace_id = $1 and r.attempt_id = b.attempt_id
                         where b.workspace_id = $1 and b.task_id = t.task_id
                           and b.state in ('failed', 'expired') and r.failure_class is not null
                         order by b.number desc limit 2) f), '[]')
                   as "last_failures!: Json<Vec<Failure>>",
               case when a.attempt_id is not null
                    then coalesce(p.progressed_at, p.updated_at, a.started_at) end as progressed_at,
               (select coalesce(jsonb_object_agg(s.unit, s.amount), '{}') from task_spend s
                where s.workspace_id = $1 and s.task_id = t.task_id) as "used!: Json<Amounts>",
               x.estimate as "estimate?: Json<Estimates>",
               (select count(*) from attempts b where b.workspace_id = $1 and b.task_id = t.task_id
                and b.state = 'rejected') as "rework!",
               case when t.children_open > 0 then
                   (select count(*) from tasks c where c.workspace_id = $1 and c.parent_id = t.task_id)
                   else 0 end as "subtasks!",
               c.capabilities as "capabilities!",
               array(select l.pattern from attempt_loops l where l.workspace_id = $1
                     and l.attempt_id = a.attempt_id and l.left_at is null order by l.loop_id desc)
                   as "loops!: Vec<Pattern>",
               (select count(*) from attempt_loops l where l.workspace_id = $1
                and l.task_id = t.task_id) as "loops_found!"
        from tasks t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        join capability_sets c on c.workspace_id = $1 and c.capability_key = t.capability_key
        left join attempts a on a.workspace_id = $1 and a.attempt_id = t.current_attempt_id
             and a.state = 'running'
        left join attempt_progress p on p.workspace_id = $1 and p.attempt_id = a.attempt_id
        where t.workspace_id = $1 and t.task_id = any($3) and t.ended_at is null and not t.container
        "#,
        tx.workspace.0,
        tx.now,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "rules.facts.of_tasks"))
    .await
}

/// The facts of an active or verifying goal.
#[derive(Debug, Clone)]
pub struct GoalRow {
    /// The goal.
    pub goal_id: GoalId,
    /// Usage of the goal's own limits.
    pub shares: Json<Vec<Share>>,
    /// Target time for the end of its tasks.
    pub deadline: Option<DateTime<Utc>>,
}

/// The facts of active and verifying goals, without their critical path.
pub async fn of_goals(tx: &mut Tx, goals: &[GoalId]) -> sqlx::Result<Vec<GoalRow>> {
    sqlx::query_as!(
        GoalRow,
        r#"
        select g.goal_id as "goal_id: GoalId", g.deadline,
               coalesce((
                   select jsonb_agg(jsonb_build_object('unit', l.unit, 'limit', w.amount,
                              'used',
                              least(w.settled + ceil(w.fraction / 1000000.0), 9223372036854775807)::bigint, 'starts_at', w.starts_at))
                   from budget_limits l
                   join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
                        and w.starts_at <= $2 and (w.ends_at is null or w.ends_at > $2)
                   where l.workspace_id = $1 and l.node = 'goal' and l.node_id = g.goal_id
                     and l.removed_at is null), '[]') as "shares!: Json<Vec<Share>>"
        from goals g
        where g.workspace_id = $1 and g.goal_id = any($3)
          and g.state in ('active', 'verifying')
        "#,
        tx.workspace.0,
        tx.now,
        &uuids(goals),
    )
    .fetch_all(traced!(tx, "rules.facts.of_goals"))
    .await
}

/// An open task with its expected duration.
#[derive(Debug, Clone)]
pub struct RestRow {
    /// The task.
    pub task_id: TaskId,
    /// Its container, or the task that added it.
    pub parent_id: Option<TaskId>,
    /// Whether it is a container.
    pub container: bool,
    /// Its unsatisfied dependencies.
    pub needs: Vec<uuid::Uuid>,
    /// The estimate of the task itself.
    pub estimate: Option<Json<Estimates>>,
    /// 90th percentile of the duration of tasks with the same capabilities, in milliseconds.
    pub usual_ms: Option<i64>,
    /// Total duration of its attempts so far, in milliseconds.
    pub took_ms: i64,
}

/// The open tasks of a goal.
pub async fn rest_of(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<RestRow>> {
    sqlx::query_as!(
        RestRow,
        r#"
        select t.task_id as "task_id: TaskId", t.parent_id as "parent_id: TaskId", t.container,
               array(select d.needs_task_id from dependencies d
                     where d.workspace_id = $1 and d.task_id = t.task_id and d.satisfied_at is null)
                   as "needs!",
               x.estimate as "estimate?: Json<Estimates>",
               (select u.p90 from usual_spend u where u.workspace_id = $1
                and u.capability_key = t.capability_key and u.unit = 'wall_ms') as usual_ms,
               case when t.attempts_started = 0 then 0 else (
                   select least(coalesce(sum(floor(extract(epoch from
                              coalesce(a.ended_at, $2) - a.started_at) * 1000)), 0),
                          9223372036854775807)::bigint
                   from attempts a where a.workspace_id = $1 and a.task_id = t.task_id)
                   end as "took_ms!"
        from tasks t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        where t.workspace_id = $1 and t.goal_id = $3 and t.ended_at is null
        "#,
        tx.workspace.0,
        tx.now,
        goal.0,
    )
    .fetch_all(traced!(tx, "rules.facts.rest_of"))
    .await
}

/// Mean total duration of the attempts of a goal's done tasks.
pub async fn mean_of_done(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Option<TimeDelta>> {
    let mean = sqlx::query_scalar!(
        r#"
        select (ceil(sum(extract(epoch from a.ended_at - a.started_at) * 1000)
                / nullif(count(distinct t.task_id), 0)))::bigint
        from tasks t
        join attempts a on a.workspace_id = $1 and a.task_id = t.task_id and a.ended_at is not null
        where t.workspace_id = $1 and t.goal_id = $2 and t.state = 'done' and not t.container
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "rules.facts.mean_of_done"))
    .await?;
    Ok(mean.map(TimeDelta::milliseconds))
}
