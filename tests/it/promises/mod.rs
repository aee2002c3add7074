//! The promises: races, crashes, models and the checks on live data.

mod edges;
pub mod faults;
mod lease_model;
mod model;
mod races;
pub mod verify;
