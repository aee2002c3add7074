-- Tasks, their texts, criteria and dependencies.
--
-- Why `claim_rank`: claims prefer higher priority, and priority ages linearly. All tasks age at the same
-- rate, so their order never changes and one stored instant expresses it: the time at which the task
-- became ready, minus five minutes per point of priority. An index can sort by it, and no task starves.
--
-- Why `capability_key`: a claim must not read ready tasks that its agent cannot do. Tasks are indexed by
-- the set of capabilities they require, and a claim reads only the sets that its agent covers.
--
-- Why `needs_unmet`: whether a task may start must not be decided by reading its dependencies. The counter
-- is lowered once per dependency, under the lock of the task.
--
-- Why a task has no result: the result is that of its accepted attempt, which is the current attempt of a
-- task that is done. A copy here would be written once more and move the description with it.
--
-- Why assignment is two columns and no table: claims read the row of the task anyway, and the statement
-- that starts an attempt clears both. They are null for nearly every task.
--
-- Why rework has a count of its own: a rejected result is no failure of the task and uses up no attempt.
-- After `max_rework` rejections a person decides what becomes of the task (`approvals.last_round`).
--
-- Why `acknowledged_at` is a column and no table: a quarantined task asks for attention until an operator
-- acknowledges it. The acknowledged row leaves the partial index, so the cost of the list depends on the
-- open items only. A quarantined task has ended, so no work waits for its row.

