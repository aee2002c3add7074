//! Review of results: criterion by criterion, and a bounded number of times.
//!
//! Accepting a result needs evidence for every required criterion, or a waiver with a reason. A
//! rejection sends the task back with feedback and does not count as a used attempt. After
//! [`max_rework`](TaskFacts::max_rework) rejections the task is not sent back: the person who decides
//! chooses how it continues.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Verdict, kind::Subject};
use crate::domain::{
    check::Checks,
    ids::AgentId,
    plan::{TaskSpec, yes},
    refusal::{Code, FieldError, Refusal},
    settings,
    states::{ApprovalKind, AttemptState},
    task::{Ending, Next, TaskFacts},
    words::words,
};

words! {
    /// How a task continues after `max_rework` rejected results. With `approve`: `accept` the last
    /// result. With `reject`: `reassign` for one more round, `split` into subtasks first, or `cancel`.
    pub enum ReviewChoice {
        /// Accepts the last result as it is. For `approve`.
        Accept => "accept",
        /// One more round, by another agent. For `reject`.
        Reassign => "reassign",
        /// Subtasks first, then one more round. For `reject`.
        Split => "split",
        /// Cancels the task. For `reject`.
        Cancel => "cancel",
    }
}

impl ReviewChoice {
    /// The verdict it belongs to.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Accept => Verdict::Approve,
            Self::Reassign | Self::Split | Self::Cancel => Verdict::Reject,
        }
    }
}

/// A waiver of a required criterion without evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The number of the waived criterion, from 1 in the order of the task's `criteria`.
    #[schema(minimum = 1, example = 2)]
    pub criterion: i16,
    /// Why no evidence is needed. At most 16 KiB; kept with the decision.
    #[schema(example = "the staging system is down; checked by hand", min_length = 1)]
    pub reason: String,
}

/// One point of feedback on a rejected result, delivered with the next claim of the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedbackPoint {
    /// The number of the criterion it concerns; left out: the result in general.
    #[serde(default)]
    #[schema(minimum = 1, example = 2)]
    pub criterion: Option<i16>,
    /// What is wrong, and what would be right. At most 16 KiB.
    #[schema(example = "the test covers only the empty list", min_length = 1)]
    pub text: String,
    /// Whether the next result must address it; `false`: optional. Default true.
    #[serde(default = "yes")]
    pub must: bool,
}

/// The choice how a task continues after `max_rework` rejected results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// With `approve`: `accept` the last result. With `reject`: `reassign` the task for one more round,
    /// `split` it into subtasks that come first, or `cancel` it.
    pub action: ReviewChoice,
    /// With `reassign`: the only agent that may claim the task; left out: every agent but the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// With `split`: at least one subtask, as in `POST /v1/attempts/{attempt_id}/subtasks`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskSpec>,
}

impl Choice {
    /// The choice for an approval that expired in the last round. A rejection cancels the task, as an
    /// expired start does.
    #[must_use]
    pub const fn unmade(verdict: Verdict) -> Self {
        Self::by(verdict, ReviewChoice::Cancel)
    }

    /// The choice for a panel that did not agree on one in the last round. A rejection gives the task
    /// one more round, because that loses nothing.
    #[must_use]
    pub const fn disagreed(verdict: Verdict) -> Self {
        Self::by(verdict, ReviewChoice::Reassign)
    }

    const fn by(verdict: Verdict, rejected: ReviewChoice) -> Self {
        let action = match verdict {
            Verdict::Approve | Verdict::Answer => ReviewChoice::Accept,
            Verdict::Reject | Verdict::Decline => rejected,
        };
        Self { action, agent_id: None, tasks: Vec::new() }
    }
}

/// The members of a decision about a result.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The verdict.
    pub verdict: Verdict,
    /// The waived criteria.
    pub waive: &'a [Waiver],
    /// The feedback for the next attempt.
    pub feedback: &'a [FeedbackPoint],
    /// How the task continues, in the last round.
    pub choice: Option<&'a Choice>,
}

/// Checks the members of a decision against its kind and verdict, without the result.
pub fn check_said(checks: &mut Checks, kind: ApprovalKind, said: Said<'_>) {
    let Said { verdict, waive, feedback, choice } = said;
    let of_result = kind.subject() == Subject::Result;
    let approves = of_result && verdict == Verdict::Approve;
    let rejects = of_result && verdict == Verdict::Reject;
    let detail = "is only for the decision `approve` about a result";
    checks.ensure(approves || waive.is_empty(), "/waive", detail);
    let detail = "is only for the decision `reject` about a result";
    checks.ensure(rejects || feedback.is_empty(), "/feedback", detail);
    checks.count("/waive", waive.len(), settings::TASK_CRITERIA);
    for (index, waiver) in waive.iter().enumerate() {
        checks.message(&format!("/waive/{index}/reason"), &waiver.reason);
    }
    checks.count("/feedback", feedback.len(), settings::LIST_ITEMS);
    for (index, point) in feedback.iter().enumerate() {
        checks.message(&format!("/feedback/{index}/text"), &point.text);
    }
    let Some(Choice { action, agent_id, tasks }) = choice else { return };
    checks.ensure(of_result, "/choice", "is only for a decision about a result");
    let fits = action.verdict() == verdict;
    let detail = format!("`{action}` is only for the decision `{}`", action.verdict());
    checks.ensure(fits, "/choice/action", detail);
    let reassigns = *action == ReviewChoice::Reassign;
    checks.ensure(reassigns || agent_id.is_none(), "/choice/agent_id", "is only for `reassign`");
    let splits = *action == ReviewChoice::Split;
    checks.ensure(splits || tasks.is_empty(), "/choice/tasks", "is only for `split`");
    checks.ensure(!splits || !tasks.is_empty(), "/choice/tasks", "must have at least one task");
}

