-- Events: one gap-free order per workspace.
--
-- Why a counter row and not a sequence: a sequence leaves gaps when a transaction rolls back, and
-- lets a later number become visible first, so a reader with a cursor would miss events. The
-- counter is taken as the last statement before the commit and once per batch; its lock makes the
-- order of numbers the order of commits.

create table event_heads (
    workspace_id uuid   not null,
    last_seq     bigint not null,
    constraint event_heads_pkey primary key (workspace_id),
    constraint event_heads_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id)
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
comment on table  event_heads is 'The last event number of each workspace.';
comment on column event_heads.workspace_id is 'The tenant.';
comment on column event_heads.last_seq is 'The number of the newest event.';

create table events (
    workspace_id uuid        not null,
    seq          bigint      not null,
    kind         text        not null,
    goal_id      uuid,
    task_id      uuid,
    attempt_id   uuid,
    agent_id     uuid,
    approval_id  uuid,
    actor_key_id uuid,
    data         jsonb       not null,
    created_at   timestamptz not null,
    constraint events_pkey primary key (workspace_id, seq)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);
comment on table  events is 'Append-only: what happened. No foreign keys: the record outlives what it is about.';
comment on column events.workspace_id is 'The tenant.';
comment on column events.seq is 'Counts the events of the workspace from 1, without gaps, in the order of their commits.';
comment on column events.kind is 'What happened, noun.verb: task.ready, attempt.expired, ...';
comment on column events.goal_id is 'The goal it concerns.';
comment on column events.task_id is 'The task it concerns.';
comment on column events.attempt_id is 'The attempt it concerns.';
comment on column events.agent_id is 'The agent it concerns.';
comment on column events.approval_id is 'The approval it concerns.';
comment on column events.actor_key_id is 'The key that did it; null: the supervisor, or somebody at the command line.';
comment on column events.data is 'Details; never secrets, never long text.';
comment on column events.created_at is 'The time of its transaction.';
create index events_of_goal on events (workspace_id, goal_id, seq) where goal_id is not null;
