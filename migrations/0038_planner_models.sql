-- Models that plan: the settings of a workspace, and what their answers cost.
--
-- Why the key is not here: it is a secret of others, and those are in one table (`0017_secrets.sql`), under the
-- purpose planner_key and the name `planner`. There is no foreign key to it, because operators also set and
-- delete secrets on the command line, and because a workspace moves without its secrets.
--
-- Why planning has a table of spend of its own: an entry of `spend_entries` is of an attempt, and an attempt is of
-- a task. A model plans before there is a task. A task made for its sake would be in every list, and an attempt
-- without a task would break what every reader of attempts relies on. Each answer is charged to its goal, in the
-- transaction that takes note of it: the totals of goal and project rise, and so do the windows of goal, project
-- and workspace. Checks, reports, pruning and the move of a goal add this table to the entries.
--
-- Why `above`: an allocated goal reserves its whole limits above it when it begins, and settles what it spent
-- when it ends. What it spent on planning is part of that, so it is not charged above a second time.
--
-- Why a view: checks and pruning share one definition of the windows that an answer is charged to.

create table planner_settings (
    workspace_id      uuid        not null,
    updated_at        timestamptz not null,
    max_output_tokens integer,
    timeout_seconds   integer,
    silence_seconds   integer,
    version           integer     not null,
    api               text        not null,
    model             text        not null,
    url               text,
    updated_by        uuid,
    constraint planner_settings_pkey primary key (workspace_id),
    constraint planner_settings_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint planner_settings_api_known check (api in ('openai_chat', 'openai_responses', 'anthropic')),
    constraint planner_settings_model_length check (char_length(model) between 1 and 200),
    constraint planner_settings_url_length check (char_length(url) between 1 and 500),
    constraint planner_settings_max_output_tokens_range check (max_output_tokens between 1 and 1000000),
    constraint planner_settings_timeout_range check (timeout_seconds between 1 and 3600),
    constraint planner_settings_silence_range check (silence_seconds between 1 and 3600)
);
comment on table  planner_settings is 'The model that the planner llm of a workspace asks; no row: that of the service.';
comment on column planner_settings.workspace_id is 'The workspace.';
comment on column planner_settings.updated_at is 'Time of the last change.';
comment on column planner_settings.max_output_tokens is 'Most output tokens of one answer; null: the default.';
comment on column planner_settings.timeout_seconds is 'Time for one answer with its retries, in seconds; null: the default.';
comment on column planner_settings.silence_seconds is 'Longest silence of the server, in seconds; null: the default.';
comment on column planner_settings.version is 'Rises with every change; the ETag.';
comment on column planner_settings.api is 'Wire format: openai_chat, openai_responses or anthropic.';
comment on column planner_settings.model is 'Name of the model at the server.';
comment on column planner_settings.url is 'Address of the server; null: that of the maker of the wire format.';
comment on column planner_settings.updated_by is 'The key that changed it last.';

create table planning_spend (
    workspace_id uuid        not null,
    goal_id      uuid        not null,
    call_id      uuid        not null,
    recorded_at  timestamptz not null,
    amount       bigint      not null,
    fraction     integer     not null default 0,
    above        boolean     not null,
    unit         text        not null,
    model        text        not null,
    money        text        not null,
    provider     text,
    constraint planning_spend_pkey primary key (workspace_id, goal_id, call_id, unit),
    constraint planning_spend_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id),
    constraint planning_spend_amount_not_negative check (amount >= 0),
    constraint planning_spend_fraction_range check (fraction between 0 and 999999),
    constraint planning_spend_money_known check (money in ('book', 'assumed', 'none', 'reported'))
);
create index planning_spend_recorded on planning_spend (workspace_id, recorded_at);
comment on table  planning_spend is 'Append-only: what answers of models used that planned a goal, whether the answer became a plan or not.';
comment on column planning_spend.workspace_id is 'The workspace.';
comment on column planning_spend.goal_id is 'The goal that it is charged to.';
comment on column planning_spend.call_id is 'UUIDv7 of the answer.';
comment on column planning_spend.recorded_at is 'Time of storage; it belongs to the periods that contain it.';
comment on column planning_spend.amount is 'Amount in the unit.';
comment on column planning_spend.fraction is 'Millionths of the unit in addition to amount.';
comment on column planning_spend.above is 'Whether it is charged to the limits above the goal too; not for an allocated goal.';
comment on column planning_spend.unit is 'The unit.';
comment on column planning_spend.model is 'The model that was asked.';
comment on column planning_spend.money is 'Origin of the money: book, assumed, none or reported.';
comment on column planning_spend.provider is 'Provider of the model; null: derived from its name.';

create view charged_planning_windows as
    select p.workspace_id, p.goal_id, p.call_id, p.unit, p.amount, p.fraction, l.limit_id, l.node, w.starts_at
    from planning_spend p
    join goals g on g.workspace_id = p.workspace_id and g.goal_id = p.goal_id
    cross join lateral (values
        ('goal', p.goal_id), ('project', g.project_id), ('workspace', p.workspace_id)) as n (node, node_id)
    join budget_limits l on l.workspace_id = p.workspace_id and l.node = n.node
         and l.node_id = n.node_id and l.unit = p.unit and l.removed_at is null
    left join allocations s on s.workspace_id = p.workspace_id and s.goal_id = p.goal_id
         and s.limit_id = l.limit_id
    join budget_windows w on w.workspace_id = p.workspace_id and w.limit_id = l.limit_id
         and case when s.limit_id is not null then w.starts_at = s.starts_at
             else w.starts_at <= p.recorded_at
                  and (w.ends_at is null or p.recorded_at < w.ends_at) end
    where l.node = 'goal' or s.closed_at is not null or (p.above and s.limit_id is null);
comment on view charged_planning_windows is 'The windows that answers of planning models are charged to: those in which they were stored; with a closed allocation of their goal, the window of the allocation.';

-- A group without attempts has the spend of planning.
alter table folded_attempts
    drop constraint folded_attempts_counted,
    add constraint folded_attempts_counted check (attempts >= 0 and wall_ms >= 0);
