-- Totals that hold for good, and tasks that are claimed and released for ever.
--
-- Why corrections are entries: a total that stopped at the largest number no longer equals the sum of its
-- entries, and nothing mended it. No total may get there now, and wrong spend is taken back by an entry with
-- its reason. Changing or deleting the wrong entry was rejected: entries are what was reported.
--
-- Why releases are counted on the task: an agent that claims and releases the same task again and again keeps
-- it from others. The count is in the row that a release writes anyway. An index of such tasks was rejected:
-- `tasks_tried` finds them, and every claim would pay for another.

alter table spend_entries drop constraint spend_entries_amount_not_negative;
alter table spend_entries add constraint spend_entries_amount_not_negative
    check (amount >= 0 or starts_with(entry_key, 'rerate:') or starts_with(entry_key, 'correction:'));
comment on column spend_entries.amount is 'Amount in the unit; below zero only in a re-rating or a correction.';
comment on column spend_entries.entry_key is 'Key that the agent gave the entry; a second entry with it changes nothing. total:... for the increase of a cumulative report, rerate:... for a re-rating, correction:... for a correction by an operator.';
comment on column spend_totals.amount is 'Sum of the entries of the node that were added in this slot. Slots that grow too large are made equal.';

alter table tasks add column released_in_row integer not null default 0;
alter table tasks add constraint tasks_released_not_negative check (released_in_row >= 0);
comment on column tasks.released_in_row is 'Releases in a row by agents that had made no progress and had no reason of the service; from the third on the task waits.';
