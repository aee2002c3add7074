//! The `outline` planner: a Markdown brief becomes tasks, without a model.
//!
//! # Purpose
//!
//! Many goals arrive broken down: a `tasks.md` of spec-kit, OpenSpec or Kiro, an ExecPlan, a
//! checklist, numbered steps. This module reads such a document as people do: its tasks, their
//! order, and what is done. It is a pure function, so the preview of a brief equals the plan.
//!
//! # Guarantees
//!
//! - Nothing is invented: every title, criterion and description is text of the document. A
//!   document without tasks is [`NoTasks`], never an empty success.
//! - Nothing that looks like a task is lost. Each box outside code and comments counts once: as a
//!   task, as a criterion of a task or of the goal, or in a note. So does each id and `Task 3: …`
//!   heading: a task has it, or a note names its line.
//! - References are unique, every need names a task of the outline, and no task waits for itself,
//!   whether through other tasks or through nesting.
//! - No input panics, and the time grows about linearly with the input. What could be asked again and again of
//!   one long line or of all tasks is bounded: brackets and remarks end soon or are text, 50,000 stated needs are
//!   looked up, and circles are sought one by one only so long.
//!
//! # Reading rules
//!
//! Only the strongest sign of tasks counts: `<task>` elements, boxes, `T012` and `Task 1.1: …`
//! headings; else `Step 2: …` headings; else tables of tasks; else list items with ids; else lists
//! announced as steps, or lists that are the whole document; else stories with criteria
//! ([`OutlineShape`]).
//!
//! - Code blocks, comments and front matter never hold tasks. What looks like one there is noted.
//! - A box may lack its bullet or a space, and have another mark: `[ ] a`, `-[ ] a`, `• [ ] a`. An
//!   unknown mark (`[/]`, `[WIP]`) is open, with a note. Other brackets and signs (`[legal] a`, `⏳ a`)
//!   beside boxes are noted, and no tasks.
//! - A struck-out box is cancelled work, and a box `Phase 1` above a section of that name announces
//!   the section: neither is a task.
//! - Boxes below a label (`Acceptance criteria:`) are criteria: of the task that the label stands in,
//!   else of a story heading without other boxes, else of the goal.
//! - A heading `T012: …` with the id of a box describes that box, and so does `Task 3: …` if it has
//!   the title of the box too. Boxes below `T012` are its criteria; if they have ids of tasks, the
//!   heading only groups them, with a note. Boxes below `Task 3` or `[ ] Import` are tasks inside it;
//!   their numbers start again (`3.1`).
//! - Optional tasks keep their place in a sequence.
//! - A task nested in another belongs to it; the outer one becomes a container. So does `1` for a
//!   following `1.1`. A plain item with boxes below it is no task, but groups and names them.
//! - The needs of a container apply to its content, and needing a container means needing all of
//!   it. So children do not repeat needs.
//! - Sections (headings, `**Phase 1: …**` lines, lone custom tags) are sequential: the first tasks
//!   of a section need the last ones of the section before. Stories that the document calls
//!   independent wait for the phase that they follow, not for each other.
//! - Within a list, a task that *follows* needs everything before it, back to the previous task
//!   that follows. If the document marks any task as parallel, all others follow; otherwise
//!   numbered ones do. [`Ordering`] overrides this.
//! - Dependencies count in brackets and on lines of their own (`needs: T003`), never in prose; they
//!   override the order of the document. A line that states one which cannot be read is noted.
//! - A ticked box is done. A ticked container with open children gets a note, and the children
//!   decide.
//!
//! Between two sections with many parallel tasks, one edge per pair would be a product. There the
//! last task of the earlier section waits for the others and represents them: the order stays as
//! strict, one task starts later than it could, and a note says so.

mod announced;
mod announces;
mod body;
mod boxes;
mod build;
pub mod controls;
mod criteria;
mod document;
pub mod draft;
mod elements;
mod explicit;
mod headings;
mod ids;
mod lines;
mod markup;
mod needs;
mod notes;
mod order;
mod pick;
mod references;
mod refusal;
mod sayings;
mod signs;
mod steps;
mod stories;
mod tables;
mod title;
mod unread;
mod words;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use controls::Dropped;
pub use notes::{NoteCode, OutlineNote};
pub use refusal::NoTasks;

/// Order of items without a parallel mark within their section.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// As marked: with parallel marks all other items are sequential; without, numbered items are
    /// sequential and bullets parallel.
    #[default]
    Auto,
    /// Each item follows the previous one.
    Sequential,
    /// Items are unordered; sections and stated dependencies still apply.
    Parallel,
}

/// Structure in which the tasks were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutlineShape {
    /// `- [ ] …`
    Boxes,
    /// `### Task 1.1: …`, `#### T012: …`
    TaskHeadings,
    /// `<task> … </task>`
    TaskElements,
    /// `- T012 …`, without boxes
    TaskItems,
    /// `| T012 | … |`
    TableRows,
    /// A list of steps
    Steps,
}

/// Element of the document that is the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskOrigin {
    /// A list item, with or without a box.
    Item,
    /// A heading.
    Heading,
    /// A `<task>` element.
    Element,
    /// A row of a table.
    Row,
}

/// A condition of success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineCriterion {
    /// The condition, as written.
    pub text: String,
    /// Whether its box is ticked.
    pub satisfied: bool,
    /// Its line in the document, from 1.
    pub line: u32,
}

/// Tasks of a brief.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Tasks in reading order, never empty; a container precedes its content.
    pub tasks: Vec<OutlineTask>,
    /// Conditions of success of the goal as a whole: boxes below a label that belongs to no task.
    pub criteria: Vec<OutlineCriterion>,
    /// Remarks on how the document was read.
    pub notes: Vec<OutlineNote>,
    /// Structure in which the tasks were found.
    pub shape: OutlineShape,
}

/// One task of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineTask {
    /// Its `ref` in the plan: the document's own id, or its position.
    pub reference: String,
    /// The document's id, even if another task has the same.
    pub explicit_id: Option<String>,
    /// One line of the document, without box, id, marks and tags.
    pub title: String,
    /// Further text of the task: paragraphs, plain bullets, code.
    pub description: String,
    /// Nearest heading above.
    pub section: Option<String>,
    /// Tags such as `US1`.
    pub labels: Vec<String>,
    /// Its container.
    pub parent: Option<String>,
    /// Tasks it needs, sorted.
    pub needs: Vec<String>,
    /// Conditions of success listed for it.
    pub criteria: Vec<OutlineCriterion>,
    /// Whether its box is ticked.
    pub done: bool,
    /// Whether the document calls it optional.
    pub optional: bool,
    /// Whether the document marks it as parallel.
    pub parallel: bool,
    /// Its line in the document, from 1.
    pub line: u32,
    /// Element of the document that it is.
    pub origin: TaskOrigin,
}

/// Breaks a brief down into tasks.
///
/// # Errors
///
/// [`NoTasks`] if the document has none, with what was searched for and found.
pub fn outline(brief: &str, ordering: Ordering) -> Result<Outline, NoTasks> {
    let (brief, dropped) = controls::drop(brief);
    let document = document::read(&brief);
    match pick::pick(&document) {
        Some(picks) => Ok(build::build(&document, &picks, ordering, dropped)),
        None => Err(NoTasks::in_document(&document)),
    }
}
