-- Links: one approval, one person, one payload, for whoever has no key.
--
-- Why a table and no signed token: a link is revoked at once, works once, and is listed for whoever asks
-- who could have decided. Nothing of that can be said of a text that only carries a signature.
--
-- Why the payload's hash: whoever was sent a link was asked about that form of the payload. When it is
-- revised the link decides nothing any more; another has to be made.
--
-- Why nothing counts how often a link is opened: programs open links before people do (scanners of
-- mail, previews of chats). Opening one writes nothing at all.

create table approval_links (
    workspace_id   uuid        not null,
    link_id        uuid        not null,
    approval_id    uuid        not null,
    person         text        not null,
    token_sha256   bytea       not null,
    payload_sha256 bytea       not null,
    created_by     uuid        not null,
    created_at     timestamptz not null,
    expires_at     timestamptz not null,
    revoked_at     timestamptz,
    used_at        timestamptz,
    verdict        text,
    constraint approval_links_pkey primary key (workspace_id, link_id),
    constraint approval_links_approval_fkey foreign key (workspace_id, approval_id) references approvals (workspace_id, approval_id),
    constraint approval_links_maker_fkey foreign key (workspace_id, created_by) references keys (workspace_id, key_id),
    constraint approval_links_token_unique unique (workspace_id, token_sha256),
    constraint approval_links_person_length check (char_length(person) between 1 and 200),
    constraint approval_links_token_is_sha256 check (octet_length(token_sha256) = 32),
    constraint approval_links_payload_is_sha256 check (octet_length(payload_sha256) = 32),
    constraint approval_links_verdict_known check (verdict in ('approve', 'reject', 'answer', 'decline')),
    constraint approval_links_used_iff_verdict check ((used_at is null) = (verdict is null)),
    constraint approval_links_ends_after_begin check (expires_at > created_at),
    constraint approval_links_used_in_time check (used_at < expires_at),
    constraint approval_links_used_or_revoked check (used_at is null or revoked_at is null or used_at <= revoked_at)
);
comment on table  approval_links is 'Links with which people who have no key decide. Rows are never deleted.';
comment on column approval_links.workspace_id is 'The tenant.';
comment on column approval_links.link_id is 'UUIDv7; with the workspace the public part of the token.';
comment on column approval_links.approval_id is 'What it decides.';
comment on column approval_links.person is 'Who decides with it.';
comment on column approval_links.token_sha256 is 'SHA-256 of the secret part of the token: 256 random bits, shown once.';
comment on column approval_links.payload_sha256 is 'The form of the payload that it decides; no other.';
comment on column approval_links.created_by is 'The key that made it; when that is revoked, so is the link.';
comment on column approval_links.created_at is 'When it was made.';
comment on column approval_links.expires_at is 'From then on it opens nothing.';
comment on column approval_links.revoked_at is 'Since then it opens nothing; null: not revoked.';
comment on column approval_links.used_at is 'When the person decided with it; null: not yet.';
comment on column approval_links.verdict is 'What the person decided with it: approve, reject, answer or decline.';
create index approval_links_of_approval on approval_links (workspace_id, approval_id, link_id);
