-- Tasks, their texts, criteria and dependencies.
--
-- Why `claim_rank`: priority with linear ageing orders tasks the same way at every moment, because
-- all of them age alike. So the order is one stored instant: when the task became ready, moved
-- earlier by five minutes per point of priority. It is indexable, and nothing starves.
-- Why `capability_key`: a claim must not read past ready tasks its agent cannot do. Tasks are
-- indexed by the set of capabilities they require; an agent's claim visits only the sets it covers.
-- Why `needs_unmet`: a counter, lowered once per dependency under lock, is never decided from a read.

create table tasks (
    workspace_id        uuid        not null,
    task_id             uuid        not null,
    goal_id             uuid        not null,
    parent_id           uuid,
    ref                 text        not null,
    position            integer     not null,
    container           boolean     not null,
    state               text        not null,
    priority            smallint    not null,
    capability_key      text        not null,
    claim_rank          timestamptz not null,
    ready_from          timestamptz not null,
    needs_unmet         integer     not null,
    children_open       integer     not null default 0,
    children_failed     integer     not null default 0,
    attempts_started    integer     not null default 0,
    attempts_used       integer     not null default 0,
    lost_in_row         integer     not null default 0,
    max_attempts        integer     not null,
    lease_ms            bigint,
    attempt_timeout_ms  bigint,
    start_within_ms     bigint,
    finish_within_ms    bigint,
    start_by            timestamptz,
    finish_by           timestamptz,
    rests_since         timestamptz,
    approve_start       boolean     not null,
    approve_result      boolean     not null,
    current_attempt_id  uuid,
    cancel_requested_at timestamptz,
    cancel_by           timestamptz,
    failure_class       text,
    version             integer     not null default 1,
    created_at          timestamptz not null,
    updated_at          timestamptz not null,
    ended_at            timestamptz,
    constraint tasks_pkey primary key (workspace_id, task_id),
    constraint tasks_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id),
    constraint tasks_parent_fkey foreign key (workspace_id, parent_id) references tasks (workspace_id, task_id),
    constraint tasks_ref_unique unique (workspace_id, goal_id, ref),
    constraint tasks_state_known check (state in ('waiting', 'ready', 'running', 'parked', 'reviewing', 'done', 'failed', 'cancelled')),
    constraint tasks_failure_class_known check (failure_class in ('transient', 'rate_limited', 'resources', 'invalid_input', 'permanent', 'timeout', 'lost', 'start_timeout', 'finish_timeout', 'children_failed')),
    constraint tasks_priority_range check (priority between 0 and 9),
    constraint tasks_counts_not_negative check (needs_unmet >= 0 and children_open >= 0 and children_failed >= 0 and attempts_started >= 0 and attempts_used >= 0 and lost_in_row >= 0),
    constraint tasks_max_attempts_range check (max_attempts between 1 and 100),
    constraint tasks_container_never_offered check (not (container and state in ('ready', 'reviewing'))),
    constraint tasks_ready_means_needs_met check (state not in ('ready', 'running', 'reviewing') or needs_unmet = 0),
    constraint tasks_ended_iff_terminal check ((state in ('done', 'failed', 'cancelled')) = (ended_at is not null)),
    constraint tasks_failure_iff_failed check ((state = 'failed') = (failure_class is not null)),
    constraint tasks_attempt_while_running check (state not in ('running', 'reviewing') or container or current_attempt_id is not null)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
comment on table  tasks is 'Units of work: the narrow, hot row.';
comment on column tasks.workspace_id is 'The tenant.';
comment on column tasks.task_id is 'UUIDv7; stable over all attempts.';
comment on column tasks.goal_id is 'The goal it belongs to.';
comment on column tasks.parent_id is 'The container or the task whose attempt added it.';
comment on column tasks.ref is 'Its name in the plan, unique in the goal.';
comment on column tasks.position is 'Its place in the plan, from 0; later subtasks follow.';
comment on column tasks.container is 'True: never offered to an agent, done when its children are.';
comment on column tasks.state is 'waiting, ready, running, parked, reviewing, done, failed or cancelled; the last three absorb.';
comment on column tasks.priority is '0 (lowest) to 9.';
comment on column tasks.capability_key is 'The required capabilities as one key of capability_sets.';
comment on column tasks.claim_rank is 'Claims take the smallest first: when it became ready, earlier by five minutes per point of priority.';
comment on column tasks.ready_from is 'Not offered before: a start time or a backoff.';
comment on column tasks.needs_unmet is 'Dependencies not yet satisfied, plus one while its container is not open.';
comment on column tasks.children_open is 'Children in no terminal state.';
comment on column tasks.children_failed is 'Children that failed or were cancelled.';
comment on column tasks.attempts_started is 'Attempts ever started: the number of the latest, the epoch of the fence.';
comment on column tasks.attempts_used is 'Attempts that count against max_attempts: failed, expired, rejected.';
comment on column tasks.lost_in_row is 'Leases lost in a row; three are quarantine.';
comment on column tasks.max_attempts is 'When so many were used, a failure is final.';
comment on column tasks.lease_ms is 'Lease given to its attempts, unless the claim asks for another; null: the default.';
comment on column tasks.attempt_timeout_ms is 'Hard limit of one attempt; null: the default.';
comment on column tasks.start_within_ms is 'How long it may stay ready without being claimed; null: for ever.';
comment on column tasks.finish_within_ms is 'How long all attempts together may take since it was first ready; null: for ever.';
comment on column tasks.start_by is 'When start_within runs out; set while it has never been claimed.';
comment on column tasks.finish_by is 'When finish_within runs out; moved by the time it rests.';
comment on column tasks.rests_since is 'Since when it waits for people or its subtasks; set while parked or reviewing, when no deadline runs.';
comment on column tasks.approve_start is 'A person must approve before it is first offered; cleared by the approval.';
comment on column tasks.approve_result is 'A person must approve the result.';
comment on column tasks.current_attempt_id is 'The latest attempt: the one that holds the task, or held it last.';
comment on column tasks.cancel_requested_at is 'Since then the agent is told to stop.';
comment on column tasks.cancel_by is 'When the cancellation is forced.';
comment on column tasks.failure_class is 'Why it failed; set exactly when failed.';
comment on column tasks.version is 'Rises with every change of state and every edit; the ETag.';
comment on column tasks.created_at is 'When it was created.';
comment on column tasks.updated_at is 'When its row last changed state.';
comment on column tasks.ended_at is 'When it reached a terminal state.';
create index tasks_ready on tasks (workspace_id, capability_key, claim_rank, task_id) where state = 'ready';
create index tasks_to_promote on tasks (workspace_id, ready_from) where state = 'waiting' and needs_unmet = 0;
create index tasks_start_deadlines on tasks (workspace_id, start_by) where state = 'ready' and start_by is not null;
create index tasks_finish_deadlines on tasks (workspace_id, finish_by)
    where finish_by is not null and state in ('waiting', 'ready', 'running');
