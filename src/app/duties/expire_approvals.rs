//! Reminds people of approvals, escalates them, and ends those that nobody decided in time.
//!
//! It happens under the same locks as a decision, goal before task before approval, and judges again
//! under them: of a decision and the end of the time, whichever comes first is the only one. What
//! follows is one transaction with it, as with a decision.

use std::time::Duration;

use serde_json::json;

use super::{Duty, Report, Tally};
use crate::{
    app::{
        App, Error, Result, Unit,
        approvals::views,
        caller::Actor,
        decisions::{effects, fits, request::DecisionRequest},
        error::corrupt,
        tasks::cascade,
        unit::locks::{lock_goal, lock_task},
    },
    domain::{
        approval::{Verdict, excluded::Decider, review::Choice},
        ids::{ApprovalId, WorkspaceId},
        journal::{Kind, NewRow},
        policy::{
            PolicySpec, StagePosition,
            expiry::{self, Expired},
        },
        states::ApprovalState,
        task::TaskFacts,
    },
    store::{
        self,
        approvals::{
            About, ApprovalFacts, Decision,
            frozen_policy::{Clocked, Standing},
        },
        goals::GoalFacts,
    },
};

/// An approval whose time may be over, with everything above it; all of it is locked.
struct Late {
    facts: ApprovalFacts,
    goal: GoalFacts,
    task: Option<TaskFacts>,
    standing: Standing,
    spec: PolicySpec,
}

/// The duty.
pub(super) const DUTY: Duty = Duty {
    name: "expire_approvals",
    pace: Duration::ZERO,
    is_due: |due| due.approvals,
    run: |app, workspace| Box::pin(app.expire_approvals(workspace)),
};

impl App {
    /// One run of the duty.
    pub async fn expire_approvals(&self, workspace: WorkspaceId) -> Result<Report> {
        let mut tx = self.reader(workspace).await?;
        let due = store::approvals::frozen_policy::due(&mut tx).await?;
        drop(tx);
        let mut tally = Tally::default();
        for approval in due {
            tally.note(self.expire_approval(workspace, approval).await);
        }
        Ok(tally.report())
    }

