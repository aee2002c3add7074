-- What plans are judged by, and the judgement of each plan.
--
-- Why another table beside `usual_spend`: that one is read on the path of claims, holds the 90th percentile that a
-- reservation needs, and only in workspaces with limits. A plan needs the spread (10th, 50th and 90th percentile)
-- of spend and duration, of single capabilities and of the workspace too, and in every workspace. Both are
-- computed in one pass over the same tasks, behind the commits. The progress of goals and the prompts of models
-- that plan read the same table, so all of them say the same.
--
-- Why the judgement is stored with the plan: it is as of when the plan was made. Agents, budgets and measured
-- use change afterwards, and whoever approves a plan should see what it was approved with.

create table measured_use (
    workspace_id uuid        not null,
    kind         text        not null,
    name         text        not null,
    unit         text        not null,
    p10          bigint      not null,
    p50          bigint      not null,
    p90          bigint      not null,
    tasks        integer     not null,
    computed_at  timestamptz not null,
    constraint measured_use_pkey primary key (workspace_id, kind, name, unit),
    constraint measured_use_kind_known check (kind in ('workspace', 'set', 'capability')),
    constraint measured_use_in_order check (p10 <= p50 and p50 <= p90)
);
comment on table  measured_use is 'Spread of what finished tasks used, per unit; recomputed by the supervisor from the last 2,000.';
comment on column measured_use.workspace_id is 'The workspace.';
comment on column measured_use.kind is 'workspace: all tasks; set: tasks that require exactly these capabilities; capability: tasks that require this one.';
comment on column measured_use.name is 'The set as a key of capability_sets, or the capability; empty for the workspace.';
comment on column measured_use.unit is 'The unit; wall_ms is the duration of all attempts of a task.';
comment on column measured_use.p10 is '10th percentile of one task.';
comment on column measured_use.p50 is 'Median of one task.';
comment on column measured_use.p90 is '90th percentile of one task.';
comment on column measured_use.tasks is 'Number of tasks in the computation: three at least, for the duration of a set one.';
comment on column measured_use.computed_at is 'Time of the last change.';

create table capability_outcomes (
    workspace_id uuid        not null,
    capability   text        not null,
    succeeded    integer     not null,
    failed       integer     not null,
    computed_at  timestamptz not null,
    constraint capability_outcomes_pkey primary key (workspace_id, capability)
);
comment on table  capability_outcomes is 'How attempts ended at the last 2,000 done and failed tasks, by required capability; recomputed by the supervisor.';
comment on column capability_outcomes.workspace_id is 'The workspace.';
comment on column capability_outcomes.capability is 'The capability.';
comment on column capability_outcomes.succeeded is 'Attempts whose result was accepted.';
comment on column capability_outcomes.failed is 'Attempts that failed, expired or whose result was rejected.';
comment on column capability_outcomes.computed_at is 'Time of the last change.';

alter table plans
    add column findings jsonb not null default '[]',
    add column numbers  jsonb;
comment on column plans.findings is 'What was wrong or doubtful in it when it was made: code, severity, pointer, detail, refs.';
comment on column plans.numbers is 'Its cost, work, critical path, waves and expected duration when it was made; null: made before these were kept.';
