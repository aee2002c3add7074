//! Extractors: they read one part of a request each, and refuse wrong input.

pub mod auth;
pub mod body;
mod bounds;
pub mod conditional;
pub mod cookie;
pub mod download;
pub mod idempotency;
pub mod json;
pub mod lines;
pub mod long_poll;
pub mod meter;
pub mod page;
pub mod path;
pub mod query;
mod sentences;
pub mod session;
mod shape;
pub mod upload;
pub mod yaml;