create index tasks_to_cancel on tasks (workspace_id, cancel_by) where cancel_by is not null and ended_at is null;
create index tasks_of_goal on tasks (workspace_id, goal_id, position, task_id);
create index tasks_of_parent on tasks (workspace_id, parent_id) where parent_id is not null;
-- Without done tasks: nearly all tasks end so, and listing them needs no index of their own.
create index tasks_not_done on tasks (workspace_id, state, task_id) where state <> 'done';

create table task_texts (
    workspace_id uuid   not null,
    task_id      uuid   not null,
    title        text   not null,
    description  text   not null,
    section      text,
    labels       text[] not null,
    input        jsonb,
    estimate     jsonb,
    result       jsonb,
    result_bytes integer generated always as (octet_length(result::text)) stored,
    end_reason   text,
    constraint task_texts_pkey primary key (workspace_id, task_id),
    constraint task_texts_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id)
);
comment on table  task_texts is 'The long text of a task, kept off its hot row.';
comment on column task_texts.workspace_id is 'The tenant.';
comment on column task_texts.task_id is 'The task.';
comment on column task_texts.title is 'For people and agents.';
comment on column task_texts.description is 'Markdown: what to do.';
comment on column task_texts.section is 'The heading it stood under in the brief.';
comment on column task_texts.labels is 'Free words of the plan, such as story tags.';
comment on column task_texts.input is 'JSON for the agent.';
comment on column task_texts.estimate is 'Expected spend: unit to amount.';
comment on column task_texts.result is 'What the accepted attempt handed in.';
comment on column task_texts.result_bytes is 'The size of the result as text: what is handed over is bounded by it, and the stored size is compressed.';
comment on column task_texts.end_reason is 'Why it failed or was cancelled, for people.';

create table capability_sets (
    workspace_id   uuid   not null,
    capability_key text   not null,
    capabilities   text[] not null,
    constraint capability_sets_pkey primary key (workspace_id, capability_key)
);
comment on table  capability_sets is 'Every set of capabilities that some task requires; few, and never deleted.';
comment on column capability_sets.workspace_id is 'The tenant.';
comment on column capability_sets.capability_key is 'The sorted capabilities, joined with a comma; empty: anyone can do it.';
comment on column capability_sets.capabilities is 'The same as an array, for containment.';

create table criteria (
    workspace_id uuid     not null,
    task_id      uuid     not null,
    number       smallint not null,
    text         text     not null,
    required     boolean  not null,
    constraint criteria_pkey primary key (workspace_id, task_id, number),
    constraint criteria_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id)
);
comment on table  criteria is 'Conditions of success of a task.';
comment on column criteria.workspace_id is 'The tenant.';
comment on column criteria.task_id is 'The task.';
comment on column criteria.number is 'Counts the criteria of the task from 1; evidence names it.';
comment on column criteria.text is 'What must be true.';
comment on column criteria.required is 'False: evidence is welcome but not needed.';

create table dependencies (
    workspace_id  uuid        not null,
    task_id       uuid        not null,
    needs_task_id uuid        not null,
    satisfied_at  timestamptz,
    constraint dependencies_pkey primary key (workspace_id, task_id, needs_task_id),
    constraint dependencies_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id),
    constraint dependencies_needs_fkey foreign key (workspace_id, needs_task_id) references tasks (workspace_id, task_id),
    constraint dependencies_not_self check (task_id <> needs_task_id)
);
comment on table  dependencies is 'Task needs task. Satisfied once, in the transaction that finishes what is needed.';
comment on column dependencies.workspace_id is 'The tenant.';
comment on column dependencies.task_id is 'The task that needs.';
comment on column dependencies.needs_task_id is 'What it needs.';
comment on column dependencies.satisfied_at is 'When the needed task was done.';
create index dependencies_dependents on dependencies (workspace_id, needs_task_id, task_id);
