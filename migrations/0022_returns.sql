-- Work that comes back: retries of failed tasks, and reopened tasks.
--
-- Why `lost_cause`: a task that is cancelled because another was not done comes back with it, and a task that
-- somebody cancelled does not. The reason of the end is text for people. Naming the task at fault was rejected:
-- a task may need several that failed, and comes back when none of them is left.
--
-- Why `planned_attempts`: a retry raises `max_attempts`, which must stay above the attempts used, because
-- `verify` counts those. The next retry grants as many attempts as the plan did, not twice as many. For the same
-- reason `max_attempts` loses its upper bound: plans are checked before they are stored.
--
-- Why `reopened_at`: a dependency that was satisfied before stays satisfied for a task that had begun. The time
-- tells such a dependency from a damaged one.
--
-- Why `acknowledged_at` of a goal, and the indexes: a failed goal asks for attention until it is retried or an
-- operator has seen it. The cost of the list depends on the open items only.

alter table tasks
    add column lost_cause boolean not null default false,
    add column planned_attempts integer,
    add column reopened_at timestamptz,
    drop constraint tasks_max_attempts_range,
    add constraint tasks_max_attempts_positive check (max_attempts > 0),
    add constraint tasks_planned_attempts_range check (planned_attempts between 1 and 100);
comment on column tasks.lost_cause is 'Cancelled, or asked to stop, only because a task that it needs or that contains it was not done; cleared when it comes back.';
comment on column tasks.planned_attempts is 'max_attempts before the first retry; null: never retried.';
comment on column tasks.max_attempts is 'A failure is final once attempts_used reaches this; a retry raises it.';
comment on column tasks.reopened_at is 'Time of the last reopening after it was done; null: never.';
comment on column tasks.acknowledged_at is 'Time at which an operator acknowledged its failure; until then it may ask for attention.';

update tasks t set lost_cause = true
from task_texts x
where x.workspace_id = t.workspace_id and x.task_id = t.task_id and t.state = 'cancelled'
  and x.end_reason = 'a task that it needs, or that contains it, was not done';

alter table goals
    add column acknowledged_at timestamptz,
    add constraint goals_acknowledged_when_failed check (acknowledged_at is null or state = 'failed');
comment on column goals.acknowledged_at is 'Time at which an operator acknowledged its failure; until then it asks for attention.';

create index goals_failed on goals (workspace_id, ended_at, goal_id)
    where state = 'failed' and acknowledged_at is null;
create index tasks_failed on tasks (workspace_id, goal_id, ended_at, task_id)
    where state = 'failed' and acknowledged_at is null and not container;

comment on column allocations.closed_at is 'Time at which the goal ended: its spend is settled, the rest released. Null: open. Null again while a retry or reopening keeps the goal active.';
