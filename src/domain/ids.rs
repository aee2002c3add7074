//! A type per noun for identifiers.
//!
//! Ids are UUIDv7, made by the application from its injected clock and entropy. A task's id can
//! never be passed where a goal's is meant, and the database columns, the JSON and the OpenAPI
//! document all see a plain UUID.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What every id type can do; lets entropy make one of any noun.
pub trait Id: Copy + From<Uuid> + Into<Uuid> {}

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
                 utoipa::ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(pub Uuid);

        impl Id for $name {}
        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self { Self(id) }
        }
        impl From<$name> for Uuid {
            fn from(id: $name) -> Self { id.0 }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
        }
        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> { text.parse().map(Self) }
        }
    )+};
}

ids! {
    /// A workspace: the tenant.
    WorkspaceId;
    /// An API key.
    KeyId;
    /// A project.
    ProjectId;
    /// A goal.
    GoalId;
    /// A plan of a goal.
    PlanId;
    /// A task. Stable over all attempts: use it to make your own effects idempotent.
    TaskId;
    /// An attempt at a task: the lease term.
    AttemptId;
    /// An agent.
    AgentId;
    /// An approval.
    ApprovalId;
    /// A budget: the limits of one node.
    BudgetId;
    /// One limit of a budget.
    LimitId;
    /// A price in the price book.
    PriceId;
    /// A freeze.
    FreezeId;
    /// An approval policy.
    PolicyId;
    /// A link with which a person decides an approval.
    LinkId;
    /// A loop that an attempt's steps were found in.
    LoopId;
    /// A nudge.
    NudgeId;
    /// An intervention rule.
    RuleId;
    /// What a rule did about a task or goal.
    InterventionId;
    /// An entry of the audit.
    AuditEntryId;
}
