-- The journal: one append-only record per workspace, numbered without gaps, and proof that it was not
-- changed afterwards. Events and audit are two
-- views of it.
--
-- Why a counter row and not a sequence: a sequence leaves gaps when a transaction rolls back, and
-- lets a later number become visible first, so a reader with a cursor would miss rows. The counter is
-- taken as the last statement before the commit and once per batch; its lock makes the order of
-- numbers the order of commits. Readers and the sealer need no other order.
create table journal_heads (
    workspace_id uuid   not null,
    last_number  bigint not null,
    constraint journal_heads_pkey primary key (workspace_id),
    constraint journal_heads_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id)
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
comment on table  journal_heads is 'The last number of each journal. Every writer updates its row.';
comment on column journal_heads.workspace_id is 'The tenant.';
comment on column journal_heads.last_number is 'The number of the newest row.';

-- Why json and not jsonb: digests are over the text that was written, so nothing is put into a
-- canonical form, neither when it is written nor when it is checked.
create table journal (
    workspace_id  uuid        not null,
    number        bigint      not null,
    at            timestamptz not null,
    kind          text        not null,
    public        boolean     not null,
    project_id    uuid,
    goal_id       uuid,
    task_id       uuid,
    attempt_id    uuid,
    agent_id      uuid,
    approval_id   uuid,
    subject       text        not null,
    subject_id    uuid        not null,
    actor_key_id  uuid,
    actor_person  text,
    link_id       uuid,
    link_maker    uuid,
    on_behalf_of  text[],
    request       text,
    trace_id      uuid,
    before_sha256 bytea,
    after_sha256  bytea,
    data          json,
    data_version  smallint    not null,
    salt          bytea,
    data_sha256   bytea,
    constraint journal_pkey primary key (workspace_id, number),
    constraint journal_before_is_a_digest check (octet_length(before_sha256) = 32),
    constraint journal_after_is_a_digest check (octet_length(after_sha256) = 32),
    constraint journal_salt_has_16_bytes check (octet_length(salt) = 16),
    constraint journal_data_or_its_digest check (
        num_nulls(data, salt) = 0 and data_sha256 is null
        or num_nulls(data, salt) = 2 and octet_length(data_sha256) = 32)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);
comment on table  journal is 'Append-only: everything that happened. No foreign keys: the record outlives its subjects.';
comment on column journal.workspace_id is 'The tenant.';
comment on column journal.number is 'Counts the rows of the workspace from 1, without gaps, in the order of their commits.';
comment on column journal.at is 'The time of its transaction.';
comment on column journal.kind is 'What happened, noun.verb: task.ready, key.created, attempt.spend_reported, ...';
comment on column journal.public is 'Whether it is an event, which every reader sees.';
comment on column journal.project_id is 'The project it concerns; null where a goal is named, which has its project.';
comment on column journal.goal_id is 'The goal it concerns.';
comment on column journal.task_id is 'The task it concerns.';
comment on column journal.attempt_id is 'The attempt it concerns.';
comment on column journal.agent_id is 'The agent it concerns.';
comment on column journal.approval_id is 'The approval it concerns.';
comment on column journal.subject is 'The noun of its subject: task, goal, key, ...; workspace for the workspace as a whole.';
comment on column journal.subject_id is 'The id of its subject.';
comment on column journal.actor_key_id is 'The key that did it; null: the service itself, a person with a decision link, or the command line.';
comment on column journal.actor_person is 'The person who did it: the owner of the key at that time, or the person of the link.';
comment on column journal.link_id is 'The decision link that was used.';
comment on column journal.link_maker is 'The key that made that link.';
comment on column journal.on_behalf_of is 'The people for whom it was done, beside the actor; null: nobody else.';
comment on column journal.request is 'The id of the request, as in its answer and in the log of the service.';
comment on column journal.trace_id is 'The trace of the request.';
comment on column journal.before_sha256 is 'SHA-256 of the canonical form of the subject before an edit by a person.';
comment on column journal.after_sha256 is 'The same of the subject after the edit, or as it was created.';
comment on column journal.data is 'Details; never secrets, never long text. Null: erased.';
comment on column journal.data_version is 'The version of the shape of data for its kind.';
comment on column journal.salt is '16 random bytes, hashed before data. Null: erased together with data.';
comment on column journal.data_sha256 is 'SHA-256 of salt and data; set by the erasure of both.';
-- The rows of a goal, its tasks, attempts and approvals are found through the goal, all others through
-- their subject: so no row of the hot path is in more than one index beside the primary key.
create index journal_of_goal on journal (workspace_id, goal_id, number) where goal_id is not null;
create index journal_of_subject on journal (workspace_id, subject_id, number)
    where subject not in ('goal', 'task', 'attempt', 'approval');
