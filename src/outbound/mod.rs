//! Everything that calls out. No rule, no SQL, no transaction.

pub mod http;
pub mod oidc;
