//! Verification of a goal by criteria of its own.
//!
//! When the tasks of a goal are done, a task checks its open criteria. Evidence satisfies a criterion, and a report
//! that it is not met rejects it. A rejected criterion is reworked by a task, and then checked again. A person can
//! decide each criterion too.
//!
//! A report of an agent makes a rework at most `max_rework` times per criterion, and only a finished rework makes a
//! further check. So verification ends without a person: the goal completes, or stays until one decides. A rejection
//! by a person always makes a rework: each is a decision of its own.

use serde::{Deserialize, Serialize};

use crate::domain::{
    check::{Checks, pointer},
    criterion::{CriterionSpec, CriterionType, Terms},
    refusal::{Code, Refusal},
    settings,
    states::{GoalState, TaskState},
    words::words,
};

words! {
    /// State of a criterion of a goal.
    pub enum CriterionState {
        /// Not decided: its goal is still worked on, or it is being checked.
        Open => "open",
        /// Met: by the document, by evidence of a check, or by the decision of a person.
        Satisfied => "satisfied",
        /// Not met. It is checked again after its rework.
        Rejected => "rejected",
    }
}

words! {
    /// How the plan in force has a criterion of its goal.
    pub enum Written {
        /// As a condition that is to be met.
        Open => "open",
        /// As one that is met: a ticked box.
        Ticked => "ticked",
    }
}

impl Written {
    /// The word for a criterion of a plan.
    #[must_use]
    pub const fn of(satisfied: bool) -> Self {
        if satisfied { Self::Ticked } else { Self::Open }
    }
}

words! {
    /// Why the service made a task for a goal.
    pub enum TaskPurpose {
        /// Checks criteria of the goal.
        Verify => "verify",
        /// Mends what a rejected criterion found.
        Rework => "rework",
        /// Makes the plan of the goal.
        Plan => "plan",
        /// Checks the result of a task.
        Check => "check",
    }
}

words! {
    /// A person's decision about a criterion of a goal.
    pub enum CriterionVerdict {
        /// It is met.
        Approve => "approve",
        /// It is not met: a task reworks it.
        Reject => "reject",
    }
}

/// A decision about a criterion of a goal that is `verifying`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CriterionDecision {
    /// `approve`: it is met, whatever was found before. `reject`: it is not, and a task reworks it.
    pub decision: CriterionVerdict,
    /// Grounds of the decision; required for `reject`, because the rework begins with them. At most 16 KiB.
    #[serde(default)]
    #[schema(example = "the import of March lacks two files")]
    pub reason: Option<String>,
    /// Set by an admin where nobody else may decide, because everybody is excluded by separation of duties. Default
    /// false.
    #[serde(default)]
    pub nobody_else: bool,
}

impl CriterionDecision {
    /// Checks the decision without the goal.
    ///
    /// # Errors
    /// `invalid` at `/reason`.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        match (&self.reason, self.decision) {
            (Some(reason), _) => checks.message("/reason", reason),
            (None, CriterionVerdict::Reject) => {
                checks.add("/reason", "must say what is missing: the rework begins with it");
            }
            (None, CriterionVerdict::Approve) => {}
        }
        checks.finish()
    }
}

/// The finding of a check about one criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Its result says nothing about it, or none is accepted.
    Nothing,
    /// Evidence that it is met.
    Met,
    /// Evidence that it is not met.
    NotMet,
    /// The reviewer of the result waived it.
    Waived,
}

/// The task made last for a criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastTask {
    /// What it was made for.
    pub purpose: TaskPurpose,
    /// Its state.
    pub state: TaskState,
    /// Of a check that is done: what it found. Otherwise [`Finding::Nothing`].
    pub finding: Finding,
}

/// A criterion of a goal, for the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CriterionFacts {
    /// Ordinal within its goal, from 1.
    pub number: i16,
    /// Whether the goal needs it.
    pub required: bool,
    /// Its state.
    pub state: CriterionState,
    /// Rework tasks made for it so far.
    pub reworks: i16,
    /// The task made last for it.
    pub last: Option<LastTask>,
}

/// What comes after the verdicts and reworks of a [`Step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Tasks are open: their end is the next step.
    Wait,
    /// The goal is completed.
    Complete,
    /// A check of these criteria.
    Verify(Vec<i16>),
    /// Nothing without a person.
    Stay,
}

/// One step of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Criteria decided by a check, with their new state.
    pub verdicts: Vec<(i16, CriterionState)>,
    /// Criteria for which a rework is made.
    pub rework: Vec<i16>,
    /// What comes then.
    pub next: Next,
}

/// Whether every required criterion is satisfied.
#[must_use]
pub fn is_verified(criteria: &[CriterionFacts]) -> bool {
    let unmet = |criterion: &CriterionFacts| criterion.required && is_unmet(criterion);
    !criteria.iter().any(unmet)
}

