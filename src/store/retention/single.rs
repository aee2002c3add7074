//! Locking one ended goal that an admin deletes.

use chrono::Duration;

use crate::{
    domain::{ids::GoalId, retention::PruningHold, states::GoalState},
    store::{Tx, traced},
};

/// A locked goal.
#[derive(Debug, Clone)]
pub struct LockedGoal {
    /// Its state.
    pub state: GoalState,
    /// Why it must stay; `None`: it need not.
    pub hold: Option<PruningHold>,
}

/// How long after an attempt a goal is held: [`PruningHold::RecentAttempt`] is not asked for by a person who
/// deletes, so holds are judged as of then.
const RECENT: Duration = Duration::hours(26);

/// Locks a goal, then its tasks and attempts, each in id order; waits for others. Holds are judged under the
/// locks, so late spend is either seen or comes after the deletion.
pub async fn lock(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Option<LockedGoal>> {
    sqlx::query!(
        "select goal_id from goals
         where workspace_id = $1 and goal_id = $2
         for update",
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "retention.single.lock"))
    .await?;
    super::lock_work(tx, &[goal]).await?;
    sqlx::query_as!(
        LockedGoal,
        r#"select state as "state: GoalState",
                  pruning_hold(workspace_id, goal_id, $3) as "hold: PruningHold"
           from goals
           where workspace_id = $1 and goal_id = $2"#,
        tx.workspace.0,
        goal.0,
        tx.now + RECENT,
    )
    .fetch_optional(traced!(tx, "retention.single.lock"))
    .await
}
