//! Extractors: what a handler takes from a request, and how bad input is refused.

pub mod auth;
pub mod body;
pub mod conditional;
pub mod idempotency;
pub mod json;
pub mod long_poll;
pub mod page;
pub mod path;
pub mod query;
pub(in crate::http) mod sentences;
pub(in crate::http) mod shape;