create table tasks (
    workspace_id        uuid        not null,
    task_id             uuid        not null,
    goal_id             uuid        not null,
    claim_rank          timestamptz not null,
    ready_from          timestamptz not null,
    created_at          timestamptz not null,
    updated_at          timestamptz not null,
    version             integer     not null default 1,
    position            integer     not null,
    needs_unmet         integer     not null,
    children_open       integer     not null default 0,
    children_failed     integer     not null default 0,
    attempts_started    integer     not null default 0,
    attempts_used       integer     not null default 0,
    max_attempts        integer     not null,
    lost_in_row         integer     not null default 0,
    reworks             integer     not null default 0,
    max_rework          integer     not null,
    priority            smallint    not null,
    container           boolean     not null,
    approve_start       boolean     not null,
    approve_result      boolean     not null,
    state               text        not null,
    capability_key      text        not null,
    ref                 text        not null,
    parent_id           uuid,
    current_attempt_id  uuid,
    assigned_agent_id   uuid,
    barred_agent_id     uuid,
    lease_ms            bigint,
    attempt_timeout_ms  bigint,
    start_within_ms     bigint,
    finish_within_ms    bigint,
    start_by            timestamptz,
    finish_by           timestamptz,
    rests_since         timestamptz,
    short_limit_id      uuid,
    short_min           bigint,
    cancel_requested_at timestamptz,
    cancel_by           timestamptz,
    ended_at            timestamptz,
    failure_class       text,
    acknowledged_at     timestamptz,
    constraint tasks_pkey primary key (workspace_id, task_id),
    constraint tasks_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id),
    constraint tasks_parent_fkey foreign key (workspace_id, parent_id) references tasks (workspace_id, task_id),
    constraint tasks_assigned_agent_fkey foreign key (workspace_id, assigned_agent_id) references agents (workspace_id, agent_id),
    constraint tasks_barred_agent_fkey foreign key (workspace_id, barred_agent_id) references agents (workspace_id, agent_id),
    constraint tasks_ref_unique unique (workspace_id, goal_id, ref),
    constraint tasks_state_known check (state in ('waiting', 'ready', 'running', 'parked', 'reviewing', 'done', 'failed', 'cancelled')),
    constraint tasks_failure_class_known check (failure_class in ('transient', 'rate_limited', 'resources', 'invalid_input', 'permanent', 'timeout', 'lost', 'start_timeout', 'finish_timeout', 'children_failed')),
    constraint tasks_priority_range check (priority between 0 and 9),
    constraint tasks_counts_not_negative check (needs_unmet >= 0 and children_open >= 0 and children_failed >= 0 and attempts_started >= 0 and attempts_used >= 0 and lost_in_row >= 0),
    constraint tasks_max_attempts_range check (max_attempts between 1 and 100),
    constraint tasks_reworks_range check (max_rework between 1 and 20 and reworks between 0 and max_rework),
    constraint tasks_container_never_offered check (not (container and state in ('ready', 'reviewing'))),
    constraint tasks_ready_means_needs_met check (state not in ('ready', 'running', 'reviewing') or needs_unmet = 0),
    constraint tasks_attempt_while_running check (state not in ('running', 'reviewing') or container or current_attempt_id is not null),
    constraint tasks_kept_or_barred check (assigned_agent_id is null or barred_agent_id is null),
    constraint tasks_short_while_parked check (short_limit_id is null or state = 'parked'),
    constraint tasks_ended_iff_terminal check ((state in ('done', 'failed', 'cancelled')) = (ended_at is not null)),
    constraint tasks_failure_iff_failed check ((state = 'failed') = (failure_class is not null)),
    constraint tasks_acknowledged_when_failed check (acknowledged_at is null or state = 'failed')
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
comment on table  tasks is 'Units of work: the narrow, hot row.';
comment on column tasks.workspace_id is 'The workspace.';
comment on column tasks.task_id is 'UUIDv7; the same for all attempts.';
comment on column tasks.goal_id is 'The goal of the task.';
comment on column tasks.claim_rank is 'Claims take the smallest first: time of becoming ready, minus five minutes per point of priority.';
comment on column tasks.ready_from is 'Not offered before this time: a start time or a backoff.';
comment on column tasks.created_at is 'Time of creation.';
comment on column tasks.updated_at is 'Time of the last change of state.';
comment on column tasks.version is 'Rises with every change of state and every edit; the ETag.';
comment on column tasks.position is 'Position in the plan, from 0; later subtasks follow.';
comment on column tasks.needs_unmet is 'Dependencies not yet satisfied, plus one while its container is not open.';
comment on column tasks.children_open is 'Children in no terminal state.';
comment on column tasks.children_failed is 'Children that failed or were cancelled.';
comment on column tasks.attempts_started is 'Attempts ever started; equals the number of the latest attempt.';
comment on column tasks.attempts_used is 'Attempts that count towards max_attempts.';
comment on column tasks.max_attempts is 'A failure is final once attempts_used reaches this.';
comment on column tasks.lost_in_row is 'Leases lost in a row; the third is quarantine.';
comment on column tasks.reworks is 'Results rejected so far; one less than max_rework after a person chose another round.';
comment on column tasks.max_rework is 'After so many rejected results a person decides what becomes of the task.';
comment on column tasks.priority is '0 (lowest) to 9.';
comment on column tasks.container is 'True: never offered to an agent, done when its children are done.';
comment on column tasks.approve_start is 'A person must approve before the first offer; cleared by the approval.';
comment on column tasks.approve_result is 'A person must approve the result.';
comment on column tasks.state is 'waiting, ready, running, parked, reviewing, done, failed or cancelled; the last three are terminal.';
comment on column tasks.capability_key is 'The required capabilities, as a key of capability_sets.';
comment on column tasks.ref is 'Name of the task in the plan, unique in the goal.';
comment on column tasks.parent_id is 'Its container, or the task whose attempt added it.';
comment on column tasks.current_attempt_id is 'The latest attempt: it holds the task, or held it last.';
comment on column tasks.assigned_agent_id is 'The only agent that may start the next attempt; cleared when that starts.';
comment on column tasks.barred_agent_id is 'The agent that lost the task to a takeover or rule and may not start the next attempt; cleared when that starts.';
comment on column tasks.lease_ms is 'Lease of its attempts in milliseconds, unless the claim asks for another; null: the default.';
comment on column tasks.attempt_timeout_ms is 'Hard limit of one attempt in milliseconds; null: the default.';
comment on column tasks.start_within_ms is 'Longest time in state ready before the first claim, in milliseconds; null: no limit.';
comment on column tasks.finish_within_ms is 'Longest time for all attempts together, in milliseconds since it was first ready; null: no limit.';
comment on column tasks.start_by is 'Deadline that follows from start_within_ms; null once it was claimed.';
comment on column tasks.finish_by is 'Deadline that follows from finish_within_ms; moved by the time in rests_since.';
comment on column tasks.rests_since is 'Since when it waits for people or subtasks; set while parked or reviewing, when no deadline runs.';
comment on column tasks.short_limit_id is 'The budget limit that could not fund it; set while it is parked for that reason.';
comment on column tasks.short_min is 'The least amount that it needs of that limit, in its unit.';
comment on column tasks.cancel_requested_at is 'Time of the request to cancel; the next heartbeat tells the agent to stop.';
comment on column tasks.cancel_by is 'Time at which the cancellation is forced.';
comment on column tasks.ended_at is 'Time of the terminal state.';
comment on column tasks.failure_class is 'Reason of failure; set exactly in state failed.';
comment on column tasks.acknowledged_at is 'Time at which an operator acknowledged its quarantine; until then it asks for attention.';
create index tasks_ready on tasks (workspace_id, capability_key, claim_rank, task_id) where state = 'ready';
create index tasks_to_promote on tasks (workspace_id, ready_from) where state = 'waiting' and needs_unmet = 0;
create index tasks_start_deadlines on tasks (workspace_id, start_by) where state = 'ready' and start_by is not null;
create index tasks_finish_deadlines on tasks (workspace_id, finish_by)
    where finish_by is not null and state in ('waiting', 'ready', 'running');
