//! The `outline` planner: from a brief in Markdown to tasks, without a model.
//!
//! # What it is for
//!
//! Many goals arrive already broken down: a `tasks.md` of spec-kit, OpenSpec
//! or Kiro, an ExecPlan, a checklist, numbered steps. This module reads such a
//! document as its readers do and says which tasks it holds, in which order,
//! and which of them are done. It is a pure function: the same brief gives the
//! same outline, so an operator can trust what they saw in a preview.
//!
//! # What it guarantees
//!
//! - Nothing is invented: every title, criterion and description is text of
//!   the document. A document without tasks is [`NoTasks`], never an empty
//!   success.
//! - Each box outside code and comments is counted once: as a task or, below a
//!   heading `T012: …` or inside a `<task>` element, as a criterion of that task.
//! - References are unique, every need names a task of the outline, and no
//!   task waits for itself: not through others, not through what it is nested
//!   in, whatever the document states.
//! - No input makes it panic, and its time grows about as the input does.
//!
//! # How a document is read
//!
//! The strongest sign of work is taken, and only that one:
//! `<task>` elements, `T012` headings and boxes; else `Task 1.1: …` or
//! `Step 2: …` headings; else list items with ids; else lists that the document
//! announces as steps, or that are all it holds ([`OutlineShape`]).
//!
//! - Code blocks, comments and front matter never hold tasks.
//! - A heading `T012: …` whose id a box also has describes that box. A heading
//!   over boxes with ids of their own only groups them.
//! - Optional tasks keep their place in a sequence: whoever skips one says so.
//! - A task nested in another belongs to it; that other one is then a
//!   container. So is `1` for the `1.1` after it. A plain item with boxes below
//!   it is no task, but groups and names them.
//! - A container's needs hold for everything in it, and needing a container
//!   means needing all of it. So children do not repeat needs.
//! - Sections (headings, `**Phase 1: …**` lines, lone custom tags) are ordered:
//!   what a section begins with waits for what the section before ends with.
//! - Inside a list, a task that *follows* waits for everything before it back
//!   to the last task that followed. Where the document marks any task as
//!   parallel, all others follow; where it marks none, numbered ones follow.
//!   [`Ordering`] overrules that.
//! - Dependencies count in brackets and on lines of their own (`needs: T003`),
//!   never in prose; they win over the order of the document.
//! - A tick is believed, but a ticked container with open children is noted:
//!   the children decide.
//!
//! Where two sections with very many parallel tasks meet, one edge per pair
//! would be a product. There the last task of the earlier section waits for
//! the others and stands for them: the order stays as strict, one task starts
//! later than it could, and a note says so.

mod body;
mod build;
mod document;
pub mod draft;
mod elements;
mod ids;
mod lines;
mod markup;
mod needs;
mod notes;
mod order;
mod pick;
mod references;
mod refusal;
mod steps;
mod title;
mod words;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use notes::{NoteCode, OutlineNote};
pub use refusal::{Found, NoTasks};

/// How items without a parallel mark are ordered inside their section.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// As the document marks them: where it marks parallel tasks the others
    /// follow; where it marks none, numbered items are a sequence and plain
    /// bullets run in parallel.
    #[default]
    Auto,
    /// Each follows what stands before it.
    Sequential,
    /// None follows; sections and stated dependencies still hold.
    Parallel,
}

/// How to read a brief.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct OutlineOptions {
    /// How items without a parallel mark are ordered.
    pub ordering: Ordering,
}

/// What kind of structure the tasks were found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutlineShape {
    /// `- [ ] …`
    Boxes,
    /// `### Task 1.1: …`, `#### T012: …`
    TaskHeadings,
    /// `<task> … </task>`
    TaskElements,
    /// `- T012 …`, without boxes.
    TaskItems,
    /// A list of steps.
    Steps,
}

/// What a task was in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskOrigin {
    /// A list item, with or without a box.
    Item,
    /// A heading.
    Heading,
    /// A `<task>` element.
    Element,
}

/// What a brief says about the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Outline {
    /// The tasks in reading order; never empty. A container comes before what
    /// it contains.
    pub tasks: Vec<OutlineTask>,
    /// What an operator should know about how the document was read.
    pub notes: Vec<OutlineNote>,
    /// The structure the tasks were found in.
    pub shape: OutlineShape,
}

/// One task of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OutlineTask {
    /// Its name in the plan: the document's own id, or its position.
    pub reference: String,
    /// The id as the document has it, also where another task has it too.
    pub explicit_id: Option<String>,
    /// One line of the document, without box, id, marks and tags.
    pub title: String,
    /// The further text of the task: paragraphs, plain bullets, code.
    pub description: String,
    /// The heading it stands under.
    pub section: Option<String>,
    /// Tags such as `US1`.
    pub labels: Vec<String>,
    /// The container it is nested in.
    pub parent: Option<String>,
    /// The tasks it waits for, sorted.
    pub needs: Vec<String>,
    /// Conditions of success that the document lists for it.
    pub criteria: Vec<String>,
    /// Whether its box is ticked.
    pub done: bool,
    /// Whether the document calls it optional.
    pub optional: bool,
    /// Whether the document marks it as parallel.
    pub parallel: bool,
    /// Its line in the document, from 1.
    pub line: u32,
    /// What it was in the document.
    pub origin: TaskOrigin,
}

/// Breaks a brief down into the tasks it holds.
///
/// # Errors
///
/// [`NoTasks`] if the document holds none, with what was looked for and what
/// was found instead.
pub fn outline(brief: &str, options: &OutlineOptions) -> Result<Outline, NoTasks> {
    let document = document::read(brief);
    match pick::pick(&document) {
        Some(picks) => Ok(build::build(&document, &picks, options)),
        None => Err(NoTasks::in_document(&document)),
    }
}
