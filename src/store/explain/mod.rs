//! The facts of explanations. Reads only, each statement bounded in what it returns.
//!
//! What decides a claim is not restated here: the search is that of [`super::attempts::claim`], the agents are its
//! claimers, and freezes and gates are the functions of the database that it calls.

pub mod agents;
pub mod task;
