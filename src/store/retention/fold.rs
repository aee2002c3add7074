//! Folding of spend: what is kept of the spend of goals that are pruned.
//!
//! The functions run in the transaction that deletes the goals, after their tasks and attempts were locked.
//! Rows are written in the order of their keys, so two prunings never wait for each other in a circle.

use crate::{
    domain::spend::{CORRECTION_PREFIX, RERATE_PREFIX},
    store::{Tx, tables::Owned, traced},
};

/// Adds the attempts and entries of goals, and the spend of models that planned them, to the daily totals.
pub async fn days(tx: &mut Tx, owned: &Owned) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        -- The entries of each attempt, added up per day.
        with entries as materialized (
            select e.attempt_id, (e.recorded_at at time zone 'UTC')::date as day, e.unit,
                   coalesce(e.model, '') as model, coalesce(e.provider, '') as provider,
                   starts_with(e.entry_key, $3) or starts_with(e.entry_key, $4) as correction,
                   sum(e.amount) as amount, sum(e.fraction) as fraction
            from spend_entries e
            where e.workspace_id = $1 and e.attempt_id = any($2)
            group by 1, 2, 3, 4, 5, 6
        -- The days and models of each attempt: a report counts it once for each of them.
        ), marks as (
            select attempt_id, jsonb_agg(distinct jsonb_build_array(day, model)) as marks
            from entries group by attempt_id
        -- The group of each attempt.
        ), grouped as materialized (
            select a.attempt_id, a.agent_id, g.project_id, t.capability_key, s.started_day,
                   floor(extract(epoch from a.ended_at - a.started_at) * 1000) as wall_ms,
                   md5(jsonb_build_array(a.agent_id, g.project_id, t.capability_key, s.started_day,
                                         m.marks)::text)::uuid as group_id
            from attempts a
            join goals g on g.workspace_id = $1 and g.goal_id = a.goal_id
            join tasks t on t.workspace_id = $1 and t.task_id = a.task_id
            cross join lateral (select (a.started_at at time zone 'UTC')::date as started_day) s
            left join marks m on m.attempt_id = a.attempt_id
            where a.workspace_id = $1 and a.attempt_id = any($2)
        ), counted as (
            insert into folded_attempts as old (workspace_id, group_id, agent_id, project_id,
                                                capability_key, started_day, attempts, wall_ms)
            select $1, group_id, agent_id, project_id, capability_key, started_day, count(*),
                   sum(wall_ms)::bigint
            from grouped
            group by group_id, agent_id, project_id, capability_key, started_day
            order by group_id
            on conflict (workspace_id, group_id) do update
                set attempts = old.attempts + excluded.attempts, wall_ms = old.wall_ms + excluded.wall_ms
        )
        insert into folded_spend as old (workspace_id, group_id, day, unit, model, provider,
                                         correction, amount, fraction)
        select $1, g.group_id, e.day, e.unit, e.model, e.provider, e.correction,
               sum(e.amount)::bigint, sum(e.fraction)::bigint
        from entries e
        join grouped g on g.attempt_id = e.attempt_id
        group by g.group_id, e.day, e.unit, e.model, e.provider, e.correction
        order by g.group_id, e.day, e.unit, e.model, e.provider, e.correction
        on conflict (workspace_id, group_id, day, unit, model, provider, correction) do update
            set amount = old.amount + excluded.amount, fraction = old.fraction + excluded.fraction
        "#,
        tx.workspace.0,
        &owned.attempts,
        RERATE_PREFIX,
        CORRECTION_PREFIX,
    )
    .execute(traced!(tx, "retention.fold.days"))
    .await?;
    planned(tx, owned).await
}

/// Adds the spend of models that planned goals to the daily totals: groups without attempts.
async fn planned(tx: &mut Tx, owned: &Owned) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        with entries as materialized (
            select g.project_id, (p.recorded_at at time zone 'UTC')::date as day, p.unit, p.model,
                   coalesce(p.provider, '') as provider, sum(p.amount) as amount,
                   sum(p.fraction) as fraction,
                   md5(jsonb_build_array('planning', g.project_id,
                                         (p.recorded_at at time zone 'UTC')::date)::text)::uuid as group_id
            from planning_spend p
            join goals g on g.workspace_id = $1 and g.goal_id = p.goal_id
            where p.workspace_id = $1 and p.goal_id = any($2)
            group by 1, 2, 3, 4, 5
        ), counted as (
            insert into folded_attempts (workspace_id, group_id, project_id, capability_key,
                                         started_day, attempts, wall_ms)
            select distinct $1::uuid, group_id, project_id, '', day, 0, 0 from entries
            order by group_id
            on conflict (workspace_id, group_id) do nothing
        )
        insert into folded_spend as old (workspace_id, group_id, day, unit, model, provider,
                                         correction, amount, fraction)
        select $1, group_id, day, unit, model, provider, false, sum(amount)::bigint,
               sum(fraction)::bigint
        from entries
        group by group_id, day, unit, model, provider
        order by group_id, day, unit, model, provider
        on conflict (workspace_id, group_id, day, unit, model, provider, correction) do update
            set amount = old.amount + excluded.amount, fraction = old.fraction + excluded.fraction
        "#,
        tx.workspace.0,
        &owned.goals,
    )
    .execute(traced!(tx, "retention.fold.planned"))
    .await?;
    Ok(())
}

/// Adds the spend of goals to the folded part of the windows of agents, projects and the workspace. The
/// windows themselves have it already.
pub async fn windows(tx: &mut Tx, owned: &Owned) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        -- As a check of the windows adds it up.
        with spent as materialized (
            select attempt_id, unit, sum(amount) as amount, sum(fraction) as fraction
            from spend_entries
            where workspace_id = $1 and attempt_id = any($2)
            group by attempt_id, unit
            union all
            select attempt_id, 'attempts', 1, 0 from attempts
            where workspace_id = $1 and attempt_id = any($2)
            union all
            select attempt_id, 'wall_ms', floor(extract(epoch from ended_at - started_at) * 1000), 0
            from attempts
            where workspace_id = $1 and attempt_id = any($2)
        )
        insert into folded_windows as old (workspace_id, limit_id, starts_at, amount, fraction)
        select $1, limit_id, starts_at, sum(amount)::bigint, sum(fraction)::bigint
        from (select c.limit_id, c.starts_at, s.amount, s.fraction
              from spent s
              join charged_windows c on c.workspace_id = $1 and c.attempt_id = s.attempt_id
                   and c.unit = s.unit and c.node in ('agent', 'project', 'workspace')
              union all
              -- Of models that planned.
              select limit_id, starts_at, amount, fraction from charged_planning_windows
              where workspace_id = $1 and goal_id = any($3) and node <> 'goal') charged
        where exists (select from budget_limits where workspace_id = $1)
        group by limit_id, starts_at
        order by limit_id, starts_at
        on conflict (workspace_id, limit_id, starts_at) do update
            set amount = old.amount + excluded.amount, fraction = old.fraction + excluded.fraction
        "#,
        tx.workspace.0,
        &owned.attempts,
        &owned.goals,
    )
    .execute(traced!(tx, "retention.fold.windows"))
    .await?;
    Ok(())
}
