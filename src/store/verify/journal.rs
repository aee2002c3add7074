//! Violations of the invariants of the journal: no gaps, an end that matches its head, and possible
//! and true histories.
//!
//! Checks only the latest seals, the ones that a crash or a second sealer would damage; `muster
//! audit verify` recomputes all seals to find changed rows.
//!
//! Rows about a task's state have the kind `task.` and the state, or `task.created`. After an end
//! follows at most a row of its return: `task.retried`, `task.reopened` or `task.restored`. A divided task
//! has a row `task.split` between those of a task and those of a container. Rows of other kinds, such as `task.updated`,
//! tell of no transition and are left out. Pruned rows are not missed.

use super::{finders, kinds_of_steps, steps};

finders! {
    without_gaps: "
        select 'row', number::text, 'it follows number ' || before
        from (select number, lag(number, 1, p.pruned_to) over (order by number) as before
              from journal,
                   (select coalesce(max(pruned_to), 0) as pruned_to from journal_chains
                    where workspace_id = $1) p
              where workspace_id = $1) j
        where number <> before + 1
        union all
        select 'workspace', $1::text, 'the last number is ' || last || ', the head says ' || head
        from (select coalesce((select max(number) from journal where workspace_id = $1),
                              (select pruned_to from journal_chains where workspace_id = $1), 0) as last,
                     coalesce((select last_number from journal_heads where workspace_id = $1), 0) as head) h
        where last <> head";

    ends_with_head: "
        select 'workspace', $1::text, 'the last seal ends with ' || last || ', the chain says ' || chain
        from (select coalesce((select max(last) from journal_seals where workspace_id = $1), 0) as last,
                     coalesce((select sealed_to from journal_chains where workspace_id = $1), 0) as chain) h
        where last <> chain
        union all
        select 'workspace', $1::text, 'the chain has another hash than its last seal'
        from journal_chains c join journal_seals s on s.workspace_id = $1 and s.last = c.sealed_to
        where c.workspace_id = $1 and c.chain_sha256 <> s.chain_sha256
        union all
        select 'workspace', $1::text, 'the chain is sealed beyond the last number'
        from journal_chains c left join journal_heads h on h.workspace_id = $1
        where c.workspace_id = $1 and c.sealed_to > coalesce(h.last_number, 0)
        union all
        select 'seal', s.first::text, 'it follows number ' || s.before
        from (select first, lag(last) over (order by first) as before
              from (select first, last from journal_seals where workspace_id = $1
                    order by first desc limit 100) s) s
        where s.before <> s.first - 1";

    // Rows after the end break `task_end_told_once`.
    in_order (steps, kinds_of_steps): "
        select 'task', e.task_id::text, 'number ' || e.number || ': it went from ' ||
               coalesce(e.before, 'nothing') || ' to ' || e.word
        from (select e.task_id, e.number, substr(e.kind, 6) as word,
                     -- A divided task is a container since its division.
                     t.container and (t.split_at is null or e.at > t.split_at
                         or bool_or(e.kind = 'task.split')
                            over (partition by e.task_id order by e.number)) as container,
                     lag(substr(e.kind, 6)) over (partition by e.task_id order by e.number) as before
              from journal e join tasks t on t.workspace_id = $1 and t.task_id = e.task_id
              where e.workspace_id = $1 and e.kind = any($4::text[])) e
        left join unnest($3::text[]) s (step) on s.step =
             case when e.container then 'container ' else 'task ' end || e.before || ' ' || e.word
        where case when e.before is null
                   then e.word <> 'created' and not exists (select from journal_chains
                            where workspace_id = $1 and pruned_to > 0)
                   else s.step is null and (e.before not in ('done', 'failed', 'cancelled')
                                            or e.word in ('retried', 'reopened', 'restored')) end";

    tell_the_state (kinds_of_steps): "
        select 'task', t.task_id::text, 'it is ' || t.state || '; its last row is ' ||
               coalesce(e.kind, 'none')
        from tasks t
        left join (select task_id, max(number) as number from journal
                   where workspace_id = $1 and kind = any($3::text[]) and kind <> 'task.split'
                   group by task_id) last on last.task_id = t.task_id
        left join journal e on e.workspace_id = $1 and e.number = last.number
        where t.workspace_id = $1 and e.kind is distinct from 'task.' || t.state
          and (e.kind is not null or not exists (select from journal_chains
                   where workspace_id = $1 and pruned_to > 0))";

    task_end_told_once (kinds_of_steps): "
        select 'task', t.task_id::text, 'it is ' || t.state || '; its end was told ' ||
               coalesce(e.ends, 0) || ' times and its return ' || coalesce(e.returns, 0) ||
               ' times' || case when e.after > 0 then ', and a row follows an end' else '' end
        from tasks t
        left join (
            select task_id, count(*) filter (where word in ('done', 'failed', 'cancelled')) as ends,
                   -- The end before the first row may be pruned.
                   count(*) filter (where is_return and before is not null) as returns,
                   count(*) filter (where before in ('done', 'failed', 'cancelled')
                                    and not is_return) as after
            from (select task_id, substr(kind, 6) as word,
                         kind in ('task.retried', 'task.reopened', 'task.restored') as is_return,
                         lag(substr(kind, 6)) over (partition by task_id order by number) as before
                  from journal
                  where workspace_id = $1 and kind = any($3::text[])) r
            group by task_id) e on e.task_id = t.task_id
        where t.workspace_id = $1
          and (coalesce(e.ends, 0) - coalesce(e.returns, 0)
                   <> case when t.ended_at is null then 0 else 1 end
               or e.after > 0)
          and (coalesce(e.ends, 0) > 0 or not exists (select from journal_chains
                   where workspace_id = $1 and pruned_to > 0))";

    // Since the goal was last active again, and no end before that follows another.
    goal_end_told_once: "
        select 'goal', g.goal_id::text, 'it is ' || g.state || '; its end was told as ' ||
               coalesce(e.told, 'nothing') ||
               case when e.twice > 0 then ', and before it was active again' else '' end
        from goals g
        left join (
            select goal_id, string_agg(kind, ', ' order by number) filter (
                       where kind <> 'goal.active' and number > coalesce(again, 0)) as told,
                   count(*) filter (where kind <> 'goal.active' and number < again
                                    and before <> 'goal.active') as twice
            from (select goal_id, number, kind,
                         lag(kind) over (partition by goal_id order by number) as before,
                         max(number) filter (where kind = 'goal.active')
                             over (partition by goal_id) as again
                  from journal
                  where workspace_id = $1 and kind in ('goal.active', 'goal.completed',
                                                       'goal.failed', 'goal.cancelled')) r
            group by goal_id) e on e.goal_id = g.goal_id
        where g.workspace_id = $1
          and (e.told is distinct from case when g.ended_at is not null then 'goal.' || g.state end
               or e.twice > 0)
          and (e.told is not null or not exists (select from journal_chains
                   where workspace_id = $1 and pruned_to > 0))";

    // Erased data is not missed either.
    attempts_told: "
        with told as materialized (
            select e.task_id, e.number, e.data is null as erased, e.data ->> 'attempt' as attempt,
                   row_number() over (partition by e.task_id order by e.number) as place
            from journal e join tasks t on t.workspace_id = $1 and t.task_id = e.task_id
            where e.workspace_id = $1 and e.kind = 'task.running' and not t.container
        ), whole as materialized (
            select task_id, attempts_started from tasks
            where workspace_id = $1 and not container
              and (not exists (select from journal_chains where workspace_id = $1 and pruned_to > 0)
                   or task_id in (select task_id from journal
                                  where workspace_id = $1 and kind = 'task.created'))
        )
        select 'task', task_id::text, 'number ' || number || ': attempt ' ||
               coalesce(attempt, 'without a number') || ' in place ' || place
        from told join whole using (task_id) where attempt is distinct from place::text and not erased
        union all
        select 'task', t.task_id::text, 'it has started ' || t.attempts_started ||
               ' attempts; rows tell of ' || coalesce(n.n, 0)
        from whole t
        left join (select task_id, count(*) as n from told group by task_id) n
               on n.task_id = t.task_id
        where t.attempts_started <> coalesce(n.n, 0)";
}
