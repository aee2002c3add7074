//! What an operator should know about how a document was read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::{Document, What};
use super::markup;

/// What kind of thing a note is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NoteCode {
    /// Two tasks have one id; the later one was given another reference.
    DuplicateId,
    /// A stated dependency names no task of the document; it is left out.
    UnknownNeed,
    /// A stated dependency would close a circle, or names the task itself or
    /// what it is nested in; it is left out.
    CircularNeed,
    /// A stated dependency contradicts the order of the document; the stated
    /// one holds.
    OrderOverruled,
    /// So many tasks meet between two sections that the later ones wait for
    /// one task that waits for all.
    OrderNarrowed,
    /// More dependencies are stated than are kept.
    TooManyNeeds,
    /// A container is ticked while something in it is open.
    DoneWithOpenChildren,
    /// Numbers are missing between others.
    GapInNumbering,
    /// A task has no title of its own.
    EmptyTitle,
    /// A list item begins with a box that holds an unknown sign; it is text.
    UnknownBox,
}

/// One thing an operator should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutlineNote {
    /// What kind of thing it is.
    pub code: NoteCode,
    /// What happened, in a sentence.
    pub message: String,
    /// The line of the document it is about, from 1; 0 for all of it.
    pub line: u32,
}

/// More notes of one kind than this are counted, not listed.
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
                all.push(OutlineNote {
                    code,
                    message: format!("{more} more of this kind"),
                    line: 0,
                });
            }
        }
        all.sort_by_key(|note| note.line);
        all
    }
}

/// Items like `- [⏭️] later`: neither open nor done by any convention.
pub(super) fn note_odd_boxes(document: &Document<'_>, notes: &mut Notes) {
    for line in &document.lines {
        let What::Item(id) = line.what else { continue };
        let item = &document.items[id];
        if item.mark.is_none() && markup::has_odd_box(&item.text) {
            let start: String = item.text.chars().take(60).collect();
            let message = format!("not a box that is open or done, so not a task: {start}");
            notes.add(NoteCode::UnknownBox, line.raw.number, message);
        }
    }
}
