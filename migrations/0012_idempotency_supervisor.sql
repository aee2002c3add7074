-- Idempotent requests, and the record of the supervisor.
--
-- Why stored answers are encrypted: an answer may contain a new key or a lease, and no secret may be stored
-- readable. The encryption key is derived from the bearer secret of the caller, which is stored nowhere, so
-- the answer can be returned only to the caller who repeats the request.
--
-- Why the supervisor has a table: two processes may share one database, and GET /v1/supervisor must show the
-- runs of both.

create table replays (
    workspace_id       uuid        not null,
    key_id             uuid        not null,
    idempotency_key    text        not null,
    request_sha256     bytea       not null,
    sealed             bytea,
    created_at         timestamptz not null,
    constraint replays_pkey primary key (workspace_id, key_id, idempotency_key),
    constraint replays_request_is_sha256 check (octet_length(request_sha256) = 32)
);
comment on table  replays is 'Answers to requests with an Idempotency-Key, kept for 24 hours and stored in the transaction of the effect.';
comment on column replays.workspace_id is 'The workspace.';
comment on column replays.key_id is 'The key of the caller; an Idempotency-Key is unique per key.';
comment on column replays.idempotency_key is 'The Idempotency-Key header.';
comment on column replays.request_sha256 is 'SHA-256 of method, path and body: a different request with the same Idempotency-Key is refused.';
comment on column replays.sealed is 'The answer, encrypted; null only within the transaction that creates the row.';
comment on column replays.created_at is 'Time of storage; deleted after 24 hours.';
create index replays_by_age on replays (workspace_id, created_at);

create table supervisor_duties (
    workspace_id   uuid        not null,
    duty           text        not null,
    runs           bigint      not null,
    did            bigint      not null,
    failures       bigint      not null,
    last_run_at    timestamptz not null,
    last_took_ms   bigint      not null,
    last_examined bigint      not null,
    last_did       bigint      not null,
    last_left      bigint      not null,
    last_error     text,
    constraint supervisor_duties_pkey primary key (workspace_id, duty),
    constraint supervisor_duties_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id)
) with (fillfactor = 20);
comment on table  supervisor_duties is 'The runs of each duty of the supervisor.';
comment on column supervisor_duties.workspace_id is 'The workspace that the duty ran for.';
comment on column supervisor_duties.duty is 'Name of the duty.';
comment on column supervisor_duties.runs is 'Number of runs.';
comment on column supervisor_duties.did is 'Number of things changed in all runs.';
comment on column supervisor_duties.failures is 'Number of failed runs.';
comment on column supervisor_duties.last_run_at is 'Begin of the last run.';
comment on column supervisor_duties.last_took_ms is 'Duration of the last run, in milliseconds.';
comment on column supervisor_duties.last_examined is 'Number of things that the last run looked at.';
comment on column supervisor_duties.last_did is 'Number of things changed in the last run.';
comment on column supervisor_duties.last_left is 'Number of things that the last run left for the next.';
comment on column supervisor_duties.last_error is 'Error of the last run; null: it succeeded.';
