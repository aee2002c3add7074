//! Unmistakable signs of tasks: boxes, task headings, task elements.

use std::collections::HashMap;

use super::OutlineShape;
use super::criteria::Label;
use super::document::{Document, Item, ItemId, Section, SectionId};
use super::headings::{self, bare_heading, heading_head, is_boxed, section_owners};
use super::signs::Signs;
use super::title::{self, Head};
use super::words::{self, LabelWord};
use super::{announced, ids};

/// The signs, unless the document has none or only criteria.
pub(super) fn explicit(
    document: &Document<'_>,
    labels: &[Option<Label>],
    tables: bool,
) -> Option<Signs> {
    let boxes = Boxes::read(document, labels);
    let mut headings = Headings::read(document, &boxes);
    headings.add_units(document, &boxes, labels, tables);
    let owners = section_owners(document, &headings.marked);
    let free = |id: ItemId| {
        let weak = labels[id].is_some_and(|label| label.word == LabelWord::Check);
        match owners[document.items[id].section] {
            None => true,
            Some(owner) => headings.holds_tasks[owner] && !weak && !boxes.is_criterion(id),
        }
    };
    let mut items: Vec<bool> =
        (0..document.items.len()).map(|id| boxes.is_work(id) && free(id)).collect();
    let tasks: Vec<bool> = headings
        .marked
        .iter()
        .zip(&headings.twins)
        .map(|(marked, twin)| *marked && twin.is_none())
        .collect();
    let announced = announced::find(document, &items, &tasks);
    for (item, section) in items.iter_mut().zip(&announced) {
        *item &= section.is_none();
    }
    let elements = !document.elements.is_empty();
    let shape = match (elements, tasks.contains(&true), items.contains(&true)) {
        (true, _, _) => OutlineShape::TaskElements,
        (false, true, _) => OutlineShape::TaskHeadings,
        (false, false, true) => OutlineShape::Boxes,
        (false, false, false) => return None,
    };
    let twins = headings.twins;
    Some(Signs {
        shape,
        items,
        headings: tasks,
        twins,
        announced,
        elements,
        rows: false,
        criteria_only: false,
    })
}

/// The boxes of the document.
struct Boxes {
    /// Per item, its parsed line if it is a box that may be work.
    heads: Vec<Option<Head>>,
    /// Per item, whether it is a box below a criteria label.
    criteria: Vec<bool>,
}

impl Boxes {
    fn read(document: &Document<'_>, labels: &[Option<Label>]) -> Self {
        let mut criteria = vec![false; document.items.len()];
        let mut heads: Vec<Option<Head>> = Vec::with_capacity(document.items.len());
        // Per item, whether it is a task or inside one.
        let mut within = vec![false; document.items.len()];
        for (id, item) in document.items.iter().enumerate() {
            let boxed = item.mark.is_some() && item.element.is_none() && !item.struck;
            let holder = labels[id].and_then(|label| label.owner).or(item.parent);
            let inside = holder.is_some_and(|holder| within[holder]);
            criteria[id] = boxed
                && labels[id].is_some_and(|label| inside || label.word == LabelWord::Criteria);
            let work = boxed && !criteria[id] && !is_label(document, labels, id);
            within[id] = inside || work;
            heads.push(work.then(|| title::parse(&item.text)));
        }
        Self { heads, criteria }
    }

    fn is_work(&self, id: ItemId) -> bool {
        self.heads[id].is_some()
    }

    /// `- [ ] AC1: …`
    fn is_criterion(&self, id: ItemId) -> bool {
        let own = self.heads[id].as_ref().and_then(|head| head.id.as_deref());
        own.is_some_and(ids::is_criterion)
    }