/// Checks that a decision has a choice in the last round, and only then.
///
/// # Errors
/// `invalid` at `/choice`.
pub fn check_choice(last_round: bool, choice: Option<&Choice>) -> Result<(), Refusal> {
    match (last_round, choice) {
        (true, Some(_)) | (false, None) => Ok(()),
        (true, None) => Err(Refusal::invalid_at(
            "/choice",
            "must be given after the last rejection allowed: `accept`, `reassign`, `split` or \
             `cancel`",
        )),
        (false, Some(_)) => {
            let detail = "is only for the last round: the task can still be sent back";
            Err(Refusal::invalid_at("/choice", detail))
        }
    }
}

/// A criterion of a task, and whether a result has evidence for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Its number, from 1.
    pub number: i16,
    /// Whether evidence is required.
    pub required: bool,
    /// Whether the result has evidence of the tier that it demands.
    pub shown: bool,
    /// Whether it demands a person, and lacks nothing but their approval, which is the evidence.
    pub person: bool,
}

/// The criteria as the approval of a person shows them.
#[must_use]
pub fn approved_by_person(criteria: &[Shown]) -> Vec<Shown> {
    let approved = |one: &Shown| Shown { shown: one.shown || one.person, ..*one };
    criteria.iter().map(approved).collect()
}

/// Checks that exactly the required criteria without evidence are waived.
///
/// # Errors
/// `invalid`, with the needless waivers; `evidence_missing` at `/waive`, with the missing numbers.
pub fn check_waivers(criteria: &[Shown], waive: &[Waiver]) -> Result<(), Refusal> {
    let mut checks = Checks::new();
    let mut waived = HashSet::new();
    for (index, waiver) in waive.iter().enumerate() {
        let at = format!("/waive/{index}/criterion");
        let number = waiver.criterion;
        checks.ensure(waived.insert(number), &at, "is waived twice");
        match criteria.iter().find(|criterion| criterion.number == number) {
            None => checks.add(&at, format!("the task has no criterion {number}")),
            Some(Shown { shown: true, .. }) => checks.add(&at, "has evidence and needs no waiver"),
            Some(Shown { required: false, .. }) => checks.add(&at, "is not required"),
            Some(Shown { required: true, shown: false, .. }) => {}
        }
    }
    checks.finish()?;
    let missing = criteria.iter().filter(|c| c.required && !c.shown && !waived.contains(&c.number));
    let missing: Vec<String> = missing.map(|criterion| criterion.number.to_string()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "there is no evidence for the required criteria {}; waive each by its number, with a \
         reason, or reject the result",
        missing.join(", ")
    );
    let errors = vec![FieldError::new("/waive", &detail)];
    Err(Refusal::at(Code::EvidenceMissing, detail, errors))
}

/// Checks that feedback names existing criteria.
///
/// # Errors
/// `invalid`, with every unknown number.
pub fn check_feedback(criteria: &[Shown], feedback: &[FeedbackPoint]) -> Result<(), Refusal> {
    let mut checks = Checks::new();
    for (index, point) in feedback.iter().enumerate() {
        let Some(number) = point.criterion else { continue };
        let known = criteria.iter().any(|criterion| criterion.number == number);
        let at = format!("/feedback/{index}/criterion");
        checks.ensure(known, &at, format!("the task has no criterion {number}"));
    }
    checks.finish()
}

/// The outcome of a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The task is sent back.
    Again(Ending),
    /// It was the last rejection allowed: the person chooses how the task continues.
    Choose,
}

/// The end of an attempt whose result was accepted or rejected. A rejection is not a used attempt.
#[must_use]
pub fn review(task: &TaskFacts, accepted: bool, now: DateTime<Utc>) -> Ending {
    let (attempt, next) = match (accepted, task.cancelling) {
        (true, _) => (AttemptState::Accepted, Next::Done),
        (false, true) => (AttemptState::Rejected, Next::Cancelled),
        (false, false) => (AttemptState::Rejected, Next::Retry(now)),
    };
    Ending { lost_in_row: 0, released_in_row: 0, ..Ending::unchanged(task, attempt, next) }
}

/// The new count of rejected results and the outcome, when a result is rejected. A task being
/// cancelled needs no choice.
#[must_use]
pub fn rejected(task: &TaskFacts, now: DateTime<Utc>) -> (i32, Rejection) {
    let reworks = (task.reworks + 1).min(task.max_rework);
    if reworks >= task.max_rework && !task.cancelling {
        return (reworks, Rejection::Choose);
    }
    (reworks, Rejection::Again(review(task, false, now)))
}

/// The count of rejected results of a task that gets one more round: the next rejection is again the
/// last one allowed.
#[must_use]
pub const fn one_more_round(task: &TaskFacts) -> i32 {
    task.max_rework - 1
}

/// The end of an attempt whose task is split: the task is parked until the new subtasks are done.
#[must_use]
pub fn split(task: &TaskFacts) -> Ending {
    let ending = Ending::unchanged(task, AttemptState::Rejected, Next::Park);
    Ending { lost_in_row: 0, released_in_row: 0, ..ending }
}

#[cfg(test)]
mod tests;
