//! Which price holds for a call.
//!
//! By name: first the model's name as it was reported, then without a provider's name in front
//! (`openai/gpt-4o`), then both without a date or `-latest` at the end, and at last that name with
//! `-latest`. The first name that has a price at all decides; upper and lower case are the same.
//!
//! By provider: a provider that was named is binding, since the same model costs different money
//! elsewhere. When none was named, the providers that have a price for the name must agree on it,
//! or one of them must have made the model; otherwise there is no answer, and no guess.
//!
//! By book: the fleet's own price of a name goes before the one that is built in, and that before
//! any price of the next name.
//!
//! By time: of one provider's prices for one name the newest that was in effect holds.

use chrono::{DateTime, Utc};

use super::{
    provider::{canonical, maker},
    rate::Price,
};

/// One price in the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookPrice {
    /// Its place in the book: of two that take effect at the same instant the higher one holds.
    pub number: i64,
    /// Who sends the bill; any of a provider's names.
    pub provider: String,
    /// The model's name, as the provider has it.
    pub model: String,
    /// From when on it holds.
    pub effective_from: DateTime<Utc>,
    /// What a call costs.
    pub price: Price,
}

/// The price of a call of `model` at the instant `at`, when there is one. For each name the first of
/// the books that has a price for it decides: the fleet's own goes before the one that is built in,
/// but not when it knows the model by a lesser name only.
#[must_use]
pub fn choose<'a>(
    books: &[&'a [BookPrice]],
    provider: Option<&str>,
    model: &str,
    at: DateTime<Utc>,
) -> Option<&'a BookPrice> {
    let provider = provider.map(canonical);
    candidates(provider.as_deref(), model)
        .into_iter()
        .find_map(|candidate| books.iter().find_map(|book| priced(book, &candidate, at)))
}

fn priced<'a>(
    book: &'a [BookPrice],
    candidate: &Candidate,
    at: DateTime<Utc>,
) -> Option<&'a BookPrice> {
    let named = book
        .iter()
        .filter(|row| row.effective_from <= at && row.model.eq_ignore_ascii_case(&candidate.model));
    match &candidate.provider {
        Some(provider) => newest(named.filter(|row| canonical(&row.provider) == *provider)),
        None => agreed(named, &candidate.model),
    }
}

/// The price at the instant `at` that a book has of a provider for exactly this name: what a price
/// file is compared with. Not what [`choose`] finds by another name, because that may be another one
/// as soon as the file is taken in.
#[must_use]
pub fn exact<'a>(
    prices: &'a [BookPrice],
    provider: &str,
    model: &str,
    at: DateTime<Utc>,
) -> Option<&'a BookPrice> {
    let provider = canonical(provider);
    newest(prices.iter().filter(|row| {
        row.effective_from <= at
            && row.model.eq_ignore_ascii_case(model)
            && canonical(&row.provider) == provider
    }))
}

/// Every name, in lower case, under which [`choose`] may find a price for `model`: prices of other
/// names need not be read.
#[must_use]
pub fn names(model: &str) -> Vec<String> {
    let candidates = candidates(None, model).into_iter();
    let mut names: Vec<_> = candidates.map(|one| one.model.to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A name to look for, of one provider or of any.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    provider: Option<String>,
    model: String,
}

fn candidates(provider: Option<&str>, model: &str) -> Vec<Candidate> {
    let model = model.trim();
    let full = Candidate { provider: provider.map(str::to_owned), model: model.to_owned() };
    let mut found = vec![full];
    if let Some((prefix, rest)) = model.split_once('/') {
        let provider = provider.map_or_else(|| canonical(prefix), str::to_owned);
        found.push(Candidate { provider: Some(provider), model: rest.to_owned() });
    }
    let bare: Vec<_> = found
        .iter()
        .filter_map(|one| {
            let model = undated(&one.model)?.to_owned();
            Some(Candidate { provider: one.provider.clone(), model })
        })
        .collect();
    let latest: Vec<_> = bare
        .iter()
        .map(|Candidate { provider, model }| Candidate {
            provider: provider.clone(),
            model: format!("{model}-latest"),
        })
        .collect();
    found.extend(bare);
    found.extend(latest);
    found
}

/// A name without `-latest`, `-2024-08-06`, `-20250514` or `@20250514` at its end, when it has one
/// of them.
fn undated(name: &str) -> Option<&str> {
    if let Some(rest) = name.strip_suffix("-latest").filter(|rest| !rest.is_empty()) {
        return Some(rest);
    }
    let dated = |length: usize| {
        let cut = name.len().checked_sub(length)?;
        let (rest, date) = (name.get(..cut)?, name.get(cut..)?);
        (!rest.is_empty() && is_date(date)).then_some(rest)
    };
    dated("-2024-08-06".len()).or_else(|| dated("-20240806".len()))
}

fn is_date(text: &str) -> bool {
    let Some(date) = text.strip_prefix(['-', '@']) else { return false };
    let part = |range: std::ops::Range<usize>| {
        let digits = date.get(range)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse::<u32>().ok()
    };
    let parts = match date.len() {
        8 => [part(0..4), part(4..6), part(6..8)],
        10 if date.get(4..5) == Some("-") && date.get(7..8) == Some("-") => {
            [part(0..4), part(5..7), part(8..10)]
        }
        _ => return false,
    };
    let [Some(year), Some(month), Some(day)] = parts else { return false };
    (2000..3000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)
}

fn newest<'a>(rows: impl Iterator<Item = &'a BookPrice>) -> Option<&'a BookPrice> {
    rows.max_by_key(|row| (row.effective_from, row.number))
}

/// The price that all providers agree on, or that of the model's maker.
fn agreed<'a>(rows: impl Iterator<Item = &'a BookPrice>, model: &str) -> Option<&'a BookPrice> {
    let mut of_provider: std::collections::BTreeMap<String, &BookPrice> =
        std::collections::BTreeMap::new();
    for row in rows {
        let kept = of_provider.entry(canonical(&row.provider)).or_insert(row);
        if (row.effective_from, row.number) > (kept.effective_from, kept.number) {
            *kept = row;
        }
    }
    if let Some(row) = maker(model).and_then(|maker| of_provider.get(maker)) {
        return Some(row);
    }
    let mut rows = of_provider.into_values();
    let first = rows.next()?;
    rows.all(|row| row.price == first.price).then_some(first)
}
