-- Caps of a workspace on what one agent claims.
--
-- Why beside the agent's own `max_concurrent`: that is what the agent's launcher says it can do. The workspace says
-- what any agent may hold, so that a launcher with a large number does not take all work.
--
-- Why a longest lease: a silent agent keeps its task until the lease ends, and the agent chooses the lease.

alter table workspaces
    add column agent_max_concurrent int,
    add column max_lease_seconds    int,
    add constraint workspaces_agent_max_concurrent_range check (agent_max_concurrent between 1 and 10000),
    add constraint workspaces_max_lease_range check (max_lease_seconds between 1 and 3600);
comment on column workspaces.agent_max_concurrent is 'Most attempts of one agent at once, whatever its own max_concurrent says; null: no cap.';
comment on column workspaces.max_lease_seconds is 'Longest lease of an attempt of an agent in seconds; longer ones are cut. Null: the cap of the service.';
