-- Planners that need somebody, for goals that are worked on and for tasks that are too large.
--
-- Why the same runs: what is taken, held, given up and told is the same, whatever the plan becomes. `target` says that.
-- The goal is not `planning` meanwhile: it is worked on, and the run goes on beside it.
--
-- Why a planned run may have no plan: a new plan that changes nothing is not stored, and parts are tasks at once.
--
-- Why two indexes of what is live: the plan of a goal is made by one planner at a time, and so are the parts of each
-- task, but the one does not wait for the other.
alter table planning_runs
    add column target   text not null default 'plan',
    add column parts_of uuid,
    add constraint planning_runs_target_known check (target in ('plan', 'replan', 'parts')),
    add constraint planning_runs_parts_of_iff_parts check ((target = 'parts') = (parts_of is not null)),
    add constraint planning_runs_parts_of_fkey foreign key (workspace_id, parts_of) references tasks (workspace_id, task_id),
    drop constraint planning_runs_plan_iff_planned,
    add constraint planning_runs_plan_when_planned
        check (case when state <> 'planned' then plan_id is null else target <> 'plan' or plan_id is not null end);
comment on column planning_runs.target is 'What the plan becomes: plan (the first plan of the goal), replan (a new version of it) or parts (the parts of one task).';
comment on column planning_runs.parts_of is 'The task that is divided; null: the plan of the goal.';
comment on column planning_runs.input is 'What the planner gets beside the texts of the goal: tasks, ordering; for a new version the brief, the reason and who asked for it.';
comment on column planning_runs.plan_id is 'The plan that it made; null for parts, and for a new version that changes nothing.';

drop index planning_runs_one_live_per_goal;
create unique index planning_runs_one_live_per_goal on planning_runs (workspace_id, goal_id)
    where state in ('waiting', 'running') and parts_of is null;
create unique index planning_runs_one_live_per_task on planning_runs (workspace_id, parts_of)
    where state in ('waiting', 'running') and parts_of is not null;
-- What is due is found among these few.
create index planning_runs_live on planning_runs (workspace_id, created_at, goal_id) where state in ('waiting', 'running');
create index planning_runs_of_parts on planning_runs (workspace_id, parts_of) where parts_of is not null;
