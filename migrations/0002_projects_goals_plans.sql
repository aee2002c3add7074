-- Projects, goals and their plans.
--
-- Why counters on the goal: a scan must not decide whether a goal is finished. Every transaction that
-- adds or ends tasks of a goal locks the row of the goal and updates the counters, once per batch. Long
-- text is kept in tables of its own, so that this row stays narrow.

create table projects (
    workspace_id uuid        not null,
    project_id   uuid        not null,
    name         text        not null,
    description  text        not null default '',
    version      integer     not null default 1,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    constraint projects_pkey primary key (workspace_id, project_id),
    constraint projects_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint projects_name_unique unique (workspace_id, name),
    constraint projects_name_length check (char_length(name) between 1 and 200),
    constraint projects_version_positive check (version > 0)
);
comment on table  projects is 'Named groups of goals.';
comment on column projects.workspace_id is 'The workspace.';
comment on column projects.project_id is 'UUIDv7.';
comment on column projects.name is 'Unique in the workspace; a goal may name its project by it.';
comment on column projects.description is 'For people.';
comment on column projects.version is 'Rises with every edit; the ETag.';
comment on column projects.created_at is 'Time of creation.';
comment on column projects.updated_at is 'Time of the last edit.';

create table goals (
    workspace_id    uuid        not null,
    goal_id         uuid        not null,
    created_by      uuid        not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    version         integer     not null default 1,
    tasks_total     integer     not null default 0,
    tasks_open      integer     not null default 0,
    tasks_done      integer     not null default 0,
    tasks_failed    integer     not null default 0,
    tasks_cancelled integer     not null default 0,
    priority        smallint    not null,
    plan_approval   boolean     not null,
    state           text        not null,
    planner         text        not null,
    title           text        not null,
    on_behalf_of    text[]      not null default '{}',
    project_id      uuid,
    deadline        timestamptz,
    ended_at        timestamptz,
    end_reason      text,
    constraint goals_pkey primary key (workspace_id, goal_id),
    constraint goals_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint goals_project_fkey foreign key (workspace_id, project_id) references projects (workspace_id, project_id),
    constraint goals_state_known check (state in ('planning', 'proposed', 'active', 'completed', 'failed', 'cancelled')),
    constraint goals_planner_known check (planner in ('outline', 'playbook', 'llm', 'agent', 'tasks')),
    constraint goals_priority_range check (priority between 0 and 9),
    constraint goals_tasks_add_up check (tasks_total = tasks_open + tasks_done + tasks_failed + tasks_cancelled),
    constraint goals_tasks_not_negative check (tasks_open >= 0 and tasks_done >= 0 and tasks_failed >= 0 and tasks_cancelled >= 0),
    constraint goals_empty_never_complete check (state <> 'completed' or (tasks_total > 0 and tasks_open = 0)),
    constraint goals_ended_iff_terminal check ((state in ('completed', 'failed', 'cancelled')) = (ended_at is not null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
comment on table  goals is 'The goals of the workspace: the narrow row with the counters of their tasks.';
comment on column goals.workspace_id is 'The workspace.';
comment on column goals.goal_id is 'UUIDv7; lists are in its order, newest first.';
comment on column goals.created_by is 'The key that posted the goal.';
comment on column goals.created_at is 'Time of posting.';
comment on column goals.updated_at is 'Time of the last change of the row.';
comment on column goals.version is 'Rises with every edit and every change of state; the ETag.';
comment on column goals.tasks_total is 'Tasks of the applied plan and subtasks, containers included.';
comment on column goals.tasks_open is 'Tasks in no terminal state. Updated, under the lock of the goal, by every transaction that adds or ends tasks.';
comment on column goals.tasks_done is 'Tasks in state done.';
comment on column goals.tasks_failed is 'Tasks in state failed.';
comment on column goals.tasks_cancelled is 'Tasks in state cancelled.';
comment on column goals.priority is '0 (lowest) to 9; the default priority of its tasks.';
comment on column goals.plan_approval is 'Whether a person must approve the plan before tasks are created.';
comment on column goals.state is 'planning, proposed, active, completed, failed or cancelled; the last three are terminal.';
comment on column goals.planner is 'The planner of its plan: outline, playbook, llm, agent or tasks.';
comment on column goals.title is 'For people.';
comment on column goals.on_behalf_of is 'The people for whom the goal was posted, nearest first.';
comment on column goals.project_id is 'The project that the goal is charged to; null: none.';
comment on column goals.deadline is 'Desired end of its tasks. Information only: nothing stops when it passes.';
comment on column goals.ended_at is 'Time of the terminal state.';
comment on column goals.end_reason is 'Reason of failure or cancellation, for people.';
create index goals_by_state on goals (workspace_id, state, goal_id);
create index goals_by_project on goals (workspace_id, project_id, goal_id);

create table goal_texts (
    workspace_id uuid  not null,
    goal_id      uuid  not null,
    brief        text  not null,
    metadata     jsonb not null,
    constraint goal_texts_pkey primary key (workspace_id, goal_id),
    constraint goal_texts_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id)
);
comment on table  goal_texts is 'The long text of a goal, kept out of its narrow row.';
comment on column goal_texts.workspace_id is 'The workspace.';
comment on column goal_texts.goal_id is 'The goal.';
comment on column goal_texts.brief is 'Markdown, at most 256 KiB.';
comment on column goal_texts.metadata is 'JSON object of the client; the service does not read it.';

create table plans (
    workspace_id uuid        not null,
    plan_id      uuid        not null,
    goal_id      uuid        not null,
    number       integer     not null,
    state        text        not null,
    planner      text        not null,
    document     jsonb       not null,
    notes        jsonb       not null,
    created_at   timestamptz not null,
    applied_at   timestamptz,
    constraint plans_pkey primary key (workspace_id, plan_id),
    constraint plans_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id),
    constraint plans_number_unique unique (workspace_id, goal_id, number),
    constraint plans_state_known check (state in ('proposed', 'applied', 'rejected', 'superseded')),
    constraint plans_planner_known check (planner in ('outline', 'playbook', 'llm', 'agent', 'tasks')),
    constraint plans_applied_at_iff_applied check ((state = 'applied') = (applied_at is not null))
);
comment on table  plans is 'Proposed and applied sets of tasks and dependencies; versioned per goal.';
comment on column plans.workspace_id is 'The workspace.';
comment on column plans.plan_id is 'UUIDv7.';
comment on column plans.goal_id is 'The goal of the plan.';
comment on column plans.number is 'Ordinal of the plan within its goal, from 1.';
comment on column plans.state is 'proposed, applied, rejected, or superseded: an edit replaced it by a new plan.';
comment on column plans.planner is 'The planner that made the plan.';
comment on column plans.document is 'The planned tasks, in plan order.';
comment on column plans.notes is 'Remarks of the planner: duplicate ids, ignored dependencies and the like.';
comment on column plans.created_at is 'Time of creation.';
comment on column plans.applied_at is 'Time at which its tasks were created.';
