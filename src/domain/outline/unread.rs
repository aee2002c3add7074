//! The lines that look like tasks and are none: each gets a note.
//!
//! The worst failure of a planner is a task that disappears and a goal that then completes. So after
//! the plan is made, every line with a box, an id or the name of a task is accounted for: it is a
//! task, a criterion, a line that speaks of a known task, or it is noted here.

use std::collections::HashSet;

use super::{
    OutlineShape,
    boxes::{self, BoxMark},
    document::{Document, ItemId, Line, SectionId, What},
    draft::Draft,
    explicit::units_with_lists,
    headings, ids, markup, needs,
    notes::{NoteCode, Notes},
    pick::{Picks, Source},
    steps, title, words,
};

/// Most characters of a heading in a message.
const LONGEST_NAME: usize = 100;

/// Notes what was not read; `known` are the ids that tasks have in the document.
///
/// Returns the ids on the lines of what became no task, with their lines.
pub(super) fn note(
    document: &Document<'_>,
    picks: &Picks,
    lines: &[Vec<usize>],
    (drafts, known): (&[Draft], HashSet<String>),
    notes: &mut Notes,
) -> Vec<(String, u32)> {
    let mut owned = vec![false; document.lines.len()];
    for line in lines.iter().flatten() {
        owned[*line] = true;
    }
    let mut sweep = Sweep {
        document,
        picks,
        owned,
        rows: task_rows(picks),
        boxed: boxed_lists(document),
        need_lines: drafts.iter().flat_map(|draft| draft.body.need_lines.iter().copied()).collect(),
        known,
        refined: refined(drafts),
        worked: worked(document, picks),
        stories: stories(document, picks, drafts),
        stems: stems(drafts),
        notes,
        mentioned: Vec::new(),
        passed_over: None,
    };
    for (at, line) in document.lines.iter().enumerate() {
        sweep.line(at, line);
    }
    sweep.goal_criteria();
    sweep.hidden();
    sweep.mentioned
}

/// Ids of tasks, with `T7` and `T007` as one.
pub(super) fn known_ids(drafts: &[Draft]) -> HashSet<String> {
    let ids = drafts.iter().filter_map(|draft| draft.head.id.as_deref());
    ids.flat_map(|id| [Some(id.to_lowercase()), folded(id)]).flatten().collect()
}

fn folded(id: &str) -> Option<String> {
    let (series, number, suffix) = ids::parts(id)?;
    let series = if ids::is_t(series) { "t" } else { series };
    Some(format!("{series}\0{number}\0{}", suffix.to_lowercase()))
}

/// Ids that ids of tasks refine, in small letters: `1` if there is a `1.1`.
fn refined(drafts: &[Draft]) -> HashSet<String> {
    let ids = drafts.iter().filter_map(|draft| draft.head.id.as_deref());
    ids.filter_map(|id| Some(id.rsplit_once('.')?.0.to_lowercase())).collect()
}

/// Per section, whether tasks stand in it or below.
fn worked(document: &Document<'_>, picks: &Picks) -> Vec<bool> {
    let mut worked = vec![false; document.sections.len()];
    for line in picks.tasks.iter().filter_map(|task| document.lines.get(task.line)) {
        worked[line.section] = true;
    }
    for id in (1..worked.len()).rev() {
        let parent = document.sections[id].parent.unwrap_or_default();
        worked[parent] |= worked[id];
    }
    worked
}

/// Per section, whether it is a story, by its name or its criteria. Above tasks `T012` or a list of steps,
/// stories are the specification.
fn stories(document: &Document<'_>, picks: &Picks, drafts: &[Draft]) -> Vec<bool> {
    if picks.shape == OutlineShape::Steps || drafts.iter().any(|draft| draft.head.is_t()) {
        return vec![false; document.sections.len()];
    }
    let with_lists = units_with_lists(document, &picks.labels);
    let titles = document.sections.iter().map(|section| words::is_unit(&section.title));
    titles.zip(with_lists).map(|(named, with_list)| named || with_list).collect()
}

