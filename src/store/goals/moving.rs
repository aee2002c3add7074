//! What the move of a goal to another project takes along.

use chrono::{DateTime, Utc};

use crate::{
    domain::ids::{GoalId, LimitId},
    store::{Tx, traced},
};

/// Number of running attempts of a goal.
pub async fn running_attempts(tx: &mut Tx, goal: GoalId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from tasks t
           join attempts a on a.workspace_id = $1 and a.task_id = t.task_id and a.state = 'running'
           where t.workspace_id = $1 and t.goal_id = $2 and t.ended_at is null"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_one(traced!(tx, "goals.moving.running_attempts"))
    .await
}

/// Spend of a goal that counts in one window of its project.
#[derive(Debug, Clone)]
pub struct ChargedWindow {
    /// The limit.
    pub limit_id: LimitId,
    /// Start of the window.
    pub starts_at: DateTime<Utc>,
    /// Whole units.
    pub amount: i64,
    /// Millionths of a unit, in addition.
    pub fraction: i64,
}

/// The windows of a goal's project that its ended attempts are charged to, with their spend.
pub async fn charged_to_project(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<ChargedWindow>> {
    sqlx::query_as!(
        ChargedWindow,
        r#"
        with mine as materialized (
            select a.attempt_id, a.started_at, a.ended_at from tasks t
            join attempts a on a.workspace_id = $1 and a.task_id = t.task_id
            where t.workspace_id = $1 and t.goal_id = $2
        ), spent as materialized (
            select m.attempt_id, e.unit, e.amount, e.fraction from mine m
            join spend_entries e on e.workspace_id = $1 and e.attempt_id = m.attempt_id
            union all
            -- What the service measures has no entries.
            select attempt_id, 'attempts', 1, 0 from mine where ended_at is not null
            union all
            select attempt_id, 'wall_ms',
                   floor(extract(epoch from ended_at - started_at) * 1000)::bigint, 0
            from mine where ended_at is not null
        )
        select limit_id as "limit_id!: LimitId", starts_at as "starts_at!",
               sum(amount)::bigint as "amount!", sum(fraction)::bigint as "fraction!"
        from (select c.limit_id, c.starts_at, s.amount, s.fraction
              from spent s
              join charged_windows c on c.workspace_id = $1 and c.attempt_id = s.attempt_id
                   and c.unit = s.unit
              where c.node = 'project'
              union all
              -- Of models that planned.
              select limit_id, starts_at, amount, fraction from charged_planning_windows
              where workspace_id = $1 and goal_id = $2 and node = 'project') charged
        group by limit_id, starts_at
        order by limit_id, starts_at
        "#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "goals.moving.charged_to_project"))
    .await
}

/// Spend of a goal by unit: whole units, and millionths in addition.
pub async fn spent(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<(String, i64, i64)>> {
    let rows = sqlx::query!(
        r#"select unit, sum(amount)::bigint as "amount!", sum(fraction)::bigint as "fraction!"
           from spend_totals
           where workspace_id = $1 and node = 'goal' and node_id = $2
           group by unit order by unit"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "goals.moving.spent"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.unit, row.amount, row.fraction)).collect())
}
