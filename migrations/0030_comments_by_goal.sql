-- An index for all comments of a goal.
--
-- Why: `comments_of_goal` has only the comments on the goal itself, so nothing found those on its tasks. Deleting
-- or pruning a goal deletes its comments, and then looks for references to it: both read every comment of the
-- workspace.
--
-- Why beside the partial index and not in its place: the list of comments on the goal itself would pass over
-- those on the tasks.
create index comments_by_goal on comments (workspace_id, goal_id);
