-- Events and audit.
--
-- Events: one order without gaps per workspace.
--
-- Why a counter row and no sequence: a sequence has gaps after a rollback, and lets a later number become
-- visible first, so a reader with a cursor would miss events. The counter is incremented by the last
-- statement before the commit, once per batch; its lock makes the order of numbers the order of commits.
--
-- Audit: every mutation, and proof that the record was not changed afterwards.
--
-- Why two tables: an entry is written in the transaction of the mutation, without a number and without a lock,
-- so writers never wait for each other. One sealer per workspace numbers and hashes the entries later, as soon
-- as no entry can precede them: those of transactions below the oldest one that still runs.
--
-- Why a column with the transaction and not xmin: xmin is recycled, has no index, and does not survive a dump.
-- Transaction numbers belong to one PostgreSQL server. After a restore on another, the sealer finds its horizon
-- ahead of every transaction and searches once for all unsealed entries.
--
-- Why the program computes the hashes: they cover the form of the export, so that the file can be verified
-- without this database.

create table event_heads (
    workspace_id uuid   not null,
    last_seq     bigint not null,
    constraint event_heads_pkey primary key (workspace_id),
    constraint event_heads_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id)
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
comment on table  event_heads is 'The last event number of each workspace.';
comment on column event_heads.workspace_id is 'The workspace.';
comment on column event_heads.last_seq is 'The number of the newest event.';

create table events (
    workspace_id uuid        not null,
    seq          bigint      not null,
    kind         text        not null,
    goal_id      uuid,
    task_id      uuid,
    attempt_id   uuid,
    agent_id     uuid,
    approval_id  uuid,
    actor_key_id uuid,
    data         jsonb       not null,
    created_at   timestamptz not null,
    constraint events_pkey primary key (workspace_id, seq)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);
comment on table  events is 'Append-only: what happened. No foreign keys: an event outlives its subject.';
comment on column events.workspace_id is 'The workspace.';
comment on column events.seq is 'Number of the event within its workspace, from 1, without gaps, in the order of commits.';
comment on column events.kind is 'Kind of event, noun.verb: task.ready, attempt.expired, ...';
comment on column events.goal_id is 'The goal it concerns.';
comment on column events.task_id is 'The task it concerns.';
comment on column events.attempt_id is 'The attempt it concerns.';
comment on column events.agent_id is 'The agent it concerns.';
comment on column events.approval_id is 'The approval it concerns.';
comment on column events.actor_key_id is 'The key that caused it; null: the supervisor or the command line.';
comment on column events.data is 'Details; no secrets, no long text.';
comment on column events.created_at is 'Time of the transaction.';
create index events_of_goal on events (workspace_id, goal_id, seq) where goal_id is not null;

create table audit_entries (
    workspace_id  uuid        not null,
    entry_id      uuid        not null,
    xid           bigint      not null default (pg_current_xact_id()::text::bigint),
    action        text        not null,
    subject       text        not null,
    subject_id    uuid        not null,
    actor_key_id  uuid,
    actor_person  text,
    on_behalf_of  jsonb,
    request       text,
    before_sha256 bytea,
    after_sha256  bytea,
    details       jsonb,
    created_at    timestamptz not null,
    constraint audit_entries_pkey primary key (workspace_id, entry_id),
    constraint audit_entries_before_is_a_hash check (octet_length(before_sha256) = 32),
    constraint audit_entries_after_is_a_hash check (octet_length(after_sha256) = 32)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);
comment on table  audit_entries is 'Insert-only: every mutation. No foreign keys: an entry outlives its subject.';
comment on column audit_entries.workspace_id is 'The workspace.';
comment on column audit_entries.entry_id is 'UUIDv7.';
comment on column audit_entries.xid is 'Number of the transaction that wrote it; it is sealed after all transactions below it have ended.';
comment on column audit_entries.action is 'The mutation, noun.verb: task.running, key.created, attempt.spend_reported, ...';
comment on column audit_entries.subject is 'Kind of the subject: task, goal, key, ...';
comment on column audit_entries.subject_id is 'Id of the subject; the id of the workspace if the mutation concerns nothing smaller.';
comment on column audit_entries.actor_key_id is 'The key that caused it; null: the supervisor or the command line.';
comment on column audit_entries.actor_person is 'The person of the key at that time.';
comment on column audit_entries.on_behalf_of is 'The people for whom it was done, an array of names; null: none.';
comment on column audit_entries.request is 'Id of the request, as in its answer and in the log.';
comment on column audit_entries.before_sha256 is 'SHA-256 of the canonical form of the subject before; null: it did not exist, or has no form of its own.';
comment on column audit_entries.after_sha256 is 'SHA-256 of the canonical form of the subject after; null: it no longer exists.';
comment on column audit_entries.details is 'A few facts for people; no secrets, no long text.';
comment on column audit_entries.created_at is 'Time of the transaction.';
create index audit_entries_by_transaction on audit_entries (workspace_id, xid);
create index audit_entries_of_subject on audit_entries (workspace_id, subject_id, entry_id);
create index audit_entries_of_request on audit_entries (workspace_id, request) where request is not null;

create table audit_seals (
    workspace_id uuid   not null,
    seq          bigint not null,
    entry_id     uuid   not null,
    entry_sha256 bytea  not null,
    chain_sha256 bytea  not null,
    constraint audit_seals_pkey primary key (workspace_id, seq),
    constraint audit_seals_entry_once unique (workspace_id, entry_id)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);
comment on table  audit_seals is 'Insert-only: the sealed entries in order; each chain hash covers all entries before it.';
comment on column audit_seals.workspace_id is 'The workspace.';
comment on column audit_seals.seq is 'Number of the sealed entry within its workspace, from 1, without gaps.';
comment on column audit_seals.entry_id is 'The entry.';
comment on column audit_seals.entry_sha256 is 'SHA-256 of the canonical form of the entry.';
comment on column audit_seals.chain_sha256 is 'SHA-256 of the hash before it (zeros for the first), seq in eight bytes, and entry_sha256.';

create table audit_heads (
    workspace_id uuid        not null,
    seq          bigint      not null,
    chain_sha256 bytea       not null,
    horizon      bigint      not null,
    sealed_at    timestamptz not null,
    constraint audit_heads_pkey primary key (workspace_id),
    constraint audit_heads_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id)
) with (fillfactor = 50);
comment on table  audit_heads is 'How far the audit of each workspace is sealed. The sealer holds the lock of the row.';
comment on column audit_heads.workspace_id is 'The workspace.';
comment on column audit_heads.seq is 'Number of the last sealed entry; 0: none.';
comment on column audit_heads.chain_sha256 is 'The chain hash of the last sealed entry.';
comment on column audit_heads.horizon is 'Every entry of a transaction below this number is sealed.';
comment on column audit_heads.sealed_at is 'Time of the last sealing.';

-- A trigger may refuse, never act.
create function audit_is_insert_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit is insert-only: % of % is refused', tg_op, tg_table_name
        using errcode = 'restrict_violation';
end
$$;
comment on function audit_is_insert_only() is 'Refuses to change or remove audit rows.';
create trigger audit_entries_insert_only before update or delete or truncate on audit_entries
    for each statement execute function audit_is_insert_only();
create trigger audit_seals_insert_only before update or delete or truncate on audit_seals
    for each statement execute function audit_is_insert_only();
