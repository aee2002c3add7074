//! Inputs of forecasts: recent spend, and the spend of a goal's tasks.
//!
//! The functions run in the transaction of a report ([`super::begin`]).

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        budget::{BudgetNode, ask::Estimates},
        ids::{GoalId, TaskId},
        spend::Amounts,
        states::TaskState,
    },
    store::{Tx, traced},
};

/// Spend below a node since a time, by unit, including `attempts` and `wall_ms`. Covers only
/// attempts started at most `look_back` before that time.
pub async fn burned(
    tx: &mut Tx,
    (node, node_id): (BudgetNode, Uuid),
    since: DateTime<Utc>,
    look_back: Duration,
) -> sqlx::Result<Amounts> {
    // Ids of attempts begin with their creation time and are indexed.
    let first = u64::try_from((since - look_back).timestamp_millis()).unwrap_or_default();
    let rows = sqlx::query!(
        r#"
        with below as materialized (
            select a.attempt_id, a.started_at, a.ended_at from attempts a
            join goals g on g.workspace_id = $1 and g.goal_id = a.goal_id
            where a.workspace_id = $1 and a.attempt_id >= $5
              and case $2 when 'task' then a.task_id when 'goal' then a.goal_id
                          when 'agent' then a.agent_id when 'project' then g.project_id
                          else a.workspace_id end = $3
        ), ended as (
            select count(*) as attempts,
                   coalesce(sum(floor(extract(epoch from ended_at - started_at) * 1000)), 0) as wall_ms
            from below where ended_at > $4
        ), burned (unit, amount) as (
            select e.unit, sum(e.amount) + floor(sum(e.fraction) / 1000000.0)
            from below b
            join spend_entries e on e.workspace_id = $1 and e.attempt_id = b.attempt_id
            where e.recorded_at > $4 group by e.unit
            union all
            -- Of models that planned; rows of one unit are added up below.
            select p.unit, sum(p.amount) + floor(sum(p.fraction) / 1000000.0)
            from planning_spend p
            join goals g on g.workspace_id = $1 and g.goal_id = p.goal_id
            where p.workspace_id = $1 and p.recorded_at > $4
              and case $2 when 'goal' then p.goal_id when 'project' then g.project_id
                          when 'workspace' then p.workspace_id end = $3
            group by p.unit
            union all
            select 'attempts', attempts from ended
            union all
            select 'wall_ms', wall_ms from ended
        )
        select unit as "unit!",
               least(greatest(sum(amount), -9223372036854775808), 9223372036854775807)::bigint as "amount!"
        from burned group by unit
        "#,
        tx.workspace.0,
        node.as_str(),
        node_id,
        since,
        uuid::Builder::from_unix_timestamp_millis(first, &[0; 10]).into_uuid(),
    )
    .fetch_all(traced!(tx, "reports.forecasts.burned"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.unit, row.amount)).collect())
}

/// A task of a goal with its spend.
#[derive(Debug)]
pub struct TaskSpend {
    /// Its id.
    pub task_id: TaskId,
    /// Its title.
    pub title: String,
    /// Its state.
    pub state: TaskState,
    /// Whether it is a container.
    pub container: bool,
    /// The estimate of the task itself.
    pub estimate: Option<Json<Estimates>>,
    /// 90th percentile of tasks with the same capabilities, by unit.
    pub usual: Json<Amounts>,
    /// Spend of the task, by unit.
    pub used: Json<Amounts>,
    /// Number of its ended attempts.
    pub attempts: i64,
    /// Total duration of its ended attempts, in milliseconds.
    pub wall_ms: i64,
}

/// Spend and expected spend of a goal's tasks.
pub async fn tasks_of(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<TaskSpend>> {
    sqlx::query_as!(
        TaskSpend,
        r#"
        select t.task_id as "task_id!: TaskId", x.title as "title!", t.state as "state!: TaskState", t.container as "container!",
               x.estimate as "estimate?: Json<Estimates>",
               (select coalesce(jsonb_object_agg(u.unit, u.p90), '{}') from usual_spend u
                where u.workspace_id = $1 and u.capability_key = t.capability_key)
                   as "usual!: Json<Amounts>",
               (select coalesce(jsonb_object_agg(s.unit, s.amount), '{}') from task_spend s
                where s.workspace_id = $1 and s.task_id = t.task_id) as "used!: Json<Amounts>",
               m.attempts as "attempts!", m.wall_ms as "wall_ms!"
        from tasks t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        cross join lateral (
            select count(*) as attempts,
                   least(coalesce(sum(floor(extract(epoch from a.ended_at - a.started_at) * 1000)), 0),
                         9223372036854775807)::bigint as wall_ms
            from attempts a
            where a.workspace_id = $1 and a.task_id = t.task_id and a.ended_at is not null) m
        where t.workspace_id = $1 and t.goal_id = $2
        order by t.position, t.task_id
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "reports.forecasts.tasks_of"))
    .await
}
