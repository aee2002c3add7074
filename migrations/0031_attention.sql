-- Attention: finding what waits for a person without reading what does not.
--
-- Why a column on the task and no table: a task in quarantine asks for attention until somebody says
-- that it was seen, and never again. Marked on its own row it leaves the partial index, so looking
-- costs what is unseen and not what ever was in quarantine. Its task has ended, so nobody who works
-- waits for that row.
--
-- Why pending approvals by risk: each risk has a head start in the order of attention. Within one
-- risk the oldest comes first, so a page reads its first rows of each risk and no others.

alter table tasks add column acknowledged_at timestamptz;
alter table tasks add constraint tasks_acknowledged_when_failed check (acknowledged_at is null or state = 'failed');
comment on column tasks.acknowledged_at is 'When an operator said that its quarantine was seen; until then it asks for attention.';
create index tasks_quarantined on tasks (workspace_id, ended_at, task_id)
    where state = 'failed' and failure_class = 'lost' and lost_in_row >= 3 and acknowledged_at is null;
create index approvals_pending on approvals (workspace_id, risk, created_at, approval_id) where state = 'pending';
