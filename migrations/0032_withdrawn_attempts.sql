-- Lapsed attempts whose work was taken back.
--
-- Why: an attempt whose lease ran out may still complete its task until another attempt starts. It knows the task
-- only as its claim handed it over. An edit of that, a reassignment, a rule that parks the task and the return of
-- a task that had ended took the work back from an attempt that ran, but not from one that had lapsed: its result
-- counted for a task that it never saw, before its needs, and without the approval that was asked for anew.
--
-- Why a time at the attempt and no further state: it expired, and counts as such. Why no other current attempt of
-- the task: that stays the last one, whose holder and checkpoint are still asked for.
alter table attempts add column withdrawn_at timestamptz;
comment on column attempts.withdrawn_at is 'Time at which its task was taken back after it had expired; from then on it cannot complete it. Null: it was not.';
