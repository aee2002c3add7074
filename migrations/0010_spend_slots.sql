-- Spend totals in slots.
--
-- Why: the total of a busy goal, project or agent was one row that every transaction with spend
-- raised and held until its commit, so those transactions came one after the other. A total is now
-- the sum of a few rows. Each transaction raises one of them, picked at random, so two of them
-- seldom meet; each still touches a row once per batch, and the sum is exact at every moment.

alter table spend_totals add column slot smallint not null default 0;
alter table spend_totals drop constraint spend_totals_pkey;
alter table spend_totals add constraint spend_totals_pkey
    primary key (workspace_id, node, node_id, unit, slot);
alter table spend_totals alter column slot drop default;
comment on column spend_totals.slot is 'Which part of the total; the total is the sum of all parts.';
comment on column spend_totals.amount is 'Sum of entries below the node that were raised in this slot.';

create view spend_sums as
    select workspace_id, node, node_id, unit,
           least(sum(amount), 9223372036854775807)::bigint as amount
    from spend_totals
    group by workspace_id, node, node_id, unit;
comment on view spend_sums is 'Spend rolled up per task, goal, project and agent.';
comment on column spend_sums.workspace_id is 'The tenant.';
comment on column spend_sums.node is 'task, goal, project or agent.';
comment on column spend_sums.node_id is 'Which one.';
comment on column spend_sums.unit is 'The unit.';
comment on column spend_sums.amount is 'Sum of all entries below it; stays at the largest number instead of overflowing.';
