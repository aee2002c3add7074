-- The bytes of the artifacts of a workspace, counted once; and dedup keys that outlive their goals.
--
-- The cap of a workspace was compared with a sum over all its artifacts, twice for each upload, and without a lock: two
-- uploads at once passed it together. Bytes of running uploads were not counted at all.
--
-- Why a row with the sum: it is read instead of the table, and its lock has uploads admitted one after the other. It
-- changes with an upload and a deletion only, so it is no hot row.
--
-- Why `reserved` of an upload beside it, and not in the sum: the rows of uploads are few, they stay on their server when
-- the workspace moves, and one that a killed process left goes by itself with its bytes. The row of a deleted artifact
-- has its bytes reserved until they are removed from the store.
--
-- Why dedup_keys lose their foreign key to goals: a key that is held for a time is held whatever becomes of its goal, but
-- the row went with the goal. `goal_id` stays, because whoever is refused is told which goal it was. Rows whose time is
-- over hold nothing, and the index finds them to be deleted.

create table artifact_totals (
    workspace_id uuid   not null,
    bytes        bigint not null,
    constraint artifact_totals_pkey primary key (workspace_id),
    constraint artifact_totals_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint artifact_totals_bytes_range check (bytes >= 0)
);
comment on table  artifact_totals is 'Bytes of all artifacts of a workspace. No row: it never had one.';
comment on column artifact_totals.workspace_id is 'The workspace.';
comment on column artifact_totals.bytes is 'Sum over its artifacts, each of which counts as at least 4096 bytes.';

insert into artifact_totals (workspace_id, bytes)
select workspace_id, sum(greatest(size, 4096))::bigint from artifacts group by workspace_id;

alter table artifact_uploads
    add column reserved bigint not null default 0,
    add constraint artifact_uploads_reserved_range check (reserved >= 0);
comment on column artifact_uploads.reserved is 'Bytes that count against the cap of the workspace while the row is there: the announced size, or without one the largest that the service takes; of a deleted artifact its size. At least 4096; 0 for uploads that began before this was counted.';
-- The sum of bytes is read from artifact_totals.
drop index artifacts_by_age;
create index artifacts_by_age on artifacts (workspace_id, uploaded_at);

alter table dedup_keys
    drop constraint dedup_keys_goal_fkey,
    add constraint dedup_keys_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id);
comment on column dedup_keys.goal_id is 'The goal that holds it, or the goal of the task that does. No foreign key: a goal that holds it for a time may be deleted.';
create index dedup_keys_by_end on dedup_keys (workspace_id, held_until) where held_until is not null;
