-- Workspaces and keys.
--
-- Why first: everything belongs to exactly one workspace, and `workspace_id` leads every primary
-- key, unique index and foreign key from the first migration on. It is what lets the same schema
-- be spread over several clusters later without a rewrite. A key's public id carries its
-- workspace, so that even finding a key names the workspace.

create table workspaces (
    workspace_id uuid        not null,
    name         text        not null,
    created_at   timestamptz not null,
    constraint workspaces_pkey primary key (workspace_id),
    constraint workspaces_name_length check (char_length(name) between 1 and 200)
);
comment on table  workspaces is 'Tenants. Everything belongs to exactly one.';
comment on column workspaces.workspace_id is 'UUIDv7, made by the application.';
comment on column workspaces.name is 'For people; not unique, because nothing may be unique across workspaces.';
comment on column workspaces.created_at is 'When it was made.';

create table keys (
    workspace_id  uuid        not null,
    key_id        uuid        not null,
    name          text        not null,
    role          text        not null,
    agent_id      uuid,
    secret_sha256 bytea       not null,
    created_by    uuid,
    created_at    timestamptz not null,
    expires_at    timestamptz,
    revoked_at    timestamptz,
    constraint keys_pkey primary key (workspace_id, key_id),
    constraint keys_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint keys_role_known check (role in ('admin', 'operator', 'submitter', 'agent', 'viewer')),
    constraint keys_agent_iff_agent_role check ((role = 'agent') = (agent_id is not null)),
    constraint keys_secret_is_sha256 check (octet_length(secret_sha256) = 32),
    constraint keys_name_length check (char_length(name) between 1 and 200)
);
comment on table  keys is 'API keys. The secret itself is shown once and stored nowhere.';
comment on column keys.workspace_id is 'The workspace that the key opens.';
comment on column keys.key_id is 'The public part of the key; the actor in events.';
comment on column keys.name is 'For people: who or what holds the key.';
comment on column keys.role is 'admin, operator, submitter, agent or viewer.';
comment on column keys.agent_id is 'The agent that the key is bound to; set exactly for the role agent.';
comment on column keys.secret_sha256 is 'SHA-256 of the secret: 256 random bits need no slow hash.';
comment on column keys.created_by is 'The key that made this one; null for the bootstrap key and the command line.';
comment on column keys.created_at is 'When it was made.';
comment on column keys.expires_at is 'From then on it is refused; null: never.';
comment on column keys.revoked_at is 'Since then it is refused; null: not revoked.';
create index keys_of_agent on keys (workspace_id, agent_id, created_at desc)
    where agent_id is not null and revoked_at is null;
