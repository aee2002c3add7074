-- Planning as a state of a goal.
--
-- Why a table: a planner that needs somebody (a model, an agent of the fleet) plans after the request that posted the
-- goal. What has its turn, what each planner said, and who plans at the moment must outlive the server. A goal whose
-- plan was made within its request by its only planner has no rows here.
--
-- Why all planners of a chain at once, and not the next one when the one before failed: the chain is what the poster
-- chose, and people see what still comes. Why `queued` beside `waiting`: the supervisor finds what is due in the small
-- index of what is live, however long chains are and however long an agent plans.
--
-- Why `running_until` and `attempt`: a server that is killed while it plans holds nothing else. After the time another
-- one takes the run, and the result of the taking before no longer counts.
create table planning_runs (
    workspace_id  uuid        not null,
    run_id        uuid        not null,
    goal_id       uuid        not null,
    ordinal       integer     not null,
    planner       text        not null,
    state         text        not null,
    attempt       integer     not null default 0,
    input         jsonb       not null default '{}',
    said          jsonb       not null default '{}',
    task_id       uuid,
    plan_id       uuid,
    prompt        text,
    model         text,
    spend         jsonb       not null default '{}',
    created_at    timestamptz not null,
    started_at    timestamptz,
    running_until timestamptz,
    ended_at      timestamptz,
    constraint planning_runs_pkey primary key (workspace_id, run_id),
    constraint planning_runs_ordinal_unique unique (workspace_id, goal_id, ordinal),
    constraint planning_runs_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id),
    constraint planning_runs_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id),
    constraint planning_runs_plan_fkey foreign key (workspace_id, plan_id) references plans (workspace_id, plan_id),
    constraint planning_runs_planner_known check (planner in ('outline', 'playbook', 'llm', 'agent', 'tasks')),
    constraint planning_runs_state_known
        check (state in ('queued', 'waiting', 'running', 'planned', 'failed', 'skipped', 'cancelled')),
    constraint planning_runs_numbers_positive check (ordinal > 0 and attempt >= 0),
    constraint planning_runs_ended_iff_terminal
        check ((state in ('planned', 'failed', 'skipped', 'cancelled')) = (ended_at is not null)),
    constraint planning_runs_plan_iff_planned check ((state = 'planned') = (plan_id is not null)),
    constraint planning_runs_held_while_running check (running_until is null or state = 'running')
);
-- One planner of a goal has its turn.
create unique index planning_runs_one_live_per_goal on planning_runs (workspace_id, goal_id)
    where state in ('waiting', 'running');
-- Tasks and plans are deleted with their goal, which looks for references to them.
create index planning_runs_of_task on planning_runs (workspace_id, task_id) where task_id is not null;
create index planning_runs_of_plan on planning_runs (workspace_id, plan_id) where plan_id is not null;
comment on table  planning_runs is 'The turns of the planners of goals: one row per planner of a chain.';
comment on column planning_runs.workspace_id is 'The workspace.';
comment on column planning_runs.run_id is 'UUIDv7.';
comment on column planning_runs.goal_id is 'The goal that is planned.';
comment on column planning_runs.ordinal is 'Ordinal of the run within its goal, from 1, over all its chains.';
comment on column planning_runs.planner is 'Whose turn it is.';
comment on column planning_runs.state is 'queued (others come first), waiting (for a server), running, planned, failed, skipped (an earlier planner made the plan) or cancelled.';
comment on column planning_runs.attempt is 'Number of times that a server took it; only the result of the last taking counts.';
comment on column planning_runs.input is 'What the planner gets beside the texts of the goal: tasks, ordering.';
comment on column planning_runs.said is 'What the planner said: error, findings, note.';
comment on column planning_runs.task_id is 'The planning task of the planner agent.';
comment on column planning_runs.plan_id is 'The plan that it made.';
comment on column planning_runs.prompt is 'The prompt of the planner llm as it was sent, after its version and digest.';
comment on column planning_runs.model is 'The model that the planner llm asked.';
comment on column planning_runs.spend is 'What the planner llm used, by unit. The planner agent is charged with its attempts.';
comment on column planning_runs.created_at is 'Time at which its chain was given.';
comment on column planning_runs.started_at is 'Time at which a server first took it.';
comment on column planning_runs.running_until is 'Time until which a server holds it; after it another one takes it. Null: nobody holds it, or an agent plans.';
comment on column planning_runs.ended_at is 'Time of its end.';

alter table tasks
    drop constraint tasks_purpose_known,
    add constraint tasks_purpose_known check (purpose in ('verify', 'rework', 'plan'));
comment on column tasks.purpose is 'verify: checks criteria of the goal; rework: mends a rejected one; plan: makes the plan of the goal; null: a task of the plan, or a subtask.';

comment on column goals.planner is 'Producer of its plan; while it is planning, the planner that has its turn, or had the last one.';
