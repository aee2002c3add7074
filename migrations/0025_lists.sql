-- Lists: tasks by priority, and things that are put away.
--
-- Why the index of states has the priority: a list of one state and priority is a range of it in the order of
-- creation, and a list by priority merges at most eighty of these ranges. It replaces the index without the
-- priority, so a change of state writes as many entries as before. An index of its own for priorities would be
-- written with every claim and every completion.
--
-- Why `archived` and `archived_at`: lists have only what is not archived, or only what is. The flag is a column
-- of their indexes, so a list never walks past what was put away. A goal gets one entry more when it is posted
-- and when its state changes; its counters are in no index.
--
-- Why no constraint that an archived goal has ended: a goal that is taken up again comes back into the lists by
-- the same statement, and a forgotten flag must not refuse the work.

drop index tasks_by_state;
create index tasks_by_state on tasks (workspace_id, state, priority, task_id);

alter table goals
    add column archived boolean not null default false,
    add column archived_at timestamptz,
    add constraint goals_archived_has_its_time check (archived = (archived_at is not null));
comment on column goals.archived is 'Whether lists leave it out unless they are asked for what is archived.';
comment on column goals.archived_at is 'Time of archiving; null: not archived.';
drop index goals_by_state;
create index goals_by_state on goals (workspace_id, state, archived, goal_id);
drop index goals_by_project;
create index goals_by_project on goals (workspace_id, project_id, archived, goal_id);
create index goals_listed on goals (workspace_id, archived, goal_id);

alter table projects
    add column archived boolean not null default false,
    add column archived_at timestamptz,
    add constraint projects_archived_has_its_time check (archived = (archived_at is not null));
comment on column projects.archived is 'Whether lists leave it out unless they are asked for what is archived. It gets no new goals.';
comment on column projects.archived_at is 'Time of archiving; null: not archived.';
create index projects_listed on projects (workspace_id, archived, project_id);

alter table agents
    add column archived boolean not null default false,
    add column archived_at timestamptz,
    add constraint agents_archived_has_its_time check (archived = (archived_at is not null));
comment on column agents.archived is 'Whether lists leave it out unless they are asked for what is archived. It may not claim.';
comment on column agents.archived_at is 'Time of archiving; null: not archived.';
create index agents_listed on agents (workspace_id, archived, agent_id);

alter table budgets
    add column archived boolean not null default false,
    add column archived_at timestamptz,
    add constraint budgets_archived_has_its_time check (archived = (archived_at is not null));
comment on column budgets.archived is 'Whether lists leave it out unless they are asked for what is archived. Its limits stay in force.';
comment on column budgets.archived_at is 'Time of archiving; null: not archived.';
create index budgets_listed on budgets (workspace_id, archived, budget_id);
