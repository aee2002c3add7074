//! Duty `rank_again`: ranks the ready tasks of a workspace again after its routing changed to or from `fifo`.
//!
//! The change itself only stores that this is to be done: a workspace may have a million ready tasks. Each
//! transaction ranks those of some goals, under the locks of these, and stores how far it is. So a killed duty goes on
//! where it was, two processes do not rank the same goals, and claims, which take tasks of both orders, wait
//! for nobody. What becomes ready meanwhile gets the key of the new routing at once, because no unit of work runs
//! beside the change.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result, caller::Actor},
    domain::ids::{GoalId, WorkspaceId},
    store::{self, tasks::order::Unranked},
};

/// Tasks after which a transaction ranks no further goal.
const TASKS: i64 = 1_000;
/// Most goals of a transaction.
const GOALS: i64 = 100;
/// Time after which a run ends; the next one goes on.
const RUN: Duration = Duration::from_secs(1);

pub(super) const DUTY: Duty = Duty {
    name: "rank_again",
    pace: Duration::from_millis(500),
    is_due: |due| due.ranks,
    run: |app, workspace| Box::pin(app.rank_again(workspace)),
};

impl App {
    async fn rank_again(&self, workspace: WorkspaceId) -> Result<Report> {
        let bound = self.clock.bound(RUN);
        let mut report = Report::default();
        while let Some(ranked) = self.rank_some(workspace).await? {
            report.looked_at += ranked;
            report.did += ranked;
            if bound.is_over() {
                report.left = 1;
                break;
            }
        }
        Ok(report)
    }

    /// Ranks the ready tasks of some goals; returns their number, or `None` if nothing is left for this process.
    async fn rank_some(&self, workspace: WorkspaceId) -> Result<Option<u64>> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        let Some(after) = store::tasks::order::take_cursor(unit.tx()).await? else {
            return Ok(None);
        };
        let open = store::tasks::order::unranked(unit.tx(), after, GOALS).await?;
        let goals = bite(&open);
        let ranked = match goals.last() {
            None => {
                store::tasks::order::end_ranking(unit.tx()).await?;
                0
            }
            Some(last) => {
                // Deadlines and upward ranks change under the locks of goals, and are read after them.
                store::goals::lock(unit.tx(), &goals).await?;
                let ranked = store::tasks::order::rank_again(unit.tx(), &goals).await?;
                store::tasks::order::move_cursor(unit.tx(), *last).await?;
                ranked
            }
        };
        self.commit(unit).await?;
        Ok((!goals.is_empty()).then_some(ranked))
    }
}

/// The first goals that have up to [`TASKS`] tasks; at least one.
fn bite(open: &[Unranked]) -> Vec<GoalId> {
    let mut tasks = 0;
    let fits = |goal: &&Unranked| {
        let first = tasks == 0;
        tasks += goal.tasks;
        first || tasks <= TASKS
    };
    open.iter().take_while(fits).map(|goal| goal.goal_id).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_transaction_ranks_a_bounded_number_of_tasks() {
        let taken = |tasks: &[i64]| {
            let goals = tasks.iter().zip(1..);
            let open: Vec<Unranked> = goals
                .map(|(tasks, n)| Unranked { goal_id: GoalId(Uuid::from_u128(n)), tasks: *tasks })
                .collect();
            bite(&open).len()
        };
        assert_eq!(taken(&[]), 0);
        assert_eq!(taken(&[5_000, 1]), 1, "a goal of any size is ranked");
        assert_eq!(taken(&[0, 0, 600, 400, 0, 1, 0]), 5);
        assert_eq!(taken(&[0, 5_000, 1]), 2);
    }
}
