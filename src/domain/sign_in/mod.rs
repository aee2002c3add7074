//! Sign-in of people with an identity provider (OpenID Connect): the rules.

pub mod claims;
pub mod flow;
