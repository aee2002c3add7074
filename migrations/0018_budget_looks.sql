-- What is read of budgets again and again, made cheap.
--
-- Why a view: which windows an attempt is charged to is one rule, and checks and answers must not
-- tell it in words of their own.
--
-- Why corrections are counted on the call: the entries that rating anew has written for it have keys
-- that follow from the number, so they are found one by one instead of among all of the attempt.

create view charged_windows as
    select a.workspace_id, a.attempt_id, a.started_at, l.limit_id, l.budget_id, l.node, l.node_id,
           l.unit, l.period, w.starts_at, w.depth
    from attempts a
    join goals g on g.workspace_id = a.workspace_id and g.goal_id = a.goal_id
    cross join lateral (values
        ('task', a.task_id), ('agent', a.agent_id), ('goal', a.goal_id),
        ('project', g.project_id), ('workspace', a.workspace_id)) as p (node, node_id)
    join budget_limits l on l.workspace_id = a.workspace_id and l.node = p.node
         and l.node_id = p.node_id and l.removed_at is null
    left join allocations s on s.workspace_id = a.workspace_id and s.goal_id = a.goal_id
         and s.limit_id = l.limit_id
    join budget_windows w on w.workspace_id = a.workspace_id and w.limit_id = l.limit_id
         and case when s.limit_id is not null then w.starts_at = s.starts_at
             else w.starts_at <= a.started_at
                  and (w.ends_at is null or a.started_at < w.ends_at) end
    where s.limit_id is null or s.closed_at is not null;
comment on view charged_windows is 'The windows to which attempts are charged: those in which they were started; where their goal had set its share aside, the one in which it did so, once that is settled.';

alter table model_calls add column corrections integer not null default 0;
comment on column model_calls.corrections is 'How often it was rated anew with a difference; the entry of each has the key rerate:<number>:<key>.';
update model_calls c set corrections = (
    select count(distinct s.entry_key) from spend_entries s
    where s.workspace_id = c.workspace_id and s.attempt_id = c.attempt_id
      and starts_with(s.entry_key, 'rerate:')
      and substr(s.entry_key, strpos(substr(s.entry_key, 8), ':') + 8) = c.entry_key);

create index allocations_open on allocations (workspace_id, goal_id) where closed_at is null;
