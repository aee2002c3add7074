//! What keeps the protocol safe, each of which can be taken away.

use super::{CLAIMS, ENDINGS, SPEND, properties, state::Bounds};

/// A guard of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guard {
    /// A request must show the token of the attempt that it is about (`task::own`).
    LeaseToken,
    /// Only a running attempt may beat, fail or release (`task::fence`).
    AttemptState,
    /// An expired attempt may complete only while nobody else was given the task
    /// (`task::complete`).
    UntouchedTask,
    /// What ends an attempt is judged by what is read under the locks.
    FinishUnderLock,
    /// Neither that, nor is the write refused for a task that has ended (`moves::apply`).
    EndedTaskStays,
    /// A claim takes a task that is ready under its lock, and one live attempt is a unique index.
    OneLive,
    /// A claim counts the agent's attempts under the agent's lock.
    AgentLimit,
    /// The sweeper judges again under the locks (`task::expire`).
    ExpiryUnderLock,
    /// An expired attempt counts as used.
    ExpiryCounts,
    /// The answer of an ending is stored, and given to the same request again.
    StoredAnswer,
    /// An entry of spend has a key, and a second one with it adds nothing.
    EntryKey,
    /// Of a cumulative total only the rise counts (`spend::rise`).
    TotalRise,
}

impl Guard {
    pub const ALL: &[Self] = &[
        Self::LeaseToken,
        Self::AttemptState,
        Self::UntouchedTask,
        Self::FinishUnderLock,
        Self::EndedTaskStays,
        Self::OneLive,
        Self::AgentLimit,
        Self::ExpiryUnderLock,
        Self::ExpiryCounts,
        Self::StoredAnswer,
        Self::EntryKey,
        Self::TotalRise,
    ];

    /// The properties that are lost without it.
    pub const fn protects(self) -> &'static [&'static str] {
        match self {
            Self::LeaseToken | Self::AttemptState | Self::UntouchedTask => {
                &[properties::NO_STALE_WRITE]
            }
            Self::FinishUnderLock => &[properties::LIVE_IS_CURRENT, properties::ACKNOWLEDGED_STAYS],
            Self::EndedTaskStays => &[properties::ONE_END],
            Self::OneLive => &[properties::ONE_LIVE],
            Self::AgentLimit => &[properties::WITHIN_LIMIT],
            Self::ExpiryUnderLock => &[properties::LEASE_IS_KEPT],
            Self::ExpiryCounts => &[properties::ATTEMPTS_BOUNDED],
            Self::StoredAnswer => &[properties::SAME_ANSWER],
            Self::EntryKey | Self::TotalRise => &[properties::SPEND_ONCE],
        }
    }

    /// Where that shows.
    pub const fn shown_in(self) -> Bounds {
        match self {
            Self::LeaseToken
            | Self::AttemptState
            | Self::UntouchedTask
            | Self::FinishUnderLock
            | Self::EndedTaskStays
            | Self::OneLive
            | Self::ExpiryUnderLock
            | Self::ExpiryCounts
            | Self::StoredAnswer => ENDINGS,
            Self::AgentLimit => CLAIMS,
            Self::EntryKey | Self::TotalRise => SPEND,
        }
    }
}
