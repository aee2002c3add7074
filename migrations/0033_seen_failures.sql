-- Failed goals whose tasks somebody has seen.
--
-- Why: a failed goal is listed until it is retried or seen itself. That somebody has seen one of its failed tasks
-- does not hide it, so the list needs the failed tasks of a goal whether or not they were seen. The index takes
-- the place of the one that left seen tasks out; a failed task has one entry as before, and keeps it.

drop index tasks_failed;
create index tasks_failed on tasks (workspace_id, goal_id, ended_at, task_id)
    where state = 'failed' and not container;

comment on column tasks.lost_cause is 'Cancelled, or asked to stop, only because a task that it needs or that contains it failed or was lost with one that did; cleared when it comes back, and when somebody cancels it.';
