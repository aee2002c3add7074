//! The causes of tasks in one word each, and a cause as it is shown.

use serde::{Deserialize, Serialize};

use crate::domain::{
    explain::{
        answer::{CauseFacts, Remedy},
        hindrance::AgentHindrance,
    },
    words::words,
};

words! {
    /// Why a task does not run, or that it does. Later versions add causes: show `detail` for those you do not know.
    pub enum TaskCauseKind {
        /// Its result was accepted.
        Done => "done",
        /// It failed for good.
        Failed => "failed",
        /// It failed because three attempts in a row lost their lease.
        Quarantined => "quarantined",
        /// It was cancelled.
        Cancelled => "cancelled",
        /// Its cancellation was requested, and its attempt has not ended yet.
        Cancelling => "cancelling",
        /// Its goal has no plan in force, or has ended.
        GoalNotActive => "goal_not_active",
        /// An attempt works on it.
        Running => "running",
        /// It waits for the decision of a person.
        Approval => "approval",
        /// It waits for the answer to a question of its agent.
        Answer => "answer",
        /// Its agents found it too large; it waits to be divided.
        Oversized => "oversized",
        /// It waits for the tasks inside it, or for its subtasks.
        Subtasks => "subtasks",
        /// Tasks that it needs are not done.
        Needs => "needs",
        /// Its start time, or that of its goal, has not come.
        StartTime => "start_time",
        /// It waits for its next try after a failure.
        Backoff => "backoff",
        /// Its time has come; the service offers it within moments.
        Promotion => "promotion",
        /// A freeze covers it.
        Freeze => "freeze",
        /// It waits for the price of a model.
        Price => "price",
        /// A limit above it has too little left.
        Budget => "budget",
        /// All grants of a concurrency key are held.
        ConcurrencyKey => "concurrency_key",
        /// Another attempt holds what it touches.
        Resource => "resource",
        /// The rate of a capability is used up.
        Rate => "rate",
        /// No agent has the capabilities.
        NoAgent => "no_agent",
        /// Every able agent is excluded: the task is kept for another, or was taken from it.
        Excluded => "excluded",
        /// It is kept for one agent, or for those with a capability: it was handed over or reassigned to them.
        Offered => "offered",
        /// Able agents run as many attempts as they may.
        AgentsFull => "agents_full",
        /// Providers limit the rate of able agents.
        AgentsRateLimited => "agents_rate_limited",
        /// Quota windows of able agents have too little left.
        AgentsQuota => "agents_quota",
        /// Budgets of able agents have too little left.
        AgentsBudget => "agents_budget",
        /// Able agents are frozen.
        AgentsFrozen => "agents_frozen",
        /// Able agents are draining.
        AgentsDraining => "agents_draining",
        /// Able agents are paused.
        AgentsPaused => "agents_paused",
        /// Able agents were not heard of for ten minutes.
        AgentsOffline => "agents_offline",
        /// Able agents have no valid key.
        AgentsNoKey => "agents_no_key",
        /// It is left for a better agent for a moment.
        Deferral => "deferral",
        /// Other tasks go first.
        Order => "order",
        /// It can be claimed now, and nobody has.
        Unclaimed => "unclaimed",
    }
}

impl TaskCauseKind {
    pub(super) const fn of(hindrance: AgentHindrance) -> Self {
        match hindrance {
            AgentHindrance::Full => Self::AgentsFull,
            AgentHindrance::RateLimited => Self::AgentsRateLimited,
            AgentHindrance::Quota => Self::AgentsQuota,
            AgentHindrance::Budget => Self::AgentsBudget,
            AgentHindrance::Frozen => Self::AgentsFrozen,
            AgentHindrance::Draining => Self::AgentsDraining,
            AgentHindrance::Paused => Self::AgentsPaused,
            AgentHindrance::Offline => Self::AgentsOffline,
            AgentHindrance::NoKey => Self::AgentsNoKey,
            AgentHindrance::Kept | AgentHindrance::Barred => Self::Excluded,
            AgentHindrance::LacksCapability => Self::NoAgent,
        }
    }
}

/// A cause: why a task does not run, or that it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskCause {
    /// The cause in one word.
    pub cause: TaskCauseKind,
    /// The cause in a sentence, for people.
    #[schema(
        example = "all 1 grants of the concurrency key `deploy` are held, the longest by the agent `coder-1`"
    )]
    pub detail: String,
    /// Who clears it, and how.
    #[serde(flatten)]
    pub remedy: Remedy,
    /// What it is about; only what the cause has is there.
    pub facts: CauseFacts,
}

pub(super) fn cause(
    cause: TaskCauseKind,
    detail: impl Into<String>,
    remedy: Remedy,
    facts: CauseFacts,
) -> TaskCause {
    TaskCause { cause, detail: detail.into(), remedy, facts }
}