/// The series of the tasks' own ids other than plain numbers: `AUTH-`.
fn stems(drafts: &[Draft]) -> HashSet<String> {
    let ids = drafts.iter().filter_map(|draft| draft.head.id.as_deref());
    ids.filter_map(ids::parts)
        .filter(|(series, ..)| series.starts_with(char::is_alphabetic))
        .map(|(series, ..)| series.to_owned())
        .collect()
}

fn task_rows(picks: &Picks) -> HashSet<usize> {
    let rows = picks.tasks.iter().filter(|task| matches!(task.source, Source::Row(_)));
    rows.map(|task| task.line).collect()
}

/// The lists that hold boxes.
fn boxed_lists(document: &Document<'_>) -> HashSet<List> {
    let boxed = document.items.iter().filter(|item| item.mark.is_some());
    boxed.map(|item| (item.parent, item.section)).collect()
}

/// Characters of a title in a note.
const SHOWN_TITLE: usize = 200;

/// The item and the section around a list.
type List = (Option<ItemId>, SectionId);

struct Sweep<'d, 'a> {
    document: &'d Document<'a>,
    picks: &'d Picks,
    /// Per line, whether it belongs to the text of a task.
    owned: Vec<bool>,
    /// Lines of the rows that are tasks.
    rows: HashSet<usize>,
    boxed: HashSet<List>,
    /// Lines that state needs of a task, from 1.
    need_lines: HashSet<u32>,
    known: HashSet<String>,
    /// Ids that ids of tasks refine.
    refined: HashSet<String>,
    /// Per section, whether tasks stand in it or below.
    worked: Vec<bool>,
    /// Per section, whether it is a story.
    stories: Vec<bool>,
    stems: HashSet<String>,
    notes: &'d mut Notes,
    mentioned: Vec<(String, u32)>,
    /// Section and lead of the last list that was said to be passed over.
    passed_over: Option<(usize, Option<usize>)>,
}

impl Sweep<'_, '_> {
    fn line(&mut self, at: usize, line: &Line<'_>) {
        match line.what {
            What::Item(id) => self.item(at, id, line),
            What::Heading => self.heading(at, line),
            What::Text { .. } | What::Tag | What::Rule => self.text(at, line),
            What::Blank | What::Hidden | What::Code => {}
        }
    }

    fn item(&mut self, at: usize, id: usize, line: &Line<'_>) {
        let item = &self.document.items[id];
        if item.struck {
            return self.struck(&item.text, line);
        }
        let own = self.picks.of_item[id].map(|task| self.picks.tasks[task].source);
        let is_task = own == Some(Source::Item(id));
        if item.mark == Some(BoxMark::Unknown) {
            let message = "the mark of the box is unknown: read as open";
            self.notes.add(NoteCode::UnknownBox, line.raw.number, message.to_owned());
        }
        if let Some(section) = self.picks.announced[id] {
            let section = &self.document.sections[section];
            let number = self.document.lines.get(section.line).map_or(0, |line| line.raw.number);
            let message =
                format!("announces the section in line {number}, whose tasks are the plan");
            return self.notes.add(NoteCode::OverviewBox, line.raw.number, message);
        }
        if is_task {
            if self.picks.criteria_only && self.picks.labels[id].is_some() {
                let message = "a criterion, read as a task because the document has no others";
                self.notes.add(NoteCode::CriteriaAsTasks, line.raw.number, message.to_owned());
            }
            return;
        }
        if item.mark.is_some() && (self.owned[at] || self.picks.labels[id].is_some()) {
            return;
        }
        self.identified(boxes::after_status(&item.text).unwrap_or(&item.text), line);
        self.near_box(at, id, line);
        self.boxes_inside(at, line);
        self.need_of_nobody(at, &item.text, line);
        self.later(id, line);
        self.steps(at, id, line);
    }

