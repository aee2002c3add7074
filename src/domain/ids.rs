//! One id type per noun, so that the compiler tells a task's id from a goal's.
//!
//! Ids are UUIDv7, made by the application from its injected clock and entropy. Database, JSON and
//! OpenAPI see a plain UUID.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Every id type: lets the source of entropy make an id of any noun.
pub trait Id: Copy + From<Uuid> + Into<Uuid> {}

/// The least id that is made at an instant or later: all ids made in an earlier millisecond are less.
#[must_use]
pub fn first_at<T: Id>(at: DateTime<Utc>) -> T {
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
    T::from(Uuid::from_u128(u128::from(millis) << 80))
}

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
    /// Id of a workspace, the tenant. Never changes.
    WorkspaceId;
    /// Id of an API key. Not secret.
    KeyId;
    /// Id of a session: one sign-in of a person. Not secret.
    SessionId;
    /// Id of an identity: a person as an identity provider names them. Never changes.
    IdentityId;
    /// Id of a project. Never changes.
    ProjectId;
    /// Id of a goal. Never changes.
    GoalId;
    /// Id of a plan. An edited plan is another plan with another id.
    PlanId;
    /// Id of a planning run: one turn of one planner for one goal.
    PlanningRunId;
    /// Id of a task. The same over all its attempts: use it as idempotency key of your own effects.
    TaskId;
    /// Id of an attempt: one lease term of one task. Another for each try.
    AttemptId;
    /// Id of a registered agent. Registering the same name again returns the same id.
    AgentId;
    /// Id of an approval. The same over all revisions of its payload.
    ApprovalId;
    /// Id of a budget: the limits of one node.
    BudgetId;
    /// Id of one limit of a budget.
    LimitId;
    /// Id of a price in the price book.
    PriceId;
    /// Id of a freeze. Never changes.
    FreezeId;
    /// Id of an approval policy. The same over all its versions.
    PolicyId;
    /// Id of a rule of a risk floor.
    RiskFloorId;
    /// Id of a rate of a capability.
    RateId;
    /// Id of a quota window of an account.
    QuotaWindowId;
    /// Id of an approval link.
    LinkId;
    /// Id of a loop detected in the steps of an attempt.
    LoopId;
    /// Id of a nudge: a note delivered to an agent with its next heartbeat.
    NudgeId;
    /// Id of an intervention rule.
    RuleId;
    /// Id of a correction of spend by an operator.
    CorrectionId;
    /// Id of an intervention: one action of a rule on a task or goal.
    InterventionId;
    /// Id of a comment. Never changes.
    CommentId;
    /// Id of a playbook. The same over all its versions.
    PlaybookId;
    /// Id of one answer of a model that plans.
    PlanningAnswerId;
    /// Id of a secret.
    SecretId;
    /// Id of a concurrency key. Never changes.
    ConcurrencyKeyId;
    /// Id of the upload that stored the bytes of an artifact.
    UploadId;
    /// Id of a schedule. Never changes.
    ScheduleId;
    /// Id of a fire: what became of one due time of a schedule.
    FireId;
    /// Id of a lesson. The same over all its versions.
    LessonId;
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn ids_are_told_apart_by_their_time() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let made = |at: DateTime<Utc>, random: u8| {
            let millis = u64::try_from(at.timestamp_millis()).unwrap();
            FireId(uuid::Builder::from_unix_timestamp_millis(millis, &[random; 10]).into_uuid())
        };
        let first: FireId = first_at(at);
        assert!(first < made(at, 0));
        assert!(made(at - TimeDelta::milliseconds(1), 255) < first);
        assert_eq!(first_at::<FireId>(DateTime::<Utc>::MIN_UTC).0, Uuid::nil());
    }
}
