-- Spend: entries, what an attempt reported, and totals per node.
--
-- Why entries are never changed: what was used was used. An entry's key makes reporting
-- idempotent; the totals of task, goal, project and agent move in the entry's transaction, each
-- once per batch and in a fixed order, so a sum never has to be recomputed and never differs.

create table spend_entries (
    workspace_id uuid        not null,
    attempt_id   uuid        not null,
    entry_key    text        not null,
    unit         text        not null,
    amount       bigint      not null,
    late         boolean     not null,
    model        text,
    note         text,
    recorded_at  timestamptz not null,
    constraint spend_entries_pkey primary key (workspace_id, attempt_id, entry_key, unit),
    constraint spend_entries_attempt_fkey foreign key (workspace_id, attempt_id) references attempts (workspace_id, attempt_id),
    constraint spend_entries_amount_not_negative check (amount >= 0)
);
comment on table  spend_entries is 'Append-only: what was used, charged to an attempt.';
comment on column spend_entries.workspace_id is 'The tenant.';
comment on column spend_entries.attempt_id is 'The attempt that used it.';
comment on column spend_entries.entry_key is 'The agent''s key of the entry; a second entry with it changes nothing. total:... for what a cumulative report added.';
comment on column spend_entries.unit is 'usd_micros, input_tokens, ... or a name of the fleet''s own.';
comment on column spend_entries.amount is 'How much, in the unit.';
comment on column spend_entries.late is 'Reported after the attempt had ended.';
comment on column spend_entries.model is 'The model that was called, for people.';
comment on column spend_entries.note is 'For people.';
comment on column spend_entries.recorded_at is 'When it was stored.';

create table attempt_spend (
    workspace_id uuid   not null,
    attempt_id   uuid   not null,
    unit         text   not null,
    entries      bigint not null,
    reported     bigint not null,
    constraint attempt_spend_pkey primary key (workspace_id, attempt_id, unit),
    constraint attempt_spend_attempt_fkey foreign key (workspace_id, attempt_id) references attempts (workspace_id, attempt_id),
    constraint attempt_spend_not_negative check (entries >= 0 and reported >= 0)
) with (fillfactor = 70);
comment on table  attempt_spend is 'What an attempt has used, per unit: entries plus the highest cumulative total reported.';
comment on column attempt_spend.workspace_id is 'The tenant.';
comment on column attempt_spend.attempt_id is 'The attempt.';
comment on column attempt_spend.unit is 'The unit.';
comment on column attempt_spend.entries is 'Sum of the entries reported one by one.';
comment on column attempt_spend.reported is 'Highest cumulative total reported; a lower one changes nothing.';

create table spend_totals (
    workspace_id uuid   not null,
    node         text   not null,
    node_id      uuid   not null,
    unit         text   not null,
    amount       bigint not null,
    constraint spend_totals_pkey primary key (workspace_id, node, node_id, unit),
    constraint spend_totals_node_known check (node in ('task', 'goal', 'project', 'agent')),
    constraint spend_totals_not_negative check (amount >= 0)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
comment on table  spend_totals is 'Spend rolled up per task, goal, project and agent, in the transaction of the entries.';
comment on column spend_totals.workspace_id is 'The tenant.';
comment on column spend_totals.node is 'task, goal, project or agent.';
comment on column spend_totals.node_id is 'Which one.';
comment on column spend_totals.unit is 'The unit.';
comment on column spend_totals.amount is 'Sum of all entries below it.';
