//! The integration tests: one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a helper of a test fails it as the test itself would"
)]

mod agents;
mod approvals;
mod asking;
mod attempts;
mod attention;
mod audit;
mod bench;
mod budgets;
mod cancels;
mod claims;
mod cli;
mod decisions;
mod demo;
mod duties;
mod embedded;
mod events;
mod faults;
mod freezes;
mod goal_waits;
mod goals;
mod graph;
mod http;
mod keys;
mod layers;
mod lease_model;
mod leases;
mod links;
mod model;
mod openapi;
mod oracle;
mod policies;
mod prices;
mod projects;
mod races;
mod readme;
mod reports;
mod review;
mod revisions;
mod roles;
mod rules;
mod schema;
mod spend;
mod statistics;
mod supervisor_record;
mod support;
mod takeover;
mod tasks;
mod times;
mod verify;
