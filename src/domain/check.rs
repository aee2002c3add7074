//! Collecting everything that is wrong with an input, so that one answer names all of it.

use std::collections::BTreeSet;

use super::{
    refusal::{Code, FieldError, Refusal},
    settings,
};

/// Errors found so far.
#[derive(Debug, Default)]
pub struct Checks {
    errors: Vec<FieldError>,
}

/// Most errors that one answer lists: more help nobody.
const MOST: usize = 50;

impl Checks {
    /// Nothing found yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes an error at a JSON Pointer.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.errors.len() < MOST {
            self.errors.push(FieldError::new(pointer, detail));
        }
    }

    /// Notes `detail` unless `good`.
    pub fn ensure(&mut self, good: bool, pointer: &str, detail: impl Into<String>) {
        if !good {
            self.add(pointer, detail);
        }
    }

    /// A single line of 1 to `most` characters, not only white space.
    pub fn line(&mut self, pointer: &str, text: &str, most: usize) {
        if text.trim().is_empty() {
            return self.add(pointer, "must not be empty");
        }
        if text.contains(['\n', '\r']) {
            return self.add(pointer, "must be one line");
        }
        self.chars(pointer, text, most);
    }

    /// At most `most` characters.
    pub fn chars(&mut self, pointer: &str, text: &str, most: usize) {
        let count = text.chars().count();
        self.ensure(
            count <= most,
            pointer,
            format!("has {count} characters; at most {most} are allowed"),
        );
    }

    /// At most `most` bytes.
    pub fn bytes(&mut self, pointer: &str, text: &str, most: usize) {
        let count = text.len();
        self.ensure(
            count <= most,
            pointer,
            format!("has {count} bytes; at most {most} are allowed"),
        );
    }

    /// A JSON value whose text is not larger than [`settings::JSON_BYTES`].
    pub fn json(&mut self, pointer: &str, value: Option<&serde_json::Value>) {
        let Some(value) = value else { return };
        self.bytes(pointer, &value.to_string(), settings::JSON_BYTES);
    }

    /// A number within bounds.
    pub fn range<T: PartialOrd + std::fmt::Display>(
        &mut self,
        pointer: &str,
        value: T,
        bounds: std::ops::RangeInclusive<T>,
    ) {
        let (least, most) = bounds.into_inner();
        let good = value >= least && value <= most;
        self.ensure(good, pointer, format!("is {value}; must be from {least} to {most}"));
    }

    /// A list of no more than `most` items.
    pub fn count(&mut self, pointer: &str, len: usize, most: usize) {
        self.ensure(len <= most, pointer, format!("has {len} items; at most {most} are allowed"));
    }

    /// A list of capabilities.
    pub fn capabilities(&mut self, pointer: &str, list: &[String], most: usize) {
        self.count(pointer, list.len(), most);
        let mut seen = BTreeSet::new();
        for (index, capability) in list.iter().enumerate().take(most) {
            let at = format!("{pointer}/{index}");
            self.capability(&at, capability);
            self.ensure(seen.insert(capability), &at, "is listed twice");
        }
    }

    /// A capability.
    pub fn capability(&mut self, pointer: &str, capability: &str) {
        self.ensure(
            is_capability(capability),
            pointer,
            "must be 1 to 64 of a-z 0-9 . _ : / + - and start with a letter or digit, \
             for example `rust` or `review:security`",
        );
    }

    /// The errors as a refusal.
    ///
    /// # Errors
    /// `invalid` when anything was noted.
    pub fn finish(self) -> Result<(), Refusal> {
        if self.errors.is_empty() { Ok(()) } else { Err(Refusal::invalid(self.errors)) }
    }

    /// The errors as a refusal of a plan.
    ///
    /// # Errors
    /// `plan_invalid` when anything was noted.
    pub fn finish_plan(self) -> Result<(), Refusal> {
        let Some(first) = self.errors.first() else { return Ok(()) };
        let detail = match self.errors.len() {
            1 => format!("{}: {}", first.pointer, first.detail),
            many => format!("the plan has {many} errors; the first: {}", first.detail),
        };
        Err(Refusal { code: Code::PlanInvalid, detail, errors: self.errors })
    }
}

fn is_capability(text: &str) -> bool {
    let known =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._:/+-".contains(&byte);
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    first && text.len() <= 64 && text.bytes().all(known)
}

/// Joins JSON Pointer segments, escaping `~` and `/` in the last.
#[must_use]
pub fn pointer(base: &str, segment: impl std::fmt::Display) -> String {
    let segment = segment.to_string().replace('~', "~0").replace('/', "~1");
    format!("{base}/{segment}")
}
