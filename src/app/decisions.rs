//! Decisions of people.
//!
//! A decision and its effect are one transaction: there is no moment at which something is
//! approved and still waits. The pending state is the guard: whoever decides second is told so and
//! changes nothing. So is the payload's hash: whoever saw another payload decides nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    App, Result, Unit, approval_views,
    approval_views::Approval,
    caller::{Actor, Caller as _, OperatorCaller},
    goals::{corrupt, lock_goal},
    outcomes, review, revisions,
    votes::{self, Cast},
};
use crate::{
    domain::{
        approval::{PayloadHash, Said, Verdict, check_decision, same_payload},
        check::Checks,
        duties::{Decider, separate},
        event::{EventKind, NewEvent},
        form::AnswerSchema,
        ids::{ApprovalId, TaskId, WorkspaceId},
        person::Person,
        refusal::{Code, Refusal},
        review::{Choice, FeedbackPoint, Waiver},
        settings,
        states::{ApprovalKind, ApprovalState},
        task::TaskFacts,
    },
    store::{
        self,
        approvals::{About, ApprovalFacts, Decision},
    },
};

/// A decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// `approve` or `reject`; for a question of kind `input`: `answer`, `decline` or `reject`.
    pub decision: Verdict,
    /// The `payload_sha256` of what you read: you decide exactly that. When the payload was revised
    /// meanwhile, nothing is decided, and the answer is `payload_changed`.
    #[schema(example = "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b")]
    pub payload_sha256: PayloadHash,
    /// Why; needed to reject. The next attempt reads it. At most 16 KiB.
    #[serde(default)]
    #[schema(example = "the migration has no down script")]
    pub reason: Option<String>,
    /// The answer to a question: what its `answer_schema` asks for, else any JSON, at most 256 KiB.
    #[serde(default)]
    #[schema(example = json!("use the staging account"))]
    pub answer: Option<Value>,
    /// With `approve`: yes, in this form. Checked like the original, and its next revision from then
    /// on: the tasks of a plan, what an agent wants to do, `proposed` of a budget.
    #[serde(default)]
    #[schema(example = json!({"command": "drop table users_old cascade"}))]
    pub payload: Option<Value>,
    /// The approver in whose place you vote, by a delegation of the approval's policy. Left out: your
    /// own, or that of the only one who lets you.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "alice@example.com")]
    pub in_place_of: Option<Person>,
    /// With `approve` of a result: the required criteria for which there is no evidence, each with why
    /// it is let go. All of them must be named, and no other.
    #[serde(default)]
    pub waive: Vec<Waiver>,
    /// With `reject` of a result: what the next attempt is told, point by point. At most 500.
    #[serde(default)]
    pub feedback: Vec<FeedbackPoint>,
    /// What becomes of a task whose results were rejected as often as may be: needed when the approval
    /// has `choices`.
    #[serde(default)]
    pub choice: Option<Choice>,
}

impl DecisionRequest {
    /// A verdict about a payload, and nothing else.
    #[must_use]
    pub fn new(decision: Verdict, payload_sha256: PayloadHash) -> Self {
        Self {
            decision,
            payload_sha256,
            reason: None,
            answer: None,
            payload: None,
            in_place_of: None,
            waive: Vec::new(),
            feedback: Vec::new(),
            choice: None,
        }
    }

    fn check(&self, kind: ApprovalKind) -> std::result::Result<(), Refusal> {
        let mut checks = Checks::new();
        let Self {
            decision,
            payload_sha256: _,
            reason,
            answer,
            payload,
            in_place_of: _,
            waive: _,
            feedback: _,
            choice: _,
        } = self;
        let said = Said {
            verdict: *decision,
            reason: reason.as_deref(),
            answer: answer.as_ref(),
            payload: payload.as_ref(),
        };
        check_decision(&mut checks, kind, said);
        review::check(&mut checks, kind, self);
        if let Some(reason) = reason {
            checks.bytes("/reason", reason, settings::MESSAGE_BYTES);
        }
        checks.json("/answer", answer.as_ref());
        checks.finish()
    }

    /// Whether it says yes, or answers.
    pub(super) fn approves(&self) -> bool {
        self.decision.state() != ApprovalState::Rejected
    }

    /// What became of it, in words.
    pub(super) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }
}

impl App {
    /// Decides what waits for a person, or votes on it, as its policy says.
    ///
    /// # Errors
    /// `not_found`, `already_decided`, `separation_of_duties`, `payload_changed`, `not_an_approver`,
    /// `already_voted`, `invalid`; nothing is changed then.
    pub async fn decide(
        &self,
        caller: &OperatorCaller,
        approval: ApprovalId,
        request: &DecisionRequest,
    ) -> Result<Approval> {
        let principal = caller.principal();
        let workspace = principal.workspace;
        let about = approval_views::about(&mut *self.reader().await?, workspace, approval).await?;
        let actor = principal.actor();
        let mut unit = self.begin_to_decide(workspace, actor, about.kind, request).await?;
        let decider = principal.decider();
        let decided = decide_as(&mut unit, about, approval, &decider, request).await?;
        self.commit(unit).await?;
        Ok(decided)
    }

