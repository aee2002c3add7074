//! Violations of the invariants of budgets: every window equals the reservations and spend of the
//! attempts below its node, and what is kept of pruned ones.

use super::finders;

finders! {
    reserved_counted: "
        with held as (
            select c.limit_id, c.starts_at, sum(r.held) as amount
            from reservations r
            join charged_windows c on c.workspace_id = $1 and c.attempt_id = r.attempt_id
                 and c.unit = r.unit
            where r.workspace_id = $1 and r.closed_at is null
            group by c.limit_id, c.starts_at
            union all
            select limit_id, starts_at, sum(amount) from allocations
            where workspace_id = $1 and closed_at is null group by limit_id, starts_at
        ), sums as (
            select limit_id, starts_at, sum(amount) as amount from held group by limit_id, starts_at
        )
        select l.node, l.node_id::text, l.unit || ' from ' || w.starts_at || ': it has reserved ' ||
               w.reserved || ', what is open below it is ' || coalesce(s.amount, 0)
        from budget_windows w
        join budget_limits l on l.workspace_id = $1 and l.limit_id = w.limit_id
             and l.removed_at is null
        left join sums s on s.limit_id = w.limit_id and s.starts_at = w.starts_at
        where w.workspace_id = $1 and w.reserved <> coalesce(s.amount, 0)";

    settled_counted: "
        with spent as materialized (
            select attempt_id, unit, sum(amount) as amount, sum(fraction) as fraction
            from spend_entries where workspace_id = $1 group by attempt_id, unit
            union all
            select attempt_id, 'attempts', 1, 0 from attempts
            where workspace_id = $1 and ended_at is not null
              and exists (select from budget_limits where workspace_id = $1 and unit = 'attempts')
            union all
            select attempt_id, 'wall_ms',
                   floor(extract(epoch from ended_at - started_at) * 1000), 0 from attempts
            where workspace_id = $1 and ended_at is not null
              and exists (select from budget_limits where workspace_id = $1 and unit = 'wall_ms')
        ), charged as (
            select c.limit_id, c.starts_at, sum(e.amount) as amount, sum(e.fraction) as fraction
            from spent e
            join charged_windows c on c.workspace_id = $1 and c.attempt_id = e.attempt_id
                 and c.unit = e.unit
            group by c.limit_id, c.starts_at
            union all
            -- Of models that planned.
            select limit_id, starts_at, amount, fraction from charged_planning_windows
            where workspace_id = $1
            union all
            -- Of pruned goals.
            select limit_id, starts_at, amount, fraction from folded_windows where workspace_id = $1
        ), sums as (
            select limit_id, starts_at, sum(amount) as amount, sum(fraction) as fraction
            from charged group by limit_id, starts_at
        )
        select l.node, l.node_id::text, l.unit || ' from ' || w.starts_at || ': it has settled ' ||
               w.settled || ' and ' || w.fraction || ' millionths, the spend below it is ' ||
               coalesce(s.amount, 0) || ' and ' || coalesce(s.fraction, 0)
        from budget_windows w
        join budget_limits l on l.workspace_id = $1 and l.limit_id = w.limit_id
             and l.removed_at is null
        left join sums s on s.limit_id = w.limit_id and s.starts_at = w.starts_at
        where w.workspace_id = $1
          and (w.settled <> least(coalesce(s.amount, 0), 9223372036854775807)
               or w.fraction <> coalesce(s.fraction, 0))";

    of_running: "
        select 'attempt', r.attempt_id::text, r.unit || ': it is ' ||
               coalesce(a.state, 'unknown') || ' and has ' || r.held || ' set aside'
        from reservations r
        left join attempts a on a.workspace_id = $1 and a.attempt_id = r.attempt_id
        where r.workspace_id = $1 and r.closed_at is null and r.held > 0
          and a.state is distinct from 'running'";

    short_of_a_limit: "
        select 'task', t.task_id::text, 'the limit that it waits for is not there'
        from tasks t
        where t.workspace_id = $1 and t.short_limit_id is not null
          and not exists (select from budget_limits l where l.workspace_id = $1
                          and l.limit_id = t.short_limit_id)";
}
