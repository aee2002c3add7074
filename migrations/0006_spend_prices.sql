-- Spend: entries, sums per attempt, totals, the price book and the calls of models.
--
-- Why entries are never changed: an entry records what was used. Its key makes the report idempotent. The
-- sums of the attempt and the totals of goal, project and agent change in the transaction of the entry, each
-- row once per batch and in a fixed order, so a sum is never recomputed and never differs. A correction is
-- an entry of its own, which may be below zero; then a part of a total may be below zero while the total is
-- not. (`0005_attempts.sql` says why spend has no foreign key to its attempt.)
--
-- Why fractions: prices are finer than a micro-dollar, and sums must stay exact. The whole part of a sum
-- with a fraction may be one below zero while the sum is not.
--
-- Why totals have slots: a total of a busy goal, project or agent in one row would be locked by every
-- transaction with spend until its commit, one transaction after the other. A total is the sum of a few
-- rows. A transaction adds to one of them at random, so two transactions seldom meet, and the sum is exact at
-- every moment.
--
-- Why tasks have no total: the spend of a task is the sum over its attempts, of which there are few. Totals
-- of tasks would be the largest table after the entries.
--
-- Why prices are never changed: a call costs what its price was at that time. A correction is a new row; of
-- two prices that hold at one instant the later row counts. Recorded spend changes only when an operator
-- asks for a re-rating, which writes the differences as entries.
--
-- Why calls keep their tokens in a table: an entry has one row per unit, and prices distinguish more kinds of
-- tokens than there are units. The number of corrections is part of the call, because the keys of their
-- entries follow from it: they are found one by one, without reading all entries of the attempt.

create table spend_entries (
    workspace_id uuid        not null,
    attempt_id   uuid        not null,
    recorded_at  timestamptz not null,
    amount       bigint      not null,
    fraction     integer     not null default 0,
    late         boolean     not null,
    entry_key    text        not null,
    unit         text        not null,
    provider     text,
    model        text,
    note         text,
    constraint spend_entries_pkey primary key (workspace_id, attempt_id, entry_key, unit),
    constraint spend_entries_amount_not_negative check (amount >= 0 or starts_with(entry_key, 'rerate:')),
    constraint spend_entries_fraction_range check (fraction between 0 and 999999)
);
comment on table  spend_entries is 'Append-only: what was used, charged to an attempt.';
comment on column spend_entries.workspace_id is 'The workspace.';
comment on column spend_entries.attempt_id is 'The attempt that used it.';
comment on column spend_entries.recorded_at is 'Time of storage.';
comment on column spend_entries.amount is 'Amount in the unit; below zero only in a re-rating.';
comment on column spend_entries.fraction is 'Millionths of the unit in addition to amount; only money computed from tokens has them.';
comment on column spend_entries.late is 'Reported after the attempt had ended.';
comment on column spend_entries.entry_key is 'Key that the agent gave the entry; a second entry with it changes nothing. total:... for the increase of a cumulative report, rerate:... for a re-rating.';
comment on column spend_entries.unit is 'usd_micros, input_tokens, ... or a name of the fleet''s own.';
comment on column spend_entries.provider is 'Provider of the called model; null: not a call of a model.';
comment on column spend_entries.model is 'The called model, for people.';
comment on column spend_entries.note is 'For people.';

create table attempt_spend (
    workspace_id uuid   not null,
    attempt_id   uuid   not null,
    entries      bigint not null,
    reported     bigint not null,
    fraction     bigint not null default 0,
    unit         text   not null,
    constraint attempt_spend_pkey primary key (workspace_id, attempt_id, unit),
    constraint attempt_spend_not_negative check (reported >= 0 and fraction >= 0)
) with (fillfactor = 70);
comment on table  attempt_spend is 'Spend of an attempt per unit: sum of its entries plus the highest cumulative total reported.';
comment on column attempt_spend.workspace_id is 'The workspace.';
comment on column attempt_spend.attempt_id is 'The attempt.';
comment on column attempt_spend.entries is 'Sum of the entries reported one by one.';
comment on column attempt_spend.reported is 'Highest cumulative total reported; a lower one changes nothing.';
comment on column attempt_spend.fraction is 'Millionths of the unit in addition to entries and reported.';
comment on column attempt_spend.unit is 'The unit.';

create view task_spend as
    select a.workspace_id, a.task_id, s.unit,
           least(sum(s.entries::numeric + s.reported) + trunc(sum(s.fraction) / 1000000), 9223372036854775807)::bigint as amount
    from attempts a
    join attempt_spend s on s.workspace_id = a.workspace_id and s.attempt_id = a.attempt_id
    group by a.workspace_id, a.task_id, s.unit;
comment on view task_spend is 'Spend per task: the sum over its attempts.';
comment on column task_spend.workspace_id is 'The workspace.';
comment on column task_spend.task_id is 'The task.';
comment on column task_spend.unit is 'The unit.';
comment on column task_spend.amount is 'Spend of its attempts; capped at the largest number.';

