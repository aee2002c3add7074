//! Who acts: keys and their tokens, roles, persons, actors.

pub mod actor;
pub mod credential;
pub mod key;
pub mod origin;
pub mod person;
pub mod role;
pub mod scope;
pub mod session;
pub mod token;
