//! Unmistakable signs of tasks: boxes, task headings, task elements.

use std::collections::HashMap;

use super::OutlineShape;
use super::criteria::Label;
use super::document::{self, Document, ItemId};
use super::headings::{bare_heading, heading_head, section_owners};
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
            Some(owner) => headings.holds_tasks[owner] && !weak,
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

    fn by_id(&self) -> HashMap<&str, ItemId> {
        let mut by_id = HashMap::new();
        for (item, head) in self.heads.iter().enumerate() {
            if let Some(id) = head.as_ref().and_then(|head| head.id.as_deref()) {
                by_id.entry(id).or_insert(item);
            }
        }
        by_id
    }
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
    /// `#### T012: …` and `### Task 3: …`, unless boxes with ids stand below: then it only groups.
    fn read(document: &Document<'_>, boxes: &Boxes) -> Self {
        let titles = || document.sections.iter().map(|section| section.title.as_str());
        let ids: Vec<Option<String>> = titles().map(task_id).collect();
        let mut marked: Vec<bool> = ids.iter().map(Option::is_some).collect();
        let owners = section_owners(document, &marked);
        for (item, head) in document.items.iter().zip(&boxes.heads) {
            if head.as_ref().is_some_and(|head| head.id.is_some())
                && let Some(owner) = owners[item.section]
            {
                marked[owner] = false;
            }
        }
        let by_id = boxes.by_id();
        let twin = |id: &Option<String>| id.as_deref().and_then(|id| by_id.get(id).copied());
        let twins: Vec<Option<ItemId>> =
            ids.iter().zip(&marked).map(|(id, marked)| twin(id).filter(|_| *marked)).collect();
        let holds_tasks = ids
            .iter()
            .zip(&twins)
            .map(|(id, twin)| id.as_deref().is_some_and(|id| !ids::is_t(id)) && twin.is_none())
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
        let is_t = |head: &Head| head.id.as_deref().is_some_and(ids::is_t);
        let specified = boxes.heads.iter().flatten().any(is_t)
            || self.marked.iter().zip(&document.sections).any(|(marked, section)| {
                *marked && heading_head(&section.title).id.as_deref().is_some_and(ids::is_t)
            });
        for (id, item) in document.items.iter().enumerate().filter(|(id, _)| boxes.criteria[*id]) {
            let Some(label) = labels[id].filter(|label| label.owner.is_none()) else { continue };
            let holder = match label.section {
                Some(section) => document.sections[section].parent.unwrap_or_default(),
                None => item.section,
            };
            if holder == 0 || work[holder] || self.marked[holder] {
                continue;
            }
            let section = &document.sections[holder];
            let named = words::is_unit(&section.title) || heading_head(&section.title).id.is_some();
            let plain = section.level > 1
                && !any_work
                && !words::is_about_other_things(&section.title)
                && words::criteria_heading(&section.title).is_none()
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

/// The id of a heading that names a task by the word or by `T012`.
fn task_id(title: &str) -> Option<String> {
    if document::is_struck(title) {
        return None;
    }
    let named = words::is_task_name(bare_heading(title));
    heading_head(title).id.filter(|id| named || ids::is_t(id))
}
