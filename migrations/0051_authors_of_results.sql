-- Who made a result, for the checks of it.
--
-- Why not the attempts of the checked task alone: whoever did a subtask of it, or a part of the divided task whose
-- last part hands in the whole, made a part of the result and would check their own work.
--
-- Why the part that needs all others: it is the one that inherits the criteria of the divided task. Every other part
-- is checked for itself, by agents of its siblings too, or a small fleet could check nothing.
--
-- Why people: who took the work over made it with their own hands. Their agents are agents of the same owner.
--
-- Why a function of its own: claims, completions by agents and those by people must agree on it. It runs for checks
-- only.

create function authors_of_checked(in_workspace uuid, in_task uuid)
returns table (agent_id uuid, held_by_key uuid)
language sql stable as $$
    with recursive checked as (
        select t.task_id, t.parent_id
        from tasks c
        join attempts x on x.workspace_id = in_workspace and x.attempt_id = c.checks_attempt_id
        join tasks t on t.workspace_id = in_workspace and t.task_id = x.task_id
        where c.workspace_id = in_workspace and c.task_id = in_task
    ), work (task_id) as (
        (
            select d.task_id from checked d
            union
            select p.task_id
            from checked d
            join tasks p on p.workspace_id = in_workspace and p.task_id = d.parent_id and p.split_at is not null
            where not exists (
                select from tasks s
                where s.workspace_id = in_workspace and s.parent_id = p.task_id and s.task_id <> d.task_id
                  and s.created_at = p.split_at
                  and not exists (select from dependencies n
                                  where n.workspace_id = in_workspace and n.task_id = d.task_id
                                    and n.needs_task_id = s.task_id))
        )
        union
        select t.task_id
        from work w
        join tasks t on t.workspace_id = in_workspace and t.parent_id = w.task_id
    )
    select distinct a.agent_id, a.held_by_key
    from work w
    join attempts a on a.workspace_id = in_workspace and a.task_id = w.task_id
$$;
comment on function authors_of_checked is 'Of a check: the agents, and the keys of people, that held an attempt of the checked task, of a subtask of it, or of the divided task whose result it hands in.';

create or replace function barred_from_check(in_workspace uuid, in_task uuid) returns setof uuid
language sql stable as $$
    with authors as materialized (
        select agent_id, held_by_key from authors_of_checked(in_workspace, in_task)
    ), owners as (
        select o.owner
        from authors a
        join agent_owners o on o.workspace_id = in_workspace and o.agent_id = a.agent_id
        union
        select k.origin_person
        from authors a
        join keys k on k.workspace_id = in_workspace and k.key_id = a.held_by_key
        where k.origin_person is not null
    )
    select agent_id from authors where agent_id is not null
    union
    -- Whose owner is unknown is not known to have another.
    select g.agent_id
    from agents g
    where g.workspace_id = in_workspace
      and exists (select from tasks c
                  where c.workspace_id = in_workspace and c.task_id = in_task and c.checks_other_owner)
      and (not exists (select from agent_owners o
                       where o.workspace_id = in_workspace and o.agent_id = g.agent_id
                         and o.owned_until is null)
           or exists (select from owners w
                      join agent_owners p on p.workspace_id = in_workspace and p.owner = w.owner
                      where p.agent_id = g.agent_id))
$$;
comment on function barred_from_check is 'The agents that may not do a check: its authors (authors_of_checked), and if another owner is demanded those that share one with them, belong to a person among them, or have none.';
