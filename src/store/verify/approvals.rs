//! Violations of the invariants of approvals: nothing waits for a decision already made.

use super::{Scope, finders};
use crate::domain::{approval::kind::Subject, states::ApprovalKind};

fn results(_: Scope) -> Vec<String> {
    ApprovalKind::with(Subject::Result)
}

finders! {
    waiting_is_asked(results): "
        select 'task', t.task_id::text, 'it is ' || t.state || ' and nobody is asked'
        from tasks t
        left join approvals p on p.workspace_id = $1 and p.task_id = t.task_id
             and p.state = 'pending' and (p.kind = any($3::text[])) = (t.state = 'reviewing')
        where t.workspace_id = $1 and t.state in ('parked', 'reviewing') and p.approval_id is null
          and t.short_limit_id is null and t.oversized_at is null
          -- Other agents check it.
          and not (t.state = 'reviewing' and exists (
               select from tasks c where c.workspace_id = $1 and c.checks_attempt_id = t.current_attempt_id
               and c.ended_at is null))
          -- The supervisor judges plans.
          and not (t.state = 'reviewing' and t.purpose is not distinct from 'plan')
          and (t.state = 'reviewing' or not exists (
               select from price_waits w where w.workspace_id = $1 and w.task_id = t.task_id))
          and (t.state = 'reviewing' or not exists (
               select from tasks c where c.workspace_id = $1 and c.parent_id = t.task_id
               and c.ended_at is null))
        union all
        select 'goal', g.goal_id::text, 'it is proposed and nobody is asked'
        from goals g
        left join approvals p on p.workspace_id = $1 and p.goal_id = g.goal_id
             and p.state = 'pending' and p.plan_id is not null
        where g.workspace_id = $1 and g.state = 'proposed' and p.approval_id is null";

    question_is_awaited(results): "
        select 'approval', p.approval_id::text, 'it is pending; its goal is ' || g.state ||
               coalesce(', its task is ' || t.state, '')
        from approvals p
        join goals g on g.workspace_id = $1 and g.goal_id = p.goal_id
        left join tasks t on t.workspace_id = $1 and t.task_id = p.task_id
        left join plans n on n.workspace_id = $1 and n.plan_id = p.plan_id
        -- An approval of a raise concerns many tasks; a duty cancels it when none waits.
        where p.workspace_id = $1 and p.state = 'pending' and p.limit_id is null and case
            -- Discovered work outlives the end of its goal, unless that is cancelled.
            when n.discovered_from is not null then g.state = 'cancelled' or n.state <> 'proposed'
            -- A version of the plan of a goal that is worked on, or its first plan.
            when p.plan_id is not null then
                 g.state not in ('proposed', 'active', 'verifying') or n.state is distinct from 'proposed'
            -- A rule may ask about a goal.
            when p.task_id is null then g.ended_at is not null
            when p.kind = any($3::text[]) then t.state is distinct from 'reviewing'
            else t.state is distinct from 'parked' end";

    votes_reach_quorum: "
        select 'approval', a.approval_id::text, 'it is ' || a.state || ' in stage ' || a.stage ||
               ' of ' || jsonb_array_length(a.policy -> 'stages') || ', and stage ' || s.stage ||
               ' has not the votes that it wants'
        from approvals a
        cross join lateral generate_series(1, jsonb_array_length(a.policy -> 'stages')) as s (stage)
        where a.workspace_id = $1 and a.policy_id is not null
          and (a.decided_by is not null or a.decided_by_person is not null)
          and a.state in ('approved', 'answered')
          -- In one of its rounds: the first people of the stage, or those it was escalated to.
          and not exists (
              select from approval_votes v
              where v.workspace_id = $1 and v.approval_id = a.approval_id
                and v.revision = a.revision and v.stage = s.stage
                and v.verdict in ('approve', 'answer')
              group by v.escalation, v.answer_sha256
              having count(*) >= case v.escalation
                  when 0 then (a.policy -> 'stages' -> (s.stage - 1) ->> 'quorum')::integer
                  else (a.policy -> 'escalation' -> (v.escalation - 1) ->> 'quorum')::integer end)";

    answers_close_rules: "
        select 'intervention', i.intervention_id::text,
               'it is open, and its question is ' || p.state
        from interventions i
        join approvals p on p.workspace_id = $1 and p.approval_id = i.approval_id
        where i.workspace_id = $1 and i.closed_at is null
          and p.state in ('approved', 'rejected', 'answered')";
}
