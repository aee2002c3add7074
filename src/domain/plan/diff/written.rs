//! Which refs of an outline its document writes.

use std::collections::HashSet;

use crate::domain::outline::{Ordering, outline};

/// The refs that the document writes, such as `T012` and `1.2`. All others follow from positions, and so does the
/// ref of a task whose id another task had before it.
#[must_use]
pub fn written_refs(brief: &str, ordering: Ordering) -> HashSet<String> {
    let Ok(outline) = outline(brief, ordering) else { return HashSet::new() };
    let tasks = outline.tasks.into_iter();
    let own = tasks.filter(|task| task.explicit_id.as_deref() == Some(task.reference.as_str()));
    own.map(|task| task.reference).collect()
}
