-- The reference of a task to its parent is checked at the commit if a transaction asks for it.
--
-- Why: an import stores the tasks of a workspace in the order of their ids, and a plan may name a parent after
-- its children. Every other reference is to a table that comes earlier in the import. Nothing changes for
-- other transactions: the reference is checked with each statement unless the transaction defers it.
alter table tasks alter constraint tasks_parent_fkey deferrable initially immediate;
