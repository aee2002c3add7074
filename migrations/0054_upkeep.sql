-- Ranking again behind the commit; rate limits in a row.
--
-- The keys of the order of claims depend on whether the routing of the workspace is `fifo`. A change of it concerns
-- every ready task, a million in a large workspace: in one statement that is minutes, the statement is ended by its
-- timeout, and no other unit of work runs meanwhile. So the change is stored at once, and a duty ranks the ready
-- tasks again, some goals per transaction. The row is how far it is, so a killed server loses one transaction. Until
-- the end, tasks of both kinds are ready; claims take both.
--
-- Why a table and no column of `workspaces`: every request reads the workspace, and nearly never is there a row here.
create table rank_cursors (
    workspace_id  uuid not null,
    after_goal_id uuid not null,
    constraint rank_cursors_pkey primary key (workspace_id),
    constraint rank_cursors_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id)
);
comment on table  rank_cursors is 'Ready tasks that are to be ranked again since the routing changed. No row: none.';
comment on column rank_cursors.workspace_id is 'The workspace.';
comment on column rank_cursors.after_goal_id is 'Tasks of the goals up to this one are ranked; the nil id: none are.';

-- A failure because of a rate limit uses up no try, as a release, so it counts as one. Otherwise nothing bounds how
-- often a task is tried and given back.
comment on column tasks.released_in_row is 'Releases in a row by agents that had made no progress and had no reason of the service, and failures because of a rate limit; from the third on the task waits longer each time.';
