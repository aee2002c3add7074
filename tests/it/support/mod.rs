//! What the tests stand on: a database each, a directory each, processes that end with them, and a
//! client that holds every answer against the OpenAPI document.

pub mod agent;
pub mod artifacts;
pub mod client;
pub mod contract;
pub mod database;
pub mod dump;
pub mod fleet;
pub mod invariants;
mod keeper;
#[allow(dead_code, reason = "the unit tests use other parts of it")]
pub mod model_stub;
pub mod process;
mod run;
pub mod service;
pub mod shell;
pub mod statements;
mod tests;

pub use run::scratch_dir;
