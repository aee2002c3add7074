//! The integration tests: one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a helper of a test fails it as the test itself would"
)]

mod agents;
mod approvals;
mod archives;
mod artifacts;
mod attempts;
mod attention;
mod budgets;
mod caps;
mod comments;
mod contract;
mod coordination;
mod decisions;
mod explain;
mod freezes;
mod goals;
mod journal;
mod key_ends;
mod key_scopes;
mod keys;
mod knowledge;
mod limits_of_work;
mod operate;
mod planners;
mod playbooks;
mod prices;
mod projects;
mod promises;
mod reports;
mod retention;
mod routing;
mod rules;
mod schedules;
mod secrets;
mod sessions;
mod sign_in;
mod support;
mod tasks;
mod verification;
