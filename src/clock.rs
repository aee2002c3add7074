//! The source of time.
//!
//! A unit of work reads the database's clock once, so all processes on one database agree. Tests
//! set a manual clock instead. Nothing else in muster reads the time; intervals inside a process
//! are tokio's.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

/// Source of time; cheap to clone.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The database's clock, read once per unit of work.
    #[default]
    Database,
    /// A clock that moves only by hand.
    Manual(ManualClock),
}

impl Clock {
    /// The time set by a test; `None`: the database's time applies.
    #[must_use]
    pub fn set(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Manual(clock) => Some(clock.now()),
            Self::Database => None,
        }
    }

    /// Begins a run that may take `within`. A manual clock stands still during a run, so nothing is left undone on a
    /// slow machine.
    #[must_use]
    pub fn bound(&self, within: Duration) -> Bound {
        Bound(match self {
            Self::Manual(_) => None,
            Self::Database => Some((Stopwatch::start(), within)),
        })
    }

    /// The current time, given the database's.
    #[must_use]
    pub fn or(&self, database: DateTime<Utc>) -> DateTime<Utc> {
        self.set().unwrap_or(database)
    }
}

/// A clock for tests.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<DateTime<Utc>>>);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn at(start: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(start)))
    }

    /// The time shown.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

/// Sign of life of background work in this process; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulse {
    /// Records a sign of life.
    pub fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Time since the last beat; `None` before the first.
    #[must_use]
    pub fn silence(&self) -> Option<Duration> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|last| last.elapsed())
    }
}

/// Elapsed time inside this process. No rule reads it.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Time that a run of background work may take, begun by [`Clock::bound`].
#[derive(Debug, Clone, Copy)]
pub struct Bound(Option<(Stopwatch, Duration)>);

impl Bound {
    /// Whether that time is over.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.0.is_some_and(|(began, within)| began.elapsed() > within)
    }
}
