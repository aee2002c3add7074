//! BM25 over packed postings, exactly.
//!
//! The database finds the postings of the terms of a query on the shelves that the caller may see; here they are added
//! up. Nothing is estimated and nothing left out: every document with at least one of the terms is scored, and its
//! score is
//!
//! ```text
//! sum over the terms of  idf * f * (k1 + 1) / (f + k1 * (1 - b + b * length / mean length))
//! idf = ln(1 + (N - n + 0.5) / (n + 0.5))
//! ```
//!
//! with k1 = 1.2 and b = 0.75, `f` occurrences of the term in the document, `n` documents with the term, and N documents
//! in all (Robertson and Zaragoza 2009; the 1 within the logarithm keeps every weight positive). N, `n` and the mean
//! length are counted in the rows that are ranked, after the filters.
//!
//! Half a million entries take a few milliseconds: they are read in the order of memory, and the scores of 1,024
//! neighbours by number are one array.

use std::collections::{BTreeMap, HashMap};

/// Documents whose entries for a term are in one row.
pub const BLOCK: i64 = 1 << BLOCK_BITS;
const BLOCK_BITS: u32 = 10;
/// Documents of one block.
const SLOTS: usize = 1 << BLOCK_BITS;
/// Bytes of one entry.
pub const ENTRY_BYTES: usize = 8;
/// Greatest frequency and length that an entry holds.
pub const MOST: u32 = (1 << 24) - 1;
/// The term of the roster, which has an entry of every document.
pub const ROSTER: &str = "";

/// How fast more occurrences of a term stop to count.
const K1: f64 = 1.2;
/// How much long documents are held back.
const B: f64 = 0.75;

/// The entry of one term in one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Number of the document.
    pub doc: i64,
    /// Occurrences of the term in it; 0 in the roster.
    pub frequency: u32,
    /// Its length: all occurrences of all its terms.
    pub length: u32,
}

impl Entry {
    /// The block of the document.
    #[must_use]
    pub fn block(&self) -> i32 {
        block_of(self.doc)
    }

    /// The entry in its row. Frequency and length are at most [`MOST`].
    #[must_use]
    pub fn pack(&self) -> [u8; ENTRY_BYTES] {
        let slot = u64::from(slot_of(self.doc));
        let frequency = u64::from(self.frequency.min(MOST));
        let length = u64::from(self.length.min(MOST));
        (slot << 48 | frequency << 24 | length).to_be_bytes()
    }

    fn unpack(block: i32, packed: [u8; ENTRY_BYTES]) -> Self {
        let packed = u64::from_be_bytes(packed);
        let [frequency, length] =
            [packed >> 24, packed].map(|part| (part & u64::from(MOST)) as u32);
        let slot = (packed >> 48).cast_signed() & (BLOCK - 1);
        Self { doc: i64::from(block) << BLOCK_BITS | slot, frequency, length }
    }
}

/// The block of a document.
#[must_use]
pub fn block_of(doc: i64) -> i32 {
    i32::try_from(doc >> BLOCK_BITS).unwrap_or(i32::MAX)
}

fn slot_of(doc: i64) -> u16 {
    (doc & (BLOCK - 1)) as u16
}

/// The entries of a row.
pub fn unpack(block: i32, entries: &[u8]) -> impl Iterator<Item = Entry> {
    let (whole, _) = entries.as_chunks::<ENTRY_BYTES>();
    whole.iter().map(move |packed| Entry::unpack(block, *packed))
}

/// One row of postings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The term; [`ROSTER`]: all documents.
    pub term: String,
    /// The block.
    pub block: i32,
    /// Packed entries.
    pub entries: Vec<u8>,
}

/// Some documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Marked(HashMap<i32, Box<[bool; SLOTS]>>);

impl Marked {
    fn of(docs: &[i64]) -> Self {
        let mut marked = Self::default();
        for doc in docs {
            let slots = marked.0.entry(block_of(*doc)).or_insert_with(|| Box::new([false; SLOTS]));
            slots[usize::from(slot_of(*doc))] = true;
        }
        marked
    }

