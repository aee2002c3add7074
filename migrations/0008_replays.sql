-- Replays: the answers of requests that carried an Idempotency-Key.
--
-- Why sealed: an answer may hold a new key or a lease, and nothing secret may rest in the
-- database. The answer is encrypted with a key derived from the caller's own bearer secret, which
-- is stored nowhere, so only the caller who sends it again can be shown it again.

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
comment on table  replays is 'Answers to show again for 24 hours, stored in the transaction of the effect.';
comment on column replays.workspace_id is 'The tenant.';
comment on column replays.key_id is 'Whose request it was: two keys never share an Idempotency-Key.';
comment on column replays.idempotency_key is 'The Idempotency-Key header.';
comment on column replays.request_sha256 is 'SHA-256 of method, path and body: another request with the key is refused.';
comment on column replays.sealed is 'The answer, encrypted; null only inside the transaction that makes it.';
comment on column replays.created_at is 'When it was stored; swept after 24 hours.';
create index replays_by_age on replays (workspace_id, created_at);
