//! Decisions of people.
//!
//! A decision and its effect are one transaction, so nothing is ever approved and still waiting.
//! The pending state is the guard: a second decision is refused and changes nothing; the same one again
//! gets the same answer ([`again`]). A decision
//! that names the hash of another payload is refused too.

mod again;
pub mod by_link;
pub(in crate::app) mod effects;
pub(in crate::app) mod last_resort;
pub mod links;
pub mod request;
pub mod review;
pub mod revise;
pub(in crate::app) mod votes;

use serde_json::{Value, json};

use super::{
    App, Result, Unit,
    approvals::views::{self, Approval},
    caller::{Actor, Caller as _, ProjectOperatorCaller},
    unit::{
        idempotency::{Outcome, Request},
        locks::{lock_goal, lock_task, pending},
    },
};
use crate::{
    domain::{
        access::role::Role,
        approval::{
            excluded::{Decider, separate},
            kind::Subject,
            same_payload,
        },
        ids::{ApprovalId, WorkspaceId},
        journal::{Kind, NewRow},
        refusal::Refusal,
        states::ApprovalKind,
    },
    store::{
        self, Hold,
        approvals::{About, ApprovalFacts, Decision},
    },
};
use request::DecisionRequest;
use votes::Cast;

impl App {
    /// Decides an approval, or votes on it, according to its policy.
    ///
    /// # Errors
    /// `not_found`, `already_decided`, `separation_of_duties`, `payload_changed`,
    /// `not_an_approver`, `already_voted`, `invalid`; nothing was changed then.
    pub async fn decide(
        &self,
        caller: &ProjectOperatorCaller,
        approval: ApprovalId,
        request: &DecisionRequest,
        idempotency: Option<&Request>,
    ) -> Result<Outcome<Approval>> {
        let principal = caller.principal();
        let workspace = principal.workspace;
        self.see_approval(principal, approval).await?;
        let about = views::about(&mut self.reader(workspace).await?, approval).await?;
        request.check(about.kind)?;
        let decider = principal.decider();
        let by = (&decider, Some(principal.role));
        self.create(principal, idempotency, hold(about.kind), async |unit| {
            decide_as(unit, about, approval, by, request).await
        })
        .await
    }

    /// Begins the unit of work of a decision, if the request is valid for the kind of approval.
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
        self.begin_about(workspace, actor, kind).await
    }

    /// Begins the unit of work of a decision on this kind of approval; exclusive if it raises a
    /// limit.
    pub(in crate::app) async fn begin_about(
        &self,
        workspace: WorkspaceId,
        actor: Actor,
        kind: ApprovalKind,
    ) -> Result<Unit> {
        match hold(kind) {
            Hold::Alone => self.begin_alone(workspace, actor).await,
            Hold::Share => self.begin(workspace, actor).await,
        }
    }
}

/// A decision that raises a limit changes limits.
fn hold(kind: ApprovalKind) -> Hold {
    match kind.subject() {
        Subject::Limit => Hold::Alone,
        Subject::Plan | Subject::Start | Subject::Result | Subject::Question => Hold::Share,
    }
}

/// Decides in a unit of [`App::begin_to_decide`], with a key of a role or by a link.
///
/// # Errors
/// Those of [`App::decide`]; the unit must not be committed then.
pub(super) async fn decide_as(
    unit: &mut Unit,
    about: About,
    approval: ApprovalId,
    (decider, role): (&Decider, Option<Role>),
    request: &DecisionRequest,
) -> Result<Approval> {
    let About { kind: _, goal_id, task_id } = about;
    let goal = lock_goal(unit, goal_id).await?;
    let task = lock_task(unit, task_id).await?;
    let mut facts = store::approvals::lock(unit.tx(), approval).await?;
    if let Err(refusal) = pending(&facts) {
        if again::decided_so(unit, &facts, decider, request).await? {
            return views::read(unit.tx(), approval).await;
        }
        return Err(refusal.into());
    }
    same_payload(request.payload_sha256, facts.payload_sha256)?;
    if request.nobody_else {
        last_resort::admit(unit, &facts, role).await?;
    } else if !facts.allow_self {
        separate(&facts.excluded, decider)?;
        // The maker of a link could decide with it.
        decider.maker().map_or(Ok(()), |maker| separate(&facts.excluded, &maker))?;
    }
    fits(&facts, request.answer.as_ref())?;
    if let Some(payload) = &request.payload {
        facts = revise::replace(unit, facts, payload).await?;
        if request.nobody_else {
            // The new payload may have another policy, by which somebody else can decide.
            last_resort::admit(unit, &facts, role).await?;
        }
    }
    review::admit(unit, &facts, request).await?;
    let cast = if request.nobody_else {
        Cast::Decides(Box::new(request.clone()))
    } else {
        votes::cast(unit, &facts, decider, request).await?
    };
    match cast {
        Cast::Counts | Cast::Again => {}
        Cast::Decides(request) => {
            record(unit, &facts, &request, decider).await?;
            effects::take_effect(unit, &facts, &goal, task, &request).await?;
        }
    }
    views::read(unit.tx(), approval).await
}

/// Refuses an answer that does not match the answer schema.
pub(super) fn fits(facts: &ApprovalFacts, answer: Option<&Value>) -> Result<()> {
    let (Some(schema), Some(answer)) = (&facts.answer_schema, answer) else { return Ok(()) };
    Ok(schema.validate(answer).map_err(Refusal::invalid)?)
}

/// Stores the decision on a locked approval.
async fn record(
    unit: &mut Unit,
    facts: &ApprovalFacts,
    request: &DecisionRequest,
    decider: &Decider,
) -> Result<()> {
    let decision = Decision {
        approval_id: facts.approval_id,
        verdict: request.decision,
        reason: request.reason.as_deref(),
        answer: request.answer.as_ref(),
        decider,
        nobody_else: request.nobody_else,
    };
    store::approvals::decide(unit.tx(), &decision).await?;
    let mut data = json!({"kind": facts.kind, "state": request.decision.state(),
                          "verdict": request.decision, "revision": facts.revision,
                          "person": decider.person, "by_link": decider.link.is_some()});
    if request.nobody_else {
        data["nobody_else"] = json!(true);
    }
    review::describe(&mut data, request);
    let row = NewRow::new(Kind::ApprovalDecided)
        .goal(facts.goal_id)
        .task(facts.task_id)
        .attempt(facts.attempt_id)
        .approval(facts.approval_id)
        .before(&json!({"approval_id": facts.approval_id, "state": facts.state,
                        "payload_sha256": facts.payload_sha256}))
        .after(&json!({"approval_id": facts.approval_id, "state": request.decision.state(),
                       "payload_sha256": facts.payload_sha256, "verdict": request.decision,
                       "reason": request.reason, "answer": request.answer}));
    unit.record(row.data(data));
    Ok(())
}
