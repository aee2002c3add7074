//! A read-only transaction that sees one moment.

use chrono::{DateTime, Utc};
use sqlx::{Postgres, Transaction};
use tokio::sync::OwnedSemaphorePermit;

/// A single moment of the database, held still for one report.
pub(in crate::app) struct Moment {
    pub(in crate::app) tx: Transaction<'static, Postgres>,
    pub(in crate::app) now: DateTime<Utc>,
    pub(in crate::app) _place: OwnedSemaphorePermit,
}
