//! Passes of goals in the turns of claims.

use crate::{
    domain::{ids::GoalId, routing::turns},
    store::{Tx, columns::uuids, traced},
};

/// What a batch of claims does to the pass of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// The goal.
    pub goal_id: GoalId,
    /// Where its turns began.
    pub start: i64,
    /// Its stride, once for each of its tasks that were claimed.
    pub by: i64,
    /// Whether it has no ready task left.
    pub drained: bool,
}

/// Moves passes, as [`turns::advance`] does. What other claims added meanwhile stays. Locks the rows in id order;
/// nothing else locks them for longer than the end of a transaction.
pub async fn advance(tx: &mut Tx, goals: &[Advance]) -> sqlx::Result<()> {
    if goals.is_empty() {
        return Ok(());
    }
    let mut goals = goals.to_vec();
    goals.sort_unstable_by_key(|goal| goal.goal_id);
    let ids: Vec<GoalId> = goals.iter().map(|goal| goal.goal_id).collect();
    sqlx::query!(
        "insert into goal_turns as old (workspace_id, goal_id, pass, drained)
         select $1, a.goal_id, least(a.start + a.by, $6), a.drained
         from unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bool[])
              as a (goal_id, start, by, drained)
         order by a.goal_id
         on conflict (workspace_id, goal_id) do update
             set pass = least(greatest(excluded.pass, old.pass + (
                     select a.by from unnest($2::uuid[], $4::bigint[]) as a (goal_id, by)
                     where a.goal_id = excluded.goal_id)), $6),
                 drained = excluded.drained",
        tx.workspace.0,
        &uuids(&ids),
        &goals.iter().map(|goal| goal.start).collect::<Vec<_>>(),
        &goals.iter().map(|goal| goal.by).collect::<Vec<_>>(),
        &goals.iter().map(|goal| goal.drained).collect::<Vec<_>>(),
        turns::MOST_PASS,
    )
    .execute(traced!(tx, "attempts.turns.advance"))
    .await?;
    Ok(())
}
