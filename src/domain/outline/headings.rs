//! Headings as tasks: their line, and what stands below them.

use super::boxes;
use super::document::{Document, SectionId};
use super::title::{self, Head};

/// The parsed line of a heading task.
pub(super) fn heading_head(title: &str) -> Head {
    title::parse(bare_heading(title))
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
