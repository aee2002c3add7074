//! Which task of a new plan is which task of the goal.
//!
//! Rules in turn, each for what the rules before left over; a task is matched once. In the order of the document:
//!
//! 1. a given ref: it is the identity;
//! 2. a written ref with the same title;
//! 3. title and titles of everything around it and section, first with the same text and the same neighbours;
//! 4. title and place with less of the place, then a title that is unique in both plans;
//! 5. a written ref whatever its title: a reworded task;
//! 6. the same place between the same neighbours, or a similar title there: a reworded task.
//!
//! Tasks of plans before the last one come after all these, by title: a line that comes back.
//!
//! A finished task takes no other work in: it needs a similar title where the place alone decides, and among
//! equal titles elsewhere one that is ticked. A container with open work does not become a task of its own.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    hash::Hash,
};

use super::{Naming, Origin, Present, Wanted};
use crate::domain::{plan::TaskSpec, settings, task::edit::Standing};

/// Pairs of old and new siblings that one gap compares at most; above it they are compared in order.
pub(super) const GAP: usize = 40_000;
/// Pairs that all gaps together compare at most.
const GAPS: usize = 1_000_000;
/// Words of a title that count.
const WORDS: usize = 64;
/// Percent of common words of similar titles.
pub(super) const SIMILAR: usize = 50;

/// For each task of the new plan the task of the goal that it is: its place in `present`.
pub(super) fn pairs(present: &[Present], wanted: &[Wanted]) -> Vec<Option<usize>> {
    let mut matching = Matching::of(present, wanted);
    matching.by_given_refs();
    matching.by_written_refs(|old, new| old.title == new.title);
    matching.by_titles();
    matching.by_written_refs(|_, _| true);
    matching.by_place();
    matching.pairs
}

/// A title without its marks, punctuation and case.
pub(super) fn plain(title: &str) -> String {
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let plain = words.map(str::to_lowercase).collect::<Vec<_>>().join(" ");
    if plain.is_empty() { title.trim().to_owned() } else { plain }
}

/// What the rules compare of a task. Equal numbers mean equal text.
#[derive(Debug, Clone, Default)]
struct Side {
    title: usize,
    /// Description and criteria.
    text: usize,
    section: usize,
    /// The titles from the outermost container to the task.
    path: Vec<usize>,
    /// The titles before and after it in the document.
    before: usize,
    after: usize,
    /// Place of its container in the same list.
    parent: Option<usize>,
    container: bool,
    done: bool,
}

#[derive(Default)]
struct Numbers(HashMap<String, usize>);

impl Numbers {
    fn of(&mut self, text: String) -> usize {
        // 0 is no text: nothing before the first task.
        let next = self.0.len() + 1;
        *self.0.entry(text).or_insert(next)
    }
}

