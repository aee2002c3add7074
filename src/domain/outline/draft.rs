//! A task while the outline is read.

use super::{body::Body, markup::BoxMark, title::Head};

/// A task on its way.
#[derive(Debug)]
pub(super) struct Draft {
    pub head: Head,
    pub body: Body,
    pub line: u32,
    pub done: bool,
    /// The box, as it stands; none where the task has no box.
    pub mark: Option<BoxMark>,
    /// Whether the document numbers it.
    pub numbered: bool,
    pub parent: Option<usize>,
    /// Counts the sections that have tasks.
    pub run: usize,
    pub section: Option<String>,
}
