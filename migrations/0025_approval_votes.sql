-- Votes: what people said about an approval whose policy wants several of them.
--
-- Why insert-only, and with the place and the revision that they were about: which votes count follows
-- from where the approval stands now, so a revision or an escalation makes earlier ones void without
-- writing them. The unique indexes hold what the rules say too: in one round, a person votes once, and
-- nobody's place is taken twice.

create table approval_votes (
    workspace_id   uuid        not null,
    approval_id    uuid        not null,
    number         integer     not null,
    revision       integer     not null,
    stage          smallint    not null,
    escalation     smallint    not null,
    key_id         uuid,
    person         text,
    in_place_of    text,
    verdict        text        not null,
    answer         jsonb,
    answer_sha256  bytea,
    reason         text,
    payload_sha256 bytea       not null,
    voted_at       timestamptz not null,
    constraint approval_votes_pkey primary key (workspace_id, approval_id, number),
    constraint approval_votes_approval_fkey foreign key (workspace_id, approval_id) references approvals (workspace_id, approval_id),
    constraint approval_votes_verdict_known check (verdict in ('approve', 'reject', 'answer', 'decline')),
    constraint approval_votes_answer_hashed check ((answer_sha256 is not null) = (verdict = 'answer') and octet_length(answer_sha256) = 32),
    constraint approval_votes_hash_is_sha256 check (octet_length(payload_sha256) = 32),
    constraint approval_votes_of_somebody check (key_id is not null or person is not null),
    constraint approval_votes_place_of_person check (in_place_of is null or person is not null)
);
comment on table  approval_votes is 'Votes on approvals that have a policy.';
comment on column approval_votes.workspace_id is 'The tenant.';
comment on column approval_votes.approval_id is 'The approval.';
comment on column approval_votes.number is 'Counts the votes of the approval from 1.';
comment on column approval_votes.revision is 'Which form of the payload it was about; it counts for that alone.';
comment on column approval_votes.stage is 'Which stage was asked.';
comment on column approval_votes.escalation is 'How often it had been escalated in this stage.';
comment on column approval_votes.key_id is 'The key that voted; null: through a link.';
comment on column approval_votes.person is 'The person who voted; null: a key of nobody in particular.';
comment on column approval_votes.in_place_of is 'The approver in whose place it was cast; null: the voter''s own.';
comment on column approval_votes.verdict is 'approve, reject, answer or decline.';
comment on column approval_votes.answer is 'The answer to a question.';
comment on column approval_votes.answer_sha256 is 'SHA-256 of the canonical form of the answer: votes agree when it is the same.';
comment on column approval_votes.reason is 'Why, or a remark.';
comment on column approval_votes.payload_sha256 is 'The hash of what was read.';
comment on column approval_votes.voted_at is 'When.';
create unique index approval_votes_one_per_voter on approval_votes
    (workspace_id, approval_id, revision, stage, escalation, (coalesce(person, key_id::text)));
create unique index approval_votes_one_per_seat on approval_votes
    (workspace_id, approval_id, revision, stage, escalation, (coalesce(in_place_of, person, key_id::text)));
