-- Agents and attempts.
--
-- Why an attempt is the lease term: its number is the epoch, its lease the fence. One partial
-- unique index holds that a task has at most one attempt that may write.
-- Why no index on lease_expires_at: a heartbeat must change no indexed column. The sweeper reads
-- the running attempts, of which there are never more than the fleet can hold.

create table agents (
    workspace_id   uuid        not null,
    agent_id       uuid        not null,
    name           text        not null,
    capabilities   text[]      not null,
    max_concurrent integer     not null,
    state          text        not null,
    version        integer     not null default 1,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    constraint agents_pkey primary key (workspace_id, agent_id),
    constraint agents_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint agents_name_unique unique (workspace_id, name),
    constraint agents_state_known check (state in ('active', 'paused', 'draining', 'retired')),
    constraint agents_max_concurrent_range check (max_concurrent between 1 and 10000)
) with (fillfactor = 80);
comment on table  agents is 'Registered workers.';
comment on column agents.workspace_id is 'The tenant.';
comment on column agents.agent_id is 'UUIDv7.';
comment on column agents.name is 'Unique in the workspace; registering is idempotent by it.';
comment on column agents.capabilities is 'What it can do; sorted, unique.';
comment on column agents.max_concurrent is 'How many attempts it may run at once.';
comment on column agents.state is 'active, paused, draining or retired.';
comment on column agents.version is 'Rises with every edit; the ETag.';
comment on column agents.created_at is 'When it was first registered.';
comment on column agents.updated_at is 'When it was last edited or registered again.';

alter table keys add constraint keys_agent_fkey
    foreign key (workspace_id, agent_id) references agents (workspace_id, agent_id);

create table agent_presence (
    workspace_id uuid        not null,
    agent_id     uuid        not null,
    last_seen_at timestamptz not null,
    constraint agent_presence_pkey primary key (workspace_id, agent_id),
    constraint agent_presence_agent_fkey foreign key (workspace_id, agent_id) references agents (workspace_id, agent_id)
) with (fillfactor = 50);
comment on table  agent_presence is 'When an agent was last heard of, apart from the row that people edit.';
comment on column agent_presence.workspace_id is 'The tenant.';
comment on column agent_presence.agent_id is 'The agent.';
comment on column agent_presence.last_seen_at is 'Its last claim or heartbeat, exact to ten seconds.';

create table attempts (
    workspace_id     uuid        not null,
    attempt_id       uuid        not null,
    task_id          uuid        not null,
    goal_id          uuid        not null,
    agent_id         uuid        not null,
    number           integer     not null,
    state            text        not null,
    lease_sha256     bytea       not null,
    lease_ms         bigint      not null,
    lease_expires_at timestamptz not null,
    hard_deadline    timestamptz not null,
    started_at       timestamptz not null,
    ended_at         timestamptz,
    constraint attempts_pkey primary key (workspace_id, attempt_id),
    constraint attempts_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id),
    constraint attempts_agent_fkey foreign key (workspace_id, agent_id) references agents (workspace_id, agent_id),
    constraint attempts_number_unique unique (workspace_id, task_id, number),
    constraint attempts_state_known check (state in ('running', 'parked', 'submitted', 'accepted', 'rejected', 'failed', 'expired', 'released', 'cancelled')),
    constraint attempts_lease_is_sha256 check (octet_length(lease_sha256) = 32),
    constraint attempts_ended_iff_not_running check ((state = 'running') = (ended_at is null))
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
comment on table  attempts is 'Tries of tasks by agents: each a lease term.';
comment on column attempts.workspace_id is 'The tenant.';
comment on column attempts.attempt_id is 'UUIDv7.';
comment on column attempts.task_id is 'The task tried.';
comment on column attempts.goal_id is 'Its goal, repeated for spend and lists.';
comment on column attempts.agent_id is 'Who tries.';
comment on column attempts.number is 'Counts the attempts of the task from 1: the epoch.';
comment on column attempts.state is 'running, parked, submitted, accepted, rejected, failed, expired, released or cancelled.';
comment on column attempts.lease_sha256 is 'SHA-256 of the lease token, the fence: 128 random bits, told to the claimer once.';
comment on column attempts.lease_ms is 'How long it may stay silent.';
comment on column attempts.lease_expires_at is 'When the sweeper may take the task away; moved by heartbeats, never earlier.';
comment on column attempts.hard_deadline is 'No heartbeat moves the lease past this.';
comment on column attempts.started_at is 'When it was claimed.';
comment on column attempts.ended_at is 'When it stopped running.';
create unique index attempts_one_live_per_task on attempts (workspace_id, task_id)
    where state in ('running', 'submitted');
