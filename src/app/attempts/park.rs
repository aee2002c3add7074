//! Attempts that give way to their own subtasks or to an approval.
//!
//! The attempt is parked: it frees its agent's slot, and neither lease nor timeout runs. After the
//! subtasks have ended or the approval is decided, the task is offered again. The next attempt gets
//! the checkpoint and the outcome.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    app::{
        App, Result, Unit,
        access::lease,
        approvals::{
            ask,
            views::{self, Approval},
        },
        attempts::end::{End, end},
        budgets,
        caller::{Caller as _, HolderCaller},
        gates::few_new_keys,
        tasks::{dedup, subtasks},
        unit::{
            idempotency::{Outcome, Request},
            locks::{self, Locked, find},
        },
    },
    domain::{
        approval::Risk,
        check::Checks,
        form::{AnswerSchema, check_options},
        freeze::{self, Act},
        ids::{ApprovalId, AttemptId, TaskId},
        plan::TaskSpec,
        refusal::{Code, Refusal},
        settings,
        spend::SpendReport,
        states::{ApprovalKind, AttemptState},
        task::{self, AttemptFacts, TaskFacts},
        words::words,
    },
    store::{self, Hold, approvals::NewApproval, goals::GoalFacts},
};

/// Subtasks to be done before the task continues.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubtasksRequest {
    /// The lease of the attempt, from its claim.
    pub lease: String,
    /// The subtasks. They may need or contain each other, but no other tasks. Their refs must be
    /// new in the goal. Your task is offered again after all of them have ended.
    pub tasks: Vec<TaskSpec>,
    /// Anything the next attempt needs to continue from here, any JSON; at most 256 KiB.
    #[serde(default)]
    pub checkpoint: Option<Value>,
    /// Spend since the last report.
    #[serde(default)]
    pub spend: SpendReport,
}

/// The created subtasks; the attempt has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SubtasksAnswer {
    /// Id of the ended attempt.
    pub attempt_id: AttemptId,
    /// Always `parked`: the attempt is over.
    pub attempt_state: AttemptState,
    /// Id of your task. It is parked until its subtasks have ended.
    pub task_id: TaskId,
    /// The created subtasks, in the order of the request.
    pub subtasks: Vec<Subtask>,
}

/// A created subtask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Subtask {
    /// Its name in the plan, as in the request.
    pub r#ref: String,
    /// Id of the new task; stable for its life.
    pub task_id: TaskId,
    /// Whether it was there already: it holds the dedup key of the request, and nothing was added. Your task does not
    /// wait for it.
    #[serde(default)]
    pub deduplicated: bool,
}

words! {
    /// Kind of an approval that an agent requests.
    pub enum QuestionKind {
        /// May I do this? Decided with `approve` or `reject`.
        Action => "action",
        /// A question; decided with `answer`.
        Input => "input",
    }
}

/// A request for an approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskRequest {
    /// The lease of the attempt, from its claim.
    pub lease: String,
    /// `action`: may I do this? `input`: a question that needs an answer.
    pub kind: QuestionKind,
    /// What to decide, in one line.
    #[schema(example = "Drop the table `users_old`?", min_length = 1, max_length = 500)]
    pub title: String,
    /// Everything a person needs to decide, Markdown. At most 64 KiB.
    #[serde(default)]
    pub body: String,
    /// The exact action to approve, such as a command; any JSON. At most 256 KiB.
    #[serde(default)]
    pub payload: Option<Value>,
    /// With `input`: the possible answers, two to twenty. The answer is then `{"choice": "<one of
    /// them>"}`. Short for an `answer_schema` with that one field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["staging", "production"]), min_items = 2, max_items = 20)]
    pub options: Option<Vec<String>>,
    /// With `input`: the form that a person fills in; the answer matches it. Never ask for secrets:
    /// answers are stored and shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_schema: Option<AnswerSchema>,
    /// Harm that a wrong decision could do; default: `medium`. The approval has at least the floor that the
    /// task or a rule sets: see its `risk_floor`.
    #[serde(default)]
    pub risk: Option<Risk>,
    /// Anything the next attempt needs to continue from here, any JSON; at most 256 KiB.
    #[serde(default)]
    pub checkpoint: Option<Value>,
    /// Spend since the last report.
    #[serde(default)]
    pub spend: SpendReport,
}

