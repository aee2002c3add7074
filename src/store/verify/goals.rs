//! Violations of the invariants of goals and plans.

use super::finders;

finders! {
    counters: "
        select 'goal', g.goal_id::text, 'it counts ' || g.tasks_total || ' tasks, ' ||
               g.tasks_open || ' open, ' || g.tasks_done || ' done, ' || g.tasks_failed ||
               ' failed, ' || g.tasks_cancelled || ' cancelled; there are ' ||
               coalesce(t.total, 0) || ', ' || coalesce(t.open, 0) || ', ' ||
               coalesce(t.done, 0) || ', ' || coalesce(t.failed, 0) || ', ' ||
               coalesce(t.cancelled, 0)
        from goals g
        left join (select goal_id, count(*) as total, count(*) filter (where ended_at is null) as open,
                          count(*) filter (where state = 'done') as done,
                          count(*) filter (where state = 'failed') as failed,
                          count(*) filter (where state = 'cancelled') as cancelled
                   from tasks where workspace_id = $1 group by goal_id) t on t.goal_id = g.goal_id
        where g.workspace_id = $1
          and (g.tasks_total, g.tasks_open, g.tasks_done, g.tasks_failed, g.tasks_cancelled)
           <> (coalesce(t.total, 0), coalesce(t.open, 0), coalesce(t.done, 0),
               coalesce(t.failed, 0), coalesce(t.cancelled, 0))";

    // A task of the verification and a container weigh nothing.
    weights: "
        select 'goal', g.goal_id::text, 'it keeps ' || g.weight_total || ', ' || g.weight_done ||
               ' done, ' || g.weight_cancelled || ' cancelled; its tasks weigh ' ||
               coalesce(t.total, 0) || ', ' || coalesce(t.done, 0) || ', ' ||
               coalesce(t.cancelled, 0)
        from goals g
        left join (select c.goal_id, sum(c.weight) as total,
                          sum(c.weight) filter (where c.state = 'done') as done,
                          sum(c.weight) filter (where c.state = 'cancelled') as cancelled
                   from (select t.goal_id, t.state,
                                case when t.container or t.purpose is not null then 0
                                     else coalesce(estimate_weight(x.estimate -> g.weight_unit), g.weight_each)
                                end as weight
                         from tasks t
                         join goals g on g.workspace_id = $1 and g.goal_id = t.goal_id
                         join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
                         where t.workspace_id = $1) c
                   group by c.goal_id) t on t.goal_id = g.goal_id
        where g.workspace_id = $1
          and (g.weight_total, g.weight_done, g.weight_cancelled)
           <> (coalesce(t.total, 0), coalesce(t.done, 0), coalesce(t.cancelled, 0))
        union all
        select 'task', t.task_id::text, 'it weighs ' || t.weight || ', by its estimate ' ||
               coalesce(estimate_weight(x.estimate -> g.weight_unit), g.weight_each)
        from tasks t
        join goals g on g.workspace_id = $1 and g.goal_id = t.goal_id
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        where t.workspace_id = $1
          and t.weight <> case when t.container or t.purpose is not null then 0
                               else coalesce(estimate_weight(x.estimate -> g.weight_unit), g.weight_each) end";

    // Discovered work that is required keeps a goal open until a person has decided.
    ends_with_tasks: "
        select 'goal', goal_id::text, 'it is ' || state || ' and has ' || tasks_total ||
               ' tasks, ' || tasks_open || ' of them open'
        from goals where workspace_id = $1 and case state
            when 'active' then tasks_total > 0 and tasks_open = 0 and not exists (
                select from plans p where p.workspace_id = $1 and p.goal_id = goals.goal_id
                and p.required and p.state = 'proposed')
            when 'verifying' then tasks_total = 0
            when 'completed' then tasks_total = 0 or tasks_open > 0
            when 'failed' then tasks_open > 0
            when 'cancelled' then false
            -- Before its plan is applied a goal has only the tasks that make plans, and their subtasks.
            else tasks_total > 0 and exists (
                select from tasks t where t.workspace_id = $1 and t.goal_id = goals.goal_id
                and t.parent_id is null and t.purpose is distinct from 'plan') end";

    // Descendants of a done task with subtasks do not count: its own result replaces theirs. Nor do the
    // tasks of the verification, because a person may decide what they were made for, nor what a plan dropped.
    completed_is_done: "
        with recursive not_done as materialized (
            select t.task_id, t.goal_id, t.parent_id, t.state from tasks t
            join goals g on g.workspace_id = $1 and g.goal_id = t.goal_id
            where t.workspace_id = $1 and t.state <> 'done' and t.purpose is null
              and not t.dropped and g.state = 'completed'
        ), above (task_id, ancestor) as (
            select task_id, parent_id from not_done where parent_id is not null
            union
            select a.task_id, p.parent_id from above a
            join tasks p on p.workspace_id = $1 and p.task_id = a.ancestor
            where p.parent_id is not null
        )
        select 'goal', n.goal_id::text, 'it is completed and a task of it is ' || n.state || ': ' ||
               n.task_id
        from not_done n where not exists (
            select from above a join tasks p on p.workspace_id = $1 and p.task_id = a.ancestor
            where a.task_id = n.task_id
              and (p.purpose is not null or p.dropped or p.state = 'done' and not p.container))";

    criteria_met: "
        select 'goal', g.goal_id::text, 'it is ' || g.state || ' with ' || g.tasks_open ||
               ' open tasks and ' || coalesce(c.unmet, 0) || ' unsatisfied required criteria'
        from goals g
        left join (select goal_id, count(*) as unmet from goal_criteria
                   where workspace_id = $1 and required and state <> 'satisfied'
                   group by goal_id) c on c.goal_id = g.goal_id
        where g.workspace_id = $1 and case g.state
            when 'completed' then coalesce(c.unmet, 0) > 0
            when 'verifying' then coalesce(c.unmet, 0) = 0 and g.tasks_open = 0 and not exists (
                select from plans p where p.workspace_id = $1 and p.goal_id = g.goal_id
                and p.required and p.state = 'proposed')
            else false end";

    ended_is_quiet: "
        select 'task', t.task_id::text, 'it is ' || t.state || ', its goal is ' || g.state
        from tasks t join goals g on g.workspace_id = $1 and g.goal_id = t.goal_id
        where t.workspace_id = $1 and t.state <> 'done' and t.ended_at is null
          and t.cancel_requested_at is null and g.ended_at is not null";

    // What was discovered is added to the plan of the goal.
    one_plan_applied: "
        select 'goal', g.goal_id::text, 'it is ' || g.state || ' and has ' ||
               coalesce(p.applied, 0) || ' applied plans, ' || coalesce(p.proposed, 0) ||
               ' proposed'
        from goals g
        left join (select goal_id, count(*) filter (where state = 'applied') as applied,
                          count(*) filter (where state = 'proposed') as proposed
                   from plans where workspace_id = $1 and discovered_from is null
                   group by goal_id) p on p.goal_id = g.goal_id
        where g.workspace_id = $1 and case
            when g.state in ('active', 'verifying', 'completed', 'failed') then coalesce(p.applied, 0) <> 1
            when g.state = 'planning' then coalesce(p.applied, 0) + coalesce(p.proposed, 0) <> 0
            when g.state = 'proposed' then coalesce(p.applied, 0) <> 0 or coalesce(p.proposed, 0) <> 1
            else coalesce(p.applied, 0) > 1 end";

    planned_while_planning: "
        select 'goal', g.goal_id::text, 'it is ' || g.state || ', and the planner ' || r.planner || ' is ' || r.state
        from planning_runs r
        join goals g on g.workspace_id = $1 and g.goal_id = r.goal_id
        where r.workspace_id = $1 and r.state in ('queued', 'waiting', 'running')
          and (case when r.target = 'plan' then g.state <> 'planning' else g.state in ('planning', 'proposed') end)";
}
