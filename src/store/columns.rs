//! Conversion between columns and the domain's ids and enums.

use sqlx::{
    Decode, Postgres, Type,
    error::BoxDynError,
    postgres::{PgHasArrayType, PgTypeInfo, PgValueRef},
};
use uuid::Uuid;

use crate::domain::{
    access::{person::Person, role::Role, scope::Access},
    approval::{PayloadHash, Risk, Verdict, excluded::ExclusionReason, review::ReviewChoice},
    artifact::digest::ArtifactDigest,
    budget::{BudgetNode, OnExhausted, Period, UnknownModel},
    comment::CommentKind,
    criterion::{CriterionType, EvidenceTier},
    freeze::{FreezeMode, FreezeScope},
    gate::resource::TouchMode,
    goal::criteria::{CriterionState, TaskPurpose, Written},
    ids::{
        AgentId, ApprovalId, AttemptId, BudgetId, CommentId, ConcurrencyKeyId, FireId, FreezeId,
        GoalId, Id, IdentityId, InterventionId, KeyId, LessonId, LimitId, LinkId, LoopId, NudgeId,
        PlanId, PlanningRunId, PlaybookId, PolicyId, PriceId, ProjectId, QuotaWindowId, RateId,
        RiskFloorId, RuleId, ScheduleId, SecretId, SessionId, TaskId, UploadId, WorkspaceId,
    },
    knowledge::{LessonKind, LessonState, LessonVerdict, Origin as LessonOrigin, Outcome, Trust},
    loops::Pattern,
    plan::{discovered::DiscoveredPolicy, new_goal::PlannerChoice},
    planning::{RunState, Target, model::ModelApi},
    price::{MoneySource, PriceSource},
    retention::PruningHold,
    routing::{assign::Reason, policy::Policy as RoutingPolicy},
    rule::{Action, Closing, Condition, Subject},
    schedule::{FireOutcome, Overlap, PauseReason},
    secret::{MasterKeyFingerprint, Purpose},
    spend::measured::MeasuredOf,
    states::{
        AgentState, ApprovalKind, ApprovalState, AttemptState, FailureClass, GoalState, PlanState,
        Planner, TaskState,
    },
    task::holder::Holder,
    words::Words,
};

macro_rules! uuid_columns {
    ($($name:ident),+ $(,)?) => {$(
        impl Type<Postgres> for $name {
            fn type_info() -> PgTypeInfo { <Uuid as Type<Postgres>>::type_info() }
        }
        impl<'r> Decode<'r, Postgres> for $name {
            fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                <Uuid as Decode<'r, Postgres>>::decode(value).map(Self)
            }
        }
    )+};
}

macro_rules! text_columns {
    ($($name:ident),+ $(,)?) => {$(
        impl Type<Postgres> for $name {
            fn type_info() -> PgTypeInfo { <str as Type<Postgres>>::type_info() }
            fn compatible(ty: &PgTypeInfo) -> bool { <str as Type<Postgres>>::compatible(ty) }
        }
        impl<'r> Decode<'r, Postgres> for $name {
            fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                Ok(<&str as Decode<'r, Postgres>>::decode(value)?.parse()?)
            }
        }
    )+};
}

uuid_columns!(
    WorkspaceId,
    KeyId,
    ProjectId,
    GoalId,
    PlanId,
    PlaybookId,
    PlanningRunId,
    TaskId,
    AttemptId,
    AgentId,
    ApprovalId,
    BudgetId,
    CommentId,
    ConcurrencyKeyId,
    LessonId,
    LimitId,
    PriceId,
    FreezeId,
    PolicyId,
    RiskFloorId,
    RateId,
    QuotaWindowId,
    LinkId,
    LoopId,
    NudgeId,
    RuleId,
    IdentityId,
    InterventionId,
    ScheduleId,
    FireId,
    SecretId,
    SessionId,
    UploadId
);
text_columns!(
    PruningHold,
    CriterionState,
    CriterionType,
    DiscoveredPolicy,
    TaskPurpose,
    EvidenceTier,
    Written,
    Role,
    Access,
    GoalState,
    TaskState,
    AttemptState,
    AgentState,
    PlanState,
    Planner,
    PlannerChoice,
    RunState,
    Target,
    ApprovalKind,
    ApprovalState,
    Risk,
    Verdict,
    ReviewChoice,
    FailureClass,
    BudgetNode,
    Period,
    OnExhausted,
    UnknownModel,
    PriceSource,
    MoneySource,
    FreezeScope,
    FreezeMode,
    TouchMode,
    CommentKind,
    Person,
    ExclusionReason,
    Pattern,
    MeasuredOf,
    Subject,
    Condition,
    Action,
    Closing,
    ModelApi,
    Overlap,
    FireOutcome,
    PauseReason,
    Purpose,
    Reason,
    RoutingPolicy,
    LessonKind,
    LessonState,
    LessonVerdict,
    LessonOrigin,
    Outcome,
    Trust
);

/// The holder of an attempt, from its two columns. The schema's constraint requires exactly one of
/// them.
pub fn holder(agent: Option<AgentId>, key: Option<KeyId>) -> sqlx::Result<Holder> {
    let neither = || sqlx::Error::Decode("an attempt without its one holder".into());
    Holder::of(agent, key).ok_or_else(neither)
}

/// Ids as an array argument.
pub fn uuids<T: Id>(ids: &[T]) -> Vec<Uuid> {
    ids.iter().map(|id| (*id).into()).collect()
}

/// Names of people as an array argument.
pub fn names(people: &[Person]) -> Vec<String> {
    people.iter().map(Person::to_string).collect()
}

/// Enum values as an array argument, each once.
pub fn words<T: Words + Ord>(words: &[T]) -> Vec<String> {
    let unique: std::collections::BTreeSet<T> = words.iter().copied().collect();
    unique.into_iter().map(|word| word.as_str().to_owned()).collect()
}

impl Type<Postgres> for MasterKeyFingerprint {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
    fn compatible(ty: &PgTypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(ty)
    }
}

impl<'r> Decode<'r, Postgres> for MasterKeyFingerprint {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self::from(<String as Decode<'r, Postgres>>::decode(value)?))
    }
}

impl Type<Postgres> for PayloadHash {
    fn type_info() -> PgTypeInfo {
        <Vec<u8> as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for PayloadHash {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let bytes = <Vec<u8> as Decode<'r, Postgres>>::decode(value)?;
        let bytes = bytes.try_into().map_err(|_| "a hash that is not 32 bytes long")?;
        Ok(Self(bytes))
    }
}

impl Type<Postgres> for ArtifactDigest {
    fn type_info() -> PgTypeInfo {
        <Vec<u8> as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for ArtifactDigest {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let bytes = <Vec<u8> as Decode<'r, Postgres>>::decode(value)?;
        let bytes = bytes.try_into().map_err(|_| "a digest that is not 32 bytes long")?;
        Ok(Self(bytes))
    }
}

/// Digests as an array argument.
pub fn digests(digests: &[ArtifactDigest]) -> Vec<Vec<u8>> {
    digests.iter().map(|digest| digest.0.to_vec()).collect()
}

impl PgHasArrayType for Person {
    fn array_type_info() -> PgTypeInfo {
        <String as PgHasArrayType>::array_type_info()
    }
}

macro_rules! uuid_arrays {
    ($($name:ident),+ $(,)?) => {$(
        impl PgHasArrayType for $name {
            fn array_type_info() -> PgTypeInfo { <Uuid as PgHasArrayType>::array_type_info() }
        }
    )+};
}

uuid_arrays!(KeyId, LessonId, ProjectId);
