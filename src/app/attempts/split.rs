//! An agent divides its task: the attempt ends without a failure, and the task is a container of the parts.
//!
//! In contrast to subtasks, the agent does not get the task back: it is done when its parts are. So a task with
//! a budget of its own is divided by people only. That budget would limit none of the parts, and an agent must
//! not get around it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    end::{End, end},
    park::{Parking, check_rest, hold},
};
use crate::{
    app::{
        App, Result, Unit,
        caller::{Caller as _, HolderCaller},
        goals::split::{Part, Parts, divide},
        unit::idempotency::{Outcome, Request},
    },
    domain::{
        check::Checks,
        freeze::Act,
        ids::{AttemptId, TaskId},
        plan::{
            TaskSpec,
            split::{check_parts, divided},
        },
        refusal::{Code, Refusal},
        settings,
        spend::SpendReport,
        states::{AttemptState, TaskState},
    },
    store::{self, Hold},
};

/// The division of the task of a running attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitRequest {
    /// The lease of the attempt, from its claim.
    pub lease: String,
    /// The parts, at least one. They may need or contain each other, but no other tasks. Their refs must be
    /// new in the goal. A part that lists no capabilities gets those of the goal's `task_defaults`.
    #[schema(example = json!([{"ref": "api-read", "title": "Write the reading endpoints"},
                              {"ref": "api-write", "title": "Write the writing endpoints",
                               "needs": ["api-read"]}]))]
    pub tasks: Vec<TaskSpec>,
    /// Why it is too large for one attempt, for people. At most 16 KiB.
    #[serde(default)]
    #[schema(example = "reading and writing share no code")]
    pub message: Option<String>,
    /// What was found so far, any JSON; kept with the attempt. At most 256 KiB.
    #[serde(default)]
    pub checkpoint: Option<Value>,
    /// Spend since the last report.
    #[serde(default)]
    pub spend: SpendReport,
}

/// The divided task; the attempt has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SplitAnswer {
    /// Id of the ended attempt.
    pub attempt_id: AttemptId,
    /// Always `released`: the attempt does not count.
    pub attempt_state: AttemptState,
    /// Id of the task. It is a container now, done when its parts are.
    pub task_id: TaskId,
    /// State of the task: `running`, as an open container.
    pub task_state: TaskState,
    /// The parts, in the order of the request. A last one more if the task had criteria or its result needs an
    /// approval: it needs the others, and has these.
    pub parts: Vec<Part>,
}

impl App {
    /// Divides the task of a running attempt and ends the attempt.
    ///
    /// # Errors
    /// `lease_lost`, `frozen`, `plan_invalid`, `invalid`, `goal_ended`, `task_ended`, `not_found`,
    /// `not_your_attempt`; `wrong_state` for a task that cannot be divided. Nothing is stored then.
    pub async fn split(
        &self,
        caller: &HolderCaller,
        attempt: AttemptId,
        asked: &SplitRequest,
        request: Option<&Request>,
    ) -> Result<Outcome<SplitAnswer>> {
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            check_rest(&asked.checkpoint, &asked.spend)?;
            let mut checks = Checks::new();
            if let Some(message) = &asked.message {
                checks.bytes("/message", message, settings::MESSAGE_BYTES);
            }
            checks.finish()?;
            check_parts("/tasks", &asked.tasks)?;
            let held = hold(unit, caller, attempt, &asked.lease, Act::Begin).await?;
            let parts = split(unit, &held, asked).await?;
            Ok(SplitAnswer {
                attempt_id: attempt,
                attempt_state: AttemptState::Released,
                task_id: held.task.task_id,
                task_state: TaskState::Running,
                parts,
            })
        })
        .await
    }
}

async fn split(unit: &mut Unit, held: &Parking, asked: &SplitRequest) -> Result<Vec<Part>> {
    let Parking { goal, task, attempt } = held;
    let id = task.task_id;
    let division = store::tasks::split::divisions(unit.tx(), &[id]).await?.remove(&id);
    if division.is_some_and(|division| division.budgeted) {
        let detail = "the task has a budget of its own, which would limit none of its parts: add subtasks \
                      instead, or fail with the class `too_large`, so that a person divides it";
        return Err(Refusal::new(Code::WrongState, detail).into());
    }
    let message = asked.message.clone().unwrap_or_else(|| "the task was divided".to_owned());
    let ended = End::new(attempt, task.clone(), divided(task), message.clone());
    let ended = End { checkpoint: asked.checkpoint.clone(), spend: Some(&asked.spend), ..ended };
    end(unit, vec![ended], Vec::new()).await?;
    let parts = Parts { tasks: &asked.tasks, at: "/tasks", reason: &message };
    divide(unit, goal, task, parts).await
}
