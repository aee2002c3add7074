//! The one source of time.
//!
//! A unit of work reads the database's clock once, so that all processes on one database agree.
//! Tests set a manual clock instead and move it by hand. Nothing else in muster asks what time it
//! is; intervals inside a process are tokio's.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

/// Where the time comes from; cheap to clone.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The database's clock, read once per unit of work.
    #[default]
    Database,
    /// Stands still until it is moved.
    Manual(ManualClock),
}

impl Clock {
    /// The time that a test has set; none: it is the database's.
    #[must_use]
    pub fn set(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Manual(clock) => Some(clock.now()),
            Self::Database => None,
        }
    }

    /// What time it is when the database says that it is `database`.
    #[must_use]
    pub fn or(&self, database: DateTime<Utc>) -> DateTime<Utc> {
        self.set().unwrap_or(database)
    }
}

/// A clock for tests.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<DateTime<Utc>>>);

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn at(start: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(start)))
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Moves it forward.
    pub fn advance(&self, by: std::time::Duration) {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now += by;
    }
}

/// A sign of life of something that works in the background of this process; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulse {
    /// It lives.
    pub fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// How long ago it last showed that it lives; nothing when it never did.
    #[must_use]
    pub fn silence(&self) -> Option<Duration> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|last| last.elapsed())
    }
}

/// How long something takes inside this process. No rule sees it.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since its start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
