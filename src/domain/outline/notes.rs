//! Remarks on how a document was read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::Document;

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
    /// A box has a mark that is neither open nor done; it is an open task.
    UnknownBox,
    /// A box stands in a text, such as the cell of a table, where it starts no task.
    BoxInText,
    /// A struck-out task: cancelled work, left out.
    StruckOut,
    /// Boxes in a closed code block are text.
    BoxesInCode,
    /// A code block is never closed; everything below it is text.
    UnclosedCode,
    /// A comment or front matter hides boxes, ids or task headings.
    HiddenInComment,
    /// A line, row or heading has the id of a task that is none.
    IdWithoutTask,
    /// A box announces a section with tasks of its own; the section is the plan.
    OverviewBox,
    /// Boxes below a criteria label of no task: conditions of success of the goal.
    GoalCriteria,
    /// The document's only boxes are criteria; they are read as tasks.
    CriteriaAsTasks,
    /// A task is ticked while a criterion of it is open.
    DoneWithOpenCriteria,
    /// Stories or sections run in parallel, as the document says.
    StoriesInParallel,
    /// A list of steps, or of next steps, is not read: the tasks stand elsewhere.
    NotThePlan,
    /// Control characters are left out.
    ControlCharacters,
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
    /// The line itself, cut to 200 characters; empty for the whole brief.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// Characters of a line that a note repeats.
const QUOTED: usize = 200;

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
            notes.push(OutlineNote { code, message, line, text: String::new() });
        } else {
            *more += 1;
        }
    }

    /// All notes by line, each with the line that it is about.
    pub(super) fn finish(self, document: &Document<'_>) -> Vec<OutlineNote> {
        let mut all = Vec::new();
        for (code, (notes, more)) in self.kinds {
            all.extend(notes);
            if more > 0 {
                let message = format!("{more} more notes of this kind");
                all.push(OutlineNote { code, message, line: 0, text: String::new() });
            }
        }
        all.sort_by_key(|note| note.line);
        for note in &mut all {
            note.text = quoted(document, note.line);
        }
        all
    }
}

fn quoted(document: &Document<'_>, line: u32) -> String {
    let at = line.checked_sub(1).and_then(|at| usize::try_from(at).ok());
    let line = at.and_then(|at| document.lines.get(at));
    line.map_or_else(String::new, |line| line.raw.source.trim().chars().take(QUOTED).collect())
}
