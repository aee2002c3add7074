//! Duty `expire_approvals`: reminds people of approvals, escalates them, and expires undecided
//! ones.
//!
//! It takes the same locks as a decision (goal, task, approval) and judges again under them, so of
//! a decision and an expiry only the first takes effect. The consequences are in the same
//! transaction, as with a decision.

use std::time::Duration;

use serde_json::json;

use super::{Duty, Report, Tally};
use crate::{
    app::{
        App, Error, Result, Unit,
        approvals::views,
        caller::Actor,
        decisions::{effects, fits, request::DecisionRequest},
        tasks::cascade,
        unit::locks::{lock_goal, lock_task},
    },
    domain::{
        approval::{Verdict, excluded::Decider, review::Choice},
        ids::{ApprovalId, WorkspaceId},
        journal::{Kind, NewRow},
        policy::{
            StagePosition,
            expiry::{self, Expired},
        },
        states::ApprovalState,
        task::TaskFacts,
    },
    store::{
        self,
        approvals::{
            About, ApprovalFacts, Decision,
            frozen_policy::{Schedule, Standing},
        },
        goals::GoalFacts,
    },
};

/// A locked approval that may be due, with the locked rows above it.
struct DueApproval {
    facts: ApprovalFacts,
    goal: GoalFacts,
    task: Option<TaskFacts>,
    standing: Standing,
}

pub(super) const DUTY: Duty = Duty {
    name: "expire_approvals",
    pace: Duration::ZERO,
    is_due: |due| due.approvals,
    run: |app, workspace| Box::pin(app.expire_approvals(workspace)),
};

