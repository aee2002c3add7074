//! Text below a task: description, criteria, stated dependencies.

use super::document::{Document, ItemId, Line, What};
use super::lines::dedent;
use super::needs::{self, Need};
use super::pick::{Picks, Source};
use super::{markup, words};

/// The parsed text below a task.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub description: String,
    pub criteria: Vec<String>,
    pub needs: Vec<Need>,
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
pub(super) fn read(document: &Document<'_>, source: Source, lines: &[usize]) -> Body {
    let content = match source {
        Source::Item(id) => document.items[id].content,
        Source::Heading(_) | Source::Element(_) => 0,
    };
    let mut reader = Reader {
        document,
        body: Body::default(),
        text: Vec::new(),
        zone: Zone::None,
        criterion: None,
    };
    for at in lines {
        reader.line(&document.lines[*at], content);
    }
    let Reader { mut body, text, .. } = reader;
    body.description = tidy(&text);
    body
}

/// Position relative to a criteria list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zone {
    None,
    /// Nested in a `Validation:` item.
    Below(ItemId),
    /// In the list after an `Acceptance criteria:` line or heading.
    After,
}

struct Reader<'d, 'a> {
    document: &'d Document<'a>,
    body: Body,
    text: Vec<&'d str>,
    zone: Zone,
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
        // Boxes that are tasks own their lines; this box is a criterion.
        if let Some(mark) = item.mark {
            let ticked = usize::from(mark == markup::BoxMark::Done);
            self.body.boxes = (self.body.boxes.0 + 1, self.body.boxes.1 + ticked);
            return self.criterion(id);
        }
        if let Some(value) = words::criteria_label(&item.text) {
            self.zone = Zone::Below(id);
            if !value.is_empty() {
                self.body.criteria.push(value.to_owned());
                self.criterion = Some(id);
            }
            return true;
        }
        let inside = match self.zone {
            Zone::None => false,
            Zone::After => true,
            Zone::Below(above) => self.document.items_above(id).any(|item| item == above),
        };
        if inside {
            return self.criterion(id);
        }
        self.zone = Zone::None;
        if let Some(statement) = needs::on_line(&item.text) {
            self.body.needs.extend(statement.needs);
        }
        false
    }

    fn criterion(&mut self, id: ItemId) -> bool {
        let text = &self.document.items[id].text;
        if !text.is_empty() {
            self.body.criteria.push(text.clone());
        }
        self.criterion = Some(id).filter(|_| !text.is_empty());
        true
    }

    fn paragraph(&mut self, line: &Line<'_>, first: bool) -> bool {
        let text = line.raw.text.trim();
        if line.item.is_some() && line.item == self.criterion {
            if let Some(criterion) = self.body.criteria.last_mut() {
                criterion.push(' ');
                criterion.push_str(text);
            }
            return true;
        }
        if let Some(value) = words::criteria_label(text) {
            self.zone = Zone::After;
            if !value.is_empty() {
                self.body.criteria.push(value.to_owned());
            }
            return true;
        }
        if first {
            self.zone = Zone::None;
        }
        if let Some(statement) = needs::on_line(text) {
            self.body.needs.extend(statement.needs);
        }
        false
    }

    fn heading(&mut self, line: &Line<'_>) -> bool {
        self.criterion = None;
        let criteria = words::criteria_label(line.raw.text.trim()).is_some();
        self.zone = if criteria { Zone::After } else { Zone::None };
        criteria
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

/// An item's first paragraph as one text, and the number of its lines after the first.
pub(super) fn first_paragraph(document: &Document<'_>, id: ItemId) -> (String, usize) {
    let item = &document.items[id];
    let mut text = item.text.clone();
    let mut count = 0;
    let mut broken = document.lines[item.line].raw.source.ends_with("  ");
    for line in document.lines.iter().skip(item.line + 1) {
        let part = line.raw.text.trim();
        let goes_on = matches!(line.what, What::Text { .. }) && line.item == Some(id);
        let separate = part.starts_with(['|', '_', '<'])
            || words::is_field(part)
            || needs::on_line(part).is_some();
        if !goes_on || broken || separate {
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
