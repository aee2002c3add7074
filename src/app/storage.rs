//! Whether the database can store: a full disk or exhausted memory refuses writes while reads work.
//!
//! A refused write marks the storage as failing. While it is, `/readyz` says no, and the supervisor
//! tries a write every few seconds, which changes nothing and needs room on the disk as a new page of a
//! table does. The first that succeeds ends it. While all is well nothing is tried.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{App, Error, Result};
use crate::store;

/// Whether the last write that says so was refused for want of room; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Storage(Arc<AtomicBool>);

impl Storage {
    /// Whether writes fail.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Notes that a write was refused for want of room.
    pub fn fail(&self) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::error!("the database cannot store: not ready until it can");
        }
    }

    /// Notes an error: only one for want of room matters.
    pub fn note(&self, error: &Error) {
        if matches!(error, Error::NoRoom(..)) {
            self.fail();
        }
    }

    fn recover(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            tracing::info!("the database can store again");
        }
    }
}

impl App {
    /// The state of the storage, as this process saw it.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Tries a write if the last one was refused for want of room.
    ///
    /// # Errors
    /// Those of the write.
    pub async fn check_storage(&self) -> Result<()> {
        if !self.storage.is_failing() {
            return Ok(());
        }
        store::statistics::try_write(&self.pool).await?;
        self.storage.recover();
        Ok(())
    }
}
