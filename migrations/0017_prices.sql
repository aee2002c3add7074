-- The price book, and what calls of models were counted as.
--
-- Why prices are never changed: what a call cost is what its price said then. A correction is a new
-- row; of two that hold at an instant the later one does. Spend is computed anew only when somebody
-- asks for it, and what that changes is written as entries of its own.
--
-- Why calls keep their tokens apart: an entry has one line for each unit, and the parts by which a
-- call is priced are finer than those units.

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
comment on table  prices is 'What models cost, beside the table that is built in. Never changed: corrections are new rows.';
comment on column prices.workspace_id is 'The tenant.';
comment on column prices.price_id is 'UUIDv7: of two that take effect at the same instant the later one holds.';
comment on column prices.provider is 'Who sends the bill.';
comment on column prices.model is 'The model''s name, as the provider has it.';
comment on column prices.effective_from is 'From when on it holds.';
comment on column prices.price is 'Pico-dollars per token by kind, tiers by prompt size, and per request.';
comment on column prices.source is 'operator, litellm or genai_prices.';
comment on column prices.note is 'For people.';
comment on column prices.created_by is 'The key that added it.';
comment on column prices.created_at is 'When it was added.';
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
    entry_key      text        not null,
    provider       text,
    model          text        not null,
    called_at      timestamptz not null,
    input          bigint      not null,
    cache_read     bigint      not null,
    cache_write    bigint      not null,
    cache_write_1h bigint      not null,
    output         bigint      not null,
    reasoning      bigint      not null,
    money          text        not null,
    constraint model_calls_pkey primary key (workspace_id, attempt_id, entry_key),
    constraint model_calls_money_known check (money in ('book', 'assumed', 'none', 'reported')),
    constraint model_calls_not_negative check (input >= 0 and cache_read >= 0 and cache_write >= 0 and cache_write_1h >= 0 and output >= 0 and reasoning >= 0)
);
comment on table  model_calls is 'Spend entries that were reported as usage of a model, with the parts by which they are priced.';
comment on column model_calls.workspace_id is 'The tenant.';
comment on column model_calls.attempt_id is 'The attempt.';
comment on column model_calls.entry_key is 'The key of the spend entry.';
comment on column model_calls.provider is 'Who was called, as reported.';
comment on column model_calls.model is 'The model that answered, as reported.';
comment on column model_calls.called_at is 'When the call was made: it decides which price holds.';
comment on column model_calls.input is 'Input tokens neither read from nor written to a cache.';
comment on column model_calls.cache_read is 'Input tokens read from a cache.';
comment on column model_calls.cache_write is 'Input tokens written to a cache for five minutes or an unknown time.';
comment on column model_calls.cache_write_1h is 'Input tokens written to a cache for an hour.';
comment on column model_calls.output is 'Output tokens without reasoning.';
comment on column model_calls.reasoning is 'Output tokens that were reasoning.';
comment on column model_calls.money is 'Where its money came from: book, assumed, none (no price was known) or reported by the agent.';
create index model_calls_by_model on model_calls (workspace_id, lower(model), called_at);

alter table spend_entries add column provider text;
comment on column spend_entries.provider is 'Who was called, if it was a model.';

-- What re-rating takes back is an entry below zero, and a part of a total may be below zero while
-- the total is not.
alter table spend_entries drop constraint spend_entries_amount_not_negative;
alter table spend_entries add constraint spend_entries_amount_not_negative
    check (amount >= 0 or starts_with(entry_key, 'rerate:'));
alter table spend_totals drop constraint spend_totals_not_negative;

-- With fractions a whole part may be one below zero while the sum is not.
alter table attempt_spend drop constraint attempt_spend_not_negative;
alter table attempt_spend add constraint attempt_spend_not_negative check (reported >= 0 and fraction >= 0);
alter table budget_windows drop constraint budget_windows_not_negative;
alter table budget_windows add constraint budget_windows_not_negative
    check (amount >= 0 and fraction >= 0 and reserved >= 0 and overrun >= 0);
