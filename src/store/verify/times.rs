//! Violations of the invariants of time: `$3` is the time up to which due work must be done.

use super::{due, finders};

finders! {
    leases_swept (due): "
        select 'attempt', attempt_id::text, 'it runs; its lease ended ' || lease_expires_at ||
               ', its hard deadline is ' || hard_deadline
        from attempts
        where workspace_id = $1 and state = 'running'
          and (lease_expires_at <= $3::timestamptz or hard_deadline <= $3::timestamptz)";

    promoted_in_time (due): "
        select 'task', task_id::text, 'it waits for nothing since ' || ready_from
        from tasks
        where workspace_id = $1 and state = 'waiting' and needs_unmet = 0
          and ready_from <= $3::timestamptz";

    deadlines_enforced (due): "
        select 'task', task_id::text, 'it is ' || state || ' and should have ended' ||
               coalesce('; to start by ' || start_by, '') ||
               coalesce('; to finish by ' || finish_by, '') ||
               coalesce('; to be cancelled by ' || cancel_by, '')
        from tasks
        where workspace_id = $1 and state <> 'done' and ended_at is null
          and ((state = 'ready' and start_by <= $3::timestamptz)
               or (state in ('waiting', 'ready', 'running') and finish_by <= $3::timestamptz)
               or cancel_by <= $3::timestamptz)";

    schedules_fire_in_time (due): "
        select 'schedule', schedule_id::text, 'it is due since ' || next_due
        from schedules
        where workspace_id = $1 and next_due <= $3::timestamptz";

    offers_end (due): "
        select 'task', task_id::text, 'it is kept for those that it was handed over to, until ' || offer_until
        from tasks
        where workspace_id = $1 and offer_until <= $3::timestamptz and ended_at is null";

    approvals_expire (due): "
        select 'approval', approval_id::text, 'it is pending, and its time was over at ' || expires_at
        from approvals
        where workspace_id = $1 and state = 'pending' and expires_at <= $3::timestamptz";
}
