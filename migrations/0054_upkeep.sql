-- Rate limits in a row.
--
-- A failure because of a rate limit uses up no try, as a release, so it counts as one. Otherwise nothing bounds how
-- often a task is tried and given back.
comment on column tasks.released_in_row is 'Releases in a row by agents that had made no progress and had no reason of the service, and failures because of a rate limit; from the third on the task waits longer each time.';
