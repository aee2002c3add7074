//! Text below a task: description, criteria, stated dependencies.

use super::document::{Document, ItemId, Line, What};
use super::lines::dedent;
use super::needs::{self, Need};
use super::pick::{Picks, Source};
use super::{
    OutlineCriterion,
    boxes::{self, BoxMark},
    steps, title, words,
};

/// The parsed text below a task.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub description: String,
    pub criteria: Vec<OutlineCriterion>,
    pub needs: Vec<Need>,
    /// Lines of the bullets that state needs, from 1.
    pub need_lines: Vec<u32>,
    /// Boxes that are criteria: all, and ticked ones.
    pub boxes: (usize, usize),
}

/// Per task, the lines that belong to it and not to a task below it.
pub(super) fn lines_of(document: &Document<'_>, picks: &Picks) -> Vec<Vec<usize>> {
    let mut lines = vec![Vec::new(); picks.tasks.len()];
    for (at, line) in document.lines.iter().enumerate() {
        let owner = match (line.element.and_then(|id| picks.of_element[id]), line.item) {
            (Some(task), _) => Some(task),
            (None, Some(item)) => picks.of_item[item].or(picks.of_section[line.section]),
            (None, None) => picks.of_section[line.section],
        };
        if let Some(task) = owner.filter(|task| picks.tasks[*task].line != at) {
            lines[task].push(at);
        }
    }
    lines
}

/// Reads the lines of a task.
pub(super) fn read(
    document: &Document<'_>,
    picks: &Picks,
    source: Source,
    lines: &[usize],
) -> Body {
    let content = match source {
        Source::Item(id) => document.items[id].content,
        Source::Heading(_) | Source::Element(_) | Source::Row(_) => 0,
    };
    let mut reader = Reader {
        document,
        picks,
        body: Body::default(),
        text: Vec::new(),
        needs: None,
        criterion: None,
    };
    for at in lines {
        reader.line(&document.lines[*at], content);
    }
    let Reader { mut body, text, .. } = reader;
    body.description = tidy(&text);
    body
}

/// The list below `Depends on:`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NeedsList {
    /// Nested in an item.
    Below(ItemId),
    /// After a line.
    After,
}

struct Reader<'d, 'a> {
    document: &'d Document<'a>,
    picks: &'d Picks,
    body: Body,
    text: Vec<&'d str>,
    needs: Option<(NeedsList, needs::Phrase)>,
    /// Item whose paragraph continues a criterion.
    criterion: Option<ItemId>,
}

