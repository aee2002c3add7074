-- Approval policies: who decides what, and what happens when nobody does.
--
-- Why a document: a policy is read and replaced as a whole, checked by the service, and copied to each
-- approval that it is for. No query looks into it but those that check the data.
--
-- Why the copy is on the approval: what is pending must not change with the policy, and lists show
-- who decides, and by when, without another table. Why a name is free again when its policy is
-- retired: policies are never deleted, because approvals name them.

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
comment on table  approval_policies is 'Who decides what. Rows are never deleted.';
comment on column approval_policies.workspace_id is 'The tenant.';
comment on column approval_policies.policy_id is 'UUIDv7; of equal priority, the oldest counts.';
comment on column approval_policies.name is 'Unique among those in force.';
comment on column approval_policies.document is 'The policy as it was given, with everything that was left out.';
comment on column approval_policies.version is 'Rises with every edit; the ETag.';
comment on column approval_policies.created_by is 'The key that made it.';
comment on column approval_policies.created_at is 'When it was made.';
comment on column approval_policies.updated_at is 'When it was last edited or retired.';
comment on column approval_policies.retired_at is 'Since when it is out of force; null: it is in force.';
create unique index approval_policies_name_unique on approval_policies (workspace_id, name) where retired_at is null;
create index approval_policies_in_force on approval_policies (workspace_id, policy_id) where retired_at is null;

alter table approvals
    add column policy_id      uuid,
    add column policy_version integer,
    add column policy         jsonb,
    add column stage          smallint not null default 1,
    add column escalation     smallint not null default 0,
    add column expires_at     timestamptz,
    add column remind_at      timestamptz,
    add column reminded       smallint not null default 0,
    add constraint approvals_policy_fkey foreign key (workspace_id, policy_id) references approval_policies (workspace_id, policy_id),
    add constraint approvals_policy_whole check ((policy_id is null) = (policy is null) and (policy_id is null) = (policy_version is null)),
    add constraint approvals_clock_of_policy check (policy_id is not null or (expires_at is null and remind_at is null and stage = 1 and escalation = 0)),
    add constraint approvals_place_counts check (stage between 1 and 5 and escalation between 0 and 5 and reminded >= 0);
comment on column approvals.policy_id is 'The policy that was found for it when it was asked; null: any operator decides alone.';
comment on column approvals.policy_version is 'Which edit of the policy that was.';
comment on column approvals.policy is 'The policy as it was then: later edits change nothing here.';
comment on column approvals.stage is 'Which stage of the policy is asked, from 1.';
comment on column approvals.escalation is 'How often it was escalated in this stage.';
comment on column approvals.expires_at is 'When this stage is out of time; null: never.';
comment on column approvals.remind_at is 'When people are reminded next; null: never.';
comment on column approvals.reminded is 'How often people were reminded in this stage.';
create index approvals_to_expire on approvals (workspace_id, expires_at) where state = 'pending' and expires_at is not null;
create index approvals_to_remind on approvals (workspace_id, remind_at) where state = 'pending' and remind_at is not null;
create index approvals_by_policy on approvals (workspace_id, policy_id, approval_id) where policy_id is not null;
