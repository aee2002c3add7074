//! The words, states and rules of muster: pure functions, no I/O, no clock, no randomness.

pub mod ids;
pub mod refusal;
pub mod role;
pub mod words;