    /// Notes `- [legal] text` in a list of boxes, and a list of `- ⏳ text`.
    fn near_box(&mut self, at: usize, id: ItemId, line: &Line<'_>) {
        let item = &self.document.items[id];
        let list = (item.parent, item.section);
        if boxes::is_near(&item.text) && self.boxed.contains(&list) {
            let message = "the bracket at its start is no known mark of a box: no task";
            return self.notes.add(NoteCode::BoxInText, line.raw.number, message.to_owned());
        }
        if boxes::take(item.text.trim_start_matches('`')).0.is_some() {
            return self.box_in_text(line);
        }
        if !self.owned[at] && boxes::after_status(&item.text).is_some() {
            let message = "a sign of its status is no box: no task";
            self.notes.add(NoteCode::BoxInText, line.raw.number, message.to_owned());
        }
    }

    fn struck(&mut self, text: &str, line: &Line<'_>) {
        let text = boxes::struck(text).map_or(text, |(inner, _)| inner);
        self.mention(boxes::take(text).1, line);
        let message = "struck out: cancelled work, left out";
        self.notes.add(NoteCode::StruckOut, line.raw.number, message.to_owned());
    }

    fn mention(&mut self, text: &str, line: &Line<'_>) {
        if let Some(id) = title::parse(text).id {
            self.mentioned.push((id, line.raw.number));
        }
    }

    /// Lists of next steps that were passed over for the phases.
    fn later(&mut self, id: usize, line: &Line<'_>) {
        let item = &self.document.items[id];
        let section = &self.document.sections[item.section];
        let first = id == 0 || self.document.items[id - 1].section != item.section;
        if first && item.mark.is_none() && section.announced().later {
            let title: String = section.title.chars().take(SHOWN_TITLE).collect();
            let message = format!("`{title}` comes after the plan: its list is not read");
            self.notes.add(NoteCode::NotThePlan, line.raw.number, message);
        }
    }

    /// Lists of steps beside boxes or task headings.
    fn steps(&mut self, at: usize, id: usize, line: &Line<'_>) {
        let item = &self.document.items[id];
        let list = Some((item.section, item.lead));
        let read = self.owned[at] || self.picks.shape == OutlineShape::Steps;
        let whole = item.parent.is_none() && item.mark.is_none() && self.picks.labels[id].is_none();
        let later = || self.document.sections[item.section].announced().later;
        if read || !whole || list == self.passed_over || later() {
            return;
        }
        if steps::is_called_steps(self.document, item) {
            self.passed_over = list;
            let message =
                "this list is called steps, but the tasks stand elsewhere: it is not read";
            self.notes.add(NoteCode::NotThePlan, line.raw.number, message.to_owned());
        }
    }

    fn heading(&mut self, at: usize, line: &Line<'_>) {
        let section = line.section;
        let title = &self.document.sections[section].title;
        let own = self.picks.of_section[section].map(|task| self.picks.tasks[task].source);
        let underline = self.document.sections[section].line != at;
        if underline || matches!(own, Some(Source::Heading(own)) if own == section) {
            return;
        }
        let bare = headings::bare_heading(title);
        let head = headings::heading_head(title);
        let boxed = boxes::take(title.trim()).0.is_some();
        if headings::is_struck(title) && (boxed || head.id.is_some()) {
            return self.struck(bare, line);
        }
        let named = words::is_task_name(bare);
        let is_t = head.is_t();
        match head.id {
            Some(id) if is_t || named => {
                if !self.refined.contains(&id.to_lowercase()) {
                    self.claimed(id, line);
                }
            }
            None if named && own.is_none() => self.looks_like_task(bare, line),
            Some(_) | None if self.worked[section] => {
                if headings::is_boxed(title) {
                    let message = "the tasks below are the plan, not the box of their heading";
                    self.notes.add(NoteCode::OverviewBox, line.raw.number, message.to_owned());
                }
            }
            Some(_) | None
                if own.is_none() && (self.stories[section] || is_more_than_title(title)) =>
            {
                self.looks_like_task(bare, line);
            }
            Some(_) | None => self.identified(bare, line),
        }
    }

