//! Violations of the invariants of gates: concurrency keys, resources and their grants.

use super::finders;

finders! {
    // A lowered number ends no attempt; only grants given after the edit count. The minute allows for an edit
    // and a claim that waited for each other's locks: their times may be in the opposite order of their commits.
    within_most: "
        select 'concurrency_key', k.concurrency_key_id::text, '`' || k.name || '` has ' || g.n ||
               ' grants and may have ' || k.most
        from concurrency_keys k
        join (select concurrency_key_id, count(*) as n, max(granted_at) as last
              from concurrency_grants where workspace_id = $1 group by concurrency_key_id) g
             on g.concurrency_key_id = k.concurrency_key_id
        where k.workspace_id = $1 and g.n > k.most
          and (k.version = 1 or k.updated_at + interval '1 min' < g.last)";

    granted: "
        select 'attempt', a.attempt_id::text, 'it runs without a grant of a concurrency key of its task'
        from task_concurrency_keys n
        join tasks t on t.workspace_id = $1 and t.task_id = n.task_id and t.state = 'running'
        join attempts a on a.workspace_id = $1 and a.attempt_id = t.current_attempt_id
             and a.state = 'running'
        left join concurrency_grants g on g.workspace_id = $1 and g.attempt_id = a.attempt_id
             and g.concurrency_key_id = n.concurrency_key_id
        where n.workspace_id = $1 and g.attempt_id is null";

    resources_not_shared: "
        select 'attempt', a.attempt_id::text, 'it holds `' || a.resource || '` (' || a.mode ||
               '), and attempt ' || b.attempt_id || ' holds `' || b.resource || '` (' || b.mode || ')'
        from resource_grants a
        join resource_grants b on b.workspace_id = $1 and b.scope_id = a.scope_id
             and b.attempt_id > a.attempt_id
        where a.workspace_id = $1 and (a.mode = 'exclusive' or b.mode = 'exclusive')
          and (starts_with(a.head, b.head) or starts_with(b.head, a.head))
          and resources_overlap(a.resource, b.resource)";

    of_running: "
        select 'attempt', g.attempt_id::text, 'it holds ' || g.what || ' and is ' ||
               coalesce(a.state, 'not there')
        from (select attempt_id, 'a concurrency key' as what from concurrency_grants
              where workspace_id = $1
              union all
              select attempt_id, '`' || resource || '`' from resource_grants
              where workspace_id = $1) g
        left join attempts a on a.workspace_id = $1 and a.attempt_id = g.attempt_id
        where a.state is distinct from 'running'";
}