    /// Begins a unit of work to decide something of a kind, if the request makes sense for it.
    ///
    /// # Errors
    /// `invalid`.
    pub(super) async fn begin_to_decide(
        &self,
        workspace: WorkspaceId,
        actor: Actor,
        kind: ApprovalKind,
        request: &DecisionRequest,
    ) -> Result<Unit> {
        request.check(kind)?;
        if kind == ApprovalKind::Budget {
            return self.begin_alone(workspace, actor).await;
        }
        self.begin(workspace, actor).await
    }
}

/// Decides in a unit of [`App::begin_to_decide`], whoever it is that decides, and whichever way they
/// came.
///
/// # Errors
/// As [`App::decide`]; then nothing of the unit may be committed.
pub(super) async fn decide_as(
    unit: &mut Unit,
    about: About,
    approval: ApprovalId,
    decider: &Decider,
    request: &DecisionRequest,
) -> Result<Approval> {
    let About { kind: _, goal_id, task_id } = about;
    let goal = lock_goal(unit, goal_id).await?;
    let task = lock_task(unit, task_id).await?;
    let mut facts = lock_pending(unit, approval).await?;
    same_payload(request.payload_sha256, facts.payload_sha256)?;
    if !facts.allow_self {
        separate(&facts.excluded, decider)?;
    }
    fits(&facts, request.answer.as_ref())?;
    if let Some(payload) = &request.payload {
        facts = revisions::replace(unit, facts, payload).await?;
    }
    review::admit(unit, &facts, request).await?;
    match votes::cast(unit, &facts, decider, request).await? {
        Cast::Counts | Cast::Again => {}
        Cast::Decides(request) => {
            record(unit, &facts, &request, decider).await?;
            outcomes::take_effect(unit, &facts, &goal, task, &request).await?;
        }
    }
    let workspace = unit.workspace();
    approval_views::read(unit.conn(), workspace, approval).await
}

/// Whether an answer is what the question asked for.
pub(super) fn fits(facts: &ApprovalFacts, answer: Option<&Value>) -> Result<()> {
    let (Some(schema), Some(answer)) = (&facts.answer_schema, answer) else { return Ok(()) };
    let form: AnswerSchema = serde_json::from_value(schema.clone()).map_err(corrupt)?;
    Ok(form.validate(answer).map_err(Refusal::invalid)?)
}

/// Locks an approval that waits.
///
/// # Errors
/// `already_decided`.
pub(super) async fn lock_pending(unit: &mut Unit, approval: ApprovalId) -> Result<ApprovalFacts> {
    let workspace = unit.workspace();
    let facts = store::approvals::lock(unit.conn(), workspace, approval).await?;
    if facts.state == ApprovalState::Pending {
        return Ok(facts);
    }
    let detail = "somebody decided this before, or what it was about has ended; read it again";
    Err(Refusal::new(Code::AlreadyDecided, detail).into())
}

pub(super) async fn lock_task(unit: &mut Unit, task: Option<TaskId>) -> Result<Option<TaskFacts>> {
    let Some(task) = task else { return Ok(None) };
    let workspace = unit.workspace();
    let locked = store::tasks::lock(unit.conn(), workspace, &[task]).await?;
    Ok(locked.into_iter().next())
}

/// Stores the decision on an approval that is locked.
async fn record(
    unit: &mut Unit,
    facts: &ApprovalFacts,
    request: &DecisionRequest,
    decider: &Decider,
) -> Result<()> {
    let (workspace, now) = (unit.workspace(), unit.now());
    let decision = Decision {
        approval_id: facts.approval_id,
        verdict: request.decision,
        reason: request.reason.as_deref(),
        answer: request.answer.as_ref(),
        decider,
    };
    store::approvals::decide(unit.conn(), workspace, now, &decision).await?;
    let mut data = json!({"kind": facts.kind, "state": request.decision.state(),
                          "verdict": request.decision, "revision": facts.revision,
                          "person": decider.person});
    review::tell(&mut data, request);
    let mut event = NewEvent::new(EventKind::ApprovalDecided)
        .goal(facts.goal_id)
        .attempt(facts.attempt_id)
        .approval(facts.approval_id)
        .before(&json!({"approval_id": facts.approval_id, "state": facts.state,
                        "payload_sha256": facts.payload_sha256}))
        .after(&json!({"approval_id": facts.approval_id, "state": request.decision.state(),
                       "payload_sha256": facts.payload_sha256, "verdict": request.decision,
                       "reason": request.reason, "answer": request.answer}))
        .data(data);
    event.task = facts.task_id;
    unit.record(event);
    Ok(())
}
