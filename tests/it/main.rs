//! The integration tests: one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test fails it as the test itself would"
)]

mod agents;
mod cli;
mod embedded;
mod events;
mod http;
mod keys;
mod layers;
mod openapi;
mod projects;
mod supervisor_record;
mod support;
