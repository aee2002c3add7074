//! Documents without tasks.

use thiserror::Error;

use super::document::{Document, What};
use super::lines::columns;
use super::markup;

/// The document has no tasks; what it has instead.
#[derive(Debug, Clone, Default, PartialEq, Eq, Error)]
#[error(
    "the brief has no tasks; looked for {}; found {headings} headings, {paragraphs} paragraphs, \
     {list_items} list items that are not announced as tasks, {boxes_in_code} boxes in code",
    LOOKED_FOR.join(", ")
)]
pub struct NoTasks {
    /// Headings.
    pub headings: usize,
    /// Paragraphs outside lists.
    pub paragraphs: usize,
    /// List items that are not announced as tasks.
    pub list_items: usize,
    /// Boxes in code blocks and comments, which are text.
    pub boxes_in_code: usize,
}

const LOOKED_FOR: [&str; 6] = [
    "check boxes (`- [ ] …`) outside code blocks",
    "headings with ids (`#### T012: …`, `### Task 1.1: …`, `## Step 2: …`)",
    "`<task>` elements",
    "list items with ids (`- T012 …`)",
    "a list below a heading or line such as `Tasks`, `Steps`, `Plan` or `Checklist`",
    "a document that is a single list or numbered steps",
];

impl NoTasks {
    pub(super) fn in_document(document: &Document<'_>) -> Self {
        let mut found = Self::default();
        for line in &document.lines {
            match line.what {
                What::Heading => found.headings += 1,
                What::Item(_) => found.list_items += 1,
                What::Text { first: true } if line.item.is_none() => found.paragraphs += 1,
                What::Code | What::Hidden => {
                    let indent = columns(line.raw.source);
                    let marker = markup::marker(line.raw.source).filter(|_| indent < 40);
                    found.boxes_in_code += usize::from(marker.is_some_and(|m| m.boxed));
                }
                What::Text { .. } | What::Blank | What::Rule | What::Tag => {}
            }
        }
        found
    }
}
