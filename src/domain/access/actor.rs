//! The author of a change, as the journal records it.

use std::sync::Arc;

use super::person::Person;
use crate::domain::ids::{KeyId, LinkId};

/// The author of a change, as the journal records it. Events show the key only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Actor {
    /// The key used. `None`: the service itself, its command line, or a person with a link.
    pub key: Option<KeyId>,
    /// The person who holds the key or the link.
    pub person: Option<Person>,
    /// The owner of the agent, if an agent acts.
    pub owner: Option<Person>,
    /// The id of the HTTP request.
    pub request_id: Option<Arc<str>>,
    /// The decision link, when a person without a key does it.
    pub link: Option<UsedLink>,
}

/// A decision link that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedLink {
    /// The link.
    pub id: LinkId,
    /// The key that made it.
    pub made_by: KeyId,
}

impl Actor {
    /// The service itself, or its command line.
    pub const SERVICE: Self =
        Self { key: None, person: None, owner: None, request_id: None, link: None };
}
