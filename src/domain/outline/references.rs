//! References of tasks: the document's own ids, else positions; always unique.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::settings;

use super::{
    document::Document,
    draft::Draft,
    ids,
    needs::Need,
    notes::{NoteCode, Notes},
    pick::{Picks, Source},
    title,
};

/// Uses the numbers of an ordered list as ids, if they are distinct.
pub(super) fn number_by_markers(document: &Document<'_>, picks: &Picks, drafts: &mut [Draft]) {
    if !picks.shape.numbers_by_marker() {
        return;
    }
    let mut numbers: HashSet<String> =
        drafts.iter().filter_map(|draft| draft.head.id.clone()).collect();
    let mut found = Vec::new();
    for (at, pick) in picks.tasks.iter().enumerate() {
        let Source::Item(item) = pick.source else { continue };
        let free = drafts[at].head.id.is_none() && pick.parent.is_none();
        let Some(number) = document.items[item].marker.number.filter(|_| free) else { continue };
        if !numbers.insert(number.to_string()) {
            return;
        }
        found.push((at, number));
    }
    for (at, number) in found {
        drafts[at].head.id = Some(number.to_string());
    }
}

/// `1.2` belongs to the `1` before it, even without indentation.
pub(super) fn nest_by_ids(picks: &Picks, drafts: &mut [Draft]) {
    let mut seen: HashMap<(usize, Option<usize>, String), usize> = HashMap::new();
    for (at, (draft, pick)) in drafts.iter_mut().zip(&picks.tasks).enumerate() {
        let Some(id) = draft.head.id.clone() else { continue };
        if let Some((above, _)) = id.rsplit_once('.') {
            let parent = seen.get(&(draft.run, pick.parent, above.to_owned()));
            draft.parent = parent.copied().or(draft.parent);
        }
        seen.insert((draft.run, pick.parent, id), at);
    }
}

/// A single `3.11` among tasks without numbers is no id but a first word.
pub(super) fn undo_lone_numbers(drafts: &mut [Draft]) {
    let numeric = |draft: &Draft| {
        let id = draft.head.id.as_deref().unwrap_or_default();
        id.contains('.') && id.starts_with(|c: char| c.is_ascii_digit())
    };
    let mut found = drafts.iter().enumerate().filter(|(_, draft)| numeric(draft));
    let (Some((at, _)), None) = (found.next(), found.next()) else { return };
    let ids = drafts.iter().filter(|draft| draft.head.id.is_some()).count();
    if drafts.len() < 3 || ids > 1 {
        return;
    }
    if let Some(id) = drafts[at].head.id.take() {
        let title = &mut drafts[at].head.title;
        *title = format!("{id} {title}");
        drafts[at].numbered = false;
    }
}

/// Names every task.
pub(super) fn name(drafts: &[Draft], notes: &mut Notes) -> Vec<String> {
    let own = drafts.iter().filter_map(|draft| draft.head.id.as_deref()).collect();
    let mut taken = Taken { own, names: HashSet::new(), counts: HashMap::new() };
    let mut first_line: HashMap<&str, u32> = HashMap::new();
    let mut names: Vec<String> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let name = match (draft.head.id.as_deref(), draft.parent) {
            (Some(id), _) => match first_line.get(id) {
                None => {
                    first_line.insert(id, draft.line);
                    id.to_owned()
                }
                Some(line) => {
                    let name = taken.next_free(id, "-", 2);
                    let message =
                        format!("{id} is already used in line {line}; this task is named {name}");
                    notes.add(NoteCode::DuplicateId, draft.line, message);
                    name
                }
            },
            (None, Some(parent)) => taken.next_free(&names[parent], ".", 1),
            (None, None) => taken.next_free(&format!("s{}", draft.run + 1), "-", 1),
        };
        taken.names.insert(name.clone());
        names.push(name);
    }
    names
}

/// Names in use: ids of the document, and names given so far.
struct Taken<'d> {
    own: HashSet<&'d str>,
    names: HashSet<String>,
    counts: HashMap<String, usize>,
}

impl Taken<'_> {
    fn next_free(&mut self, stem: &str, joint: &str, start: usize) -> String {
        let count = self.counts.entry(format!("{stem}{joint}")).or_insert(start);
        loop {
            let name = format!("{stem}{joint}{count}");
            *count += 1;
            if !self.own.contains(name.as_str()) && !self.names.contains(&name) {
                return name;
            }
        }
    }
}

/// Notes missing numbers.
///
/// `mentioned` are ids that the document gives to what became no task, with their lines.
pub(super) fn note_gaps(drafts: &[Draft], mentioned: &[(String, u32)], notes: &mut Notes) {
    let mut series: BTreeMap<&str, BTreeMap<u64, u32>> = BTreeMap::new();
    for draft in drafts {
        let parts = draft.head.id.as_deref().and_then(ids::parts);
        if let Some((stem, number, _)) = parts {
            series.entry(stem).or_default().entry(number).or_insert(draft.line);
        }
        if let Some((stem, number)) = draft.head.id.as_deref().and_then(ids::refined) {
            series.entry(stem).or_default().entry(number).or_insert(draft.line);
        }
    }
    for (id, line) in mentioned {
        let Some((stem, number, _)) = ids::parts(id) else { continue };
        if let Some(numbers) = series.get_mut(stem)
            && numbers.last_key_value().is_some_and(|(last, _)| number < *last)
        {
            numbers.entry(number).or_insert(*line);
        }
    }
    for (stem, numbers) in series {
        let mut previous: Option<u64> = None;
        for (number, line) in numbers {
            if let Some(last) = previous.filter(|last: &u64| number > *last + 1) {
                let message = match number - last {
                    2 => format!("{stem}{} is missing", written(stem, last + 1)),
                    _ => format!(
                        "{stem}{} to {stem}{} are missing",
                        written(stem, last + 1),
                        written(stem, number - 1)
                    ),
                };
                notes.add(NoteCode::GapInNumbering, line, message);
            }
            previous = Some(number);
        }
    }
}

