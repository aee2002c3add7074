-- A person holds an attempt; a task is kept for an agent.
--
-- Why a key and no made-up agent: an operator who takes a task over is no worker of the fleet. A row
-- of agents for each person would be claimed for, counted, frozen, budgeted and reported on as one.
-- What an attempt needs of its holder is only who may write to it, and for a person that is the key
-- that took it over. Exactly one of the two is there.
--
-- Why two columns on the task and no table beside it: claims look at them where they look at the task
-- anyway, and starting an attempt clears them in the statement that it needs for that. Both are null
-- for nearly every task.

alter table attempts
    alter column agent_id drop not null,
    add column held_by_key uuid,
    add constraint attempts_one_holder check ((agent_id is null) <> (held_by_key is null));
comment on column attempts.agent_id is 'The agent that tries; null: a person.';
comment on column attempts.held_by_key is 'The key of the person who took the task over and tries; null: an agent.';

alter table tasks
    add column assigned_agent_id uuid,
    add column barred_agent_id uuid,
    add constraint tasks_assigned_agent_fkey foreign key (workspace_id, assigned_agent_id) references agents (workspace_id, agent_id),
    add constraint tasks_barred_agent_fkey foreign key (workspace_id, barred_agent_id) references agents (workspace_id, agent_id),
    add constraint tasks_kept_or_barred check (assigned_agent_id is null or barred_agent_id is null);
comment on column tasks.assigned_agent_id is 'The only agent that its next attempt is given to; cleared when that starts.';
comment on column tasks.barred_agent_id is 'The agent from which it was taken, and to which its next attempt is not given; cleared when that starts.';
-- Retiring an agent looks for what is kept for it; calling agents that wait looks for what is kept.
create index tasks_kept on tasks (workspace_id, task_id) where assigned_agent_id is not null or barred_agent_id is not null;
