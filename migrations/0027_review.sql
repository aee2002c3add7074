-- Results are accepted criterion by criterion, and sent back a bounded number of times.
--
-- Why waivers are rows: a criterion that nobody has shown to be met and that was let go all the same
-- has somebody who did so, and a reason. Both are read with the result for ever after. Results that were
-- accepted before without evidence get one from the decision about them, so that one rule holds for all.
--
-- Why a count of its own for rework: a rejected result is no failure of the task, so it costs no try;
-- but a task that is sent back again and again is a question for a person, who is then asked what is to
-- become of it (`last_round`).

alter table tasks
    add column max_rework integer not null default 3,
    add column reworks integer not null default 0,
    add constraint tasks_reworks_range check (max_rework between 1 and 20 and reworks between 0 and max_rework);
alter table tasks alter column max_rework drop default;
comment on column tasks.max_rework is 'When so many results were rejected, a person chooses what becomes of it.';
comment on column tasks.reworks is 'Results rejected so far; one less than max_rework again after a person chose another round.';

alter table attempt_results add column feedback_points jsonb not null default '[]';
comment on column attempt_results.feedback_points is 'What the reviewer said point by point: [{criterion, text, must}].';

alter table approvals
    add column last_round boolean not null default false,
    add column choice text,
    add constraint approvals_last_round_of_results check (not last_round or kind = 'result'),
    add constraint approvals_choice_known check (choice in ('accept', 'reassign', 'split', 'cancel')),
    add constraint approvals_choice_of_last_round check (choice is null or (last_round and state <> 'pending'));
comment on column approvals.last_round is 'The result was rejected as often as may be: the decision must choose what becomes of the task.';
comment on column approvals.choice is 'accept, reassign, split or cancel: what was chosen in the last round, or follows when nobody did.';

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
comment on table  waivers is 'Required criteria without evidence that a person let go when the result was accepted.';
comment on column waivers.workspace_id is 'The tenant.';
comment on column waivers.attempt_id is 'The attempt whose result was accepted.';
comment on column waivers.criterion is 'The number of the criterion.';
comment on column waivers.approval_id is 'The approval that was decided.';
comment on column waivers.reason is 'Why, for people.';
comment on column waivers.waived_by is 'The key that decided.';
comment on column waivers.waived_by_person is 'The person who decided, when one is known.';
comment on column waivers.waived_at is 'When.';
create index waivers_of_approval on waivers (workspace_id, approval_id);

insert into waivers
select t.workspace_id, t.current_attempt_id, c.number, p.approval_id,
       'accepted before criteria had to be waived one by one', p.decided_by, p.decided_by_person, p.decided_at
from tasks t
join criteria c on c.workspace_id = t.workspace_id and c.task_id = t.task_id and c.required
join approvals p on p.workspace_id = t.workspace_id and p.attempt_id = t.current_attempt_id
     and p.kind = 'result' and p.state = 'approved'
where t.state = 'done' and not exists (
    select from evidence e where e.workspace_id = t.workspace_id
    and e.attempt_id = t.current_attempt_id and e.criterion = c.number);
