//! Deferral: a task is left for a better agent that asks soon, for a bounded time.
//!
//! A task that has been ready for the longest deferral goes to whoever asks and is able. Before that, it is left
//! for an agent that is clearly better, as far as it can begin in time: one that is idle and seen lately, or
//! whose running attempts end before the deferral does. Each task that is left for an agent fills one of its
//! slots, so a backlog is never left for one agent: only as much as it can begin in time.

use chrono::{DateTime, TimeDelta, Utc};

use super::score::Expected;
use crate::domain::ids::AgentId;

/// Least difference of expected scores of a clearly better agent: about a tenth.
pub const CLEAR: f64 = 0.1;
/// Least difference in deviations of it: a mere guess leaves no task lying.
const SURE: f64 = 1.5;
/// Least weight of the attempts of a better agent.
pub const ENOUGH: f64 = 5.0;
/// Expected duration of an attempt if nothing is known.
const UNKNOWN_MS: f64 = 60_000.0;
/// Share of the usual duration that an attempt takes longer once it has taken the usual one.
const OVERDUE: f64 = 0.25;

/// Whether an agent is clearly better than another.
#[must_use]
pub fn is_clear(better: Expected, other: Expected) -> bool {
    let ahead = better.mean - other.mean;
    ahead >= CLEAR && ahead >= SURE * better.unsure.hypot(other.unsure)
}

/// An able agent that did not ask in this batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Rival {
    /// The agent.
    pub agent: AgentId,
    /// Its capabilities.
    pub able: Vec<String>,
    /// For each slot, the milliseconds until it is free: 0 for a free one.
    slots: Vec<f64>,
    /// Usual duration of its attempts in milliseconds.
    usual_ms: f64,
}

/// Most slots of a rival that are looked at.
const SLOTS: usize = 16;

impl Rival {
    /// An agent with free slots, and the starts of its running attempts.
    #[must_use]
    pub fn new(
        agent: AgentId,
        able: Vec<String>,
        free: usize,
        running: &[DateTime<Utc>],
        usual_ms: Option<f64>,
        now: DateTime<Utc>,
    ) -> Self {
        let usual_ms = usual_ms.unwrap_or(UNKNOWN_MS);
        let left = |since: &DateTime<Utc>| {
            let ran = (now - *since).num_milliseconds().max(0) as f64;
            (usual_ms - ran).max(usual_ms * OVERDUE)
        };
        let slots = std::iter::repeat_n(0.0, free.min(SLOTS));
        let slots = slots.chain(running.iter().take(SLOTS).map(left)).collect();
        Self { agent, able, slots, usual_ms }
    }

    /// Takes the slot that is free first, if that is within `left`; returns whether it was.
    pub fn takes(&mut self, left: TimeDelta) -> bool {
        let left = left.num_milliseconds() as f64;
        let first = self.slots.iter_mut().min_by(|a, b| a.total_cmp(b));
        match first {
            Some(free_in) if *free_in <= left => {
                *free_in += self.usual_ms;
                true
            }
            Some(_) | None => false,
        }
    }
}
