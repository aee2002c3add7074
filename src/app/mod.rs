//! The use cases: the only place that begins and commits.

pub mod caller;
pub mod error;
pub mod idempotency;

pub use error::{Error, Result};

use crate::domain::refusal::{Code, Refusal};

/// The application.
#[derive(Debug, Default)]
pub struct App {}

impl App {
    /// Whose key `bearer` is.
    ///
    /// # Errors
    /// `unauthenticated` when it is nobody's.
    pub async fn authenticate(&self, _bearer: &str) -> Result<caller::Principal> {
        Err(Refusal::new(Code::Unauthenticated, "the key is not known").into())
    }
}
