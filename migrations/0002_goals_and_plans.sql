-- Projects, goals and their plans.
--
-- Why counters on the goal: whether a goal is finished must not be decided from a scan. Every
-- transaction that ends or adds tasks of a goal holds the goal's row and moves the counters with
-- it, once per batch. Long text stands beside the narrow rows.

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
comment on column projects.workspace_id is 'The tenant.';
comment on column projects.project_id is 'UUIDv7.';
comment on column projects.name is 'Unique in the workspace; goals may name a project by it.';
comment on column projects.description is 'For people.';
comment on column projects.version is 'Rises with every edit; the ETag.';
comment on column projects.created_at is 'When it was made.';
comment on column projects.updated_at is 'When it was last edited.';

create table goals (
    workspace_id    uuid        not null,
    goal_id         uuid        not null,
    project_id      uuid,
    title           text        not null,
    state           text        not null,
    planner         text        not null,
    priority        smallint    not null,
    plan_approval   boolean     not null,
    deadline        timestamptz,
    tasks_total     integer     not null default 0,
    tasks_open      integer     not null default 0,
    tasks_done      integer     not null default 0,
    tasks_failed    integer     not null default 0,
    tasks_cancelled integer     not null default 0,
    end_reason      text,
    version         integer     not null default 1,
    created_by      uuid        not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    ended_at        timestamptz,
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
comment on table  goals is 'What somebody wants.';
comment on column goals.workspace_id is 'The tenant.';
comment on column goals.goal_id is 'UUIDv7: pages newest first by it.';
comment on column goals.project_id is 'The project it is charged to, if any.';
comment on column goals.title is 'For people.';
comment on column goals.state is 'planning, proposed, active, completed, failed or cancelled; the last three absorb.';
comment on column goals.planner is 'What made its plan.';
comment on column goals.priority is '0 (lowest) to 9; what its tasks inherit.';
comment on column goals.plan_approval is 'Whether a person must approve the plan before any task exists.';
comment on column goals.deadline is 'When its tasks should be finished; informs, does not stop.';
comment on column goals.tasks_total is 'Tasks of the applied plan and subtasks, containers included.';
comment on column goals.tasks_open is 'Tasks in no terminal state; moved by every transaction that ends or adds tasks, under the goal''s lock.';
comment on column goals.tasks_done is 'Tasks done.';
comment on column goals.tasks_failed is 'Tasks failed.';
comment on column goals.tasks_cancelled is 'Tasks cancelled.';
comment on column goals.end_reason is 'Why it failed or was cancelled, for people.';
comment on column goals.version is 'Rises with every edit and every change of state; the ETag.';
comment on column goals.created_by is 'The key that posted it.';
comment on column goals.created_at is 'When it was posted.';
comment on column goals.updated_at is 'When its row last changed.';
comment on column goals.ended_at is 'When it reached a terminal state.';
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
comment on table  goal_texts is 'The long text of a goal, kept off its narrow row.';
comment on column goal_texts.workspace_id is 'The tenant.';
comment on column goal_texts.goal_id is 'The goal.';
comment on column goal_texts.brief is 'Markdown, at most 256 KiB.';
comment on column goal_texts.metadata is 'A JSON object of the poster''s own.';

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
    constraint plans_state_known check (state in ('proposed', 'applied', 'rejected')),
    constraint plans_planner_known check (planner in ('outline', 'playbook', 'llm', 'agent', 'tasks')),
    constraint plans_applied_at_iff_applied check ((state = 'applied') = (applied_at is not null))
);
comment on table  plans is 'Proposed and applied sets of tasks and dependencies; versioned per goal.';
comment on column plans.workspace_id is 'The tenant.';
comment on column plans.plan_id is 'UUIDv7.';
comment on column plans.goal_id is 'The goal it is a plan of.';
comment on column plans.number is 'Counts the plans of the goal from 1.';
comment on column plans.state is 'proposed, applied or rejected.';
comment on column plans.planner is 'What made it.';
comment on column plans.document is 'The tasks as planned, in plan order.';
comment on column plans.notes is 'What the planner noticed: duplicate ids, ignored dependencies and the like.';
comment on column plans.created_at is 'When it was made.';
comment on column plans.applied_at is 'When its tasks were created.';
