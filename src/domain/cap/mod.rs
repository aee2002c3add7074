//! Caps: how much of the service one key, workspace or address may use.
//!
//! A cap protects callers from each other. It is no budget, which people allow, and no quota window,
//! which a provider sets.

pub mod bucket;
pub mod pace;
pub mod share;
pub mod workspace;
