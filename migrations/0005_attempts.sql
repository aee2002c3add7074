-- Attempts, their progress, results and evidence.
--
-- Why an attempt is the lease term: its number is the epoch and its lease token the fence. One partial
-- unique index guarantees that a task has at most one attempt that may write.
--
-- Why no index on `lease_expires_at`: a heartbeat must change no indexed column. The sweeper reads the
-- running attempts, whose number is bounded by the fleet.
--
-- Why no foreign keys from attempts to tasks and agents, nor to attempts from their progress, results and
-- spend: the transaction that writes such a row has read the referenced row under lock, and referenced rows
-- are never deleted, so the check can find nothing. It would cost more than the row itself, several times
-- per cycle. `muster verify` searches for rows that the foreign keys would have refused.
--
-- Why a person holds an attempt by a key: an operator who takes a task over is no worker of the fleet. A
-- made-up agent for each person would be claimed for, counted, frozen, budgeted and reported on. An attempt
-- only needs to know who may write to it, and for a person that is the key of the takeover. Exactly one of
-- `agent_id` and `held_by_key` is set.
--
-- Why the window of steps is bytes in the row of the progress: one statement stores the progress of a batch
-- of heartbeats, no index changes, and 480 bytes are all that is kept of the steps of an attempt. An entry
-- is the number that the agent gave the step (eight bytes, most significant first) and its fingerprint
-- (32 bytes), so a repeated heartbeat adds nothing.

