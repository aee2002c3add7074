//! Selection of the parts of the document that are tasks.
//!
//! Only the strongest sign counts: in a document with boxes the boxes are the tasks, whatever lists
//! it also has. Boxes below a criteria label, struck-out boxes and boxes that only announce a section
//! are no tasks, so they hide none.

use super::criteria::{self, Label};
use super::document::{self, Document, ElementId, ItemId, SectionId, What};
use super::explicit::{explicit, units_with_lists};
use super::headings::{bare_heading, section_owners};
use super::signs::Signs;
use super::tables::{self, Row};
use super::title;
use super::{OutlineShape, TaskOrigin};
use super::{ids, steps};

/// One task and its place.
#[derive(Debug)]
pub(super) struct Pick {
    pub source: Source,
    pub line: usize,
    pub parent: Option<usize>,
    pub section: SectionId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Item(ItemId),
    Heading(SectionId),
    Element(ElementId),
    /// A row of a table, as its index among the rows.
    Row(usize),
}

#[derive(Debug)]
pub(super) struct Picks {
    pub shape: OutlineShape,
    pub tasks: Vec<Pick>,
    /// Per item: the task it is or belongs to.
    pub of_item: Vec<Option<usize>>,
    /// Per section: the heading task it is or belongs to.
    pub of_section: Vec<Option<usize>>,
    pub of_element: Vec<Option<usize>>,
    /// Per item, the criteria label above it.
    pub labels: Vec<Option<Label>>,
    /// Per item: the section that it only announces.
    pub announced: Vec<Option<SectionId>>,
    /// Rows of tables of tasks, whether they are tasks or not.
    pub rows: Vec<Row>,
    /// Whether criteria are the only boxes, and so the tasks.
    pub criteria_only: bool,
}

/// Finds the tasks; `None` if there are none.
pub(super) fn pick(document: &Document<'_>) -> Option<Picks> {
    let labels = criteria::find(document);
    let rows = tables::find(document);
    let signs = explicit(document, &labels, !rows.is_empty())
        .or_else(|| headings(document))
        .or_else(|| table_rows(document, &rows))
        .or_else(|| id_items(document))
        .or_else(|| steps(document, &labels))
        .or_else(|| units(document, &labels))
        .or_else(|| criteria_only(document))?;
    let picks = assemble(document, &signs, labels, rows);
    (!picks.tasks.is_empty()).then_some(picks)
}

/// `### Task 1.1: title`, in documents without boxes.
fn headings(document: &Document<'_>) -> Option<Signs> {
    let named = |title: &str, word: &str| {
        let bare = bare_heading(title);
        let bare = if document::is_struck(title) { "" } else { bare };
        bare.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word))
            && title::parse(bare).id.is_some()
    };
    let titles = || document.sections.iter().map(|section| section.title.as_str());
    let tasks: Vec<bool> = titles().map(|title| named(title, "task ")).collect();
    let steps: Vec<bool> = titles().map(|title| named(title, "step ")).collect();
    let several = steps.iter().filter(|step| **step).count() > 1;
    let found: Vec<bool> = tasks.iter().zip(&steps).map(|(t, s)| *t || (*s && several)).collect();
    let none = vec![false; document.items.len()];
    found.contains(&true).then(|| Signs {
        headings: found,
        ..Signs::of_items(document, OutlineShape::TaskHeadings, none)
    })
}

/// Rows of tables with a column of tasks.
fn table_rows(document: &Document<'_>, rows: &[Row]) -> Option<Signs> {
    let none = vec![false; document.items.len()];
    (!rows.is_empty())
        .then(|| Signs { rows: true, ..Signs::of_items(document, OutlineShape::TableRows, none) })
}

/// Stories with lists of criteria, in documents without boxes: `### Story 1.1: …`.
fn units(document: &Document<'_>, labels: &[Option<Label>]) -> Option<Signs> {
    let headings = units_with_lists(document, labels);
    let none = vec![false; document.items.len()];
    headings
        .contains(&true)
        .then(|| Signs { headings, ..Signs::of_items(document, OutlineShape::TaskHeadings, none) })
}

/// A document whose only boxes are criteria: they are all that there is to do.
fn criteria_only(document: &Document<'_>) -> Option<Signs> {
    let items: Vec<bool> =
        document.items.iter().map(|item| item.mark.is_some() && !item.struck).collect();
    items.contains(&true).then(|| Signs {
        criteria_only: true,
        ..Signs::of_items(document, OutlineShape::Boxes, items)
    })
}

