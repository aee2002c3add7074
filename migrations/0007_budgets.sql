-- Budgets: limits on nodes, their windows, reservations and allocations.
--
-- Why a window is a row: a limit per day, week or month starts again without a reset. Reservations and spend
-- of an attempt belong to the window in which the attempt was started, so the end of a month during an
-- attempt changes nothing for it.
--
-- Why work locks windows only: an attempt locks one row per limit on its path, in one order (deepest first,
-- then by id), and a batch locks each row once. Limits change under the workspace lock of budgets, which
-- every unit of work shares.
--
-- Why a reservation is a row per unit: an attempt reserves the same amount at every node on its path.
-- `reserved` of a window is therefore the sum of the open reservations below its node, and can be verified.
--
-- Why the trigger exists beside the conditional update that reserves: it refuses an update that a mistake in
-- the code would let through. Its `when` clause limits it to updates that raise `reserved`: most updates
-- settle or release, and a function call per row costs more than this condition.
--
-- Why a view names the windows of an attempt: checks and answers must share one definition of the windows
-- that an attempt is charged to.

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
comment on table  budgets is 'One budget for each node that has limits.';
comment on column budgets.workspace_id is 'The workspace.';
comment on column budgets.budget_id is 'UUIDv7.';
comment on column budgets.node is 'task, goal, agent, project or workspace.';
comment on column budgets.node_id is 'Id of the node; for the workspace its own id.';
comment on column budgets.time_zone is 'IANA name of the time zone in which its days, weeks and months begin.';
comment on column budgets.on_exhausted is 'Effect on tasks that it cannot fund: park_and_ask, park or stop; notify refuses nothing.';
comment on column budgets.warn_percent is 'Thresholds in percent of a limit, ascending; each is reported once per version of the limit.';
comment on column budgets.allocated is 'Whether the goal reserves its whole limit from the nodes above it.';
comment on column budgets.reserve is 'Default reservation of a task without an estimate: unit to {want, min}.';
comment on column budgets.unknown_model is 'Price of a model without one: refuse, assume_max or zero.';
comment on column budgets.version is 'Rises with every edit; the ETag.';
comment on column budgets.created_by is 'The key that created it.';
comment on column budgets.created_at is 'Time of creation.';
comment on column budgets.updated_at is 'Time of the last edit.';

create table budget_limits (
    workspace_id  uuid        not null,
    limit_id      uuid        not null,
    budget_id     uuid        not null,
    node_id       uuid        not null,
    amount        bigint      not null,
    created_at    timestamptz not null,
    version       integer     not null default 1,
    asked_version integer     not null default 0,
    node          text        not null,
    unit          text        not null,
    period        text        not null,
    asked_window  timestamptz,
    removed_at    timestamptz,
    constraint budget_limits_pkey primary key (workspace_id, limit_id),
    constraint budget_limits_budget_fkey foreign key (workspace_id, budget_id) references budgets (workspace_id, budget_id),
    constraint budget_limits_node_known check (node in ('task', 'goal', 'agent', 'project', 'workspace')),
    constraint budget_limits_period_known check (period in ('lifetime', 'day', 'week', 'month')),
    constraint budget_limits_amount_not_negative check (amount >= 0)
);
comment on table  budget_limits is 'Largest amount of a unit that a node may use, in its lifetime or per period.';
comment on column budget_limits.workspace_id is 'The workspace.';
comment on column budget_limits.limit_id is 'UUIDv7.';
comment on column budget_limits.budget_id is 'The budget.';
comment on column budget_limits.node_id is 'Id of the node of that budget.';
comment on column budget_limits.amount is 'The limit, in the unit.';
comment on column budget_limits.created_at is 'Time of creation.';
comment on column budget_limits.version is 'Rises when the amount changes: thresholds are reported once per version.';
comment on column budget_limits.asked_version is 'The version for which an approval was last asked.';
comment on column budget_limits.node is 'Kind of the node of that budget. It never changes: limits are found by it.';
comment on column budget_limits.unit is 'usd_micros, input_tokens, ... or a name of the fleet''s own.';
comment on column budget_limits.period is 'lifetime, day, week or month.';
comment on column budget_limits.asked_window is 'Beginning of the period for which an approval was last asked.';
comment on column budget_limits.removed_at is 'Time of removal; it limits nothing since. Null: in force.';
create unique index budget_limits_one_per_unit on budget_limits (workspace_id, node, node_id, unit, period)
    where removed_at is null;
create index budget_limits_of_budget on budget_limits (workspace_id, budget_id, unit, period);

