//! Usual spend of tasks by capabilities.

use crate::store::{Tx, traced};

/// Computes the 90th percentile per set of capabilities and unit, from the last 2,000 done tasks.
/// Does nothing in a workspace without limits, or with fewer than five tasks of a set. Keeps what was
/// learnt from more tasks if now there are fewer than twenty. Returns the number of changed rows.
pub async fn compute(tx: &mut Tx) -> sqlx::Result<u64> {
    let stored = sqlx::query!(
        r#"
        with latest as materialized (
            select task_id, capability_key from tasks
            where workspace_id = $1 and state = 'done' and attempts_started > 0
              and exists (select from budget_limits where workspace_id = $1)
            order by task_id desc limit 2000
        ), used as (
            -- Task by task: as a join the whole view would be summed up first.
            select l.capability_key, s.unit, s.amount from latest l
            cross join lateral (
                select p.unit, least(sum(p.entries::numeric + p.reported) + ceil(sum(p.fraction) / 1000000), 1000000000000000)::bigint as amount
                from attempts a
                join attempt_spend p on p.workspace_id = $1 and p.attempt_id = a.attempt_id
                where a.workspace_id = $1 and a.task_id = l.task_id group by p.unit) s
            union all
            select l.capability_key, 'wall_ms',
                   least(sum(floor(extract(epoch from a.ended_at - a.started_at) * 1000)), 1000000000000000)::bigint
            from latest l
            join attempts a on a.workspace_id = $1 and a.task_id = l.task_id
            where a.ended_at is not null group by l.task_id, l.capability_key
        )
        insert into usual_spend as old (workspace_id, capability_key, unit, p90, tasks, computed_at)
        select $1, capability_key, unit, percentile_disc(0.9) within group (order by amount),
               count(*)::int, $2
        from used group by capability_key, unit having count(*) >= 5
        on conflict (workspace_id, capability_key, unit) do update
            set p90 = excluded.p90, tasks = excluded.tasks, computed_at = excluded.computed_at
            where (old.p90, old.tasks) is distinct from (excluded.p90, excluded.tasks)
              -- What was learnt from more tasks, which may be pruned, stays until there are enough new ones.
              and excluded.tasks >= least(old.tasks, 20)
        "#,
        tx.workspace.0,
        tx.now,
    )
    .execute(traced!(tx, "spend.usual.compute"))
    .await?;
    Ok(stored.rows_affected())
}
