//! Retrying what failed: one task, or everything of a goal.
//!
//! Finished work stays. What was cancelled because of the failure comes back, and a goal that had ended
//! is active again. A retried task gets further attempts; what it has used already stays counted. A check
//! of criteria is tried again only while a criterion waits for it.

use serde::{Deserialize, Serialize};

use super::{
    again::bring_back_in,
    planning::refuse_planning_task,
    views::{self, Goal},
};
use crate::{
    app::{
        App, Result, Unit,
        caller::{Caller as _, ProjectSubmitterCaller},
        tasks::{
            detail::{self, TaskDetail, TaskLink, links_to},
            posted, returns,
        },
        unit::locks::{lock_goal, lock_goal_of},
    },
    domain::{
        check::Checks,
        ids::{GoalId, TaskId},
        settings,
        task::returns::{Cause, Returns, retry},
    },
    store::tasks::returns::Grant,
};

/// A request to try failed work again. Every field may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryRequest {
    /// Number of further attempts that may fail or expire, 1 to 100, for each retried task. Default:
    /// as many as the plan gave the task.
    #[schema(minimum = 1, maximum = 100, example = 2)]
    pub attempts: Option<i32>,
    /// New time limit from ready to claimed, in seconds. Default: that of the task. It begins anew.
    #[schema(minimum = 1, maximum = 2592000)]
    pub start_within_seconds: Option<u32>,
    /// New time limit of all further attempts together, in seconds. Default: that of the task. It
    /// begins anew.
    #[schema(minimum = 1, maximum = 2592000)]
    pub finish_within_seconds: Option<u32>,
    /// Reason of the retry, for the journal. At most 16 KiB.
    #[schema(example = "the provider is back")]
    pub reason: Option<String>,
}

impl RetryRequest {
    fn checked(&self) -> Result<Grant> {
        let mut checks = Checks::new();
        if let Some(attempts) = self.attempts {
            checks.range("/attempts", attempts, 1..=100);
        }
        let longest = settings::DURATION_MAX.as_secs() as u32;
        for (at, seconds) in [
            ("/start_within_seconds", self.start_within_seconds),
            ("/finish_within_seconds", self.finish_within_seconds),
        ] {
            if let Some(seconds) = seconds {
                checks.range(at, seconds, 1..=longest);
            }
        }
        if let Some(reason) = &self.reason {
            checks.bytes("/reason", reason, settings::MESSAGE_BYTES);
        }
        checks.finish()?;
        let millis = |seconds: u32| i64::from(seconds) * 1000;
        Ok(Grant {
            attempts: self.attempts,
            start_within_ms: self.start_within_seconds.map(millis),
            finish_within_ms: self.finish_within_seconds.map(millis),
        })
    }

    fn because(&self) -> returns::Because<'_> {
        returns::Because { reason: self.reason.as_deref(), attempt: None }
    }
}

/// The tasks that a retry brought back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RetriedWork {
    /// The failed tasks that are tried again; the first 200 in the order of the plan.
    pub retried: Vec<TaskLink>,
    /// Number of failed tasks that are tried again.
    pub retried_count: i64,
    /// The tasks that came back with them: cancelled because of the failure, or around a task that
    /// came back. The first 200 in the order of the plan.
    pub restored: Vec<TaskLink>,
    /// Number of tasks that came back with them.
    pub restored_count: i64,
}

/// A task that is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RetriedTask {
    /// The task.
    #[serde(flatten)]
    pub task: TaskDetail,
    /// Everything that came back.
    #[serde(flatten)]
    pub work: RetriedWork,
}

/// A goal whose failed tasks are tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RetriedGoal {
    /// The goal.
    #[serde(flatten)]
    pub goal: Goal,
    /// Everything that came back.
    #[serde(flatten)]
    pub work: RetriedWork,
}

impl App {
    /// Tries a failed task again; of a container, every failed task inside it.
    ///
    /// # Errors
    /// `not_found`, `invalid`; `wrong_state` if it has not failed or cannot come back, or if its ended goal
    /// is in an archived project; `goal_ended` for a cancelled goal; `forbidden` for a submitter who did not post its goal; `workspace_full`,
    /// `budget_exhausted`.
    pub async fn retry_task(
        &self,
        caller: &ProjectSubmitterCaller,
        task: TaskId,
        request: &RetryRequest,
    ) -> Result<RetriedTask> {
        let grant = request.checked()?;
        let principal = caller.principal();
        self.see_task(principal, task).await?;
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let facts = lock_goal_of(&mut unit, task).await?;
        let goal = facts.goal_id;
        posted::check(&mut unit, principal, goal, "retries tasks only of").await?;
        retry::in_goal(facts.state)?;
        refuse_planning_task(&mut unit, task).await?;
        let found = retry::task(&returns::lock(&mut unit, goal).await?, task)?;
        bring_back_in(&mut unit, &facts, &found, grant, request.because()).await?;
        let work = work(&mut unit, &found).await?;
        let task = detail::read(unit.tx(), task).await?;
        self.commit(unit).await?;
        Ok(RetriedTask { task, work })
    }

    /// Tries every task of a goal again that failed and can come back.
    ///
    /// # Errors
    /// `not_found`, `invalid`; `wrong_state` if no task can be tried again, or if the ended goal is in an
    /// archived project; `goal_ended` for a cancelled goal; `forbidden` for a submitter who did not post it; `workspace_full`,
    /// `budget_exhausted`.
    pub async fn retry_goal(
        &self,
        caller: &ProjectSubmitterCaller,
        goal: GoalId,
        request: &RetryRequest,
    ) -> Result<RetriedGoal> {
        let grant = request.checked()?;
        let principal = caller.principal();
        self.see_goal(principal, goal).await?;
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let facts = lock_goal(&mut unit, goal).await?;
        posted::check(&mut unit, principal, goal, "retries only").await?;
        retry::in_goal(facts.state)?;
        let found = retry::goal(&returns::lock(&mut unit, goal).await?)?;
        bring_back_in(&mut unit, &facts, &found, grant, request.because()).await?;
        let work = work(&mut unit, &found).await?;
        let goal = views::read(unit.tx(), goal).await?;
        self.commit(unit).await?;
        Ok(RetriedGoal { goal, work })
    }
}

async fn work(unit: &mut Unit, found: &Returns) -> Result<RetriedWork> {
    let retried: Vec<TaskId> = found.of(Cause::Retried).collect();
    let restored: Vec<TaskId> = found.of(Cause::Restored).collect();
    Ok(RetriedWork {
        retried: links_to(unit.tx(), &retried).await?,
        retried_count: retried.len() as i64,
        restored: links_to(unit.tx(), &restored).await?,
        restored_count: restored.len() as i64,
    })
}
