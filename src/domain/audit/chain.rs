//! Finding what was done to a chain, and where.
//!
//! [`ChainCheck`] is given the links in their order, one at a time, and keeps the last hash, what it
//! has found, and a bounded number of links that do not fit. A link that does not fit is judged at the
//! end, together with the others: it may be sound and only stand in another's place, or follow one that
//! was put in. After a link that does not fit the check goes on from what is stored, so one damage is
//! not told as thousands.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Digest, Head, START, Seal, chained};
use crate::domain::{ids::AuditEntryId, words::words};

/// How many breaks are told one by one; all are counted.
const TOLD: usize = 100;
/// How many links that do not fit are kept to be judged together.
const SUSPECTS: usize = 500;
/// By how many places the rest of a chain may have been moved for that to be recognised.
const SHIFT: i64 = 8;

words! {
    /// What was done to a sealed audit.
    pub enum BreakKind {
        /// An entry is not what was sealed.
        Edited => "edited",
        /// An entry or its seal is not there any more.
        Missing => "missing",
        /// An entry was put in afterwards.
        Inserted => "inserted",
        /// An entry stands in another's place.
        Reordered => "reordered",
        /// A hash of the chain does not follow from what is before it.
        ChainBroken => "chain_broken",
    }
}

/// Something that was done to a sealed audit, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Break {
    /// What.
    pub kind: BreakKind,
    /// Where: the number of the entry; `null`: it has none.
    #[schema(example = 4711)]
    pub seq: Option<i64>,
    /// The entry, where it is known.
    pub entry_id: Option<AuditEntryId>,
    /// How many entries from there on, one after the other.
    #[schema(example = 1)]
    pub count: i64,
    /// What was found, for people.
    #[schema(example = "the entry is not what was sealed")]
    pub found: String,
}

/// The breaks that were found: a bounded number of them, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Breaks {
    /// The first ones by place.
    pub told: Vec<Break>,
    /// All of them.
    pub total: i64,
}

impl Breaks {
    /// Adds one.
    pub fn add(
        &mut self,
        kind: BreakKind,
        seq: Option<i64>,
        entry_id: Option<AuditEntryId>,
        found: impl Into<String>,
    ) {
        self.put(Break { kind, seq, entry_id, count: 1, found: found.into() });
    }

    fn put(&mut self, broken: Break) {
        self.total += broken.count;
        if self.told.len() < TOLD {
            self.told.push(broken);
        }
    }
}

/// A seal, and the hash of its entry as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The seal.
    pub seal: Seal,
    /// The hash of the entry; none: it is not there.
    pub found: Option<Digest>,
}

/// A link that does not follow from the one before it.
#[derive(Debug, Clone, Copy)]
struct Suspect {
    seal: Seal,
    /// The number that it is chained with, as far as is known.
    place: i64,
    before: Digest,
    /// By how much the links after it are moved, where that was found out.
    moved: i64,
}

/// A check of a chain; see the module.
#[derive(Debug, Clone)]
pub struct ChainCheck {
    at: Head,
    /// By how much the numbers in the hashes are above those of the links, after some were put in or
    /// taken out and the rest was renumbered.
    shift: i64,
    /// A head that somebody kept.
    kept: Option<Head>,
    kept_seen: bool,
    suspects: Vec<Suspect>,
    /// Entries that are not what their seal says.
    unlike: Vec<(Seal, Digest)>,
    breaks: Breaks,
}

impl ChainCheck {
    /// A check of a whole chain; against a head that was kept elsewhere, if there is one.
    #[must_use]
    pub fn new(kept: Option<Head>) -> Self {
        Self {
            at: START,
            shift: 0,
            kept,
            kept_seen: kept.is_none_or(|kept| kept == START),
            suspects: Vec::new(),
            unlike: Vec::new(),
            breaks: Breaks::default(),
        }
    }

    /// The last link that was taken.
    #[must_use]
    pub fn at(&self) -> Head {
        self.at
    }

    /// Adds what was found in another way.
    pub fn breaks(&mut self) -> &mut Breaks {
        &mut self.breaks
    }

