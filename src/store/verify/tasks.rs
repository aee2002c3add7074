//! Violations of the invariants of dependencies, containers and subtasks.
//!
//! A dependency of a task that was begun stays satisfied when the needed task is reopened: it was
//! satisfied at or before `reopened_at`.

use super::finders;

finders! {
    ready_in_order: "
        select 'task', t.task_id::text, 'its key is ' || t.claim_rank || ', in the turns of ' || t.turn_of
        from tasks t
        join goals g on g.workspace_id = $1 and g.goal_id = t.goal_id
        join workspaces w on w.workspace_id = $1
        where t.workspace_id = $1 and t.state = 'ready'
          and (t.claim_rank <> claim_rank_of(t.ranked_from, t.priority, t.upward_ms,
                                             least(g.deadline, t.finish_by), w.routing = 'fifo')
               or t.turn_of <> case when w.routing = 'fifo' then '00000000-0000-0000-0000-000000000000'::uuid
                                    else t.goal_id end)
          -- Since the routing changed, tasks of later goals are still to be ranked again.
          and not exists (select from rank_cursors c
                          where c.workspace_id = $1 and c.after_goal_id < t.goal_id)";

    needs_counted: "
        select 'task', t.task_id::text, 'it counts ' || t.needs_unmet || ' unmet needs; there are ' ||
               coalesce(d.n, 0) + case when p.task_id is null then 0 else 1 end
        from tasks t
        left join (select task_id, count(*) as n from dependencies
                   where workspace_id = $1 and satisfied_at is null group by task_id) d
               on d.task_id = t.task_id
        left join tasks p on p.workspace_id = $1 and p.task_id = t.parent_id
                         and p.container and p.state = 'waiting'
        where t.workspace_id = $1 and t.state <> 'done' and t.ended_at is null
          and t.needs_unmet <> coalesce(d.n, 0) + case when p.task_id is null then 0 else 1 end";

    dependency_satisfied: "
        select 'task', d.task_id::text, 'task ' || d.needs_task_id || ', which it needs, is ' ||
               n.state || '; satisfied: ' || coalesce(d.satisfied_at::text, 'never')
        from dependencies d
        join tasks n on n.workspace_id = $1 and n.task_id = d.needs_task_id
        join tasks t on t.workspace_id = $1 and t.task_id = d.task_id
        where d.workspace_id = $1 and (d.satisfied_at is not null) <> (n.state = 'done')
          and (d.satisfied_at <= n.reopened_at and (t.container or t.attempts_started > 0)) is not true";

    offered_with_needs_met: "
        select 'task', t.task_id::text, 'it is ' || t.state || '; task ' || n.task_id ||
               ', which it needs, is ' || n.state
        from tasks t
        join dependencies d on d.workspace_id = $1 and d.task_id = t.task_id
        join tasks n on n.workspace_id = $1 and n.task_id = d.needs_task_id
        where t.workspace_id = $1 and t.state in ('ready', 'running', 'parked', 'reviewing')
          and n.state <> 'done' and (d.satisfied_at <= n.reopened_at) is not true
        union all
        select 'task', t.task_id::text, 'it is ' || t.state || '; its container is closed'
        from tasks t join tasks p on p.workspace_id = $1 and p.task_id = t.parent_id
        where t.workspace_id = $1 and t.state in ('ready', 'running', 'parked', 'reviewing')
          and p.container and p.state = 'waiting'";

    // A task ticked off in the plan is done, whatever its dependencies.
    done_after_needs: "
        select 'task', t.task_id::text, 'it is done; task ' || n.task_id ||
               ', which it needs, is ' || n.state
        from tasks n
        join dependencies d on d.workspace_id = $1 and d.needs_task_id = n.task_id
        join tasks t on t.workspace_id = $1 and t.task_id = d.task_id
        where n.workspace_id = $1 and n.state <> 'done' and t.state = 'done'
          and (d.satisfied_at <= n.reopened_at) is not true
          and (t.attempts_started > 0 or t.ended_at > t.created_at)";

    // A task that parks again for new subtasks restarts its count of those not done.
    children_counted: "
        select 'task', p.task_id::text, 'it counts ' || p.children_open || ' open children, ' ||
               p.children_failed || ' not done; there are ' || coalesce(c.open, 0) || ', ' ||
               coalesce(c.failed, 0)
        from tasks p
        left join (select parent_id, count(*) filter (where ended_at is null) as open,
                          count(*) filter (where state in ('failed', 'cancelled') and not dropped)
                              as failed
                   from tasks where workspace_id = $1 and parent_id is not null
                   group by parent_id) c on c.parent_id = p.task_id
        where p.workspace_id = $1 and (p.children_open <> coalesce(c.open, 0)
               or (p.container and p.children_failed <> coalesce(c.failed, 0)))";

    container_follows: "
        select 'task', p.task_id::text, 'it is ' || p.state || '; of its children ' ||
               coalesce(c.open, 0) || ' are open, ' || coalesce(c.not_done, 0) || ' not done'
        from tasks p
        left join (select parent_id, count(*) filter (where ended_at is null) as open,
                          count(*) filter (where state <> 'done' and not dropped) as not_done
                   from tasks where workspace_id = $1 and parent_id is not null
                   group by parent_id) c on c.parent_id = p.task_id
        where p.workspace_id = $1 and p.container
          and ((p.ended_at is null and coalesce(c.open, 0) = 0)
               or (p.state = 'done' and c.not_done > 0))";

    lost_causes_end: "
        select 'task', t.task_id::text, 'it is ' || t.state || '; task ' || n.task_id ||
               ', which it needs, is ' || n.state
        from tasks t
        join dependencies d on d.workspace_id = $1 and d.task_id = t.task_id
        join tasks n on n.workspace_id = $1 and n.task_id = d.needs_task_id
        where t.workspace_id = $1 and t.state <> 'done' and t.ended_at is null
          and t.cancel_requested_at is null and n.state in ('failed', 'cancelled')
          and (d.satisfied_at <= n.reopened_at) is not true
        union all
        select 'task', t.task_id::text, 'it is ' || t.state || '; task ' || p.task_id ||
               ', which contains it, is ' || p.state
        from tasks t join tasks p on p.workspace_id = $1 and p.task_id = t.parent_id
        where t.workspace_id = $1 and t.state <> 'done' and t.ended_at is null
          and t.cancel_requested_at is null and p.ended_at is not null";

    links_within_goal: "
        select 'attempt', a.attempt_id::text, 'it is of goal ' || a.goal_id ||
               ', its task of goal ' || t.goal_id
        from attempts a join tasks t on t.workspace_id = $1 and t.task_id = a.task_id
        where a.workspace_id = $1 and a.goal_id <> t.goal_id
        union all
        select 'task', t.task_id::text, 'it is of goal ' || t.goal_id || ', its parent of goal ' ||
               p.goal_id
        from tasks t join tasks p on p.workspace_id = $1 and p.task_id = t.parent_id
        where t.workspace_id = $1 and t.goal_id <> p.goal_id
        union all
        select 'task', t.task_id::text, 'it is of goal ' || t.goal_id || ', what it needs of goal ' ||
               n.goal_id
        from dependencies d
        join tasks t on t.workspace_id = $1 and t.task_id = d.task_id
        join tasks n on n.workspace_id = $1 and n.task_id = d.needs_task_id
        where d.workspace_id = $1 and t.goal_id <> n.goal_id";
}
