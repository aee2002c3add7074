//! Deleting an ended goal for good.
//!
//! The goal goes as retention prunes it: with everything that the catalogue of tables counts to it, in one
//! transaction, after its spend was added to the daily totals. So sums of reports, of budgets above it and of
//! checks are the same before and after. What remains of the goal itself is its journal.
//!
//! Retention keeps a goal for a day after its last attempt, because forecasts look back that far. A person who
//! deletes does not wait for that: a forecast of that day is lower by the spend of the goal.
//!
//! A change of a limit or a freeze waits for the transaction, and claims wait behind that change. So a statement of
//! it is given up after [`STATEMENT_WITHIN_MS`] and the whole after [`TRANSACTION_WITHIN`], and the caller gets
//! `unavailable`: nobody waits for more than ten seconds. Deleting 5,000 tasks with 50,000 entries of spend takes
//! four on two cores. What takes longer is left to `muster prune`.

use std::time::Duration;

use serde_json::json;

use super::views;
use crate::{
    app::{
        App, Error, Result,
        caller::{AdminCaller, Caller as _, Principal},
        error::same_version,
    },
    domain::{
        ids::GoalId,
        journal::{Kind, NewRow},
        refusal::Refusal,
        retention,
    },
    store,
};

/// Time limit of a statement, in milliseconds. Waiting for locks counts.
const STATEMENT_WITHIN_MS: i64 = 4_000;
/// Time limit of the transaction.
const TRANSACTION_WITHIN: Duration = Duration::from_secs(6);

impl App {
    /// Deletes an ended goal with its tasks. `version`: the version the caller read (`If-Match`); `None` skips
    /// the check.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`; `wrong_state` if it has not ended, or something alive refers to it;
    /// `unavailable` if it takes too long.
    pub async fn delete_goal(
        &self,
        caller: &AdminCaller,
        goal: GoalId,
        version: Option<i64>,
    ) -> Result<()> {
        let deleting = self.delete_whole(caller.principal(), goal, version);
        tokio::time::timeout(TRANSACTION_WITHIN, deleting).await.unwrap_or_else(|_| {
            let detail =
                format!("not deleted within {TRANSACTION_WITHIN:?}; `muster prune` takes its time");
            Err(Error::Unavailable(detail))
        })
    }

    async fn delete_whole(
        &self,
        principal: &Principal,
        goal: GoalId,
        version: Option<i64>,
    ) -> Result<()> {
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        store::verify::limit_statements(unit.tx(), STATEMENT_WITHIN_MS).await?;
        let locked = store::retention::single::lock(unit.tx(), goal).await?;
        let locked = locked.ok_or_else(|| Refusal::not_found("goal"))?;
        let before = views::read(unit.tx(), goal).await?;
        if let Some(version) = version {
            same_version(i64::from(before.version), version)?;
        }
        retention::delete(locked.state, locked.hold)?;
        let owned = store::retention::owned(unit.tx(), &[goal]).await?;
        store::retention::fold::days(unit.tx(), &owned).await?;
        store::retention::fold::windows(unit.tx(), &owned).await?;
        store::retention::remove(unit.tx(), &owned).await?;
        let data = json!({
            "title": before.title, "state": before.state, "tasks": before.tasks.total,
            "ended_at": before.ended_at, "project_id": before.project_id,
        });
        unit.record(NewRow::new(Kind::GoalDeleted).goal(goal).before(&before).data(data));
        self.commit(unit).await
    }
}
