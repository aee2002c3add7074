-- Budgets: limits on nodes, what they hold at every moment, and reservations.
--
-- Why a window is a row: a limit of a day, a week or a month begins anew without anything being set
-- back. What an attempt reserves and uses belongs to the window in which the attempt was started, so
-- a month that ends during an attempt changes nothing for it.
--
-- Why only windows are locked by the work: an attempt touches one row for each limit above it, in one
-- order (deepest first, then by id), and a batch touches each row once. Limits change under the
-- workspace's lock of its budgets, which every unit of work shares.
--
-- Why a reservation is a row for each unit: what an attempt has set aside is the same at every node
-- above it. So what a window holds is the sum of the open reservations below its node, and can be
-- proved.

create table budgets (
    workspace_id  uuid        not null,
    budget_id     uuid        not null,
    node          text        not null,
    node_id       uuid        not null,
    time_zone     text        not null,
    on_exhausted  text        not null,
    warn_percent  smallint[]  not null,
    allocated     boolean     not null,
    reserve       jsonb       not null,
    unknown_model text        not null,
    version       integer     not null default 1,
    created_by    uuid,
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    constraint budgets_pkey primary key (workspace_id, budget_id),
    constraint budgets_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint budgets_one_per_node unique (workspace_id, node, node_id),
    constraint budgets_node_known check (node in ('task', 'goal', 'agent', 'project', 'workspace')),
    constraint budgets_on_exhausted_known check (on_exhausted in ('park_and_ask', 'park', 'stop', 'notify')),
    constraint budgets_unknown_model_known check (unknown_model in ('refuse', 'assume_max', 'zero')),
    constraint budgets_allocated_is_a_goal check (not allocated or node = 'goal'),
    constraint budgets_version_positive check (version > 0)
);
comment on table  budgets is 'What is limited: one budget for each node that has limits.';
comment on column budgets.workspace_id is 'The tenant.';
comment on column budgets.budget_id is 'UUIDv7.';
comment on column budgets.node is 'task, goal, agent, project or workspace.';
comment on column budgets.node_id is 'Which one; for the workspace its own id.';
comment on column budgets.time_zone is 'IANA name: where its days, weeks and months begin.';
comment on column budgets.on_exhausted is 'What becomes of tasks that it cannot fund: park_and_ask, park, stop; notify refuses nothing.';
comment on column budgets.warn_percent is 'Thresholds in percent of a limit, rising; each is told once per version of the limit.';
comment on column budgets.allocated is 'Whether the goal sets its whole limit aside from the nodes above it.';
comment on column budgets.reserve is 'What a task reserves when nothing is known of it: unit to {want, min}.';
comment on column budgets.unknown_model is 'What money a model without a price costs: refuse, assume_max or zero.';
comment on column budgets.version is 'Rises with every edit; the ETag.';
comment on column budgets.created_by is 'The key that made it.';
comment on column budgets.created_at is 'When it was made.';
comment on column budgets.updated_at is 'When it was last edited.';

create table budget_limits (
    workspace_id  uuid        not null,
    limit_id      uuid        not null,
    budget_id     uuid        not null,
    node          text        not null,
    node_id       uuid        not null,
    unit          text        not null,
    period        text        not null,
    amount        bigint      not null,
    version       integer     not null default 1,
    asked_version integer     not null default 0,
    asked_window  timestamptz,
    created_at    timestamptz not null,
    removed_at    timestamptz,
    constraint budget_limits_pkey primary key (workspace_id, limit_id),
    constraint budget_limits_budget_fkey foreign key (workspace_id, budget_id) references budgets (workspace_id, budget_id),
    constraint budget_limits_node_known check (node in ('task', 'goal', 'agent', 'project', 'workspace')),
    constraint budget_limits_period_known check (period in ('lifetime', 'day', 'week', 'month')),
    constraint budget_limits_amount_not_negative check (amount >= 0)
);
comment on table  budget_limits is 'How much of a unit a node may use, in all or in each period.';
comment on column budget_limits.workspace_id is 'The tenant.';
comment on column budget_limits.limit_id is 'UUIDv7.';
comment on column budget_limits.budget_id is 'The budget that it belongs to.';
comment on column budget_limits.node is 'The node of that budget, which never changes: limits are found by it.';
comment on column budget_limits.node_id is 'Which one.';
comment on column budget_limits.unit is 'usd_micros, input_tokens, ... or a name of the fleet''s own.';
comment on column budget_limits.period is 'lifetime, day, week or month.';
comment on column budget_limits.amount is 'The limit, in the unit.';
comment on column budget_limits.version is 'Rises when the amount changes: thresholds are told once for each.';
comment on column budget_limits.asked_version is 'The version for which people were last asked to raise it.';
comment on column budget_limits.asked_window is 'The beginning of the period for which they were last asked.';
comment on column budget_limits.created_at is 'When it was set.';
comment on column budget_limits.removed_at is 'Since then it limits nothing.';
create unique index budget_limits_one_per_unit on budget_limits (workspace_id, node, node_id, unit, period)
    where removed_at is null;
