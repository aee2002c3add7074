//! The vocabulary, states and rules of muster: pure functions without I/O, clock or randomness.
//!
//! One folder or file a noun. Nothing here names another layer, so every rule can be read and
//! property-tested by itself; `app` locks the rows, calls a rule and writes down its outcome.

pub mod access;
pub mod addressee;
pub mod agent;
pub mod approval;
pub mod archive;
pub mod artifact;
pub mod attention;
pub mod budget;
pub mod canonical;
pub mod cap;
pub mod check;
pub mod comment;
pub mod criterion;
pub mod dedup;
pub mod explain;
pub mod form;
pub mod freeze;
pub mod gate;
pub mod goal;
pub mod handover;
pub mod ids;
pub mod invariant;
pub mod journal;
pub mod knowledge;
pub mod link;
pub mod loops;
pub mod moving;
pub mod number;
pub mod outline;
pub mod plan;
pub mod planning;
pub mod policy;
pub mod price;
pub mod quota;
pub mod rate;
pub mod refusal;
pub mod report;
pub mod retention;
pub mod risk;
pub mod routing;
pub mod rule;
pub mod schedule;
pub mod secret;
pub mod settings;
pub mod sign_in;
pub mod span;
pub mod spend;
pub mod states;
pub mod task;
pub mod words;
