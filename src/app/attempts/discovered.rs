//! Reports of work that an agent discovers while it works on its task.
//!
//! The report is a request of its own and no part of a heartbeat: it changes the plan of the goal, under the lock of
//! the goal, and heartbeats stay cheap. The attempt goes on.

use serde::{Deserialize, Serialize};

use super::park::{Parking, hold};
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, HolderCaller},
        goals::discovered::{Report, Reported, report},
        unit::idempotency::{Outcome, Request},
    },
    domain::{
        freeze::Act,
        ids::{ApprovalId, AttemptId, GoalId, PlanId, TaskId},
        plan::{
            TaskSpec,
            discovered::{DiscoveredOutcome, check_report},
        },
    },
    store::Hold,
};

/// A report of discovered work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscoveredRequest {
    /// The lease of the attempt, from its claim.
    pub lease: String,
    /// The tasks, at least one and at most 20, each with another title. Their refs are new in the goal. `needs` names
    /// tasks of the report by ref, and tasks of the goal, also yours, by ref or id. They stand beside your task; a
    /// `parent` is a task of the report or an open container of the goal. The defaults of the goal hold for tasks
    /// that set none.
    #[schema(example = json!([{"ref": "fix-index", "title": "Add the missing index on `orders`",
                               "needs": ["api"]}]))]
    pub tasks: Vec<TaskSpec>,
    /// Why they are needed, in Markdown, for the person who decides. At most 16 KiB.
    #[serde(default)]
    #[schema(example = "Listing orders reads the whole table: 4 s with last year's data.")]
    pub reason: String,
    /// Whether the goal does not complete before the decision. Default false.
    #[serde(default)]
    pub required: bool,
}

/// What became of a report. The attempt goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiscoveredAnswer {
    /// Id of the attempt that reported.
    pub attempt_id: AttemptId,
    /// Id of the goal.
    pub goal_id: GoalId,
    /// The plan that holds the new tasks: `GET /v1/goals/{goal_id}/plans`. `null` if all are duplicates.
    pub plan_id: Option<PlanId>,
    /// The approval by which a person decides; `null` if nobody is asked.
    pub approval_id: Option<ApprovalId>,
    /// The tasks, in the order of the report.
    pub tasks: Vec<DiscoveredTask>,
}

/// What became of a discovered task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiscoveredTask {
    /// Its name, as in the report; of a duplicate, the name of the task that the goal has.
    #[schema(example = "fix-index")]
    pub r#ref: String,
    /// `asked`, `taken` or `duplicate`.
    pub outcome: DiscoveredOutcome,
    /// The task of the goal; `null` while it waits for a decision.
    pub task_id: Option<TaskId>,
    /// The approval that it waits for; `null` if it is a task of the goal.
    pub approval_id: Option<ApprovalId>,
}

impl App {
    /// Reports discovered work: a person is asked, or its tasks are created.
    ///
    /// # Errors
    /// `lease_lost`, `frozen`, `goal_ended`, `task_ended`, `not_found`, `not_your_attempt`, `invalid`,
    /// `plan_invalid`, `workspace_full`; `wrong_state` if the goal takes none, or a limit of discovered work is
    /// reached. Nothing is stored then.
    pub async fn report_discovered(
        &self,
        caller: &HolderCaller,
        attempt: AttemptId,
        asked: &DiscoveredRequest,
        request: Option<&Request>,
    ) -> Result<Outcome<DiscoveredAnswer>> {
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            check_report(&asked.tasks, &asked.reason)?;
            let held = hold(unit, caller, attempt, &asked.lease, Act::Begin).await?;
            let Parking { goal, task, attempt: _ } = &held;
            let DiscoveredRequest { lease: _, tasks, reason, required } = asked;
            let what = Report { goal, task, attempt, tasks, reason, required: *required };
            Ok(answer(attempt, goal.goal_id, tasks, report(unit, what).await?))
        })
        .await
    }
}

fn answer(
    attempt_id: AttemptId,
    goal_id: GoalId,
    tasks: &[TaskSpec],
    reported: Reported,
) -> DiscoveredAnswer {
    let Reported { plan, approval, added, known } = reported;
    let mut added = added.map(|added| added.tasks).unwrap_or_default().into_iter();
    let of = |(index, task): (usize, &TaskSpec)| {
        let known = known.iter().find(|known| usize::try_from(known.index) == Ok(index));
        if let Some(known) = known {
            return DiscoveredTask {
                r#ref: known.reference.clone(),
                outcome: DiscoveredOutcome::Duplicate,
                task_id: known.task_id,
                approval_id: known.approval_id,
            };
        }
        let task_id = added.next().map(|added| added.task_id);
        let outcome = match approval {
            Some(_) => DiscoveredOutcome::Asked,
            None => DiscoveredOutcome::Taken,
        };
        DiscoveredTask { r#ref: task.r#ref.clone(), outcome, task_id, approval_id: approval }
    };
    let tasks = tasks.iter().enumerate().map(of).collect();
    DiscoveredAnswer { attempt_id, goal_id, plan_id: plan, approval_id: approval, tasks }
}
