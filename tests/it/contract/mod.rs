//! What is written down and must be true: the OpenAPI document, the README, the schema, layers, roles.

mod fairness;
mod http;
mod layers;
mod openapi;
mod readme;
pub mod roles;
mod schema;
mod times;
pub mod upgrade;