    /// The boxes that headings may describe, by their names; `owners` are the heading tasks.
    fn by_name(
        &self,
        document: &Document<'_>,
        owners: &[Option<SectionId>],
    ) -> HashMap<(String, String), ItemId> {
        let mut by_name = HashMap::new();
        for (item, head) in self.heads.iter().enumerate() {
            let Some(head) = head else { continue };
            let Item { section, text, .. } = &document.items[item];
            // `- [x] 2.` without a title may be anything.
            let certain = !head.title.is_empty() || head.is_t() || words::is_task_name(text);
            if let Some(name) = name_of(head).filter(|_| certain && owners[*section].is_none()) {
                by_name.entry(name).or_insert(item);
            }
        }
        by_name
    }
}

/// What is the same in a box and in the heading that describes it: a `T012` names one task in the
/// document, other numbers start again in each list, so their titles count too.
fn name_of(head: &Head) -> Option<(String, String)> {
    let id = head.id.clone()?;
    let title = if head.is_t() { String::new() } else { title::plain(&head.title) };
    Some((id, title))
}

/// `- [ ] Acceptance criteria:` over its criteria.
fn is_label(document: &Document<'_>, labels: &[Option<Label>], id: ItemId) -> bool {
    words::criteria_word(&document.items[id].text).is_some()
        && document.items.get(id + 1).is_some_and(|next| next.parent == Some(id))
        && labels[id + 1].is_some()
}

/// The headings that are tasks.
struct Headings {
    marked: Vec<bool>,
    twins: Vec<Option<ItemId>>,
    /// Whether the boxes below it are tasks inside it, not its criteria.
    holds_tasks: Vec<bool>,
}

impl Headings {
    /// `### Task 3: …`, `### [ ] …`, and `#### T012: …` unless boxes with ids of tasks stand below: then
    /// it only groups.
    fn read(document: &Document<'_>, boxes: &Boxes) -> Self {
        let titles = || document.sections.iter().map(|section| section.title.as_str());
        let mut heads: Vec<Option<Head>> = titles().map(task_head).collect();
        let mut marked: Vec<bool> = heads.iter().map(Option::is_some).collect();
        let owners = section_owners(document, &marked);
        let title = title_of_all(document);
        let only_groups = |section: &Section| {
            !words::is_task_name(bare_heading(&section.title))
                && !section.announced().units.is_empty()
        };
        let named: Vec<bool> = document
            .sections
            .iter()
            .zip(&marked)
            .map(|(section, marked)| *marked && only_groups(section))
            .collect();
        for (item, head) in document.items.iter().zip(&boxes.heads) {
            if let (Some(owner), Some(head)) = (owners[item.section], head)
                && let Some(own) = &heads[owner]
            {
                let goal = title == Some(owner) && head.id.is_some();
                let grouped = groups(own, named[owner], head, &item.text);
                marked[owner] &= !goal && !grouped;
            }
        }
        for (head, marked) in heads.iter_mut().zip(&marked) {
            *head = head.take().filter(|_| *marked);
        }
        let by_name = boxes.by_name(document, &section_owners(document, &marked));
        let twin = |head: &Head| {
            let (id, title) = name_of(head)?;
            let untitled = || by_name.get(&(id.clone(), String::new()));
            by_name.get(&(id.clone(), title)).or_else(untitled).copied()
        };
        let twins: Vec<Option<ItemId>> =
            heads.iter().map(|head| head.as_ref().and_then(twin)).collect();
        let holds_tasks = heads
            .iter()
            .zip(&twins)
            .map(|(head, twin)| head.as_ref().is_some_and(|head| !head.is_t()) && twin.is_none())
            .collect();
        Self { marked, twins, holds_tasks }
    }

