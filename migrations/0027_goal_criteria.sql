-- Verification of goals: criteria of their own, and the tasks made for these.
--
-- Why a table beside `criteria`: a criterion of a goal outlives the tasks made for it. It is checked by one task,
-- reworked by another and checked again, and it has a state; a criterion of a task has only evidence.
--
-- Why `criteria.goal_criterion` and no table between: the evidence of a checking task refers to the numbers of its
-- own criteria, and each of these stands for one criterion of the goal.
--
-- Why `tasks.purpose`: the tasks of the plan decide whether a goal completes or fails. Those made for its
-- verification do not: a completed goal may have a check that was cancelled because a person was faster.

alter table goals
    drop constraint goals_state_known,
    add constraint goals_state_known check (state in ('planning', 'proposed', 'active', 'verifying', 'completed', 'failed', 'cancelled')),
    add column max_rework smallint not null default 3,
    add constraint goals_max_rework_range check (max_rework between 0 and 20);
comment on column goals.state is 'planning, proposed, active, verifying (its tasks are done, a required criterion of its own is not satisfied), completed, failed or cancelled; the last three are terminal.';
comment on column goals.max_rework is 'Reworks of one criterion of the goal up to which a report of an agent makes a further one.';

alter table tasks
    add column purpose text,
    add constraint tasks_purpose_known check (purpose in ('verify', 'rework'));
comment on column tasks.purpose is 'verify: checks criteria of the goal; rework: mends a rejected one; null: a task of the plan, or a subtask.';

alter table criteria add column goal_criterion smallint;
comment on column criteria.goal_criterion is 'The criterion of the goal that it stands for, in a task that verifies; null: the criterion is only of the task.';

alter table evidence add column met boolean not null default true;
comment on column evidence.met is 'False: it shows that the criterion is not met. Only for criteria of goals.';

create table goal_criteria (
    workspace_id      uuid        not null,
    goal_id           uuid        not null,
    number            smallint    not null,
    reworks           smallint    not null default 0,
    required          boolean     not null,
    state             text        not null,
    text              text        not null,
    task_id           uuid,
    attempt_id        uuid,
    decided_by        uuid,
    decided_at        timestamptz,
    decided_by_person text,
    note              text,
    constraint goal_criteria_pkey primary key (workspace_id, goal_id, number),
    constraint goal_criteria_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id),
    constraint goal_criteria_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id),
    constraint goal_criteria_attempt_fkey foreign key (workspace_id, attempt_id) references attempts (workspace_id, attempt_id),
    constraint goal_criteria_state_known check (state in ('open', 'satisfied', 'rejected')),
    constraint goal_criteria_numbers_positive check (number > 0 and reworks >= 0),
    constraint goal_criteria_decided_unless_open check ((state = 'open') = (decided_at is null))
);
-- Its tasks and attempts are deleted with their goal, which looks for references to them.
create index goal_criteria_of_task on goal_criteria (workspace_id, task_id) where task_id is not null;
create index goal_criteria_of_attempt on goal_criteria (workspace_id, attempt_id) where attempt_id is not null;
comment on table  goal_criteria is 'Conditions of success of a goal as a whole. A goal completes when the required ones are satisfied.';
comment on column goal_criteria.workspace_id is 'The workspace.';
comment on column goal_criteria.goal_id is 'The goal.';
comment on column goal_criteria.number is 'Ordinal of the criterion within its goal, from 1.';
comment on column goal_criteria.reworks is 'Rework tasks made for it so far.';
comment on column goal_criteria.required is 'False: the goal completes without it.';
comment on column goal_criteria.state is 'open (not decided, or to be checked again), satisfied or rejected.';
comment on column goal_criteria.text is 'The condition.';
comment on column goal_criteria.task_id is 'The task made for it last: a check or a rework; null: none yet.';
comment on column goal_criteria.attempt_id is 'The attempt whose accepted result decided it; null: a person, or the document.';
comment on column goal_criteria.decided_by is 'The key of the person who decided it; null: evidence, or the document.';
comment on column goal_criteria.decided_at is 'Time of the present decision; null while it is open.';
comment on column goal_criteria.decided_by_person is 'The person who decided it.';
comment on column goal_criteria.note is 'The reason of the person, the finding of the agent, or the reason of a waiver.';
