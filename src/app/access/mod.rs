//! Access: keys, the bootstrap key, authentication, sessions and lease tokens.

pub mod authenticate;
pub mod bootstrap;
pub mod key_use;
pub mod keys;
pub mod lease;
pub mod rotate;
pub mod scope;
pub mod sessions;
