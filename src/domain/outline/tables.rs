//! Tables of tasks: `| ID | Task | Depends on |`.
//!
//! A table holds tasks if its header has a column of ids and a column of tasks, or a column `Task` and
//! one of dependencies, states or owners. Where boxes are the tasks, its rows are noted.

use super::document::{Document, What};
use super::ids;
use super::markup::cells;

/// One row of a table of tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub line: usize,
    /// Empty without a column of ids.
    pub id: String,
    pub title: String,
    /// Content of the column of dependencies.
    pub needs: String,
    pub done: bool,
    /// Whether the status says that it is not to be done.
    pub cancelled: bool,
    /// The other cells, with the names of their columns.
    pub rest: Vec<(String, String)>,
}

const ID: &str = "id|#|no|no.|nr|nr.|task id|task #|ref|key|number|taskid";
const TASK: &str = "task|tasks|title|name|task name|task title|description|summary|work|work item|\
    todo|action|what|deliverable|item|task description|aufgabe|任务";
const NEEDS: &str = "depends on|depends|dependencies|dependency|deps|needs|blocked by|blockers|\
    requires|prerequisites|predecessors|after|dependson|depends_on|依赖";
/// Names of the column of tasks in a table without ids: others (`Name`, `Item`) also head facts.
const PLAIN_TASK: &str =
    "task|tasks|task name|task title|work item|todo|to do|action item|aufgabe|任务";
const OWNER: &str = "owner|assignee|assigned to|responsible|who|agent";
const STATUS: &str = "status|state|done|done?|✓|✅|progress";

/// Characters of the name of a column that each row repeats.
const LONGEST_NAME: usize = 100;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Id,
    Task,
    Needs,
    Status,
    Other,
}

/// The rows of all tables of tasks, in reading order.
pub(super) fn find(document: &Document<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut columns: Option<(Vec<Column>, Vec<String>)> = None;
    for (at, line) in document.lines.iter().enumerate() {
        let text = line.raw.text.trim();
        if !matches!(line.what, What::Text { .. }) || !text.starts_with('|') {
            columns = None;
            continue;
        }
        if is_delimiter(text) {
            continue;
        }
        match &columns {
            Some((columns, names)) => rows.extend(row(at, columns, names, text)),
            None => {
                let next = document.lines.get(at + 1).map(|line| line.raw.text.trim());
                columns = next.filter(|next| is_delimiter(next)).and_then(|_| header(text));
            }
        }
    }
    rows
}

fn is_delimiter(text: &str) -> bool {
    text.starts_with('|')
        && text.contains("--")
        && text.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ' | '\t'))
}

fn header(text: &str) -> Option<(Vec<Column>, Vec<String>)> {
    let names: Vec<String> = cells(text).map(bare).collect();
    let mut columns: Vec<Column> = names.iter().map(|name| kind(name)).collect();
    // `| ID | Task | Description |`: the first column of its kind is the task.
    let mut seen: Vec<Column> = Vec::new();
    for column in &mut columns {
        if seen.contains(column) {
            *column = Column::Other;
        }
        seen.push(*column);
    }
    let has = |list: &str| names.iter().any(|name| is_one_of(list, name));
    let kept = |column: &Column| matches!(column, Column::Needs | Column::Status);
    let plain = has(PLAIN_TASK) && (columns.iter().any(kept) || has(OWNER));
    let tasks = columns.contains(&Column::Task) && (columns.contains(&Column::Id) || plain);
    tasks.then_some((columns, names))
}

fn kind(name: &str) -> Column {
    let is = |list: &str| is_one_of(list, name);
    match () {
        () if is(ID) => Column::Id,
        () if is(TASK) => Column::Task,
        () if is(NEEDS) => Column::Needs,
        () if is(STATUS) => Column::Status,
        () => Column::Other,
    }
}

fn is_one_of(list: &str, name: &str) -> bool {
    let name = name.to_lowercase();
    list.split('|').any(|word| word == name)
}

fn row(line: usize, columns: &[Column], names: &[String], text: &str) -> Option<Row> {
    let mut row = Row { line, ..Row::default() };
    for ((column, name), cell) in columns.iter().zip(names).zip(cells(text)) {
        match column {
            Column::Id => row.id = bare(cell),
            Column::Task => row.title = cell.to_owned(),
            Column::Needs => row.needs = cell.to_owned(),
            Column::Status => (row.done, row.cancelled) = status(cell),
            Column::Other if cell.is_empty() => {}
            Column::Other => {
                row.rest.push((name.chars().take(LONGEST_NAME).collect(), cell.to_owned()))
            }
        }
    }
    if columns.contains(&Column::Id) {
        let id = ids::take_token(&row.id).filter(|taken| taken.rest.trim().is_empty())?;
        row.id = id.id;
    }
    row.cancelled |= super::document::is_struck(&row.title);
    (!row.title.is_empty()).then_some(row)
}

/// Whether a status says done, and whether it says cancelled.
fn status(cell: &str) -> (bool, bool) {
    const DONE: &str = "done|complete|completed|finished|closed|x|yes|erledigt|完成";
    const CANCELLED: &str = "cancelled|canceled|dropped|wontfix|won't fix|obsolete";
    let ticked = cell.contains(['✅', '✔', '✓', '☑']) || cell.starts_with("[x]");
    let word = cell.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let is = |list: &str| list.split('|').any(|known| known == word);
    (ticked || is(DONE), is(CANCELLED))
}

fn bare(cell: &str) -> String {
    cell.trim_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '_' | '`')).to_owned()
}
