//! Failures of a use case.

use std::sync::Arc;

use crate::{
    domain::refusal::{Code, Refusal},
    store::WriteError,
};

/// Why a use case failed. It knows no HTTP; `http` maps it to a status and a problem.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A rule refused the request. Nothing was stored, not even its spend.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed. The caller gets no detail; the log has it under the request id.
    #[error("the store failed: {0}")]
    /// Shared, because every command of a failed batch gets it.
    Store(#[source] Arc<sqlx::Error>),
    /// A row does not decode: a defect, or a manual change in the database.
    #[error("stored data cannot be read: {0}")]
    Corrupt(String),
    /// A write met a row in another state than the unit of work had found it in: a defect. Nothing
    /// was stored.
    #[error("{0}")]
    Stale(&'static str),
    /// The database aborted a statement: deadlock, serialization failure, lock or statement
    /// timeout. Nothing was stored; the same request may succeed later.
    #[error("gave way: {0}")]
    GaveWay(Arc<sqlx::Error>),
    /// The database had no room to store: its disk, its memory or a limit of its configuration. Says
    /// which. Nothing was stored unless it failed during a commit; the same request may succeed later.
    #[error("{0}: {1}")]
    NoRoom(&'static str, Arc<sqlx::Error>),
    /// An optimistic check lost a race. Nothing was stored; the caller retries with locks.
    #[error("somebody was faster")]
    Again,
    /// The service is stopping, one of its queues is full, or the database is unreachable. The same
    /// request may succeed later. If the connection broke during a commit, its outcome is unknown;
    /// repeating the request is safe, because writes are fenced or idempotent.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if gave_way(&error) {
            Self::GaveWay(Arc::new(error))
        } else if let Some(lack) = lack(&error) {
            Self::NoRoom(lack, Arc::new(error))
        } else if passes(&error) {
            Self::Unavailable(error.to_string())
        } else {
            Self::Store(Arc::new(error))
        }
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Database(error) => error.into(),
            WriteError::Stale(what) => Self::Stale(what),
        }
    }
}

/// Whether the server aborted the transaction so that another could proceed.
fn gave_way(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(inner) = error else { return false };
    inner.code().is_some_and(|code| matches!(code.as_ref(), "40P01" | "40001" | "55P03" | "57014"))
}

/// What the database lacks to store; `None` for other failures.
fn lack(error: &sqlx::Error) -> Option<&'static str> {
    let sqlx::Error::Database(inner) = error else { return None };
    lack_of(inner.code()?.as_ref())
}

/// What an SQLSTATE says the database lacks: class 53 (insufficient resources) without the number of
/// connections, and class 58 (errors of the system below it).
fn lack_of(code: &str) -> Option<&'static str> {
    match code {
        "53300" => None,
        "53100" => Some("the disk of the database is full"),
        "53200" => Some("the database has no memory left"),
        code if code.starts_with("53") => Some("the database has reached a limit of its resources"),
        code if code.starts_with("58") => Some("the database cannot read or write its files"),
        _ => None,
    }
}

/// Whether the failure is transient: no connection, or a server that is stopping or starting.
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
    /// The refusal code for the caller.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Store(_) | Self::Corrupt(_) | Self::Stale(_) => Code::Internal,
            Self::GaveWay(_) | Self::NoRoom(..) | Self::Again | Self::Unavailable(_) => {
                Code::Unavailable
            }
        }
    }

    /// Whether a statement was refused before the commit, so the transaction certainly changed
    /// nothing. `false` also if that is unknown.
    #[must_use]
    pub fn rolled_back(&self) -> bool {
        match self {
            Self::Store(error) => matches!(**error, sqlx::Error::Database(_)),
            Self::Refused(_) | Self::GaveWay(_) | Self::Again | Self::Stale(_) => true,
            // One by one they would meet the same lack.
            Self::NoRoom(..) | Self::Corrupt(_) | Self::Unavailable(_) => false,
        }
    }
}

/// Result of a use case.
pub type Result<T> = std::result::Result<T, Error>;

pub(super) fn corrupt(error: impl std::fmt::Display) -> Error {
    Error::Corrupt(error.to_string())
}

/// Refuses an edit based on an outdated version.
pub(super) fn same_version(stored: i64, asked: i64) -> Result<()> {
    if stored == asked {
        return Ok(());
    }
    Err(Refusal::new(
        Code::PreconditionFailed,
        format!("it is at version {stored} now, not {asked}; read it again before you change it"),
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every SQLSTATE of classes 53 and 58 in the manual of PostgreSQL 17.
    #[test]
    fn a_lack_of_room_has_its_own_words() {
        let lacks =
            ["53000", "53100", "53200", "53400", "58000", "58030", "58P01", "58P02", "58P03"];
        for code in lacks {
            assert!(lack_of(code).is_some(), "{code}");
        }
        for code in ["53300", "57P03", "40P01", "23514", "22003", "08006", "XX000"] {
            assert_eq!(lack_of(code), None, "{code}");
        }
        assert_eq!(lack_of("53100"), Some("the disk of the database is full"));
    }

    #[test]
    fn a_lack_of_room_is_unavailable_and_no_reason_to_go_one_by_one() {
        let error =
            Error::NoRoom("the disk of the database is full", Arc::new(sqlx::Error::RowNotFound));
        assert_eq!((error.code(), error.rolled_back()), (Code::Unavailable, false));
    }
}
