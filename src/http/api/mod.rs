//! The handlers of `/v1`, one file per noun. The page (`super::router`) has their routes.

pub mod agents;
pub mod approvals;
pub mod attempts;
pub mod attention;
pub mod audit;
pub mod budgets;
pub mod claims;
pub mod events;
pub mod freezes;
pub mod goals;
pub mod keys;
pub mod links;
pub mod plans;
pub mod policies;
pub mod prices;
pub mod problems;
pub mod projects;
pub mod reports;
pub mod risk_floors;
pub mod rules;
pub mod sessions;
pub mod supervisor;
pub mod tasks;
pub mod verify;
pub mod whoami;
pub mod workspace;
