-- Audit: who did what, and proof that the record was not touched afterwards.
--
-- Why two tables: whoever does something writes down what it did, in the transaction that does it, and
-- takes no number and no lock for that, so writers never wait for each other. Numbers and hashes are
-- given later, by one sealer per workspace, to what can get no predecessor any more: entries of
-- transactions below the oldest one that still runs. A number at the time of writing would be one hot
-- row that every commit waits for.
--
-- Why a column with the transaction and not xmin: xmin is recycled, is not indexed, and does not
-- survive a dump. Transaction numbers are of one PostgreSQL; after a dump was restored in another, the
-- sealer finds that its horizon lies ahead of every transaction, and looks once for what is unsealed.
--
-- Why hashes are computed by the program: the form that is hashed is that of the export, so whoever has
-- the file can check it without this database.

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
comment on table  audit_entries is 'Insert-only: every mutation. No foreign keys: the record outlives what it is about.';
comment on column audit_entries.workspace_id is 'The tenant.';
comment on column audit_entries.entry_id is 'UUIDv7.';
comment on column audit_entries.xid is 'The transaction that wrote it: nothing is sealed before all below it have ended.';
comment on column audit_entries.action is 'What was done, noun.verb: task.running, key.created, attempt.spend_reported, ...';
comment on column audit_entries.subject is 'What kind of thing it was done to: task, goal, key, ...';
comment on column audit_entries.subject_id is 'Which one; the workspace itself where nothing smaller is meant.';
comment on column audit_entries.actor_key_id is 'The key that did it; null: the supervisor, or somebody at the command line.';
comment on column audit_entries.actor_person is 'The person that the key belonged to then.';
comment on column audit_entries.on_behalf_of is 'The persons for whom it was done, an array of names; null: nobody else.';
comment on column audit_entries.request is 'The id of the request, as in its answer and in the log.';
comment on column audit_entries.before_sha256 is 'SHA-256 of the canonical form of the subject before; null: it did not exist, or it is a record of its own.';
comment on column audit_entries.after_sha256 is 'The same of the subject after; null: it does not exist any more.';
comment on column audit_entries.details is 'A few facts for people; never secrets, never long text.';
comment on column audit_entries.created_at is 'The time of its transaction.';
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
comment on table  audit_seals is 'Insert-only: the sealed entries in their order, each hash bound to all before it.';
comment on column audit_seals.workspace_id is 'The tenant.';
comment on column audit_seals.seq is 'Counts the sealed entries of the workspace from 1, without gaps.';
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
comment on table  audit_heads is 'How far the audit of each workspace is sealed. Its row is the lock of the one who seals.';
comment on column audit_heads.workspace_id is 'The tenant.';
comment on column audit_heads.seq is 'The number of the last sealed entry; 0: none.';
comment on column audit_heads.chain_sha256 is 'The chain hash of the last sealed entry.';
comment on column audit_heads.horizon is 'Every entry of a transaction below this is sealed.';
comment on column audit_heads.sealed_at is 'When something was sealed last.';

-- A trigger may refuse, never act.
create function audit_is_insert_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit is insert-only: % of % is refused', tg_op, tg_table_name
        using errcode = 'restrict_violation';
end
$$;
comment on function audit_is_insert_only() is 'Refuses whatever changes or removes what was audited.';
create trigger audit_entries_insert_only before update or delete or truncate on audit_entries
    for each statement execute function audit_is_insert_only();
create trigger audit_seals_insert_only before update or delete or truncate on audit_seals
    for each statement execute function audit_is_insert_only();
