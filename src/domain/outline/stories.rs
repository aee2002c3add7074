//! The order of sections: one after another, unless the document says that they are independent.
//!
//! Documents that group tasks by user story often say that the stories "can proceed in parallel" or
//! are "independently testable". Such stories wait for the phase that they name, not for each other;
//! what follows them waits for all. A stated dependency between stories ("US2 depends on US1") stays.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::{
    document::{Document, SectionId, What},
    draft::Draft,
    notes::{NoteCode, Notes},
    pick::Picks,
    sayings::{self, Said, Unit},
};

/// Most stories and phases, and most remarks about them, that are compared with each other.
const MOST_GROUPS: usize = 150;
const MOST_SAYINGS: usize = 150;

/// Per section with tasks, the ones that it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sequence {
    before: Vec<Vec<usize>>,
}

impl Sequence {
    pub(super) fn one_after_another(runs: usize) -> Self {
        let before = |run: usize| run.checked_sub(1).into_iter().collect();
        Self { before: (0..runs).map(before).collect() }
    }

    /// Pairs of sections, the earlier one first.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let each = self.before.iter().enumerate();
        each.flat_map(|(run, before)| before.iter().map(move |earlier| (*earlier, run)))
    }
}

/// The sequence of the document's sections; a note says which run in parallel.
pub(super) fn sequence(
    document: &Document<'_>,
    picks: &Picks,
    drafts: &[Draft],
    notes: &mut Notes,
) -> Sequence {
    let runs = Runs::read(document, picks, drafts);
    let linear = Sequence::one_after_another(runs.sections.len());
    if !(2..=MOST_GROUPS).contains(&runs.groups.len()) {
        return linear;
    }
    let said: Vec<(u32, Said)> = document
        .lines
        .iter()
        .filter(|line| is_remark(document, line.what))
        .filter_map(|line| Some((line.raw.number, sayings::read(&line.raw.text)?)))
        .take(MOST_SAYINGS)
        .collect();
    let named = said.iter().map(|_| OnceCell::new()).collect();
    let about = runs.about(&said);
    let plan = Plan { document, runs: &runs, said: &said, about, named };
    let (sequence, free) = plan.sequence();
    if free.is_empty() {
        return linear;
    }
    plan.note(&free, notes);
    sequence
}

/// Boxes are tasks, no remarks about stories.
fn is_remark(document: &Document<'_>, what: What) -> bool {
    match what {
        What::Text { .. } | What::Heading => true,
        What::Item(id) => document.items[id].mark.is_none(),
        What::Blank | What::Hidden | What::Code | What::Rule | What::Tag => false,
    }
}

/// The sections with tasks, in reading order.
struct Runs {
    sections: Vec<SectionId>,
    /// Per run, the story or phase that it is a part of, as an index of `groups`.
    group: Vec<Option<usize>>,
    groups: Vec<Group>,
}

/// A story or phase: its names, its runs.
struct Group {
    section: SectionId,
    units: Vec<Unit>,
    runs: Vec<usize>,
}

impl Group {
    fn is_story(&self) -> bool {
        self.units.iter().any(|unit| matches!(unit, Unit::Story(_)))
    }

    fn first(&self) -> usize {
        self.runs.first().copied().unwrap_or_default()
    }

    fn last(&self) -> usize {
        self.runs.last().copied().unwrap_or_default()
    }
}

impl Runs {
    /// Which groups each remark names.
    fn about(&self, said: &[(u32, Said)]) -> Vec<About> {
        let mut by_unit: BTreeMap<Unit, Vec<usize>> = BTreeMap::new();
        for (group, Group { units, .. }) in self.groups.iter().enumerate() {
            for unit in units.iter().collect::<BTreeSet<_>>() {
                by_unit.entry(*unit).or_default().push(group);
            }
        }
        let groups = |units: &[Unit]| {
            let mut named = vec![false; self.groups.len()];
            for group in units.iter().filter_map(|unit| by_unit.get(unit)).flatten() {
                named[*group] = true;
            }
            named
        };
        let about = |(_, said): &(u32, Said)| About {
            subjects: groups(&said.subjects),
            needs: groups(&said.needs),
        };
        said.iter().map(about).collect()
    }