    async fn expire_approval(&self, workspace: WorkspaceId, approval: ApprovalId) -> Result<u64> {
        let Some((mut unit, late)) = self.hold_late(workspace, approval).await? else {
            return Ok(0);
        };
        let place =
            StagePosition { stage: late.standing.stage, escalation: late.standing.escalation };
        let over = late.standing.expires_at.is_some_and(|at| at <= unit.now());
        if !over {
            let changed = remind(&mut unit, &late).await?;
            self.commit(unit).await?;
            return Ok(changed);
        }
        let expired = expiry::expired(&late.spec, place, late.facts.kind);
        match take_effect(&mut unit, late, expired.clone()).await {
            Ok(()) => self.commit(unit).await?,
            // What the policy would decide cannot be done: a raise that nothing is left for. Then
            // nobody has decided, and it must not be tried for ever.
            Err(Error::Refused(refusal)) if matches!(expired, Expired::Default(..)) => {
                self.undo(unit).await?;
                tracing::warn!(%approval, %refusal, "a policy's default cannot be done");
                let Some((mut unit, late)) = self.hold_late(workspace, approval).await? else {
                    return Ok(0);
                };
                take_effect(&mut unit, late, Expired::Reject).await?;
                self.commit(unit).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(1)
    }

    /// Locks an approval that may be due, if it still waits.
    async fn hold_late(
        &self,
        workspace: WorkspaceId,
        approval: ApprovalId,
    ) -> Result<Option<(Unit, Late)>> {
        let about = views::about(&mut self.reader(workspace).await?, approval).await?;
        let About { kind, goal_id, task_id } = about;
        let mut unit = self.begin_about(workspace, Actor::SERVICE, kind).await?;
        let goal = lock_goal(&mut unit, goal_id).await?;
        let task = lock_task(&mut unit, task_id).await?;
        let facts = store::approvals::lock(unit.tx(), approval).await?;
        let standing = store::approvals::frozen_policy::standing(unit.tx(), approval).await?;
        let Some(standing) = standing.filter(|_| facts.state == ApprovalState::Pending) else {
            return Ok(None);
        };
        let spec = serde_json::from_value(standing.policy.clone()).map_err(corrupt)?;
        Ok(Some((unit, Late { facts, goal, task, standing, spec })))
    }
}

/// Reminds people, if it is time.
async fn remind(unit: &mut Unit, late: &Late) -> Result<u64> {
    let now = unit.now();
    let Standing { stage, escalation, expires_at, remind_at, reminded, .. } = late.standing;
    if remind_at.is_none_or(|at| at > now) {
        return Ok(0);
    }
    let reminded = reminded + 1;
    let remind_at = expiry::next_reminder(&late.spec, reminded, now);
    let to = Clocked { stage, escalation, expires_at, remind_at, reminded };
    store::approvals::frozen_policy::put(unit.tx(), late.facts.approval_id, to).await?;
    told(unit, Kind::ApprovalReminded, late, json!({"number": reminded, "overdue": false}));
    Ok(1)
}

/// An event about an approval, with what everybody wants to know of it.
fn told(unit: &mut Unit, kind: Kind, late: &Late, more: serde_json::Value) {
    let Late { facts, standing, spec, .. } = late;
    let mut data = json!({"kind": facts.kind, "policy_id": standing.policy_id,
                          "policy": spec.name, "stage": standing.stage});
    if let (Some(data), serde_json::Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
    }
    let row = NewRow::new(kind)
        .goal(facts.goal_id)
        .task(facts.task_id)
        .attempt(facts.attempt_id)
        .approval(facts.approval_id);
    unit.record(row.data(data));
}

/// Does what happens to an approval whose time is over.
async fn take_effect(unit: &mut Unit, late: Late, expired: Expired) -> Result<()> {
    match expired {
        Expired::Escalate(place) => escalate(unit, &late, place).await,
        Expired::Wait => wait(unit, &late).await,
        Expired::Reject => {
            let reason = end(unit, &late).await?;
            let request = request(&late, Verdict::Reject, reason, None);
            effects::take_effect(unit, &late.facts, &late.goal, late.task, &request).await
        }
        Expired::Cancel => {
            let reason = end(unit, &late).await?;
            cancel(unit, late, reason).await
        }
        Expired::Default(verdict, answer) => {
            // A question whose form the declared answer does not fit is declined.
            let (verdict, answer) = match fits(&late.facts, answer.as_ref()) {
                Ok(()) => (verdict, answer),
                Err(Error::Refused(_)) => (Verdict::Decline, None),
                Err(error) => return Err(error),
            };
            let reason = format!("nobody decided in time: the policy `{}` says so", late.spec.name);
            let request = request(&late, verdict, reason, answer);
            decide(unit, &late, &request).await?;
            effects::take_effect(unit, &late.facts, &late.goal, late.task, &request).await
        }
    }
}

async fn escalate(unit: &mut Unit, late: &Late, place: StagePosition) -> Result<()> {
    let now = unit.now();
    let (expires_at, remind_at) = expiry::clock(&late.spec, place, now);
    let StagePosition { stage, escalation } = place;
    let to = Clocked { stage, escalation, expires_at, remind_at, reminded: 0 };
    store::approvals::frozen_policy::put(unit.tx(), late.facts.approval_id, to).await?;
    let (approvers, quorum) = late.spec.approvers(place);
    let data = json!({"escalation": escalation, "approvers": approvers, "quorum": quorum,
                      "expires_at": expires_at});
    told(unit, Kind::ApprovalEscalated, late, data);
    Ok(())
}

/// It waits on, without an end; people are told so, and reminded as before.
async fn wait(unit: &mut Unit, late: &Late) -> Result<()> {
    let Standing { stage, escalation, remind_at, reminded, .. } = late.standing;
    let to = Clocked { stage, escalation, expires_at: None, remind_at, reminded };
    store::approvals::frozen_policy::put(unit.tx(), late.facts.approval_id, to).await?;
    let data = json!({"number": reminded, "overdue": true});
    told(unit, Kind::ApprovalReminded, late, data);
    Ok(())
}

/// Ends it as expired; returns why.
async fn end(unit: &mut Unit, late: &Late) -> Result<String> {
    let reason = format!("nobody decided in time (policy `{}`)", late.spec.name);
    let approval = late.facts.approval_id;
    store::approvals::frozen_policy::expire(unit.tx(), approval, &reason).await?;
    let data = json!({"state": ApprovalState::Expired, "on_expiry": late.spec.on_expiry,
                      "revision": late.facts.revision});
    told(unit, Kind::ApprovalExpired, late, data);
    Ok(reason)
}

/// Decides what the policy declares; no key did.
async fn decide(unit: &mut Unit, late: &Late, request: &DecisionRequest) -> Result<()> {
    let decision = Decision {
        approval_id: late.facts.approval_id,
        verdict: request.decision,
        reason: request.reason.as_deref(),
        answer: request.answer.as_ref(),
        decider: &Decider { key: None, person: None },
    };
    store::approvals::decide(unit.tx(), &decision).await?;
    let data = json!({"state": request.decision.state(), "verdict": request.decision,
                      "revision": late.facts.revision, "by_default": true});
    told(unit, Kind::ApprovalDecided, late, data);
    Ok(())
}

/// The policy's word in the form of a person's.
fn request(
    late: &Late,
    verdict: Verdict,
    reason: String,
    answer: Option<serde_json::Value>,
) -> DecisionRequest {
    DecisionRequest {
        reason: Some(reason),
        answer,
        choice: late.facts.last_round.then(|| Choice::unmade(verdict)),
        ..DecisionRequest::new(verdict, late.facts.payload_sha256)
    }
}

/// Cancels what an approval was about: its task, the goal of a plan, or what waits for a limit.
async fn cancel(unit: &mut Unit, late: Late, reason: String) -> Result<()> {
    match (late.facts.limit_id, late.facts.task_id) {
        (Some(limit), _) => cascade::cancel_waiting_for_limit(unit, limit, &reason).await,
        (None, Some(task)) => cascade::apply_cancel(unit, &[task], &reason).await,
        (None, None) => {
            let request = request(&late, Verdict::Reject, reason, None);
            effects::take_effect(unit, &late.facts, &late.goal, late.task, &request).await
        }
    }
}
