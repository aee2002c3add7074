-- Routing: what agents did before, which of them got a task, and why.
--
-- Why records are per capability, agent and version: an agent that is good at one kind of work may be poor at
-- another, and another model or version of it is another worker. `version_key` is what both say of themselves.
--
-- Why decayed sums as floating point and no list of outcomes: a record is read and written as a whole, weighs at
-- most sixty attempts, and is an estimate. Nothing that is promised or billed depends on its last digits.
--
-- Why assignments have no foreign key and no index but their key: a row is written with every claim. They are
-- found through the attempts of a task, goal or agent. The ids of attempts ascend with time, so old rows are a
-- range of the key.
--
-- Why the columns of the workspace may be there already: they belong to the order of work as well.
alter table workspaces
    add column if not exists routing text not null default 'balanced'
        constraint workspaces_routing_known check (routing in ('fifo', 'balanced', 'cheapest', 'fastest', 'best')),
    add column if not exists max_deferral_ms integer not null default 5000
        constraint workspaces_max_deferral_range check (max_deferral_ms between 0 and 600000),
    add column if not exists control_percent integer not null default 2
        constraint workspaces_control_percent_range check (control_percent between 0 and 20);
comment on column workspaces.routing is 'What the assignment of tasks aims at: fifo, balanced, cheapest, fastest or best.';
comment on column workspaces.max_deferral_ms is 'Longest time in milliseconds for which a ready task is left for a better agent; 0: never.';
comment on column workspaces.control_percent is 'Percentage of tasks that are assigned at random, as a control of the routing.';

create function version_key(model text, agent_version text) returns text
    language sql immutable parallel safe
    return coalesce(model, '') || ' ' || coalesce(agent_version, '');
comment on function version_key(text, text) is 'A model and a version of an agent as one text.';

alter table agents
    add column model         text,
    add column agent_version text,
    add column version_since timestamptz,
    add column version_before text,
    add constraint agents_model_length check (char_length(model) between 1 and 200),
    add constraint agents_agent_version_length check (char_length(agent_version) between 1 and 200);
comment on column agents.model is 'The model that it says it uses; null: it does not say.';
comment on column agents.agent_version is 'The version that it says it has; null: it does not say.';
comment on column agents.version_since is 'Since when it has had this model and version; null: since its registration.';
comment on column agents.version_before is 'version_key of the model and version before; null: none.';

create table agent_records (
    workspace_id     uuid             not null,
    capability       text             not null,
    agent_id         uuid             not null,
    version_key      text             not null,
    attempts         bigint           not null,
    accepted         double precision not null,
    failed           double precision not null,
    cost_weight      double precision not null,
    cost_sum         double precision not null,
    cost_squares     double precision not null,
    duration_weight  double precision not null,
    duration_sum     double precision not null,
    duration_squares double precision not null,
    updated_at       timestamptz      not null,
    constraint agent_records_pkey primary key (workspace_id, capability, agent_id, version_key),
    constraint agent_records_agent_fkey foreign key (workspace_id, agent_id) references agents (workspace_id, agent_id),
    constraint agent_records_not_negative
        check (attempts >= 0 and accepted >= 0 and failed >= 0 and cost_weight >= 0 and duration_weight >= 0)
) with (fillfactor = 70);
create index agent_records_of_agent on agent_records (workspace_id, agent_id);
comment on table  agent_records is 'What agents did before, by capability, model and version. Older attempts weigh less.';
comment on column agent_records.workspace_id is 'The workspace.';
comment on column agent_records.capability is 'The capability; empty: tasks that require none.';
comment on column agent_records.agent_id is 'The agent.';
comment on column agent_records.version_key is 'Its model and version, by the function version_key.';
comment on column agent_records.attempts is 'Attempts ever counted.';
comment on column agent_records.accepted is 'Weight of the accepted attempts.';
comment on column agent_records.failed is 'Weight of the others: rework and failures of the agent.';
comment on column agent_records.cost_weight is 'Weight of the attempts with a cost.';
comment on column agent_records.cost_sum is 'Weighted sum of the natural logarithms of their costs in usd_micros.';
comment on column agent_records.cost_squares is 'Weighted sum of the squares of these.';
comment on column agent_records.duration_weight is 'Weight of the accepted attempts, for their durations.';
comment on column agent_records.duration_sum is 'Weighted sum of the natural logarithms of their durations in milliseconds.';
comment on column agent_records.duration_squares is 'Weighted sum of the squares of these.';
comment on column agent_records.updated_at is 'Time as of which the weights are.';

create table route_cursors (
    workspace_id uuid   not null,
    read_to      bigint not null,
    constraint route_cursors_pkey primary key (workspace_id),
    constraint route_cursors_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id)
) with (fillfactor = 50);
comment on table  route_cursors is 'How far the journal was read for ends of attempts.';
comment on column route_cursors.workspace_id is 'The workspace.';
comment on column route_cursors.read_to is 'Number of the last journal row that was read.';

create table assignments (
    workspace_id uuid        not null,
    attempt_id   uuid        not null,
    task_id      uuid        not null,
    agent_id     uuid        not null,
    at           timestamptz not null,
    waited_ms    bigint      not null,
    control      boolean     not null,
    policy       text        not null,
    reason       text        not null,
    candidates   jsonb,
    constraint assignments_pkey primary key (workspace_id, attempt_id),
    constraint assignments_policy_known check (policy in ('fifo', 'balanced', 'cheapest', 'fastest', 'best')),
    constraint assignments_reason_known check (reason in ('kept', 'only', 'order', 'score', 'better_busy', 'control'))
);
comment on table  assignments is 'Why a task was given to an agent. Kept for thirty days.';
comment on column assignments.workspace_id is 'The workspace.';
comment on column assignments.attempt_id is 'The attempt that began.';
comment on column assignments.task_id is 'Its task.';
comment on column assignments.agent_id is 'The agent that got it.';
comment on column assignments.at is 'Time of the assignment.';
comment on column assignments.waited_ms is 'How long the task had been ready, in milliseconds.';
comment on column assignments.control is 'Whether the task belongs to the share that is assigned at random.';
comment on column assignments.policy is 'The policy of the workspace.';
comment on column assignments.reason is 'kept, only, order, score, better_busy or control.';
comment on column assignments.candidates is 'The compared agents, best first: a agent, s score, p success rate, c cost, d duration, l load, f affinity; null: nobody was compared.';
