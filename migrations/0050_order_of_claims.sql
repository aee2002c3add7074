-- The order of claims: fair between goals, and the longest rest of a plan first inside a goal.
--
-- Why turns: with one order over all goals, one large or important goal keeps every other waiting. Goals take turns
-- by stride scheduling instead: each has a pass, and each claim moves the pass of its goal by a stride that is the
-- smaller the greater the weight of the goal. The goal with the least pass is next. The passes are stored, so the
-- shares hold with one claim per request and with any number of servers.
--
-- Why the upward rank: of the tasks of one plan, the one with the longest rest behind it should begin first, or the
-- plan takes longer than it must. It depends on the graph behind a task, which changes rarely and is read often; so
-- it is stored, and written with the plan and with what changes the plan.
--
-- Why `ranked_from`: the key of the order follows from it, from the priority, the upward rank and the deadline.
-- When one of these changes, the key is computed anew, and the task keeps its place in the queue.
--
-- Why `turn_of`: the claim must find the goals that have ready tasks without reading the tasks, so the index begins
-- with the goal. In a workspace with the routing `fifo` all tasks have the nil id there: one queue, in one range
-- of the same index. The former index is replaced, and not joined by a second one: every task is written
-- into it twice.

alter table goals
    add column weight integer not null default 1,
    add constraint goals_weight_range check (weight between 1 and 1000);
comment on column goals.weight is 'Share of the claims relative to other goals with ready tasks; each point of priority doubles it.';

-- The choice of agents reads these, too, so they may be there already.

create table goal_turns (
    workspace_id uuid    not null,
    goal_id      uuid    not null,
    pass         bigint  not null,
    drained      boolean not null,
    constraint goal_turns_pkey primary key (workspace_id, goal_id),
    constraint goal_turns_goal_fkey foreign key (workspace_id, goal_id) references goals (workspace_id, goal_id),
    constraint goal_turns_pass_not_negative check (pass >= 0)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
comment on table  goal_turns is 'Where a goal stands in the turns of claims. No row: none of its tasks was seen by a claim yet.';
comment on column goal_turns.workspace_id is 'The workspace.';
comment on column goal_turns.goal_id is 'The goal.';
comment on column goal_turns.pass is 'Virtual time of its next claim; the goal with the least is next. Each claim adds its stride.';
comment on column goal_turns.drained is 'Whether the last claim left it without ready tasks; it then joins again at the pass of the others.';

-- The key of the order of claims inside a goal. The same rule is `domain::task::claim::rank`, and a test compares them.
-- In milliseconds, so that no daylight saving time of a session counts. `due` is named once, so that the function
-- is inlined also with a subquery in its place.
create function claim_rank_of(since timestamptz, priority smallint, upward_ms bigint, due timestamptz, fifo boolean)
returns timestamptz language sql stable parallel safe as $$
    select since - (priority * 300000::bigint + case when fifo then 0 else
        3 * (upward_ms + least(greatest(
            coalesce(upward_ms + 86400000 - floor(extract(epoch from due - since) * 1000)::bigint, 0), 0), 2592000000))
        end) * interval '1 ms'
$$;
comment on function claim_rank_of is 'The key of the order of claims: since when it is ready, five minutes earlier per point of priority, and unless the routing is fifo 3 ms earlier per ms of upward rank and per ms that is missing to a day of slack.';

alter table tasks
    add column upward_ms bigint,
    add column ranked_from timestamptz,
    add column turn_of uuid;
-- Of the plans that exist nothing but this is computed here; the first change of a plan computes the rest.
update tasks t
set upward_ms = case when t.container then 0 else 60000 end,
    ranked_from = t.claim_rank + t.priority * interval '300 seconds',
    turn_of = t.goal_id,
    claim_rank = claim_rank_of(t.claim_rank + t.priority * interval '300 seconds', t.priority,
        case when t.container then 0 else 60000 end, least(g.deadline, t.finish_by), false)
from goals g
where g.workspace_id = t.workspace_id and g.goal_id = t.goal_id;
alter table tasks
    alter column upward_ms set not null,
    alter column ranked_from set not null,
    alter column turn_of set not null,
    add constraint tasks_upward_range check (upward_ms between 0 and 2592000000);
comment on column tasks.upward_ms is 'Expected time in milliseconds from its start to the end of the longest chain of tasks behind it, its own included; at most 30 days.';
comment on column tasks.ranked_from is 'Since when it ages in the order of claims: claim_rank follows from it.';
comment on column tasks.turn_of is 'The goal whose turn a claim of it takes; the nil id under the routing fifo. Written when it becomes ready.';
comment on column tasks.claim_rank is 'Claims of a goal take the smallest first; see the function claim_rank_of. Valid while ready, or parked for a budget.';

drop index tasks_ready;
create index tasks_ready on tasks (workspace_id, capability_key, turn_of, claim_rank, task_id) where state = 'ready';
