-- Hand-offs of running tasks, and comments that reach agents while they work.
--
-- Why the offer stands on the task: the search of a claim compares columns of the rows that it reads anyway.
-- A named agent is the assignment that there is already; a capability is one more column that is null for
-- nearly every task. A table would be searched for every task.
--
-- Why a duty ends an offer, and not the search by the clock: then the search compares no time, a waiting claim is
-- called by the event of the end, and the journal says when the task was open to everybody again.
--
-- Why `tasks_kept` is replaced: it finds the ready tasks that only some agents may claim, and these are among them now.
--
-- Why comments and no messages beside them: what agents say to each other is about a task or a goal, is listed
-- there, and is handed over with a claim. A second mechanism would be a second place to look. What is new: for
-- whom it is, whether it asks or answers, and that running attempts get it with their heartbeats.
--
-- Why `comment_deliveries`: a heartbeat must not search comments. A comment writes one row for each attempt that runs
-- at that moment and is meant, and a heartbeat asks for a row of its attempt only if there is any unread row in the
-- workspace.
--
-- Why `comments_to_spread`: an attempt that starts while a comment on its goal is written sees the comment as little as
-- the comment sees the attempt. So such attempts are looked for once more a little later.

create table hand_offs (
    workspace_id uuid        not null,
    task_id      uuid        not null,
    number       integer     not null,
    attempt_id   uuid        not null,
    from_agent   uuid,
    from_key     uuid,
    to_agent     uuid,
    capability   text,
    offer_until  timestamptz not null,
    note         text        not null,
    handed_at    timestamptz not null,
    constraint hand_offs_pkey primary key (workspace_id, task_id, number),
    constraint hand_offs_task_fkey foreign key (workspace_id, task_id) references tasks (workspace_id, task_id),
    constraint hand_offs_one_addressee check (num_nonnulls(to_agent, capability) = 1),
    constraint hand_offs_one_holder check (num_nonnulls(from_agent, from_key) = 1),
    constraint hand_offs_note_length check (octet_length(note) <= 16384)
);
comment on table  hand_offs is 'Attempts that ended because their holder handed the task over. Never changed.';
comment on column hand_offs.workspace_id is 'The workspace.';
comment on column hand_offs.task_id is 'The task.';
comment on column hand_offs.number is 'Ordinal within the task of the attempt that ended; the next one gets the note.';
comment on column hand_offs.attempt_id is 'The attempt that ended.';
comment on column hand_offs.from_agent is 'The agent that held it. Null: a person did.';
comment on column hand_offs.from_key is 'The key of the person who held it. Null: an agent did.';
comment on column hand_offs.to_agent is 'The agent that it was offered to. Null: agents with the capability.';
comment on column hand_offs.capability is 'The capability of the agents that it was offered to. Null: one agent.';
comment on column hand_offs.offer_until is 'Until then only these may claim it.';
comment on column hand_offs.note is 'What the next holder should know, Markdown; at most 16 KiB.';
comment on column hand_offs.handed_at is 'Time of the hand-off.';

alter table tasks add column offered_capability text;
alter table tasks add column offer_until timestamptz;
alter table tasks add constraint tasks_offers_end check (offered_capability is null or offer_until is not null);
comment on column tasks.offered_capability is 'Capability that an agent needs besides to claim it, after a hand-off. Null: none; cleared when the next attempt starts.';
comment on column tasks.offer_until is 'When the assignment or capability of a hand-off ends. Null: it was not handed over; cleared when the next attempt starts.';
create index tasks_offered on tasks (workspace_id, offer_until) where offer_until is not null and ended_at is null;
drop index tasks_kept;
create index tasks_kept on tasks (workspace_id, task_id)
    where assigned_agent_id is not null or barred_agent_id is not null or offered_capability is not null;

alter table comments add column kind text not null default 'note';
alter table comments add column to_agent uuid;
alter table comments add column to_capability text;
alter table comments add column answers uuid;
alter table comments add constraint comments_kind_known check (kind in ('note', 'question', 'answer'));
alter table comments add constraint comments_one_addressee check (num_nonnulls(to_agent, to_capability) <= 1);
alter table comments add constraint comments_answers_what check ((kind = 'answer') = (answers is not null));
comment on column comments.kind is 'note, question, or answer to a question.';
comment on column comments.to_agent is 'The agent that it is for. Null: no single one.';
comment on column comments.to_capability is 'It is for agents with this capability. Null: for no such group.';
comment on column comments.answers is 'The question that it answers. Null: it answers none.';
create index comments_of_agent on comments (workspace_id, agent_id, comment_id) where agent_id is not null;

create table comment_deliveries (
    workspace_id uuid        not null,
    attempt_id   uuid        not null,
    comment_id   uuid        not null,
    goal_id      uuid        not null,
    sent         smallint    not null default 0,
    seen_at      timestamptz,
    constraint comment_deliveries_pkey primary key (workspace_id, attempt_id, comment_id),
    constraint comment_deliveries_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id),
    constraint comment_deliveries_sent_range check (sent between 0 and 100)
);
comment on table  comment_deliveries is 'Comments for running attempts; kept until the attempt has ended.';
comment on column comment_deliveries.workspace_id is 'The workspace.';
comment on column comment_deliveries.attempt_id is 'The attempt.';
comment on column comment_deliveries.comment_id is 'The comment.';
comment on column comment_deliveries.goal_id is 'The goal of both.';
comment on column comment_deliveries.sent is 'Number of heartbeats whose answer had it.';
comment on column comment_deliveries.seen_at is 'When the attempt acknowledged it, or it was sent often enough. Null: it is sent with the next heartbeat.';
create index comment_deliveries_unseen on comment_deliveries (workspace_id, attempt_id, comment_id) where seen_at is null;
create index comment_deliveries_of_goal on comment_deliveries (workspace_id, goal_id);

create table comments_to_spread (
    workspace_id uuid        not null,
    comment_id   uuid        not null,
    goal_id      uuid        not null,
    written_at   timestamptz not null,
    constraint comments_to_spread_pkey primary key (workspace_id, comment_id),
    constraint comments_to_spread_comment_fkey foreign key (workspace_id, comment_id)
        references comments (workspace_id, comment_id)
);
comment on table  comments_to_spread is 'New comments on goals, for attempts that start at that moment; for a minute.';
comment on column comments_to_spread.workspace_id is 'The workspace.';
comment on column comments_to_spread.comment_id is 'The comment.';
comment on column comments_to_spread.goal_id is 'Its goal.';
comment on column comments_to_spread.written_at is 'When it was written.';
create index comments_to_spread_of_goal on comments_to_spread (workspace_id, goal_id);
