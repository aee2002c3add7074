-- Attempts without foreign keys to their task and agent.
--
-- Why: an attempt is inserted by a transaction that has read both under lock, and neither is ever
-- deleted, so the check can find nothing; but it looks both up once more and locks them again for
-- every attempt. `muster verify` looks for what the keys would have refused.

alter table attempts drop constraint attempts_task_fkey, drop constraint attempts_agent_fkey;
