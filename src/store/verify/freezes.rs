//! Violations of the invariant that no attempt bypasses a freeze.

use super::finders;

finders! {
    // Attempts claimed before a drain or pause may continue under it.
    hold: "
        select 'attempt', a.attempt_id::text, 'it runs under freeze ' || f.freeze_id || ', a ' ||
               f.mode || ' that was set ' ||
               case when a.started_at > f.set_at then 'before' else 'after' end || ' it was claimed'
        from attempts a cross join lateral (
            select * from freezes_over($1, a.task_id, a.agent_id)
            where mode = 'stop' or set_at < a.started_at
            order by mode desc, generation desc limit 1
        ) f
        where a.workspace_id = $1 and a.state = 'running'";
}
