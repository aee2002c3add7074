//! Detecting changes to sealed rows, each at its number.
//!
//! [`Check`] takes seals and rows in the order of their numbers and recomputes every hash. A row is
//! compared with the digest at its number; rows that differ are judged together at the end, because a
//! row may be unchanged under another number. After a broken seal the check goes on from the stored
//! chain hash, so that one change is reported once.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::{Digest, Erasure, Head, Kind, Pruning, Row, START, Seal};
use crate::domain::words::words;

/// Breaks that are listed; all are counted.
const LISTED: usize = 100;
/// Rows that differ and are judged together; further ones are judged alone.
const SUSPECTS: usize = 10_000;
/// In place of the digest of a row that was missing when its segment was sealed.
const NO_ROW: Digest = Digest([0; 32]);

words! {
    /// What was done to a sealed journal.
    pub enum BreakKind {
        /// A row is not what was sealed, or its data was erased unannounced.
        Edited => "edited",
        /// A row or a seal is missing.
        Missing => "missing",
        /// A row or a seal was added afterwards.
        Inserted => "inserted",
        /// A row has the number of another row.
        Reordered => "reordered",
        /// A chain hash does not follow from the chain before it, or rows were pruned unannounced.
        ChainBroken => "chain_broken",
    }
}

/// A change that was made to a sealed journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Break {
    /// Kind of the change: `edited`, `missing`, `inserted`, `reordered` or `chain_broken`.
    pub kind: BreakKind,
    /// The number of the row; for a seal the first of its numbers.
    #[schema(example = 4711)]
    pub number: i64,
    /// How many consecutive numbers from there on are concerned.
    #[schema(example = 1, minimum = 1)]
    pub count: i64,
    /// The finding, for people.
    #[schema(example = "the row is not what was sealed")]
    pub found: String,
}

/// The result of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The first breaks by number, at most 100.
    pub breaks: Vec<Break>,
    /// The count of all breaks.
    pub break_count: i64,
    /// The number of the last pruned row; 0: none.
    pub pruned_to: i64,
    /// The count of rows whose data was erased.
    pub erased: i64,
}

impl Verdict {
    /// Adds a break that was found otherwise.
    pub fn add(&mut self, kind: BreakKind, number: i64, count: i64, found: &str) {
        self.break_count += count;
        if let Some(last) = self.breaks.last_mut()
            && (last.kind, last.number + last.count) == (kind, number)
            && last.found == found
        {
            last.count += count;
        } else if self.breaks.len() < LISTED {
            self.breaks.push(Break { kind, number, count, found: found.to_owned() });
        }
    }
}

/// What a row says about other rows, if the row itself is as sealed.
#[derive(Debug)]
enum Announced {
    Erasure(Erasure),
    Pruning(Pruning),
}

/// The segment whose rows are being taken.
#[derive(Debug)]
struct Segment {
    seal: Seal,
    /// The sealed digests; none: pruned or unreadable.
    sealed: Option<Vec<Digest>>,
    found: Vec<Option<Digest>>,
    announced: Vec<(usize, Announced)>,
}

/// A number whose row differs from the sealed one.
#[derive(Debug)]
struct Suspect {
    number: i64,
    sealed: Digest,
    found: Option<Digest>,
}

/// A check under way; see the module.
#[derive(Debug)]
pub struct Check {
    /// A head that was kept elsewhere.
    kept: Option<Head>,
    kept_seen: bool,
    /// The last seal that was closed.
    at: Head,
    /// What the next seal may be chained to; none: anything, because the seal before is missing.
    before: Option<Vec<Digest>>,
    /// Whether the last seal is a break already.
    last_broken: bool,
    last_row: i64,
    segment: Option<Segment>,
    suspects: Vec<Suspect>,
    /// The end of the segments without digests that the journal begins with.
    pruned: Head,
    prunings: Vec<Pruning>,
    erased: BTreeSet<i64>,
    erasures: BTreeSet<i64>,
    verdict: Verdict,
}

impl Check {
    /// A check of a whole journal; also against a head that was kept elsewhere.
    #[must_use]
    pub fn new(kept: Option<Head>) -> Self {
        Self {
            kept,
            kept_seen: kept.is_none_or(|kept| kept == START),
            at: START,
            before: Some(vec![START.chain_sha256]),
            last_broken: false,
            last_row: i64::MIN,
            segment: None,
            suspects: Vec::new(),
            pruned: START,
            prunings: Vec::new(),
            erased: BTreeSet::new(),
            erasures: BTreeSet::new(),
            verdict: Verdict::default(),
        }
    }

    /// Takes the next seal. The rows of its segment follow.
    pub fn seal(&mut self, seal: Seal) {
        self.close();
        let (expected, first) = (self.at.number + 1, seal.first);
        if first < expected || seal.last < first {
            let found = format!("the seal does not begin after number {}", self.at.number);
            self.verdict.add(BreakKind::ChainBroken, first, 1, &found);
            // One that reaches further still has the digests of its rows: the seal before is too long.
            if seal.last < first.max(expected) {
                return;
            }
        }
        if first > expected {
            let found = "there is no seal for this number";
            self.verdict.add(BreakKind::Missing, expected, first - expected, found);
            self.before = None;
        }
        let sealed = seal.digests();
        let found = vec![None; sealed.as_ref().map_or(0, Vec::len)];
        self.segment = Some(Segment { seal, sealed, found, announced: Vec::new() });
    }

