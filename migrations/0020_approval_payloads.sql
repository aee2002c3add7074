-- What is approved is what was seen: payloads have a hash, and revisions.
--
-- Why the hash is stored: a decision is compared with it under the row's lock, and lists show it
-- without the payload. Approvals from before have a hash of the database's text of their payload
-- instead of the canonical form; whoever decides sends back what was read, so it serves as well.
--
-- Why revisions are rows of their own: the approval has the payload that counts, and what it was
-- before is read seldom and by people.

alter table approvals
    add column payload_sha256 bytea,
    add column revision integer not null default 1,
    add column risk text not null default 'medium',
    add column answer_schema jsonb,
    add column verdict text;
update approvals set payload_sha256 = sha256(convert_to(coalesce(payload, 'null')::text, 'UTF8')),
    verdict = case state when 'approved' then 'approve' when 'rejected' then 'reject'
                         when 'answered' then 'answer' end;
alter table approvals
    alter column payload_sha256 set not null,
    alter column revision drop default,
    alter column risk drop default,
    add constraint approvals_hash_is_sha256 check (octet_length(payload_sha256) = 32),
    add constraint approvals_revision_positive check (revision > 0),
    add constraint approvals_risk_known check (risk in ('low', 'medium', 'high', 'critical')),
    add constraint approvals_verdict_known check (verdict in ('approve', 'reject', 'answer', 'decline')),
    add constraint approvals_verdict_iff_decided check ((verdict is not null) = (state in ('approved', 'rejected', 'answered'))),
    add constraint approvals_schema_only_of_questions check (answer_schema is null or kind = 'input');
comment on column approvals.payload_sha256 is 'SHA-256 of the canonical form of the payload; a decision must name it.';
comment on column approvals.revision is 'Counts the forms that the payload had, from 1.';
comment on column approvals.risk is 'low, medium, high or critical, as the asker sees it.';
comment on column approvals.answer_schema is 'What the answer to a question must look like.';
comment on column approvals.verdict is 'approve, reject, answer or decline; null unless a person decided.';

create table approval_revisions (
    workspace_id   uuid        not null,
    approval_id    uuid        not null,
    revision       integer     not null,
    payload        jsonb,
    payload_sha256 bytea       not null,
    replaced_by    uuid,
    replaced_at    timestamptz not null,
    constraint approval_revisions_pkey primary key (workspace_id, approval_id, revision),
    constraint approval_revisions_approval_fkey foreign key (workspace_id, approval_id) references approvals (workspace_id, approval_id),
    constraint approval_revisions_hash_is_sha256 check (octet_length(payload_sha256) = 32)
);
comment on table  approval_revisions is 'Forms that payloads had before they were revised.';
comment on column approval_revisions.workspace_id is 'The tenant.';
comment on column approval_revisions.approval_id is 'The approval.';
comment on column approval_revisions.revision is 'Which form this was.';
comment on column approval_revisions.payload is 'What was to be approved.';
comment on column approval_revisions.payload_sha256 is 'Its hash.';
comment on column approval_revisions.replaced_by is 'The key that revised it, or approved it with edits.';
comment on column approval_revisions.replaced_at is 'When.';

-- A plan that was edited is another plan; the one that it replaces was neither applied nor rejected.
alter table plans drop constraint plans_state_known;
alter table plans add constraint plans_state_known check (state in ('proposed', 'applied', 'rejected', 'superseded'));
comment on column plans.state is 'proposed, applied, rejected or superseded.';