    /// Takes the next link.
    pub fn take(&mut self, link: Link) {
        let Link { seal, found } = link;
        let Seal { seq, entry_id, entry_sha256, chain_sha256 } = seal;
        if seq <= self.at.seq {
            let text = format!("it follows number {}", self.at.seq);
            self.breaks.add(BreakKind::Reordered, Some(seq), Some(entry_id), text);
            return;
        }
        let gap = seq - self.at.seq - 1;
        if gap > 0 {
            self.missing(self.at.seq + 1, gap, "there is no seal with this number");
        }
        let fits = |entry| chained(self.at.chain_sha256, seq + self.shift, entry) == chain_sha256;
        let sealed_as_found = found.is_some_and(|found| found != entry_sha256 && fits(found));
        // After a gap there is nothing to hold the first link against.
        let fits = gap > 0 || fits(entry_sha256);
        match found {
            _ if sealed_as_found => {
                let text = "the hash of the entry in its seal was edited";
                self.breaks.add(BreakKind::ChainBroken, Some(seq), Some(entry_id), text);
            }
            None => {
                let text = "the entry is not there";
                self.breaks.add(BreakKind::Missing, Some(seq), Some(entry_id), text);
            }
            Some(found) if found != entry_sha256 => self.note_unlike(seal, found),
            Some(_) => {}
        }
        if !fits && !sealed_as_found {
            self.suspect(seal);
        }
        self.at = Head { seq, chain_sha256 };
        self.compare_with_kept();
    }

    fn missing(&mut self, seq: i64, count: i64, found: &str) {
        let (kind, found) = (BreakKind::Missing, found.to_owned());
        self.breaks.put(Break { kind, seq: Some(seq), entry_id: None, count, found });
    }

    fn note_unlike(&mut self, seal: Seal, found: Digest) {
        if self.unlike.len() < SUSPECTS {
            self.unlike.push((seal, found));
        } else {
            edited(&mut self.breaks, &seal);
        }
    }

    /// A link does not follow: unless it does by another number, because the rest was renumbered.
    fn suspect(&mut self, seal: Seal) {
        let before = self.at.chain_sha256;
        let moved = (1..=SHIFT).flat_map(|by| [by, -by]).find(|by| {
            let place = seal.seq + self.shift + by;
            chained(before, place, seal.entry_sha256) == seal.chain_sha256
        });
        if let (Some(by), Some(last)) = (moved, self.suspects.last_mut())
            && last.seal.seq == seal.seq - 1
        {
            last.moved = by;
            self.shift += by;
            return;
        }
        if self.suspects.len() < SUSPECTS {
            let place = seal.seq + self.shift;
            self.suspects.push(Suspect { seal, place, before, moved: 0 });
        } else {
            broken(&mut self.breaks, &seal);
        }
    }

    fn compare_with_kept(&mut self) {
        let Some(kept) = self.kept.filter(|kept| kept.seq == self.at.seq) else { return };
        self.kept_seen = true;
        if kept.chain_sha256 != self.at.chain_sha256 {
            let text = "the chain up to here is not the one of the head that was kept: it, or \
                        something before it, was written anew";
            self.breaks.add(BreakKind::ChainBroken, Some(kept.seq), None, text);
        }
    }

    /// Judges what did not fit. `head` is what the chain says of its own end.
    #[must_use]
    pub fn finish(mut self, head: Head) -> Breaks {
        if head.seq > self.at.seq {
            let count = head.seq - self.at.seq;
            self.missing(
                self.at.seq + 1,
                count,
                "the head of the chain goes further than its seals",
            );
        } else if head.seq != self.at.seq || (head != self.at && !self.ends_with_suspect()) {
            let text = "the head is not the last seal";
            self.breaks.add(BreakKind::ChainBroken, Some(head.seq), None, text);
        }
        if let Some(kept) = self.kept.filter(|_| !self.kept_seen) {
            let first = head.seq.max(self.at.seq) + 1;
            if kept.seq >= first {
                let text = "the end was cut off: the head that was kept goes further";
                self.missing(first, kept.seq - first + 1, text);
            } else {
                let text = "the seal of the head that was kept is not there";
                self.breaks.add(BreakKind::Missing, Some(kept.seq), None, text);
            }
        }
        judge_unlike(&self.unlike, &mut self.breaks);
        judge_suspects(&self.suspects, &mut self.breaks);
        self.breaks.told.sort_by_key(|found| found.seq.unwrap_or(i64::MAX));
        self.breaks
    }
}

