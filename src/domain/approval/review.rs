//! Reviewing a result: criterion by criterion, and a bounded number of times.
//!
//! A result is accepted when every required criterion has evidence, or whoever accepts it lets the
//! criterion go by its number and says why. A rejection sends the result back with feedback; it costs
//! no try. When a result of the task was rejected for the [`max_rework`](TaskFacts::max_rework)-th
//! time the task is not sent back: a person chooses what becomes of it.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Verdict;
use crate::domain::{
    check::{Checks, pointer},
    ids::AgentId,
    plan::TaskSpec,
    refusal::{Code, FieldError, Refusal},
    settings,
    states::{ApprovalKind, AttemptState},
    task::{Ending, Next, TaskFacts},
    words::words,
};

words! {
    /// What becomes of a task whose results were rejected as often as may be.
    pub enum ReviewChoice {
        /// The last result counts, as it is. Goes with `approve`.
        Accept => "accept",
        /// One more round, by another agent. Goes with `reject`.
        Reassign => "reassign",
        /// Subtasks come first; then one more round. Goes with `reject`.
        Split => "split",
        /// It is given up. Goes with `reject`.
        Cancel => "cancel",
    }
}

impl ReviewChoice {
    /// The decision that it goes with.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Accept => Verdict::Approve,
            Self::Reassign | Self::Split | Self::Cancel => Verdict::Reject,
        }
    }
}

/// A required criterion without evidence that is let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The number of the criterion.
    #[schema(minimum = 1, example = 2)]
    pub criterion: i16,
    /// Why it need not be shown.
    #[schema(example = "the staging system is down; checked by hand", min_length = 1)]
    pub reason: String,
}

/// One thing that the next attempt is told about a rejected result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedbackPoint {
    /// The number of the criterion that it is about; left out: the result in general.
    #[serde(default)]
    #[schema(minimum = 1, example = 2)]
    pub criterion: Option<i16>,
    /// What is wrong, and what would be right. At most 16 KiB.
    #[schema(example = "the test covers only the empty list", min_length = 1)]
    pub text: String,
    /// Whether the next result must have it; `false`: it is a wish. Default true.
    #[serde(default = "yes")]
    pub must: bool,
}

fn yes() -> bool {
    true
}

/// What becomes of a task whose results were rejected as often as may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// `accept` the last result (with `approve`); or, with `reject`: `reassign` the task for one more
    /// round, `split` it into subtasks that come first, or `cancel` it.
    pub action: ReviewChoice,
    /// With `reassign`: the agent that is given the task, and no other; left out: any but the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// With `split`: the subtasks, as in `POST /v1/attempts/{attempt_id}/subtasks`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskSpec>,
}

impl Choice {
    /// What a verdict means for a task that is not sent back again when nobody chose, because time ran
    /// out: yes is yes, and no gives it up, as a start that nobody approves is given up.
    #[must_use]
    pub const fn unmade(verdict: Verdict) -> Self {
        let action = match verdict {
            Verdict::Approve | Verdict::Answer => ReviewChoice::Accept,
            Verdict::Reject | Verdict::Decline => ReviewChoice::Cancel,
        };
        Self { action, agent_id: None, tasks: Vec::new() }
    }

    /// What a panel's verdict means whose last vote said something else: they could not agree, and
    /// what they disagree about is lost to nobody by one more round.
    #[must_use]
    pub const fn disagreed(verdict: Verdict) -> Self {
        let action = match verdict {
            Verdict::Approve | Verdict::Answer => ReviewChoice::Accept,
            Verdict::Reject | Verdict::Decline => ReviewChoice::Reassign,
        };
        Self { action, agent_id: None, tasks: Vec::new() }
    }
}

/// What is said about a result beside the verdict.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The verdict.
    pub verdict: Verdict,
    /// What is let go.
    pub waive: &'a [Waiver],
    /// What the next attempt is told.
    pub feedback: &'a [FeedbackPoint],
    /// What becomes of the task.
    pub choice: Option<&'a Choice>,
}

/// Notes what does not go together, as far as that can be seen without the result.
pub fn check_said(checks: &mut Checks, kind: ApprovalKind, said: Said<'_>) {
    let Said { verdict, waive, feedback, choice } = said;
    let (approves, rejects) = (verdict == Verdict::Approve, verdict == Verdict::Reject);
    let of_result = kind == ApprovalKind::Result;
    let detail = "belongs to the decision `approve` about a result";
    checks.ensure(waive.is_empty() || (of_result && approves), "/waive", detail);
    let detail = "belongs to the decision `reject` about a result";
    checks.ensure(feedback.is_empty() || (of_result && rejects), "/feedback", detail);
    checks.count("/waive", waive.len(), settings::TASK_CRITERIA);
    for (index, waiver) in waive.iter().enumerate() {
        let at = pointer(&pointer("/waive", index), "reason");
        checks.ensure(!waiver.reason.trim().is_empty(), &at, "must say why");
        checks.bytes(&at, &waiver.reason, settings::MESSAGE_BYTES);
    }
    checks.count("/feedback", feedback.len(), settings::LIST_ITEMS);
    for (index, point) in feedback.iter().enumerate() {
        let at = pointer(&pointer("/feedback", index), "text");
        checks.ensure(!point.text.trim().is_empty(), &at, "must not be empty");
        checks.bytes(&at, &point.text, settings::MESSAGE_BYTES);
    }
    let Some(Choice { action, agent_id, tasks }) = choice else { return };
    checks.ensure(of_result, "/choice", "belongs to a decision about a result");
    let goes = action.verdict() == verdict;
    let detail = format!("`{action}` goes with the decision `{}`", action.verdict());
    checks.ensure(goes, "/choice/action", detail);
    let reassigns = *action == ReviewChoice::Reassign;
    checks.ensure(reassigns || agent_id.is_none(), "/choice/agent_id", "belongs to `reassign`");
    let splits = *action == ReviewChoice::Split;
    checks.ensure(splits || tasks.is_empty(), "/choice/tasks", "belongs to `split`");
    checks.ensure(!splits || !tasks.is_empty(), "/choice/tasks", "must have at least one task");
}

