//! Tasks: editing, cancelling, and acknowledging a quarantine.

pub mod attempts;
pub mod cascade;
pub(in crate::app) mod cascade_events;
pub mod change;
pub mod create;
pub mod detail;
pub mod list;
pub(in crate::app) mod posted;
pub(in crate::app) mod subtasks;
pub mod unblock;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    App, Result, Unit,
    caller::{Caller as _, OperatorCaller, Principal, ProjectSubmitterCaller},
    error::same_version,
    unit::locks::lock_goal,
};
use crate::{
    domain::{
        check::Checks,
        ids::TaskId,
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        settings,
        states::TaskState,
        task::quarantined,
    },
    store::{self, tasks::edit::EditFacts},
};
use detail::TaskDetail;

/// An edit of a task; fields left out stay.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TaskChange {
    /// New priority, 0 (lowest) to 9. One point outranks five minutes of waiting, including time
    /// already waited.
    #[schema(minimum = 0, maximum = 9)]
    pub priority: Option<i16>,
}

impl TaskChange {
    fn check(self) -> Result<()> {
        let mut checks = Checks::new();
        if let Some(priority) = self.priority {
            checks.range("/priority", priority, 0..=settings::PRIORITY_MAX);
        }
        Ok(checks.finish()?)
    }
}

/// An operator's remark on a quarantined task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Acknowledgement {
    /// Finding about the quarantine, for the journal; at most 1,000 characters.
    #[schema(example = "the test data made the agent run out of memory", max_length = 1000)]
    pub reason: String,
}

impl Acknowledgement {
    fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        checks.chars("/reason", &self.reason, settings::TITLE_CHARS * 2);
        Ok(checks.finish()?)
    }
}

impl App {
    /// Acknowledges the quarantine of a task, which removes it from `GET /v1/attention`. Repeating
    /// it changes nothing.
    ///
    /// # Errors
    /// `not_found`, `invalid`; `wrong_state` if the task is not in quarantine.
    pub async fn acknowledge_task(
        &self,
        caller: &OperatorCaller,
        task: TaskId,
        said: &Acknowledgement,
    ) -> Result<TaskDetail> {
        said.check()?;
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let found = store::tasks::edit::lock(unit.tx(), task).await?;
        let facts = found.ok_or_else(|| Refusal::not_found("task"))?;
        if !quarantined(facts.failure_class, facts.lost_in_row) {
            let detail = format!("the task is {} and not in quarantine", facts.state);
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

    /// Edits a task that has not ended. `version`: the version the caller read (`If-Match`); `None`
    /// skips the check.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `task_ended`, `invalid`.
    pub async fn update_task(
        &self,
        caller: &OperatorCaller,
        task: TaskId,
        version: Option<i64>,
        change: TaskChange,
    ) -> Result<TaskDetail> {
        change.check()?;
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let found = store::tasks::edit::lock(unit.tx(), task).await?;
        let EditFacts { goal_id, state, priority: before, version: stored, .. } =
            found.ok_or_else(|| Refusal::not_found("task"))?;
        if let Some(version) = version {
            same_version(i64::from(stored), version)?;
        }
        if state.is_terminal() {
            return Err(ended(state));
        }
        if let Some(priority) = change.priority.filter(|priority| *priority != before) {
            store::tasks::edit::set_priority(unit.tx(), task, priority).await?;
            let data = json!({"priority": priority, "priority_before": before});
            let event = NewRow::new(Kind::TaskUpdated).goal(goal_id).task(task);
            let facts = |priority: i16| json!({"task_id": task, "priority": priority});
            unit.record(event.before(&facts(before)).after(&facts(priority)).data(data));
        }
        let task = detail::read(unit.tx(), task).await?;
        self.commit(unit).await?;
        Ok(task)
    }

    /// Cancels a task, everything it contains, and every task that needs one of these. Waiting
    /// tasks are cancelled at once; running attempts get the directive `stop`, and a result that
    /// arrives first still counts. Cancelling a cancelled task changes nothing.
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
    let goal = store::tasks::goal_of(unit.tx(), task).await?;
    let goal = goal.ok_or_else(|| Refusal::not_found("task"))?;
    lock_goal(unit, goal).await?;
    posted::check(unit, principal, goal).await?;
    let facts = store::tasks::lock(unit.tx(), &[task]).await?;
    match facts.first().map(|facts| facts.state) {
        None => Err(Refusal::not_found("task").into()),
        Some(TaskState::Cancelled) => Ok(()),
        Some(state @ (TaskState::Done | TaskState::Failed)) => Err(ended(state)),
        Some(
            TaskState::Waiting
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Parked
            | TaskState::Reviewing,
        ) => {
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
