//! What a use case answers when it does not do what was asked.

use std::sync::Arc;

use crate::domain::refusal::{Code, Refusal};

/// Why a use case did not do what was asked. It knows no HTTP; `http` says it aloud.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A rule said no. Nothing was stored, its spend included.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed. The caller learns nothing of it; the log has it under the request's id.
    #[error("the store failed: {0}")]
    /// Shared, because every command of a failed batch is told.
    Store(#[source] Arc<sqlx::Error>),
    /// What a row holds is not what the code wrote: a defect, or a hand in the database.
    #[error("stored data cannot be read: {0}")]
    Corrupt(String),
    /// The database gave up a statement for another's sake: a deadlock, a lock or statement
    /// timeout. Nothing was stored; the same request may succeed later.
    #[error("gave way: {0}")]
    GaveWay(Arc<sqlx::Error>),
    /// An optimistic check lost a race. Nothing was stored; the caller retries with locks.
    #[error("somebody was faster")]
    Again,
    /// The service is stopping, a queue inside it is full, or the database cannot be reached at
    /// this moment. The same request may succeed later. When the connection broke while a change
    /// was committed, whether it is stored is not known: the same request again is safe, because
    /// writes are fenced or carry keys.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if gave_way(&error) {
            Self::GaveWay(Arc::new(error))
        } else if passes(&error) {
            Self::Unavailable(error.to_string())
        } else {
            Self::Store(Arc::new(error))
        }
    }
}

/// Whether the server ended the transaction to let another go on.
fn gave_way(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(inner) = error else { return false };
    inner.code().is_some_and(|code| matches!(code.as_ref(), "40P01" | "40001" | "55P03" | "57014"))
}

/// Whether the failure is one of the moment: no connection, a server that is stopping or starting.
fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => true,
        sqlx::Error::Database(inner) => inner.code().is_some_and(|code| {
            matches!(code.as_ref(), "53300" | "25P03")
                || code.starts_with("57P")
                || code.starts_with("08")
        }),
        _ => false,
    }
}

impl Error {
    /// The code that the caller is told.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Store(_) | Self::Corrupt(_) => Code::Internal,
            Self::GaveWay(_) | Self::Again | Self::Unavailable(_) => Code::Unavailable,
        }
    }

    /// Whether the database itself refused a statement, so that the transaction has certainly
    /// changed nothing. False also when that is merely not known.
    #[must_use]
    pub fn rolled_back(&self) -> bool {
        match self {
            // The store's own `Protocol` errors are raised before any commit.
            Self::Store(error) => {
                matches!(**error, sqlx::Error::Database(_) | sqlx::Error::Protocol(_))
            }
            Self::GaveWay(_) | Self::Again => true,
            Self::Refused(_) | Self::Corrupt(_) | Self::Unavailable(_) => false,
        }
    }
}

/// The result of a use case.
pub type Result<T> = std::result::Result<T, Error>;

pub(super) fn corrupt(error: impl std::fmt::Display) -> Error {
    Error::Corrupt(error.to_string())
}

/// Refuses an edit of something that changed since it was read.
pub(super) fn same_version(stored: i64, asked: i64) -> Result<()> {
    if stored == asked {
        return Ok(());
    }
    Err(Refusal::new(
        Code::PreconditionFailed,
        format!("it is at version {stored} now, not {asked}; read it again and decide anew"),
    )
    .into())
}
