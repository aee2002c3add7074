//! What is wrong or doubtful in a plan: a code for programs, a place and a sentence for people.
//!
//! Errors and warnings are kept apart by [`Severity`]. An error of the plan itself (a circle, an unknown
//! name, a size) refuses every plan. An error against the fleet, the budget or the deadline refuses the
//! plans of models and agents, which get it back; in a plan of a person it is shown and refuses nothing. A
//! warning refuses nothing.

use serde::{Deserialize, Serialize};

use crate::domain::words::words;

words! {
    /// `error`: the plan cannot be carried out as it is; `warning`: it can, and somebody should look at it.
    pub enum Severity {
        /// The plan cannot be carried out as it is.
        Error => "error",
        /// The plan can be carried out; somebody should look at it.
        Warning => "warning",
    }
}

words! {
    /// The kind of a finding: stable, for programs to branch on.
    pub enum FindingCode {
        /// The text has no JSON plan, or its JSON has a fault of syntax.
        NotJson => "not_json",
        /// The JSON ends before the plan does.
        Truncated => "truncated",
        /// A field that a plan does not have.
        UnknownField => "unknown_field",
        /// A value of the wrong type, size or form.
        BadValue => "bad_value",
        /// More tasks or dependencies than a plan can have.
        TooMany => "too_many",
        /// Two tasks have the same ref.
        DuplicateRef => "duplicate_ref",
        /// `needs` or `parent` names a task that does not exist.
        UnknownRef => "unknown_ref",
        /// Tasks need each other in a circle; `refs` lists it in order.
        Cycle => "cycle",
        /// A task is nested too deep.
        TooDeep => "too_deep",
        /// No agent has a capability that a task requires.
        UnknownCapability => "unknown_capability",
        /// Agents have each of the capabilities of a task, but no agent has all of them.
        NobodyAble => "nobody_able",
        /// The plan is expected to use more than is left of a budget.
        OverBudget => "over_budget",
        /// The longest chain of tasks ends after the deadline.
        PastDeadline => "past_deadline",
        /// A task without a criterion: nothing says when it is done.
        NoCriterion => "no_criterion",
        /// The only agent that can review a task is the only one that can do it.
        ReviewerIsAuthor => "reviewer_is_author",
        /// The tasks form one chain: no two can run at once.
        SerialPlan => "serial_plan",
        /// A title that says nothing about the work.
        VagueTitle => "vague_title",
        /// An open task of the same goal or project has nearly the same title.
        ProbableDuplicate => "probable_duplicate",
        /// Nothing in the plan checks a result.
        NoVerification => "no_verification",
        /// One agent can do every task, so nothing makes a second one look at the work.
        OneAgentForAll => "one_agent_for_all",
    }
}

impl FindingCode {
    /// Whether it is an error or a warning.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::NotJson
            | Self::Truncated
            | Self::UnknownField
            | Self::BadValue
            | Self::TooMany
            | Self::DuplicateRef
            | Self::UnknownRef
            | Self::Cycle
            | Self::TooDeep
            | Self::UnknownCapability
            | Self::NobodyAble
            | Self::OverBudget
            | Self::PastDeadline
            | Self::NoCriterion
            | Self::ReviewerIsAuthor => Severity::Error,
            Self::SerialPlan
            | Self::VagueTitle
            | Self::ProbableDuplicate
            | Self::NoVerification
            | Self::OneAgentForAll => Severity::Warning,
        }
    }

    /// Whether it is about the plan alone. Such an error refuses every plan, whoever made it.
    #[must_use]
    pub const fn is_structural(self) -> bool {
        match self {
            Self::NotJson
            | Self::Truncated
            | Self::UnknownField
            | Self::BadValue
            | Self::TooMany
            | Self::DuplicateRef
            | Self::UnknownRef
            | Self::Cycle
            | Self::TooDeep => true,
            Self::UnknownCapability
            | Self::NobodyAble
            | Self::OverBudget
            | Self::PastDeadline
            | Self::NoCriterion
            | Self::ReviewerIsAuthor
            | Self::SerialPlan
            | Self::VagueTitle
            | Self::ProbableDuplicate
            | Self::NoVerification
            | Self::OneAgentForAll => false,
        }
    }
}

/// One thing that is wrong or doubtful in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Finding {
    /// The kind of the finding, for programs.
    pub code: FindingCode,
    /// `error` or `warning`; it follows from the code.
    pub severity: Severity,
    /// The place in the plan: a JSON Pointer (RFC 6901). Empty for the plan as a whole.
    #[schema(example = "/tasks/3/needs/0")]
    pub pointer: String,
    /// What was found and what to change. For people; the text may change.
    #[schema(example = "there is no task with the ref `T012`")]
    pub detail: String,
    /// The tasks that it is about, by ref, at most 50; of a circle in order. Empty for the plan as a whole.
    #[schema(example = json!(["T010"]))]
    pub refs: Vec<String>,
}

/// The most refs of one finding.
pub const REFS: usize = 50;
/// The most characters of a detail.
const DETAIL_CHARS: usize = 1_000;

impl Finding {
    /// A finding without refs. A long detail is cut.
    #[must_use]
    pub fn new(code: FindingCode, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut detail: String = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(DETAIL_CHARS) {
            detail.truncate(end);
            detail.push('…');
        }
        let severity = code.severity();
        Self { code, severity, pointer: pointer.into(), detail, refs: Vec::new() }
    }

    /// The same about these tasks, of which the first [`REFS`] are kept.
    #[must_use]
    pub fn about<'a>(mut self, refs: impl IntoIterator<Item = &'a str>) -> Self {
        self.refs = refs.into_iter().take(REFS).map(str::to_owned).collect();
        self
    }

    /// Whether it is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::words::Words as _;

    #[test]
    fn what_is_wrong_in_the_plan_itself_is_an_error() {
        for code in FindingCode::ALL.iter().filter(|code| code.is_structural()) {
            assert_eq!(code.severity(), Severity::Error, "{code}");
        }
    }

    #[test]
    fn a_finding_does_not_grow_with_the_plan() {
        let names: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        let finding = Finding::new(FindingCode::Cycle, "", "é".repeat(100_000))
            .about(names.iter().map(String::as_str));
        assert_eq!(finding.refs.len(), REFS);
        assert_eq!(finding.detail.chars().count(), DETAIL_CHARS + 1);
    }
}
