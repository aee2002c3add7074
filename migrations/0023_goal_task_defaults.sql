-- The defaults of a goal's tasks.
--
-- Why: they were applied to the plan and forgotten. Tasks are added to a running goal too, and a goal whose
-- tasks need an approval must not get tasks without one because they came later. Operators edit the defaults.

alter table goal_texts
    add column task_defaults jsonb not null default '{}';
comment on column goal_texts.task_defaults is 'Settings of tasks that set none themselves: of the plan, and of tasks added later.';
