//! Selection of the price for a call.
//!
//! By name: the model name as reported; then without a provider prefix (`openai/gpt-4o`); then both
//! without a date or `-latest` suffix; then that name with `-latest`. The first name with any price
//! decides. Case is ignored.
//!
//! By provider: a stated provider is binding, since the same model has other prices elsewhere.
//! Without one, a price of the provider [`UNSTATED`] decides, else that of the model's maker, else all
//! providers with a price for the name must agree; otherwise there is no price and no guess, and
//! [`disagreeing`] names them.
//!
//! By book: for each name the fleet's own price precedes the built-in one, and both precede any
//! price of the next name.
//!
//! By time: of one provider's prices for one name, the newest in effect applies. A call before every
//! price of its model is charged at the first one that has begun since ([`charged`]): a price that is
//! added late rates what waited for it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{
    PriceSource,
    provider::{UNSTATED, canonical, maker},
    rate::Price,
};

/// A price in the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookPrice {
    /// Ordinal in the book; of two prices with the same start the higher one applies.
    pub number: i64,
    /// Provider that sends the bill, under any of its names.
    pub provider: String,
    /// Model name used by the provider.
    pub model: String,
    /// Start of validity.
    pub effective_from: DateTime<Utc>,
    /// The price.
    pub price: Price,
    /// Who stated it; `None`: it is built in.
    pub source: Option<PriceSource>,
}

/// The price of a call of `model` at `at`. For each name the first book with a price decides: the
/// fleet's own book precedes the built-in one, but not with a less exact name.
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

/// The price that a call of `model` at `at` is charged at: the one in effect then ([`choose`]); if there
/// was none, the earliest one in effect since, up to `now`.
#[must_use]
pub fn charged<'a>(
    books: &[&'a [BookPrice]],
    provider: Option<&str>,
    model: &str,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<&'a BookPrice> {
    choose(books, provider, model, at).or_else(|| {
        let names = names(model);
        let rows = books.iter().flat_map(|book| book.iter());
        let begun = rows.filter(|row| at < row.effective_from && row.effective_from <= now);
        let begun = begun.filter(|row| names.contains(&row.model.to_ascii_lowercase()));
        let mut starts: Vec<_> = begun.map(|row| row.effective_from).collect();
        starts.sort_unstable();
        starts.into_iter().find_map(|start| choose(books, provider, model, start))
    })
}

/// The providers whose prices for a call without a stated provider differ at `at`, so that [`choose`]
/// finds none; empty if it finds one, or no provider has any.
#[must_use]
pub fn disagreeing(
    books: &[&[BookPrice]],
    provider: Option<&str>,
    model: &str,
    at: DateTime<Utc>,
) -> Vec<String> {
    if choose(books, provider, model, at).is_some() {
        return Vec::new();
    }
    let provider = provider.map(canonical);
    let of_any = candidates(provider.as_deref(), model).into_iter();
    let of_any = of_any.filter(|(provider, _)| provider.is_none());
    let sellers = of_any.flat_map(|(_, model)| {
        books.iter().map(move |book| {
            let sellers = in_effect(book, &model, at).map(|row| canonical(&row.provider));
            sellers.collect::<BTreeSet<String>>()
        })
    });
    sellers.into_iter().find(|sellers| !sellers.is_empty()).into_iter().flatten().collect()
}

fn priced<'a>(
    book: &'a [BookPrice],
    (provider, model): &Candidate,
    at: DateTime<Utc>,
) -> Option<&'a BookPrice> {
    let named = in_effect(book, model, at);
    match provider {
        Some(provider) => newest(named.filter(|row| canonical(&row.provider) == *provider)),
        None => agreed(named, model),
    }
}

/// A book's prices for exactly this name, of any provider, that have begun at `at`.
pub(super) fn in_effect<'a>(
    book: &'a [BookPrice],
    model: &str,
    at: DateTime<Utc>,
) -> impl Iterator<Item = &'a BookPrice> {
    book.iter().filter(move |row| row.effective_from <= at && row.model.eq_ignore_ascii_case(model))
}

/// Every name, in lower case, under which [`choose`] can find a price for `model`. Prices of other
/// names need not be read.
#[must_use]
pub fn names(model: &str) -> Vec<String> {
    let candidates = candidates(None, model).into_iter();
    // The database folds letters beyond ASCII where its locale knows them.
    let folded = |(_, model): Candidate| [model.to_ascii_lowercase(), model.to_lowercase()];
    let mut names: Vec<_> = candidates.flat_map(folded).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A name to look up: the provider (`None`: any) and the model.
type Candidate = (Option<String>, String);

fn candidates(provider: Option<&str>, model: &str) -> Vec<Candidate> {
    let model = model.trim();
    let mut full: Vec<Candidate> = vec![(provider.map(str::to_owned), model.to_owned())];
    if let Some((prefix, rest)) = model.split_once('/') {
        let provider = provider.map_or_else(|| canonical(prefix), str::to_owned);
        full.push((Some(provider), rest.to_owned()));
    }
    let bare = full.iter().filter_map(|(p, model)| Some((p.clone(), undated(model)?.to_owned())));
    let bare: Vec<Candidate> = bare.collect();
    let latest = bare.iter().map(|(p, model)| (p.clone(), format!("{model}-latest"))).collect();
    [full, bare, latest].concat()
}

/// The name without `-latest`, `-2024-08-06`, `-20250514` or `@20250514` at its end; `None` without
/// such a suffix.
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

pub(super) fn newest<'a>(rows: impl Iterator<Item = &'a BookPrice>) -> Option<&'a BookPrice> {
    rows.max_by_key(|row| (row.effective_from, row.number))
}

/// The price of calls without a stated provider, that of the model's maker, or one that all providers
/// agree on.
fn agreed<'a>(rows: impl Iterator<Item = &'a BookPrice>, model: &str) -> Option<&'a BookPrice> {
    let mut of_provider = BTreeMap::<String, &BookPrice>::new();
    for row in rows {
        let kept = of_provider.entry(canonical(&row.provider)).or_insert(row);
        if (row.effective_from, row.number) > (kept.effective_from, kept.number) {
            *kept = row;
        }
    }
    let deciding = [Some(UNSTATED), maker(model)].into_iter().flatten();
    if let Some(row) = deciding.filter_map(|provider| of_provider.get(provider)).next() {
        return Some(row);
    }
    let mut rows = of_provider.into_values();
    let first = rows.next()?;
    rows.all(|row| row.price == first.price).then_some(first)
}
