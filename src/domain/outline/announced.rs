//! Boxes that announce a section: `- [ ] Phase 1` above `## Phase 1` and its tasks.
//!
//! Such an overview is ticked when the section is done. As a task it would block its own section.

use std::collections::HashMap;

use super::document::{Document, SectionId};
use super::headings::section_owners;
use super::{ids, title, words};

/// Per item, the section that it announces; `tasks` and `headings` hold the candidates for tasks.
pub(super) fn find(
    document: &Document<'_>,
    tasks: &[bool],
    headings: &[bool],
) -> Vec<Option<SectionId>> {
    let mut names: HashMap<Name, SectionId> = HashMap::new();
    for (id, section) in document.sections.iter().enumerate().skip(1) {
        for name in names_of(&section.title) {
            names.entry(name).or_insert(id);
        }
    }
    let mut holds_boxes = vec![false; document.items.len()];
    for (item, _) in document.items.iter().zip(tasks).filter(|(_, task)| **task) {
        if let Some(parent) = item.parent {
            holds_boxes[parent] = true;
        }
    }
    let owners = section_owners(document, headings);
    let mut by_title = 0;
    let mut found = vec![None; document.items.len()];
    let mut parts = vec![false; document.items.len()];
    for (id, item) in document.items.iter().enumerate() {
        let own = title::parse(&item.text).id.is_some_and(|id| ids::is_t(&id));
        if !tasks[id] || item.parent.is_some() || holds_boxes[id] || own {
            continue;
        }
        let mut known = names_of(&item.text).into_iter();
        let named = known.find_map(|name| Some((*names.get(&name)?, name)));
        let named = named.filter(|(section, _)| {
            // A step inside a task says nothing of sections outside.
            !is_at_or_above(document, *section, item.section)
                && owners[item.section]
                    .is_none_or(|owner| is_at_or_above(document, owner, *section))
        });
        parts[id] = matches!(named, Some((_, Name::Part(..))));
        found[id] = named.map(|(section, _)| section);
        by_title += usize::from(found[id].is_some() && !parts[id]);
    }
    let work = work_by_section(document, tasks, headings, &found);
    // One box with the title of a section is a coincidence.
    for (section, part) in found.iter_mut().zip(parts) {
        *section = section.filter(|section| work[*section] && (part || by_title > 1));
    }
    found
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Name {
    /// A phase or unit of work with its number: `Phase 1`, `Epic 2`.
    Part(&'static str, u32),
    Title(String),
}

fn names_of(text: &str) -> Vec<Name> {
    let text = unlinked(text);
    let plain = plain(&text);
    let mut names = Vec::new();
    if let Some((part, after)) = words::part(&text).filter(|(_, after)| is_name_end(after)) {
        names.push(Name::Part(part.0, part.1));
        names.push(Name::Title(self::plain(after)));
    }
    names.push(Name::Title(plain));
    names.retain(|name| *name != Name::Title(String::new()));
    names
}

/// `Phase 1: Build` and `Phase 1 complete` name the phase, `Phase 1 smoke test` does not.
fn is_name_end(after: &str) -> bool {
    let text = after.trim_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '_' | '`'));
    text.is_empty()
        || text.starts_with([':', '-', '–', '—', '(', '.', '|', '：', ')'])
        || matches!(text.to_lowercase().as_str(), "complete" | "completed" | "done" | "finished")
}

/// `[Phase 1](#phase-1)` without the link.
fn unlinked(text: &str) -> String {
    let text = text.trim();
    let link = text.strip_prefix('[').and_then(|inner| inner.split_once("]("));
    link.map_or_else(|| title::parse(text).title, |(name, _)| name.to_owned())
}

fn plain(text: &str) -> String {
    let text = text.split(['(', '（']).next().unwrap_or_default();
    text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

fn is_at_or_above(document: &Document<'_>, section: SectionId, from: SectionId) -> bool {
    std::iter::successors(Some(from), |at| document.sections[*at].parent).any(|at| at == section)
}

/// Per section, whether tasks stand in it or below, apart from the announcing boxes.
fn work_by_section(
    document: &Document<'_>,
    tasks: &[bool],
    headings: &[bool],
    announced: &[Option<SectionId>],
) -> Vec<bool> {
    let mut work = headings.to_vec();
    for (id, item) in document.items.iter().enumerate() {
        work[item.section] |= tasks[id] && announced[id].is_none();
    }
    for id in (1..work.len()).rev() {
        let parent = document.sections[id].parent.unwrap_or_default();
        work[parent] |= work[id];
    }
    work
}
