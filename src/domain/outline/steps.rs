//! Lists of steps in documents without boxes, ids or task headings.
//!
//! Any document may hold lists. So a list is work only if the document says so: by its heading, by
//! the line before it, or by having little else.

use super::announces::Announced;
use super::document::{Document, Item, Section, SectionId, What};
use super::words;

/// Per item, whether it is a step.
pub(super) fn find(document: &Document<'_>) -> Vec<bool> {
    let phased = has_phases(document);
    let found = choose(document, |item| is_announced(document, item, phased));
    if found.contains(&true) {
        return found;
    }
    let later = |item: &Item| announced_above(document, item.section).any(|title| title.later);
    if phased && document.items.iter().any(later) {
        return choose(document, |item| is_in_phase(document, item.section));
    }
    if is_all_steps(document) {
        return choose(document, |item| item.marker.number.is_some());
    }
    if is_one_list(document) {
        return choose(document, |_| true);
    }
    vec![false; document.items.len()]
}

/// Whether a heading above introduces remarks about tasks listed elsewhere.
pub(super) fn is_below_remarks(document: &Document<'_>, section: SectionId) -> bool {
    announced_above(document, section).any(|title| title.about_tasks)
}

/// Takes top-level items and the nested ones of the same kind: bullets below a numbered step are
/// its text.
fn choose(document: &Document<'_>, top: impl Fn(&Item) -> bool) -> Vec<bool> {
    let mut chosen = vec![false; document.items.len()];
    for (id, item) in document.items.iter().enumerate() {
        let wanted = match item.parent {
            None => top(item),
            Some(parent) => {
                let above = &document.items[parent].marker;
                chosen[parent] && (item.marker.number.is_some() || above.number.is_none())
            }
        };
        chosen[id] = wanted && !item.text.is_empty() && !item.struck;
    }
    chosen
}

/// Whether its own heading, or the line before it, calls a list steps.
pub(super) fn is_called_steps(document: &Document<'_>, item: &Item) -> bool {
    let own = document.sections.get(item.section);
    is_led(document, item) || own.is_some_and(|section| section.announced().tasks)
}

fn is_led(document: &Document<'_>, item: &Item) -> bool {
    let lead = item.lead.and_then(|line| document.lines.get(line));
    let lead = lead.map(|line| line.raw.text.trim()).filter(|text| text.len() <= 120);
    lead.is_some_and(|text| is_lead(text) && words::announces_tasks(text))
}

fn is_announced(document: &Document<'_>, item: &Item, phased: bool) -> bool {
    if is_led(document, item) {
        return true;
    }
    if phased && announced_above(document, item.section).any(|title| title.later) {
        return false;
    }
    let own = document.sections.get(item.section);
    if own.is_some_and(|section| section.announced().plan) {
        return true;
    }
    let mut telling =
        announced_above(document, item.section).filter(|title| title.tasks || title.other_things);
    telling.next().is_some_and(|title| title.tasks)
}

/// Whether the sections `Phase 1`, `Phase 2` and so on hold lists: then these are the work, and a list
/// of next steps at the end is not. If one is missing, its work stands elsewhere, in prose.
fn has_phases(document: &Document<'_>) -> bool {
    let mut parts: Vec<(&str, u32)> = document
        .items
        .iter()
        .filter_map(|item| announced_above(document, item.section).find_map(|title| title.part))
        .collect();
    parts.sort_unstable();
    parts.dedup();
    parts.chunk_by(|one, next| one.0 == next.0).any(|parts| {
        let complete = parts.windows(2).all(|pair| pair[1].1 == pair[0].1 + 1);
        parts.len() > 1 && parts[0].1 <= 1 && complete
    })
}

fn is_in_phase(document: &Document<'_>, section: SectionId) -> bool {
    announced_above(document, section).any(|title| title.part.is_some())
        && !announced_above(document, section).any(|title| title.other_things || title.later)
}

/// `Steps:` and `**Tasks**`, not a sentence about tasks.
pub(super) fn is_lead(text: &str) -> bool {
    let bare = text.trim_end_matches(['*', '_']);
    bare.ends_with([':', '：']) || (text.starts_with("**") && text.ends_with("**"))
}

fn announced_above<'d>(
    document: &'d Document<'_>,
    section: SectionId,
) -> impl Iterator<Item = &'d Announced> {
    document.sections_above(section).map(Section::announced)
}

#[derive(Clone, Default)]
struct Content {
    prose: usize,
    listed: usize,
    numbered: usize,
    bullets: usize,
}

fn contents(document: &Document<'_>) -> Vec<Content> {
    let mut sections = vec![Content::default(); document.sections.len()];
    for line in &document.lines {
        let content = &mut sections[line.section];
        match line.what {
            What::Text { .. } if line.item.is_none() => content.prose += 1,
            What::Text { .. } | What::Item(_) => content.listed += 1,
            What::Blank | What::Hidden | What::Code | What::Rule | What::Heading | What::Tag => {}
        }
    }
    for item in document.items.iter().filter(|item| item.parent.is_none()) {
        let content = &mut sections[item.section];
        match item.marker.number {
            Some(_) => content.numbered += 1,
            None => content.bullets += 1,
        }
    }
    sections
}

/// Whether every section after the introduction is a numbered list.
fn is_all_steps(document: &Document<'_>) -> bool {
    if mentions_other_things(document) {
        return false;
    }
    let contents = contents(document);
    let sum = |of: fn(&Content) -> usize| contents.iter().map(of).sum::<usize>();
    let introduction = document.sections.iter().take(2).count();
    let rest = contents.iter().enumerate().all(|(at, content)| {
        let used = content.prose + content.listed > 0;
        !used || content.numbered > 0 || (at < introduction && content.bullets == 0)
    });
    rest && sum(|c| c.numbered) > 1 && sum(|c| c.listed) * 2 >= sum(|c| c.prose)
}

/// Whether the document is a title, a line or two, and one list.
fn is_one_list(document: &Document<'_>) -> bool {
    let titles = document.sections.iter().filter(|section| !section.title.is_empty()).count();
    let contents = contents(document);
    let sum = |of: fn(&Content) -> usize| contents.iter().map(of).sum::<usize>();
    titles <= 1
        && !mentions_other_things(document)
        && sum(|c| c.bullets) + sum(|c| c.numbered) > 1
        && sum(|c| c.listed) >= sum(|c| c.prose) * 2
}

fn mentions_other_things(document: &Document<'_>) -> bool {
    document.sections.iter().any(|section| section.announced().other_things)
}
