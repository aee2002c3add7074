//! What breaks the promises about events: no gaps, and stories that can happen and are true.
//!
//! The events about the state of a task are those named `task.` and a state, and `task.created`.

use super::{finders, steps};

finders! {
    without_gaps: "
        select 'event', seq::text, 'it follows event ' || before
        from (select seq, lag(seq, 1, 0) over (order by seq) as before
              from events where workspace_id = $1) e
        where seq <> before + 1
        union all
        select 'workspace', $1::text, 'the last event is ' || last || ', the head says ' || head
        from (select coalesce((select max(seq) from events where workspace_id = $1), 0) as last,
                     coalesce((select last_seq from event_heads where workspace_id = $1), 0) as head) h
        where last <> head";

    // What follows an end breaks `task_end_told_once`.
    in_order (steps): "
        select 'task', e.task_id::text, 'event ' || e.seq || ': it went from ' ||
               coalesce(e.before, 'nothing') || ' to ' || e.word
        from (select e.task_id, e.seq, t.container, substr(e.kind, 6) as word,
                     lag(substr(e.kind, 6)) over (partition by e.task_id order by e.seq) as before
              from events e join tasks t on t.workspace_id = $1 and t.task_id = e.task_id
              where e.workspace_id = $1 and e.kind like 'task.%'
                and e.kind not in ('task.updated', 'task.cancel_requested', 'task.reassigned',
                                     'task.taken_over', 'task.acknowledged')) e
        left join unnest($3::text[]) s (step) on s.step =
             case when e.container then 'container ' else 'task ' end || e.before || ' ' || e.word
        where case when e.before is null then e.word <> 'created'
                   else s.step is null and e.before not in ('done', 'failed', 'cancelled') end";

    tell_the_state: "
        select 'task', t.task_id::text, 'it is ' || t.state || '; its last event is ' ||
               coalesce(e.kind, 'none')
        from tasks t
        left join (select task_id, max(seq) as seq from events
                   where workspace_id = $1 and kind like 'task.%'
                     and kind not in ('task.updated', 'task.cancel_requested', 'task.reassigned',
                                      'task.taken_over', 'task.acknowledged')
                   group by task_id) last on last.task_id = t.task_id
        left join events e on e.workspace_id = $1 and e.seq = last.seq
        where t.workspace_id = $1 and e.kind is distinct from 'task.' || t.state";

    task_end_told_once: "
        select 'task', t.task_id::text, 'it is ' || t.state || '; its end was told ' ||
               coalesce(e.ends, 0) || ' times' ||
               case when e.last > e.ended then ', and was not the last event' else '' end
        from tasks t
        left join (select task_id, max(seq) as last,
                          count(*) filter (where kind in ('task.done', 'task.failed', 'task.cancelled')) as ends,
                          min(seq) filter (where kind in ('task.done', 'task.failed', 'task.cancelled')) as ended
                   from events
                   where workspace_id = $1 and kind like 'task.%'
                     and kind not in ('task.updated', 'task.cancel_requested', 'task.reassigned',
                                      'task.taken_over', 'task.acknowledged')
                   group by task_id) e on e.task_id = t.task_id
        where t.workspace_id = $1
          and (coalesce(e.ends, 0) <> case when t.ended_at is null then 0 else 1 end
               or e.last > e.ended)";

    goal_end_told_once: "
        select 'goal', g.goal_id::text, 'it is ' || g.state || '; its end was told as ' ||
               coalesce(e.told, 'nothing')
        from goals g
        left join (select goal_id, string_agg(kind, ', ' order by seq) as told from events
                   where workspace_id = $1
                     and kind in ('goal.completed', 'goal.failed', 'goal.cancelled')
                   group by goal_id) e on e.goal_id = g.goal_id
        where g.workspace_id = $1 and e.told is distinct from
              case when g.ended_at is not null then 'goal.' || g.state end";

    attempts_told: "
        with told as materialized (
            select e.task_id, e.seq, e.data ->> 'attempt' as number,
                   row_number() over (partition by e.task_id order by e.seq) as place
            from events e join tasks t on t.workspace_id = $1 and t.task_id = e.task_id
            where e.workspace_id = $1 and e.kind = 'task.running' and not t.container
        )
        select 'task', task_id::text, 'event ' || seq || ': attempt ' ||
               coalesce(number, 'without a number') || ' in place ' || place
        from told where number is distinct from place::text
        union all
        select 'task', t.task_id::text, 'it has started ' || t.attempts_started ||
               ' attempts; events tell of ' || coalesce(n.n, 0)
        from tasks t
        left join (select task_id, count(*) as n from told group by task_id) n
               on n.task_id = t.task_id
        where t.workspace_id = $1 and not t.container and t.attempts_started <> coalesce(n.n, 0)";
}
