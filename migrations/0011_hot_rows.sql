-- Rows that every cycle of work writes.
--
-- Why these foreign keys go: a row of an attempt's results, spend or progress is only ever written
-- under the lock of that attempt, which its transaction has read, and attempts are never deleted, so
-- the check can find nothing; but it costs more than the row itself, several times per cycle.
--
-- Why the fill factors: a dependency is satisfied, and a task given its result, by an update of a
-- row among its neighbours from the same plan. With room in the page no index has to change.

alter table attempt_results  drop constraint attempt_results_attempt_fkey;
alter table attempt_progress drop constraint attempt_progress_attempt_fkey;
alter table spend_entries    drop constraint spend_entries_attempt_fkey;
alter table attempt_spend    drop constraint attempt_spend_attempt_fkey;

alter table dependencies set (fillfactor = 80);
alter table task_texts   set (fillfactor = 70);
