//! The rules: pure functions that know no layer above them.

pub mod outline;
