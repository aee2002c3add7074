//! Offering tasks that waited for a budget.
//!
//! A limit gets room when an attempt returns unused reservations, when it is raised, and when a new
//! period begins. Waiting tasks are then offered in their old claim order, as many as fit; a claim
//! judges each again. Tasks locked by others are left to the supervisor's next run, so no
//! transaction waits for them while it holds locks on windows.

use chrono::{DateTime, Utc};

use crate::{
    app::{Result, Unit, approvals::ask},
    domain::{
        ids::LimitId,
        journal::{Kind, NewRow},
        states::TaskState,
    },
    store::{self, budgets::waits::Waiting, tasks::moves::TaskMove},
};

/// Most tasks per limit that one unit of work offers beside other work; the supervisor's next run
/// offers more.
pub(in crate::app) const FEW: i64 = 100;
/// Most tasks per limit in a unit of work that does nothing else.
pub(in crate::app) const MANY: i64 = 5_000;

/// Offers tasks that wait for limits, as far as the room goes, at most `most` per limit. Returns
/// their number.
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
    // Usually no task waits, and one query for all limits shows it.
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
            moves.push(offered(&waits, unit.now()));
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

/// The move that offers a task which waited for a limit.
pub(in crate::app) fn offered(waits: &Waiting, now: DateTime<Utc>) -> TaskMove {
    TaskMove {
        task_id: waits.task_id,
        state: TaskState::Ready,
        ready_from: waits.ready_from.max(now),
        ranked_from: waits.ranked_from,
        attempts_used: waits.attempts_used,
        lost_in_row: waits.lost_in_row,
        released_in_row: waits.released_in_row,
        needs_met: false,
        short: None,
        failure: None,
        reason: None,
    }
}
