-- Approvals, their policies, revisions, votes, links and waivers.
--
-- Why partial unique indexes on pending approvals: a task, plan or limit waits for one decision at a time,
-- and of two transactions that ask at once only one may succeed. A decision and its effect are one
-- transaction, so nothing waits on an approval that is already decided.
--
-- Why the hash of the payload is stored: a decision names the hash that the decider has read. It is compared
-- under the lock of the row, and lists return it without the payload. Former payloads are rows of their own:
-- the approval has the current one, the others are read seldom.
--
-- Why the approval stores who is excluded: it is determined when the approval is asked, so that a later
-- change of owner permits nothing.
--
-- Why a policy is a document, and copied to its approvals: it is read and replaced as a whole, and no query
-- looks into it except the checks of the data. An edit must not change pending approvals, and lists show
-- the deciders and the expiry without another table. Policies are never deleted, because approvals refer
-- to them; the name of a retired policy is free again.
--
-- Why votes are insert-only and name stage and revision: the current stage and revision of the approval
-- determine which votes count. A revision or escalation makes earlier votes void without writing them. The
-- unique indexes repeat two rules: in one round a person votes once, and each approver is represented once.
--
-- Why links are rows and no signed tokens: a link can be revoked at once, works once, and is listed among
-- those who could have decided; a signature alone guarantees none of that. A link is bound to the hash of
-- the payload, so a revision invalidates it. Opening a link writes nothing, not even a count: mail scanners
-- and chat previews open links before people do.
--
-- Why waivers are rows: acceptance of a result without evidence for a required criterion has a decider
-- and a reason, and both are read with the result from then on.

create table approval_policies (
    workspace_id uuid        not null,
    policy_id    uuid        not null,
    name         text        not null,
    document     jsonb       not null,
    version      integer     not null default 1,
    created_by   uuid,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    retired_at   timestamptz,
    constraint approval_policies_pkey primary key (workspace_id, policy_id),
    constraint approval_policies_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id)
);
comment on table  approval_policies is 'Rules for who decides which approvals. Rows are never deleted.';
comment on column approval_policies.workspace_id is 'The workspace.';
comment on column approval_policies.policy_id is 'UUIDv7; of equal priority the oldest policy applies.';
comment on column approval_policies.name is 'Unique among the policies in force.';
comment on column approval_policies.document is 'The policy as posted, with all defaults filled in.';
comment on column approval_policies.version is 'Rises with every edit; the ETag.';
comment on column approval_policies.created_by is 'The key that created it.';
comment on column approval_policies.created_at is 'Time of creation.';
comment on column approval_policies.updated_at is 'Time of the last edit or of retirement.';
comment on column approval_policies.retired_at is 'Time of retirement; out of force since. Null: in force.';
create unique index approval_policies_name_unique on approval_policies (workspace_id, name) where retired_at is null;
create index approval_policies_in_force on approval_policies (workspace_id, policy_id) where retired_at is null;

