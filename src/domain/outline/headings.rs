//! Headings as tasks: their line, and what stands below them.

use super::boxes::{self, BoxMark};
use super::document::{self, Document, SectionId};
use super::title::{self, Head};
use super::{ids, words};

/// The parsed line of a heading task.
pub(super) fn heading_head(title: &str) -> Head {
    let bare = bare_heading(title);
    let head = title::parse(bare);
    match ids::take_named(bare).filter(|_| head.id.is_none()) {
        Some(named) => Head { id: Some(named.id), ..title::parse(named.rest) },
        None => head,
    }
}

/// Whether a heading has a box of its own: `### [ ] Import`. Unknown marks (`# [WIP] Plan`) are none.
pub(super) fn is_boxed(title: &str) -> bool {
    matches!(boxes::take(title.trim()).0, Some(BoxMark::Open | BoxMark::Done))
        && !is_struck(title)
        && words::criteria_heading(title).is_none()
}

/// `### ~~Task 2: b~~`, also behind a box.
pub(super) fn is_struck(title: &str) -> bool {
    document::is_struck(title) || document::is_struck(boxes::take(title.trim()).1)
}

/// A heading without a leading box or symbol (`✅`).
pub(super) fn bare_heading(title: &str) -> &str {
    let (_, rest) = boxes::take(title.trim());
    rest.trim_start_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '[' | '*' | '_' | '`'))
}

/// Per section, the nearest marked heading at or above it.
pub(super) fn section_owners(document: &Document<'_>, marked: &[bool]) -> Vec<Option<SectionId>> {
    let mut owners: Vec<Option<SectionId>> = Vec::with_capacity(document.sections.len());
    for (id, section) in document.sections.iter().enumerate() {
        let inherited = section.parent.and_then(|parent| owners.get(parent).copied().flatten());
        owners.push(if marked[id] { Some(id) } else { inherited });
    }
    owners
}
