//! What is wrong with a playbook, with its places.

use crate::domain::{check::pointer, refusal::FieldError};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it is wrong with.
    pub of: Subject,
    /// JSON Pointer into that.
    pub pointer: String,
    /// What is wrong, and what is accepted.
    pub detail: String,
}

/// What a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The document.
    Document,
    /// The values given to its variables.
    Variables,
}

/// Faults of one playbook: the first of each place, at most [`MOST`].
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

/// Faults that are listed.
pub const MOST: usize = 50;

impl Faults {
    /// Adds a fault of the document.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.push(Fault { of: Subject::Document, pointer: pointer.into(), detail: detail.into() });
    }

    /// Adds a fault of the values of variables.
    pub fn add_value(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.push(Fault { of: Subject::Variables, pointer: pointer.into(), detail: detail.into() });
    }

    /// Adds a fault. An instance of a repeated task repeats its faults: each place has one.
    pub fn push(&mut self, fault: Fault) {
        let known = |known: &Fault| known.of == fault.of && known.pointer == fault.pointer;
        if self.0.len() < MOST && !self.0.iter().any(known) {
            self.0.push(fault);
        }
    }

    /// Whether no more are listed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value, unless there are faults.
    ///
    /// # Errors
    /// All faults.
    pub fn or<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }

    /// All faults.
    #[must_use]
    pub fn into_list(self) -> Vec<Fault> {
        self.0
    }
}

impl Fault {
    /// As an error of a request that uses the playbook `name`. `at`: where the request names it.
    #[must_use]
    pub fn of_use(&self, at: &str, name: &str) -> FieldError {
        match self.of {
            Subject::Variables => {
                FieldError::new(format!("{at}/variables{}", self.pointer), &self.detail)
            }
            Subject::Document => {
                let detail = format!("`{name}` at `{}`: {}", self.pointer, self.detail);
                FieldError::new(pointer(at, "name"), detail)
            }
        }
    }
}