    fn has(&self, entry: &Entry) -> bool {
        self.0.get(&entry.block()).is_some_and(|slots| slots[usize::from(slot_of(entry.doc))])
    }
}

/// Documents that pass the filters of a search; by default all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passing {
    only: Option<Marked>,
    but: Marked,
}

impl Passing {
    /// The documents `only`, or all of them, without `but`.
    #[must_use]
    pub fn new(only: Option<&[i64]>, but: &[i64]) -> Self {
        Self { only: only.map(Marked::of), but: Marked::of(but) }
    }

    fn is_open(&self) -> bool {
        self.only.is_none() && self.but.0.is_empty()
    }

    fn has(&self, entry: &Entry) -> bool {
        self.only.as_ref().is_none_or(|only| only.has(entry)) && !self.but.has(entry)
    }
}

/// A ranked collection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ranking {
    /// Documents of the collection: those on the shelves that pass the filters.
    pub documents: u64,
    /// Documents with at least one of the terms.
    pub matches: u64,
    /// The first documents with their scores, best first. Of equal ones the newest is first.
    pub first: Vec<(i64, f64)>,
    /// How many documents of the collection have each term that one of the shelves has.
    pub frequencies: BTreeMap<String, u64>,
}

/// Ranks the documents of some rows of postings, and keeps the first `most`. The rows of the roster are among them.
/// `factors`: by what the weight of a term is multiplied; 1 for others. `passing`: the
/// documents of the collection.
#[must_use]
pub fn rank(
    mut rows: Vec<Row>,
    factors: &BTreeMap<String, f64>,
    passing: &Passing,
    most: usize,
) -> Ranking {
    // Sums of floats depend on their order: it is that of the terms, whatever the database gave first.
    rows.sort_unstable_by(|one, two| one.term.cmp(&two.term).then(one.block.cmp(&two.block)));
    let mut ranking = Ranking::default();
    let mut words = 0_u64;
    for row in rows.iter().filter(|row| row.term == ROSTER) {
        for entry in in_collection(row, passing) {
            ranking.documents += 1;
            words += u64::from(entry.length);
        }
    }
    let mut scores: BTreeMap<i32, Box<[f64; SLOTS]>> = BTreeMap::new();
    // A collection without words has no entries either.
    let mean = words as f64 / ranking.documents.max(1) as f64;
    for rows in rows.chunk_by(|one, two| one.term == two.term) {
        let Some(Row { term, .. }) = rows.first().filter(|row| row.term != ROSTER) else {
            continue;
        };
        let found: u64 = match passing.is_open() {
            true => rows.iter().map(|row| (row.entries.len() / ENTRY_BYTES) as u64).sum(),
            false => rows.iter().map(|row| in_collection(row, passing).count() as u64).sum(),
        };
        ranking.frequencies.insert(term.clone(), found);
        if found == 0 {
            continue;
        }
        let factor = factors.get(term).copied().unwrap_or(1.0);
        let weight = factor * (K1 + 1.0) * idf(ranking.documents, found);
        for row in rows {
            let scores = scores.entry(row.block).or_insert_with(|| Box::new([0.0; SLOTS]));
            for entry in in_collection(row, passing) {
                let frequency = f64::from(entry.frequency);
                let held_back = K1 * (1.0 - B + B * f64::from(entry.length) / mean);
                scores[usize::from(slot_of(entry.doc))] +=
                    weight * frequency / (frequency + held_back);
            }
        }
    }
    let mut all: Vec<(i64, f64)> = scores
        .iter()
        .flat_map(|(block, scores)| {
            let start = i64::from(*block) << BLOCK_BITS;
            (start..).zip(scores.iter().copied()).filter(|(_, score)| *score > 0.0)
        })
        .collect();
    ranking.matches = all.len() as u64;
    let better =
        |one: &(i64, f64), two: &(i64, f64)| two.1.total_cmp(&one.1).then(two.0.cmp(&one.0));
    if all.len() > most {
        all.select_nth_unstable_by(most, better);
        all.truncate(most);
    }
    all.sort_unstable_by(better);
    ranking.first = all;
    ranking
}

