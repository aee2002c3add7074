-- What a task used is no total of its own.
--
-- Why: it was one more row for each task and unit, the largest table after the entries themselves,
-- while what a task used is the sum of its attempts' spend, of which there are few. Totals are kept
-- where many attempts come together.

delete from spend_totals where node = 'task';
alter table spend_totals drop constraint spend_totals_node_known;
alter table spend_totals add constraint spend_totals_node_known
    check (node in ('goal', 'project', 'agent'));
comment on column spend_totals.node is 'goal, project or agent.';
comment on view spend_sums is 'Spend rolled up per goal, project and agent.';
comment on column spend_sums.node is 'goal, project or agent.';

create view task_spend as
    select a.workspace_id, a.task_id, s.unit,
           least(sum(s.entries::numeric + s.reported), 9223372036854775807)::bigint as amount
    from attempts a
    join attempt_spend s on s.workspace_id = a.workspace_id and s.attempt_id = a.attempt_id
    group by a.workspace_id, a.task_id, s.unit;
comment on view task_spend is 'Spend per task: the sum of its attempts.';
comment on column task_spend.workspace_id is 'The tenant.';
comment on column task_spend.task_id is 'The task.';
comment on column task_spend.unit is 'The unit.';
comment on column task_spend.amount is 'What its attempts have used.';