create table approvals (
    workspace_id      uuid        not null,
    approval_id       uuid        not null,
    goal_id           uuid        not null,
    task_id           uuid,
    attempt_id        uuid,
    plan_id           uuid,
    limit_id          uuid,
    kind              text        not null,
    state             text        not null,
    risk              text        not null,
    version           integer     not null default 1,
    created_at        timestamptz not null,
    asked_by          uuid,
    title             text        not null,
    body              text        not null,
    answer_schema     jsonb,
    payload           jsonb,
    payload_sha256    bytea       not null,
    revision          integer     not null,
    excluded          jsonb       not null default '[]',
    allow_self        boolean     not null default false,
    policy_id         uuid,
    policy_version    integer,
    policy            jsonb,
    stage             smallint    not null default 1,
    escalation        smallint    not null default 0,
    reminded          smallint    not null default 0,
    expires_at        timestamptz,
    remind_at         timestamptz,
    last_round        boolean     not null default false,
    verdict           text,
    choice            text,
    answer            jsonb,
    reason            text,
    decided_by        uuid,
    decided_by_person text,
    decided_at        timestamptz,
    consumed_by       uuid,
    constraint approvals_pkey primary key (workspace_id, approval_id),
    constraint approvals_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id),
    constraint approvals_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id),
    constraint approvals_attempt_fkey foreign key (workspace_id, attempt_id) references attempts (workspace_id, attempt_id),
    constraint approvals_plan_fkey foreign key (workspace_id, plan_id) references plans (workspace_id, plan_id),
    constraint approvals_policy_fkey foreign key (workspace_id, policy_id) references approval_policies (workspace_id, policy_id),
    constraint approvals_kind_known check (kind in ('plan', 'start', 'result', 'action', 'budget', 'input')),
    constraint approvals_state_known check (state in ('pending', 'approved', 'rejected', 'answered', 'expired', 'cancelled')),
    constraint approvals_risk_known check (risk in ('low', 'medium', 'high', 'critical')),
    constraint approvals_verdict_known check (verdict in ('approve', 'reject', 'answer', 'decline')),
    constraint approvals_choice_known check (choice in ('accept', 'reassign', 'split', 'cancel')),
    constraint approvals_subject
        check ((kind = 'plan') = (plan_id is not null) and (kind = 'budget') = (limit_id is not null)
               and (kind in ('plan', 'budget', 'input') or task_id is not null)),
    constraint approvals_hash_is_sha256 check (octet_length(payload_sha256) = 32),
    constraint approvals_revision_positive check (revision > 0),
    constraint approvals_schema_only_of_questions check (answer_schema is null or kind = 'input'),
    constraint approvals_policy_whole check ((policy_id is null) = (policy is null) and (policy_id is null) = (policy_version is null)),
    constraint approvals_clock_of_policy check (policy_id is not null or (expires_at is null and remind_at is null and stage = 1 and escalation = 0)),
    constraint approvals_place_counts check (stage between 1 and 5 and escalation between 0 and 5 and reminded >= 0),
    constraint approvals_last_round_of_results check (not last_round or kind = 'result'),
    constraint approvals_choice_of_last_round check (choice is null or (last_round and state <> 'pending')),
    constraint approvals_verdict_iff_decided check ((verdict is not null) = (state in ('approved', 'rejected', 'answered'))),
    constraint approvals_decided_iff_not_pending check ((state = 'pending') = (decided_at is null))
);
comment on table  approvals is 'Questions that wait, or waited, for a person.';
comment on column approvals.workspace_id is 'The workspace.';
comment on column approvals.approval_id is 'UUIDv7.';
comment on column approvals.goal_id is 'The goal it concerns.';
comment on column approvals.task_id is 'The task it concerns; null for plans and limits, and for a rule that asks about a goal.';
comment on column approvals.attempt_id is 'The attempt that asked, or whose result is reviewed.';
comment on column approvals.plan_id is 'The plan; set exactly for the kind plan.';
comment on column approvals.limit_id is 'The limit to raise; set exactly for the kind budget.';
comment on column approvals.kind is 'plan, start, result, action, budget or input.';
comment on column approvals.state is 'pending, approved, rejected, answered, expired or cancelled.';
comment on column approvals.risk is 'low, medium, high or critical, as rated by the asker.';
comment on column approvals.version is 'Rises with every change; the ETag.';
comment on column approvals.created_at is 'Time of asking.';
comment on column approvals.asked_by is 'The key that asked; null: the service itself.';
comment on column approvals.title is 'One line for people.';
comment on column approvals.body is 'Markdown for people.';
comment on column approvals.answer_schema is 'JSON Schema of the answer to an input approval.';
comment on column approvals.payload is 'The exact data that is approved.';
comment on column approvals.payload_sha256 is 'SHA-256 of the canonical form of the payload; a decision must name it.';
comment on column approvals.revision is 'Number of the current form of the payload, from 1.';
comment on column approvals.excluded is 'Keys and people who may not decide, with the reason; determined when asked.';
comment on column approvals.allow_self is 'Whether the excluded may decide all the same, because a policy says so.';
comment on column approvals.policy_id is 'The policy that applied when it was asked; null: any operator decides alone.';
comment on column approvals.policy_version is 'Version of the policy at that time.';
comment on column approvals.policy is 'The policy at that time: later edits change nothing here.';
comment on column approvals.stage is 'Current stage of the policy, from 1.';
comment on column approvals.escalation is 'Number of escalations in this stage.';
comment on column approvals.reminded is 'Number of reminders in this stage.';
comment on column approvals.expires_at is 'Time at which this stage expires; null: never.';
comment on column approvals.remind_at is 'Time of the next reminder; null: never.';
comment on column approvals.last_round is 'The task has reached max_rework: the decision must choose what becomes of it.';
comment on column approvals.verdict is 'approve, reject, answer or decline; null unless a person decided.';
comment on column approvals.choice is 'accept, reassign, split or cancel: the choice of the last round, or its default without a decision.';
comment on column approvals.answer is 'The answer to an input approval.';
comment on column approvals.reason is 'Reason of rejection or cancellation, or a remark.';
comment on column approvals.decided_by is 'The key that decided.';
comment on column approvals.decided_by_person is 'The person who decided, if known.';
comment on column approvals.decided_at is 'Time at which it left pending.';
comment on column approvals.consumed_by is 'The attempt that received the decision; it is delivered once.';
create unique index approvals_one_pending_per_task on approvals (workspace_id, task_id) where state = 'pending' and task_id is not null;
create unique index approvals_one_pending_per_plan on approvals (workspace_id, plan_id) where state = 'pending' and plan_id is not null;
create unique index approvals_one_pending_per_limit on approvals (workspace_id, limit_id)
    where state = 'pending' and limit_id is not null;
