//! Violations of the invariant that evidence was checked as far as its tier says.

use super::finders;

finders! {
    // What the row itself shows is a constraint of the table.
    tiers_supported: "
        select 'attempt', e.attempt_id::text,
               'evidence ' || e.number || ' is ' || e.tier || ', and ' || case
                   when e.approval_id is not null then 'no person approved it'
                   when e.by_attempt_id is null then 'the server compares nothing for this criterion'
                   else 'no check by others gave it' end
        from evidence e
        join attempts a on a.workspace_id = $1 and a.attempt_id = e.attempt_id
        join tasks t on t.workspace_id = $1 and t.task_id = a.task_id
        left join criteria c on c.workspace_id = $1 and c.task_id = a.task_id and c.number = e.criterion
             and t.criteria_version = e.criteria_version
        where e.workspace_id = $1 and e.tier not in ('claimed', 'attached')
          and not case
              when e.approval_id is not null then exists (
                  select from approvals p
                  where p.workspace_id = $1 and p.approval_id = e.approval_id
                    and p.attempt_id = e.attempt_id and p.state = 'approved'
                    and (p.decided_by is not null or p.decided_by_person is not null
                         or p.decided_by_link is not null))
              when e.by_attempt_id is not null then exists (
                  select from attempts b
                  join tasks k on k.workspace_id = $1 and k.task_id = b.task_id
                  where b.workspace_id = $1 and b.attempt_id = e.by_attempt_id and b.state in ('accepted', 'rejected')
                    and k.checks_attempt_id = e.attempt_id
                    and (e.tier = 'reviewed' or e.exit_code is not null)
                    and not exists (
                        select from attempts o
                        where o.workspace_id = $1 and o.task_id = a.task_id and o.agent_id = b.agent_id
                          and o.number <= a.number))
              -- Criteria that were replaced since say nothing about older evidence.
              when c.number is null then t.criteria_version <> e.criteria_version
              else c.type = 'json_schema' or c.type = 'artifact' and e.artifact_sha256 is not null end";
}
