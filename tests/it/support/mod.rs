//! What the tests share.

pub mod client;
pub mod contract;
//! What the tests stand on: a database each, a directory each, and processes that end with them.

pub mod database;
mod keeper;
pub mod process;
mod run;
mod tests;

pub use run::scratch_dir;
