//! The integration tests: one binary.

mod http;
mod layers;
mod openapi;
mod support;
