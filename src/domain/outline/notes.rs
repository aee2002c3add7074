//! Remarks on how a document was read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::{Document, What};
use super::markup;

/// Kind of a remark.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NoteCode {
    /// Two tasks have one id; the later one has another reference.
    DuplicateId,
    /// A stated dependency names no task of the document; it is left out.
    UnknownNeed,
    /// A stated dependency closes a cycle, or names the task itself, its container or its content;
    /// it is left out.
    CircularNeed,
    /// A stated dependency contradicts the order of the document; the dependency applies.
    OrderOverruled,
    /// Two sections have too many parallel tasks; the later section waits for one task that waits
    /// for the rest of its section.
    OrderNarrowed,
    /// More dependencies are stated than are kept.
    TooManyNeeds,
    /// A container is ticked while a task in it is open.
    DoneWithOpenChildren,
    /// Numbers are missing in a series of ids.
    GapInNumbering,
    /// A task has no title in the brief.
    EmptyTitle,
    /// A list item starts with a box of unknown content; it is read as text.
    UnknownBox,
}

/// A remark on how the brief was read, for the person who checks the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutlineNote {
    /// Kind of the remark, for programs.
    pub code: NoteCode,
    /// The remark in one sentence, for people.
    pub message: String,
    /// Line of the brief, from 1; 0: the whole brief.
    pub line: u32,
}

/// Notes of one kind above this number are counted, not listed.
const MOST_OF_A_KIND: usize = 200;

#[derive(Debug, Default)]
pub(super) struct Notes {
    kinds: BTreeMap<NoteCode, (Vec<OutlineNote>, usize)>,
}

impl Notes {
    pub(super) fn add(&mut self, code: NoteCode, line: u32, message: String) {
        let (notes, more) = self.kinds.entry(code).or_default();
        if notes.len() < MOST_OF_A_KIND {
            notes.push(OutlineNote { code, message, line });
        } else {
            *more += 1;
        }
    }

    /// All notes, by line.
    pub(super) fn finish(self) -> Vec<OutlineNote> {
        let mut all = Vec::new();
        for (code, (notes, more)) in self.kinds {
            all.extend(notes);
            if more > 0 {
                let message = format!("{more} more notes of this kind");
                all.push(OutlineNote { code, message, line: 0 });
            }
        }
        all.sort_by_key(|note| note.line);
        all
    }
}

/// Notes items such as `- [⏭️] later`, neither open nor done by any convention.
pub(super) fn note_odd_boxes(document: &Document<'_>, notes: &mut Notes) {
    for line in &document.lines {
        let What::Item(id) = line.what else { continue };
        let item = &document.items[id];
        if item.mark.is_none() && markup::has_odd_box(&item.text) {
            let start: String = item.text.chars().take(60).collect();
            let message = format!("unknown box, read as text: {start}");
            notes.add(NoteCode::UnknownBox, line.raw.number, message);
        }
    }
}
