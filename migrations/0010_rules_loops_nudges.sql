-- Intervention rules, their interventions, loops and nudges.
--
-- Why a condition and an action are a word and a JSON document: statements and people search for the word;
-- the parameters differ by kind, and only the program reads them.
--
-- Why interventions are rows with an end: a rule acts once on the same subject while its intervention is
-- open, and of two processes with the same finding only one may act; the unique index guarantees it. The end
-- and the measure decide whether the rule may act again.
--
-- Why rules are never deleted: their interventions are history and refer to them.
--
-- Why loops are rows: a loop is reported once, rules find it without reading windows of steps, and a new rule
-- can be simulated on the past.
--
-- Why nudges belong to a task and not to an attempt: the next attempt of the task receives them as well, even
-- after the attempt that caused them has ended.

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
comment on table  rules is 'Actions that the supervisor takes by itself when a condition holds. Rows are never deleted.';
comment on column rules.workspace_id is 'The workspace.';
comment on column rules.rule_id is 'UUIDv7.';
comment on column rules.name is 'For people; unique among the rules that are not deleted.';
comment on column rules.enabled is 'Whether the rule acts.';
comment on column rules.subject is 'task or goal: the subject of its condition.';
comment on column rules.condition is 'Name of its condition.';
comment on column rules.condition_is is 'The condition with its parameters, as posted.';
comment on column rules.project_id is 'Limits the rule to goals of this project and their tasks; null: all.';
comment on column rules.capabilities is 'Limits the rule to tasks that require one of these; empty: all.';
comment on column rules.action is 'Name of its action.';
comment on column rules.action_is is 'The action with its parameters, as posted.';
comment on column rules.cooldown_ms is 'Time in milliseconds after the end of an intervention in which the rule does not act on the same subject.';
comment on column rules.version is 'Rises with every edit; the ETag.';
comment on column rules.created_by is 'The key that created it.';
comment on column rules.created_at is 'Time of creation.';
comment on column rules.updated_at is 'Time of the last edit.';
comment on column rules.deleted_at is 'Time of deletion; the row is kept for its interventions. Null: not deleted.';
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
comment on table  interventions is 'Actions of rules, each on one task or goal. Rows are never deleted.';
comment on column interventions.workspace_id is 'The workspace.';
comment on column interventions.intervention_id is 'UUIDv7.';
comment on column interventions.rule_id is 'The rule.';
comment on column interventions.rule_version is 'Version of the rule that acted.';
comment on column interventions.subject is 'task or goal.';
comment on column interventions.subject_id is 'Id of that task or goal.';
comment on column interventions.goal_id is 'The goal, or the goal of the task.';
comment on column interventions.task_id is 'The task; set exactly for the subject task.';
comment on column interventions.attempt_id is 'The attempt of the task that was running, if any.';
comment on column interventions.condition is 'Name of the condition that held.';
comment on column interventions.action is 'Name of the action taken.';
comment on column interventions.detail is 'The finding, for people.';
comment on column interventions.measure is 'Severity: within one condition and subject a larger number is worse.';
comment on column interventions.approval_id is 'The approval that it asked for.';
comment on column interventions.freeze_id is 'The freeze that it set.';
comment on column interventions.opened_at is 'Time of the action.';
comment on column interventions.closed_at is 'Time of closing; null: open, and the rule does not act on this subject.';
comment on column interventions.closing is 'cleared, decided, lifted, done, ended or withdrawn.';
create unique index interventions_one_open on interventions (workspace_id, rule_id, subject_id) where closed_at is null;
create index interventions_open on interventions (workspace_id, intervention_id) where closed_at is null;
create index interventions_of_subject on interventions (workspace_id, rule_id, subject_id, intervention_id);
create index interventions_of_goal on interventions (workspace_id, goal_id, intervention_id);
create unique index interventions_of_approval on interventions (workspace_id, approval_id) where approval_id is not null;

create table attempt_loops (
    workspace_id uuid        not null,
    loop_id      uuid        not null,
    attempt_id   uuid        not null,
    task_id      uuid        not null,
    pattern      text        not null,
    times        smallint    not null,
    found_at     timestamptz not null,
    left_at      timestamptz,
    constraint attempt_loops_pkey primary key (workspace_id, loop_id),
    constraint attempt_loops_pattern_known check (pattern in ('same_step', 'same_error', 'alternating', 'rotating')),
    constraint attempt_loops_left_after_found check (left_at >= found_at)
);
comment on table  attempt_loops is 'Loops found in the steps of attempts.';
comment on column attempt_loops.workspace_id is 'The workspace.';
comment on column attempt_loops.loop_id is 'UUIDv7.';
comment on column attempt_loops.attempt_id is 'The attempt whose steps repeat.';
comment on column attempt_loops.task_id is 'The task of the attempt, repeated for rules.';
comment on column attempt_loops.pattern is 'same_step, same_error, alternating or rotating.';
comment on column attempt_loops.times is 'Number of repetitions when it was found.';
comment on column attempt_loops.found_at is 'Time of the heartbeat that completed the pattern.';
comment on column attempt_loops.left_at is 'Time at which another step ended the loop, or the supervisor found the attempt ended; null: open.';
create unique index attempt_loops_one_open on attempt_loops (workspace_id, attempt_id, pattern) where left_at is null;
create index attempt_loops_of_task on attempt_loops (workspace_id, task_id, loop_id);

create table nudges (
    workspace_id uuid        not null,
    nudge_id     uuid        not null,
    task_id      uuid        not null,
    rule_id      uuid        not null,
    text         text        not null,
    told_to      uuid,
    created_at   timestamptz not null,
    closed_at    timestamptz,
    constraint nudges_pkey primary key (workspace_id, nudge_id),
    constraint nudges_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id),
    constraint nudges_rule_fkey foreign key (workspace_id, rule_id) references rules (workspace_id, rule_id),
    constraint nudges_told_when_closed check (told_to is null or closed_at is not null)
);
comment on table  nudges is 'Messages of rules to the holder of a task, delivered once with the answer to a heartbeat.';
comment on column nudges.workspace_id is 'The workspace.';
comment on column nudges.nudge_id is 'UUIDv7.';
comment on column nudges.task_id is 'The task; the holder of its running attempt is the recipient.';
comment on column nudges.rule_id is 'The rule that sent it.';
comment on column nudges.text is 'The message.';
comment on column nudges.told_to is 'The attempt that received it; null: none.';
comment on column nudges.created_at is 'Time of creation.';
comment on column nudges.closed_at is 'Time of delivery, or of the end of the task without delivery. Null: to be delivered.';
create index nudges_to_tell on nudges (workspace_id, task_id, nudge_id) where closed_at is null;
