-- Approvals: questions that wait for a person.
--
-- Why a partial unique index: a task or plan waits for one decision of a kind at a time, and two
-- transactions that ask at once must not both succeed. The decision and its effect are one
-- transaction, so nothing waits on something that is already decided.

create table approvals (
    workspace_id uuid        not null,
    approval_id  uuid        not null,
    kind         text        not null,
    state        text        not null,
    goal_id      uuid        not null,
    task_id      uuid,
    attempt_id   uuid,
    plan_id      uuid,
    title        text        not null,
    body         text        not null,
    payload      jsonb,
    asked_by     uuid,
    answer       jsonb,
    reason       text,
    decided_by   uuid,
    consumed_by  uuid,
    version      integer     not null default 1,
    created_at   timestamptz not null,
    decided_at   timestamptz,
    constraint approvals_pkey primary key (workspace_id, approval_id),
    constraint approvals_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id),
    constraint approvals_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id),
    constraint approvals_attempt_fkey foreign key (workspace_id, attempt_id) references attempts (workspace_id, attempt_id),
    constraint approvals_plan_fkey foreign key (workspace_id, plan_id) references plans (workspace_id, plan_id),
    constraint approvals_kind_known check (kind in ('plan', 'start', 'result', 'action', 'budget', 'input')),
    constraint approvals_state_known check (state in ('pending', 'approved', 'rejected', 'answered', 'expired', 'cancelled')),
    constraint approvals_subject check ((kind = 'plan') = (plan_id is not null) and (kind = 'plan' or task_id is not null)),
    constraint approvals_decided_iff_not_pending check ((state = 'pending') = (decided_at is null))
);
comment on table  approvals is 'Questions that wait, or waited, for a person.';
comment on column approvals.workspace_id is 'The tenant.';
comment on column approvals.approval_id is 'UUIDv7.';
comment on column approvals.kind is 'plan, start, result, action, budget or input.';
comment on column approvals.state is 'pending, approved, rejected, answered, expired or cancelled.';
comment on column approvals.goal_id is 'The goal it is about.';
comment on column approvals.task_id is 'The task it is about; null for a plan.';
comment on column approvals.attempt_id is 'The attempt that asked, or whose result is reviewed.';
comment on column approvals.plan_id is 'The plan it is about.';
comment on column approvals.title is 'One line for people.';
comment on column approvals.body is 'Markdown for people.';
comment on column approvals.payload is 'Exactly what is approved.';
comment on column approvals.asked_by is 'The key that asked; null: the service itself.';
comment on column approvals.answer is 'The answer to an input question.';
comment on column approvals.reason is 'Why it was rejected or cancelled, or a remark.';
comment on column approvals.decided_by is 'The key that decided.';
comment on column approvals.consumed_by is 'The attempt that was told the outcome; told once.';
comment on column approvals.version is 'Rises with every change; the ETag.';
comment on column approvals.created_at is 'When it was asked.';
comment on column approvals.decided_at is 'When it left pending.';
create unique index approvals_one_pending_per_task on approvals (workspace_id, task_id) where state = 'pending' and task_id is not null;
create unique index approvals_one_pending_per_plan on approvals (workspace_id, plan_id) where state = 'pending' and plan_id is not null;
create index approvals_by_state on approvals (workspace_id, state, approval_id);
create index approvals_of_goal on approvals (workspace_id, goal_id, approval_id);
create index approvals_to_tell on approvals (workspace_id, task_id) where consumed_by is null and task_id is not null;
