//! Violations of the invariants of hand-offs and comments.

use super::finders;

finders! {
    end_attempts: "
        select 'task', h.task_id::text, 'attempt ' || h.attempt_id || ' handed it over and is ' ||
               coalesce(a.state, 'not there')
        from hand_offs h
        left join attempts a on a.workspace_id = $1 and a.attempt_id = h.attempt_id
             and a.task_id = h.task_id and a.number = h.number
        where h.workspace_id = $1 and coalesce(a.state, '') <> 'released'
        union all
        select 'task', t.task_id::text, 'it is running, and still offered until ' || t.offer_until
        from tasks t
        where t.workspace_id = $1 and t.offer_until is not null and t.state = 'running'";

    comments_within_goal: "
        select 'comment', d.comment_id::text, 'it is for attempt ' || d.attempt_id ||
               ', which is not at its goal or task'
        from comment_deliveries d
        join comments c on c.workspace_id = $1 and c.comment_id = d.comment_id
        left join attempts a on a.workspace_id = $1 and a.attempt_id = d.attempt_id
        where d.workspace_id = $1
          and (a.goal_id is distinct from c.goal_id or c.task_id <> a.task_id)
        union all
        select 'comment', c.comment_id::text, 'it answers no question about its goal'
        from comments c
        left join comments q on q.workspace_id = $1 and q.comment_id = c.answers
        where c.workspace_id = $1 and c.answers is not null
          and (q.goal_id is distinct from c.goal_id or q.kind <> 'question')";
}
