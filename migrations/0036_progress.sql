-- The progress of goals: weights kept with the counters, and what is computed behind the commit.
--
-- Why weights on the task and on the goal: the percentage of a goal must not be read from its tasks. A task that
-- ends is locked and its goal's counters are updated anyway, so both carry a few bytes more, and no statement and
-- no row. They are exact between any two transactions, and a recount proves it (`goal_weights`).
--
-- Why one unit per goal: milliseconds, dollars and tasks do not add up. The plan decides the unit, and a task
-- without an estimate in it weighs the mean of those with one. A table of sums by unit was rejected: nobody can
-- say what their percentage would be.
--
-- Why `goal_progress` and not columns of the goal: the longest path through the open tasks and who blocks it
-- cannot be kept by adding. A duty computes them for goals that changed. Writers never touch the table.
--
-- Why no foreign key on `goal_progress`: the duty would hold back the deletion of a goal. A row without its goal
-- is due, and goes with the next run.
--
-- How long tasks take is read from `measured_use`. A table of durations of its own was rejected: two learners of
-- one thing could disagree, and a plan and its progress would say different times.

alter table tasks add column weight bigint not null default 1;
update tasks set weight = 0 where container or purpose is not null;
alter table tasks
    add constraint tasks_weight_range check (weight between 0 and 1000000000000),
    add constraint tasks_containers_weigh_nothing check (not (container and weight > 0));
comment on column tasks.weight is 'Its part of the progress of the goal: its estimate in the goal''s weight_unit, else the goal''s weight_each; 0: a container, or a task of the verification.';

-- The same rule as in the domain. A goal is weighed anew in the database when its unit is chosen, and by the check.
create function estimate_weight(estimate jsonb) returns bigint language sql immutable as $$
    select least(greatest(case jsonb_typeof(estimate)
                              when 'number' then estimate::numeric
                              when 'object' then (estimate ->> 'want')::numeric
                          end, 1), 1000000000000)::bigint
    where jsonb_typeof(estimate) in ('number', 'object')
$$;
comment on function estimate_weight(jsonb) is 'The weight of a task by its estimate in the unit of its goal; null without one.';

alter table goals
    add column weight_unit text,
    add column weight_each bigint not null default 1,
    add column weight_total bigint not null default 0,
    add column weight_done bigint not null default 0,
    add column weight_cancelled bigint not null default 0;
update goals g
set weight_total = t.total, weight_done = t.done, weight_cancelled = t.cancelled
from (select workspace_id, goal_id, sum(weight)::bigint as total,
             coalesce(sum(weight) filter (where state = 'done'), 0)::bigint as done,
             coalesce(sum(weight) filter (where state = 'cancelled'), 0)::bigint as cancelled
      from tasks group by workspace_id, goal_id) t
where g.workspace_id = t.workspace_id and g.goal_id = t.goal_id;
alter table goals
    add constraint goals_weight_each_positive check (weight_each > 0),
    add constraint goals_weights_add_up check (weight_done >= 0 and weight_cancelled >= 0
        and weight_done + weight_cancelled <= weight_total);
comment on column goals.weight_unit is 'The unit of estimates by which its tasks weigh; null: none has an estimate, and each weighs the same.';
comment on column goals.weight_each is 'The weight of a task without an estimate in weight_unit: the mean of those with one when the unit was chosen; 1 without a unit.';
comment on column goals.weight_total is 'Sum of the weights of its tasks, in every state. Updated with the counters.';
comment on column goals.weight_done is 'Sum of the weights of its done tasks.';
comment on column goals.weight_cancelled is 'Sum of the weights of its cancelled tasks, which leave the total.';

create table goal_progress (
    workspace_id    uuid        not null,
    goal_id         uuid        not null,
    changed_number  bigint      not null,
    computed_number bigint      not null default 0,
    computed_at     timestamptz,
    due_at          timestamptz,
    pause_ms        bigint      not null default 0,
    tasks           integer     not null default 0,
    attempts        bigint      not null default 0,
    wall_ms         bigint      not null default 0,
    ahead           jsonb,
    estimates       jsonb       not null default '{}',
    path            jsonb       not null default '[]',
    blockers        jsonb       not null default '[]',
    constraint goal_progress_pkey primary key (workspace_id, goal_id),
    constraint goal_progress_computed_at_once check ((computed_at is null) = (ahead is null))
) with (fillfactor = 70);
create index goal_progress_due on goal_progress (workspace_id, due_at) where due_at is not null;
comment on table  goal_progress is 'What is left of a goal, computed behind the commit for goals that changed.';
comment on column goal_progress.workspace_id is 'The workspace.';
comment on column goal_progress.goal_id is 'The goal. No foreign key: the row of a deleted goal goes with the next run.';
comment on column goal_progress.changed_number is 'Number of the last journal row about its tasks that the duty has seen.';
comment on column goal_progress.computed_number is 'Number of the newest journal row when it was computed; 0: never.';
comment on column goal_progress.computed_at is 'Time at which it was computed; null: never.';
comment on column goal_progress.due_at is 'When it is computed next; null: nothing changed since.';
comment on column goal_progress.pause_ms is 'Least time between two computations, in milliseconds; grows with the number of tasks.';
comment on column goal_progress.tasks is 'Number of its tasks then.';
comment on column goal_progress.attempts is 'Number of its ended attempts then.';
comment on column goal_progress.wall_ms is 'Total duration of its ended attempts then, in milliseconds.';
comment on column goal_progress.ahead is 'The longest path and the work left, by set of capabilities.';
comment on column goal_progress.estimates is 'Sum of the estimates of its tasks by unit, without cancelled ones.';
comment on column goal_progress.path is 'The first tasks of the longest path.';
comment on column goal_progress.blockers is 'The tasks that wait for a person, a budget or a price, with the most work behind them.';
-- Goals that are worked on; the others get theirs with their next change.
insert into goal_progress (workspace_id, goal_id, changed_number, due_at)
select workspace_id, goal_id, 0, updated_at from goals where ended_at is null and tasks_total > 0;

create table progress_cursors (
    workspace_id uuid   not null,
    read_to      bigint not null,
    constraint progress_cursors_pkey primary key (workspace_id),
    constraint progress_cursors_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id)
) with (fillfactor = 50);
comment on table  progress_cursors is 'How far the journal was read for goals that changed.';
comment on column progress_cursors.workspace_id is 'The workspace.';
comment on column progress_cursors.read_to is 'Number of the last journal row that was read.';
insert into progress_cursors (workspace_id, read_to) select workspace_id, last_number from journal_heads;
