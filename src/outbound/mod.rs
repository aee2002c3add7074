//! Everything that calls out. No rule, no SQL, no transaction.

pub mod artifacts;
pub mod http;
pub mod models;
pub mod oidc;
