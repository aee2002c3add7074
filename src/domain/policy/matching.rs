//! Selection of the policy for an approval.

use std::cmp::Reverse;

use super::{PolicyMatch, PolicySpec};
use crate::domain::{
    approval::Risk,
    ids::{PolicyId, ProjectId},
    spend::Amounts,
    states::ApprovalKind,
};

/// Properties of an approval that policies match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Kind of the approval.
    pub kind: ApprovalKind,
    /// Risk of the approval: as stated, and at least its floor.
    pub risk: Risk,
    /// Project of the goal.
    pub project: Option<ProjectId>,
    /// Capabilities required by the task, or by the tasks of the plan.
    pub capabilities: Vec<String>,
    /// Known cost, by unit.
    pub cost: Amounts,
}

/// A policy in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Id of the policy.
    pub policy_id: PolicyId,
    /// Ordinal of the edit.
    pub version: i32,
    /// Content of the policy.
    pub spec: PolicySpec,
}

impl PolicyMatch {
    /// Whether all conditions hold.
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

/// The matching policy with the highest priority; of equal ones, the oldest.
#[must_use]
pub fn choose<'a>(policies: &'a [Policy], asked: &Asked) -> Option<&'a Policy> {
    let matching = policies.iter().filter(|policy| policy.spec.r#match.covers(asked));
    matching.min_by_key(|policy| (Reverse(policy.spec.priority), policy.policy_id))
}