create table spend_totals (
    workspace_id uuid     not null,
    node_id      uuid     not null,
    amount       bigint   not null,
    fraction     bigint   not null default 0,
    slot         smallint not null,
    node         text     not null,
    unit         text     not null,
    constraint spend_totals_pkey primary key (workspace_id, node, node_id, unit, slot),
    constraint spend_totals_node_known check (node in ('goal', 'project', 'agent'))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
comment on table  spend_totals is 'Spend per goal, project and agent, in slots; updated in the transaction of the entries.';
comment on column spend_totals.workspace_id is 'The workspace.';
comment on column spend_totals.node_id is 'Id of the goal, project or agent.';
comment on column spend_totals.amount is 'Sum of the entries of the node that were added in this slot.';
comment on column spend_totals.fraction is 'Millionths of the unit in addition to amount.';
comment on column spend_totals.slot is 'Number of the part; the total is the sum of all parts.';
comment on column spend_totals.node is 'goal, project or agent.';
comment on column spend_totals.unit is 'The unit.';

create view spend_sums as
    select workspace_id, node, node_id, unit,
           least(sum(amount) + trunc(sum(fraction) / 1000000), 9223372036854775807)::bigint as amount
    from spend_totals
    group by workspace_id, node, node_id, unit;
comment on view spend_sums is 'Spend per goal, project and agent.';
comment on column spend_sums.workspace_id is 'The workspace.';
comment on column spend_sums.node is 'goal, project or agent.';
comment on column spend_sums.node_id is 'Id of the goal, project or agent.';
comment on column spend_sums.unit is 'The unit.';
comment on column spend_sums.amount is 'Sum of all entries of the node; capped at the largest number.';

create table prices (
    workspace_id   uuid        not null,
    price_id       uuid        not null,
    provider       text        not null,
    model          text        not null,
    effective_from timestamptz not null,
    price          jsonb       not null,
    source         text        not null,
    note           text,
    created_by     uuid,
    created_at     timestamptz not null,
    constraint prices_pkey primary key (workspace_id, price_id),
    constraint prices_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint prices_source_known check (source in ('operator', 'litellm', 'genai_prices')),
    constraint prices_name_length check (char_length(provider) between 1 and 100 and char_length(model) between 1 and 300)
);
comment on table  prices is 'Prices of models, in addition to the built-in table. Never changed: a correction is a new row.';
comment on column prices.workspace_id is 'The workspace.';
comment on column prices.price_id is 'UUIDv7; of two prices with the same effective_from the later id counts.';
comment on column prices.provider is 'The company that sends the bill.';
comment on column prices.model is 'Name of the model at the provider.';
comment on column prices.effective_from is 'The price holds from this time on.';
comment on column prices.price is 'Pico-dollars per token by kind, tiers by prompt size, and per request.';
comment on column prices.source is 'operator, litellm or genai_prices.';
comment on column prices.note is 'For people.';
comment on column prices.created_by is 'The key that added it.';
comment on column prices.created_at is 'Time of addition.';
create index prices_by_model on prices (workspace_id, lower(model), price_id);

create function prices_never_change() returns trigger language plpgsql as $$
begin
    raise exception 'a price is never changed; add another' using errcode = 'check_violation',
        constraint = 'prices_never_change', table = 'prices';
end $$;
create trigger prices_never_change before update or delete on prices
    for each row execute function prices_never_change();

create table model_calls (
    workspace_id   uuid        not null,
    attempt_id     uuid        not null,
    called_at      timestamptz not null,
    input          bigint      not null,
    cache_read     bigint      not null,
    cache_write    bigint      not null,
    cache_write_1h bigint      not null,
    output         bigint      not null,
    reasoning      bigint      not null,
    corrections    integer     not null default 0,
    entry_key      text        not null,
    model          text        not null,
    money          text        not null,
    provider       text,
    constraint model_calls_pkey primary key (workspace_id, attempt_id, entry_key),
    constraint model_calls_money_known check (money in ('book', 'assumed', 'none', 'reported')),
    constraint model_calls_not_negative check (input >= 0 and cache_read >= 0 and cache_write >= 0 and cache_write_1h >= 0 and output >= 0 and reasoning >= 0)
);
comment on table  model_calls is 'Spend entries that were reported as usage of a model, with the token counts that their price depends on.';
comment on column model_calls.workspace_id is 'The workspace.';
comment on column model_calls.attempt_id is 'The attempt.';
comment on column model_calls.called_at is 'Time of the call: it decides which price holds.';
comment on column model_calls.input is 'Input tokens neither read from nor written to a cache.';
comment on column model_calls.cache_read is 'Input tokens read from a cache.';
comment on column model_calls.cache_write is 'Input tokens written to a cache for five minutes or an unknown time.';
comment on column model_calls.cache_write_1h is 'Input tokens written to a cache for an hour.';
comment on column model_calls.output is 'Output tokens without reasoning.';
comment on column model_calls.reasoning is 'Output tokens of reasoning.';
comment on column model_calls.corrections is 'Number of re-ratings with a difference; the entry of each has the key rerate:<number>:<key>.';
comment on column model_calls.entry_key is 'The key of the spend entry.';
comment on column model_calls.model is 'The model that answered, as reported.';
comment on column model_calls.money is 'Origin of its money: book, assumed, none (no price was known) or reported by the agent.';
comment on column model_calls.provider is 'The called provider, as reported.';
