//! Selection of the parts of the document that are tasks.
//!
//! Only the strongest sign counts: in a document with boxes the boxes are the tasks, whatever lists
//! it also has.

use std::collections::HashMap;

use super::document::{Document, ElementId, ItemId, SectionId, What};
use super::steps;
use super::title::{self, Head};
use super::{OutlineShape, TaskOrigin};
use super::{ids, markup};

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
}

/// Candidates for tasks.
struct Signs {
    shape: OutlineShape,
    items: Vec<bool>,
    headings: Vec<bool>,
    /// Headings that describe a box with the same id.
    twins: Vec<Option<ItemId>>,
    elements: bool,
}

/// Finds the tasks; `None` if there are none.
pub(super) fn pick(document: &Document<'_>) -> Option<Picks> {
    let signs = explicit(document)
        .or_else(|| headings(document))
        .or_else(|| id_items(document))
        .or_else(|| steps(document))?;
    let picks = assemble(document, &signs);
    (!picks.tasks.is_empty()).then_some(picks)
}

/// Boxes, `T012` headings and task elements: unmistakable signs.
fn explicit(document: &Document<'_>) -> Option<Signs> {
    let boxes: Vec<Option<Head>> = document
        .items
        .iter()
        .map(|item| item.mark.filter(|_| item.element.is_none()).map(|_| title::parse(&item.text)))
        .collect();
    let mut box_ids: HashMap<&str, ItemId> = HashMap::new();
    for (item, head) in boxes.iter().enumerate() {
        if let Some(id) = head.as_ref().and_then(|head| head.id.as_deref()) {
            box_ids.entry(id).or_insert(item);
        }
    }
    let ids: Vec<Option<String>> = document
        .sections
        .iter()
        .map(|section| heading_head(&section.title).id.filter(|id| ids::is_t(id)))
        .collect();
    let mut marked: Vec<bool> = ids.iter().map(Option::is_some).collect();
    let owners = section_owners(document, &marked);
    for (item, head) in document.items.iter().zip(&boxes) {
        // Boxes with ids are tasks; their heading only groups them.
        if head.as_ref().is_some_and(|head| head.id.is_some())
            && let Some(owner) = owners[item.section]
        {
            marked[owner] = false;
        }
    }
    let owners = section_owners(document, &marked);
    let twin = |id: &Option<String>| id.as_deref().and_then(|id| box_ids.get(id).copied());
    let twins: Vec<Option<ItemId>> =
        ids.iter().zip(&marked).map(|(id, marked)| twin(id).filter(|_| *marked)).collect();
    let headings: Vec<bool> =
        marked.iter().zip(&twins).map(|(marked, twin)| *marked && twin.is_none()).collect();
    let free = |item: usize| owners[document.items[item].section].is_none();
    let items: Vec<bool> =
        boxes.iter().enumerate().map(|(id, head)| head.is_some() && free(id)).collect();
    let elements = !document.elements.is_empty();
    let shape = match (elements, headings.contains(&true), items.contains(&true)) {
        (true, _, _) => OutlineShape::TaskElements,
        (false, true, _) => OutlineShape::TaskHeadings,
        (false, false, true) => OutlineShape::Boxes,
        (false, false, false) => return None,
    };
    Some(Signs { shape, items, headings, twins, elements })
}

/// `### Task 1.1: title`, in documents without boxes.
fn headings(document: &Document<'_>) -> Option<Signs> {
    let named = |title: &str, word: &str| {
        let bare = bare_heading(title);
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
        .map(|item| named(&item.text) && !steps::is_below_remarks(document, item.section))
        .collect();
    items.contains(&true).then(|| Signs::of_items(document, OutlineShape::TaskItems, items))
}

fn steps(document: &Document<'_>) -> Option<Signs> {
    let items = steps::find(document);
    items.contains(&true).then(|| Signs::of_items(document, OutlineShape::Steps, items))
}

impl Signs {
    fn of_items(document: &Document<'_>, shape: OutlineShape, items: Vec<bool>) -> Self {
        let headings = vec![false; document.sections.len()];
        let twins = vec![None; document.sections.len()];
        Self { shape, items, headings, twins, elements: false }
    }
}

/// The parsed line of a heading task.
pub(super) fn heading_head(title: &str) -> Head {
    title::parse(bare_heading(title))
}

/// A heading without a leading box or symbol (`✅`).
pub(super) fn bare_heading(title: &str) -> &str {
    let (_, rest) = markup::take_box(title.trim());
    rest.trim_start_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '[' | '*' | '_' | '`'))
}

/// Per section, the nearest marked heading at or above it.
fn section_owners(document: &Document<'_>, marked: &[bool]) -> Vec<Option<SectionId>> {
    let mut owners: Vec<Option<SectionId>> = Vec::with_capacity(document.sections.len());
    for (id, section) in document.sections.iter().enumerate() {
        let inherited = section.parent.and_then(|parent| owners.get(parent).copied().flatten());
        owners.push(if marked[id] { Some(id) } else { inherited });
    }
    owners
}

fn assemble(document: &Document<'_>, signs: &Signs) -> Picks {
    let mut tasks = Vec::new();
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
        let What::Item(id) = line.what else { continue };
        let item = &document.items[id];
        let above = item.parent.and_then(|parent| of_item[parent]);
        of_item[id] = above;
        if signs.items[id] {
            of_item[id] = Some(tasks.len());
            let source = Source::Item(id);
            tasks.push(Pick { source, line: at, parent: above, section: item.section });
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
    Picks { shape: signs.shape, tasks, of_item, of_section, of_element }
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
        }
    }
}
