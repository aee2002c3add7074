//! Usual spend of tasks by capabilities, its spread, and how attempts end.

use crate::{
    domain::spend::measured::ENOUGH_TASKS,
    store::{Tx, traced},
};

/// Computes what the last 2,000 done tasks used, in one pass over them.
///
/// For reservations: the 90th percentile per set of capabilities and unit, in a workspace with limits, from
/// five tasks of a set. For plans, prompts and progress: the spread per set, per capability and of all tasks, from
/// [`ENOUGH_TASKS`]; the duration per set from one. Keeps what was learnt from more tasks if now there are fewer
/// than twenty. A divided task is a container and does not count: its attempts did not do it. Returns the number
/// of changed rows.
pub async fn compute(tx: &mut Tx) -> sqlx::Result<u64> {
    let changed = sqlx::query_scalar!(
        r#"
        with latest as materialized (
            select task_id, capability_key from tasks
            where workspace_id = $1 and state = 'done' and attempts_started > 0 and not container
            order by task_id desc limit 2000
        ), used as materialized (
            -- Task by task: as a join the whole view would be summed up first.
            select l.capability_key, s.unit, s.amount from latest l
            cross join lateral (
                select p.unit, least(sum(p.entries::numeric + p.reported) + ceil(sum(p.fraction) / 1000000), 1000000000000000)::bigint as amount
                from attempts a
                join attempt_spend p on p.workspace_id = $1 and p.attempt_id = a.attempt_id
                where a.workspace_id = $1 and a.task_id = l.task_id group by p.unit) s
            union all
            select l.capability_key, 'wall_ms',
                   least(sum(greatest(floor(extract(epoch from a.ended_at - a.started_at) * 1000), 0)),
                         1000000000000000)::bigint
            from latest l
            join attempts a on a.workspace_id = $1 and a.task_id = l.task_id
            where a.ended_at is not null group by l.task_id, l.capability_key
        ), usual as (
        insert into usual_spend as old (workspace_id, capability_key, unit, p90, tasks, computed_at)
        select $1, capability_key, unit, percentile_disc(0.9) within group (order by amount),
               count(*)::int, $2
        from used where exists (select from budget_limits where workspace_id = $1)
        group by capability_key, unit having count(*) >= 5
        on conflict (workspace_id, capability_key, unit) do update
            set p90 = excluded.p90, tasks = excluded.tasks, computed_at = excluded.computed_at
            where (old.p90, old.tasks) is distinct from (excluded.p90, excluded.tasks)
              -- What was learnt from more tasks, which may be pruned, stays until there are enough new ones.
              and excluded.tasks >= least(old.tasks, 20)
            returning 1
        ), kinds as (
            select 'workspace' as kind, '' as name, unit, amount from used
            union all
            select 'set', capability_key, unit, amount from used
            union all
            select 'capability', c.capability, u.unit, u.amount from used u
            join capability_sets s on s.workspace_id = $1 and s.capability_key = u.capability_key
            cross join lateral unnest(s.capabilities) as c (capability)
        ), measured as (
        insert into measured_use as old (workspace_id, kind, name, unit, p10, p50, p90, tasks, computed_at)
        select $1, kind, name, unit, percentile_disc(0.1) within group (order by amount),
               percentile_disc(0.5) within group (order by amount),
               percentile_disc(0.9) within group (order by amount), count(*)::int, $2
        from kinds group by kind, name, unit
        having count(*) >= $3::int or (kind = 'set' and unit = 'wall_ms')
        on conflict (workspace_id, kind, name, unit) do update
            set p10 = excluded.p10, p50 = excluded.p50, p90 = excluded.p90, tasks = excluded.tasks,
                computed_at = excluded.computed_at
            where (old.p10, old.p50, old.p90, old.tasks)
                  is distinct from (excluded.p10, excluded.p50, excluded.p90, excluded.tasks)
              and excluded.tasks >= least(old.tasks, 20)
            returning 1
        )
        select (select count(*) from usual) + (select count(*) from measured) as "changed!"
        "#,
        tx.workspace.0,
        tx.now,
        ENOUGH_TASKS,
    )
    .fetch_one(traced!(tx, "spend.usual.compute"))
    .await?;
    Ok(u64::try_from(changed).unwrap_or_default())
}

/// Counts how attempts ended at the last 2,000 done and the last 2,000 failed tasks, by capability. Returns the
/// number of changed rows.
pub async fn count_outcomes(tx: &mut Tx) -> sqlx::Result<u64> {
    let stored = sqlx::query!(
        r#"
        with done as materialized (
            select task_id, capability_key from tasks
            where workspace_id = $1 and state = 'done' and attempts_started > 0
            order by task_id desc limit 2000
        ), failed as materialized (
            select task_id, capability_key from tasks
            where workspace_id = $1 and state = 'failed' and attempts_started > 0
            order by task_id desc limit 2000
        )
        insert into capability_outcomes as old (workspace_id, capability, succeeded, failed, computed_at)
        select $1, c.capability, count(*) filter (where a.state = 'accepted')::int,
               count(*) filter (where a.state in ('failed', 'expired', 'rejected'))::int, $2
        from (select * from done union all select * from failed) t
        join capability_sets s on s.workspace_id = $1 and s.capability_key = t.capability_key
        cross join lateral unnest(s.capabilities) as c (capability)
        join attempts a on a.workspace_id = $1 and a.task_id = t.task_id
        where a.state in ('accepted', 'failed', 'expired', 'rejected')
        group by c.capability
        on conflict (workspace_id, capability) do update
            set succeeded = excluded.succeeded, failed = excluded.failed, computed_at = excluded.computed_at
            where (old.succeeded, old.failed) is distinct from (excluded.succeeded, excluded.failed)
              -- What was learnt from more attempts, which may be pruned, stays until there are enough new ones.
              and excluded.succeeded + excluded.failed >= least(old.succeeded + old.failed, 20)
        "#,
        tx.workspace.0,
        tx.now,
    )
    .execute(traced!(tx, "spend.usual.count_outcomes"))
    .await?;
    Ok(stored.rows_affected())
}
