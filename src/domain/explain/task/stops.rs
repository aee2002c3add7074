//! Freezes, rates, prices and budgets over a task.

use super::{
    approvals::decide,
    cause::{TaskCause, TaskCauseKind, cause},
    phrases::names,
    situation::Situation,
};
use crate::domain::{
    explain::{
        answer::{Actor, CauseFacts, FreezeOver, LackingLimit, NAMED, Remedy},
        request,
    },
    states::TaskState,
};

pub(super) fn frozen(freeze: &FreezeOver) -> TaskCause {
    let FreezeOver { scope, mode, reason, capability, .. } = freeze;
    let what =
        capability.as_ref().map_or_else(|| format!("the {scope}"), |name| format!("`{name}`"));
    let why = if reason.is_empty() { "no reason was given" } else { reason };
    let detail = format!("a {mode} is over {what} ({why})");
    let facts = CauseFacts { freeze: Some(freeze.clone()), ..CauseFacts::default() };
    let remedy = Remedy::by(Actor::operator(), request::lift(freeze.freeze_id));
    cause(TaskCauseKind::Freeze, detail, remedy, facts)
}

impl Situation {
    pub(super) fn price(&self) -> Option<TaskCause> {
        let first = self.models.first()?;
        let models: Vec<String> = self.models.iter().map(|model| model.model.clone()).collect();
        let detail = format!("it waits for the price of {}", models.join(", "));
        let facts = CauseFacts { models, ..CauseFacts::default() };
        let remedy = Remedy::by(Actor::operator(), first.add.clone());
        Some(cause(TaskCauseKind::Price, detail, remedy, facts))
    }

    pub(super) fn rate(&self) -> Option<TaskCause> {
        let free_at = self.rates.iter().map(|rate| rate.free_at).max()?;
        let capabilities: Vec<String> =
            self.rates.iter().map(|rate| rate.capability.clone()).collect();
        let detail = format!(
            "the rate of {} is used up; the next attempt starts at {}",
            names(capabilities.iter().map(String::as_str)),
            free_at.to_rfc3339()
        );
        let facts = CauseFacts { capabilities, ..CauseFacts::default() };
        Some(cause(TaskCauseKind::Rate, detail, Remedy::time(Some(free_at)), facts))
    }

    pub(super) fn budget(&self) -> Option<TaskCause> {
        let remedy = match &self.question {
            Some(question) if self.state == TaskState::Parked => Some(decide(question)),
            Some(_) | None => None,
        };
        budget(TaskCauseKind::Budget, &self.limits, remedy).map(|mut found| {
            found.facts.approval = self.question.as_ref().map(|question| question.approval.clone());
            found
        })
    }
}

/// The cause of limits that are short. `decide`: the decision about raising one of them.
#[must_use]
pub fn budget(
    kind: TaskCauseKind,
    limits: &[LackingLimit],
    decide: Option<Remedy>,
) -> Option<TaskCause> {
    let first = limits.first()?;
    let wait = &first.wait;
    let detail = format!(
        "the limit of {} {} of the {} per {} has {} left, and {} is needed",
        wait.limit, wait.unit, wait.node, wait.period, wait.remaining, wait.requested
    );
    let facts = CauseFacts {
        limits: limits.iter().take(NAMED).cloned().collect(),
        ..CauseFacts::default()
    };
    let raise =
        || Remedy { acts: Actor::operator(), request: first.raise.clone(), clears_at: None };
    let remedy = decide.unwrap_or_else(raise);
    Some(cause(kind, detail, Remedy { clears_at: first.renews_at, ..remedy }, facts))
}
