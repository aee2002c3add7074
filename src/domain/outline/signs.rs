//! What of a document may be a task, before the kinds of signs are weighed against each other.

use super::OutlineShape;
use super::document::{Document, ItemId, SectionId};

/// Candidates for tasks.
pub(super) struct Signs {
    pub shape: OutlineShape,
    pub items: Vec<bool>,
    pub headings: Vec<bool>,
    /// Headings that describe a box with the same id.
    pub twins: Vec<Option<ItemId>>,
    pub announced: Vec<Option<SectionId>>,
    pub elements: bool,
    pub rows: bool,
    pub criteria_only: bool,
}

impl Signs {
    pub(super) fn of_items(document: &Document<'_>, shape: OutlineShape, items: Vec<bool>) -> Self {
        Self {
            shape,
            items,
            headings: vec![false; document.sections.len()],
            twins: vec![None; document.sections.len()],
            announced: vec![None; document.items.len()],
            elements: false,
            rows: false,
            criteria_only: false,
        }
    }
}
