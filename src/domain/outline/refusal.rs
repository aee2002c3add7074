//! Why a document has no outline.

use std::fmt;

use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use super::document::{Document, What};
use super::lines::columns;
use super::markup;

/// The document holds no tasks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the brief holds no tasks; looked for {}; found {found}", looked_for.join(", "))]
pub struct NoTasks {
    /// What would have been read as tasks.
    pub looked_for: Vec<&'static str>,
    /// What is there instead.
    pub found: Found,
}

/// What a document without tasks holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Found {
    /// Headings.
    pub headings: usize,
    /// Paragraphs outside lists.
    pub paragraphs: usize,
    /// List items that nothing says are tasks.
    pub list_items: usize,
    /// Boxes in code blocks and comments: text, not tasks.
    pub boxes_in_code: usize,
}

const LOOKED_FOR: [&str; 6] = [
    "check boxes (`- [ ] …`) outside code blocks",
    "headings with ids (`#### T012: …`, `### Task 1.1: …`, `## Step 2: …`)",
    "`<task>` elements",
    "list items with ids (`- T012 …`)",
    "a list below a heading or line such as `Tasks`, `Steps`, `Plan` or `Checklist`",
    "a document that is nothing but one list or numbered steps",
];

impl NoTasks {
    pub(super) fn in_document(document: &Document<'_>) -> Self {
        let mut found = Found::default();
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
        Self { looked_for: LOOKED_FOR.to_vec(), found }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} headings, {} paragraphs, {} list items that nothing announces as tasks, \
             {} boxes in code",
            self.headings, self.paragraphs, self.list_items, self.boxes_in_code
        )
    }
}
