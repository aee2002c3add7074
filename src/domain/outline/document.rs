//! The document as a tree: sections, list items and task elements.
//!
//! Deliberately not CommonMark. Task files are written for people: boxes after an HTML tag without
//! an empty line, or nested with two spaces under `1.`, are boxes to everybody but a strict parser.
//! Code blocks keep their CommonMark meaning.

use std::cell::OnceCell;

use super::announces::Announced;
use super::boxes::{self, BoxMark};
use super::lines::{RawLine, Seen, split};
use super::markup::{self, Marker};
use super::needs;
use super::title;

pub(super) type ItemId = usize;
pub(super) type SectionId = usize;
pub(super) type ElementId = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Blank,
    Hidden,
    Code,
    Rule,
    Heading,
    Item(ItemId),
    /// A line of a paragraph; `first` where one begins.
    Text {
        first: bool,
    },
    Tag,
}

#[derive(Debug)]
pub(super) struct Line<'a> {
    pub raw: RawLine<'a>,
    pub what: What,
    /// Innermost list item it belongs to.
    pub item: Option<ItemId>,
    pub section: SectionId,
    pub element: Option<ElementId>,
}

#[derive(Debug)]
pub(super) struct Item {
    pub line: usize,
    pub indent: usize,
    /// Column where the item's text starts.
    pub content: usize,
    pub parent: Option<ItemId>,
    pub section: SectionId,
    pub element: Option<ElementId>,
    pub marker: Marker,
    pub mark: Option<BoxMark>,
    /// Whether it is struck out: cancelled work.
    pub struck: bool,
    /// Text of the first line, without marker and box.
    pub text: String,
    /// Line of the paragraph right before its list.
    pub lead: Option<usize>,
    needs_below: OnceCell<Option<needs::Phrase>>,
}

impl Item {
    /// The phrase that makes the items below it needs: every box among them asks.
    fn needs_below(&self) -> Option<needs::Phrase> {
        let phrase = || needs::label(&self.text).or_else(|| needs::bare_label(&self.text));
        *self.needs_below.get_or_init(phrase)
    }
}

#[derive(Debug)]
pub(super) struct Section {
    pub line: usize,
    pub level: u8,
    pub title: String,
    pub parent: Option<SectionId>,
    announced: OnceCell<Announced>,
}

impl Section {
    fn new(line: usize, level: u8, title: String, parent: Option<SectionId>) -> Self {
        Self { line, level, title, parent, announced: OnceCell::new() }
    }

    /// What its title announces.
    pub(super) fn announced(&self) -> &Announced {
        self.announced.get_or_init(|| Announced::by(&self.title))
    }
}

/// A `<task>` element.
#[derive(Debug)]
pub(super) struct Element {
    pub line: usize,
    pub opening: String,
}

#[derive(Debug, Default)]
pub(super) struct Document<'a> {
    pub lines: Vec<Line<'a>>,
    pub items: Vec<Item>,
    pub sections: Vec<Section>,
    pub elements: Vec<Element>,
}

impl Document<'_> {
    /// A section and those around it, innermost first.
    pub(super) fn sections_above(&self, from: SectionId) -> impl Iterator<Item = &Section> {
        std::iter::successors(self.sections.get(from), |section| {
            section.parent.map(|parent| &self.sections[parent])
        })
    }

    /// The items around an item, innermost first.
    pub(super) fn items_above(&self, from: ItemId) -> impl Iterator<Item = ItemId> {
        std::iter::successors(self.items[from].parent, |item| self.items[*item].parent)
    }
}

const PSEUDO_LEVEL: u8 = 7;

pub(super) fn read(brief: &str) -> Document<'_> {
    let mut reader = Reader::default();
    let root = Section::new(0, 0, String::new(), None);
    reader.document.sections.push(root);
    for raw in split(brief) {
        reader.line(raw);
    }
    reader.document
}

/// `~~text~~`, also behind an id.
pub(super) fn is_struck(text: &str) -> bool {
    let marked = ["~~", "</"].iter().any(|mark| text.contains(mark));
    marked && (boxes::struck(text).is_some() || boxes::struck(&title::parse(text).title).is_some())
}

/// Whether an item in a list of needs consists of the ids of tasks.
fn refers(above: &Item, text: &str) -> bool {
    above.needs_below().is_some_and(|phrase| needs::is_list(text, phrase))
}

