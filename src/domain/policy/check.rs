//! What a policy must look like.

use std::collections::BTreeSet;

use super::{Delegation, Escalation, OnExpiry, Person, PolicyMatch, PolicySpec, PolicyStage};
use crate::domain::{
    approval::Verdict,
    check::{Checks, pointer},
    refusal::Refusal,
    settings,
    spend::{Amounts, check_amounts},
    states::ApprovalKind,
};

/// Stages of a policy, and levels of its escalation.
const STAGES: usize = 5;
/// Approvers of a stage.
const APPROVERS: usize = 20;
/// Delegations of a policy.
const DELEGATIONS: usize = 50;
/// The bounds of a priority.
const PRIORITY: std::ops::RangeInclusive<i32> = -1000..=1000;

impl PolicySpec {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// `invalid`, with every place that must change.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        checks.line("/name", &self.name, settings::NAME_CHARS);
        checks.range("/priority", self.priority, PRIORITY);
        check_match(&mut checks, &self.r#match);
        checks.ensure(!self.stages.is_empty(), "/stages", "must have at least one stage");
        checks.count("/stages", self.stages.len(), STAGES);
        for (index, stage) in self.stages.iter().enumerate().take(STAGES) {
            let PolicyStage { approvers, quorum } = stage;
            check_panel(&mut checks, &pointer("/stages", index), approvers, *quorum);
        }
        self.check_expiry(&mut checks);
        self.check_default(&mut checks);
        self.check_escalation(&mut checks);
        self.check_delegations(&mut checks);
        checks.finish()
    }

    fn check_expiry(&self, checks: &mut Checks) {
        check_seconds(checks, "/expires_after_seconds", self.expires_after_seconds);
        check_seconds(checks, "/remind_every_seconds", self.remind_every_seconds);
        match (self.expires_after_seconds, self.on_expiry) {
            (Some(_), None) => checks.add("/on_expiry", "must say what happens then"),
            (None, Some(_)) => {
                checks.add("/expires_after_seconds", "must say when `on_expiry` happens");
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn check_default(&self, checks: &mut Checks) {
        let wanted = [self.on_expiry, self.escalation_ends].contains(&Some(OnExpiry::Default));
        let Some(default) = &self.default else {
            return checks.ensure(!wanted, "/default", "must say what is decided then");
        };
        checks.ensure(wanted, "/default", "belongs to `on_expiry` or `escalation_ends` `default`");
        checks.json("/default/answer", default.answer.as_ref());
        let kinds = &self.r#match.kinds;
        let only_questions = kinds.as_slice() == [ApprovalKind::Input];
        match default.decision {
            None => {
                let detail = "must be `approve` or `reject`: the policy is not for `input` alone";
                checks.ensure(only_questions, "/default/decision", detail);
            }
            Some(Verdict::Approve | Verdict::Reject) => {}
            Some(Verdict::Answer | Verdict::Decline) => {
                let detail = "must be `approve` or `reject`; a question is answered by `answer`, \
                              and declined without";
                checks.add("/default/decision", detail);
            }
        }
    }

    fn check_escalation(&self, checks: &mut Checks) {
        let wanted = self.on_expiry == Some(OnExpiry::Escalate);
        let given = !self.escalation.is_empty();
        checks.ensure(given || !wanted, "/escalation", "must say who is asked next");
        checks.ensure(wanted || !given, "/escalation", "belongs to `on_expiry` `escalate`");
        checks.count("/escalation", self.escalation.len(), STAGES);
        for (index, level) in self.escalation.iter().enumerate().take(STAGES) {
            let Escalation { approvers, quorum, expires_after_seconds } = level;
            let at = pointer("/escalation", index);
            let named = !approvers.is_empty();
            checks.ensure(named, &pointer(&at, "approvers"), "must name somebody");
            check_panel(checks, &at, approvers, *quorum);
            let at = pointer(&at, "expires_after_seconds");
            check_seconds(checks, &at, Some(*expires_after_seconds));
        }
        match self.escalation_ends {
            Some(OnExpiry::Escalate) => {
                checks.add("/escalation_ends", "is what happens when nobody is left to be asked");
            }
            Some(OnExpiry::Reject | OnExpiry::CancelTask | OnExpiry::Wait | OnExpiry::Default) => {
                checks.ensure(wanted, "/escalation_ends", "belongs to `on_expiry` `escalate`")
            }
            None => {
                let detail = "must say what happens when the last were too slow";
                checks.ensure(!wanted, "/escalation_ends", detail);
            }
        }
    }

    fn check_delegations(&self, checks: &mut Checks) {
        checks.count("/delegations", self.delegations.len(), DELEGATIONS);
        let named = self.named();
        for (index, delegation) in self.delegations.iter().enumerate().take(DELEGATIONS) {
            let Delegation { delegator, delegate, from, until } = delegation;
            let at = pointer("/delegations", index);
            let known = named.contains(delegator);
            let detail = "is no approver of this policy: there is no place to hand on";
            checks.ensure(known, &pointer(&at, "delegator"), detail);
            let other = delegator != delegate;
            checks.ensure(other, &pointer(&at, "delegate"), "must be somebody else");
            let ordered = from.is_none_or(|from| until.is_none_or(|until| from < until));
            checks.ensure(ordered, &pointer(&at, "until"), "must be after `from`");
        }
    }
}

fn check_match(checks: &mut Checks, wanted: &PolicyMatch) {
    let PolicyMatch { kinds, capabilities, risk_at_least: _, project_id: _, cost_at_least } =
        wanted;
    let mut seen = BTreeSet::new();
    for (index, kind) in kinds.iter().enumerate() {
        checks.ensure(seen.insert(kind), &pointer("/match/kinds", index), "is listed twice");
    }
    checks.capabilities("/match/capabilities", capabilities, settings::TASK_CAPABILITIES);
    if let Some(cost) = cost_at_least {
        let at = "/match/cost_at_least";
        checks.range(&pointer(at, "amount"), cost.amount, 1..=settings::AMOUNT_MAX);
        check_amounts(checks, &pointer(at, "unit"), &Amounts::from([(cost.unit.clone(), 1)]));
    }
}

fn check_panel(checks: &mut Checks, at: &str, approvers: &[Person], quorum: u32) {
    let list = pointer(at, "approvers");
    checks.count(&list, approvers.len(), APPROVERS);
    let mut seen = BTreeSet::new();
    for (index, person) in approvers.iter().enumerate().take(APPROVERS) {
        checks.ensure(seen.insert(person), &pointer(&list, index), "is listed twice");
    }
    let most = if approvers.is_empty() { APPROVERS } else { approvers.len().min(APPROVERS) };
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let at = pointer(at, "quorum");
    checks.range(&at, quorum, 1..=most);
}

fn check_seconds(checks: &mut Checks, at: &str, seconds: Option<u32>) {
    let Some(seconds) = seconds else { return };
    let most = u32::try_from(settings::DURATION_MAX.as_secs()).unwrap_or(u32::MAX);
    checks.range(at, seconds, 1..=most);
}
