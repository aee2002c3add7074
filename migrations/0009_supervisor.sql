-- The supervisor's own record.
--
-- Why a table: with two processes on one database, GET /v1/supervisor must show what happened,
-- whichever process did it.

create table supervisor_steps (
    workspace_id  uuid        not null,
    step          text        not null,
    runs          bigint      not null,
    changed       bigint      not null,
    failures      bigint      not null,
    last_run_at   timestamptz not null,
    last_took_ms  bigint      not null,
    last_changed  bigint      not null,
    last_error    text,
    constraint supervisor_steps_pkey primary key (workspace_id, step),
    constraint supervisor_steps_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id)
) with (fillfactor = 20);
comment on table  supervisor_steps is 'The last run of each background step.';
comment on column supervisor_steps.workspace_id is 'The tenant the step ran for.';
comment on column supervisor_steps.step is 'The name of the step.';
comment on column supervisor_steps.runs is 'How often it ran.';
comment on column supervisor_steps.changed is 'How many things it changed in all runs.';
comment on column supervisor_steps.failures is 'How many runs failed.';
comment on column supervisor_steps.last_run_at is 'When the last run began.';
comment on column supervisor_steps.last_took_ms is 'How long it took, in milliseconds.';
comment on column supervisor_steps.last_changed is 'How many things the last run changed.';
comment on column supervisor_steps.last_error is 'Why the last run failed; null: it did not.';
