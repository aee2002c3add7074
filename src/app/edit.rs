//! Fields of edits: `null` removes a value, an absent field keeps it.

use serde::{Deserialize, Deserializer};

/// Distinguishes `null` from an absent field, for `#[serde(deserialize_with)]`.
pub(in crate::app) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}
