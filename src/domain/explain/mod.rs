//! Explanations: why a task does not run, why an agent gets nothing, who must act, and with which request.
//!
//! The facts come from one snapshot, found by the same statements as those of claims. The rules here only name what
//! was found: they decide which cause is decisive, who can clear it, and how. Nothing of it is stored.
//!
//! The first cause is the decisive one. The others follow in the order in which they would show up once those before
//! them are cleared.

pub mod agent;
pub mod answer;
pub mod fleet;
pub mod hindrance;
pub mod offer;
pub mod overcome;
pub mod request;
pub mod task;
