-- Gates: a name stands for what is beneath it, and a search that costs little.
--
-- Why `resources_overlap` anew: a task with the directory `src/api` and one with the pattern `src/*/users.rs` did not
-- conflict, though both have `src/api/users.rs`; nor did `a?**/b` and `*ab`, though both match `aab`.
--
-- Why `gates_over` anew: the search of claims asks it for every ready task with a gate until enough are found. What does
-- not depend on the task (which keys are full, whether anything is held) is now found once per search, and the full keys
-- are hashed. Of what is held only resources are compared whose beginning fits: those that begin with the head of the
-- task's are a range of an index, and those with which it begins are looked up. Only 64 characters are indexed, so that
-- a long name costs no more than 64 look-ups; what follows is compared afterwards.
--
-- Why `kept`: every task may name a new key, and a name such as that of a branch is named once. Keys that only tasks
-- made are deleted when no open task names them; else the workspace would be full of them. Those that are there may be
-- an operator's and are kept. A task that has ended can come back, so it keeps the names.
--
-- Why an index of ready tasks with gates: whoever looks for waiting claims counts them apart, because of those behind
-- one gate no more may be handed out than the gate lets through. Nearly no task has a gate.

create function resource_like(pattern text) returns text language sql immutable as $$
    select replace(replace(replace(replace(replace(replace(
               pattern, '\', '\\'), '%', '\%'), '_', '\_'), '**/', '%'), '*', '%'), '?', '_')
$$;
comment on function resource_like(text) is 'The pattern for `like` in which every wildcard may cross a `/`.';

create function resource_front(pattern text, name text) returns text language sql immutable as $$
    select array_to_string((string_to_array(pattern, '/'))[1:length(name) - length(replace(name, '/', '')) + 1], '/')
$$;
comment on function resource_front(text, text) is 'The first parts of a pattern, as many as a name has.';

-- The rule of `domain::gate::resource::overlap`, which explains it.
create or replace function resource_matches(pattern text, name text) returns boolean language sql immutable as $$
    select (name like resource_like(pattern)
            and (position('**' in pattern) > 0
                 or length(replace(pattern, '/', '')) - length(pattern)
                  = length(replace(name, '/', '')) - length(name)))
        or case when position('**' in resource_front(pattern, name)) > 0
                then name like resource_like(split_part(resource_front(pattern, name), '**', 1) || '*')
                else length(resource_front(pattern, name)) < length(pattern)
                     and name like resource_like(resource_front(pattern, name)) end
$$;
comment on function resource_matches(text, text) is 'Whether a pattern with * or ? may cover a name without them, or something beneath it.';

create or replace function resources_overlap(a text, b text) returns boolean language sql immutable as $$
    select case
        when a = b then true
        when a !~ '[*?]' and b !~ '[*?]' then starts_with(a, b || '/') or starts_with(b, a || '/')
        when b !~ '[*?]' then resource_matches(a, b)
        when a !~ '[*?]' then resource_matches(b, a)
        else (
            select (starts_with(x.head, y.head) or starts_with(y.head, x.head))
               and right(x.tail, least(length(x.tail), length(y.tail)))
                 = right(y.tail, least(length(x.tail), length(y.tail)))
               and (x.deep or y.depth <= x.depth) and (y.deep or x.depth <= y.depth)
            from (select substring(p from '^[^*?]*') as head,
                         substring(replace(p, '**/', '**') from '[^*?]*$') as tail,
                         position('**' in p) > 0 as deep,
                         length(p) - length(replace(p, '/', ''))
                         - (length(p) - length(replace(p, '**/', ''))) / 3 as depth
                  from (values (a)) as v (p)) x,
                 (select substring(p from '^[^*?]*') as head,
                         substring(replace(p, '**/', '**') from '[^*?]*$') as tail,
                         position('**' in p) > 0 as deep,
                         length(p) - length(replace(p, '/', ''))
                         - (length(p) - length(replace(p, '**/', ''))) / 3 as depth
                  from (values (b)) as v (p)) y)
    end
$$;

create index resource_grants_of_head on resource_grants (workspace_id, scope_id, left(head, 64));

create or replace function gates_over(of_workspace uuid, of_task uuid, at_time timestamptz)
    returns table (kind text, subject text, attempt_id uuid) language sql stable as $$
    select 'concurrency_key', k.name, null::uuid
    from task_concurrency_keys n
    join concurrency_keys k on k.workspace_id = of_workspace and k.concurrency_key_id = n.concurrency_key_id
    where n.workspace_id = of_workspace and n.task_id = of_task
      -- The full keys, of the whole workspace. So written, they are found once per search and hashed.
      and (n.concurrency_key_id in (
               select f.concurrency_key_id
               from (select g.concurrency_key_id, count(*) as held from concurrency_grants g
                     where g.workspace_id = of_workspace group by g.concurrency_key_id) g
               join concurrency_keys f on f.workspace_id = of_workspace
                    and f.concurrency_key_id = g.concurrency_key_id
               where f.most <= g.held)) is true
    union all
    select 'resource', n.resource, h.attempt_id
    from (select coalesce(g.project_id, of_workspace) as scope_id
          from tasks t join goals g on g.workspace_id = of_workspace and g.goal_id = t.goal_id
          where t.workspace_id = of_workspace and t.task_id = of_task) s
    cross join task_touches n
    cross join lateral (
        -- What begins with the head of the task's, or is equal.
        select h.resource, h.head, h.mode, h.attempt_id from resource_grants h
        where h.workspace_id = of_workspace and h.scope_id = s.scope_id
          and left(h.head, 64) >= left(n.head, 64)
          -- No text of 64 characters that begins so sorts behind it.
          and left(h.head, 64) <= left(n.head, 64) || repeat(chr(1114111), 64)
        union all
        -- What that begins with.
        select h.resource, h.head, h.mode, h.attempt_id from resource_grants h
        where h.workspace_id = of_workspace and h.scope_id = s.scope_id
          and left(h.head, 64) = any(array(select left(n.head, i)
                                           from generate_series(0, least(length(n.head), 64) - 1) i))) h
    where n.workspace_id = of_workspace and n.task_id = of_task
      and (select exists (select from resource_grants where workspace_id = of_workspace))
      and (n.mode = 'exclusive' or h.mode = 'exclusive')
      and (starts_with(n.head, h.head) or starts_with(h.head, n.head))
      and (n.resource = h.resource or resources_overlap(n.resource, h.resource))
$$;

alter table concurrency_keys add column kept boolean not null default true;
comment on column concurrency_keys.kept is 'Whether it stays when no open task names it: an operator created or edited it.';
create index concurrency_keys_of_tasks on concurrency_keys (workspace_id, created_at) where not kept;

create table task_key_names (
    workspace_id uuid not null,
    task_id      uuid not null,
    name         text collate "C" not null,
    constraint task_key_names_pkey primary key (workspace_id, task_id, name),
    constraint task_key_names_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id)
);
comment on table  task_key_names is 'Names of concurrency keys that were deleted after the task had ended. If it comes back, it names them anew.';
comment on column task_key_names.workspace_id is 'The workspace.';
comment on column task_key_names.task_id is 'The task, which has ended.';
comment on column task_key_names.name is 'The name of the key.';

create index tasks_ready_gated on tasks (workspace_id, capability_key, task_id) where state = 'ready' and gated;
