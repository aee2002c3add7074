//! Offering tasks again that waited for a budget.
//!
//! When a limit has room again, because an attempt gave back what it did not use, because people
//! raised it, or because a new period began, the tasks that waited for it are offered again in their
//! old order, as many as there is room for. A claim then judges each of them anew. Tasks that
//! somebody holds are left to the next look of the supervisor, so nobody waits for them under the
//! locks of windows.

use crate::{
    app::{Result, Unit, approvals::ask},
    domain::{
        ids::LimitId,
        journal::{Kind, NewRow},
        states::TaskState,
    },
    store::{self, budgets::waits::Waiting, tasks::moves::TaskMove},
};

/// How many tasks of a limit one unit of work offers beside other work; the supervisor's next look
/// offers more.
pub(in crate::app) const FEW: i64 = 100;
/// How many it offers when that is what it is for.
pub(in crate::app) const MANY: i64 = 5_000;

/// Offers what waits for limits, as far as their room goes and at most `most` for each; returns how
/// many tasks.
pub(in crate::app) async fn offer(
    unit: &mut Unit,
    rooms: &[(LimitId, i64)],
    most: i64,
) -> Result<u64> {
    let mut open: Vec<(LimitId, i64)> =
        rooms.iter().copied().filter(|(_, room)| *room >= 0).collect();
    if open.is_empty() {
        return Ok(0);
    }
    // Most of the time nothing waits, and one look for all limits says so.
    let limits: Vec<LimitId> = open.iter().map(|(limit, _)| *limit).collect();
    let awaited = store::budgets::waits::awaited(unit.tx(), &limits).await?;
    open.retain(|(limit, _)| awaited.contains(limit));
    let mut moves = Vec::new();
    for (limit, room) in &open {
        let waiting = store::budgets::waits::lock_waiting(unit.tx(), *limit, most).await?;
        let mut left = *room;
        for waits in waiting {
            if waits.short_min > left {
                continue;
            }
            left -= waits.short_min;
            moves.push(offered(&waits));
            let ready = NewRow::new(Kind::TaskReady).goal(waits.goal_id);
            unit.record(ready.task(waits.task_id));
        }
    }
    if moves.is_empty() {
        return Ok(0);
    }
    store::tasks::moves::apply(unit.tx(), &moves).await?;
    let limits: Vec<LimitId> = open.iter().map(|(limit, _)| *limit).collect();
    withdraw(unit, &limits).await?;
    Ok(moves.len() as u64)
}

/// Withdraws approvals about limits without waiting tasks.
pub(in crate::app) async fn withdraw(unit: &mut Unit, limits: &[LimitId]) -> Result<()> {
    let gone = store::budgets::waits::withdraw_questions(unit.tx(), limits).await?;
    for (approval, goal) in gone {
        unit.record(ask::withdrawn(approval, goal));
    }
    Ok(())
}

fn offered(waits: &Waiting) -> TaskMove {
    TaskMove {
        task_id: waits.task_id,
        state: TaskState::Ready,
        ready_from: waits.ready_from,
        claim_rank: waits.claim_rank,
        attempts_used: waits.attempts_used,
        lost_in_row: waits.lost_in_row,
        needs_met: false,
        short: None,
        failure: None,
        reason: None,
    }
}