fn in_collection<'a>(row: &'a Row, passing: &'a Passing) -> impl Iterator<Item = Entry> {
    let open = passing.is_open();
    unpack(row.block, &row.entries).filter(move |entry| open || passing.has(entry))
}

/// Weight of a term that `with` of `documents` documents have. Always positive.
#[must_use]
pub fn idf(documents: u64, with: u64) -> f64 {
    let (documents, with) = (documents as f64, with as f64);
    (1.0 + (documents - with + 0.5) / (with + 0.5)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(term: &str, entries: &[(i64, u32, u32)]) -> Row {
        let packed = entries.iter().flat_map(|(doc, frequency, length)| {
            Entry { doc: *doc, frequency: *frequency, length: *length }.pack()
        });
        Row { term: term.to_owned(), block: block_of(entries[0].0), entries: packed.collect() }
    }

    #[test]
    fn an_entry_survives_its_packing() {
        for entry in [
            Entry { doc: 1, frequency: 1, length: 1 },
            Entry { doc: 1023, frequency: MOST, length: MOST },
            Entry { doc: 1024, frequency: 0, length: 300 },
            Entry { doc: (1 << 40) + 77, frequency: 65_536, length: 70_000 },
        ] {
            assert_eq!(unpack(entry.block(), &entry.pack()).collect::<Vec<_>>(), [entry]);
        }
    }

    #[test]
    fn scores_are_those_of_the_formula() {
        let rows = vec![
            row("b", &[(1, 2, 4)]),
            row(ROSTER, &[(1, 0, 4), (2, 0, 2)]),
            row("a", &[(1, 1, 4), (2, 1, 2)]),
            row(ROSTER, &[(2000, 0, 3)]),
        ];
        let ranking = rank(rows.clone(), &BTreeMap::new(), &Passing::default(), 10);
        assert_eq!((ranking.documents, ranking.matches), (3, 2));
        let part = |idf: f64, f: f64, length: f64| {
            idf * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * length / 3.0))
        };
        let (a, b) = ((1.0_f64 + 1.5 / 2.5).ln(), (1.0_f64 + 2.5 / 1.5).ln());
        let expected = [(1, part(a, 1.0, 4.0) + part(b, 2.0, 4.0)), (2, part(a, 1.0, 2.0))];
        for ((doc, score), (of, value)) in ranking.first.iter().zip(expected) {
            assert!(*doc == of && (score - value).abs() < 1e-12, "{doc}: {score}, not {value}");
        }
        // A filter changes the collection, not only the answer.
        let passing = Passing::new(Some(&[2, 2000]), &[]);
        let filtered = rank(rows.clone(), &BTreeMap::new(), &passing, 10);
        assert_eq!((filtered.documents, filtered.matches), (2, 1));
        assert_eq!(
            filtered.frequencies,
            BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 0)])
        );
        let but = Passing::new(None, &[1]);
        assert_eq!(rank(rows, &BTreeMap::new(), &but, 10), filtered);
        let value = (1.0_f64 + 1.5 / 1.5).ln() * 2.2 / (1.0 + 1.2 * (0.25 + 0.75 * 2.0 / 2.5));
        assert!((filtered.first[0].1 - value).abs() < 1e-12);
    }

    #[test]
    fn only_the_best_are_kept_and_the_newest_of_equal_ones() {
        let rows = vec![
            row(ROSTER, &[(1, 0, 2), (2, 0, 2), (3, 0, 2)]),
            row("a", &[(1, 2, 2), (2, 1, 2), (3, 1, 2)]),
        ];
        let first = |most| {
            let ranking = rank(rows.clone(), &BTreeMap::new(), &Passing::default(), most);
            ranking.first.iter().map(|(doc, _)| *doc).collect::<Vec<_>>()
        };
        assert_eq!(first(3), [1, 3, 2]);
        assert_eq!(first(2), [1, 3]);
        assert!(rank(Vec::new(), &BTreeMap::new(), &Passing::default(), 3).first.is_empty());
    }
}