    /// Takes the next row.
    pub fn row(&mut self, row: &Row) {
        let number = row.number;
        if number <= self.last_row {
            let found = format!("it follows number {}", self.last_row);
            return self.verdict.add(BreakKind::Reordered, number, 1, &found);
        }
        self.last_row = number;
        let segment = self.segment.as_mut().filter(|segment| segment.covers(number));
        let Some(segment) = segment else {
            let found = "no seal has a digest for this number";
            return self.verdict.add(BreakKind::Inserted, number, 1, found);
        };
        let place = usize::try_from(number - segment.seal.first).unwrap_or(usize::MAX);
        // Where the digests of a seal are unreadable, that is the break, and not each of its rows.
        let Some(found) = segment.found.get_mut(place) else { return };
        *found = Some(row.digest());
        if row.is_erased() {
            self.erased.insert(number);
        }
        segment.announced.extend(announced(row).map(|announced| (place, announced)));
    }

    /// Ends the check. `head` and `pruned_to` are what the journal says of its own ends.
    #[must_use]
    pub fn finish(mut self, head: Head, pruned_to: i64) -> Verdict {
        self.close();
        self.check_head(head);
        self.check_pruned(pruned_to);
        self.judge();
        for number in self.erased.difference(&self.erasures) {
            let found = "its data was erased, and no row of the journal says so";
            self.verdict.add(BreakKind::Edited, *number, 1, found);
        }
        let Self { mut verdict, erased, pruned, .. } = self;
        verdict.breaks.sort_by_key(|found| (found.number, found.kind));
        verdict.erased = i64::try_from(erased.len()).unwrap_or(i64::MAX);
        verdict.pruned_to = pruned.number;
        verdict
    }

    fn close(&mut self) {
        let Some(segment) = self.segment.take() else { return };
        let seal = &segment.seal;
        let (first, stored) = (seal.first, seal.chain_sha256);
        let before = self.before.replace(vec![stored]);
        let was_pruned = seal.digests.is_none() && self.pruned == self.at;
        self.at = seal.head();
        self.last_broken = false;
        self.compare_with_kept();
        if was_pruned {
            self.pruned = self.at;
            return;
        }
        let Some(sealed) = &segment.sealed else {
            self.last_broken = true;
            let found = "the seal has not one digest for each of its numbers";
            return self.verdict.add(BreakKind::ChainBroken, first, 1, found);
        };
        let follows = |digests: &[Digest]| {
            let Some(before) = &before else { return true };
            before.iter().any(|before| seal.chained(*before, digests) == stored)
        };
        let as_found: Option<Vec<Digest>> = segment.found.iter().copied().collect();
        if as_found.is_some_and(|found| found != *sealed && before.is_some() && follows(&found)) {
            for (number, _) in segment.differing() {
                let found = "the digest of the row in its seal was edited";
                self.verdict.add(BreakKind::ChainBroken, number, 1, found);
            }
            return;
        }
        if !follows(sealed) {
            self.last_broken = true;
            let last = seal.last;
            let found =
                format!("the seal of {first} to {last} does not follow from the one before");
            self.verdict.add(BreakKind::ChainBroken, first, 1, &found);
            // Perhaps its chain hash alone was edited: then the next follows from what it was.
            let computed = before.iter().flatten().map(|before| seal.chained(*before, sealed));
            self.before.iter_mut().for_each(|next| next.extend(computed.clone()));
        }
        for (number, place) in segment.differing() {
            self.suspect(number, sealed[place], segment.found[place]);
        }
        for (place, announced) in segment.announced {
            if segment.found[place] == Some(sealed[place]) {
                match announced {
                    Announced::Erasure(erasure) => self.erasures.extend(erasure.numbers),
                    Announced::Pruning(pruning) => self.prunings.push(pruning),
                }
            }
        }
    }

    fn compare_with_kept(&mut self) {
        let Some(kept) = self.kept.filter(|kept| kept.number == self.at.number) else { return };
        self.kept_seen = true;
        if kept != self.at {
            let found = "the chain is not that of the kept head: rows up to here were rewritten";
            self.verdict.add(BreakKind::ChainBroken, kept.number, 1, found);
        }
    }

    fn suspect(&mut self, number: i64, sealed: Digest, found: Option<Digest>) {
        match found {
            Some(_) if sealed == NO_ROW => {
                let found = "there was no row with this number when it was sealed";
                self.verdict.add(BreakKind::Inserted, number, 1, found);
            }
            None if sealed == NO_ROW => {
                let found = "the row was missing already when it was sealed";
                self.verdict.add(BreakKind::Missing, number, 1, found);
            }
            Some(_) | None if self.suspects.len() < SUSPECTS => {
                self.suspects.push(Suspect { number, sealed, found });
            }
            Some(_) => self.verdict.add(BreakKind::Edited, number, 1, EDITED),
            None => self.verdict.add(BreakKind::Missing, number, 1, MISSING),
        }
    }