create table budget_windows (
    workspace_id uuid        not null,
    limit_id     uuid        not null,
    starts_at    timestamptz not null,
    amount       bigint      not null,
    settled      bigint      not null,
    fraction     bigint      not null,
    reserved     bigint      not null,
    overrun      bigint      not null default 0,
    version      integer     not null,
    depth        smallint    not null,
    warned       smallint    not null default 0,
    enforced     boolean     not null,
    ends_at      timestamptz,
    constraint budget_windows_pkey primary key (workspace_id, limit_id, starts_at),
    constraint budget_windows_limit_fkey foreign key (workspace_id, limit_id) references budget_limits (workspace_id, limit_id),
    constraint budget_windows_not_negative check (amount >= 0 and fraction >= 0 and reserved >= 0 and overrun >= 0),
    constraint budget_windows_end_after_start check (ends_at > starts_at)
) with (fillfactor = 30, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
comment on table  budget_windows is 'State of a limit in one period. Never reset: a new period is a new row.';
comment on column budget_windows.workspace_id is 'The workspace.';
comment on column budget_windows.limit_id is 'The limit.';
comment on column budget_windows.starts_at is 'Beginning of the period; for a lifetime the epoch.';
comment on column budget_windows.amount is 'The limit in this period.';
comment on column budget_windows.settled is 'Spend of attempts that were started in this period.';
comment on column budget_windows.fraction is 'Millionths of the unit in addition to settled; only money has them.';
comment on column budget_windows.reserved is 'Unused reservations of running attempts that were started in this period.';
comment on column budget_windows.overrun is 'Reported spend that no reservation covered and that exceeded the limit.';
comment on column budget_windows.version is 'The version of the limit that amount comes from.';
comment on column budget_windows.depth is 'task 0, agent 1, goal 2, project 3, workspace 4: the order in which windows are locked.';
comment on column budget_windows.warned is 'The highest threshold reported for this version, in percent.';
comment on column budget_windows.enforced is 'False: nothing is refused, people are only notified.';
comment on column budget_windows.ends_at is 'End of the period; null: never.';

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
    for each row when (new.reserved > old.reserved and new.enforced)
    execute function budgets_never_over_limit();

create table reservations (
    workspace_id uuid        not null,
    attempt_id   uuid        not null,
    granted      bigint      not null,
    held         bigint      not null,
    authorized   bigint      not null default 0,
    unit         text        not null,
    closed_at    timestamptz,
    constraint reservations_pkey primary key (workspace_id, attempt_id, unit),
    constraint reservations_within check (held >= 0 and authorized between 0 and held and granted >= 0),
    constraint reservations_closed_hold_nothing check (closed_at is null or held = 0)
) with (fillfactor = 70);
comment on table  reservations is 'Reservations of attempts per unit, the same in every limit on their path.';
comment on column reservations.workspace_id is 'The workspace.';
comment on column reservations.attempt_id is 'The attempt.';
comment on column reservations.granted is 'Sum of all amounts ever reserved for it.';
comment on column reservations.held is 'Reserved amount that is neither used nor released.';
comment on column reservations.authorized is 'Part of held that is kept for costs authorised by key.';
comment on column reservations.unit is 'The unit.';
comment on column reservations.closed_at is 'Time at which the attempt ended and the rest was released.';

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
comment on table  authorizations is 'Costs authorised in advance: reserved now, used by the spend entry with the same key.';
comment on column authorizations.workspace_id is 'The workspace.';
comment on column authorizations.attempt_id is 'The attempt.';
comment on column authorizations.cost_key is 'Key that the agent gave the cost; the spend entry that reports it has the same key.';
comment on column authorizations.unit is 'The unit.';
comment on column authorizations.amount is 'Largest authorised amount.';
comment on column authorizations.used_at is 'Time of the report; nothing is reserved for it since. Null: not reported.';
comment on column authorizations.created_at is 'Time of authorisation.';

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
comment on table  allocations is 'Amounts that an allocated goal has reserved from a limit above it. While one is open, the attempts of the goal do not use that limit.';
comment on column allocations.workspace_id is 'The workspace.';
comment on column allocations.goal_id is 'The goal.';
comment on column allocations.limit_id is 'The limit above it.';
comment on column allocations.starts_at is 'Beginning of the period of that limit.';
comment on column allocations.unit is 'The unit.';
comment on column allocations.amount is 'Amount reserved while the goal is active.';
comment on column allocations.settled is 'Spend of the goal that was settled when the allocation closed; later spend is settled in the limit directly.';
comment on column allocations.closed_at is 'Time at which the goal ended: its spend is settled, the rest released. Null: open.';
create index allocations_open on allocations (workspace_id, goal_id) where closed_at is null;

create table usual_spend (
    workspace_id   uuid        not null,
    capability_key text        not null,
    unit           text        not null,
    p90            bigint      not null,
    tasks          integer     not null,
    computed_at    timestamptz not null,
    constraint usual_spend_pkey primary key (workspace_id, capability_key, unit)
);
comment on table  usual_spend is 'Spend of finished tasks per set of capabilities; recomputed by the supervisor.';
comment on column usual_spend.workspace_id is 'The workspace.';
comment on column usual_spend.capability_key is 'The required capabilities, as a key of capability_sets.';
comment on column usual_spend.unit is 'The unit.';
comment on column usual_spend.p90 is '90th percentile of the spend of one task.';
comment on column usual_spend.tasks is 'Number of tasks in the computation.';
comment on column usual_spend.computed_at is 'Time of the computation.';

create view charged_windows as
    select a.workspace_id, a.attempt_id, a.started_at, l.limit_id, l.budget_id, l.node, l.node_id,
           l.unit, l.period, w.starts_at, w.depth
    from attempts a
    join goals g on g.workspace_id = a.workspace_id and g.goal_id = a.goal_id
    cross join lateral (values
        ('task', a.task_id), ('agent', a.agent_id), ('goal', a.goal_id),
        ('project', g.project_id), ('workspace', a.workspace_id)) as p (node, node_id)
    join budget_limits l on l.workspace_id = a.workspace_id and l.node = p.node
         and l.node_id = p.node_id and l.removed_at is null
    left join allocations s on s.workspace_id = a.workspace_id and s.goal_id = a.goal_id
         and s.limit_id = l.limit_id
    join budget_windows w on w.workspace_id = a.workspace_id and w.limit_id = l.limit_id
         and case when s.limit_id is not null then w.starts_at = s.starts_at
             else w.starts_at <= a.started_at
                  and (w.ends_at is null or a.started_at < w.ends_at) end
    where s.limit_id is null or s.closed_at is not null;
comment on view charged_windows is 'The windows that attempts are charged to: those in which they were started; with a closed allocation of their goal, the window of the allocation.';