/// Locked rows of a running attempt, about to park or to change the plan of its goal.
#[derive(Debug)]
pub(super) struct Parking {
    pub goal: GoalFacts,
    pub task: TaskFacts,
    pub attempt: AttemptFacts,
}

impl App {
    /// Adds subtasks to the task of a running attempt and parks the attempt.
    ///
    /// # Errors
    /// `lease_lost`, `frozen`, `plan_invalid`, `goal_ended`, `task_ended`, `not_found`,
    /// `not_your_attempt`, `invalid`; nothing is stored then.
    pub async fn add_subtasks(
        &self,
        caller: &HolderCaller,
        attempt: AttemptId,
        asked: &SubtasksRequest,
        request: Option<&Request>,
    ) -> Result<Outcome<SubtasksAnswer>> {
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            check_rest(&asked.checkpoint, &asked.spend)?;
            let parking = hold(unit, caller, attempt, &asked.lease, Act::Begin).await?;
            let Parking { goal, task: parent, attempt: _ } = &parking;
            let held = dedup::held(unit, goal.goal_id, &asked.tasks, "/tasks").await?;
            let fresh = dedup::fresh_subtasks(&asked.tasks, &held)?;
            few_new_keys(unit, goal.goal_id, &fresh, "/tasks").await?;
            let ids = subtasks::add(unit, goal, parent, &fresh, "/tasks").await?;
            budgets::create::of_tasks(unit, &ids, &fresh).await?;
            let task = parent.task_id;
            let mut ids = ids.into_iter();
            let subtasks = asked.tasks.iter().enumerate().filter_map(|(index, spec)| {
                let held = held.iter().find(|held| held.index == index);
                let task_id = held.map_or_else(|| ids.next(), |held| Some(held.task_id))?;
                let deduplicated = held.is_some();
                Some(Subtask { r#ref: spec.r#ref.clone(), task_id, deduplicated })
            });
            let answer = SubtasksAnswer {
                attempt_id: attempt,
                attempt_state: AttemptState::Parked,
                task_id: task,
                subtasks: subtasks.collect(),
            };
            park(unit, &parking, &asked.checkpoint, &asked.spend, "waits for its subtasks").await?;
            Ok(answer)
        })
        .await
    }

    /// Requests an approval for a running attempt and parks the attempt.
    ///
    /// # Errors
    /// `lease_lost`, `frozen`, `goal_ended`, `task_ended`, `not_found`, `not_your_attempt`,
    /// `invalid`; nothing is stored then.
    pub async fn ask(
        &self,
        caller: &HolderCaller,
        attempt: AttemptId,
        asked: &AskRequest,
        request: Option<&Request>,
    ) -> Result<Outcome<Approval>> {
        let principal = caller.principal();
        self.create(principal, request, Hold::Share, async |unit| {
            check_question(asked)?;
            let parking = hold(unit, caller, attempt, &asked.lease, Act::Rest).await?;
            let approval: ApprovalId = unit.id();
            let kind = match asked.kind {
                QuestionKind::Action => ApprovalKind::Action,
                QuestionKind::Input => ApprovalKind::Input,
            };
            let question = NewApproval {
                task_id: Some(parking.task.task_id),
                attempt_id: Some(attempt),
                title: asked.title.clone(),
                body: asked.body.clone(),
                payload: asked.payload.clone(),
                risk: asked.risk.unwrap_or(Risk::Medium),
                answer_schema: form(asked).map(|form| json!(form)),
                asked_by: Some(principal.key),
                ..NewApproval::new(approval, kind, parking.goal.goal_id)
            };
            park(unit, &parking, &asked.checkpoint, &asked.spend, "waits for a person").await?;
            ask::ask(unit, vec![question]).await?;
            views::read(unit.tx(), approval).await
        })
        .await
    }
}

