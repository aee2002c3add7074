//! Criteria labels: which list items are conditions of success, and of whose.
//!
//! A box below `Acceptance criteria:` is no work. Inside a task it is a criterion of the task; a
//! section such as `## Done criteria` holds criteria of the goal. Words such as `Verify:` also
//! introduce work, so they count inside a task only.

use super::document::{Document, ItemId, Line, SectionId, What};
use super::words::{self, LabelWord};
use super::{ids, steps, title};

/// The label above a list item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label {
    /// Item that the label belongs to, if it stands in one.
    pub owner: Option<ItemId>,
    /// The section whose heading is the label.
    pub section: Option<SectionId>,
    pub word: LabelWord,
}

/// Per item, the criteria label above it.
pub(super) fn find(document: &Document<'_>) -> Vec<Option<Label>> {
    let mut inner = vec![false; document.items.len()];
    for item in &document.items {
        if let Some(parent) = item.parent {
            inner[parent] = true;
        }
    }
    let labels = vec![None; document.items.len()];
    let mut finder = Finder { document, inner, labels, zone: None, worked: None, after_gap: true };
    for line in &document.lines {
        finder.line(line);
    }
    finder.labels
}

/// The list below a label: items inside `list`.
#[derive(Clone, Copy)]
struct Zone {
    label: Label,
    list: Option<ItemId>,
    /// A paragraph ends the list of a paragraph, not that of an item.
    of_item: bool,
    /// A label with a text of its own: boxes after it are no part of it.
    valued: bool,
    /// Whether a gap ends the list: its items have none between them, and boxes that are work come
    /// before the label.
    tight: Tight,
}

/// Gaps around the items of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tight {
    /// Gaps mean nothing.
    No,
    /// The first item decides.
    Open,
    Yes,
}

struct Finder<'d, 'a> {
    document: &'d Document<'a>,
    /// Per item, whether it has items below it.
    inner: Vec<bool>,
    labels: Vec<Option<Label>>,
    zone: Option<Zone>,
    /// Section of the last box that is work.
    worked: Option<SectionId>,
    after_gap: bool,
}

impl Finder<'_, '_> {
    fn line(&mut self, line: &Line<'_>) {
        match line.what {
            What::Item(id) => self.item(id),
            What::Text { first } => self.text(line, first),
            What::Heading => self.zone = None,
            What::Blank | What::Hidden | What::Code | What::Rule | What::Tag => {}
        }
        self.after_gap = matches!(line.what, What::Blank | What::Rule);
    }

    fn item(&mut self, id: ItemId) {
        if let Some(word) = self.label_of(id) {
            let label = Label { owner: self.document.items[id].parent, section: None, word };
            self.zone = Some(Zone {
                label,
                list: Some(id),
                of_item: true,
                valued: false,
                tight: Tight::No,
            });
            return;
        }
        let boxed = self.document.items[id].mark.is_some();
        let inside = |zone: &Zone| {
            !(boxed && zone.valued)
                && zone
                    .list
                    .is_none_or(|list| self.document.items_above(id).any(|item| item == list))
        };
        self.zone = self.zone.filter(inside);
        self.gap(id);
        let within = self.zone.map(|zone| (zone.label, zone.of_item));
        let within = within.or_else(|| self.section_label(id).map(|label| (label, false)));
        // The list goes on with the next task.
        if within.is_some_and(|(_, of_item)| !of_item && self.is_named_task(id)) {
            self.zone = None;
            self.worked = Some(self.document.items[id].section);
            return;
        }
        if boxed && within.is_none() && !self.document.items[id].struck {
            self.worked = Some(self.document.items[id].section);
        }
        self.labels[id] = within.map(|(label, _)| label);
    }

    /// A gap in a list without gaps ends it.
    fn gap(&mut self, id: ItemId) {
        let nested = self.document.items[id].parent.is_some_and(|item| self.labels[item].is_some());
        let gap = self.after_gap && !nested;
        self.zone = match self.zone {
            Some(Zone { tight: Tight::Yes, .. }) if gap => None,
            Some(zone) if zone.tight == Tight::Open => {
                Some(Zone { tight: if gap { Tight::No } else { Tight::Yes }, ..zone })
            }
            zone => zone,
        };
    }

    /// Whether an item only introduces the items below it.
    fn label_of(&self, id: ItemId) -> Option<LabelWord> {
        let item = &self.document.items[id];
        if let Some((word, value)) = words::criteria_label(&item.text) {
            return (item.mark.is_none() || (value.is_empty() && self.inner[id])).then_some(word);
        }
        words::criteria_word(&item.text).filter(|_| self.inner[id])
    }

    fn text(&mut self, line: &Line<'_>, first: bool) {
        let text = line.raw.text.trim();
        if let Some((word, value)) = words::criteria_line(text) {
            let holder = self.holder(line);
            // `- [ ] T001 a` and, right below, `Acceptance criteria:` belong together.
            let owner = if self.after_gap { holder } else { line.item.or(holder) };
            let label = Label { owner, section: None, word };
            let valued = !value.is_empty();
            let tight = if holder.is_none() && self.worked == Some(line.section) {
                Tight::Open
            } else {
                Tight::No
            };
            self.zone = Some(Zone { label, list: holder, of_item: false, valued, tight });
            return;
        }
        // Right below an item, a line such as `Tasks:` belongs to it by its indentation only.
        let lead = steps::is_lead(text);
        let holder = if lead { self.holder(line) } else { line.item };
        let inside = holder.is_some_and(|item| self.labels[item].is_some());
        if (first || lead) && !inside {
            self.zone = self.zone.filter(|zone| zone.of_item);
        }
    }

    /// The item that contains a line by indentation.
    fn holder(&self, line: &Line<'_>) -> Option<ItemId> {
        let mut holder = line.item;
        while let Some(item) = holder.map(|id| &self.document.items[id]) {
            if item.indent < line.raw.indent {
                break;
            }
            holder = item.parent;
        }
        holder
    }

    /// The heading above that is a label, unless a heading between them announces work.
    fn section_label(&self, id: ItemId) -> Option<Label> {
        let mut at = Some(self.document.items[id].section);
        while let Some(section) = at.filter(|at| *at > 0) {
            let heading = &self.document.sections[section];
            if let Some(word) = heading.announced().criteria {
                return Some(Label { owner: None, section: Some(section), word });
            }
            if heading.announced().work {
                return None;
            }
            at = heading.parent;
        }
        None
    }

    /// `T012 …`, `Task 3: …`, or `5.1 …` below a numbered heading: work, even after a label.
    fn is_named_task(&self, id: ItemId) -> bool {
        let item = &self.document.items[id];
        let Some(own) = title::parse(&item.text).id.filter(|_| item.mark.is_some()) else {
            return false;
        };
        let heading = &self.document.sections[item.section].title;
        let numbered = || heading.starts_with(|c: char| c.is_ascii_digit());
        ids::is_t(&own) || words::is_task_name(&item.text) || (own.contains('.') && numbered())
    }
}
