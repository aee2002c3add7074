-- Gates of the claim that grant nothing: start times of goals, rates of capabilities, quota windows of
-- accounts, holds of rate-limited agents; and dedup keys.
--
-- Why a task keeps its own start time beside `ready_from`: its goal may start later, and that start can be
-- moved. The later of both holds, and the own one must not be lost in it.
--
-- Why a rate is a debt and no count per minute: a count forgets what was started just before the minute began,
-- and lets twice as many start within two seconds. Each start adds 60,000,000; the debt falls by
-- `starts_per_minute` each microsecond. Whole numbers only, so that two servers compute the same.
--
-- Why `free_at` is stored: the search of a claim leaves out whole sets of capabilities by comparing one column.
-- The exact check is under the lock of the row.
--
-- Why quota windows belong to an account and not to an agent: a subscription is shared by all agents that use it.
-- An account has no row of its own: it is a name, and nothing more is known of it.
--
-- Why the hold of a rate-limited agent is a column of the agent: claims read that row anyway.
--
-- Why dedup keys are a table: the time for which a key is held is no condition of an index. The primary key
-- makes two posts at once wait for each other. Its foreign key is deferred, because the key is taken before
-- the goal is written.

alter table goals add column start_at timestamptz;
comment on column goals.start_at is 'Before this time none of its tasks is ready. Null: at once.';

alter table tasks add column not_before timestamptz;
comment on column tasks.not_before is 'Its own start time; ready_from includes it. Null: none.';

alter table agents add column account text;
alter table agents add column limited_until timestamptz;
alter table agents add constraint agents_account_length check (char_length(account) between 1 and 200);
comment on column agents.account is 'The account at a provider that it uses, whose quota windows it shares. Null: none.';
comment on column agents.limited_until is 'Given no tasks before this time, since its provider limits its rate. Null: never limited.';
create index agents_of_account on agents (workspace_id, account, agent_id) where account is not null;

alter table attempt_results add column uncounted boolean not null default false;
comment on column attempt_results.uncounted is 'True: the attempt failed because of a rate limit and used up no try of its task.';

create table rates (
    workspace_id      uuid        not null,
    rate_id           uuid        not null,
    capability        text        not null,
    starts_per_minute integer     not null,
    burst             integer     not null,
    debt              bigint      not null default 0,
    debt_at           timestamptz not null,
    free_at           timestamptz not null,
    version           integer     not null default 1,
    created_at        timestamptz not null,
    updated_at        timestamptz not null,
    constraint rates_pkey primary key (workspace_id, rate_id),
    constraint rates_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint rates_capability_unique unique (workspace_id, capability),
    constraint rates_starts_range check (starts_per_minute between 1 and 60000),
    constraint rates_burst_range check (burst between 1 and 10000),
    constraint rates_debt_range check (debt between 0 and 600000000000)
) with (fillfactor = 70);
comment on table  rates is 'How many attempts may start per minute, of tasks that require a capability.';
comment on column rates.workspace_id is 'The workspace.';
comment on column rates.rate_id is 'UUIDv7.';
comment on column rates.capability is 'The capability; unique in the workspace.';
comment on column rates.starts_per_minute is 'Starts per minute in the long run.';
comment on column rates.burst is 'Starts at once after a pause.';
comment on column rates.debt is 'Starts that still count, times 60,000,000, as of debt_at.';
comment on column rates.debt_at is 'Time of the debt.';
comment on column rates.free_at is 'From this time at least one start is free.';
comment on column rates.version is 'Rises with every edit; the ETag. Starts are no edits.';
comment on column rates.created_at is 'Time of creation.';
comment on column rates.updated_at is 'Time of the last edit.';

create table quota_windows (
    workspace_id   uuid        not null,
    window_id      uuid        not null,
    account        text        not null,
    unit           text        not null,
    amount         bigint      not null,
    window_seconds integer     not null,
    anchor         timestamptz,
    stop_percent   integer     not null,
    used           bigint      not null default 0,
    ends_at        timestamptz,
    version        integer     not null default 1,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    constraint quota_windows_pkey primary key (workspace_id, window_id),
    constraint quota_windows_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint quota_windows_unique unique (workspace_id, account, unit, window_seconds),
    constraint quota_windows_account_length check (char_length(account) between 1 and 200),
    constraint quota_windows_amount_range check (amount between 1 and 1000000000000000),
    constraint quota_windows_seconds_range check (window_seconds between 60 and 31622400),
    constraint quota_windows_stop_range check (stop_percent between 1 and 100),
    constraint quota_windows_used_not_negative check (used >= 0)
) with (fillfactor = 70);
comment on table  quota_windows is 'How much an account may use per window of its provider, and how much of the present one is used.';
comment on column quota_windows.workspace_id is 'The workspace.';
comment on column quota_windows.window_id is 'UUIDv7.';
comment on column quota_windows.account is 'The account; agents name it.';
comment on column quota_windows.unit is 'A unit of spend; attempts: started attempts.';
comment on column quota_windows.amount is 'What the provider allows per window.';
comment on column quota_windows.window_seconds is 'Length of a window.';
comment on column quota_windows.anchor is 'An end of a window: windows end then, and each length before and after. Null: a window begins with the first use after the last one.';
comment on column quota_windows.stop_percent is 'From this share of the amount on, agents of the account are given no tasks.';
comment on column quota_windows.used is 'Used in the window that ends at ends_at.';
comment on column quota_windows.ends_at is 'End of the last window with use. Null: never used.';
comment on column quota_windows.version is 'Rises with every edit; the ETag. Use is no edit.';
comment on column quota_windows.created_at is 'Time of creation.';
comment on column quota_windows.updated_at is 'Time of the last edit.';

create table dedup_keys (
    workspace_id uuid        not null,
    within       uuid        not null,
    key          text        not null,
    goal_id      uuid        not null,
    task_id      uuid,
    held_until   timestamptz,
    taken_at     timestamptz not null,
    constraint dedup_keys_pkey primary key (workspace_id, within, key),
    constraint dedup_keys_goal_fkey foreign key (workspace_id, goal_id)
        references goals (workspace_id, goal_id) deferrable initially deferred,
    constraint dedup_keys_key_length check (char_length(key) between 1 and 200)
);
comment on table  dedup_keys is 'Keys under which a goal or task exists once, each with its latest holder.';
comment on column dedup_keys.workspace_id is 'The workspace.';
comment on column dedup_keys.within is 'Where the key is unique: of a goal its project, nil without one; of a task its goal.';
comment on column dedup_keys.key is 'The key, chosen by the poster.';
comment on column dedup_keys.goal_id is 'The goal that holds it, or the goal of the task that does.';
comment on column dedup_keys.task_id is 'The task that holds it. Null: the goal does.';
comment on column dedup_keys.held_until is 'Held until this time. Null: while its holder is open.';
comment on column dedup_keys.taken_at is 'Time at which it was taken.';
create index dedup_keys_of_goal on dedup_keys (workspace_id, goal_id);