/// `T` numbers have three digits.
fn written(stem: &str, number: u64) -> String {
    if stem.starts_with('T') { format!("{number:03}") } else { number.to_string() }
}

/// Whether one of the two tasks is the other or contains it.
pub(super) fn is_nested(drafts: &[Draft], one: usize, other: usize) -> bool {
    let parent = |at: &usize| drafts[*at].parent;
    let above = |inner: usize, outer: usize| {
        std::iter::successors(Some(inner), parent).any(|at| at == outer)
    };
    above(one, other) || above(other, one)
}

/// Tasks by id.
pub(super) struct Index<'d> {
    exact: HashMap<&'d str, Vec<usize>>,
    /// Tasks by number and suffix within a series: `T7` means `T007` if nothing is called `T7`.
    counted: HashMap<String, BTreeMap<(u64, &'d str), Vec<usize>>>,
    /// Tasks by id or title in small letters.
    lower: HashMap<String, Vec<usize>>,
}

impl<'d> Index<'d> {
    pub(super) fn of(drafts: &'d [Draft]) -> Self {
        let mut index =
            Self { exact: HashMap::new(), counted: HashMap::new(), lower: HashMap::new() };
        for (at, draft) in drafts.iter().enumerate() {
            index.lower.entry(title::plain(&draft.head.title)).or_default().push(at);
            let Some(id) = draft.head.id.as_deref() else { continue };
            index.exact.entry(id).or_default().push(at);
            index.lower.entry(id.to_lowercase()).or_default().push(at);
            if let Some((stem, number, suffix)) = ids::parts(id) {
                let series = index.counted.entry(series(stem)).or_default();
                series.entry((number, suffix)).or_default().push(at);
            }
        }
        index
    }

    /// Tasks that a statement means, at most `left`, which each that is looked at counts against: a range may span
    /// the whole document.
    pub(super) fn find(
        &self,
        drafts: &[Draft],
        from: usize,
        need: &Need,
        left: &mut usize,
    ) -> Vec<usize> {
        match need {
            Need::Range(first, last) => self.range(drafts, from, (first, last), left),
            Need::One(id) => {
                *left = left.saturating_sub(1);
                self.one(drafts, from, id).into_iter().collect()
            }
            Need::Title(title) => {
                *left = left.saturating_sub(1);
                self.titled(drafts, from, title).into_iter().collect()
            }
        }
    }

    /// `Step 1` inside `Task 2` is `2.1`, if it is not a task outside.
    fn one(&self, drafts: &[Draft], from: usize, id: &str) -> Option<usize> {
        let found = self.outside(drafts, from, id);
        let outside = found.filter(|at| !is_nested(drafts, from, *at));
        outside.or_else(|| self.beside(drafts, from, id)).or(found)
    }

    fn beside(&self, drafts: &[Draft], from: usize, id: &str) -> Option<usize> {
        let around = std::iter::successors(drafts[from].parent, |at| drafts[*at].parent);
        // A plan that nests deeper is refused.
        let found = around.take(settings::NESTING).find_map(|at| {
            let around = drafts[at].head.id.as_deref()?;
            self.exact.get(format!("{around}.{id}").as_str())
        })?;
        nearest(drafts, from, found).filter(|at| !is_nested(drafts, from, *at))
    }

    fn outside(&self, drafts: &[Draft], from: usize, id: &str) -> Option<usize> {
        if let Some(found) = self.exact.get(id) {
            return nearest(drafts, from, found);
        }
        if let Some(found) = self.lower.get(&id.to_lowercase()) {
            return nearest(drafts, from, found);
        }
        let (stem, number, suffix) = ids::parts(id)?;
        nearest(drafts, from, self.counted.get(&series(stem))?.get(&(number, suffix))?)
    }

    fn titled(&self, drafts: &[Draft], from: usize, title: &str) -> Option<usize> {
        nearest(drafts, from, self.lower.get(&title::plain(title))?)
    }

    fn range(
        &self,
        drafts: &[Draft],
        from: usize,
        (first, last): (&str, &str),
        left: &mut usize,
    ) -> Vec<usize> {
        let (Some((stem, low, _)), Some((_, high, _))) = (ids::parts(first), ids::parts(last))
        else {
            return Vec::new();
        };
        if low > high {
            return Vec::new();
        }
        let Some(numbers) = self.counted.get(&series(stem)) else { return Vec::new() };
        let inside = numbers.range((low, "")..).take_while(|((number, _), _)| *number <= high);
        let most = *left;
        let looked_at = inside.take(most).inspect(|_| *left -= 1);
        let nearest = looked_at.filter_map(|(_, tasks)| nearest(drafts, from, tasks));
        // A task inside its own range does not need itself.
        nearest.filter(|task| !is_nested(drafts, from, *task)).collect()
    }
}

/// Of several tasks with one id, the one in the same section, else the first. They are in reading order, and so are
/// the numbers of their sections.
fn nearest(drafts: &[Draft], from: usize, found: &[usize]) -> Option<usize> {
    let run = drafts[from].run;
    let first = found.partition_point(|at| drafts[*at].run < run);
    let mut same = found[first..].iter().take_while(|at| drafts[**at].run == run);
    same.find(|at| **at != from).or(found.first()).copied()
}

fn series(stem: &str) -> String {
    match stem {
        "T" | "T-" | "TASK-" => "T".to_owned(),
        other => other.to_owned(),
    }
}