    fn read(document: &Document<'_>, picks: &Picks, drafts: &[Draft]) -> Self {
        let mut runs = Self { sections: Vec::new(), group: Vec::new(), groups: Vec::new() };
        let mut by_section: BTreeMap<SectionId, usize> = BTreeMap::new();
        for (draft, pick) in drafts.iter().zip(&picks.tasks) {
            if pick.parent.is_some() || draft.run < runs.sections.len() {
                continue;
            }
            let named = named_section(document, pick.section);
            let group = named.map(|section| {
                *by_section.entry(section).or_insert_with(|| {
                    let units = document.sections[section].announced().units.clone();
                    runs.groups.push(Group { section, units, runs: Vec::new() });
                    runs.groups.len() - 1
                })
            });
            if let Some(group) = group {
                runs.groups[group].runs.push(runs.sections.len());
            }
            runs.sections.push(pick.section);
            runs.group.push(group);
        }
        runs
    }
}

/// The outermost section above that is named as a story, else as a phase.
fn named_section(document: &Document<'_>, from: SectionId) -> Option<SectionId> {
    let announced = |section: &SectionId| document.sections[*section].announced();
    let above = std::iter::successors(Some(from), |at| document.sections[*at].parent);
    let named: Vec<SectionId> =
        above.filter(|section| !announced(section).units.is_empty()).collect();
    named.iter().rev().find(|section| announced(section).story).or(named.last()).copied()
}

/// Which groups a remark names. Every pair of groups asks about every remark.
struct About {
    subjects: Vec<bool>,
    needs: Vec<bool>,
}

struct Plan<'d, 'a> {
    document: &'d Document<'a>,
    runs: &'d Runs,
    said: &'d [(u32, Said)],
    about: Vec<About>,
    /// Per remark, the runs below the section after which its stories start: read once.
    named: Vec<OnceCell<Vec<usize>>>,
}

impl Plan<'_, '_> {
    /// The sequence, and the groups that wait for less than what stands before them.
    fn sequence(&self) -> (Sequence, BTreeSet<usize>) {
        let mut before: Vec<Vec<usize>> = Vec::with_capacity(self.runs.sections.len());
        let mut free = BTreeSet::new();
        // The runs that no run waits for yet.
        let mut open: BTreeSet<usize> = BTreeSet::new();
        for run in 0..self.runs.sections.len() {
            let waits = match self.runs.group[run] {
                Some(group) if self.runs.groups[group].first() == run => {
                    let waits = self.waits(group, run, &before, &open);
                    if !waits.contains(&run.wrapping_sub(1)) && run > 0 {
                        free.insert(group);
                    }
                    waits
                }
                Some(group) => {
                    let own = self.runs.groups[group].runs.iter().copied();
                    own.filter(|own| *own < run).max().into_iter().collect()
                }
                None => open.iter().copied().collect(),
            };
            for waited in &waits {
                open.remove(waited);
            }
            open.insert(run);
            before.push(waits);
        }
        (Sequence { before }, free)
    }

    /// The runs that the first run of a group waits for. A story waits for other stories only if the
    /// document does not free it, and for the phase that it follows.
    fn waits(
        &self,
        group: usize,
        run: usize,
        before: &[Vec<usize>],
        open: &BTreeSet<usize>,
    ) -> Vec<usize> {
        let story = self.runs.groups[group].is_story();
        let earlier = || (0..group).filter(|other| self.runs.groups[*other].last() < run);
        let bound = |other: &usize| self.needs(group, *other) || !self.is_free(group, *other);
        if earlier().all(|other| bound(&other)) {
            return open.iter().copied().collect();
        }
        let mut waits: Vec<usize> = earlier()
            .filter(|other| bound(other) && (!story || self.runs.groups[*other].is_story()))
            .map(|other| self.runs.groups[other].last())
            .collect();
        if story || waits.is_empty() {
            waits.extend(self.base(group));
        }
        without_indirect(&waits, before)
    }