create index attempts_running_of_agent on attempts (workspace_id, agent_id, attempt_id) where state = 'running';
create index attempts_of_agent on attempts (workspace_id, agent_id, attempt_id desc);

create table attempt_progress (
    workspace_id uuid        not null,
    attempt_id   uuid        not null,
    progress     jsonb,
    checkpoint   jsonb,
    updated_at   timestamptz not null,
    constraint attempt_progress_pkey primary key (workspace_id, attempt_id),
    constraint attempt_progress_attempt_fkey foreign key (workspace_id, attempt_id) references attempts (workspace_id, attempt_id)
) with (fillfactor = 60);
comment on table  attempt_progress is 'The last progress and checkpoint of an attempt.';
comment on column attempt_progress.workspace_id is 'The tenant.';
comment on column attempt_progress.attempt_id is 'The attempt.';
comment on column attempt_progress.progress is 'For people: {percent, message}.';
comment on column attempt_progress.checkpoint is 'For the next attempt: whatever the agent needs to go on.';
comment on column attempt_progress.updated_at is 'When either was last reported.';

create table attempt_results (
    workspace_id   uuid        not null,
    attempt_id     uuid        not null,
    outcome        jsonb       not null,
    request_sha256 bytea       not null,
    result         jsonb,
    failure_class  text,
    message        text,
    feedback       text,
    created_at     timestamptz not null,
    constraint attempt_results_pkey primary key (workspace_id, attempt_id),
    constraint attempt_results_attempt_fkey foreign key (workspace_id, attempt_id) references attempts (workspace_id, attempt_id),
    constraint attempt_results_failure_class_known check (failure_class in ('transient', 'rate_limited', 'resources', 'invalid_input', 'permanent', 'timeout', 'lost', 'start_timeout', 'finish_timeout', 'children_failed'))
);
comment on table  attempt_results is 'How an attempt ended, and the answer that a repeated request gets again.';
comment on column attempt_results.workspace_id is 'The tenant.';
comment on column attempt_results.attempt_id is 'The attempt.';
comment on column attempt_results.outcome is 'The answer its agent was given.';
comment on column attempt_results.request_sha256 is 'SHA-256 of what the agent sent: the same again gets the same answer.';
comment on column attempt_results.result is 'What it handed in.';
comment on column attempt_results.failure_class is 'Why it failed.';
comment on column attempt_results.message is 'What its agent said of the failure or release.';
comment on column attempt_results.feedback is 'What the reviewer said of the result.';
comment on column attempt_results.created_at is 'When it ended.';

create table evidence (
    workspace_id uuid     not null,
    attempt_id   uuid     not null,
    number       smallint not null,
    criterion    smallint,
    text         text     not null,
    uri          text,
    constraint evidence_pkey primary key (workspace_id, attempt_id, number),
    constraint evidence_attempt_fkey foreign key (workspace_id, attempt_id) references attempts (workspace_id, attempt_id)
);
comment on table  evidence is 'What an attempt shows for its result.';
comment on column evidence.workspace_id is 'The tenant.';
comment on column evidence.attempt_id is 'The attempt.';
comment on column evidence.number is 'Counts the evidence of the attempt from 1.';
comment on column evidence.criterion is 'The number of the criterion it speaks for; null: the result in general.';
comment on column evidence.text is 'The evidence: a test''s output, a review, a measurement.';
comment on column evidence.uri is 'Where the evidence is.';
