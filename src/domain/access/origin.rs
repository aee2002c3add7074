//! As whom a key counts.

use super::person::Person;
use crate::domain::ids::KeyId;

/// As whom a key counts. Set when the key is made; never changes. A key that replaces another has the
/// origin of that one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The first key in the chain of makers that has a person or no maker. `None`: a link, or the
    /// service itself.
    pub key: Option<KeyId>,
    /// The person of that key.
    pub person: Option<Person>,
}
