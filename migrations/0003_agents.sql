-- Agents.
--
-- Why presence is a table of its own: every claim and heartbeat may update it, and must neither lock
-- nor rewrite the row that people edit.

create table agents (
    workspace_id   uuid        not null,
    agent_id       uuid        not null,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    version        integer     not null default 1,
    max_concurrent integer     not null,
    state          text        not null,
    name           text        not null,
    capabilities   text[]      not null,
    registered_by  uuid,
    owner          text,
    constraint agents_pkey primary key (workspace_id, agent_id),
    constraint agents_workspace_fkey foreign key (workspace_id) references workspaces (workspace_id),
    constraint agents_name_unique unique (workspace_id, name),
    constraint agents_state_known check (state in ('active', 'paused', 'draining', 'retired')),
    constraint agents_max_concurrent_range check (max_concurrent between 1 and 10000),
    constraint agents_owner_length check (char_length(owner) between 1 and 200)
) with (fillfactor = 80);
comment on table  agents is 'Registered workers.';
comment on column agents.workspace_id is 'The workspace.';
comment on column agents.agent_id is 'UUIDv7.';
comment on column agents.created_at is 'Time of the first registration.';
comment on column agents.updated_at is 'Time of the last edit or registration.';
comment on column agents.version is 'Rises with every edit; the ETag.';
comment on column agents.max_concurrent is 'Largest number of attempts that it may run at once.';
comment on column agents.state is 'active, paused, draining or retired.';
comment on column agents.name is 'Unique in the workspace; registration is idempotent by it.';
comment on column agents.capabilities is 'The capabilities of the agent; sorted, unique.';
comment on column agents.registered_by is 'The key of the first registration; stands in for a missing owner.';
comment on column agents.owner is 'The person for whom it works.';

-- A key of the role agent belongs to an agent.
alter table keys add constraint keys_agent_fkey
    foreign key (workspace_id, agent_id) references agents (workspace_id, agent_id);

create table agent_presence (
    workspace_id uuid        not null,
    agent_id     uuid        not null,
    last_seen_at timestamptz not null,
    constraint agent_presence_pkey primary key (workspace_id, agent_id),
    constraint agent_presence_agent_fkey foreign key (workspace_id, agent_id) references agents (workspace_id, agent_id)
) with (fillfactor = 50);
comment on table  agent_presence is 'Last sign of life of each agent.';
comment on column agent_presence.workspace_id is 'The workspace.';
comment on column agent_presence.agent_id is 'The agent.';
comment on column agent_presence.last_seen_at is 'Time of its last claim or heartbeat, exact to ten seconds.';
