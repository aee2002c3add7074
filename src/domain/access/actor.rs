//! Who does something, as it is written down.

use std::sync::Arc;

use super::person::Person;
use crate::domain::ids::KeyId;

/// Who does something, as it is written down: in events the key alone, in the audit everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Actor {
    /// The key; none: the service itself, somebody at its command line, or a person with a link.
    pub key: Option<KeyId>,
    /// The person.
    pub person: Option<Person>,
    /// For whom the agent works, when an agent does it.
    pub owner: Option<Person>,
    /// The request that it was done for.
    pub request_id: Option<Arc<str>>,
}

impl Actor {
    /// The service itself, or somebody at its command line.
    pub const SERVICE: Self = Self { key: None, person: None, owner: None, request_id: None };
}
