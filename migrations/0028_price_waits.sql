-- Waits for the prices of models.
--
-- Why rows: a task may wait for the prices of several models, and goes on when the last one is known. A row
-- appears in the transaction that stores tokens of a model without a price under a budget that refuses such
-- models, and goes when a price holds, the budget no longer refuses, a person takes the task over or the task
-- ends. While a task has one, no agent gets it, its attempt is told to stop, and whatever would offer it parks
-- it.
--
-- Why no column of the task: nearly no task waits for a price, and every move writes the whole row of a task.
-- Why no foreign key to the attempt: as with spend (`0005_attempts.sql`).

create table price_waits (
    workspace_id uuid        not null,
    task_id      uuid        not null,
    attempt_id   uuid        not null,
    noted_at     timestamptz not null,
    provider     text        not null,
    model        text        not null,
    constraint price_waits_pkey primary key (workspace_id, task_id, provider, model),
    constraint price_waits_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id)
);
comment on table  price_waits is 'Tasks whose attempts used a model without a price under a budget that refuses such models.';
comment on column price_waits.workspace_id is 'The workspace.';
comment on column price_waits.task_id is 'The task; it is not offered while it waits.';
comment on column price_waits.attempt_id is 'The attempt that used the model first.';
comment on column price_waits.noted_at is 'Time of the first report.';
comment on column price_waits.provider is 'The called provider, as reported; empty: none was stated.';
comment on column price_waits.model is 'The model, as reported.';
