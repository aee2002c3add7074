//! How a workspace chooses which task goes first: turns between goals, and an order inside each.
//!
//! The order inside a goal is `domain::task::claim::rank`; the longest rest of a plan, which is a part of it, is
//! computed by `domain::plan::upward`.

pub mod turns;

use crate::domain::words::words;

words! {
    /// How a workspace chooses which task goes first and which agent gets it.
    pub enum Routing {
        /// The first ready task of the highest priority, whichever goal it belongs to, goes to any able agent.
        Fifo => "fifo",
        /// Goals take turns, the longest rest of a plan goes first, and agents are chosen by success, cost
        /// and duration together.
        Balanced => "balanced",
        /// As `balanced`, but agents are chosen by the cost of an accepted task.
        Cheapest => "cheapest",
        /// As `balanced`, but agents are chosen by the time to an accepted task.
        Fastest => "fastest",
        /// As `balanced`, but agents are chosen by verified success.
        Best => "best",
    }
}

impl Routing {
    /// Whether goals take turns, and paths and deadlines count.
    #[must_use]
    pub const fn looks_ahead(self) -> bool {
        match self {
            Self::Fifo => false,
            Self::Balanced | Self::Cheapest | Self::Fastest | Self::Best => true,
        }
    }
}