/// `- T012 title` and `- Task 3: title`, in documents without boxes.
fn id_items(document: &Document<'_>) -> Option<Signs> {
    let named = |text: &str| {
        let task =
            text.trim_start_matches('*').get(..5).is_some_and(|w| w.eq_ignore_ascii_case("task "));
        title::parse(text).id.is_some_and(|id| ids::is_t(&id) || task)
    };
    let items: Vec<bool> = document
        .items
        .iter()
        .map(|item| {
            named(&item.text) && !item.struck && !steps::is_below_remarks(document, item.section)
        })
        .collect();
    items.contains(&true).then(|| Signs::of_items(document, OutlineShape::TaskItems, items))
}

fn steps(document: &Document<'_>, labels: &[Option<Label>]) -> Option<Signs> {
    let mut items = steps::find(document);
    let stories = section_owners(document, &units_with_lists(document, labels));
    for (id, item) in document.items.iter().enumerate() {
        let criterion = item.mark.is_some() || stories[item.section].is_some();
        items[id] &= !criterion || labels[id].is_none();
    }
    items.contains(&true).then(|| Signs::of_items(document, OutlineShape::Steps, items))
}

fn assemble(
    document: &Document<'_>,
    signs: &Signs,
    labels: Vec<Option<Label>>,
    rows: Vec<Row>,
) -> Picks {
    let mut tasks = Vec::new();
    let mut next_row = 0;
    let mut of_item = vec![None; document.items.len()];
    let mut of_section: Vec<Option<usize>> = vec![None; document.sections.len()];
    let mut of_element = vec![None; document.elements.len()];
    let mut sections = 0;
    let mut elements = 0;
    for (at, line) in document.lines.iter().enumerate() {
        while sections <= line.section && sections < document.sections.len() {
            let section = &document.sections[sections];
            let above = section.parent.and_then(|parent| of_section[parent]);
            of_section[sections] = above;
            if signs.headings[sections] {
                of_section[sections] = Some(tasks.len());
                let group = plain_ancestor(document, sections, &signs.headings);
                let source = Source::Heading(sections);
                tasks.push(Pick { source, line: section.line, parent: above, section: group });
            }
            sections += 1;
        }
        let element = document.elements.get(elements).filter(|_| signs.elements);
        if element.is_some_and(|element| element.line == at) {
            of_element[elements] = Some(tasks.len());
            let source = Source::Element(elements);
            tasks.push(Pick { source, line: at, parent: None, section: line.section });
            elements += 1;
        }
        if let Some(row) = rows.get(next_row).filter(|row| row.line == at) {
            if signs.rows && !row.cancelled {
                let source = Source::Row(next_row);
                tasks.push(Pick { source, line: at, parent: None, section: line.section });
            }
            next_row += 1;
        }
        let What::Item(id) = line.what else { continue };
        let item = &document.items[id];
        let holder = labels[id].and_then(|label| label.owner).filter(|_| !signs.items[id]);
        let above = holder.or(item.parent).and_then(|parent| of_item[parent]);
        of_item[id] = above;
        if signs.items[id] {
            of_item[id] = Some(tasks.len());
            let source = Source::Item(id);
            let parent = above.or(of_section[line.section]);
            tasks.push(Pick { source, line: at, parent, section: item.section });
        }
    }
    for (id, section) in document.sections.iter().enumerate() {
        let above = section.parent.and_then(|parent| of_section[parent]);
        of_section[id] = match (signs.headings[id], signs.twins[id]) {
            (true, _) => of_section[id],
            (false, Some(item)) => of_item[item],
            (false, None) => above,
        };
    }
    Picks {
        shape: signs.shape,
        tasks,
        of_item,
        of_section,
        of_element,
        labels,
        announced: signs.announced.clone(),
        rows,
        criteria_only: signs.criteria_only,
    }
}

/// The heading above a heading task that is no task.
fn plain_ancestor(document: &Document<'_>, from: SectionId, marked: &[bool]) -> SectionId {
    let mut at = from;
    while let Some(parent) = document.sections[at].parent.filter(|_| marked[at]) {
        at = parent;
    }
    at
}

impl Source {
    pub(super) fn origin(self) -> TaskOrigin {
        match self {
            Self::Item(_) => TaskOrigin::Item,
            Self::Heading(_) => TaskOrigin::Heading,
            Self::Element(_) => TaskOrigin::Element,
            Self::Row(_) => TaskOrigin::Row,
        }
    }
}