    fn check_head(&mut self, head: Head) {
        let last = self.at.number;
        if head.number > last {
            let found = "the head of the chain is beyond its last seal";
            self.verdict.add(BreakKind::Missing, last + 1, head.number - last, found);
        } else if head.number < last {
            let found = format!("there are seals up to number {last}, and the head is before it");
            self.verdict.add(BreakKind::Inserted, head.number + 1, 1, &found);
        } else if head != self.at && !self.last_broken {
            let found = "the head of the chain is not its last seal";
            self.verdict.add(BreakKind::ChainBroken, head.number, 1, found);
        }
        let Some(kept) = self.kept.filter(|_| !self.kept_seen) else { return };
        if kept.number > head.number.max(last) {
            let first = head.number.max(last) + 1;
            let found = "the end was cut off: the kept head is beyond it";
            self.verdict.add(BreakKind::Missing, first, kept.number - first + 1, found);
        } else {
            let found = "no seal ends at the number of the kept head";
            self.verdict.add(BreakKind::Missing, kept.number, 1, found);
        }
    }

    /// A pruned prefix counts if a sealed row announces its end and its chain hash.
    fn check_pruned(&mut self, pruned_to: i64) {
        let Head { number, chain_sha256 } = self.pruned;
        let announced = Pruning { pruned_to: number, chain_sha256 };
        if number > 0 && !self.prunings.contains(&announced) {
            let found =
                format!("rows 1 to {number} were pruned, and no row of the journal says so");
            self.verdict.add(BreakKind::ChainBroken, number, 1, &found);
        } else if number != pruned_to {
            let found = format!("the segments up to number {number} are pruned, not up to here");
            self.verdict.add(BreakKind::ChainBroken, pruned_to, 1, &found);
        }
    }

    /// Judges the rows that differ from the sealed ones. A row may be found under another number: it
    /// was exchanged, or a removed or added row has shifted it.
    fn judge(&mut self) {
        let sealed: HashMap<Digest, i64> =
            self.suspects.iter().map(|suspect| (suspect.sealed, suspect.number)).collect();
        let found: HashMap<Digest, i64> =
            self.suspects.iter().filter_map(|s| Some((s.found?, s.number))).collect();
        // By how much the sealed number of a row is above the number it is found under.
        let mut shift = 0;
        for Suspect { number, sealed: own, found: here } in &self.suspects {
            let number = *number;
            let home = here.as_ref().and_then(|digest| sealed.get(digest)).copied();
            let now = found.get(own).copied();
            let shifted =
                home == Some(number + shift) || (here.is_none() && now == Some(number - shift));
            if shift != 0 && shifted {
                continue;
            }
            let (kind, found) = match (here, home, now) {
                (None, _, None) => (BreakKind::Missing, MISSING.to_owned()),
                (None, _, Some(now)) => {
                    (BreakKind::Reordered, format!("the row has number {now} now"))
                }
                (Some(_), None, None) => (BreakKind::Edited, EDITED.to_owned()),
                (Some(_), None, Some(_)) => {
                    shift -= 1;
                    (
                        BreakKind::Inserted,
                        "a row was added, and the rows after it renumbered".to_owned(),
                    )
                }
                (Some(_), Some(_), None) => {
                    shift += 1;
                    (
                        BreakKind::Missing,
                        "the row is missing, and the rows after it are renumbered".to_owned(),
                    )
                }
                (Some(_), Some(home), Some(_)) => {
                    (BreakKind::Reordered, format!("the row was sealed as number {home}"))
                }
            };
            self.verdict.add(kind, number, 1, &found);
        }
    }
}

const EDITED: &str = "the row is not what was sealed";
const MISSING: &str = "the row is missing";

impl Segment {
    /// Whether its seal has digests and spans a number.
    fn covers(&self, number: i64) -> bool {
        self.seal.digests.is_some() && (self.seal.first..=self.seal.last).contains(&number)
    }

    /// The numbers, and their places, whose row is not the sealed one.
    fn differing(&self) -> impl Iterator<Item = (i64, usize)> {
        let pairs = self.sealed.iter().flatten().zip(&self.found).enumerate();
        let differ = pairs.filter(|(_, (sealed, found))| **found != Some(**sealed));
        differ.zip(std::iter::repeat(self.seal.first)).map(|((place, _), first)| {
            (first.saturating_add(i64::try_from(place).unwrap_or(i64::MAX)), place)
        })
    }
}

fn announced(row: &Row) -> Option<Announced> {
    let data = row.data.as_ref()?.get();
    if row.kind == Kind::JournalErased.as_str() {
        return serde_json::from_str(data).ok().map(Announced::Erasure);
    }
    let pruned = row.kind == Kind::JournalPruned.as_str();
    pruned.then(|| serde_json::from_str(data).ok().map(Announced::Pruning)).flatten()
}