/// Whether the decision chooses what becomes of the task exactly when it must.
///
/// # Errors
/// `invalid`.
pub fn check_choice(last_round: bool, choice: Option<&Choice>) -> Result<(), Refusal> {
    match (last_round, choice) {
        (true, Some(_)) | (false, None) => Ok(()),
        (true, None) => {
            let detail = "must say what becomes of the task, because its results were rejected as \
                          often as may be: `accept`, `reassign`, `split` or `cancel`";
            Err(Refusal::invalid_at("/choice", detail))
        }
        (false, Some(_)) => {
            let detail = "belongs to the last round: the task can still be sent back";
            Err(Refusal::invalid_at("/choice", detail))
        }
    }
}

/// A criterion, and whether a result shows anything for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Its number.
    pub number: i16,
    /// Whether evidence is needed.
    pub required: bool,
    /// Whether there is some.
    pub shown: bool,
}

/// Whether a result may be accepted with these waivers: every required criterion is shown or waived,
/// and nothing is waived that need not be.
///
/// # Errors
/// `invalid`, naming waivers that make no sense; `evidence_missing` at `/waive`, naming the criteria.
pub fn check_waivers(criteria: &[Shown], waive: &[Waiver]) -> Result<(), Refusal> {
    let mut checks = Checks::new();
    let mut waived = HashSet::new();
    for (index, waiver) in waive.iter().enumerate() {
        let at = pointer(&pointer("/waive", index), "criterion");
        let number = waiver.criterion;
        checks.ensure(waived.insert(number), &at, "is waived twice");
        match criteria.iter().find(|criterion| criterion.number == number) {
            None => checks.add(&at, format!("the task has no criterion {number}")),
            Some(Shown { shown: true, .. }) => checks.add(&at, "has evidence: look at that"),
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
        "nothing is shown for the required criteria {}; waive each by its number, with a reason, \
         or reject the result",
        missing.join(", ")
    );
    let errors = vec![FieldError::new("/waive", &detail)];
    Err(Refusal { code: Code::EvidenceMissing, detail, errors })
}

/// Whether feedback is about criteria that there are.
///
/// # Errors
/// `invalid`, with every place.
pub fn check_feedback(criteria: &[Shown], feedback: &[FeedbackPoint]) -> Result<(), Refusal> {
    let mut checks = Checks::new();
    for (index, point) in feedback.iter().enumerate() {
        let Some(number) = point.criterion else { continue };
        let known = criteria.iter().any(|criterion| criterion.number == number);
        let at = pointer(&pointer("/feedback", index), "criterion");
        checks.ensure(known, &at, format!("the task has no criterion {number}"));
    }
    checks.finish()
}

/// What a rejection leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The result is sent back.
    Again(Ending),
    /// It was the last that could be: a person chooses.
    Choose,
}

/// A person accepted or rejected a submitted result. A rejection does not count as a used attempt.
#[must_use]
pub fn review(task: &TaskFacts, accepted: bool, now: DateTime<Utc>) -> Ending {
    let (attempt, next) = match (accepted, task.cancelling) {
        (true, _) => (AttemptState::Accepted, Next::Done),
        (false, true) => (AttemptState::Rejected, Next::Cancelled),
        (false, false) => (AttemptState::Rejected, Next::Retry(now)),
    };
    Ending { attempt, next, attempts_used: task.attempts_used, lost_in_row: 0 }
}

/// A person rejected a result: how often that has happened by now, and what it leads to. A task that is
/// being cancelled is nobody's question any more.
#[must_use]
pub fn rejected(task: &TaskFacts, now: DateTime<Utc>) -> (i32, Rejection) {
    let reworks = (task.reworks + 1).min(task.max_rework);
    if reworks >= task.max_rework && !task.cancelling {
        return (reworks, Rejection::Choose);
    }
    (reworks, Rejection::Again(review(task, false, now)))
}

/// How often results of a task count as rejected when a person gave it one more round: the next
/// rejection is the last again.
#[must_use]
pub const fn one_more_round(task: &TaskFacts) -> i32 {
    task.max_rework - 1
}

/// The result is rejected, and the task waits for subtasks of a person's making.
#[must_use]
pub fn split(task: &TaskFacts) -> Ending {
    Ending {
        attempt: AttemptState::Rejected,
        next: Next::Park,
        attempts_used: task.attempts_used,
        lost_in_row: 0,
    }
}

#[cfg(test)]
mod tests;
