-- Playbooks: versioned templates of plans.
--
-- Why two tables: a version never changes, because the plans made of it name it, and a goal that is posted again
-- with the same version must get the same plan. What changes is which version is the latest, and whether lists
-- show the playbook.
--
-- Why the source beside the document: people write YAML with comments, and want to read it again as they wrote it.
-- Plans are made of the document, so no later version of the reader can change what a stored playbook means.
--
-- Why the plan keeps the whole use: with name, version and the values of the variables the plan can be made again,
-- by another version or with other values. It is a copy and no reference, as a built-in playbook has no row.

create table playbooks (
    workspace_id uuid             not null,
    playbook_id  uuid             not null,
    name         text collate "C" not null,
    latest       integer          not null,
    created_by   uuid,
    created_at   timestamptz      not null,
    updated_at   timestamptz      not null,
    archived_at  timestamptz,
    constraint playbooks_pkey primary key (workspace_id, playbook_id),
    constraint playbooks_name_unique unique (workspace_id, name),
    constraint playbooks_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint playbooks_latest_positive check (latest > 0)
);
comment on table  playbooks is 'Templates of plans. Rows are never deleted.';
comment on column playbooks.workspace_id is 'The workspace.';
comment on column playbooks.playbook_id is 'UUIDv7.';
comment on column playbooks.name is 'Its name, by which goals and other playbooks use it; never changes. Sorted by bytes, as the service sorts.';
comment on column playbooks.latest is 'Number of its latest version.';
comment on column playbooks.created_by is 'The key that stored its first version.';
comment on column playbooks.created_at is 'Time of its first version.';
comment on column playbooks.updated_at is 'Time of its latest version, or of archiving.';
comment on column playbooks.archived_at is 'Time since which lists leave it out; null: they do not.';

create table playbook_versions (
    workspace_id    uuid        not null,
    playbook_id     uuid        not null,
    version         integer     not null,
    document        jsonb       not null,
    source          text,
    document_sha256 bytea       not null,
    created_by      uuid,
    created_at      timestamptz not null,
    constraint playbook_versions_pkey primary key (workspace_id, playbook_id, version),
    constraint playbook_versions_playbook_fkey foreign key (workspace_id, playbook_id)
        references playbooks (workspace_id, playbook_id),
    constraint playbook_versions_version_positive check (version > 0),
    constraint playbook_versions_sha256_length check (octet_length(document_sha256) = 32)
);
comment on table  playbook_versions is 'The texts of playbooks. Rows are never changed.';
comment on column playbook_versions.workspace_id is 'The workspace.';
comment on column playbook_versions.playbook_id is 'The playbook.';
comment on column playbook_versions.version is 'Ordinal within the playbook, from 1.';
comment on column playbook_versions.document is 'The document, which plans are made of.';
comment on column playbook_versions.source is 'The YAML it was read from, as it was sent; null: it was sent as JSON.';
comment on column playbook_versions.document_sha256 is 'SHA-256 of source and document: the same text stored again is the same version.';
comment on column playbook_versions.created_by is 'The key that stored it.';
comment on column playbook_versions.created_at is 'Time of storing.';

alter table plans add column playbook jsonb;
comment on column plans.playbook is 'Name, version and values of the playbook it was made of; null: another planner made it.';
