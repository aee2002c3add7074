//! The routing policy of a workspace.

use crate::domain::words::words;

words! {
    /// How a workspace chooses which task goes first and which agent gets it.
    pub enum Policy {
        /// The first ready task by priority and age, whichever goal it belongs to, goes to any able agent.
        Fifo => "fifo",
        /// Goals take turns, the longest rest of a plan goes first, and agents are chosen by accepted results
        /// first, then by cost and duration alike.
        Balanced => "balanced",
        /// As `balanced`, but agents are chosen by the least expected cost of an accepted result.
        Cheapest => "cheapest",
        /// As `balanced`, but agents are chosen by the least expected time to an accepted result.
        Fastest => "fastest",
        /// As `balanced`, but agents are chosen by the highest share of accepted results.
        Best => "best",
    }
}

impl Policy {
    /// Whether goals take turns, and paths and deadlines count.
    #[must_use]
    pub const fn looks_ahead(self) -> bool {
        match self {
            Self::Fifo => false,
            Self::Balanced | Self::Cheapest | Self::Fastest | Self::Best => true,
        }
    }
}
