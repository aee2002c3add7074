-- Freezes: stops that operators put on a scope.
--
-- Why state and not a message: whoever begins anything asks what is frozen at that moment, in its own
-- transaction, so it does not matter who was told of it, or which process was restarted since. Freezes
-- are set and lifted while nothing else is under way in the workspace, so each has an exact beginning
-- and end among everything that agents do.
--
-- Why a row for each and no column on what is frozen: freezes overlap, and lifting one must lift only
-- itself. A mark on a task would have to count them, and freezing a project would write all of it.
--
-- Why one function: what a freeze covers is one rule, which claims, writes, heartbeats, answers and
-- checks must not tell in words of their own. It begins with the few freezes that are in force and
-- looks at a task only as far as one of these asks, so where nothing is frozen it is one look into an
-- empty index.

create table freezes (
    workspace_id uuid        not null,
    freeze_id    uuid        not null,
    scope        text        not null,
    scope_id     uuid,
    capability   text,
    mode         text        not null,
    reason       text        not null,
    generation   bigint      not null,
    set_by       uuid,
    set_at       timestamptz not null,
    lifted_by    uuid,
    lifted_at    timestamptz,
    lift_reason  text,
    constraint freezes_pkey primary key (workspace_id, freeze_id),
    constraint freezes_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint freezes_generation_unique unique (workspace_id, generation),
    constraint freezes_scope_known check (scope in ('workspace', 'project', 'goal', 'task', 'agent', 'capability')),
    constraint freezes_mode_known check (mode in ('drain', 'pause', 'stop')),
    constraint freezes_scope_named check ((scope = 'capability') = (capability is not null) and (scope = 'capability') = (scope_id is null)),
    constraint freezes_lifted_after_set check (lifted_at >= set_at),
    constraint freezes_lift_told_when_lifted check (lifted_at is not null or (lifted_by is null and lift_reason is null))
);
comment on table  freezes is 'Stops that operators put on a scope. Rows are never deleted.';
comment on column freezes.workspace_id is 'The tenant.';
comment on column freezes.freeze_id is 'UUIDv7.';
comment on column freezes.scope is 'What kind of thing is frozen: workspace, project, goal, task, agent or capability.';
comment on column freezes.scope_id is 'Which one; null exactly for a capability. A task stands for everything below it too.';
comment on column freezes.capability is 'The capability; a task that requires it is frozen.';
comment on column freezes.mode is 'drain (no claims), pause (running attempts are told to pause) or stop (running attempts were ended).';
comment on column freezes.reason is 'Why, for people.';
comment on column freezes.generation is 'Counts what was set and lifted in the workspace, from 1: the number of this one''s last change.';
comment on column freezes.set_by is 'The key that set it.';
comment on column freezes.set_at is 'Since when it is in force.';
comment on column freezes.lifted_by is 'The key that lifted it.';
comment on column freezes.lifted_at is 'Until when it was in force; null: it still is.';
comment on column freezes.lift_reason is 'Why it was lifted, for people.';
create index freezes_in_force on freezes (workspace_id, freeze_id) where lifted_at is null;

create table freeze_stops (
    workspace_id uuid not null,
    freeze_id    uuid not null,
    attempt_id   uuid not null,
    constraint freeze_stops_pkey primary key (workspace_id, freeze_id, attempt_id),
    constraint freeze_stops_freeze_fkey foreign key (workspace_id, freeze_id) references freezes (workspace_id, freeze_id),
    constraint freeze_stops_attempt_fkey foreign key (workspace_id, attempt_id) references attempts (workspace_id, attempt_id)
);
comment on table  freeze_stops is 'The attempts that a freeze ended when it was set.';
comment on column freeze_stops.workspace_id is 'The tenant.';
comment on column freeze_stops.freeze_id is 'The freeze.';
comment on column freeze_stops.attempt_id is 'An attempt that ran under it; it is released.';

-- Every look is for one row by its key, in whatever plan: a join could be made to read all goals.
create function freezes_over(of_workspace uuid, of_task uuid, of_agent uuid) returns setof freezes
    language sql stable as $$
    select f.* from freezes f
    where f.workspace_id = of_workspace and f.lifted_at is null and case f.scope
        when 'workspace' then true
        when 'agent' then f.scope_id = of_agent
        when 'goal' then f.scope_id = (
            select t.goal_id from tasks t
            where t.workspace_id = of_workspace and t.task_id = of_task)
        when 'project' then f.scope_id = (
            select g.project_id from goals g
            where g.workspace_id = of_workspace and g.goal_id = (
                select t.goal_id from tasks t
                where t.workspace_id = of_workspace and t.task_id = of_task))
        when 'capability' then f.capability = any ((
            select c.capabilities from capability_sets c
            where c.workspace_id = of_workspace and c.capability_key = (
                select t.capability_key from tasks t
                where t.workspace_id = of_workspace and t.task_id = of_task))::text[])
        when 'task' then exists (
            with recursive up (task_id) as (
                select of_task
                union all
                select (select p.parent_id from tasks p
                        where p.workspace_id = of_workspace and p.task_id = up.task_id)
                from up where up.task_id is not null)
            select from up where up.task_id = f.scope_id)
    end
$$;
comment on function freezes_over(uuid, uuid, uuid) is 'The freezes in force over a task in the hands of an agent. Without an agent: over the task, whoever works on it; without a task: over the agent, whatever it works on.';
