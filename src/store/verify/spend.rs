//! Violations of the invariants of spend: every sum equals its parts.

use super::finders;

finders! {
    of_attempts_counted: "
        select 'attempt', coalesce(s.attempt_id, e.attempt_id)::text,
               coalesce(s.unit, e.unit) || ': it counts ' || coalesce(s.entries, 0) || ' and ' ||
               coalesce(s.reported, 0) || ' reported; its entries are ' || coalesce(e.entries, 0) ||
               ' and ' || coalesce(e.reported, 0)
        from (select attempt_id, unit, entries, reported, fraction, reported_fraction from attempt_spend
              where workspace_id = $1) s
        full join (select attempt_id, unit,
                          sum(amount) filter (where not starts_with(entry_key, 'total:')) as entries,
                          sum(amount) filter (where starts_with(entry_key, 'total:')) as reported,
                          sum(fraction) as fraction,
                          sum(fraction) filter (where starts_with(entry_key, 'total:')) as reported_fraction
                   from spend_entries where workspace_id = $1 group by attempt_id, unit) e
             on e.attempt_id = s.attempt_id and e.unit = s.unit
        where coalesce(s.entries, 0) <> coalesce(e.entries, 0)
           or coalesce(s.reported, 0) <> coalesce(e.reported, 0)
           or coalesce(s.fraction, 0) <> coalesce(e.fraction, 0)
           or coalesce(s.reported_fraction, 0) <> coalesce(e.reported_fraction, 0)";

    totals_counted: "
        with of_attempts as materialized (
            select a.goal_id, a.agent_id, g.project_id, e.unit, sum(e.amount) as amount,
                   sum(e.fraction) as fraction
            from spend_entries e
            join attempts a on a.workspace_id = $1 and a.attempt_id = e.attempt_id
            join goals g on g.workspace_id = $1 and g.goal_id = a.goal_id
            where e.workspace_id = $1
            group by a.goal_id, a.agent_id, g.project_id, e.unit
            union all
            -- Of models that planned.
            select p.goal_id, null, g.project_id, p.unit, sum(p.amount), sum(p.fraction)
            from planning_spend p
            join goals g on g.workspace_id = $1 and g.goal_id = p.goal_id
            where p.workspace_id = $1
            group by p.goal_id, g.project_id, p.unit
            union all
            -- Of pruned goals.
            select null, c.agent_id, c.project_id, f.unit, sum(f.amount), sum(f.fraction)
            from folded_spend f
            join folded_attempts c on c.workspace_id = $1 and c.group_id = f.group_id
            where f.workspace_id = $1
            group by c.agent_id, c.project_id, f.unit
        ), sums as (
            select 'goal' as node, goal_id as node_id, unit,
                   sum(amount) + trunc(sum(fraction) / 1000000) as amount
            from of_attempts where goal_id is not null group by goal_id, unit
            union all
            select 'agent', agent_id, unit, sum(amount) + trunc(sum(fraction) / 1000000)
            from of_attempts where agent_id is not null group by agent_id, unit
            union all
            select 'project', project_id, unit, sum(amount) + trunc(sum(fraction) / 1000000)
            from of_attempts
            where project_id is not null group by project_id, unit
        )
        select coalesce(s.node, t.node), coalesce(s.node_id, t.node_id)::text,
               coalesce(s.unit, t.unit) || ': the total says ' || coalesce(t.amount, 0) ||
               ', the entries sum to ' || coalesce(s.amount, 0)
        from sums s
        full join (select node, node_id, unit, amount from spend_sums where workspace_id = $1) t
             on t.node = s.node and t.node_id = s.node_id and t.unit = s.unit
        where coalesce(s.amount, 0) <> coalesce(t.amount, 0)";
}