    fn text(&mut self, at: usize, line: &Line<'_>) {
        if self.rows.contains(&at) {
            return;
        }
        let first = self.picks.rows.partition_point(|row| row.line < at);
        let rows = self.picks.rows[first..].iter().take_while(|row| row.line == at);
        let row = rows.into_iter().find(|row| row.cancelled);
        if let Some(row) = row.filter(|_| !self.rows.is_empty()) {
            let id = row.id.clone();
            return self.struck(&format!("{id}: {}", row.title), line);
        }
        if self.row(at, line) {
            return;
        }
        let text = line.raw.text.trim();
        if text.starts_with('|') {
            for cell in markup::cells(text) {
                self.identified(boxes::take(cell).1, line);
            }
        } else {
            self.identified(text, line);
        }
        if boxes::anywhere(text) || boxes::is_worded(text) {
            self.box_in_text(line);
        }
        self.need_of_nobody(at, text, line);
    }

    /// Notes a row of a table of tasks, unless a task has its id; rows with `T012` are noted by that.
    fn row(&mut self, at: usize, line: &Line<'_>) -> bool {
        let rows = &self.picks.rows;
        let Ok(row) = rows.binary_search_by_key(&at, |row| row.line).map(|found| &rows[found])
        else {
            return false;
        };
        let known = folded(&row.id).is_some_and(|id| self.known.contains(&id));
        if ids::is_t(&row.id) || known || self.known.contains(&row.id.to_lowercase()) {
            return false;
        }
        let title = row.title.clone();
        self.mention(&title, line);
        let message = "a row of a table of tasks: no task beside boxes or headings that are tasks";
        self.notes.add(NoteCode::IdWithoutTask, line.raw.number, message.to_owned());
        true
    }

    /// Notes the id at the start of a text, unless a task has it.
    fn identified(&mut self, text: &str, line: &Line<'_>) {
        let Some(id) = title::parse(text).id.or_else(|| ids::mentioned(text)) else { return };
        if self.need_lines.contains(&line.raw.number) {
            return;
        }
        let named = words::is_task_name(text.trim_start_matches(|c: char| !c.is_alphanumeric()));
        let series = ids::parts(&id).map(|(series, ..)| series.to_owned());
        let own = series.is_some_and(|series| self.stems.contains(&series));
        if ids::is_t(&id) || named || own {
            self.claimed(id, line);
        }
    }

    /// Notes an id that stands where a task's does, unless a task has it.
    fn claimed(&mut self, id: String, line: &Line<'_>) {
        self.mentioned.push((id.clone(), line.raw.number));
        let folded = folded(&id).is_some_and(|id| self.known.contains(&id));
        if !folded && !self.known.contains(&id.to_lowercase()) {
            self.looks_like_task(&id, line);
        }
    }

    fn looks_like_task(&mut self, what: &str, line: &Line<'_>) {
        let what: String = what.chars().take(LONGEST_NAME).collect();
        let message = format!("{what} looks like a task, but no box or heading makes it one");
        self.notes.add(NoteCode::IdWithoutTask, line.raw.number, message);
    }

    fn boxes_inside(&mut self, at: usize, line: &Line<'_>) {
        if !self.owned[at] && boxes::anywhere(&line.raw.text) {
            self.box_in_text(line);
        }
    }

    fn box_in_text(&mut self, line: &Line<'_>) {
        let message = "a box inside a text is no task";
        self.notes.add(NoteCode::BoxInText, line.raw.number, message.to_owned());
    }

    /// Notes `Depends on: T001` where it belongs to no task.
    fn need_of_nobody(&mut self, at: usize, text: &str, line: &Line<'_>) {
        if self.owned[at] || needs::on_line(text).is_none_or(|said| said.needs.is_empty()) {
            return;
        }
        let message = "a dependency of no task: left out";
        self.notes.add(NoteCode::UnknownNeed, line.raw.number, message.to_owned());
    }

