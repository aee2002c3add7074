-- Gates with grants: concurrency keys, and resources that tasks touch.
--
-- Why grants are rows and not counters: a counter that missed one release would stay wrong for ever. A grant belongs to
-- one running attempt and is deleted with the end of that attempt, in the same transaction, so what is held can always be
-- recounted from the attempts that run.
--
-- Why a task names keys by id and resources by text: a key has a maximum that operators change, and one row to lock. A
-- resource is only a name; there may be more of them than tasks, and nobody makes or deletes them.
--
-- Why `scope_id` with a resource: resources of a project conflict only inside it, and goals without a project share the
-- workspace. A column that is never null can be searched by an index. A goal does not move to another project while one
-- of its attempts runs, so what is held stays true.
--
-- Why the overlap of patterns is a function of the database too: the search of the claim must skip tasks whose resource
-- is held, or they would stand before those that can run. It is the same rule as that of the service, which decides
-- under the lock, and a test compares both. As they never differ, no task is left out of the search that could run.
--
-- Why a flag on tasks: nearly no task has a gate, and the search of the claim must cost those nothing.

alter table tasks add column gated boolean not null default false;
comment on column tasks.gated is 'Whether the search of claims must ask gates_over: the task names concurrency keys or touches resources.';

create table concurrency_keys (
    workspace_id       uuid             not null,
    concurrency_key_id uuid             not null,
    project_id         uuid,
    scope_id           uuid             not null generated always as (coalesce(project_id, workspace_id)) stored,
    name               text collate "C" not null,
    most               integer          not null,
    version            integer          not null default 1,
    created_at         timestamptz      not null,
    updated_at         timestamptz      not null,
    constraint concurrency_keys_pkey primary key (workspace_id, concurrency_key_id),
    constraint concurrency_keys_name_unique unique (workspace_id, scope_id, name),
    constraint concurrency_keys_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint concurrency_keys_project_fkey foreign key (workspace_id, project_id)
        references projects (workspace_id, project_id),
    constraint concurrency_keys_most_positive check (most > 0)
);
comment on table  concurrency_keys is 'Names under which at most so many attempts run at once.';
comment on column concurrency_keys.workspace_id is 'The workspace.';
comment on column concurrency_keys.concurrency_key_id is 'UUIDv7.';
comment on column concurrency_keys.project_id is 'The project whose goals it is for; null: all goals of the workspace.';
comment on column concurrency_keys.scope_id is 'The project, or the workspace without one: a name is unique in it.';
comment on column concurrency_keys.name is 'Its name, by which tasks name it; never changes. Sorted by bytes, as the service sorts.';
comment on column concurrency_keys.most is 'Most grants at once. Lowering it ends no attempt.';
comment on column concurrency_keys.version is 'Version of the key, from 1, raised by every edit.';
comment on column concurrency_keys.created_at is 'Time of creation, by an operator or by the first task that named it.';
comment on column concurrency_keys.updated_at is 'Time of the last edit.';

create table task_concurrency_keys (
    workspace_id       uuid not null,
    task_id            uuid not null,
    concurrency_key_id uuid not null,
    constraint task_concurrency_keys_pkey primary key (workspace_id, task_id, concurrency_key_id),
    constraint task_concurrency_keys_task_fkey foreign key (workspace_id, task_id)
        references tasks (workspace_id, task_id),
    constraint task_concurrency_keys_key_fkey foreign key (workspace_id, concurrency_key_id)
        references concurrency_keys (workspace_id, concurrency_key_id)
);
comment on table  task_concurrency_keys is 'The concurrency keys of which an attempt of the task needs a grant each.';
comment on column task_concurrency_keys.workspace_id is 'The workspace.';
comment on column task_concurrency_keys.task_id is 'The task.';
comment on column task_concurrency_keys.concurrency_key_id is 'The key.';
create index task_concurrency_keys_of_key on task_concurrency_keys (workspace_id, concurrency_key_id, task_id);

create table task_touches (
    workspace_id uuid not null,
    task_id      uuid not null,
    resource     text collate "C" not null,
    mode         text not null,
    head         text collate "C" generated always as (substring(resource from '^[^*?]*')) stored,
    constraint task_touches_pkey primary key (workspace_id, task_id, resource),
    constraint task_touches_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id),
    constraint task_touches_mode_known check (mode in ('exclusive', 'shared'))
);
comment on table  task_touches is 'The resources that an attempt of the task takes at its start.';
comment on column task_touches.workspace_id is 'The workspace.';
comment on column task_touches.task_id is 'The task.';
comment on column task_touches.resource is 'A name, or a pattern with * and ?.';
comment on column task_touches.mode is 'exclusive, or shared with others that share it.';
comment on column task_touches.head is 'The resource up to its first * or ?: resources overlap only if the head of one begins with that of the other.';

create table concurrency_grants (
    workspace_id       uuid        not null,
    attempt_id         uuid        not null,
    concurrency_key_id uuid        not null,
    granted_at         timestamptz not null,
    constraint concurrency_grants_pkey primary key (workspace_id, attempt_id, concurrency_key_id),
    constraint concurrency_grants_key_fkey foreign key (workspace_id, concurrency_key_id)
        references concurrency_keys (workspace_id, concurrency_key_id)
);
comment on table  concurrency_grants is 'Concurrency keys that running attempts hold. A row goes with the end of its attempt.';
comment on column concurrency_grants.workspace_id is 'The workspace.';
comment on column concurrency_grants.attempt_id is 'The running attempt.';
comment on column concurrency_grants.concurrency_key_id is 'The key, of which it counts as one.';
comment on column concurrency_grants.granted_at is 'Time of the start of the attempt.';
create index concurrency_grants_of_key on concurrency_grants (workspace_id, concurrency_key_id, attempt_id);

