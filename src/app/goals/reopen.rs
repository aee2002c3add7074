//! Reopening a done task.
//!
//! The accepted result is taken back: its attempt is `rejected`, and the next attempt gets it with the
//! reason, as after a rejection in a review. No further attempt is granted; a done task has some left.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{again::bring_back_in, planning::refuse_planning_task};
use crate::{
    app::{
        App, Result, Unit,
        caller::{Caller as _, ProjectSubmitterCaller},
        tasks::{
            detail::{self, TaskDetail, TaskLink, links_to},
            posted, returns,
        },
        unit::locks::lock_goal_of,
    },
    domain::{
        check::Checks,
        ids::{AttemptId, TaskId},
        settings,
        states::AttemptState,
        task::returns::reopen,
    },
    store::{self, tasks::returns::Grant},
};

/// A request to have a done task done again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReopenRequest {
    /// Feedback on the result that is taken back, for the next attempt and the journal. At most
    /// 16 KiB.
    #[schema(example = "the importer loses the last line of each file")]
    pub reason: Option<String>,
}

impl ReopenRequest {
    fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        if let Some(reason) = &self.reason {
            checks.bytes("/reason", reason, settings::MESSAGE_BYTES);
        }
        Ok(checks.finish()?)
    }
}

/// A reopened task, and its dependents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReopenedTask {
    /// The task.
    #[serde(flatten)]
    pub task: TaskDetail,
    /// Tasks that were offered, asked about or open, were not begun, and wait again; the first 200 in
    /// the order of the plan.
    pub waiting_again: Vec<TaskLink>,
    /// Number of tasks that wait again.
    pub waiting_again_count: i64,
    /// Dependents that were begun before: they go on, or stay done, with the result that is taken
    /// back. Reopen or cancel them if they must not. The first 200 in the order of the plan.
    pub begun: Vec<TaskLink>,
    /// Number of dependents that were begun before.
    pub begun_count: i64,
}

impl App {
    /// Reopens a done task.
    ///
    /// # Errors
    /// `not_found`, `invalid`; `wrong_state` if it is not done or cannot come back, or if its ended goal is
    /// in an archived project; `goal_ended` for a cancelled goal; `forbidden` for a submitter who did not post its goal; `workspace_full`,
    /// `budget_exhausted`.
    pub async fn reopen_task(
        &self,
        caller: &ProjectSubmitterCaller,
        task: TaskId,
        request: &ReopenRequest,
    ) -> Result<ReopenedTask> {
        request.check()?;
        let principal = caller.principal();
        self.see_task(principal, task).await?;
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let facts = lock_goal_of(&mut unit, task).await?;
        let goal = facts.goal_id;
        posted::check(&mut unit, principal, goal, "reopens tasks only of").await?;
        reopen::in_goal(facts.state)?;
        refuse_planning_task(&mut unit, task).await?;
        let found = reopen::task(&returns::lock(&mut unit, goal).await?, task)?;
        let reason = request.reason.as_deref();
        let attempt = take_back(&mut unit, task, reason).await?;
        let because = returns::Because { reason, attempt };
        bring_back_in(&mut unit, &facts, &found, Grant::default(), because).await?;
        let waiting: Vec<TaskId> = found.waiting_again().collect();
        let answer = ReopenedTask {
            waiting_again: links_to(unit.tx(), &waiting).await?,
            waiting_again_count: waiting.len() as i64,
            begun: links_to(unit.tx(), &found.begun).await?,
            begun_count: found.begun.len() as i64,
            task: detail::read(unit.tx(), task).await?,
        };
        self.commit(unit).await?;
        Ok(answer)
    }
}

/// Rejects the accepted result of a task, with the reason as feedback; `None` if it was done without an
/// attempt.
async fn take_back(
    unit: &mut Unit,
    task: TaskId,
    reason: Option<&str>,
) -> Result<Option<AttemptId>> {
    let attempt = store::tasks::returns::lock_accepted(unit.tx(), task).await?;
    if let Some(attempt) = attempt {
        store::attempts::end(unit.tx(), &[(attempt, AttemptState::Rejected)]).await?;
        store::approvals::reviews::add_feedback(unit.tx(), attempt, reason, &json!([])).await?;
    }
    Ok(attempt)
}
