//! Which policy is for what is asked.

use std::cmp::Reverse;

use super::{PolicyMatch, PolicySpec};
use crate::domain::{
    approval::Risk,
    ids::{PolicyId, ProjectId},
    spend::Amounts,
    states::ApprovalKind,
};

/// What policies look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What kind of approval it is.
    pub kind: ApprovalKind,
    /// How much harm a wrong decision could do, as the asker sees it.
    pub risk: Risk,
    /// The project of the goal.
    pub project: Option<ProjectId>,
    /// What the task requires, or the tasks of the plan.
    pub capabilities: Vec<String>,
    /// What it costs, as far as that is known.
    pub cost: Amounts,
}

/// A policy in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Its id.
    pub policy_id: PolicyId,
    /// Which edit of it this is.
    pub version: i32,
    /// What it says.
    pub spec: PolicySpec,
}

impl PolicyMatch {
    /// Whether a policy that is for these is for what is asked.
    #[must_use]
    pub fn covers(&self, asked: &Asked) -> bool {
        let Self { kinds, capabilities, risk_at_least, project_id, cost_at_least } = self;
        let required = |capability| asked.capabilities.contains(capability);
        let costs = |unit: &str| asked.cost.get(unit).copied().unwrap_or_default();
        (kinds.is_empty() || kinds.contains(&asked.kind))
            && (capabilities.is_empty() || capabilities.iter().any(required))
            && risk_at_least.is_none_or(|least| asked.risk >= least)
            && project_id.is_none_or(|project| asked.project == Some(project))
            && cost_at_least.as_ref().is_none_or(|least| costs(&least.unit) >= least.amount)
    }
}

/// The policy for what is asked: of those that match, that with the highest priority; of these, the
/// oldest.
#[must_use]
pub fn choose<'a>(policies: &'a [Policy], asked: &Asked) -> Option<&'a Policy> {
    let matching = policies.iter().filter(|policy| policy.spec.r#match.covers(asked));
    matching.min_by_key(|policy| (Reverse(policy.spec.priority), policy.policy_id))
}
