-- Artifacts: files that results and evidence refer to by the SHA-256 of their bytes.
--
-- The bytes are in a directory or an object store, never in the database. A row of `artifacts` is written only
-- after its bytes are safe.
--
-- Why every upload has an id of its own, and the stored bytes are named after it: the same digest may be uploaded
-- twice at once, or again while its old bytes are being deleted. With names of their own neither can take away the
-- bytes of the other, and no lock is held while bytes move.
--
-- Why `artifact_uploads`: it names all bytes that may exist without an artifact: of an upload that runs or was
-- killed, and of an artifact that was deleted. So left bytes are found in any store without listing it, which
-- costs a request per thousand objects and would find those of running uploads too. The row is there before
-- the first byte and goes in the transaction that writes the artifact.
--
-- Why `artifact_refs` beside the digest in the evidence: retention asks whether an open goal refers to a digest,
-- which the evidence itself answers only through attempts and tasks. Its foreign key holds that nothing refers to
-- a digest that is not there.
--
-- Why `artifacts` of attempt_results repeats what the references say: a claim reads the results of all needed
-- tasks. Nearly none has artifacts; null in a row that is read anyway costs no search.

alter table workspaces
    add column artifact_retention_days int,
    add column artifact_media_types    text[],
    add constraint workspaces_artifact_retention_range check (artifact_retention_days between 1 and 36500),
    add constraint workspaces_artifact_media_types_few check (cardinality(artifact_media_types) between 1 and 100);
comment on column workspaces.artifact_retention_days is 'Artifacts that no open goal refers to are deleted this many days after their last upload; null: never.';
comment on column workspaces.artifact_media_types is 'Media types that may be uploaded, as text/plain or image/*; null: all.';

create table artifacts (
    workspace_id    uuid        not null,
    upload_id       uuid        not null,
    created_by      uuid        not null,
    from_attempt_id uuid,
    size            bigint      not null,
    created_at      timestamptz not null,
    uploaded_at     timestamptz not null,
    sha256          bytea       not null,
    media_type      text        not null,
    constraint artifacts_pkey primary key (workspace_id, sha256),
    constraint artifacts_upload_key unique (workspace_id, upload_id),
    constraint artifacts_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint artifacts_digest_length check (octet_length(sha256) = 32),
    constraint artifacts_size_range check (size >= 0),
    constraint artifacts_media_type_length check (octet_length(media_type) between 3 and 200)
);
comment on table  artifacts is 'Files that results and evidence refer to, by the SHA-256 of their bytes. The bytes are in a directory or an object store.';
comment on column artifacts.workspace_id is 'The workspace.';
comment on column artifacts.upload_id is 'The upload that stored the bytes: UUIDv7, part of the name of the bytes in the store; lists are in its order, newest first.';
comment on column artifacts.created_by is 'The key that uploaded it first.';
comment on column artifacts.from_attempt_id is 'The attempt during which it was uploaded, as its agent said; null: none. No foreign key: the artifact may outlive it.';
comment on column artifacts.size is 'Number of bytes.';
comment on column artifacts.created_at is 'Time of the first upload.';
comment on column artifacts.uploaded_at is 'Time of the last upload of the same bytes: retention counts from it.';
comment on column artifacts.sha256 is 'SHA-256 of the bytes.';
comment on column artifacts.media_type is 'Media type as said by the first uploader, without parameters, in lower case.';
-- Retention, and the sum of bytes that the cap is compared with.
create index artifacts_by_age on artifacts (workspace_id, uploaded_at) include (size);

create table artifact_uploads (
    workspace_id uuid        not null,
    upload_id    uuid        not null,
    begun_at     timestamptz not null,
    sweep_from   timestamptz not null,
    abandoned    boolean     not null default false,
    sha256       bytea       not null,
    constraint artifact_uploads_pkey primary key (workspace_id, upload_id),
    constraint artifact_uploads_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint artifact_uploads_digest_length check (octet_length(sha256) = 32)
);
comment on table  artifact_uploads is 'Uploads whose bytes may be in the store although no artifact has them: running, killed, or of a deleted artifact.';
comment on column artifact_uploads.workspace_id is 'The workspace.';
comment on column artifact_uploads.upload_id is 'The upload: part of the name of the bytes in the store.';
comment on column artifact_uploads.begun_at is 'Time of the beginning of the upload.';
comment on column artifact_uploads.sweep_from is 'From then on the supervisor deletes the bytes: later than the upload may take, or at once after a deletion.';
comment on column artifact_uploads.abandoned is 'Whether its bytes are being deleted: it becomes no artifact any more.';
comment on column artifact_uploads.sha256 is 'The announced SHA-256.';
create index artifact_uploads_by_sweep on artifact_uploads (workspace_id, sweep_from);

create table artifact_refs (
    workspace_id uuid    not null,
    attempt_id   uuid    not null,
    goal_id      uuid    not null,
    in_result    boolean not null,
    sha256       bytea   not null,
    constraint artifact_refs_pkey primary key (workspace_id, attempt_id, sha256),
    constraint artifact_refs_artifact_fkey foreign key (workspace_id, sha256) references artifacts (workspace_id, sha256),
    constraint artifact_refs_attempt_fkey foreign key (workspace_id, attempt_id) references attempts (workspace_id, attempt_id),
    constraint artifact_refs_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id)
);
comment on table  artifact_refs is 'Which attempts refer to which artifacts. An artifact that an open goal refers to is kept.';
comment on column artifact_refs.workspace_id is 'The workspace.';
comment on column artifact_refs.attempt_id is 'The attempt whose result or evidence refers to it.';
comment on column artifact_refs.goal_id is 'The goal of that attempt.';
comment on column artifact_refs.in_result is 'Whether the result lists it, so that it is handed over to the tasks that need this one; else only evidence refers to it.';
comment on column artifact_refs.sha256 is 'The artifact.';
create index artifact_refs_of_artifact on artifact_refs (workspace_id, sha256);
create index artifact_refs_of_goal on artifact_refs (workspace_id, goal_id);

alter table evidence
    add column artifact_sha256 bytea,
    add constraint evidence_artifact_digest_length check (octet_length(artifact_sha256) = 32);
comment on column evidence.artifact_sha256 is 'SHA-256 of the artifact that is the evidence; null: none. Known when it was stored; retention may have deleted it since the goal ended.';

alter table attempt_results add column artifacts bytea[];
comment on column attempt_results.artifacts is 'SHA-256 of the artifacts of the result, as artifact_refs has them; null: none.';
