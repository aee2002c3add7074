//! Collects the errors of an input, so that one answer lists all of them.

use std::collections::BTreeSet;

use super::{
    refusal::{Code, FieldError, Refusal},
    settings,
};

/// The errors found so far. Each check method adds an error at a JSON Pointer if its value is bad.
#[derive(Debug, Default)]
pub struct Checks {
    errors: Vec<FieldError>,
}

/// The most errors one answer lists.
const MOST: usize = 50;

impl Checks {
    /// No errors yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an error at a JSON Pointer; beyond 50 errors it is dropped.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.errors.len() < MOST {
            self.errors.push(FieldError::new(pointer, detail));
        }
    }

    /// The same with the kind of the error.
    pub fn add_coded(
        &mut self,
        code: &'static str,
        pointer: impl Into<String>,
        detail: impl Into<String>,
    ) {
        if self.errors.len() < MOST {
            self.errors.push(FieldError::new(pointer, detail).coded(code));
        }
    }

    /// Adds `detail` at `pointer` unless `good`.
    pub fn ensure(&mut self, good: bool, pointer: &str, detail: impl Into<String>) {
        if !good {
            self.add(pointer, detail);
        }
    }

    /// One line of 1 to `most` characters, not blank.
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
        self.at_most(pointer, text.chars().count(), most, "characters");
    }

    /// At most `most` bytes of UTF-8.
    pub fn bytes(&mut self, pointer: &str, text: &str, most: usize) {
        self.at_most(pointer, text.len(), most, "bytes");
    }

    /// A text of at most [`settings::MESSAGE_BYTES`], not blank.
    pub fn message(&mut self, pointer: &str, text: &str) {
        self.ensure(!text.trim().is_empty(), pointer, "must not be empty");
        self.bytes(pointer, text, settings::MESSAGE_BYTES);
    }

    /// A JSON value of at most [`settings::JSON_BYTES`] as compact text.
    pub fn json(&mut self, pointer: &str, value: Option<&serde_json::Value>) {
        if let Some(value) = value {
            self.bytes(pointer, &value.to_string(), settings::JSON_BYTES);
        }
    }

    /// A value within `bounds`, both included.
    pub fn range<T: PartialOrd + std::fmt::Display>(
        &mut self,
        pointer: &str,
        value: T,
        bounds: std::ops::RangeInclusive<T>,
    ) {
        let (least, most) = (bounds.start(), bounds.end());
        let detail = format!("is {value}; must be from {least} to {most}");
        self.ensure(bounds.contains(&value), pointer, detail);
    }

    /// A list of at most `most` items.
    pub fn count(&mut self, pointer: &str, len: usize, most: usize) {
        self.at_most(pointer, len, most, "items");
    }

    fn at_most(&mut self, pointer: &str, count: usize, most: usize, of: &str) {
        let detail = format!("has {count} {of}; at most {most} are allowed");
        self.ensure(count <= most, pointer, detail);
    }

    /// A list of at most `most` capabilities, each listed once.
    pub fn capabilities(&mut self, pointer: &str, list: &[String], most: usize) {
        self.count(pointer, list.len(), most);
        let mut seen = BTreeSet::new();
        for (index, capability) in list.iter().enumerate().take(most) {
            let at = format!("{pointer}/{index}");
            self.capability(&at, capability);
            self.ensure(seen.insert(capability), &at, "is listed twice");
        }
    }

    /// The name of a capability.
    pub fn capability(&mut self, pointer: &str, capability: &str) {
        self.ensure(
            is_capability(capability),
            pointer,
            "must be 1 to 64 of a-z 0-9 . _ : / + - and start with a letter or digit, \
             for example `rust` or `review:security`",
        );
    }

    /// Ends the checks.
    ///
    /// # Errors
    /// `invalid` with all errors, if there are any.
    pub fn finish(self) -> Result<(), Refusal> {
        if self.errors.is_empty() { Ok(()) } else { Err(Refusal::invalid(self.errors)) }
    }

    /// Ends the checks of a plan. `code`: the kind of the errors that were added without one.
    ///
    /// # Errors
    /// `plan_invalid` with all errors, if there are any.
    pub fn finish_plan(mut self, code: &'static str) -> Result<(), Refusal> {
        for error in &mut self.errors {
            error.code.get_or_insert_with(|| code.to_owned());
        }
        let Some(first) = self.errors.first() else { return Ok(()) };
        let detail = match self.errors.len() {
            1 => format!("{}: {}", first.pointer, first.detail),
            many => format!("{many} errors; the first is at {}: {}", first.pointer, first.detail),
        };
        Err(Refusal::at(Code::PlanInvalid, detail, self.errors))
    }
}

fn is_capability(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes().next().is_some_and(plain)
        && text.len() <= 64
        && text.bytes().all(|byte| plain(byte) || b"._:/+-".contains(&byte))
}

/// Appends a segment to a JSON Pointer and escapes `~` and `/` in it.
#[must_use]
pub fn pointer(base: &str, segment: impl std::fmt::Display) -> String {
    let segment = segment.to_string().replace('~', "~0").replace('/', "~1");
    format!("{base}/{segment}")
}