create table resource_grants (
    workspace_id uuid        not null,
    attempt_id   uuid        not null,
    scope_id     uuid        not null,
    resource     text collate "C" not null,
    mode         text        not null,
    granted_at   timestamptz not null,
    head         text collate "C" generated always as (substring(resource from '^[^*?]*')) stored,
    constraint resource_grants_pkey primary key (workspace_id, attempt_id, resource),
    constraint resource_grants_mode_known check (mode in ('exclusive', 'shared'))
);
comment on table  resource_grants is 'Resources that running attempts hold. A row goes with the end of its attempt, or when the attempt gives it up.';
comment on column resource_grants.workspace_id is 'The workspace.';
comment on column resource_grants.attempt_id is 'The running attempt.';
comment on column resource_grants.scope_id is 'Where it conflicts with others: the project of the goal, or the workspace of a goal without one.';
comment on column resource_grants.resource is 'A name, or a pattern with * and ?.';
comment on column resource_grants.mode is 'exclusive, or shared with others that share it.';
comment on column resource_grants.granted_at is 'Time at which the attempt took it.';
comment on column resource_grants.head is 'The resource up to its first * or ?: resources overlap only if the head of one begins with that of the other.';
create index resource_grants_of_scope on resource_grants (workspace_id, scope_id, attempt_id);

-- The rule of `domain::gate::resource::overlap`, which explains it.
create function resource_matches(pattern text, name text) returns boolean language sql immutable as $$
    select starts_with(substring(pattern from '^[^*?]*'), name || '/')
        or (name like replace(replace(replace(replace(replace(replace(
                pattern, '\', '\\'), '%', '\%'), '_', '\_'), '**/', '%'), '*', '%'), '?', '_')
            and (position('**' in pattern) > 0
                 or length(replace(pattern, '/', '')) - length(pattern)
                  = length(replace(name, '/', '')) - length(name)))
$$;
comment on function resource_matches(text, text) is 'Whether a pattern with * or ? may cover a name without them.';

create function resources_overlap(a text, b text) returns boolean language sql immutable as $$
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
            from (select substring(p from '^[^*?]*') as head, substring(p from '[^*?]*$') as tail,
                         position('**' in p) > 0 as deep,
                         length(p) - length(replace(p, '/', ''))
                         - (length(p) - length(replace(p, '**/', ''))) / 3 as depth
                  from (values (a)) as v (p)) x,
                 (select substring(p from '^[^*?]*') as head, substring(p from '[^*?]*$') as tail,
                         position('**' in p) > 0 as deep,
                         length(p) - length(replace(p, '/', ''))
                         - (length(p) - length(replace(p, '**/', ''))) / 3 as depth
                  from (values (b)) as v (p)) y)
    end
$$;
comment on function resources_overlap(text, text) is 'Whether two resources may name the same thing. Never false for two that can.';

create function resource_scope(of_workspace uuid, of_goal uuid) returns uuid language sql stable as $$
    select coalesce(g.project_id, g.workspace_id) from goals g
    where g.workspace_id = of_workspace and g.goal_id = of_goal
$$;
comment on function resource_scope(uuid, uuid) is 'Where the resources of a goal conflict with others: its project, or the workspace without one.';

-- Everything that keeps a gated task from being claimed at a time. No row: it may be claimed. Only the search asks it;
-- whoever starts an attempt decides again under locks.
create function gates_over(of_workspace uuid, of_task uuid, at_time timestamptz)
    returns table (kind text, subject text, attempt_id uuid) language sql stable as $$
    select 'concurrency_key', k.name, null::uuid
    from task_concurrency_keys n
    join concurrency_keys k on k.workspace_id = of_workspace and k.concurrency_key_id = n.concurrency_key_id
    where n.workspace_id = of_workspace and n.task_id = of_task
      and k.most <= (select count(*) from concurrency_grants g
                     where g.workspace_id = of_workspace and g.concurrency_key_id = n.concurrency_key_id)
    union all
    select 'resource', n.resource, h.attempt_id
    from task_touches n
    join resource_grants h on h.workspace_id = of_workspace
         -- As a subquery it is computed once, and searched by the index.
         and h.scope_id = (select coalesce(g.project_id, g.workspace_id)
                           from tasks t join goals g on g.workspace_id = of_workspace and g.goal_id = t.goal_id
                           where t.workspace_id = of_workspace and t.task_id = of_task)
    where n.workspace_id = of_workspace and n.task_id = of_task
      and (n.mode = 'exclusive' or h.mode = 'exclusive')
      and (starts_with(n.head, h.head) or starts_with(h.head, n.head))
      and resources_overlap(n.resource, h.resource)
$$;
comment on function gates_over(uuid, uuid, timestamptz) is 'What keeps a task from being claimed at a time: kind, its name, and the attempt that holds it if it is one. No row: nothing does.';
