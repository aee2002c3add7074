//! Violations of the invariants of how tasks and attempts end.

use super::finders;

finders! {
    // A task ticked off in the plan is done from its creation, without an attempt.
    done_by_one_attempt: "
        select 'task', t.task_id::text,
               'it is ' || t.state || ', and ' || coalesce(a.n, 0) || ' attempts are accepted'
        from tasks t
        left join (select task_id, count(*) as n from attempts
                   where workspace_id = $1 and state = 'accepted' group by task_id) a
               on a.task_id = t.task_id
        where t.workspace_id = $1 and not t.container and coalesce(a.n, 0) <>
            case when t.state = 'done' and
                      (t.attempts_started > 0 or t.ended_at is distinct from t.created_at)
                      -- A later plan may say that it is done.
                      and (a.n > 0 or not exists (
                          select from plans p
                          where p.workspace_id = $1 and p.goal_id = t.goal_id
                            and p.base is not null and p.applied_at is not null
                            and p.document @> jsonb_build_array(jsonb_build_object('ref', t.ref, 'done', true))))
                 then 1 else 0 end";

    answered: "
        select 'attempt', a.attempt_id::text, 'it is ' || a.state || ' and has no answer'
        from attempts a
        left join attempt_results r on r.workspace_id = $1 and r.attempt_id = a.attempt_id
        where a.workspace_id = $1 and r.attempt_id is null
          and a.state in ('submitted', 'accepted', 'rejected', 'failed', 'released')";

    evidence_given: "
        select 'task', t.task_id::text, 'nothing is shown for criterion ' || c.number
        from criteria c
        join tasks t on t.workspace_id = $1 and t.task_id = c.task_id
        left join evidence e on e.workspace_id = $1 and e.attempt_id = t.current_attempt_id
                            and e.criterion = c.number
                            and (e.met or c.goal_criterion is not null or c.checks is not null)
                            and tier_rank(e.tier) >= tier_rank(c.min_tier)
        left join waivers w on w.workspace_id = $1 and w.attempt_id = t.current_attempt_id
                           and w.criterion = c.number
        where c.workspace_id = $1 and c.required and e.attempt_id is null and w.attempt_id is null
          and t.state = 'done' and t.attempts_started > 0";

    ended_at_the_end: "
        select 'task', task_id::text, 'it is ' || state || ' and ended ' ||
               coalesce(ended_at::text, 'never')
        from tasks where workspace_id = $1
          and (state in ('done', 'failed', 'cancelled')) <> (ended_at is not null)
        union all
        select 'goal', goal_id::text, 'it is ' || state || ' and ended ' ||
               coalesce(ended_at::text, 'never')
        from goals where workspace_id = $1
          and (state in ('completed', 'failed', 'cancelled')) <> (ended_at is not null)
        union all
        select 'attempt', attempt_id::text, 'it is ' || state || ' and ended ' ||
               coalesce(ended_at::text, 'never')
        from attempts where workspace_id = $1 and (state <> 'running') <> (ended_at is not null)
        union all
        select 'approval', approval_id::text, 'it is ' || state || ' and was decided ' ||
               coalesce(decided_at::text, 'never')
        from approvals where workspace_id = $1 and (state <> 'pending') <> (decided_at is not null)";
}
