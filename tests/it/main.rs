//! The integration tests: one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a helper of a test fails it as the test itself would"
)]

mod approvals;
mod attempts;
mod crash;
mod embedded;
mod goal_waits;
mod goals;
mod http;
mod layers;
mod leases;
mod openapi;
mod races;
mod support;
mod tasks;