    /// One note per label of criteria of the goal.
    fn goal_criteria(&mut self) {
        let mut last = None;
        let mut counts: Vec<(usize, usize)> = Vec::new();
        for (id, item) in self.document.items.iter().enumerate() {
            let Some(label) = self.picks.labels[id].filter(|_| item.mark.is_some()) else {
                continue;
            };
            let task = self.picks.of_item[id].or(self.picks.of_section[item.section]);
            let element = item.element.and_then(|element| self.picks.of_element[element]);
            if task.or(element).is_some() || item.struck {
                continue;
            }
            let place = (label.section, item.section, item.parent);
            if last != Some(place) {
                counts.push((item.line, 0));
            }
            if let Some((_, count)) = counts.last_mut() {
                *count += 1;
            }
            last = Some(place);
        }
        for (line, count) in counts {
            let number = self.document.lines[line].raw.number;
            let message = format!("criteria of the goal, not tasks: {count} from this line on");
            self.notes.add(NoteCode::GoalCriteria, number, message);
        }
    }

    /// One note per code block or comment that hides what looks like a task.
    fn hidden(&mut self) {
        for block in self.document.lines.chunk_by(|one, next| joins(one, next)) {
            let Some(first) = block.first() else { continue };
            match first.what {
                What::Code => self.code(block),
                What::Hidden => self.comment(block),
                What::Blank | What::Rule | What::Heading | What::Tag => {}
                What::Item(_) | What::Text { .. } => {}
            }
        }
    }

    fn code(&mut self, block: &[Line<'_>]) {
        let boxed = |line: &&Line<'_>| is_boxed(line.raw.source);
        let count = block.iter().filter(boxed).count();
        if block[0].raw.unclosed {
            let all = block.iter().skip(1).filter(|line| looks_like_task(line.raw.source)).count();
            let message = format!(
                "this code block is never closed: {} lines below it are text, {all} of them look \
                 like tasks",
                block.len() - 1
            );
            return self.notes.add(NoteCode::UnclosedCode, block[0].raw.number, message);
        }
        if let Some(line) = block.iter().find(boxed) {
            let message = format!("boxes in code are text: {count} from this line on");
            self.notes.add(NoteCode::BoxesInCode, line.raw.number, message);
        }
    }

    fn comment(&mut self, block: &[Line<'_>]) {
        let like = |line: &&Line<'_>| looks_like_task(line.raw.source);
        let count = block.iter().filter(like).count();
        if let Some(line) = block.iter().find(like) {
            let message = format!(
                "a comment or front matter hides what looks like tasks: {count} from this line on"
            );
            self.notes.add(NoteCode::HiddenInComment, line.raw.number, message);
        }
    }
}

/// Whether two lines are of one block of code or comment.
fn joins(one: &Line<'_>, next: &Line<'_>) -> bool {
    use super::lines::Seen;
    match (one.raw.seen, next.raw.seen) {
        (Seen::FenceStart | Seen::Fenced, Seen::Fenced) | (Seen::Hidden, Seen::Hidden) => true,
        (Seen::Plain, Seen::Plain) => one.what == What::Code && next.what == What::Code,
        (_, _) => false,
    }
}

/// `## [?] Import` and `## Step 2: Import`.
fn is_more_than_title(title: &str) -> bool {
    let bare = headings::bare_heading(title);
    let step = bare.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("step "));
    let label = words::criteria_heading(title).is_some();
    (boxes::take(title.trim()).0.is_some() && !label) || (step && title::parse(bare).id.is_some())
}

fn is_boxed(source: &str) -> bool {
    let text = source.trim().trim_start_matches("<!--").trim_start();
    text.len() < 4_000 && markup::marker(text).is_some_and(|marker| marker.boxed)
}

/// Whether a line has a box, an id or the name of a task.
fn looks_like_task(source: &str) -> bool {
    let text = source.trim().trim_start_matches("<!--").trim_start();
    if is_boxed(text) || boxes::anywhere(text) {
        return true;
    }
    let text = text.trim_start_matches(['-', '*', '+', '#', '|', ' ']);
    title::parse(text).id.is_some_and(|id| ids::is_t(&id)) || words::is_task_name(text)
}