-- A block range index costs a writer nothing: rows are in the order of their time but for moments.
create index journal_by_time on journal using brin (workspace_id, at) with (autosummarize = on);

create table journal_seals (
    workspace_id uuid        not null,
    first        bigint      not null,
    last         bigint      not null,
    digests      bytea,
    chain_sha256 bytea       not null,
    sealed_at    timestamptz not null,
    constraint journal_seals_pkey primary key (workspace_id, first),
    constraint journal_seals_in_order check (first between 1 and last),
    constraint journal_seals_digest_per_row check (octet_length(digests) = 32 * (last - first + 1)),
    constraint journal_seals_chain_is_a_digest check (octet_length(chain_sha256) = 32)
);
alter table journal_seals alter column digests set storage external;
comment on table  journal_seals is 'Seals of consecutive segments of the journal, each chained to the one before.';
comment on column journal_seals.workspace_id is 'The tenant.';
comment on column journal_seals.first is 'The number of the first row of the segment.';
comment on column journal_seals.last is 'The number of the last row of the segment.';
comment on column journal_seals.digests is 'The digests of its rows by number, 32 bytes each; null: the segment was pruned.';
comment on column journal_seals.chain_sha256 is 'SHA-256 of the chain hash before it (zeros for the first), first and last in 8 bytes each, and digests.';
comment on column journal_seals.sealed_at is 'When it was sealed.';

create table journal_chains (
    workspace_id uuid   not null,
    sealed_to    bigint not null,
    chain_sha256 bytea  not null,
    pruned_to    bigint not null,
    constraint journal_chains_pkey primary key (workspace_id),
    constraint journal_chains_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint journal_chains_in_order check (pruned_to between 0 and sealed_to),
    constraint journal_chains_is_a_digest check (octet_length(chain_sha256) = 32)
) with (fillfactor = 50);
comment on table  journal_chains is 'How far each journal is sealed and pruned. Its row is the lock of the sealer; writers never touch it.';
comment on column journal_chains.workspace_id is 'The tenant.';
comment on column journal_chains.sealed_to is 'The number of the last sealed row; 0: none.';
comment on column journal_chains.chain_sha256 is 'The chain hash of the last seal; zeros: none.';
comment on column journal_chains.pruned_to is 'The number of the last pruned row; 0: none.';

-- A trigger may refuse, never act. These refuse everything but the erasure of data and the removal of
-- rows and digests up to pruned_to.
create function journal_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'the journal is append-only: % of % is refused', tg_op, tg_table_name
        using errcode = 'restrict_violation';
end
$$;
comment on function journal_refuse() is 'Refuses.';

create function journal_keep_rows() returns trigger language plpgsql as $$
declare
    erased journal := old;
begin
    if tg_op = 'DELETE' then
        if old.number <= (select pruned_to from journal_chains where workspace_id = old.workspace_id) then
            return old;
        end if;
    elsif old.data is not null and old.kind not like 'journal.%' then
        erased.data := null;
        erased.salt := null;
        erased.data_sha256 := sha256(old.salt || convert_to(old.data::text, 'UTF8'));
        -- Compared by its bytes: json has no equality.
        if new *= erased then
            return new;
        end if;
    end if;
    raise exception 'the journal is append-only: % of number % is refused', tg_op, old.number
        using errcode = 'restrict_violation';
end
$$;
comment on function journal_keep_rows() is 'Refuses every update of a row but the erasure of its data, and every delete of a row that is not pruned.';
create trigger journal_keep_rows before update or delete on journal
    for each row execute function journal_keep_rows();
create trigger journal_refuse before truncate on journal
    for each statement execute function journal_refuse();

create function journal_keep_seals() returns trigger language plpgsql as $$
declare
    pruned journal_seals := old;
begin
    pruned.digests := null;
    if new *= pruned
       and old.last <= (select pruned_to from journal_chains where workspace_id = old.workspace_id) then
        return new;
    end if;
    raise exception 'the journal is append-only: % of the seal of % to % is refused', tg_op, old.first, old.last
        using errcode = 'restrict_violation';
end
$$;
comment on function journal_keep_seals() is 'Refuses every update of a seal but the removal of the digests of a pruned segment.';
create trigger journal_keep_seals before update on journal_seals
    for each row execute function journal_keep_seals();
create trigger journal_refuse before delete or truncate on journal_seals
    for each statement execute function journal_refuse();
