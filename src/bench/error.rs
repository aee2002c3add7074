//! The reasons why a measurement fails. A refused request of a round is counted and is no error.

use tokio::task::JoinError;

use crate::embedded::EmbeddedError;

/// The result of a part of the bench.
pub type Result<T, E = BenchError> = std::result::Result<T, E>;

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The private PostgreSQL cannot be used.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// A statement of the bench itself failed.
    #[error("the database of the bench: {0}")]
    Database(#[from] sqlx::Error),
    /// A process, file or limit.
    #[error("cannot {what}: {source}")]
    System {
        /// The verb and its object.
        what: String,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A connection to the service failed.
    #[error("the connection to the service failed: {0}")]
    Connection(#[from] hyper::Error),
    /// The service refused a request that the measurement needs.
    #[error("the service answered {call} with {status}: {body}")]
    Refused {
        /// Method and path, `POST /v1/goals`.
        call: String,
        /// The status of the answer.
        status: u16,
        /// The beginning of its body.
        body: String,
    },
    /// An answer or a figure is not the expected JSON.
    #[error("unexpected JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The measurement is impossible here, or did not come to its end.
    #[error("{0}")]
    Impossible(String),
}

impl BenchError {
    /// For `map_err`; `what` is the verb and its object.
    pub fn system<E: Into<std::io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |source| Self::System { what: what.into(), source: source.into() }
    }

    /// For `map_err`: a task of the bench panicked.
    pub fn panicked(_: JoinError) -> Self {
        Self::Impossible("a task of the bench panicked".into())
    }
}
