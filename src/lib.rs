//! muster keeps track of the work of a fleet of AI agents.

pub mod domain;
