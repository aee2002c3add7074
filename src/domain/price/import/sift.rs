//! What of a price file is new to the books.
//!
//! From the time of the import on, the file's prices hold; before it, only what the file dates. So the
//! price of a model without a start begins with the import, or, if a dated price has already replaced
//! it, at the beginning of the book. A dated price of the past begins at its date, and once more with
//! the import if the book says something else by then. A second import of the same file adds nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Imported, ImportedPrice, SkipCount, SkipReason, Skipped, by_reason};
use crate::domain::price::{
    PriceSource,
    disagree::{PriceDisagreement, disagreements},
    find::BookPrice,
    new_price::absurd_rates,
    provider::canonical,
    rate::Price,
};

/// Start of the book: 2000-01-01T00:00:00Z, the earliest call that can be reported.
const BEGINNING: i64 = 946_684_800;

/// A file against the books.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sifted {
    /// New prices, with their start.
    pub added: Vec<(ImportedPrice, DateTime<Utc>)>,
    /// Number of prices that the book already has.
    pub unchanged: usize,
    /// Entries that gave no price, in the order of `reasons`.
    pub skipped: Vec<Skipped>,
    /// Their number by reason, rare and serious reasons first.
    pub reasons: Vec<SkipCount>,
    /// Prices of other books that differ from the file's at the time of the import.
    pub disagreements: Vec<PriceDisagreement>,
}

/// A file's terms of import.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Whose file it is.
    pub source: PriceSource,
    /// Time of the import: start of prices that the file does not date.
    pub from: DateTime<Utc>,
    /// Also takes prices that differ from the previous ones by more than a factor of a hundred.
    pub force: bool,
}

/// Compares a file with the workspace's own book and the built-in one.
#[must_use]
pub fn sift(imported: Imported, own: &[BookPrice], builtin: &[BookPrice], terms: Terms) -> Sifted {
    let mut shelf = Shelf::default();
    for (at, row) in own.iter().map(|row| (0, row)).chain(builtin.iter().map(|row| (1, row))) {
        shelf.books.entry(key(&row.provider, &row.model)).or_default()[at].push(row.clone());
    }
    let Imported { prices, skipped } = imported;
    let mut sifted = Sifted { skipped, ..Sifted::default() };
    let mut models: BTreeMap<_, Vec<ImportedPrice>> = BTreeMap::new();
    for price in prices {
        models.entry(key(&price.provider, &price.model)).or_default().push(price);
    }
    for (key, mut prices) in models {
        // Without a start first: it precedes every date.
        prices.sort_by_key(|price| price.effective_from);
        let books = shelf.books.remove(&key).unwrap_or_default();
        Model { books, terms }.sift(prices, &mut sifted);
    }
    sifted.reasons = by_reason(&mut sifted.skipped);
    sifted
}

fn key(provider: &str, model: &str) -> (String, String) {
    (canonical(provider), model.to_ascii_lowercase())
}

/// The books by model: the workspace's own, and the built-in one.
#[derive(Default)]
struct Shelf {
    books: BTreeMap<(String, String), [Vec<BookPrice>; 2]>,
}

/// One model in the books.
struct Model {
    books: [Vec<BookPrice>; 2],
    terms: Terms,
}

impl Model {
    fn sift(mut self, prices: Vec<ImportedPrice>, sifted: &mut Sifted) {
        let from = self.terms.from;
        let is_past = |price: &ImportedPrice| price.effective_from.is_some_and(|at| at <= from);
        let held = prices.iter().rfind(|price| is_past(price)).cloned();
        let undated = match held {
            Some(_) => DateTime::from_timestamp(BEGINNING, 0).unwrap_or(from),
            None => from,
        };
        let mut holding = None;
        for price in prices {
            let at = price.effective_from.unwrap_or(undated);
            if at <= from {
                holding = Some(price.price.clone());
            }
            match self.judge(&price, at) {
                Ok(true) => self.add(price, at, sifted),
                Ok(false) => sifted.unchanged += 1,
                Err(detail) => {
                    let (name, reason) = (price.model, SkipReason::Absurd);
                    sifted.skipped.push(Skipped { name, reason, detail });
                    holding = None;
                }
            }
        }
        if let Some(price) = held
            && holding.is_some()
            && self.judge(&price, from) == Ok(true)
        {
            self.add(price, from, sifted);
        }
        if let Some(price) = holding {
            self.compare(price, sifted);
        }
    }

    /// Whether the price is new to the book at `at`.
    fn judge(&self, new: &ImportedPrice, at: DateTime<Utc>) -> Result<bool, String> {
        let before = self.before(at).map(|row| &row.price);
        if before == Some(&new.price) {
            return Ok(false);
        }
        let absurd = absurd_rates(&new.price, before);
        if absurd.is_empty() || self.terms.force { Ok(true) } else { Err(absurd.join("; ")) }
    }

    /// The price that holds at `at`: the workspace's own precedes a built-in one.
    fn before(&self, at: DateTime<Utc>) -> Option<&BookPrice> {
        self.books.iter().find_map(|book| {
            let begun = book.iter().filter(|row| row.effective_from <= at);
            begun.max_by_key(|row| (row.effective_from, row.number))
        })
    }

    fn add(&mut self, price: ImportedPrice, at: DateTime<Utc>, sifted: &mut Sifted) {
        self.books[0].push(self.row(&price, at));
        sifted.added.push((price, at));
    }

    /// A row that precedes all others of its start.
    fn row(&self, price: &ImportedPrice, at: DateTime<Utc>) -> BookPrice {
        BookPrice {
            number: i64::MAX,
            provider: price.provider.clone(),
            model: price.model.clone(),
            effective_from: at,
            price: price.price.clone(),
            source: Some(self.terms.source),
        }
    }

    /// Lists what other books say at the time of the import.
    fn compare(&self, price: Price, sifted: &mut Sifted) {
        let Some(row) = self.before(self.terms.from) else { return };
        let stated = BookPrice { price, source: Some(self.terms.source), ..row.clone() };
        let [own, builtin] = &self.books;
        let found = disagreements(&[own, builtin], &stated, self.terms.from);
        sifted.disagreements.extend(found);
    }
}
