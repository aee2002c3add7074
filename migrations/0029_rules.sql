-- Intervention rules, and what they did.
--
-- Why conditions and actions are JSON beside a word: they have parameters of their own, which only the
-- program reads; what statements and people look for is the word.
--
-- Why interventions are rows with an end: a rule acts once about the same thing while it is open, and
-- two processes that find the same at once must not both act; that is what the unique index is for. When
-- it was closed and how bad it was then says whether the rule may act again.
--
-- Why rules are never deleted: what they did is history, and says which rule did it.

create table rules (
    workspace_id uuid        not null,
    rule_id      uuid        not null,
    name         text        not null,
    enabled      boolean     not null,
    subject      text        not null,
    condition    text        not null,
    condition_is jsonb       not null,
    project_id   uuid,
    capabilities text[]      not null,
    action       text        not null,
    action_is    jsonb       not null,
    cooldown_ms  bigint      not null,
    version      integer     not null default 1,
    created_by   uuid,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    deleted_at   timestamptz,
    constraint rules_pkey primary key (workspace_id, rule_id),
    constraint rules_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint rules_project_fkey foreign key (workspace_id, project_id) references projects (workspace_id, project_id),
    constraint rules_subject_known check (subject in ('task', 'goal')),
    constraint rules_condition_known check (condition in ('budget_used', 'failures', 'same_failure', 'no_progress', 'deadline_slack', 'cost_over_estimate', 'rework_over', 'subtasks_over', 'risky_capability', 'looping')),
    constraint rules_action_known check (action in ('nudge', 'ask', 'park', 'freeze', 'reassign')),
    constraint rules_cooldown_not_negative check (cooldown_ms >= 0),
    constraint rules_version_positive check (version > 0),
    constraint rules_deleted_are_off check (deleted_at is null or not enabled)
);
comment on table  rules is 'What is to happen by itself when work goes wrong.';
comment on column rules.workspace_id is 'The tenant.';
comment on column rules.rule_id is 'UUIDv7.';
comment on column rules.name is 'For people; unique among the rules that are not deleted.';
comment on column rules.enabled is 'Whether it acts.';
comment on column rules.subject is 'task or goal: what its condition is about.';
comment on column rules.condition is 'The name of its condition.';
comment on column rules.condition_is is 'The condition with its parameters, as it was given.';
comment on column rules.project_id is 'Only goals of this project and their tasks.';
comment on column rules.capabilities is 'Only tasks that require one of these; empty: any task.';
comment on column rules.action is 'The name of what it does.';
comment on column rules.action_is is 'What it does, with its parameters, as it was given.';
comment on column rules.cooldown_ms is 'How long it is silent about the same thing after it was closed.';
comment on column rules.version is 'Rises with every edit; the ETag.';
comment on column rules.created_by is 'The key that made it.';
comment on column rules.created_at is 'When it was made.';
comment on column rules.updated_at is 'When it was last edited.';
comment on column rules.deleted_at is 'When it was deleted; it is kept for what it did.';
create unique index rules_name_unique on rules (workspace_id, name) where deleted_at is null;
create index rules_at_work on rules (workspace_id, rule_id) where enabled;

create table interventions (
    workspace_id    uuid        not null,
    intervention_id uuid        not null,
    rule_id         uuid        not null,
    rule_version    integer     not null,
    subject         text        not null,
    subject_id      uuid        not null,
    goal_id         uuid        not null,
    task_id         uuid,
    attempt_id      uuid,
    condition       text        not null,
    action          text        not null,
    detail          text        not null,
    measure         bigint      not null,
    approval_id     uuid,
    freeze_id       uuid,
    opened_at       timestamptz not null,
    closed_at       timestamptz,
    closing         text,
    constraint interventions_pkey primary key (workspace_id, intervention_id),
    constraint interventions_rule_fkey foreign key (workspace_id, rule_id) references rules (workspace_id, rule_id),
    constraint interventions_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id),
    constraint interventions_approval_fkey foreign key (workspace_id, approval_id) references approvals (workspace_id, approval_id),
    constraint interventions_freeze_fkey foreign key (workspace_id, freeze_id) references freezes (workspace_id, freeze_id),
    constraint interventions_subject_known check (subject in ('task', 'goal')),
    constraint interventions_condition_known check (condition in ('budget_used', 'failures', 'same_failure', 'no_progress', 'deadline_slack', 'cost_over_estimate', 'rework_over', 'subtasks_over', 'risky_capability', 'looping')),
    constraint interventions_action_known check (action in ('nudge', 'ask', 'park', 'freeze', 'reassign')),
    constraint interventions_closing_known check (closing in ('cleared', 'decided', 'lifted', 'done', 'ended', 'withdrawn')),
    constraint interventions_closing_iff_closed check ((closing is not null) = (closed_at is not null)),
    constraint interventions_of_their_subject check (subject_id = case subject when 'task' then task_id else goal_id end)
);
comment on table  interventions is 'What rules did, each about one task or goal, and how that was closed. Rows are never deleted.';
comment on column interventions.workspace_id is 'The tenant.';
comment on column interventions.intervention_id is 'UUIDv7.';
comment on column interventions.rule_id is 'The rule.';
comment on column interventions.rule_version is 'The version of the rule that acted.';
comment on column interventions.subject is 'task or goal.';
comment on column interventions.subject_id is 'Which one.';
comment on column interventions.goal_id is 'The goal that it is, or belongs to.';
comment on column interventions.task_id is 'The task, if it is about one.';
comment on column interventions.attempt_id is 'The attempt that ran then, if it is about a task.';
comment on column interventions.condition is 'The name of the condition that held.';
comment on column interventions.action is 'The name of what was done.';
comment on column interventions.detail is 'What was found, for people.';
comment on column interventions.measure is 'How bad it was: of the same condition and thing, more is worse.';
comment on column interventions.approval_id is 'The question that was asked.';
comment on column interventions.freeze_id is 'The freeze that was set.';
comment on column interventions.opened_at is 'When the rule acted.';
comment on column interventions.closed_at is 'When it was closed; null: it is open, and the rule is silent about this.';
comment on column interventions.closing is 'cleared, decided, lifted, done, ended or withdrawn.';
create unique index interventions_one_open on interventions (workspace_id, rule_id, subject_id) where closed_at is null;
create index interventions_open on interventions (workspace_id, intervention_id) where closed_at is null;
create index interventions_of_subject on interventions (workspace_id, rule_id, subject_id, intervention_id);
create index interventions_of_goal on interventions (workspace_id, goal_id, intervention_id);
create unique index interventions_of_approval on interventions (workspace_id, approval_id) where approval_id is not null;

alter table nudges add constraint nudges_rule_fkey
    foreign key (workspace_id, rule_id) references rules (workspace_id, rule_id);

-- A rule may ask about a goal, which is no task, and about a task that it does not park.
alter table approvals drop constraint approvals_subject;
alter table approvals add constraint approvals_subject
    check ((kind = 'plan') = (plan_id is not null) and (kind = 'budget') = (limit_id is not null)
           and (kind in ('plan', 'budget', 'input') or task_id is not null));

-- What was tried before and is offered again: few, whatever the size of the queue.
create index tasks_tried on tasks (workspace_id, task_id)
    where attempts_started > 0 and state in ('waiting', 'ready');
