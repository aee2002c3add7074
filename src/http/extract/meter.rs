//! The caps of a request, for what only its handler can count.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};
use serde_json::Value;

use crate::{
    domain::spend::SpendReport,
    http::{
        describe::{Describe, Description},
        fairness::{
            admission::Admission,
            quotas::{Counted, KeyLimit},
        },
        problem::Result,
    },
};

/// Counts what a request uses. Outside the layers of the service it counts nothing.
#[derive(Debug, Clone)]
pub struct Meter(Option<Admission>);

impl<S: Send + Sync> FromRequestParts<S> for Meter {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().cloned()))
    }
}

impl Describe for Meter {
    fn describe(_: &mut Description<'_>) {}
}

impl Meter {
    /// Counts a use of the key.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn count(&self, counted: Counted, amount: usize) -> Result<()> {
        let amount = u64::try_from(amount).unwrap_or(u64::MAX);
        if amount == 0 {
            return Ok(());
        }
        self.0.as_ref().map_or(Ok(()), |admission| admission.charge(counted, amount))
    }

    /// Counts what an attempt reports: its lines of spend, and its checkpoint.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn report(&self, spend: &SpendReport, checkpoint: Option<&Value>) -> Result<()> {
        self.count(Counted::SpendEntries, spend.entries.len() + spend.totals.len())?;
        self.count(Counted::CheckpointBytes, checkpoint.map_or(0, size))
    }

    /// Refuses the request if the key has used up what it will use an unknown amount of.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn check(&self, counted: Counted) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |admission| admission.charge(counted, 0))
    }

    /// Counts a use of the key after it was made.
    pub fn add(&self, counted: Counted, amount: usize) {
        // The next request finds the bucket empty, or in debt.
        let _ = self.count(counted, amount);
    }

    /// Has the request wait from now on, if it `waits` at all.
    ///
    /// # Errors
    /// `rate_limited`, `unavailable`.
    pub fn wait_if(&self, waits: bool) -> Result<()> {
        match &self.0 {
            Some(admission) if waits => admission.wait(),
            Some(_) | None => Ok(()),
        }
    }

    /// What the key may still use.
    #[must_use]
    pub fn levels(&self) -> Vec<KeyLimit> {
        self.0.as_ref().map(Admission::levels).unwrap_or_default()
    }
}

/// The bytes of a checkpoint, as JSON.
fn size(checkpoint: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting cannot fail.
    let _ = serde_json::to_writer(&mut count, checkpoint);
    count.0
}
