//! Why a measurement could not be made.

use crate::embedded::EmbeddedError;

/// The result of a step of the bench.
pub type Result<T, E = BenchError> = std::result::Result<T, E>;

/// Why a measurement could not be made. Requests that were refused are counted, not errors.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The private PostgreSQL cannot be used.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// A statement of the bench's own failed.
    #[error("the database of the bench: {0}")]
    Database(#[from] sqlx::Error),
    /// A process, file or limit.
    #[error("cannot {what}: {source}")]
    System {
        /// The verb and its object.
        what: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The server that was started ended, or never became ready.
    #[error("the server that is measured {0}")]
    Server(String),
    /// `--url` cannot be used.
    #[error("--url {url} cannot be used: {why}; it is http://host:port of a running muster")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// A connection to the service failed.
    #[error("the connection to the service failed: {0}")]
    Connection(#[from] hyper::Error),
    /// The service refused something that a measurement needs.
    #[error("the service answered {call} with {status}: {body}")]
    Refused {
        /// `POST /v1/goals`
        call: String,
        /// The status.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
    /// The service answered something that muster does not say.
    #[error("the answer to {call} is not muster's: {source}")]
    Strange {
        /// `POST /v1/claims`
        call: String,
        /// What cannot be read in it.
        source: serde_json::Error,
    },
    /// A measurement is impossible with what was given.
    #[error("{0}")]
    Impossible(String),
}

impl BenchError {
    /// For `map_err`: what was tried.
    pub fn system<E: Into<std::io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |source| Self::System { what: what.into(), source: source.into() }
    }
}