create index tasks_to_cancel on tasks (workspace_id, cancel_by) where cancel_by is not null and ended_at is null;
create index tasks_of_goal on tasks (workspace_id, goal_id, position, task_id);
create index tasks_of_parent on tasks (workspace_id, parent_id) where parent_id is not null;
-- With all states: without done tasks, a page of them behind a hundred thousand open ones reads all of those.
create index tasks_by_state on tasks (workspace_id, state, task_id);
-- Retiring an agent searches the tasks assigned to it; waking waiting agents searches the assigned ones.
create index tasks_kept on tasks (workspace_id, task_id) where assigned_agent_id is not null or barred_agent_id is not null;
create index tasks_short on tasks (workspace_id, short_limit_id, claim_rank, task_id) where short_limit_id is not null;
-- Tasks that were tried and are offered again: few, independent of the length of the queue.
create index tasks_tried on tasks (workspace_id, task_id)
    where attempts_started > 0 and state in ('waiting', 'ready');
create index tasks_quarantined on tasks (workspace_id, ended_at, task_id)
    where state = 'failed' and failure_class = 'lost' and lost_in_row >= 3 and acknowledged_at is null;

create table task_texts (
    workspace_id uuid   not null,
    task_id      uuid   not null,
    title        text   not null,
    description  text   not null,
    labels       text[] not null,
    section      text,
    input        jsonb,
    estimate     jsonb,
    end_reason   text,
    constraint task_texts_pkey primary key (workspace_id, task_id),
    constraint task_texts_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id)
);
comment on table  task_texts is 'The long text of a task, kept out of its hot row.';
comment on column task_texts.workspace_id is 'The workspace.';
comment on column task_texts.task_id is 'The task.';
comment on column task_texts.title is 'For people and agents.';
comment on column task_texts.description is 'Markdown: what to do.';
comment on column task_texts.labels is 'Free words of the plan, such as story tags.';
comment on column task_texts.section is 'Its heading in the brief.';
comment on column task_texts.input is 'JSON for the agent.';
comment on column task_texts.estimate is 'Expected spend: unit to amount.';
comment on column task_texts.end_reason is 'Reason of failure or cancellation, for people.';

create table capability_sets (
    workspace_id   uuid   not null,
    capability_key text   not null,
    capabilities   text[] not null,
    constraint capability_sets_pkey primary key (workspace_id, capability_key)
);
comment on table  capability_sets is 'Every set of capabilities that a task requires. There are few, and they are never deleted.';
comment on column capability_sets.workspace_id is 'The workspace.';
comment on column capability_sets.capability_key is 'The sorted capabilities, joined with a comma; empty: any agent can do it.';
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
comment on column criteria.workspace_id is 'The workspace.';
comment on column criteria.task_id is 'The task.';
comment on column criteria.number is 'Ordinal of the criterion within its task, from 1; evidence refers to it.';
comment on column criteria.text is 'The condition.';
comment on column criteria.required is 'False: evidence is welcome but not required.';

-- Why the fill factor: satisfying a dependency updates one row among its neighbours of the same plan. With
-- room in the page no index changes.
create table dependencies (
    workspace_id  uuid        not null,
    task_id       uuid        not null,
    needs_task_id uuid        not null,
    satisfied_at  timestamptz,
    constraint dependencies_pkey primary key (workspace_id, task_id, needs_task_id),
    constraint dependencies_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id),
    constraint dependencies_needs_fkey foreign key (workspace_id, needs_task_id) references tasks (workspace_id, task_id),
    constraint dependencies_not_self check (task_id <> needs_task_id)
) with (fillfactor = 80);
comment on table  dependencies is 'A task needs another task. Each is satisfied once, in the transaction that finishes the needed task.';
comment on column dependencies.workspace_id is 'The workspace.';
comment on column dependencies.task_id is 'The task that needs the other.';
comment on column dependencies.needs_task_id is 'The needed task.';
comment on column dependencies.satisfied_at is 'Time at which the needed task was done.';
create index dependencies_dependents on dependencies (workspace_id, needs_task_id, task_id);
