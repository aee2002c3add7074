-- Comments on tasks and goals.
--
-- Why `commented` on tasks and goals: a claim hands over the comments of its task and goal. Nearly every task
-- has none, and the statement that reads the handover has both rows before it: without the flag it searches
-- for no comment. The flag is set once, with the first comment, and never cleared. A counter would be written
-- with every comment and say no more.
--
-- Why one table: a comment has the same columns whatever it is about, and the claim merges both by age.

create table comments (
    workspace_id uuid        not null,
    comment_id   uuid        not null,
    goal_id      uuid        not null,
    task_id      uuid,
    attempt_id   uuid,
    agent_id     uuid,
    created_by   uuid        not null,
    created_at   timestamptz not null,
    person       text,
    text         text        not null,
    constraint comments_pkey primary key (workspace_id, comment_id),
    constraint comments_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id),
    constraint comments_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id),
    constraint comments_text_length check (octet_length(text) between 1 and 16384),
    constraint comments_agents_have_attempts check ((agent_id is null) = (attempt_id is null))
);
comment on table  comments is 'What people and agents said about a task or a goal. Never edited.';
comment on column comments.workspace_id is 'The workspace.';
comment on column comments.comment_id is 'UUIDv7; lists are in its order, newest first.';
comment on column comments.goal_id is 'The goal that it is about, or the goal of its task.';
comment on column comments.task_id is 'The task that it is about; null: the goal itself.';
comment on column comments.attempt_id is 'The attempt during which the agent wrote it; null: a person wrote it.';
comment on column comments.agent_id is 'The agent that wrote it; null: a person wrote it.';
comment on column comments.created_by is 'The key that wrote it.';
comment on column comments.created_at is 'Time of writing.';
comment on column comments.person is 'The person of that key; null: it has none.';
comment on column comments.text is 'Markdown, at most 16 KiB.';
create index comments_of_task on comments (workspace_id, task_id, comment_id) where task_id is not null;
create index comments_of_goal on comments (workspace_id, goal_id, comment_id) where task_id is null;

alter table tasks add column commented boolean not null default false;
comment on column tasks.commented is 'Whether it ever had a comment of its own: claims look for none otherwise.';
alter table goals add column commented boolean not null default false;
comment on column goals.commented is 'Whether it ever had a comment of its own: claims look for none otherwise.';