    /// A heading with criteria and no tasks is itself a task: `### US-001: …`. Without an id it is one
    /// only if the document has no other work.
    fn add_units(
        &mut self,
        document: &Document<'_>,
        boxes: &Boxes,
        labels: &[Option<Label>],
        tables: bool,
    ) {
        let work = self.sections_with_work(document, boxes);
        let any_work = tables || work.first().copied().unwrap_or_default();
        let specified = boxes.heads.iter().flatten().any(Head::is_t)
            || self
                .marked
                .iter()
                .zip(&document.sections)
                .any(|(marked, section)| *marked && heading_head(&section.title).is_t());
        let mut judged = vec![false; document.sections.len()];
        for (id, item) in document.items.iter().enumerate().filter(|(id, _)| boxes.criteria[*id]) {
            let Some(label) = labels[id].filter(|label| label.owner.is_none()) else { continue };
            let holder = criteria_holder(document, item.section, label);
            if std::mem::replace(&mut judged[holder], true) {
                continue;
            }
            if holder == 0 || work[holder] || self.marked[holder] {
                continue;
            }
            let section = &document.sections[holder];
            let named = words::is_unit(&section.title) || heading_head(&section.title).id.is_some();
            let plain = section.level > 1
                && !any_work
                && !section.announced().other_things
                && section.announced().criteria.is_none()
                && words::phase(&section.title).is_none();
            self.marked[holder] |= (named && !specified) || plain;
        }
    }

    /// Per section, whether work stands in it or below.
    fn sections_with_work(&self, document: &Document<'_>, boxes: &Boxes) -> Vec<bool> {
        let mut work = self.marked.clone();
        for (item, head) in document.items.iter().zip(&boxes.heads) {
            work[item.section] |= head.is_some();
        }
        for id in (1..work.len()).rev() {
            let parent = document.sections[id].parent.unwrap_or_default();
            work[parent] |= work[id];
        }
        work
    }
}

/// Per section, whether it is a story whose criteria are a list without boxes: a task where nothing
/// else is one.
pub(super) fn units_with_lists(document: &Document<'_>, labels: &[Option<Label>]) -> Vec<bool> {
    let mut units = vec![false; document.sections.len()];
    let mut judged = vec![false; document.sections.len()];
    let free = |label: &Label| label.owner.is_none() && label.word == LabelWord::Criteria;
    for (item, label) in document.items.iter().zip(labels) {
        let Some(label) = label.filter(|label| free(label) && item.mark.is_none()) else {
            continue;
        };
        let holder = criteria_holder(document, item.section, label);
        if std::mem::replace(&mut judged[holder], true) {
            continue;
        }
        let title = document.sections[holder].title.as_str();
        let id = heading_head(title).id;
        let lettered = id.is_some_and(|id| id.starts_with(char::is_alphabetic));
        units[holder] = (lettered || words::is_unit(title)) && !headings::is_struck(title);
    }
    units
}

/// The section whose criteria stand below a label that belongs to no item.
fn criteria_holder(document: &Document<'_>, section: SectionId, label: Label) -> SectionId {
    match label.section {
        Some(section) => document.sections[section].parent.unwrap_or_default(),
        None => section,
    }
}

/// The line of a heading that names a task by the word, by `T012` or by a box.
fn task_head(title: &str) -> Option<Head> {
    if headings::is_struck(title) {
        return None;
    }
    let head = heading_head(title);
    let named = head.id.is_some() && words::is_task_name(bare_heading(title));
    (named || head.is_t() || is_boxed(title)).then_some(head)
}

/// The heading over the whole document: with tasks below that have ids, it names the goal.
fn title_of_all(document: &Document<'_>) -> Option<SectionId> {
    let title = document.sections.get(1).filter(|section| section.level == 1)?;
    let alone = document.sections.iter().skip(2).all(|section| section.parent != title.parent)
        && document.items.iter().all(|item| item.section > 0);
    alone.then_some(1)
}

/// Whether a heading only groups the tasks below it, as one of their boxes shows.
///
/// Boxes without ids of tasks are the criteria of a `T012`; all boxes are the steps of a `Task 3`.
/// `## [ ] Phase 2` is as done as its boxes.
///
/// `named`: whether the heading names stories or phases, and no task.
fn groups(own: &Head, named: bool, head: &Head, text: &str) -> bool {
    if own.is_t() {
        return head.is_t() || (head.id.is_some() && words::is_task_name(text));
    }
    named
}