#[derive(Default)]
struct Reader<'a> {
    document: Document<'a>,
    open: Vec<ItemId>,
    section: SectionId,
    element: Option<ElementId>,
    after_gap: bool,
    quote: usize,
    indented_code: Option<usize>,
    paragraph: Option<usize>,
    lead: Option<usize>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, raw: RawLine<'a>) {
        let what = match raw.seen {
            Seen::Hidden => What::Hidden,
            Seen::FenceStart => {
                self.close_to(self.nesting(&raw));
                What::Code
            }
            Seen::Fenced => What::Code,
            Seen::Plain => self.plain(&raw),
        };
        let hidden = what == What::Hidden;
        if !hidden {
            self.after_gap = matches!(what, What::Blank | What::Rule);
            self.remember(what);
        }
        let item = if hidden { None } else { self.open.last().copied() };
        let (section, element) = (self.section, self.element);
        self.document.lines.push(Line { raw, what, item, section, element });
        if self.closes_element() {
            self.element = None;
        }
    }

    fn remember(&mut self, what: What) {
        let at = self.document.lines.len();
        let inside = !self.open.is_empty();
        match what {
            What::Text { first: true } => {
                self.paragraph = Some(at);
                self.lead = if inside { self.lead } else { Some(at) };
            }
            What::Text { first: false } | What::Hidden => {}
            What::Blank | What::Item(_) => self.paragraph = None,
            What::Code | What::Rule | What::Heading | What::Tag => {
                self.paragraph = None;
                self.lead = self.lead.filter(|_| inside);
            }
        }
    }

    fn plain(&mut self, raw: &RawLine<'a>) -> What {
        let text = raw.text.trim();
        if text.is_empty() {
            return What::Blank;
        }
        let indent = self.nesting(raw);
        self.follow_quote(raw);
        if self.is_indented_code(indent) {
            return What::Code;
        }
        if let Some(what) = self.tag(text, indent) {
            return what;
        }
        if self.setext(text) {
            return What::Heading;
        }
        if markup::is_rule(text) {
            self.open.clear();
            return What::Rule;
        }
        if let Some((level, title)) = self.heading(text, indent) {
            self.open_section(level, title);
            return What::Heading;
        }
        match markup::marker(&raw.text).filter(|marker| self.may_start_item(marker)) {
            Some(marker) => self.item(raw, marker),
            None => self.text(indent),
        }
    }

    /// Columns before the text; a quote inside an item counts as nested.
    fn nesting(&self, raw: &RawLine<'a>) -> usize {
        if raw.quote > 0 && raw.outer >= 2 && !self.open.is_empty() {
            return raw.outer + 2 + raw.indent;
        }
        raw.indent
    }

    fn follow_quote(&mut self, raw: &RawLine<'a>) {
        if raw.quote == self.quote || (raw.quote > 0 && raw.outer >= 2) {
            return;
        }
        self.quote = raw.quote;
        self.open.clear();
    }

    fn is_indented_code(&mut self, indent: usize) -> bool {
        if let Some(base) = self.indented_code {
            if indent >= base {
                return true;
            }
            self.indented_code = None;
        }
        if !self.after_gap && !self.document.lines.is_empty() {
            return false;
        }
        let mut contents = self.open.iter().rev().map(|id| self.document.items[*id].content);
        let content = contents.find(|content| *content <= indent);
        let base = content.unwrap_or(0) + 4;
        if indent < base {
            return false;
        }
        self.close_to(indent);
        self.indented_code = Some(base);
        true
    }

    /// `<task>` opens an element; another custom tag alone on a line (`<verification>`) acts as a
    /// heading.
    fn tag(&mut self, text: &str, indent: usize) -> Option<What> {
        let name = markup::tag_name(text)?;
        if name == "task" {
            self.open.clear();
            let element = Element { line: self.document.lines.len(), opening: text.to_owned() };
            self.element = Some(self.document.elements.len());
            self.document.elements.push(element);
            return Some(What::Tag);
        }
        if self.element.is_some() || name == "/task" {
            self.open.clear();
            return Some(What::Tag);
        }
        if indent > 0 || !markup::is_lone_custom_tag(text, name) {
            return None;
        }
        match name.strip_prefix('/') {
            None => {
                self.open_section(0, name.to_owned());
                Some(What::Heading)
            }
            Some(name) => {
                self.open.clear();
                let opened = |section: &Section| section.level == 0 && section.title == name;
                if self.document.sections_above(self.section).any(opened) {
                    self.open_section(0, String::new());
                }
                Some(What::Tag)
            }
        }
    }

    fn closes_element(&self) -> bool {
        let line = self.document.lines.last();
        line.is_some_and(|line| {
            line.what == What::Tag
                && self.element.is_some()
                && (line.raw.text.contains("</task>") || line.raw.text.trim() == "</tasks>")
        })
    }

    /// An underlined paragraph of one line is a heading.
    fn setext(&mut self, text: &str) -> bool {
        let level = markup::underline(text).filter(|_| self.open.is_empty() && !self.after_gap);
        let Some(level) = level else { return false };
        let Some(previous) = self.document.lines.last_mut() else { return false };
        let title = previous.raw.text.trim().to_owned();
        let sentence = title.ends_with(['.', ':', ',', ';']) || title.len() > 120;
        if previous.what != (What::Text { first: true }) || (level == 2 && sentence) {
            return false;
        }
        previous.what = What::Heading;
        self.open_section(level, title);
        if let Some(previous) = self.document.lines.last_mut() {
            previous.section = self.section;
        }
        if let Some(section) = self.document.sections.last_mut() {
            section.line = section.line.saturating_sub(1);
        }
        true
    }

    fn heading(&self, text: &str, indent: usize) -> Option<(u8, String)> {
        if indent > 3 || self.innermost().is_some_and(|item| indent >= item.content) {
            return None;
        }
        let phase = || markup::bold_phase(text).map(|phase| (PSEUDO_LEVEL, phase));
        markup::atx_heading(text).or_else(phase).map(|(level, title)| (level, title.to_owned()))
    }

    fn open_section(&mut self, level: u8, title: String) {
        self.open.clear();
        let mut parent = Some(self.section);
        while let Some(section) = parent.and_then(|id| self.document.sections.get(id)) {
            if section.level < level || section.parent.is_none() {
                break;
            }
            parent = section.parent;
        }
        self.section = self.document.sections.len();
        let line = self.document.lines.len();
        self.document.sections.push(Section::new(line, level, title, parent));
    }

    /// "… in the year\n2024. It was" is not a list.
    fn may_start_item(&self, marker: &Marker) -> bool {
        let previous = self.document.lines.last().map(|line| line.what);
        if marker.dotted {
            let listed = |id: ItemId| {
                let Marker { number, dotted, .. } = self.document.items[id].marker;
                dotted
                    || number.is_some_and(|number| marker.text.starts_with(&format!("{number}.")))
            };
            return match previous {
                None | Some(What::Blank | What::Heading | What::Rule | What::Hidden) => true,
                Some(What::Item(id)) => listed(id),
                Some(What::Code | What::Text { .. } | What::Tag) => false,
            };
        }
        let starts_list = matches!(marker.number, None | Some(1)) || marker.boxed;
        starts_list || !self.open.is_empty() || self.paragraph.is_none()
    }

    fn item(&mut self, raw: &RawLine<'a>, marker: Marker) -> What {
        let indent = self.nesting(raw);
        self.close_to(indent);
        let (mark, text) = boxes::take(&marker.text);
        // `- Depends on:` over `- [ ] T001` refers to that task.
        let refers = mark.is_some() && self.innermost().is_some_and(|above| refers(above, text));
        let mark = mark.filter(|_| !refers);
        let struck = marker.struck || is_struck(text);
        let lead = self.innermost().map_or(self.lead, |parent| parent.lead);
        let id = self.document.items.len();
        let item = Item {
            line: self.document.lines.len(),
            indent,
            content: indent + marker.width,
            parent: self.open.last().copied(),
            section: self.section,
            element: self.element,
            mark,
            struck,
            text: text.to_owned(),
            lead,
            marker,
            needs_below: OnceCell::new(),
        };
        self.document.items.push(item);
        self.open.push(id);
        What::Item(id)
    }

    fn text(&mut self, indent: usize) -> What {
        let first = self.after_gap || self.paragraph.is_none();
        if self.after_gap {
            self.close_to(indent);
        }
        // A line left of an item does not continue the item's text.
        while self.innermost().is_some_and(|item| item.indent > indent) {
            self.open.pop();
        }
        What::Text { first }
    }

    /// Closes the items that cannot contain this column.
    fn close_to(&mut self, indent: usize) {
        while self.innermost().is_some_and(|item| indent < item.indent + 2) {
            self.open.pop();
        }
    }

    fn innermost(&self) -> Option<&Item> {
        self.open.last().map(|id| &self.document.items[*id])
    }
}
