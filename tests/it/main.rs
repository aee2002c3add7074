//! The integration tests: one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a helper of a test fails it as the test itself would"
)]

mod crash;
mod embedded;
mod http;
mod layers;
mod leases;
mod model;
mod races;
mod roles;
mod schema;
mod openapi;
mod support;