create index approvals_by_state on approvals (workspace_id, state, approval_id);
create index approvals_of_goal on approvals (workspace_id, goal_id, approval_id);
-- Decisions to deliver to the next attempt of the task.
create index approvals_to_tell on approvals (workspace_id, task_id) where consumed_by is null and task_id is not null;
-- Attention ranks each risk by itself, oldest first: a page reads the first rows of each risk and no others.
create index approvals_pending on approvals (workspace_id, risk, created_at, approval_id) where state = 'pending';
create index approvals_to_expire on approvals (workspace_id, expires_at) where state = 'pending' and expires_at is not null;
create index approvals_to_remind on approvals (workspace_id, remind_at) where state = 'pending' and remind_at is not null;

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
comment on table  approval_revisions is 'Former payloads of revised approvals.';
comment on column approval_revisions.workspace_id is 'The workspace.';
comment on column approval_revisions.approval_id is 'The approval.';
comment on column approval_revisions.revision is 'Number of this form of the payload, from 1.';
comment on column approval_revisions.payload is 'The former payload.';
comment on column approval_revisions.payload_sha256 is 'SHA-256 of its canonical form.';
comment on column approval_revisions.replaced_by is 'The key that revised it, or approved it with edits.';
comment on column approval_revisions.replaced_at is 'Time of the revision.';

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
comment on column approval_votes.workspace_id is 'The workspace.';
comment on column approval_votes.approval_id is 'The approval.';
comment on column approval_votes.number is 'Ordinal of the vote within its approval, from 1.';
comment on column approval_votes.revision is 'The revision of the payload that it is about; it counts for no other.';
comment on column approval_votes.stage is 'Stage of the approval at that time.';
comment on column approval_votes.escalation is 'Number of escalations in that stage at that time.';
comment on column approval_votes.key_id is 'The key that voted; null: through a link.';
comment on column approval_votes.person is 'The person who voted; null: the key names no person.';
comment on column approval_votes.in_place_of is 'The approver who was represented; null: the voter.';
comment on column approval_votes.verdict is 'approve, reject, answer or decline.';
comment on column approval_votes.answer is 'The answer to an input approval.';
comment on column approval_votes.answer_sha256 is 'SHA-256 of the canonical form of the answer: votes agree when it is equal.';
comment on column approval_votes.reason is 'Reason, or a remark.';
comment on column approval_votes.payload_sha256 is 'Hash of the payload that the voter read.';
comment on column approval_votes.voted_at is 'Time of the vote.';
create unique index approval_votes_one_per_voter on approval_votes
    (workspace_id, approval_id, revision, stage, escalation, (coalesce(person, key_id::text)));
create unique index approval_votes_one_per_seat on approval_votes
    (workspace_id, approval_id, revision, stage, escalation, (coalesce(in_place_of, person, key_id::text)));

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
comment on table  approval_links is 'Links through which people without a key decide. Rows are never deleted.';
comment on column approval_links.workspace_id is 'The workspace.';
comment on column approval_links.link_id is 'UUIDv7; with the workspace the public part of the token.';
comment on column approval_links.approval_id is 'The approval that it decides.';
comment on column approval_links.person is 'The person who decides with it.';
comment on column approval_links.token_sha256 is 'SHA-256 of the secret part of the token: 256 random bits, shown once.';
comment on column approval_links.payload_sha256 is 'Hash of the only payload that it can decide.';
comment on column approval_links.created_by is 'The key that created it; revoking that key revokes the link.';
comment on column approval_links.created_at is 'Time of creation.';
comment on column approval_links.expires_at is 'The link is refused from this time on.';
comment on column approval_links.revoked_at is 'Time of revocation; the link is refused since. Null: not revoked.';
comment on column approval_links.used_at is 'Time of the decision; null: none.';
comment on column approval_links.verdict is 'approve, reject, answer or decline.';
create index approval_links_of_approval on approval_links (workspace_id, approval_id, link_id);

create table waivers (
    workspace_id     uuid        not null,
    attempt_id       uuid        not null,
    criterion        smallint    not null,
    approval_id      uuid        not null,
    reason           text        not null,
    waived_by        uuid,
    waived_by_person text,
    waived_at        timestamptz not null,
    constraint waivers_pkey primary key (workspace_id, attempt_id, criterion),
    constraint waivers_approval_fkey foreign key (workspace_id, approval_id) references approvals (workspace_id, approval_id)
);
comment on table  waivers is 'Required criteria without evidence that a person waived when accepting the result.';
comment on column waivers.workspace_id is 'The workspace.';
comment on column waivers.attempt_id is 'The attempt whose result was accepted.';
comment on column waivers.criterion is 'Number of the criterion.';
comment on column waivers.approval_id is 'The approval that was decided.';
comment on column waivers.reason is 'Reason, for people.';
comment on column waivers.waived_by is 'The key that decided.';
comment on column waivers.waived_by_person is 'The person who decided, if known.';
comment on column waivers.waived_at is 'Time of the decision.';
create index waivers_of_approval on waivers (workspace_id, approval_id);
