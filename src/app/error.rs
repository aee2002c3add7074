//! What a use case answers when it does not do what was asked.

use crate::domain::refusal::{Code, Refusal};

/// Why a use case did not do what was asked. It knows no HTTP; `http` says it aloud.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule said no. Nothing was stored (late spend excepted).
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database, or something else inside, failed. The caller learns nothing of it; the log
    /// has it under the request's id.
    #[error("the store failed")]
    Store(#[from] sqlx::Error),
    /// What a row holds is not what the code wrote: a defect, or a hand in the database.
    #[error("stored data cannot be read: {0}")]
    Corrupt(String),
    /// The service is stopping, or a queue inside it is full.
    #[error("unavailable: {0}")]
    Unavailable(&'static str),
}

impl Error {
    /// The code that the caller is told.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Store(_) | Self::Corrupt(_) => Code::Internal,
            Self::Unavailable(_) => Code::Unavailable,
        }
    }
}

/// The result of a use case.
pub type Result<T> = std::result::Result<T, Error>;
