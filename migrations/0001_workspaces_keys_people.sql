-- Workspaces, and the keys that open them.
--
-- Why `workspace_id` comes first: everything belongs to exactly one workspace, and `workspace_id` leads
-- every primary key, unique index and foreign key. The same schema can therefore be spread over several
-- clusters later without a rewrite. The public id of a key contains its workspace, so that the lookup of
-- a key names the workspace too.
--
-- Why keys name people: a person may have several keys, and an agent acts for a person. An approval
-- excludes the person who posted the goal, who owns the agent that asks, or who did the work under
-- review, with all keys of that person. A key without a person represents only itself.

create table workspaces (
    workspace_id uuid        not null,
    name         text        not null,
    created_at   timestamptz not null,
    constraint workspaces_pkey primary key (workspace_id),
    constraint workspaces_name_length check (char_length(name) between 1 and 200)
);
comment on table  workspaces is 'Tenants. Every other row belongs to exactly one.';
comment on column workspaces.workspace_id is 'UUIDv7, made by the application.';
comment on column workspaces.name is 'For people. Not unique: no constraint crosses workspaces.';
comment on column workspaces.created_at is 'Time of creation.';

create table keys (
    workspace_id  uuid        not null,
    key_id        uuid        not null,
    agent_id      uuid,
    created_by    uuid,
    created_at    timestamptz not null,
    expires_at    timestamptz,
    revoked_at    timestamptz,
    role          text        not null,
    secret_sha256 bytea       not null,
    name          text        not null,
    person        text,
    constraint keys_pkey primary key (workspace_id, key_id),
    constraint keys_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint keys_role_known check (role in ('admin', 'operator', 'submitter', 'agent', 'viewer')),
    constraint keys_agent_iff_agent_role check ((role = 'agent') = (agent_id is not null)),
    constraint keys_secret_is_sha256 check (octet_length(secret_sha256) = 32),
    constraint keys_name_length check (char_length(name) between 1 and 200),
    constraint keys_person_length check (char_length(person) between 1 and 200),
    constraint keys_of_agents_are_nobodys check (person is null or role <> 'agent')
);
comment on table  keys is 'API keys. The secret is shown once and never stored.';
comment on column keys.workspace_id is 'The workspace that the key opens.';
comment on column keys.key_id is 'Public part of the key; names the actor in the journal.';
comment on column keys.agent_id is 'The agent that the key belongs to; set exactly for the role agent.';
comment on column keys.created_by is 'The key that created this one; null: the bootstrap key, or made at the command line.';
comment on column keys.created_at is 'Time of creation.';
comment on column keys.expires_at is 'The key is refused from this time on; null: it does not expire.';
comment on column keys.revoked_at is 'Time of revocation; the key is refused since. Null: not revoked.';
comment on column keys.role is 'admin, operator, submitter, agent or viewer.';
comment on column keys.secret_sha256 is 'SHA-256 of the secret: 256 random bits need no slow hash.';
comment on column keys.name is 'For people: what the key is used for.';
comment on column keys.person is 'The person who holds the key, for example an e-mail address; null: not a particular person.';
create index keys_of_agent on keys (workspace_id, agent_id, created_at desc)
    where agent_id is not null and revoked_at is null;
