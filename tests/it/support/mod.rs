//! What the tests stand on: a client that holds every answer against the document, a database each,
//! a directory each, and processes that end with them.

pub mod client;
pub mod contract;
pub mod database;
mod keeper;
pub mod process;
mod run;
mod tests;

pub use run::scratch_dir;
