//! A task under construction.

use super::{body::Body, boxes::BoxMark, title::Head};

/// A task under construction.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub head: Head,
    pub body: Body,
    pub line: u32,
    pub done: bool,
    /// Its box; `None` without one.
    pub mark: Option<BoxMark>,
    /// Whether the document numbers it.
    pub numbered: bool,
    pub parent: Option<usize>,
    /// Ordinal among the sections with tasks.
    pub run: usize,
    pub section: Option<String>,
}