impl ChainCheck {
    /// Whether the last link does not fit: then it is told, and not that the head is another.
    fn ends_with_suspect(&self) -> bool {
        self.suspects.last().is_some_and(|last| last.seal.seq == self.at.seq)
    }
}

fn edited(breaks: &mut Breaks, seal: &Seal) {
    let text = "the entry is not what was sealed";
    breaks.add(BreakKind::Edited, Some(seal.seq), Some(seal.entry_id), text);
}

fn broken(breaks: &mut Breaks, seal: &Seal) {
    let text = "its hash does not follow from the one before: it, or the one before it, was edited";
    breaks.add(BreakKind::ChainBroken, Some(seal.seq), Some(seal.entry_id), text);
}

/// Entries that are not what was sealed: of those that were exchanged each is what was sealed of the
/// other.
fn judge_unlike(unlike: &[(Seal, Digest)], breaks: &mut Breaks) {
    let sealed: HashMap<Digest, i64> =
        unlike.iter().map(|(seal, _)| (seal.entry_sha256, seal.seq)).collect();
    for (seal, found) in unlike {
        let Some(own) = sealed.get(&found.to_owned()) else {
            edited(breaks, seal);
            continue;
        };
        let text = format!("the entry is the one that was sealed as number {own}");
        breaks.add(BreakKind::Reordered, Some(seal.seq), Some(seal.entry_id), text);
    }
}

/// Links that do not follow from the one before. Each is looked for in every place where one does not
/// fit: the one that fits there is at home there.
fn judge_suspects(suspects: &[Suspect], breaks: &mut Breaks) {
    // What the chain is after a place, where it is not what is stored there.
    let mut after: HashMap<i64, Digest> = HashMap::new();
    let mut home: HashMap<i64, &Suspect> = HashMap::new();
    let mut rightful: HashMap<i64, i64> = HashMap::new();
    for (index, here) in suspects.iter().enumerate() {
        let seq = here.seal.seq;
        let before = after.get(&(seq - 1)).copied().unwrap_or(here.before);
        let by = |seal: &Seal| chained(before, here.place, seal.entry_sha256);
        let own = by(&here.seal);
        if own == here.seal.chain_sha256 {
            // It follows from what should have stood before it.
            rightful.insert(seq, seq);
            continue;
        }
        let fitting = suspects.iter().find(|other| {
            let chain = by(&other.seal);
            let stored = [other.seal.chain_sha256, here.seal.chain_sha256];
            other.seal.seq != seq && stored.contains(&chain)
        });
        if let Some(other) = fitting {
            after.insert(seq, by(&other.seal));
            home.insert(other.seal.seq, here);
            rightful.insert(seq, other.seal.seq);
            continue;
        }
        // Only its own hash may have been edited.
        let follows = suspects.get(index + 1).filter(|next| next.seal.seq == seq + 1);
        if let Some(next) = follows
            && chained(own, next.place, next.seal.entry_sha256) == next.seal.chain_sha256
        {
            after.insert(seq, own);
        }
    }
    for here in suspects {
        let Seal { seq, entry_id, .. } = here.seal;
        let (seq, entry) = (Some(seq), Some(entry_id));
        match (home.get(&here.seal.seq), rightful.get(&here.seal.seq)) {
            // It only made room for what was put in before it, as everything after it.
            (Some(home), _) if here.moved != 0 && home.seal.seq == here.seal.seq + here.moved => {}
            (Some(home), _) => {
                let text = format!("it was sealed as number {}", home.seal.seq);
                breaks.add(BreakKind::Reordered, seq, entry, text);
            }
            (None, Some(own)) if *own == here.seal.seq => {}
            (None, Some(_)) => {
                let text = "it was put in, and what follows was renumbered";
                breaks.add(BreakKind::Inserted, seq, entry, text);
            }
            (None, None) if here.moved > 0 => {
                let text = "what was before it was taken out, and what follows renumbered";
                breaks.add(BreakKind::Missing, seq, None, text);
            }
            (None, None) if here.moved < 0 => {
                let text = "what is here was put in, and what follows renumbered";
                let first = here.seal.seq + here.moved;
                breaks.add(BreakKind::Inserted, Some(first), None, text);
            }
            (None, None) => broken(breaks, &here.seal),
        }
    }
}
