//! Tasks: cancelling, and acknowledging a failure.

pub mod attempts;
pub mod cascade;
pub(in crate::app) mod cascade_events;
pub mod change;
pub(in crate::app) mod checks;
pub mod create;
pub(in crate::app) mod dedup;
pub mod detail;
pub mod edit;
pub mod list;
pub(in crate::app) mod planned;
pub(in crate::app) mod posted;
pub(in crate::app) mod returns;
pub(in crate::app) mod starts;
pub(in crate::app) mod subtasks;
pub mod unblock;
pub(in crate::app) mod upward;
pub(in crate::app) mod verification;
mod weigh;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    App, Result, Unit,
    caller::{Caller as _, Principal, ProjectOperatorCaller, ProjectSubmitterCaller},
    unit::locks::lock_goal_of,
};
use crate::{
    domain::{
        check::Checks,
        ids::TaskId,
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        settings,
        states::TaskState,
    },
    store,
};
use detail::TaskDetail;

/// An operator's remark on a failed task or goal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Acknowledgement {
    /// Finding about the failure, for the journal; at most 1,000 characters.
    #[schema(example = "the test data made the agent run out of memory", max_length = 1000)]
    pub reason: String,
}

impl Acknowledgement {
    pub(super) fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        checks.chars("/reason", &self.reason, settings::TITLE_CHARS * 2);
        Ok(checks.finish()?)
    }
}

impl App {
    /// Acknowledges the failure of a task, which removes it from `GET /v1/attention`. Repeating it
    /// changes nothing.
    ///
    /// # Errors
    /// `not_found`, `invalid`; `wrong_state` if the task has not failed.
    pub async fn acknowledge_task(
        &self,
        caller: &ProjectOperatorCaller,
        task: TaskId,
        said: &Acknowledgement,
    ) -> Result<TaskDetail> {
        said.check()?;
        let principal = caller.principal();
        self.see_task(principal, task).await?;
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let found = store::tasks::edit::lock(unit.tx(), task).await?;
        let facts = found.ok_or_else(|| Refusal::not_found("task"))?;
        if facts.state != TaskState::Failed {
            let detail = format!("the task is {} and has not failed", facts.state);
            return Err(Refusal::new(Code::WrongState, detail).into());
        }
        if facts.acknowledged_at.is_none() {
            store::tasks::edit::acknowledge(unit.tx(), task).await?;
            let event = NewRow::new(Kind::TaskAcknowledged).goal(facts.goal_id).task(task);
            unit.record(event.data(json!({"reason": said.reason})));
        }
        let task = detail::read(unit.tx(), task).await?;
        self.commit(unit).await?;
        Ok(task)
    }

    /// Cancels a task, everything it contains, and every task that needs one of these. Waiting
    /// tasks are cancelled at once; running attempts get the directive `stop`, and a result that
    /// arrives first still counts. Those that were cancelled already, because another task failed, no
    /// longer come back with its retry. Cancelling again changes nothing.
    ///
    /// # Errors
    /// `not_found`; `task_ended` if it is done or failed; `forbidden` for a submitter who did not post
    /// its goal.
    pub async fn cancel_task(
        &self,
        caller: &ProjectSubmitterCaller,
        task: TaskId,
        cancellation: &Cancellation,
    ) -> Result<TaskDetail> {
        let reason = cancellation.checked()?;
        let principal = caller.principal();
        self.see_task(principal, task).await?;
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        cancel(&mut unit, principal, task, reason).await?;
        let task = detail::read(unit.tx(), task).await?;
        self.commit(unit).await?;
        Ok(task)
    }
}

async fn cancel(unit: &mut Unit, principal: &Principal, task: TaskId, reason: &str) -> Result<()> {
    let goal = lock_goal_of(unit, task).await?.goal_id;
    posted::check(unit, principal, goal, "cancels tasks only of").await?;
    let facts = store::tasks::lock(unit.tx(), &[task]).await?;
    match facts.first().map(|facts| facts.state) {
        None => Err(Refusal::not_found("task").into()),
        Some(TaskState::Cancelled) => {
            if store::tasks::returns::keep_cancelled(unit.tx(), task).await? {
                let row = NewRow::new(Kind::TaskCancelRequested).goal(goal).task(task);
                unit.record(row.data(json!({"reason": reason})));
            }
            Ok(())
        }
        Some(state @ (TaskState::Done | TaskState::Failed)) => Err(ended(state)),
        Some(
            TaskState::Waiting
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Parked
            | TaskState::Reviewing,
        ) => {
            store::tasks::returns::keep_cancelled(unit.tx(), task).await?;
            let changes = cascade::cancel(unit, &[task], reason).await?;
            cascade::apply(unit, changes).await
        }
    }
}

fn ended(state: TaskState) -> super::Error {
    Refusal::new(Code::TaskEnded, format!("the task is {state}")).into()
}

/// A cancellation and its reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cancellation {
    /// Reason of the cancellation, for people. At most 16 KiB.
    #[schema(example = "superseded by another goal")]
    pub reason: Option<String>,
}

impl Cancellation {
    pub(super) fn checked(&self) -> Result<&str> {
        let Some(reason) = &self.reason else { return Ok("cancelled on request") };
        let mut checks = Checks::new();
        checks.ensure(!reason.trim().is_empty(), "/reason", "must not be empty");
        checks.bytes("/reason", reason, settings::MESSAGE_BYTES);
        checks.finish()?;
        Ok(reason)
    }
}
