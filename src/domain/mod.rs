//! The words, states and rules of muster: pure functions, no I/O, no clock, no randomness.

pub mod agent;
pub mod budget;
pub mod check;
pub mod claim;
pub mod cycle;
pub mod event;
pub mod goal;
pub mod heartbeat;
pub mod ids;
pub mod invariant;
pub mod key;
pub mod layout;
pub mod new_goal;
pub mod outline;
pub mod plan;
pub mod price;
pub mod refusal;
pub mod report;
pub mod role;
pub mod settings;
pub mod spend;
pub mod states;
pub mod story;
pub mod task;
pub mod token;
pub mod words;
