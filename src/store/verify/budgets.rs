//! What breaks the promises about budgets: every window equals the reservations and the spend of the
//! attempts below its node.

use super::finders;

finders! {
    reserved_counted: "
        with held as (
            select l.limit_id, w.starts_at, sum(r.held) as amount
            from reservations r
            join attempts a on a.workspace_id = $1 and a.attempt_id = r.attempt_id
            join goals g on g.workspace_id = $1 and g.goal_id = a.goal_id
            cross join lateral (values
                ('task', a.task_id), ('goal', a.goal_id), ('agent', a.agent_id),
                ('project', g.project_id), ('workspace', a.workspace_id)) as p (node, node_id)
            join budget_limits l on l.workspace_id = $1 and l.node = p.node
                 and l.node_id = p.node_id and l.unit = r.unit and l.removed_at is null
            left join allocations s on s.workspace_id = $1 and s.goal_id = a.goal_id
                 and s.limit_id = l.limit_id
            join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
                 and case when s.limit_id is not null then w.starts_at = s.starts_at
                     else w.starts_at <= a.started_at
                          and (w.ends_at is null or a.started_at < w.ends_at) end
            where r.workspace_id = $1 and r.closed_at is null
              and (s.limit_id is null or s.closed_at is not null)
            group by l.limit_id, w.starts_at
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
        ), sums as (
            select l.limit_id, w.starts_at, sum(e.amount) as amount, sum(e.fraction) as fraction
            from spent e
            join attempts a on a.workspace_id = $1 and a.attempt_id = e.attempt_id
            join goals g on g.workspace_id = $1 and g.goal_id = a.goal_id
            cross join lateral (values
                ('task', a.task_id), ('goal', a.goal_id), ('agent', a.agent_id),
                ('project', g.project_id), ('workspace', a.workspace_id)) as p (node, node_id)
            join budget_limits l on l.workspace_id = $1 and l.node = p.node
                 and l.node_id = p.node_id and l.unit = e.unit and l.removed_at is null
            left join allocations s on s.workspace_id = $1 and s.goal_id = a.goal_id
                 and s.limit_id = l.limit_id
            join budget_windows w on w.workspace_id = $1 and w.limit_id = l.limit_id
                 and case when s.limit_id is not null then w.starts_at = s.starts_at
                     else w.starts_at <= a.started_at
                          and (w.ends_at is null or a.started_at < w.ends_at) end
            where s.limit_id is null or s.closed_at is not null
            group by l.limit_id, w.starts_at
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
