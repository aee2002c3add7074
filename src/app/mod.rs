//! The use cases: the only place that begins and commits.

pub mod caller;
pub mod error;

pub use error::{Error, Result};
