-- An index of all states of tasks.
--
-- Why: done tasks had none, because going along the primary key finds some of them at once. That holds
-- only while the newest tasks are done: behind a hundred thousand open ones the first page of done
-- tasks had to read past all of them.

create index tasks_by_state on tasks (workspace_id, state, task_id);
drop index tasks_not_done;