impl App {
    /// Runs the duty once.
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
        let Some((mut unit, due)) = self.lock_due(workspace, approval).await? else {
            return Ok(0);
        };
        let place =
            StagePosition { stage: due.standing.stage, escalation: due.standing.escalation };
        let over = due.standing.expires_at.is_some_and(|at| at <= unit.now());
        if !over {
            let changed = remind(&mut unit, &due).await?;
            self.commit(unit).await?;
            return Ok(changed);
        }
        let expired = expiry::expired(&due.standing.policy, place, due.facts.kind);
        match take_effect(&mut unit, due, expired.clone()).await {
            Ok(()) => self.commit(unit).await?,
            // The policy's default is impossible, for example a raise without room. The approval is
            // rejected instead, so that it is not tried forever.
            Err(Error::Refused(refusal)) if matches!(expired, Expired::Default(..)) => {
                self.undo(unit).await?;
                tracing::warn!(%approval, %refusal, "a policy's default cannot be done");
                let Some((mut unit, due)) = self.lock_due(workspace, approval).await? else {
                    return Ok(0);
                };
                take_effect(&mut unit, due, Expired::Reject).await?;
                self.commit(unit).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(1)
    }

    /// Locks an approval that may be due; `None` if it is no longer pending.
    async fn lock_due(
        &self,
        workspace: WorkspaceId,
        approval: ApprovalId,
    ) -> Result<Option<(Unit, DueApproval)>> {
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
        Ok(Some((unit, DueApproval { facts, goal, task, standing })))
    }
}

/// Reminds people, if a reminder is due.
async fn remind(unit: &mut Unit, due: &DueApproval) -> Result<u64> {
    let now = unit.now();
    let Standing { stage, escalation, expires_at, remind_at, reminded, .. } = due.standing;
    if remind_at.is_none_or(|at| at > now) {
        return Ok(0);
    }
    let reminded = reminded + 1;
    let remind_at = expiry::next_reminder(&due.standing.policy, reminded, now);
    let to = Schedule { stage, escalation, expires_at, remind_at, reminded };
    store::approvals::frozen_policy::set_schedule(unit.tx(), due.facts.approval_id, to).await?;
    record_event(unit, Kind::ApprovalReminded, due, json!({"number": reminded, "overdue": false}));
    Ok(1)
}

/// Records an event about an approval, with the common data.
fn record_event(unit: &mut Unit, kind: Kind, due: &DueApproval, more: serde_json::Value) {
    let DueApproval { facts, standing, .. } = due;
    let mut data = json!({"kind": facts.kind, "policy_id": standing.policy_id,
                          "policy": standing.policy.name, "stage": standing.stage});
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

/// Applies the effect of an expired approval.
async fn take_effect(unit: &mut Unit, due: DueApproval, expired: Expired) -> Result<()> {
    match expired {
        Expired::Escalate(place) => escalate(unit, &due, place).await,
        Expired::Wait => wait(unit, &due).await,
        Expired::Reject => {
            let reason = end(unit, &due).await?;
            let request = request(&due, Verdict::Reject, reason, None);
            effects::take_effect(unit, &due.facts, &due.goal, due.task, &request).await
        }
        Expired::Cancel => {
            let reason = end(unit, &due).await?;
            cancel(unit, due, reason).await
        }
        Expired::Default(verdict, answer) => {
            // A question is declined if the policy's answer does not fit its form.
            let (verdict, answer) = match fits(&due.facts, answer.as_ref()) {
                Ok(()) => (verdict, answer),
                Err(Error::Refused(_)) => (Verdict::Decline, None),
                Err(error) => return Err(error),
            };
            let reason = format!(
                "nobody decided in time: the policy `{}` says so",
                due.standing.policy.name
            );
            let request = request(&due, verdict, reason, answer);
            decide(unit, &due, &request).await?;
            effects::take_effect(unit, &due.facts, &due.goal, due.task, &request).await
        }
    }
}

async fn escalate(unit: &mut Unit, due: &DueApproval, place: StagePosition) -> Result<()> {
    let now = unit.now();
    let (expires_at, remind_at) = expiry::clock(&due.standing.policy, place, now);
    let StagePosition { stage, escalation } = place;
    let to = Schedule { stage, escalation, expires_at, remind_at, reminded: 0 };
    store::approvals::frozen_policy::set_schedule(unit.tx(), due.facts.approval_id, to).await?;
    let (approvers, quorum) = due.standing.policy.approvers(place);
    let data = json!({"escalation": escalation, "approvers": approvers, "quorum": quorum,
                      "expires_at": expires_at});
    record_event(unit, Kind::ApprovalEscalated, due, data);
    Ok(())
}

/// Keeps the approval pending without an end; people are told, and reminders continue.
async fn wait(unit: &mut Unit, due: &DueApproval) -> Result<()> {
    let Standing { stage, escalation, remind_at, reminded, .. } = due.standing;
    let to = Schedule { stage, escalation, expires_at: None, remind_at, reminded };
    store::approvals::frozen_policy::set_schedule(unit.tx(), due.facts.approval_id, to).await?;
    let data = json!({"number": reminded, "overdue": true});
    record_event(unit, Kind::ApprovalReminded, due, data);
    Ok(())
}

/// Ends the approval as expired; returns the reason.
async fn end(unit: &mut Unit, due: &DueApproval) -> Result<String> {
    let reason = format!("nobody decided in time (policy `{}`)", due.standing.policy.name);
    let approval = due.facts.approval_id;
    store::approvals::frozen_policy::expire(unit.tx(), approval, &reason).await?;
    let data = json!({"state": ApprovalState::Expired, "on_expiry": due.standing.policy.on_expiry,
                      "revision": due.facts.revision});
    record_event(unit, Kind::ApprovalExpired, due, data);
    Ok(reason)
}

/// Stores the policy's default as the decision, without a deciding key.
async fn decide(unit: &mut Unit, due: &DueApproval, request: &DecisionRequest) -> Result<()> {
    let decision = Decision {
        approval_id: due.facts.approval_id,
        verdict: request.decision,
        reason: request.reason.as_deref(),
        answer: request.answer.as_ref(),
        decider: &Decider::NOBODY,
        nobody_else: false,
    };
    store::approvals::decide(unit.tx(), &decision).await?;
    let data = json!({"state": request.decision.state(), "verdict": request.decision,
                      "revision": due.facts.revision, "by_default": true});
    record_event(unit, Kind::ApprovalDecided, due, data);
    Ok(())
}

/// The policy's decision, in the form of a person's.
fn request(
    due: &DueApproval,
    verdict: Verdict,
    reason: String,
    answer: Option<serde_json::Value>,
) -> DecisionRequest {
    DecisionRequest {
        reason: Some(reason),
        answer,
        choice: due.facts.last_round.then(|| Choice::unmade(verdict)),
        ..DecisionRequest::new(verdict, due.facts.payload_sha256)
    }
}

/// Cancels the subject of an approval: its task, the goal of a plan, or the tasks that wait for a
/// limit.
async fn cancel(unit: &mut Unit, due: DueApproval, reason: String) -> Result<()> {
    match (due.facts.limit_id, due.facts.task_id) {
        (Some(limit), _) => cascade::cancel_waiting_for_limit(unit, limit, &reason).await,
        (None, Some(task)) => cascade::apply_cancel(unit, &[task], &reason).await,
        (None, None) => {
            let request = request(&due, Verdict::Reject, reason, None);
            effects::take_effect(unit, &due.facts, &due.goal, due.task, &request).await
        }
    }
}
