-- The attempts of a task before it last came back.
--
-- Why: the time from ready to the first claim begins anew for a task that is retried, reopened or restored. Whether
-- it was claimed since then was not to be seen once it had waited first, for another task, a person or a budget,
-- so the limit was lost. Now it is: then more attempts were started than before.
--
-- Why a number and no mark: a claim would have to clear the mark. It writes the number of attempts already.
alter table tasks add column attempts_before integer not null default 0;
comment on column tasks.attempts_before is 'Attempts started before it last came back (retry, reopening); 0: it never did.';
comment on column tasks.start_by is 'Deadline that follows from start_within_ms; null once it was claimed, until it comes back.';
