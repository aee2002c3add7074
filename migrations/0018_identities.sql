-- Identities: people who sign in with an identity provider.
--
-- Why an identity has a key: everything that somebody does names a key, in votes, exclusions, holds and the
-- journal. The key of an identity is one like any other, except that nobody has its secret, so it opens nothing
-- as a bearer key. Its revocation ends the sessions. Another role or person is another key, so that the record
-- of what was done before stays true.
--
-- Why a person must be confirmed: the name of a person is what policies and exclusions compare. A provider, or
-- whoever may edit a profile there, must not take the name of somebody to whom an administrator gave a key.
--
-- Why a session remembers its sign-in: a sign-in is completed once, by a unique index, for all time.

create table identities (
    workspace_id      uuid        not null,
    identity_id       uuid        not null,
    issuer            text        not null,
    subject           text        not null,
    person            text        not null,
    role              text        not null,
    key_id            uuid        not null,
    person_confirmed  boolean     not null default false,
    blocked           boolean     not null default false,
    version           int         not null default 1,
    created_at        timestamptz not null,
    updated_at        timestamptz not null,
    last_signed_in_at timestamptz not null,
    constraint identities_pkey primary key (workspace_id, identity_id),
    constraint identities_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint identities_key_fkey foreign key (workspace_id, key_id) references keys (workspace_id, key_id),
    constraint identities_subject_unique unique (workspace_id, issuer, subject),
    constraint identities_key_unique unique (workspace_id, key_id),
    constraint identities_role_known check (role in ('admin', 'operator', 'submitter', 'agent', 'viewer')),
    constraint identities_not_of_agents check (role <> 'agent'),
    constraint identities_issuer_length check (char_length(issuer) between 1 and 500),
    constraint identities_subject_length check (char_length(subject) between 1 and 255),
    constraint identities_person_length check (char_length(person) between 1 and 200)
);
comment on table  identities is 'People as an identity provider names them; made at their first sign-in.';
comment on column identities.workspace_id is 'The workspace.';
comment on column identities.identity_id is 'UUIDv7, made by the application.';
comment on column identities.issuer is 'The identity provider.';
comment on column identities.subject is 'Id of the person at the provider; never changes.';
comment on column identities.person is 'The person, from a claim of the last sign-in.';
comment on column identities.role is 'The role, from a claim of the last sign-in.';
comment on column identities.key_id is 'The key that sessions of the identity act with; nobody has its secret.';
comment on column identities.person_confirmed is 'Whether an administrator, or the setting that trusts the provider, confirmed the person. Otherwise sessions only read, and act as nobody.';
comment on column identities.blocked is 'Whether an administrator blocked sign-ins.';
comment on column identities.version is 'Rises by one with every change but the time of the last sign-in.';
comment on column identities.created_at is 'Time of the first sign-in.';
comment on column identities.updated_at is 'Time of the last change of the version.';
comment on column identities.last_signed_in_at is 'Time of the last sign-in.';

alter table sessions
    drop constraint sessions_one_origin,
    drop constraint sessions_identity_names_person,
    drop constraint sessions_identity_length,
    drop column identity,
    add column identity_id    uuid,
    add column sign_in_sha256 bytea,
    add constraint sessions_has_key check (key_id is not null),
    add constraint sessions_identity_fkey
        foreign key (workspace_id, identity_id) references identities (workspace_id, identity_id),
    add constraint sessions_identity_names_person check (identity_id is null or person is not null),
    add constraint sessions_sign_in_of_identity check ((identity_id is null) = (sign_in_sha256 is null)),
    add constraint sessions_sign_in_is_sha256 check (octet_length(sign_in_sha256) = 32),
    add constraint sessions_sign_in_once unique (workspace_id, sign_in_sha256);
comment on column sessions.key_id is 'The key that the session began with, or the key of its identity; its end ends the session.';
comment on column sessions.identity_id is 'The identity that signed in; null: the session began with a key.';
comment on column sessions.sign_in_sha256 is 'Names the sign-in at the identity provider, which is completed once; null: the session began with a key.';
create index sessions_of_identity on sessions (workspace_id, identity_id) where identity_id is not null and ended_at is null;
