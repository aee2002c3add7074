-- Freezes: stops that operators put on a scope.
--
-- Why a freeze is state and not a message: every transaction that starts work reads the freezes in force, so
-- it does not matter which process was notified or restarted. Freezes are set and lifted under the exclusive
-- workspace lock, so each begins and ends at an exact point among the actions of agents.
--
-- Why a freeze is a row and no column of the frozen row: freezes overlap, and lifting one must not lift
-- another. A mark on a task would have to count them, and freezing a project would write all its tasks.
--
-- Why one function: claims, writes, heartbeats, answers and checks must share one definition of what a freeze
-- covers. The function starts from the few freezes in force and reads the task only if one of them depends
-- on it. Without freezes it is one search in an empty index.

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
comment on column freezes.workspace_id is 'The workspace.';
comment on column freezes.freeze_id is 'UUIDv7.';
comment on column freezes.scope is 'Kind of the frozen scope: workspace, project, goal, task, agent or capability.';
comment on column freezes.scope_id is 'Id of the frozen scope; null exactly for a capability. A task includes all its subtasks.';
comment on column freezes.capability is 'The capability; tasks that require it are frozen.';
comment on column freezes.mode is 'drain (no claims), pause (running attempts are told to pause) or stop (running attempts were ended).';
comment on column freezes.reason is 'Reason, for people.';
comment on column freezes.generation is 'Number of its last change, counted over all freezes set and lifted in the workspace, from 1.';
comment on column freezes.set_by is 'The key that set it.';
comment on column freezes.set_at is 'Time from which it is in force.';
comment on column freezes.lifted_by is 'The key that lifted it.';
comment on column freezes.lifted_at is 'Time until which it was in force; null: in force.';
comment on column freezes.lift_reason is 'Reason of lifting, for people.';
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
comment on column freeze_stops.workspace_id is 'The workspace.';
comment on column freeze_stops.freeze_id is 'The freeze.';
comment on column freeze_stops.attempt_id is 'An attempt that ran under it; it was released.';

-- Scalar subqueries instead of joins: each reads one row by its key under every plan, while a join could read all goals.
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
comment on function freezes_over(uuid, uuid, uuid) is 'The freezes in force over a task that an agent works on. Without an agent: over the task alone; without a task: over the agent alone.';