    /// The last run of the phase that the group is said to follow, else of what stands before the
    /// first independent group.
    fn base(&self, group: usize) -> Option<usize> {
        let all = || self.remarks().zip(&self.named);
        let own = all().filter(|((said, about), _)| said.parallel && about.subjects[group]);
        let general = all().filter(|((said, _), _)| said.stories && said.parallel);
        let until = self.runs.groups[group].first();
        let named = own.chain(general).find_map(|((said, _), named)| {
            let name = said.after.as_deref()?;
            let named = named.get_or_init(|| self.runs_named(name));
            let before = named.partition_point(|run| *run < until);
            before.checked_sub(1).map(|last| named[last])
        });
        let first = (0..=group).find(|other| *other == group || self.is_free(group, *other));
        let first = self.runs.groups[first.unwrap_or(group)].first();
        named.or(first.checked_sub(1))
    }

    /// The runs below a section of this name, in their order.
    fn runs_named(&self, name: &str) -> Vec<usize> {
        let units = sayings::units_of_title(name);
        let plain = sayings::phase_words(name);
        let mut named: Vec<bool> = Vec::with_capacity(self.document.sections.len());
        for section in &self.document.sections {
            let own = section.announced();
            let inherited = section.parent.is_some_and(|parent| named[parent]);
            let matches = inherited
                || units.iter().any(|unit| own.units.contains(unit))
                || (plain.len() >= 4 && own.lower.contains(&plain));
            named.push(matches);
        }
        let runs = self.runs.sections.iter().enumerate();
        runs.filter(|(_, section)| named[**section]).map(|(run, _)| run).collect()
    }

    fn remarks(&self) -> impl Iterator<Item = (&Said, &About)> {
        self.said.iter().map(|(_, said)| said).zip(&self.about)
    }

    /// Whether the document says that a group does not wait for another one.
    fn is_free(&self, group: usize, other: usize) -> bool {
        let story = self.runs.groups[group].is_story() && self.runs.groups[other].is_story();
        self.remarks().filter(|(said, _)| said.parallel).any(|(said, About { subjects, .. })| {
            let both = subjects[group] && subjects[other];
            let alone = story && said.alone && subjects[group];
            both || alone || (said.stories && story)
        })
    }

    /// Whether the document says that a group needs another one.
    fn needs(&self, group: usize, other: usize) -> bool {
        self.about.iter().any(|about| about.subjects[group] && about.needs[other])
    }

    fn note(&self, free: &BTreeSet<usize>, notes: &mut Notes) {
        let line = self.said.iter().zip(&self.about).find(|((_, said), about)| {
            said.parallel && (said.stories || free.iter().any(|group| about.subjects[*group]))
        });
        let titles: Vec<&str> = free
            .iter()
            .take(20)
            .map(|group| self.document.sections[self.runs.groups[*group].section].title.as_str())
            .collect();
        let message = format!(
            "these do not wait for what stands before them, as the document says that they are \
             independent: {}",
            titles.join("; ")
        );
        notes.add(NoteCode::StoriesInParallel, line.map_or(0, |((line, _), _)| *line), message);
    }
}

/// Runs without those that another one of them waits for.
fn without_indirect(runs: &[usize], before: &[Vec<usize>]) -> Vec<usize> {
    let mut reached: BTreeSet<usize> = BTreeSet::new();
    let mut open: Vec<usize> = runs.iter().flat_map(|run| before[*run].iter().copied()).collect();
    while let Some(run) = open.pop() {
        if reached.insert(run) {
            open.extend(&before[run]);
        }
    }
    let direct: BTreeSet<usize> =
        runs.iter().copied().filter(|run| !reached.contains(run)).collect();
    direct.into_iter().collect()
}
