//! What the workers were told: every request and its answer, in the order of real time.
//!
//! One counter ticks for every request that goes out and every answer that comes in. A request
//! whose answer came before another went out has happened before that one; of two that overlap
//! nothing is known.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Up to `max` tasks; with a key, the same request may be sent again.
    Claim { key: Option<String>, max: usize },
    /// To keep the lease, and a checkpoint.
    Heartbeat { attempt: String, checkpoint: i64 },
    /// To charge one entry.
    Spend { attempt: String, entry: Entry },
    /// To end the attempt with a result and one last entry.
    Complete { attempt: String, result: i64, entry: Entry },
    /// To give the task back.
    Release { attempt: String },
    /// To take on a goal.
    Post { key: String },
}

/// An entry of spend: its key and amount.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub key: String,
    pub amount: i64,
}

/// A task that was handed out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Given {
    pub task: String,
    pub attempt: String,
    /// The attempt's number: the epoch.
    pub number: i64,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The claimed tasks; none: there was nothing to do.
    Claimed(Vec<Given>),
    /// It is stored. `late`: after the attempt had ended.
    Stored { late: bool },
    /// The goal's id.
    Posted(String),
    /// Nothing was stored, says the code.
    Refused(String),
    /// No answer, or that the service cannot say: it may be done or not.
    Unknown,
}

/// One request, sent once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub agent: String,
    pub what: What,
    pub told: Told,
    /// When it went out.
    pub sent: u64,
    /// When the answer came; for one that did not come, when it was given up.
    pub heard: u64,
}

/// An event as the follower read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub number: i64,
    pub kind: String,
}

/// Everything that was said.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub calls: Vec<Call>,
    pub events: Vec<Event>,
}

/// A history in the making.
#[derive(Debug, Default)]
pub struct Recorder {
    tick: AtomicU64,
    history: Mutex<History>,
}

impl Recorder {
    /// The next instant.
    pub fn tick(&self) -> u64 {
        self.tick.fetch_add(1, Ordering::SeqCst)
    }

    pub fn note(&self, call: Call) {
        self.history.lock().unwrap().calls.push(call);
    }

    pub fn read(&self, event: Event) {
        self.history.lock().unwrap().events.push(event);
    }

    /// The history so far.
    pub fn history(&self) -> History {
        self.history.lock().unwrap().clone()
    }
}

impl History {
    /// What each attempt was handed out as, however often it was told, by attempt.
    pub fn given(&self) -> BTreeMap<&str, &Given> {
        self.claims().flat_map(|(_, given)| given).map(|one| (one.attempt.as_str(), one)).collect()
    }

    /// Every answer to a claim.
    pub fn claims(&self) -> impl Iterator<Item = (&Call, &Vec<Given>)> {
        self.calls.iter().filter_map(|call| match &call.told {
            Told::Claimed(given) => Some((call, given)),
            _ => None,
        })
    }
}

impl What {
    /// The attempt that is written to.
    pub fn attempt(&self) -> Option<&str> {
        match self {
            Self::Heartbeat { attempt, .. }
            | Self::Spend { attempt, .. }
            | Self::Complete { attempt, .. }
            | Self::Release { attempt } => Some(attempt),
            Self::Claim { .. } | Self::Post { .. } => None,
        }
    }

    /// The entry that is charged.
    pub fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Spend { entry, .. } | Self::Complete { entry, .. } => Some(entry),
            Self::Claim { .. }
            | Self::Heartbeat { .. }
            | Self::Release { .. }
            | Self::Post { .. } => None,
        }
    }
}