fn sides(specs: &[&TaskSpec], numbers: &mut Numbers) -> Vec<Side> {
    let by_ref: HashMap<&str, usize> =
        specs.iter().enumerate().map(|(at, spec)| (spec.r#ref.as_str(), at)).collect();
    let parent = |at: usize| by_ref.get(specs[at].parent.as_deref()?).copied();
    let titles: Vec<usize> =
        specs.iter().map(|spec| numbers.of(format!("t{}", plain(&spec.title)))).collect();
    let parents: HashSet<usize> = (0..specs.len()).filter_map(parent).collect();
    let side = |(at, spec): (usize, &&TaskSpec)| {
        let criteria = spec.criteria.iter().map(|criterion| criterion.text.as_str());
        let text: Vec<&str> = std::iter::once(spec.description.as_str()).chain(criteria).collect();
        let around = std::iter::successors(Some(at), |at| parent(*at)).take(settings::NESTING + 2);
        let mut path: Vec<usize> = around.map(|at| titles[at]).collect();
        path.reverse();
        Side {
            title: titles[at],
            text: numbers.of(format!("x{}", text.join("\n"))),
            section: numbers.of(format!("s{}", plain(spec.section.as_deref().unwrap_or_default()))),
            path,
            before: at.checked_sub(1).map_or(0, |at| titles[at]),
            after: titles.get(at + 1).copied().unwrap_or_default(),
            parent: parent(at),
            container: parents.contains(&at),
            done: spec.done,
        }
    };
    specs.iter().enumerate().map(side).collect()
}

struct Matching<'a> {
    present: &'a [Present],
    wanted: &'a [Wanted],
    /// Places in `present` of the tasks that a title can match, in the order of the last plan.
    candidates: Vec<usize>,
    old: Vec<Side>,
    new: Vec<Side>,
    /// Of each candidate, whether it is matched.
    taken: Vec<bool>,
    pairs: Vec<Option<usize>>,
    /// Place of each matched candidate's new task.
    places: Vec<Option<usize>>,
    /// Candidates of the new tasks.
    chosen: Vec<Option<usize>>,
    left: usize,
}

impl<'a> Matching<'a> {
    fn of(present: &'a [Present], wanted: &'a [Wanted]) -> Self {
        let of_plans = |at: &usize| match present[*at].origin {
            Origin::Plan { .. } | Origin::Former => true,
            Origin::Beside | Origin::Closed => false,
        };
        let candidates: Vec<usize> = (0..present.len()).filter(of_plans).collect();
        let mut numbers = Numbers::default();
        let before: Vec<&TaskSpec> = candidates.iter().map(|at| present[*at].said()).collect();
        let after: Vec<&TaskSpec> = wanted.iter().map(|wanted| &wanted.spec).collect();
        let mut old = sides(&before, &mut numbers);
        for (side, at) in old.iter_mut().zip(&candidates) {
            side.container = present[*at].container;
        }
        let new = sides(&after, &mut numbers);
        Self {
            taken: vec![false; old.len()],
            places: vec![None; old.len()],
            pairs: vec![None; new.len()],
            chosen: vec![None; new.len()],
            left: GAPS,
            present,
            wanted,
            candidates,
            old,
            new,
        }
    }

    fn task(&self, old: usize) -> &'a Present {
        &self.present[self.candidates[old]]
    }

    /// A container with open work stays one.
    fn fits(&self, old: usize, new: usize) -> bool {
        let task = self.task(old);
        !self.taken[old]
            && self.chosen[new].is_none()
            && self.pairs[new].is_none()
            && (!task.container || task.finished() || self.new[new].container)
    }

    fn pair(&mut self, old: usize, new: usize) {
        self.taken[old] = true;
        self.places[old] = Some(new);
        self.chosen[new] = Some(old);
        self.pairs[new] = Some(self.candidates[old]);
    }

    fn by_given_refs(&mut self) {
        let sources: HashMap<&str, usize> = (0..self.old.len())
            .filter_map(|old| match &self.task(old).origin {
                Origin::Plan { source, .. } => Some((source.as_str(), old)),
                Origin::Former => Some((self.task(old).spec.r#ref.as_str(), old)),
                Origin::Beside | Origin::Closed => None,
            })
            .collect();
        let names: HashMap<&str, usize> =
            (0..self.old.len()).map(|old| (self.task(old).spec.r#ref.as_str(), old)).collect();
        let beside: HashMap<&str, usize> = self
            .present
            .iter()
            .enumerate()
            .filter(|(_, task)| task.origin == Origin::Beside)
            .map(|(at, task)| (task.spec.r#ref.as_str(), at))
            .collect();
        for new in 0..self.new.len() {
            let name = self.wanted[new].spec.r#ref.as_str();
            if self.wanted[new].naming == Naming::Derived {
                continue;
            }
            let found = match self.wanted[new].naming {
                Naming::Goal => names.get(name),
                Naming::Given => sources.get(name).or_else(|| names.get(name)),
                Naming::Written | Naming::Derived => None,
            };
            if let Some(old) = found.copied() {
                if self.fits(old, new) {
                    self.pair(old, new);
                }
                continue;
            }
            // What is beside the plan is taken into it by its ref alone.
            if sources.contains_key(name) || names.contains_key(name) {
                continue;
            }
            if let Some(at) = beside.get(name) {
                let task = &self.present[*at];
                if !task.container || task.finished() || self.new[new].container {
                    self.pairs[new] = Some(*at);
                }
            }
        }
    }

    fn by_written_refs(&mut self, same: impl Fn(&Side, &Side) -> bool) {
        let mut sources: HashMap<&'a str, usize> = HashMap::new();
        for old in 0..self.old.len() {
            if let Origin::Plan { source, .. } = &self.task(old).origin {
                sources.insert(source, old);
            }
        }
        for new in 0..self.new.len() {
            if self.wanted[new].naming != Naming::Written {
                continue;
            }
            let found = sources.get(self.wanted[new].spec.r#ref.as_str()).copied();
            let fits = |old: &usize| self.fits(*old, new) && same(&self.old[*old], &self.new[new]);
            if let Some(old) = found.filter(fits) {
                self.pair(old, new);
            }
        }
    }

    fn by_titles(&mut self) {
        self.by_key(|s| (s.path.clone(), s.section, s.text, s.done, s.before, s.after));
        self.by_key(|s| (s.path.clone(), s.section, s.text, s.done, s.before));
        self.by_key(|s| (s.path.clone(), s.section, s.text, s.done, s.after));
        self.by_key(|s| (s.path.clone(), s.section, s.text, s.done));
        self.by_key(|s| (s.path.clone(), s.section, s.text));
        self.by_key(|s| (s.path.clone(), s.section));
        self.by_key(|s| (s.path.clone(), s.done));
        self.by_key(|s| (s.title, s.section, s.done));
        self.by_unique_titles(Present::planned);
        // Equal titles elsewhere: a finished one is taken by a ticked one only.
        let open = |task: &Present, side: &Side| task.planned() && (!task.finished() || side.done);
        self.by_key_if(|s| (s.title, s.text), open);
        self.by_key_if(|s| s.title, open);
        self.by_key_if(|s| (s.title, s.section), |task, _| !task.planned());
        self.by_unique_titles(|task| !task.planned());
    }

    fn by_key<K: Hash + Eq>(&mut self, key: impl Fn(&Side) -> K) {
        self.by_key_if(key, |task, _| task.planned());
    }

    /// Pairs what has the same key, in the order of both plans.
    fn by_key_if<K: Hash + Eq>(
        &mut self,
        key: impl Fn(&Side) -> K,
        may: impl Fn(&Present, &Side) -> bool,
    ) {
        let mut waiting: HashMap<(K, bool), VecDeque<usize>> = HashMap::new();
        for old in (0..self.old.len()).filter(|old| !self.taken[*old]) {
            // Both kinds of candidates are never asked for at once, so the first of each is looked at.
            let key = (key(&self.old[old]), self.task(old).planned());
            waiting.entry(key).or_default().push_back(old);
        }
        for new in 0..self.new.len() {
            if self.pairs[new].is_some() {
                continue;
            }
            let mut key = (key(&self.new[new]), true);
            for planned in [true, false] {
                key.1 = planned;
                let Some(queue) = waiting.get_mut(&key) else { continue };
                let Some(&old) = queue.front() else { continue };
                if self.fits(old, new) && may(self.task(old), &self.new[new]) {
                    queue.pop_front();
                    self.pair(old, new);
                    break;
                }
            }
        }
    }

    /// Pairs titles that are left once in both plans, wherever they are.
    fn by_unique_titles(&mut self, of: impl Fn(&Present) -> bool) {
        let mut counts: HashMap<usize, (Vec<usize>, Vec<usize>)> = HashMap::new();
        for old in (0..self.old.len()).filter(|old| !self.taken[*old] && of(self.task(*old))) {
            counts.entry(self.old[old].title).or_default().0.push(old);
        }
        for new in (0..self.new.len()).filter(|new| self.pairs[*new].is_none()) {
            counts.entry(self.new[new].title).or_default().1.push(new);
        }
        let once = counts.into_values().filter_map(|found| match (&found.0[..], &found.1[..]) {
            ([old], [new]) => Some((*new, *old)),
            _ => None,
        });
        for (new, old) in BTreeMap::from_iter(once) {
            if self.fits(old, new) {
                self.pair(old, new);
            }
        }
    }

    /// Pairs what is left between the same neighbours, the outermost first.
    fn by_place(&mut self) {
        let siblings = |sides: &[Side]| {
            let mut lists: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
            for (at, side) in sides.iter().enumerate() {
                lists.entry(side.parent).or_default().push(at);
            }
            lists
        };
        let (mut old, new) = (siblings(&self.old), siblings(&self.new));
        for list in old.values_mut() {
            list.retain(|old| self.task(*old).planned());
        }
        let mut words = Words::default();
        let mut next = VecDeque::from([(None, None)]);
        while let Some((above, around)) = next.pop_front() {
            let empty = Vec::new();
            let before = old.get(&above).unwrap_or(&empty);
            let after = new.get(&around).unwrap_or(&empty);
            self.same_titles(before, after);
            for (left, right, closed) in self.gaps(before, after) {
                self.align(left, right, closed, &mut words);
            }
            for at in after {
                if let Some(of) = self.chosen[*at].filter(|_| new.contains_key(&Some(*at))) {
                    next.push_back((Some(of), Some(*at)));
                }
            }
        }
    }

    /// Equal titles in a container that was reworded.
    fn same_titles(&mut self, before: &[usize], after: &[usize]) {
        let mut waiting: HashMap<usize, VecDeque<usize>> = HashMap::new();
        for old in before.iter().filter(|old| !self.taken[**old]) {
            waiting.entry(self.old[*old].title).or_default().push_back(*old);
        }
        for new in after {
            let Some(queue) = waiting.get_mut(&self.new[*new].title) else { continue };
            if let Some(&old) = queue.front()
                && self.fits(old, *new)
            {
                queue.pop_front();
                self.pair(old, *new);
            }
        }
    }

    /// The runs of unmatched siblings that face each other, and whether both their neighbours are the same.
    fn gaps<'s>(
        &self,
        before: &'s [usize],
        after: &'s [usize],
    ) -> Vec<(&'s [usize], &'s [usize], bool)> {
        let place: HashMap<usize, usize> =
            before.iter().enumerate().map(|(place, old)| (*old, place)).collect();
        let open = |place: usize| before.get(place).is_some_and(|old| !self.taken[*old]);
        // The old place of the new sibling at a place; beyond the ends the old ends.
        let anchor = |at: usize| self.chosen[after[at]].and_then(|old| place.get(&old)).copied();
        let mut gaps = Vec::new();
        let mut start = 0;
        while start < after.len() {
            if self.pairs[after[start]].is_some() {
                start += 1;
                continue;
            }
            let run = after[start..].iter().take_while(|new| self.pairs[**new].is_none()).count();
            let end = start + run;
            let left = if start == 0 { Some(0) } else { anchor(start - 1).map(|place| place + 1) };
            let right = if end == after.len() { Some(before.len()) } else { anchor(end) };
            let (from, to) = match (left, right) {
                (Some(from), right) => {
                    let to = (from..before.len()).take_while(|place| open(*place)).count() + from;
                    (from, right.map_or(to, |right| to.min(right.max(from))))
                }
                (None, Some(to)) => {
                    let run = (0..to).rev().take_while(|place| open(*place)).count();
                    (to - run, to)
                }
                (None, None) => (0, 0),
            };
            if from < to {
                let closed = left == Some(from) && right == Some(to);
                gaps.push((&before[from..to], &after[start..end], closed));
            }
            start = end;
        }
        gaps
    }

    fn align(&mut self, left: &[usize], right: &[usize], closed: bool, words: &mut Words) {
        if let ([old], [new]) = (left, right)
            && closed
            && self.fits(*old, *new)
            && !self.begun(*old)
            && self.may_reword(*new)
        {
            return self.pair(*old, *new);
        }
        let cells = left.len() * right.len();
        if cells > GAP || cells > self.left {
            for (old, new) in left.iter().zip(right) {
                words.compare_with(self.old[*old].title, &self.task(*old).said().title);
                if self.alike(*old, *new, words) >= SIMILAR {
                    self.pair(*old, *new);
                }
            }
            return;
        }
        self.left -= cells;
        for (old, new) in self.best(left, right, words) {
            self.pair(old, new);
        }
    }

    /// The alignment with the most similarity.
    fn best(&self, left: &[usize], right: &[usize], words: &mut Words) -> Vec<(usize, usize)> {
        let width = right.len() + 1;
        let mut alike = vec![0; left.len() * right.len()];
        let mut best = vec![0usize; (left.len() + 1) * width];
        for (row, old) in left.iter().enumerate().rev() {
            words.compare_with(self.old[*old].title, &self.task(*old).said().title);
            for (column, new) in right.iter().enumerate().rev() {
                let found = self.alike(*old, *new, words);
                let found = if found < SIMILAR { 0 } else { found };
                alike[row * right.len() + column] = found;
                let both =
                    if found == 0 { 0 } else { found + best[(row + 1) * width + column + 1] };
                let skip = best[(row + 1) * width + column].max(best[row * width + column + 1]);
                best[row * width + column] = both.max(skip);
            }
        }
        let (mut row, mut column) = (0, 0);
        let mut pairs = Vec::new();
        while row < left.len() && column < right.len() {
            let found = alike[row * right.len() + column];
            let here = best[row * width + column];
            if found > 0 && here == found + best[(row + 1) * width + column + 1] {
                pairs.push((left[row], right[column]));
                (row, column) = (row + 1, column + 1);
                continue;
            }
            let (down, across) = (best[(row + 1) * width + column], best[row * width + column + 1]);
            match down.cmp(&across) {
                Ordering::Less => column += 1,
                Ordering::Equal | Ordering::Greater => row += 1,
            }
        }
        pairs
    }

    /// Percent of words that the task of the plan has in common with the title compared with; 0 if the two cannot be
    /// one task.
    fn alike(&self, old: usize, new: usize, words: &mut Words) -> usize {
        if !self.fits(old, new) || !self.may_reword(new) {
            return 0;
        }
        let found = words.alike(self.new[new].title, &self.wanted[new].spec.title);
        let least = if self.task(old).finished() { SIMILAR + 10 } else { SIMILAR };
        if found < least { 0 } else { found }
    }

    /// A given ref is the identity: another one is another task.
    fn may_reword(&self, new: usize) -> bool {
        match self.wanted[new].naming {
            Naming::Goal | Naming::Given => false,
            Naming::Written | Naming::Derived => true,
        }
    }

    fn begun(&self, old: usize) -> bool {
        match self.task(old).standing {
            Standing::Waits
            | Standing::Offered
            | Standing::AsksToStart
            | Standing::Short
            | Standing::Closed
            | Standing::Open => false,
            Standing::Rests
            | Standing::Held
            | Standing::Reviewed
            | Standing::Failed
            | Standing::Ended(_) => true,
        }
    }
}

/// The words of titles, read once per title. One title at a time is compared with others: its words are marked, so
/// that each comparison looks once at each word of the other.
#[derive(Default)]
pub(super) struct Words {
    /// The words of a title as numbers.
    known: HashMap<usize, Vec<usize>>,
    numbers: Numbers,
    /// Of each word, the last comparison that had it.
    marked: Vec<usize>,
    comparison: usize,
    /// The number of words of the title compared with.
    count: usize,
}

impl Words {
    fn read(&mut self, title: usize, text: &str) -> &[usize] {
        let numbers = &mut self.numbers;
        self.known.entry(title).or_insert_with(|| {
            let plain = plain(text);
            let words: HashSet<usize> =
                plain.split(' ').take(WORDS).map(|word| numbers.of(word.to_owned())).collect();
            words.into_iter().collect()
        })
    }

    /// Marks the words of the title that the next ones are compared with.
    pub(super) fn compare_with(&mut self, title: usize, text: &str) {
        self.read(title, text);
        self.comparison += 1;
        let words = &self.known[&title];
        self.count = words.len();
        self.marked.resize(self.numbers.0.len() + 1, 0);
        for word in words {
            self.marked[*word] = self.comparison;
        }
    }

    /// Percent of common words.
    pub(super) fn alike(&mut self, title: usize, text: &str) -> usize {
        let (comparison, count) = (self.comparison, self.count);
        self.read(title, text);
        let words = &self.known[&title];
        let marked = |word: &&usize| self.marked.get(**word) == Some(&comparison);
        let common = words.iter().filter(marked).count();
        (200 * common).checked_div(count + words.len()).unwrap_or_default()
    }
}