create index budget_limits_of_budget on budget_limits (workspace_id, budget_id, unit, period);

create table budget_windows (
    workspace_id uuid        not null,
    limit_id     uuid        not null,
    starts_at    timestamptz not null,
    ends_at      timestamptz,
    depth        smallint    not null,
    amount       bigint      not null,
    enforced     boolean     not null,
    version      integer     not null,
    settled      bigint      not null,
    fraction     bigint      not null,
    reserved     bigint      not null,
    overrun      bigint      not null default 0,
    warned       smallint    not null default 0,
    constraint budget_windows_pkey primary key (workspace_id, limit_id, starts_at),
    constraint budget_windows_limit_fkey foreign key (workspace_id, limit_id) references budget_limits (workspace_id, limit_id),
    constraint budget_windows_not_negative check (amount >= 0 and settled >= 0 and fraction >= 0 and reserved >= 0 and overrun >= 0),
    constraint budget_windows_end_after_start check (ends_at > starts_at)
) with (fillfactor = 30, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
comment on table  budget_windows is 'What a limit holds in one period: never reset, a new period is a new row.';
comment on column budget_windows.workspace_id is 'The tenant.';
comment on column budget_windows.limit_id is 'The limit.';
comment on column budget_windows.starts_at is 'When the period begins; for a lifetime the epoch.';
comment on column budget_windows.ends_at is 'When it ends; null: never.';
comment on column budget_windows.depth is 'task 0, agent 1, goal 2, project 3, workspace 4: the order in which windows are locked.';
comment on column budget_windows.amount is 'The limit in this period.';
comment on column budget_windows.enforced is 'False: nothing is refused, people are only told.';
comment on column budget_windows.version is 'The version of the limit that amount is of.';
comment on column budget_windows.settled is 'What attempts that were started in this period have used.';
comment on column budget_windows.fraction is 'Millionths of the unit used beside settled; only money has them.';
comment on column budget_windows.reserved is 'What running attempts that were started in this period have set aside and not used.';
comment on column budget_windows.overrun is 'Reported spend that no reservation covered and the limit had no room for.';
comment on column budget_windows.warned is 'The highest threshold that was told for this version, in percent.';

-- The second wall behind the conditional update: refuses, never acts.
create function budgets_never_over_limit() returns trigger language plpgsql as $$
begin
    if new.enforced and new.reserved > old.reserved
       and new.settled::numeric + ceil(new.fraction / 1000000.0) + new.reserved > new.amount then
        raise exception 'a reservation over the limit' using errcode = 'check_violation',
            constraint = 'budgets_never_over_limit', table = 'budget_windows';
    end if;
    return new;
end $$;
create trigger budgets_never_over_limit before update of reserved on budget_windows
    for each row execute function budgets_never_over_limit();

create table reservations (
    workspace_id uuid        not null,
    attempt_id   uuid        not null,
    unit         text        not null,
    granted      bigint      not null,
    held         bigint      not null,
    authorized   bigint      not null default 0,
    closed_at    timestamptz,
    constraint reservations_pkey primary key (workspace_id, attempt_id, unit),
    constraint reservations_within check (held >= 0 and authorized between 0 and held and granted >= 0),
    constraint reservations_closed_hold_nothing check (closed_at is null or held = 0)
) with (fillfactor = 70);
comment on table  reservations is 'What attempts have set aside from every limit above them, per unit.';
comment on column reservations.workspace_id is 'The tenant.';
comment on column reservations.attempt_id is 'The attempt.';
comment on column reservations.unit is 'The unit.';
comment on column reservations.granted is 'All that was ever set aside for it.';
comment on column reservations.held is 'What of that is neither used nor given back.';
comment on column reservations.authorized is 'What of held is kept for costs that were authorised by key.';
comment on column reservations.closed_at is 'When the attempt ended and the rest was given back.';

create table authorizations (
    workspace_id uuid        not null,
    attempt_id   uuid        not null,
    cost_key     text        not null,
    unit         text        not null,
    amount       bigint      not null,
    used_at      timestamptz,
    created_at   timestamptz not null,
    constraint authorizations_pkey primary key (workspace_id, attempt_id, cost_key, unit),
    constraint authorizations_amount_not_negative check (amount >= 0)
);
comment on table  authorizations is 'Costs that an agent may make: reserved before, used by the spend entry with the same key.';
comment on column authorizations.workspace_id is 'The tenant.';
comment on column authorizations.attempt_id is 'The attempt.';
comment on column authorizations.cost_key is 'The agent''s key of the cost, and of the spend entry that will report it.';
comment on column authorizations.unit is 'The unit.';
comment on column authorizations.amount is 'How much it may cost at most.';
comment on column authorizations.used_at is 'When it was reported; from then on nothing is kept for it.';
comment on column authorizations.created_at is 'When it was authorised.';

create table allocations (
    workspace_id uuid        not null,
    goal_id      uuid        not null,
    limit_id     uuid        not null,
    starts_at    timestamptz not null,
    unit         text        not null,
    amount       bigint      not null,
    settled      bigint      not null default 0,
    closed_at    timestamptz,
    constraint allocations_pkey primary key (workspace_id, goal_id, limit_id),
    constraint allocations_window_fkey foreign key (workspace_id, limit_id, starts_at) references budget_windows (workspace_id, limit_id, starts_at),
    constraint allocations_not_negative check (amount >= 0 and settled >= 0)
);
comment on table  allocations is 'What an allocated goal has set aside from a limit above it: while it is open, the goal''s attempts do not touch that limit.';
comment on column allocations.workspace_id is 'The tenant.';
comment on column allocations.goal_id is 'The goal.';
comment on column allocations.limit_id is 'The limit above it.';
comment on column allocations.starts_at is 'In which period of that limit.';
comment on column allocations.unit is 'The unit.';
comment on column allocations.amount is 'How much is set aside while the goal is active.';
comment on column allocations.settled is 'What of the goal''s spend was settled there when it was closed; what comes later goes there by itself.';
comment on column allocations.closed_at is 'When the goal ended: what it used is settled there, the rest given back.';
create index allocations_of_window on allocations (workspace_id, limit_id, starts_at);

create table usual_spend (
    workspace_id   uuid        not null,
    capability_key text        not null,
    unit           text        not null,
    p90            bigint      not null,
    tasks          integer     not null,
    computed_at    timestamptz not null,
    constraint usual_spend_pkey primary key (workspace_id, capability_key, unit)
);
comment on table  usual_spend is 'What tasks of a set of capabilities really used; computed from time to time.';
comment on column usual_spend.workspace_id is 'The tenant.';
comment on column usual_spend.capability_key is 'The required capabilities as one key of capability_sets.';
comment on column usual_spend.unit is 'The unit.';
comment on column usual_spend.p90 is 'What nine of ten of them stayed within.';
comment on column usual_spend.tasks is 'How many tasks it was computed from.';
comment on column usual_spend.computed_at is 'When.';

-- A task that waits for a budget is parked; any move of it ends the wait.
alter table tasks add column short_limit_id uuid, add column short_min bigint;
comment on column tasks.short_limit_id is 'The limit that could not fund it; set while it is parked for that.';
comment on column tasks.short_min is 'What it needs of that limit at least.';
alter table tasks add constraint tasks_short_while_parked check (short_limit_id is null or state = 'parked');
create index tasks_short on tasks (workspace_id, short_limit_id, claim_rank, task_id) where short_limit_id is not null;

-- A question about a budget is about a limit, not about one task.
alter table approvals add column limit_id uuid;
comment on column approvals.limit_id is 'The limit that it asks to raise; set exactly for the kind budget.';
alter table approvals drop constraint approvals_subject;
alter table approvals add constraint approvals_subject
    check ((kind = 'plan') = (plan_id is not null) and (kind = 'budget') = (limit_id is not null)
           and (kind in ('plan', 'budget') or task_id is not null));
create unique index approvals_one_pending_per_limit on approvals (workspace_id, limit_id)
    where state = 'pending' and limit_id is not null;

-- Fractions of micro-dollars: prices are finer than the unit, and sums stay exact all the same.
alter table spend_entries add column fraction integer not null default 0,
    add constraint spend_entries_fraction_range check (fraction between 0 and 999999);
alter table attempt_spend add column fraction bigint not null default 0;
alter table spend_totals  add column fraction bigint not null default 0;
comment on column spend_entries.fraction is 'Millionths of the unit beside amount; only money computed from tokens has them.';
comment on column attempt_spend.fraction is 'Millionths of the unit used beside entries and reported.';
comment on column spend_totals.fraction is 'Millionths of the unit raised in this slot beside amount.';
create or replace view spend_sums as
    select workspace_id, node, node_id, unit,
           least(sum(amount) + trunc(sum(fraction) / 1000000), 9223372036854775807)::bigint as amount
    from spend_totals
    group by workspace_id, node, node_id, unit;
create or replace view task_spend as
    select a.workspace_id, a.task_id, s.unit,
           least(sum(s.entries::numeric + s.reported) + trunc(sum(s.fraction) / 1000000), 9223372036854775807)::bigint as amount
    from attempts a
    join attempt_spend s on s.workspace_id = a.workspace_id and s.attempt_id = a.attempt_id
    group by a.workspace_id, a.task_id, s.unit;
