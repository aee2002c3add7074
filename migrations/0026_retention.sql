-- Retention: what of a workspace is pruned, and the spend of what was pruned.
--
-- Why spend is folded in two tables: a report counts each attempt once, whatever it is grouped by, and an attempt
-- may have spend on several days and of several models. Attempts that agree in agent, project, capabilities, day
-- of the start, and in all days and models of their spend are one row of `folded_attempts` with their number, so
-- every count and sum of a report stays exact. Goal and task are dropped, or folded spend would grow like the goals.
--
-- Why days are days in UTC: totals by the hour would be exact in most time zones, and 24 times as many. A folded
-- day counts at noon in UTC, so that a report by days of another time zone shows it as the same date.
--
-- Why windows have folded spend of their own: windows follow time zones and allocations, which days do not tell.
-- Adding to the window itself would lock rows that every claim needs.
--
-- Why one function says why a goal stays: the list of what is due, the check under locks and the dry run must
-- share one definition. A goal stays for a day after its last attempt or spend, because forecasts look back that far.
--
-- Why more indexes: the foreign keys below goals are searched when a goal is deleted. None of these tables is
-- written by a claim or a completion. Deleting without foreign keys was rejected: they hold what is inserted.

alter table workspaces
    add column goal_retention_days    int,
    add column journal_retention_days int,
    add constraint workspaces_goal_retention_range check (goal_retention_days between 1 and 36500),
    add constraint workspaces_journal_retention_range check (journal_retention_days between 1 and 36500);
comment on column workspaces.goal_retention_days is 'Ended goals are deleted after this many days; null: never.';
comment on column workspaces.journal_retention_days is 'Rows of the journal are deleted after this many days; null: never.';

create table folded_attempts (
    workspace_id   uuid   not null,
    group_id       uuid   not null,
    agent_id       uuid,
    project_id     uuid,
    started_day    date   not null,
    attempts       bigint not null,
    wall_ms        bigint not null,
    capability_key text   not null,
    constraint folded_attempts_pkey primary key (workspace_id, group_id),
    constraint folded_attempts_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint folded_attempts_counted check (attempts > 0 and wall_ms >= 0)
);
comment on table  folded_attempts is 'Attempts of pruned goals, counted in groups. All attempts of a group have spend on the same days and of the same models.';
comment on column folded_attempts.workspace_id is 'The workspace.';
comment on column folded_attempts.group_id is 'Digest of what the attempts of the group agree in.';
comment on column folded_attempts.agent_id is 'Their agent; null: persons held them.';
comment on column folded_attempts.project_id is 'The project of their goals; null: none.';
comment on column folded_attempts.started_day is 'The day in UTC on which they were started.';
comment on column folded_attempts.attempts is 'Number of attempts.';
comment on column folded_attempts.wall_ms is 'Sum of their durations, in milliseconds.';
comment on column folded_attempts.capability_key is 'The required capabilities of their tasks.';

create table folded_spend (
    workspace_id uuid    not null,
    group_id     uuid    not null,
    day          date    not null,
    amount       bigint  not null,
    fraction     bigint  not null,
    correction   boolean not null,
    unit         text    not null,
    model        text    not null,
    provider     text    not null,
    constraint folded_spend_pkey primary key (workspace_id, group_id, day, unit, model, provider, correction),
    constraint folded_spend_group_fkey foreign key (workspace_id, group_id) references folded_attempts (workspace_id, group_id)
);
comment on table  folded_spend is 'Daily totals of the spend entries of pruned goals.';
comment on column folded_spend.workspace_id is 'The workspace.';
comment on column folded_spend.group_id is 'The group of its attempts.';
comment on column folded_spend.day is 'The day in UTC on which the entries were stored.';
comment on column folded_spend.amount is 'Sum of the whole units.';
comment on column folded_spend.fraction is 'Sum of the millionths of the unit, in addition to amount.';
comment on column folded_spend.correction is 'Whether the entries were re-ratings or corrections.';
comment on column folded_spend.unit is 'The unit.';
comment on column folded_spend.model is 'The model as reported; empty: none.';
comment on column folded_spend.provider is 'The provider as reported; empty: none.';

create table folded_windows (
    workspace_id uuid        not null,
    limit_id     uuid        not null,
    starts_at    timestamptz not null,
    amount       bigint      not null,
    fraction     bigint      not null,
    constraint folded_windows_pkey primary key (workspace_id, limit_id, starts_at),
    constraint folded_windows_window_fkey foreign key (workspace_id, limit_id, starts_at) references budget_windows (workspace_id, limit_id, starts_at)
);
comment on table  folded_windows is 'The part of the spend of a window that is of pruned goals. settled of the window includes it.';
comment on column folded_windows.workspace_id is 'The workspace.';
comment on column folded_windows.limit_id is 'The limit of the window.';
comment on column folded_windows.starts_at is 'The beginning of the window.';
comment on column folded_windows.amount is 'Whole units of the limit.';
comment on column folded_windows.fraction is 'Millionths of the unit, in addition to amount.';

create index goals_ended on goals (workspace_id, ended_at, goal_id) where ended_at is not null;
create index approvals_of_task on approvals (workspace_id, task_id) where task_id is not null;
create index approvals_of_attempt on approvals (workspace_id, attempt_id) where attempt_id is not null;
create index approvals_of_plan on approvals (workspace_id, plan_id) where plan_id is not null;
create index freeze_stops_of_attempt on freeze_stops (workspace_id, attempt_id);
create index nudges_of_task on nudges (workspace_id, task_id);
create index allocations_of_window on allocations (workspace_id, limit_id, starts_at);

create function pruning_hold(of_workspace uuid, of_goal uuid, at timestamptz) returns text
    language sql stable as $$
    select case
        when exists (select from tasks t
                     where t.workspace_id = of_workspace and t.goal_id = of_goal and t.ended_at is null)
            then 'open_task'
        when exists (select from approvals p
                     where p.workspace_id = of_workspace and p.goal_id = of_goal and p.state = 'pending')
            then 'pending_approval'
        when exists (select from freezes f
                     where f.workspace_id = of_workspace and f.lifted_at is null
                       and case f.scope when 'goal' then f.scope_id = of_goal
                                        when 'task' then exists (
                                            select from tasks t where t.workspace_id = of_workspace
                                            and t.task_id = f.scope_id and t.goal_id = of_goal)
                                        else false end)
            then 'freeze'
        when exists (select from allocations a
                     where a.workspace_id = of_workspace and a.goal_id = of_goal and a.closed_at is null)
            then 'open_allocation'
        when exists (select from interventions i
                     where i.workspace_id = of_workspace and i.goal_id = of_goal and i.closed_at is null)
            then 'open_intervention'
        when exists (select from tasks t
                     join attempts a on a.workspace_id = of_workspace and a.task_id = t.task_id
                     where t.workspace_id = of_workspace and t.goal_id = of_goal
                       and (a.ended_at is null or a.ended_at > at - interval '25 hours'
                            or exists (select from reservations r
                                       where r.workspace_id = of_workspace and r.attempt_id = a.attempt_id
                                         and r.closed_at is null and r.held > 0)
                            or exists (select from spend_entries e
                                       where e.workspace_id = of_workspace and e.attempt_id = a.attempt_id
                                         and e.recorded_at > at - interval '25 hours')))
            then 'recent_attempt'
    end
$$;
comment on function pruning_hold(uuid, uuid, timestamptz) is 'Why an ended goal must not be pruned at a time: what of it is alive or recent. Null: nothing.';