pub(super) fn check_rest(checkpoint: &Option<Value>, spend: &SpendReport) -> Result<()> {
    let mut checks = Checks::new();
    checks.json("/checkpoint", checkpoint.as_ref());
    spend.check(&mut checks, "/spend");
    Ok(checks.finish()?)
}

fn check_question(asked: &AskRequest) -> Result<()> {
    let mut checks = Checks::new();
    checks.line("/title", &asked.title, settings::TITLE_CHARS);
    checks.bytes("/body", &asked.body, settings::DESCRIPTION_BYTES);
    checks.json("/payload", asked.payload.as_ref());
    checks.json("/checkpoint", asked.checkpoint.as_ref());
    asked.spend.check(&mut checks, "/spend");
    check_form(&mut checks, asked);
    Ok(checks.finish()?)
}

fn check_form(checks: &mut Checks, asked: &AskRequest) {
    let question = asked.kind == QuestionKind::Input;
    if let Some(options) = &asked.options {
        checks.ensure(question, "/options", "belongs to a question of kind `input`");
        let both = asked.answer_schema.is_some();
        checks.ensure(!both, "/options", "stands for an `answer_schema`; give one of them");
        check_options(checks, "/options", options);
    }
    if let Some(form) = &asked.answer_schema {
        checks.ensure(question, "/answer_schema", "belongs to a question of kind `input`");
        form.check(checks, "/answer_schema");
    }
}

/// Form of the answer.
fn form(asked: &AskRequest) -> Option<AnswerSchema> {
    let options = asked.options.as_deref().map(AnswerSchema::of_options);
    options.or_else(|| asked.answer_schema.clone())
}

/// Locks a running attempt of the caller with its task and goal, which goes on.
///
/// # Errors
/// `not_found`, `not_your_attempt`, `lease_lost`, `frozen`, `goal_ended`, `task_ended`.
pub(super) async fn hold(
    unit: &mut Unit,
    caller: &HolderCaller,
    attempt: AttemptId,
    lease: &str,
    act: Act,
) -> Result<Parking> {
    let places = store::attempts::locate(unit.tx(), &[attempt]).await?;
    let place = places.first().ok_or_else(|| Refusal::not_found("attempt"))?;
    let Locked { mut goals, mut tasks, attempts } = locks::of_attempts(unit, &places).await?;
    let goal = goals.remove(&place.goal_id).ok_or_else(|| Refusal::not_found("goal"))?;
    let task = tasks.remove(&place.task_id).ok_or_else(|| Refusal::not_found("task"))?;
    let attempt = find(&attempts, attempt)?.clone();
    task::fence(&attempt, caller.holder(), &lease::hash(lease))?;
    freeze::admit(place.frozen, act)?;
    refuse_ending(&goal, &task)?;
    Ok(Parking { goal, task, attempt })
}

fn refuse_ending(goal: &GoalFacts, task: &TaskFacts) -> Result<()> {
    if !goal.state.has_attempts() {
        let detail = format!("the goal is {}; stop, and release the attempt", goal.state);
        return Err(Refusal::new(Code::GoalEnded, detail).into());
    }
    if task.cancelling {
        let detail = "the task is being cancelled; stop, and release the attempt";
        return Err(Refusal::new(Code::TaskEnded, detail).into());
    }
    Ok(())
}

/// Ends the attempt as parked; stores its checkpoint and spend.
async fn park(
    unit: &mut Unit,
    parking: &Parking,
    checkpoint: &Option<Value>,
    spend: &SpendReport,
    reason: &str,
) -> Result<()> {
    let Parking { goal: _, task, attempt } = parking;
    let ending = task::park(task);
    let parked = End::new(attempt, task.clone(), ending, reason.to_owned());
    let parked = End { checkpoint: checkpoint.clone(), spend: Some(spend), ..parked };
    end(unit, vec![parked], Vec::new()).await
}
