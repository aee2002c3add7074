//! Access: keys, the bootstrap key, authentication and lease tokens.

pub mod authenticate;
pub mod bootstrap;
pub mod keys;
pub mod lease;
