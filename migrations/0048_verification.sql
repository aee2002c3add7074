-- Verification: types of criteria, tiers of evidence, and tasks that check the result of another task.
--
-- Why `min_tier` of a criterion is never null: it is the tier that its type gives, or more if the plan demands more. So
-- one comparison with the tier of evidence says whether it is shown, whatever the type.
--
-- Why a check is a task: it is claimed, paid, retried and cancelled as any other work, and an agent can do it. The task
-- names the attempt whose result it checks; who may not claim it is computed from that attempt each time, because
-- agents are registered and change their owners later.
--
-- Why `barred_from_check` is a function: claims, waiting claims, completions and `verify` must agree on it. It runs for
-- checks only.
--
-- Why the evidence of a check is copied to the checked attempt: what a result rests on is then in one place, and stays
-- when the check is no longer looked for.
--
-- Why the constraints on evidence: a tier above what stands in the row itself cannot be stored. What the row
-- refers to is compared by `verify`.

create function tier_rank(tier text) returns int
language sql immutable parallel safe
return array_position(array['claimed', 'attached', 'machine_checked', 'reviewed', 'person'], tier);
comment on function tier_rank is 'Place of a tier of evidence, from 1: the greater, the further it was checked.';

alter table criteria
    add column type     text not null default 'text',
    add column terms    jsonb,
    add column min_tier text not null default 'claimed',
    add column checks   smallint,
    add constraint criteria_type_known
        check (type in ('text', 'json_schema', 'artifact', 'metric', 'command', 'review', 'person')),
    add constraint criteria_min_tier_known
        check (min_tier in ('claimed', 'attached', 'machine_checked', 'reviewed', 'person'));
comment on column criteria.type is 'How it is satisfied: text by any evidence, json_schema by a result that fits, artifact by a stored artifact that fits, metric by a number, command by the exit code of a program that another agent runs, review by another agent, person by the approval of the result.';
comment on column criteria.terms is 'What belongs to the type: the schema, the artifact, the number, the program, the reviewer; null: nothing.';
comment on column criteria.min_tier is 'The least tier of the evidence that satisfies it, never below that of its type.';
comment on column criteria.checks is 'Of a check: the number of the criterion of the checked task; null: it is not of a check.';

alter table tasks
    add column criteria_version   int not null default 1,
    add column checks_attempt_id  uuid,
    add column checks_other_owner boolean,
    add constraint tasks_criteria_version_range check (criteria_version >= 1),
    add constraint tasks_checks_whole check ((checks_attempt_id is null) = (checks_other_owner is null)),
    drop constraint tasks_purpose_known,
    add constraint tasks_purpose_known check (purpose in ('verify', 'rework', 'plan', 'check')),
    add constraint tasks_checks_purpose check ((checks_attempt_id is not null) <= (purpose is not distinct from 'check'));
comment on column tasks.purpose is 'verify: checks criteria of the goal; rework: mends a rejected one; plan: makes the plan of the goal; check: checks the result of a task; null: a task of the plan, or a subtask.';
comment on column tasks.criteria_version is 'Raised whenever its criteria are replaced; evidence names the one it was given for.';
comment on column tasks.checks_attempt_id is 'Of a check: the attempt whose result it checks; null: none. No foreign key: attempts refer to tasks.';
comment on column tasks.checks_other_owner is 'Of a check: whether an agent of an owner of the author may not claim it; null: no check.';
-- Empty for all but checks.
create index tasks_checks on tasks (workspace_id, checks_attempt_id) where checks_attempt_id is not null;
create index tasks_checks_ready on tasks (workspace_id, task_id) where checks_attempt_id is not null and state = 'ready';

alter table evidence
    add column criteria_version int  not null default 1,
    add column exit_code        int,
    add column by_attempt_id    uuid,
    add column approval_id      uuid,
    add column tier             text not null default 'claimed',
    add column value            text,
    add constraint evidence_tier_known
        check (tier in ('claimed', 'attached', 'machine_checked', 'reviewed', 'person')),
    add constraint evidence_tier_supported check (case tier
        when 'claimed' then true
        when 'attached' then artifact_sha256 is not null and by_attempt_id is null
        when 'machine_checked' then approval_id is null and criterion is not null
        when 'reviewed' then by_attempt_id is not null and approval_id is null and criterion is not null
        else approval_id is not null and by_attempt_id is null and criterion is not null end);
update evidence set tier = 'attached' where artifact_sha256 is not null;
comment on column evidence.criteria_version is 'The version of the criteria of the task for which it was given.';
comment on column evidence.exit_code is 'Exit code of the program of a command criterion; null: none.';
comment on column evidence.by_attempt_id is 'The attempt of the check that gave it; null: the attempt itself, the server or a person gave it. No foreign key: the check may be pruned alone.';
comment on column evidence.approval_id is 'The approval by which a person gave it; null: none did.';
comment on column evidence.tier is 'How far it was checked: claimed, attached (names an artifact), machine_checked (by the server, or by a program that another agent ran), reviewed (by another agent), person. Computed by the server.';
comment on column evidence.value is 'The number of a metric, decimal; null: none.';

create function barred_from_check(in_workspace uuid, in_task uuid) returns setof uuid
language sql stable as $$
    with authors as (
        select c.checks_other_owner as other_owner, a.agent_id
        from tasks c
        join attempts x on x.workspace_id = in_workspace and x.attempt_id = c.checks_attempt_id
        join attempts a on a.workspace_id = in_workspace and a.task_id = x.task_id
        where c.workspace_id = in_workspace and c.task_id = in_task and a.agent_id is not null
    )
    select agent_id from authors
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
           or exists (select from authors a
                      join agent_owners o on o.workspace_id = in_workspace and o.agent_id = a.agent_id
                      join agent_owners p on p.workspace_id = in_workspace and p.owner = o.owner
                      where p.agent_id = g.agent_id))
$$;
comment on function barred_from_check is 'The agents that may not do a check: those that worked on the checked task, and if another owner is demanded those that share one with them or have none.';