impl<'d> Reader<'d, '_> {
    fn line(&mut self, line: &'d Line<'_>, content: usize) {
        let taken = match line.what {
            What::Item(id) => self.item(id),
            What::Text { first } => self.paragraph(line, first),
            What::Heading => self.heading(line),
            What::Hidden => true,
            What::Blank | What::Code | What::Rule | What::Tag => false,
        };
        if !taken {
            self.text.push(dedent(line.raw.source, content));
        }
    }

    fn item(&mut self, id: ItemId) -> bool {
        let item = &self.document.items[id];
        self.criterion = None;
        let holds_items = self.document.items.get(id + 1).is_some_and(|n| n.parent == Some(id));
        // Boxes that are tasks own their lines; this box is a criterion, unless it is a label.
        if let Some(mark) = item.mark {
            let label = holds_items && words::criteria_word(&item.text).is_some();
            return !label && (item.struck || self.boxed(id, mark));
        }
        if let Some((_, value)) = words::criteria_label(&item.text) {
            if !value.is_empty() {
                self.add(value, false, item.line);
                self.criterion = Some(id);
            }
            return true;
        }
        if holds_items && words::criteria_word(&item.text).is_some() {
            return true;
        }
        if self.picks.labels[id].is_some() {
            return self.criterion(id, false);
        }
        if let Some(phrase) = self.needs_above(id) {
            self.body.needs.extend(needs::of_bullet(
                &item.text,
                phrase,
                title::parse(&item.text).id,
            ));
            self.body.need_lines.push(self.document.lines[item.line].raw.number);
            return false;
        }
        self.statement(&item.text, NeedsList::Below(id));
        if holds_items && self.needs.is_none() {
            let phrase = needs::bare_label(&item.text);
            self.needs = phrase.map(|phrase| (NeedsList::Below(id), phrase));
        }
        false
    }

    fn boxed(&mut self, id: ItemId, mark: BoxMark) -> bool {
        let ticked = mark == BoxMark::Done;
        self.body.boxes = (self.body.boxes.0 + 1, self.body.boxes.1 + usize::from(ticked));
        self.criterion(id, ticked)
    }

    fn criterion(&mut self, id: ItemId, satisfied: bool) -> bool {
        let item = &self.document.items[id];
        if !item.text.is_empty() {
            self.add(&item.text, satisfied, item.line);
        }
        self.criterion = Some(id).filter(|_| !item.text.is_empty());
        true
    }

    fn add(&mut self, text: &str, satisfied: bool, line: usize) {
        let line = self.document.lines.get(line).map_or(0, |line| line.raw.number);
        self.body.criteria.push(OutlineCriterion { text: text.to_owned(), satisfied, line });
    }

    /// The phrase above an item of a list of needs.
    fn needs_above(&mut self, id: ItemId) -> Option<needs::Phrase> {
        let inside = match self.needs?.0 {
            NeedsList::After => true,
            NeedsList::Below(above) => self.document.items_above(id).any(|item| item == above),
        };
        if !inside {
            self.needs = None;
        }
        self.needs.map(|(_, phrase)| phrase)
    }

    /// Reads a line's stated needs; `list` is the list that follows a line without any.
    fn statement(&mut self, text: &str, list: NeedsList) {
        self.needs = needs::label(text).map(|phrase| (list, phrase));
        if let Some(statement) = needs::on_line(text) {
            self.body.needs.extend(statement.needs);
        }
    }

    fn paragraph(&mut self, line: &Line<'_>, first: bool) -> bool {
        let text = line.raw.text.trim();
        let goes_on = line.item.is_some() && line.item == self.criterion;
        if goes_on && !is_separate(text) {
            if let Some(criterion) = self.body.criteria.last_mut() {
                criterion.text.push(' ');
                criterion.text.push_str(text);
            }
            return true;
        }
        self.criterion = None;
        if let Some((_, value)) = words::criteria_line(text) {
            if !value.is_empty() {
                let line = line.raw.number;
                let text = value.to_owned();
                self.body.criteria.push(OutlineCriterion { text, satisfied: false, line });
            }
            return true;
        }
        if first || needs::label(text).is_some() || needs::on_line(text).is_some() {
            self.statement(text, NeedsList::After);
        }
        false
    }

    fn heading(&mut self, line: &Line<'_>) -> bool {
        self.criterion = None;
        self.needs = needs::label(line.raw.text.trim()).map(|phrase| (NeedsList::After, phrase));
        words::criteria_label(line.raw.text.trim()).is_some()
    }
}

/// Joins lines without leading, trailing or repeated empty ones.
pub(super) fn tidy(lines: &[&str]) -> String {
    let mut text = String::new();
    let mut gap = false;
    for line in lines {
        if line.trim().is_empty() {
            gap = !text.is_empty();
            continue;
        }
        if !text.is_empty() {
            text.push_str(if gap { "\n\n" } else { "\n" });
        }
        text.push_str(line);
        gap = false;
    }
    text
}

/// Whether a line says something of its own instead of going on with the line before.
fn is_separate(text: &str) -> bool {
    text.starts_with(['|', '<'])
        || words::is_field(text)
        || words::criteria_line(text).is_some()
        || needs::on_line(text).is_some()
        || needs::label(text).is_some()
        || boxes::is_worded(text)
        || (steps::is_lead(text) && words::announces_tasks(text))
}

/// An item's first paragraph as one text, and the number of its lines after the first.
pub(super) fn first_paragraph(document: &Document<'_>, id: ItemId) -> (String, usize) {
    let item = &document.items[id];
    let mut text = item.text.clone();
    let mut count = 0;
    let mut broken = document.lines[item.line].raw.source.ends_with("  ");
    for line in document.lines.iter().skip(item.line + 1) {
        let part = line.raw.text.trim();
        let goes_on = matches!(line.what, What::Text { .. }) && line.item == Some(id);
        if !goes_on || broken || part.starts_with('_') || is_separate(part) {
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(part);
        broken = line.raw.source.ends_with("  ") || text.ends_with('\\');
        count += 1;
    }
    (text, count)
}
