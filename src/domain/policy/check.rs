//! Validation of policies.

use std::collections::BTreeSet;

use super::{Delegation, Escalation, OnExpiry, Person, PolicyMatch, PolicySpec, PolicyStage};
use crate::domain::{
    approval::Verdict,
    check::{Checks, pointer},
    refusal::Refusal,
    settings,
    spend::{Amounts, check_amounts, unit::check_meant},
    states::ApprovalKind,
};

/// Most stages of a policy, and most rounds of its escalation.
const STAGES: usize = 5;
/// Most approvers of a stage.
const APPROVERS: usize = 20;
/// Most delegations of a policy.
const DELEGATIONS: usize = 50;
/// Range of the priority.
const PRIORITY: std::ops::RangeInclusive<i32> = -1000..=1000;

impl PolicySpec {
    /// Refuses an inconsistent policy.
    ///
    /// # Errors
    /// `invalid`, with every fault.
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
            (Some(_), None) => checks.add("/on_expiry", "is required with `expires_after_seconds`"),
            (None, Some(_)) => {
                checks.add("/expires_after_seconds", "is required with `on_expiry`");
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn check_default(&self, checks: &mut Checks) {
        let wanted = [self.on_expiry, self.escalation_ends].contains(&Some(OnExpiry::Default));
        let Some(default) = &self.default else {
            return checks.ensure(
                !wanted,
                "/default",
                "is required with `default` in `on_expiry` or `escalation_ends`",
            );
        };
        checks.ensure(wanted, "/default", "requires `default` in `on_expiry` or `escalation_ends`");
        checks.json("/default/answer", default.answer.as_ref());
        let kinds = &self.r#match.kinds;
        let answer = |kind: &ApprovalKind| kind.takes(Verdict::Answer);
        let only_questions = !kinds.is_empty() && kinds.iter().all(answer);
        match default.decision {
            None => {
                let detail = "is required, as the policy covers other kinds than `input`";
                checks.ensure(only_questions, "/default/decision", detail);
            }
            Some(Verdict::Approve | Verdict::Reject) => {}
            Some(Verdict::Answer | Verdict::Decline) => {
                let detail = "must be `approve` or `reject`; for kind `input` state `answer`, or \
                              leave it out to decline";
                checks.add("/default/decision", detail);
            }
        }
    }

    fn check_escalation(&self, checks: &mut Checks) {
        let wanted = self.on_expiry == Some(OnExpiry::Escalate);
        let given = !self.escalation.is_empty();
        checks.ensure(given || !wanted, "/escalation", "is required with `on_expiry` `escalate`");
        checks.ensure(wanted || !given, "/escalation", "requires `on_expiry` `escalate`");
        checks.count("/escalation", self.escalation.len(), STAGES);
        for (index, level) in self.escalation.iter().enumerate().take(STAGES) {
            let Escalation { approvers, quorum, expires_after_seconds } = level;
            let at = pointer("/escalation", index);
            let named = !approvers.is_empty();
            checks.ensure(named, &pointer(&at, "approvers"), "must not be empty");
            check_panel(checks, &at, approvers, *quorum);
            let at = pointer(&at, "expires_after_seconds");
            check_seconds(checks, &at, Some(*expires_after_seconds));
        }
        match self.escalation_ends {
            Some(OnExpiry::Escalate) => {
                checks.add("/escalation_ends", "must not be `escalate`: nobody is left to ask");
            }
            Some(OnExpiry::Reject | OnExpiry::CancelTask | OnExpiry::Wait | OnExpiry::Default) => {
                checks.ensure(wanted, "/escalation_ends", "requires `on_expiry` `escalate`")
            }
            None => {
                let detail = "is required with `on_expiry` `escalate`";
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
            let detail = "is not an approver of this policy";
            checks.ensure(known, &pointer(&at, "delegator"), detail);
            let other = delegator != delegate;
            checks.ensure(other, &pointer(&at, "delegate"), "must be another person");
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
        check_meant(checks, &pointer(at, "unit"), &cost.unit);
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
