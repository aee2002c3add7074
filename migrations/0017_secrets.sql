-- Secrets of others: planner keys, webhook secrets, the client secret of an identity provider.
--
-- Why one table: whatever must be sent to somebody else in clear cannot be stored as a hash. One table has
-- one way to encrypt, one rotation, and one line that leaves it out of exports.
--
-- Why two layers: a value is encrypted under a data key of its own, and that under the master key. The master
-- key is in a file and never in the database, so a copy of the database shows no secret. Both layers are bound
-- to workspace, id and purpose, so a row that is copied over another is found.

create table secrets (
    workspace_id           uuid        not null,
    secret_id              uuid        not null,
    purpose                text        not null,
    name                   text        not null,
    master_key_fingerprint text        not null,
    wrapped_key            bytea       not null,
    sealed                 bytea       not null,
    created_at             timestamptz not null,
    updated_at             timestamptz not null,
    constraint secrets_pkey primary key (workspace_id, secret_id),
    constraint secrets_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint secrets_name_unique unique (workspace_id, purpose, name),
    constraint secrets_purpose_known
        check (purpose in ('planner_key', 'webhook_secret', 'oidc_client_secret')),
    constraint secrets_name_length check (char_length(name) between 1 and 200),
    constraint secrets_master_key_fingerprint_form check (master_key_fingerprint ~ '^[0-9a-f]{16}$'),
    constraint secrets_wrapped_key_length check (octet_length(wrapped_key) = 72),
    constraint secrets_sealed_length check (octet_length(sealed) between 41 and 16424)
);
comment on table  secrets is 'Secrets that muster sends to others. Encrypted; not part of exports.';
comment on column secrets.workspace_id is 'The workspace.';
comment on column secrets.secret_id is 'UUIDv7, made by the application.';
comment on column secrets.purpose is 'For what it is sent: planner_key, webhook_secret, oidc_client_secret.';
comment on column secrets.name is 'Name for people, unique per purpose.';
comment on column secrets.master_key_fingerprint is 'Fingerprint of the master key that encrypts wrapped_key; says nothing about the key.';
comment on column secrets.wrapped_key is 'The data key, encrypted under the master key: nonce (24 bytes), ciphertext and tag.';
comment on column secrets.sealed is 'The value, encrypted under the data key: nonce (24 bytes), ciphertext and tag.';
comment on column secrets.created_at is 'Time of the first value.';
comment on column secrets.updated_at is 'Time of the present value. A rotation of the master key does not change it.';
