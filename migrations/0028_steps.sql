-- Steps of attempts, the loops that are found in them, and nudges.
--
-- Why the window is bytes on the row of the progress: it is written in the statement that stores the
-- progress of a whole batch of heartbeats, changes no index, and 480 bytes are all that is ever kept of
-- an attempt's steps. Each entry is the agent's number of the step, eight bytes with the highest first,
-- and the 32 bytes of its fingerprint; so a heartbeat that is sent again adds nothing.
--
-- Why loops are rows: that an agent is in one is told once, found by rules without looking at windows,
-- and remembered, so that a rule can be tried on what happened before it was made.
--
-- Why nudges belong to a task and not to an attempt: whoever works on the task next is told, also when
-- the attempt that gave the reason is gone.

alter table attempt_progress
    add column steps bytea,
    add column progressed_at timestamptz,
    add constraint attempt_progress_steps_are_a_window
        check (octet_length(steps) % 40 = 0 and octet_length(steps) <= 480);
comment on column attempt_progress.steps is 'The last twelve steps that ended, oldest first: 8 bytes of number and 32 of fingerprint each.';
comment on column attempt_progress.progressed_at is 'When progress, checkpoint or steps were last other than before; null: not since this is written down.';

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
comment on function steps_after(bytea, bytea) is 'A window of steps with more added: those whose numbers it has passed are left out, and the oldest are forgotten.';

create table attempt_loops (
    workspace_id uuid        not null,
    loop_id      uuid        not null,
    attempt_id   uuid        not null,
    task_id      uuid        not null,
    pattern      text        not null,
    times        smallint    not null,
    found_at     timestamptz not null,
    left_at      timestamptz,
    constraint attempt_loops_pkey primary key (workspace_id, loop_id),
    constraint attempt_loops_pattern_known check (pattern in ('same_step', 'same_error', 'alternating', 'rotating')),
    constraint attempt_loops_left_after_found check (left_at >= found_at)
);
comment on table  attempt_loops is 'Loops that the steps of attempts were found in.';
comment on column attempt_loops.workspace_id is 'The tenant.';
comment on column attempt_loops.loop_id is 'UUIDv7.';
comment on column attempt_loops.attempt_id is 'Whose steps repeat.';
comment on column attempt_loops.task_id is 'Its task, repeated for rules.';
comment on column attempt_loops.pattern is 'same_step, same_error, alternating or rotating.';
comment on column attempt_loops.times is 'How often they had repeated when it was found.';
comment on column attempt_loops.found_at is 'When the heartbeat came that completed the pattern.';
comment on column attempt_loops.left_at is 'When another step broke it, or it was seen that the attempt had ended; null: not yet.';
create unique index attempt_loops_one_open on attempt_loops (workspace_id, attempt_id, pattern) where left_at is null;
create index attempt_loops_of_task on attempt_loops (workspace_id, task_id, loop_id);

create table nudges (
    workspace_id uuid        not null,
    nudge_id     uuid        not null,
    task_id      uuid        not null,
    rule_id      uuid        not null,
    text         text        not null,
    told_to      uuid,
    created_at   timestamptz not null,
    closed_at    timestamptz,
    constraint nudges_pkey primary key (workspace_id, nudge_id),
    constraint nudges_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id),
    constraint nudges_told_when_closed check (told_to is null or closed_at is not null)
);
comment on table  nudges is 'What rules have to say to whoever works on a task: handed over once, with the answer to a heartbeat.';
comment on column nudges.workspace_id is 'The tenant.';
comment on column nudges.nudge_id is 'UUIDv7.';
comment on column nudges.task_id is 'Who works on this task is told.';
comment on column nudges.rule_id is 'The rule that says it.';
comment on column nudges.text is 'What it says.';
comment on column nudges.told_to is 'The attempt that it was handed over to; null: none yet, or none ever.';
comment on column nudges.created_at is 'Since when it waits.';
comment on column nudges.closed_at is 'When it was handed over, or its task had ended before that.';
create index nudges_to_tell on nudges (workspace_id, task_id, nudge_id) where closed_at is null;
