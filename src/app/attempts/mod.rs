//! Attempts from claim to result: everything that starts, renews, parks and ends them.

pub mod answered;
pub mod authorize;
pub mod claim;
pub mod discovered;
pub(in crate::app) mod end;
pub mod finish;
pub mod hand_off;
pub mod heartbeat;
pub mod park;
pub mod resources;
pub mod split;
pub mod start;
pub mod takeover;
