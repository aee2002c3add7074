//! Violations of the invariants of attempts and leases.

use super::finders;

finders! {
    one_live: "
        select 'task', task_id::text, count(*) || ' of its attempts are running or submitted'
        from attempts where workspace_id = $1 and state in ('running', 'submitted')
        group by task_id having count(*) > 1";

    // Only the newest of several live attempts: the others break `one_live`.
    live_is_current: "
        select 'attempt', a.attempt_id::text, 'it is ' || a.state || ', its task is ' || t.state ||
               case when t.current_attempt_id is distinct from a.attempt_id
                    then ' and has another attempt' else '' end
        from (select distinct on (task_id) task_id, attempt_id, state from attempts
              where workspace_id = $1 and state in ('running', 'submitted')
              order by task_id, number desc) a
        join tasks t on t.workspace_id = $1 and t.task_id = a.task_id
        where t.current_attempt_id is distinct from a.attempt_id
           or t.state <> case a.state when 'running' then 'running' else 'reviewing' end";

    running_has_one: "
        select 'task', t.task_id::text,
               'it is ' || t.state || ', its attempt is ' || coalesce(a.state, 'not there')
        from tasks t
        left join attempts a on a.workspace_id = $1 and a.attempt_id = t.current_attempt_id
        where t.workspace_id = $1 and t.state in ('running', 'reviewing') and not t.container
          and a.state is distinct from
              case t.state when 'running' then 'running' else 'submitted' end";

    numbered: "
        select 'task', t.task_id::text, 'it has started ' || t.attempts_started ||
               ' attempts; there are ' || coalesce(a.n, 0) || ', numbered ' ||
               coalesce(a.first, 0) || ' to ' || coalesce(a.last, 0)
        from tasks t
        left join (select task_id, count(*) as n, min(number) as first, max(number) as last
                   from attempts where workspace_id = $1 group by task_id) a
               on a.task_id = t.task_id
        where t.workspace_id = $1 and not t.container
          and (t.attempts_started <> coalesce(a.n, 0) or a.first <> 1 or a.last <> a.n)";

    current_is_last: "
        select 'task', t.task_id::text, 'its attempt is ' ||
               coalesce(t.current_attempt_id::text, 'none') || ', the last is ' ||
               coalesce(a.attempt_id::text, 'none')
        from tasks t
        left join (select distinct on (task_id) task_id, attempt_id from attempts
                   where workspace_id = $1 order by task_id, number desc) a
               on a.task_id = t.task_id
        where t.workspace_id = $1 and not t.container
          and t.current_attempt_id is distinct from a.attempt_id";

    used_counted: "
        select 'task', t.task_id::text, 'it has used ' || t.attempts_used || ' of ' ||
               t.max_attempts || ' attempts; ' || coalesce(a.n, 0) || ' failed or expired'
        from tasks t
        left join (select task_id, count(*) as n from attempts f
                   where f.workspace_id = $1 and f.state in ('failed', 'expired')
                     -- A failure because of a rate limit counts for nothing.
                     and not exists (select from attempt_results r
                                     where r.workspace_id = $1 and r.attempt_id = f.attempt_id
                                       and r.uncounted)
                   group by task_id) a
               on a.task_id = t.task_id
        where t.workspace_id = $1
          and (t.attempts_used <> coalesce(a.n, 0) or t.attempts_used > t.max_attempts)";

    containers_not_tried: "
        select 'task', t.task_id::text, 'it is a container and has started ' ||
               t.attempts_started || ' attempts; there are ' || coalesce(a.n, 0)
        from tasks t
        left join (select task_id, count(*) as n from attempts
                   where workspace_id = $1 group by task_id) a on a.task_id = t.task_id
        where t.workspace_id = $1 and t.container and t.split_at is null
          and (t.attempts_started > 0 or t.current_attempt_id is not null or a.n > 0)";

    // A lowered limit does not stop running attempts; only attempts started after the edit count.
    // The minute allows for an edit and a claim that waited for each other's locks: their times may
    // be in the opposite order of their commits.
    agents_within_limit: "
        select 'agent', g.agent_id::text, 'it runs ' || r.n || ' attempts and may run ' ||
               g.max_concurrent
        from agents g
        join (select agent_id, count(*) as n from attempts
              where workspace_id = $1 and state = 'running' and agent_id is not null
              group by agent_id) r
             on r.agent_id = g.agent_id
        where g.workspace_id = $1 and r.n > g.max_concurrent
          and (g.version = 1 or g.updated_at + interval '1 min' <
               (select max(a.started_at) from attempts a
                where a.workspace_id = $1 and a.agent_id = g.agent_id))";

    kept_for_agents: "
        select 'task', t.task_id::text, 'it is kept for an agent that is ' ||
               coalesce(g.state, 'not there')
        from tasks t
        left join agents g on g.workspace_id = $1 and g.agent_id = t.assigned_agent_id
        where t.workspace_id = $1 and t.assigned_agent_id is not null and t.ended_at is null
          and coalesce(g.state, 'retired') = 'retired'";

    leases_within_deadline: "
        select 'attempt', attempt_id::text, 'its lease ends ' || lease_expires_at ||
               ', its hard deadline is ' || hard_deadline
        from attempts
        where workspace_id = $1 and state = 'running' and lease_expires_at > hard_deadline";

    // Relations without a foreign key.
    rows_belong: "
        select 'attempt', a.attempt_id::text,
               case when t.task_id is null then 'its task is not there'
                    else 'its holder is not there' end
        from attempts a
        left join tasks t on t.workspace_id = $1 and t.task_id = a.task_id
        left join agents g on g.workspace_id = $1 and g.agent_id = a.agent_id
        left join keys k on k.workspace_id = $1 and k.key_id = a.held_by_key
        where a.workspace_id = $1
          and (t.task_id is null or coalesce(g.agent_id, k.key_id) is null)
        union all
        select 'attempt', r.attempt_id::text, 'it has ' || r.what || ' and is not there'
        from (select attempt_id, 'progress' as what from attempt_progress where workspace_id = $1
              union all
              select attempt_id, 'a result' from attempt_results where workspace_id = $1
              union all
              select attempt_id, 'spend' from attempt_spend where workspace_id = $1
              union all
              select distinct attempt_id, 'entries of spend' from spend_entries
              where workspace_id = $1) r
        left join attempts a on a.workspace_id = $1 and a.attempt_id = r.attempt_id
        where a.attempt_id is null";
}
