//! Reading untrusted JSON.
//!
//! Refused, each with its place: more than [`DEPTH`] levels, duplicate keys, numbers without an exact
//! representation, and control characters (U+0000 cannot be stored at all). So use cases see only text
//! and numbers that muster stores and returns unchanged. The exception is [`DOCUMENTS`].

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use utoipa::ToSchema;

use super::{bounds, sentences, shape::Strict};
use crate::domain::{
    number::EXACT,
    outline::controls,
    refusal::{Code, FieldError, Refusal},
};

/// The deepest nesting of a body, in levels.
pub const DEPTH: usize = 64;
/// The most errors that a refusal lists.
const MOST_ERRORS: usize = 20;
/// Members of the body with texts that were written elsewhere, which pass here with their control characters. Nobody can
/// mend one stray character in a `brief` of 30 KB: the use case drops and notes them. Any text is a valid `query`, and
/// is not stored.
const DOCUMENTS: [&str; 2] = ["brief", "query"];

/// Reads a `T`.
///
/// # Errors
/// `malformed_request` with line and column if it is not JSON; `invalid` with the place if it is JSON of
/// another shape or with refused values.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    shape(value(bytes)?, |_| None)
}

/// Reads the body of a request; a number out of range is refused with the bounds of the API document.
///
/// # Errors
/// Those of [`read`].
pub fn read_body<T: DeserializeOwned + ToSchema>(bytes: &[u8]) -> Result<T, Refusal> {
    shape(value(bytes)?, bounds::of::<T>)
}

fn value(bytes: &[u8]) -> Result<Value, Refusal> {
    let mut walk = Walk::default();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Node { walk: &mut walk }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| malformed(&error, &walk))?;
    if walk.errors.is_empty() {
        return Ok(value);
    }
    Err(Refusal::invalid(walk.errors))
}

fn malformed(error: &serde_json::Error, walk: &Walk) -> Refusal {
    if walk.too_deep {
        return Refusal::invalid_at(
            walk.pointer(),
            format!("this is nested deeper than {DEPTH} levels"),
        );
    }
    Refusal::new(Code::MalformedRequest, format!("the body is not valid JSON: {error}"))
}

fn shape<T: DeserializeOwned>(
    value: Value,
    bounds: impl Fn(&str) -> Option<(i64, i64)>,
) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(Strict(value)).map_err(|error| {
        let pointer = pointer_of(error.path());
        let message = error.into_inner().to_string();
        let detail = sentences::of(&message, || bounds(&pointer));
        Refusal::invalid_at(pointer, detail)
    })
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |mut pointer, segment| {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            // A variant with fields is a level of the JSON, under its name.
            Segment::Enum { variant } => push(&mut pointer, variant),
            // An unknown segment has no name.
            Segment::Unknown => {}
        }
        pointer
    })
}

fn push(pointer: &mut String, segment: &str) {
    pointer.push('/');
    pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
}

/// Whether a character may be stored: all but control characters other than line breaks and tabs.
#[must_use]
pub fn storable(c: char) -> bool {
    controls::is_allowed(c)
}

#[derive(Default)]
struct Walk {
    path: Vec<String>,
    errors: Vec<FieldError>,
    too_deep: bool,
}

impl Walk {
    fn pointer(&self) -> String {
        self.path.iter().fold(String::new(), |mut pointer, segment| {
            push(&mut pointer, segment);
            pointer
        })
    }

    fn refuse(&mut self, detail: String) {
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(FieldError::new(self.pointer(), detail));
        }
    }

    fn text(&mut self, text: &str) {
        if matches!(self.path.as_slice(), [only] if DOCUMENTS.contains(&only.as_str())) {
            return;
        }
        if let Some(found) = controls::find(text).first() {
            self.refuse(format!(
                "the control character U+{:04X} in line {}, column {} is not allowed",
                u32::from(found.char),
                found.line,
                found.column
            ));
        }
    }

    /// Enters a level, or fails if it is too deep.
    fn enter<E: serde::de::Error>(&mut self, segment: String) -> Result<(), E> {
        self.path.push(segment);
        if self.path.len() > DEPTH {
            self.too_deep = true;
            return Err(E::custom("too deep"));
        }
        Ok(())
    }
}

struct Node<'w> {
    walk: &'w mut Walk,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // Integers of 64 bits arrive as integers: a double of this size was rounded already.
        if value.abs() > EXACT {
            self.walk.refuse("this number is too large to be kept exactly".to_owned());
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        self.walk.text(value);
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        self.walk.text(&value);
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            self.walk.enter::<A::Error>(items.len().to_string())?;
            let item = seq.next_element_seed(Node { walk: &mut *self.walk })?;
            self.walk.path.pop();
            let Some(item) = item else { return Ok(Value::Array(items)) };
            items.push(item);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            self.walk.enter::<A::Error>(key.clone())?;
            self.walk.text(&key);
            if members.contains_key(&key) {
                self.walk.refuse("this key appears twice".to_owned());
            }
            let value = map.next_value_seed(Node { walk: &mut *self.walk })?;
            self.walk.path.pop();
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}
