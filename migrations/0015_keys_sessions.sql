-- Keys that end and see less, and sessions of people.
--
-- Why a key has a scope: a role says what may be done, a scope with what. A key of a CI script that posts
-- goals of one project must not read the goals of another.
--
-- Why `dies_with` lists keys and is no flag: the maker of a key may itself end with its own maker. The list
-- has every key above, so that authentication finds an end in one look-up, and no sweep is needed.
--
-- Why sessions have a table of their own: a session is no bearer key and a bearer key is no session. The
-- token of one is never looked up in the table of the other.

alter table keys
    add column last_used_at   timestamptz,
    add column scope_access   text not null default 'all',
    add column scope_projects uuid[],
    add column dies_with      uuid[],
    add column rotated_to     uuid,
    add constraint keys_scope_access_known
        check (scope_access in ('all', 'read_only', 'reports', 'own_attempts')),
    add constraint keys_scope_projects_count check (cardinality(scope_projects) between 1 and 100),
    add constraint keys_scope_fits_role check (
        case when role = 'agent' then scope_access in ('all', 'own_attempts') and scope_projects is null
             else scope_access <> 'own_attempts' end),
    add constraint keys_dies_with_count check (cardinality(dies_with) between 1 and 16),
    add constraint keys_rotated_to_another check (rotated_to <> key_id);
comment on column keys.last_used_at is 'Time of a request with the key, exact to a minute; written behind the requests. Null: not used yet.';
comment on column keys.scope_access is 'What the key may do below its role: all, read_only, reports, or own_attempts (agents).';
comment on column keys.scope_projects is 'The only projects that the key may see; null: all of the workspace.';
comment on column keys.dies_with is 'Keys whose revocation or expiry ends this key at once; null: none.';
comment on column keys.rotated_to is 'The key that replaced this one; null: it was not rotated.';
comment on column keys.origin is 'For a key without a person: the first key in its chain of makers that has a person or no maker; for one that replaced another, the origin of that one. Null: the key itself.';

alter table workspaces
    add column agent_key_lifetime_seconds bigint,
    add column version    int         not null default 1,
    add column updated_at timestamptz,
    add constraint workspaces_agent_key_lifetime_range
        check (agent_key_lifetime_seconds between 60 and 315360000);
comment on column workspaces.agent_key_lifetime_seconds is 'Lifetime of a new key of an agent in seconds; null: it does not expire.';
comment on column workspaces.version is 'Rises by one with every edit.';
comment on column workspaces.updated_at is 'Time of the last edit; null: never edited.';

create table sessions (
    workspace_id  uuid        not null,
    session_id    uuid        not null,
    token_sha256  bytea       not null,
    person        text,
    key_id        uuid,
    identity      text,
    role          text        not null,
    created_at    timestamptz not null,
    last_seen_at  timestamptz not null,
    idle_ends_at  timestamptz not null,
    expires_at    timestamptz not null,
    ended_at      timestamptz,
    constraint sessions_pkey primary key (workspace_id, session_id),
    constraint sessions_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint sessions_key_fkey foreign key (workspace_id, key_id) references keys (workspace_id, key_id),
    constraint sessions_token_is_sha256 check (octet_length(token_sha256) = 32),
    constraint sessions_role_known check (role in ('admin', 'operator', 'submitter', 'agent', 'viewer')),
    constraint sessions_not_of_agents check (role <> 'agent'),
    constraint sessions_one_origin check ((key_id is null) <> (identity is null)),
    constraint sessions_identity_names_person check (identity is null or person is not null),
    constraint sessions_person_length check (char_length(person) between 1 and 200),
    constraint sessions_identity_length check (char_length(identity) between 1 and 500)
);
comment on table  sessions is 'Sign-ins of people in a browser. The token is in a cookie of the browser and never stored.';
comment on column sessions.workspace_id is 'The workspace.';
comment on column sessions.session_id is 'UUIDv7, made by the application; a part of the token.';
comment on column sessions.token_sha256 is 'SHA-256 of the secret of the token.';
comment on column sessions.person is 'The person who signed in; null: the key of the session has no person.';
comment on column sessions.key_id is 'The key that the session began with; its end ends the session. Null: an identity.';
comment on column sessions.identity is 'Issuer and subject at the identity provider; null: the session began with a key.';
comment on column sessions.role is 'Permissions of the session.';
comment on column sessions.created_at is 'Time of the sign-in.';
comment on column sessions.last_seen_at is 'Time of a request of the session, exact to a minute.';
comment on column sessions.idle_ends_at is 'The session ends then unless it is used; moved by its use, at most to expires_at.';
comment on column sessions.expires_at is 'The session ends then at the latest.';
comment on column sessions.ended_at is 'Time of the sign-out; null: not signed out.';
create index sessions_open on sessions (workspace_id, person, key_id) where ended_at is null;
