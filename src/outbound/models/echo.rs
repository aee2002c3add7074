//! The key in what a server sends back.

use serde_json::Value;

/// What stands for the key.
const HIDDEN: &str = "[key]";
/// Shorter keys are placeholders of servers that want none; they would be found in ordinary words.
const SHORTEST: usize = 8;

/// Removes a key from texts.
pub(super) struct Echo<'a>(Option<&'a str>);

impl<'a> Echo<'a> {
    pub(super) fn of(key: Option<&'a str>) -> Self {
        Self(key.map(str::trim).filter(|key| key.len() >= SHORTEST))
    }

    pub(super) fn text(&self, text: &str) -> String {
        match self.0 {
            Some(key) if text.contains(key) => text.replace(key, HIDDEN),
            Some(_) | None => text.to_owned(),
        }
    }

    /// Removes the key from every text of a value. The depth is bounded by the JSON reader.
    pub(super) fn value(&self, value: Value) -> Value {
        if self.0.is_none() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(entries) => {
                let entries = entries.into_iter();
                Value::Object(
                    entries.map(|(name, of)| (self.text(&name), self.value(of))).collect(),
                )
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_removed_wherever_it_is() {
        let echo = Echo::of(Some("sk-secret-1"));
        let sent = json!({"a": ["x sk-secret-1 y", {"sk-secret-1": 1}], "b": "sk-secret-2"});
        let read = json!({"a": ["x [key] y", {"[key]": 1}], "b": "sk-secret-2"});
        assert_eq!(echo.value(sent), read);
        assert_eq!(Echo::of(Some("none")).text("none of it"), "none of it");
    }
}
