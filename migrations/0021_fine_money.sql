-- Cumulative totals of money finer than a micro-dollar.
--
-- Why a column: a total adds its rise over the highest total so far, which must be known to the millionth.
-- It is reported + reported_fraction / 1000000. The sums stay as they are: fraction counts the millionths of
-- entries and totals, so every reader of a sum goes on unchanged. Reading the highest total from the keys of
-- its entries was rejected: it would cost each report another read.

alter table attempt_spend add column reported_fraction bigint not null default 0;
alter table attempt_spend add constraint attempt_spend_reported_fraction check (reported_fraction >= 0);
comment on column attempt_spend.reported_fraction is 'The part of fraction that belongs to the rises of cumulative totals.';
comment on column attempt_spend.reported is 'Sum of the whole units of the rises of cumulative totals. The highest total is reported + reported_fraction / 1000000.';
comment on column spend_entries.fraction is 'Millionths of the unit in addition to amount; only money has them.';
