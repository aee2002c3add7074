//! People, by name.
//!
//! muster keeps no accounts: a person is a name that an administrator sets on keys, such as an e-mail
//! address or a login. Names are only compared for equality. So each has one spelling: ASCII in lower
//! case, without look-alike letters.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// The longest name of a person, in characters.
pub const PERSON_CHARS: usize = 200;

/// The name of a person: 1 to 200 of the letters `a` to `z`, digits and `. _ % + - @ : /`. Stored in
/// lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, min_length = 1, max_length = 200,
         pattern = "^[A-Za-z0-9._%+@:/-]+$", example = "alice@example.com")]
pub struct Person(String);

/// The error of a text that is no valid name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a person must be 1 to 200 letters (a to z), digits and . _ % + - @ : /")]
pub struct NotAPerson;

impl Person {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Person {
    type Err = NotAPerson;

    fn from_str(name: &str) -> Result<Self, NotAPerson> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._%+-@:/".contains(&byte);
        if name.is_empty() || name.len() > PERSON_CHARS || !name.bytes().all(plain) {
            return Err(NotAPerson);
        }
        Ok(Self(name.to_ascii_lowercase()))
    }
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Person {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        let alice: Person = "Alice@Example.com".parse().unwrap();
        assert_eq!(alice, "alice@example.com".parse().unwrap());
        assert_eq!(alice.as_str(), "alice@example.com");
    }

    #[test]
    fn what_looks_like_another_name_is_none() {
        // The first letter is a Cyrillic one.
        for name in
            ["", "\u{430}lice@example.com", "alice ", "a\nb", "a\u{200b}b", &"a".repeat(201)]
        {
            assert_eq!(name.parse::<Person>(), Err(NotAPerson), "{name:?}");
        }
    }
}