create table attempts (
    workspace_id     uuid        not null,
    attempt_id       uuid        not null,
    task_id          uuid        not null,
    goal_id          uuid        not null,
    lease_expires_at timestamptz not null,
    hard_deadline    timestamptz not null,
    started_at       timestamptz not null,
    lease_ms         bigint      not null,
    number           integer     not null,
    state            text        not null,
    lease_sha256     bytea       not null,
    agent_id         uuid,
    held_by_key      uuid,
    ended_at         timestamptz,
    constraint attempts_pkey primary key (workspace_id, attempt_id),
    constraint attempts_number_unique unique (workspace_id, task_id, number),
    constraint attempts_state_known check (state in ('running', 'parked', 'submitted', 'accepted', 'rejected', 'failed', 'expired', 'released', 'cancelled')),
    constraint attempts_lease_is_sha256 check (octet_length(lease_sha256) = 32),
    constraint attempts_one_holder check ((agent_id is null) <> (held_by_key is null)),
    constraint attempts_ended_iff_not_running check ((state = 'running') = (ended_at is null))
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
comment on table  attempts is 'Tries of tasks: each is one lease term.';
comment on column attempts.workspace_id is 'The workspace.';
comment on column attempts.attempt_id is 'UUIDv7.';
comment on column attempts.task_id is 'The task.';
comment on column attempts.goal_id is 'The goal of the task, repeated for spend and lists.';
comment on column attempts.lease_expires_at is 'From then on the sweeper may expire the attempt. Heartbeats move it, never to an earlier time.';
comment on column attempts.hard_deadline is 'Upper limit of lease_expires_at.';
comment on column attempts.started_at is 'Time of the claim or takeover.';
comment on column attempts.lease_ms is 'Longest silence between heartbeats, in milliseconds.';
comment on column attempts.number is 'Ordinal of the attempt within its task, from 1: the epoch.';
comment on column attempts.state is 'running, parked, submitted, accepted, rejected, failed, expired, released or cancelled.';
comment on column attempts.lease_sha256 is 'SHA-256 of the lease token, the fence: 128 random bits, returned once, by the claim.';
comment on column attempts.agent_id is 'The agent that holds the attempt; null: a person does.';
comment on column attempts.held_by_key is 'The key of the person who took the task over; null: an agent holds the attempt.';
comment on column attempts.ended_at is 'Time at which it stopped running.';
create unique index attempts_one_live_per_task on attempts (workspace_id, task_id)
    where state in ('running', 'submitted');
create index attempts_running_of_agent on attempts (workspace_id, agent_id, attempt_id) where state = 'running';
create index attempts_of_agent on attempts (workspace_id, agent_id, attempt_id desc);

create table attempt_progress (
    workspace_id  uuid        not null,
    attempt_id    uuid        not null,
    progress      jsonb,
    checkpoint    jsonb,
    updated_at    timestamptz not null,
    progressed_at timestamptz,
    steps         bytea,
    constraint attempt_progress_pkey primary key (workspace_id, attempt_id),
    constraint attempt_progress_steps_are_a_window
        check (octet_length(steps) % 40 = 0 and octet_length(steps) <= 480)
) with (fillfactor = 60);
comment on table  attempt_progress is 'The last progress, checkpoint and steps of an attempt.';
comment on column attempt_progress.workspace_id is 'The workspace.';
comment on column attempt_progress.attempt_id is 'The attempt.';
comment on column attempt_progress.progress is 'For people: {percent, message}.';
comment on column attempt_progress.checkpoint is 'For the next attempt: the data of the agent to continue from.';
comment on column attempt_progress.updated_at is 'Time of the last report of progress or checkpoint.';
comment on column attempt_progress.progressed_at is 'Time of the last report that differed from the one before in progress, checkpoint or steps; null: none since this is recorded.';
comment on column attempt_progress.steps is 'The last twelve steps that ended, oldest first: 8 bytes of number and 32 of fingerprint each.';

create function steps_after(before bytea, more bytea) returns bytea language sql immutable as $$
    with known as (
        select substring(before from octet_length(before) - 39 for 8) as n
    ), grown as (
        select before || substring(more from 1 + 40 * (
            select count(*)::int from known, generate_series(0, octet_length(more) / 40 - 1) i
            where substring(more from 1 + 40 * i for 8) <= known.n)) as steps
    )
    select substring(steps from greatest(1, octet_length(steps) - 479)) from grown
$$;
comment on function steps_after(bytea, bytea) is 'Appends steps to a window: without those whose number is not above the last one in the window, and cut to the newest twelve.';

create table attempt_results (
    workspace_id    uuid        not null,
    attempt_id      uuid        not null,
    created_at      timestamptz not null,
    request_sha256  bytea       not null,
    outcome         jsonb       not null,
    feedback_points jsonb       not null default '[]',
    result_bytes    integer     generated always as (octet_length(result::text)) stored,
    failure_class   text,
    message         text,
    feedback        text,
    result          jsonb,
    constraint attempt_results_pkey primary key (workspace_id, attempt_id),
    constraint attempt_results_failure_class_known check (failure_class in ('transient', 'rate_limited', 'resources', 'invalid_input', 'permanent', 'timeout', 'lost', 'start_timeout', 'finish_timeout', 'children_failed'))
);
comment on table  attempt_results is 'How an attempt ended, and the answer to a repeated request.';
comment on column attempt_results.workspace_id is 'The workspace.';
comment on column attempt_results.attempt_id is 'The attempt.';
comment on column attempt_results.created_at is 'Time at which it ended.';
comment on column attempt_results.request_sha256 is 'SHA-256 of the request of the agent: the same request again gets the same answer.';
comment on column attempt_results.outcome is 'The answer that its agent received.';
comment on column attempt_results.feedback_points is 'Feedback of the reviewer, point by point: [{criterion, text, must}].';
comment on column attempt_results.result_bytes is 'Size of result as text, in bytes. It bounds what a claim returns; the stored size is compressed.';
comment on column attempt_results.failure_class is 'Reason of failure.';
comment on column attempt_results.message is 'Message of the agent about the failure or release.';
comment on column attempt_results.feedback is 'Feedback of the reviewer on the result as a whole.';
comment on column attempt_results.result is 'The submitted result.';

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
comment on table  evidence is 'Evidence that an attempt submitted for its result.';
comment on column evidence.workspace_id is 'The workspace.';
comment on column evidence.attempt_id is 'The attempt.';
comment on column evidence.number is 'Ordinal of the evidence within its attempt, from 1.';
comment on column evidence.criterion is 'The number of the criterion that it supports; null: the result in general.';
comment on column evidence.text is 'The evidence: output of a test, a review, a measurement.';
comment on column evidence.uri is 'Location of the evidence.';