const fn is_unmet(criterion: &CriterionFacts) -> bool {
    match criterion.state {
        CriterionState::Open | CriterionState::Rejected => true,
        CriterionState::Satisfied => false,
    }
}

/// The state that a finished check gives a criterion; `None` if it gives none.
const fn verdict(criterion: &CriterionFacts) -> Option<CriterionState> {
    let (CriterionState::Open, Some(last)) = (criterion.state, criterion.last) else { return None };
    match (last.purpose, last.finding) {
        (TaskPurpose::Verify, Finding::Met | Finding::Waived) => Some(CriterionState::Satisfied),
        (TaskPurpose::Verify, Finding::NotMet) => Some(CriterionState::Rejected),
        (TaskPurpose::Verify, Finding::Nothing)
        | (TaskPurpose::Rework | TaskPurpose::Plan | TaskPurpose::Check, _) => None,
    }
}

/// Whether a criterion waits for a check: its first, or the one after its rework.
fn is_due(criterion: &CriterionFacts) -> bool {
    is_unmet(criterion)
        && criterion
            .last
            .is_none_or(|last| last.purpose == TaskPurpose::Rework && last.state == TaskState::Done)
}

/// The next step of a verifying goal. `open`: whether a task of the goal is open.
#[must_use]
pub fn step(criteria: &[CriterionFacts], open: bool, max_rework: i16) -> Step {
    let mut after = criteria.to_vec();
    let mut verdicts = Vec::new();
    let mut rework = Vec::new();
    for criterion in &mut after {
        let Some(state) = verdict(criterion) else { continue };
        criterion.state = state;
        verdicts.push((criterion.number, state));
        let rejected = state == CriterionState::Rejected;
        if rejected && criterion.required && criterion.reworks < max_rework {
            rework.push(criterion.number);
        }
    }
    let next = if open || !rework.is_empty() {
        Next::Wait
    } else if is_verified(&after) {
        Next::Complete
    } else if after.iter().any(|criterion| criterion.required && is_due(criterion)) {
        // A criterion whose check failed is checked along; that alone makes no check.
        let checked = |c: &&CriterionFacts| is_due(c) || c.state == CriterionState::Open;
        Next::Verify(after.iter().filter(checked).map(|criterion| criterion.number).collect())
    } else {
        Next::Stay
    };
    Step { verdicts, rework, next }
}

/// Whether a person's decision changes a criterion of a verifying goal.
///
/// # Errors
/// `wrong_state` for the rejection of a criterion that is being reworked.
pub fn decide(criterion: &CriterionFacts, verdict: CriterionVerdict) -> Result<bool, Refusal> {
    match verdict {
        CriterionVerdict::Approve => Ok(is_unmet(criterion)),
        CriterionVerdict::Reject => {
            let reworked = criterion.last.is_some_and(|last| {
                last.purpose == TaskPurpose::Rework && !last.state.is_terminal()
            });
            if reworked && is_unmet(criterion) {
                let detail = "a task is reworking it; it is checked again when that is done";
                return Err(Refusal::new(Code::WrongState, detail));
            }
            Ok(true)
        }
    }
}

/// Whether the criteria of a goal can be decided.
///
/// # Errors
/// `goal_ended`, `wrong_state`.
pub fn decidable(goal: GoalState) -> Result<(), Refusal> {
    match goal {
        GoalState::Verifying => Ok(()),
        GoalState::Planning | GoalState::Proposed | GoalState::Active => {
            let detail = format!(
                "the goal is {goal}; its criteria are decided when it is verifying, after its tasks"
            );
            Err(Refusal::new(Code::WrongState, detail))
        }
        GoalState::Completed | GoalState::Failed | GoalState::Cancelled => {
            Err(Refusal::new(Code::GoalEnded, format!("the goal is {goal}")))
        }
    }
}

/// Checks the criteria of a goal. `at`: their place in the request.
pub fn check_criteria(checks: &mut Checks, at: &str, criteria: &[CriterionSpec]) {
    checks.count(at, criteria.len(), settings::GOAL_CRITERIA);
    for (index, criterion) in criteria.iter().enumerate().take(settings::GOAL_CRITERIA) {
        let at = pointer(at, index);
        checks.message(&pointer(&at, "text"), &criterion.text);
        let detail = "a task checks the criteria of a goal by its text; only criteria of tasks have another type";
        let text = criterion.r#type == CriterionType::Text && criterion.terms == Terms::default();
        checks.ensure(text, &pointer(&at, "type"), detail);
        let detail = "is only for criteria of tasks";
        checks.ensure(criterion.min_tier.is_none(), &pointer(&at, "min_tier"), detail);
    }
}

#[cfg(test)]
mod tests;
