//! Import of third-party price files.
//!
//! These files change without notice, so reading one never fails as a whole: each entry becomes a
//! price or a skipped entry with its reason. The result and its order depend on the file only, and
//! its size is bounded.
//!
//! Rates in these files are JSON floats, each read through its shortest decimal text. A rate finer
//! than a pico-dollar per token is rounded, with a note. An absurd price is skipped, because a file
//! cannot set `force`. A price of zero is a price, also where the book says something else: models on
//! machines of one's own, and previews, cost nothing by the token. Only an entry that charges by
//! something else instead gives none.
//!
//! [`sift`](sift::sift) compares what a file says with the books.

pub mod genai_prices;
pub mod litellm;
pub mod sift;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::words::words;

use super::{
    decimal::Decimal,
    new_price::{absurd_rates, is_free},
    provider::canonical,
    rate::{Price, StatedRates, TIERS_MAX, TierRates},
};

/// Most prices read from one file, and most skipped entries listed.
pub const ENTRIES_MAX: usize = 20_000;
/// Longest name kept, in characters.
const NAME_CHARS: usize = 200;

words! {
    /// Reason why an entry of a price file gave no price.
    pub enum SkipReason {
        /// Not in the form of the file.
        Malformed => "malformed",
        /// Documentation of the file itself.
        Sample => "sample",
        /// Without a provider.
        NoProvider => "no_provider",
        /// Priced by more than text tokens: images, audio, searches.
        NotText => "not_text",
        /// Without a price for input or output tokens.
        NoTokenPrice => "no_token_price",
        /// With an invalid rate: negative, too large, or not a number.
        BadRate => "bad_rate",
        /// With a price that looks like a mistake.
        Absurd => "absurd",
        /// Valid at some hours only, without a price for the others.
        TimeOfDay => "time_of_day",
        /// The same model of the same provider came earlier in the file, or another set of rates
        /// precedes this one at all times.
        Duplicate => "duplicate",
        /// Beyond the number of entries that are read.
        TooMany => "too_many",
    }
}

impl SkipReason {
    /// Whether every file has such entries, and nothing is wrong with them.
    #[must_use]
    pub const fn is_ordinary(self) -> bool {
        match self {
            Self::Sample | Self::NoProvider | Self::NotText | Self::NoTokenPrice => true,
            Self::Malformed
            | Self::BadRate
            | Self::Absurd
            | Self::TimeOfDay
            | Self::Duplicate
            | Self::TooMany => false,
        }
    }
}

/// A price read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedPrice {
    /// Canonical name of the provider.
    pub provider: String,
    /// Name of the model.
    pub model: String,
    /// Start of validity, if the file states one. Without one the price holds before every dated
    /// price of the same model.
    pub effective_from: Option<DateTime<Utc>>,
    /// The price.
    pub price: Price,
    /// Losses of the import, for people: rounded rates, unsupported terms.
    pub notes: Vec<String>,
}

/// An entry of a price file that gave no price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Skipped {
    /// Name of the entry in the file, at most 200 characters.
    pub name: String,
    /// Reason why it gave no price.
    pub reason: SkipReason,
    /// Explanation for people; may be empty.
    pub detail: String,
}

/// Number of entries that gave no price for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SkipCount {
    /// The reason.
    pub reason: SkipReason,
    /// Number of entries.
    pub count: usize,
}

/// Counts skipped entries by reason and orders both alike: reasons that not every file has first, and
/// of these the rarest first.
#[must_use]
pub fn by_reason(skipped: &mut [Skipped]) -> Vec<SkipCount> {
    let mut counts: BTreeMap<SkipReason, usize> = BTreeMap::new();
    for entry in skipped.iter() {
        *counts.entry(entry.reason).or_default() += 1;
    }
    let place = |reason: SkipReason| (reason.is_ordinary(), counts.get(&reason), reason);
    skipped.sort_by_key(|entry| place(entry.reason));
    let mut reasons: Vec<SkipCount> =
        counts.iter().map(|(reason, count)| SkipCount { reason: *reason, count: *count }).collect();
    reasons.sort_by_key(|one| place(one.reason));
    reasons
}

/// Result of reading a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// Prices, unique by provider, model and start.
    pub prices: Vec<ImportedPrice>,
    /// Entries without a price.
    pub skipped: Vec<Skipped>,
}

/// Reason and detail of a skipped entry.
type Skip = (SkipReason, String);

/// Collects prices and skipped entries.
#[derive(Default)]
struct Collector {
    imported: Imported,
    /// Index of the price, by provider, lower-case model and start.
    seen: BTreeMap<(String, String, Option<DateTime<Utc>>), usize>,
    /// Model of the file that owns a name, by provider and lower-case name.
    owners: BTreeMap<(String, String), String>,
    over: usize,
}

impl Collector {
    /// Takes the price, or the reason for skipping, of entry `name`.
    fn take(&mut self, name: &str, read: Result<ImportedPrice, Skip>) {
        match read.and_then(|price| self.admit(price)) {
            Ok(price) => self.keep(price),
            Err((reason, detail)) => self.skip(name, reason, detail),
        }
    }

    /// Adds a price of model `owner` under another name, unless a model has that name.
    fn alias(&mut self, owner: &str, price: ImportedPrice) {
        let (provider, model, _) = key(&price);
        let had = self.owners.entry((provider, model)).or_insert_with(|| owner.to_owned());
        if had != owner {
            return;
        }
        if let Ok(price) = self.admit(price) {
            self.keep(price);
        }
    }

    fn skip(&mut self, name: &str, reason: SkipReason, detail: impl Into<String>) {
        if self.imported.skipped.len() >= ENTRIES_MAX {
            self.over += 1;
            return;
        }
        let name = name.chars().take(NAME_CHARS).collect();
        self.imported.skipped.push(Skipped { name, reason, detail: detail.into() });
    }

    fn admit(&self, price: ImportedPrice) -> Result<ImportedPrice, Skip> {
        if self.imported.prices.len() >= ENTRIES_MAX {
            return Err((SkipReason::TooMany, format!("at most {ENTRIES_MAX} are read")));
        }
        if !is_name(&price.provider, 100) || !is_name(&price.model, NAME_CHARS) {
            return Err((SkipReason::Malformed, "the name is empty or too long".to_owned()));
        }
        if let Some(text) = absurd_rates(&price.price, None).into_iter().next() {
            return Err((SkipReason::Absurd, text));
        }
        let Some(first) = self.seen.get(&key(&price)) else { return Ok(price) };
        let same = self.imported.prices.get(*first).is_some_and(|one| one.price == price.price);
        let detail = if same { "with the same price" } else { "with another price" };
        Err((SkipReason::Duplicate, detail.to_owned()))
    }

    fn keep(&mut self, price: ImportedPrice) {
        let (provider, model, time) = key(&price);
        let owner = (provider.clone(), model.clone());
        self.owners.entry(owner).or_insert_with(|| price.model.clone());
        self.seen.insert((provider, model, time), self.imported.prices.len());
        self.imported.prices.push(price);
    }

    fn finish(mut self) -> Imported {
        if self.over > 0 {
            let detail = format!("{} more entries are not listed", self.over);
            let name = String::new();
            self.imported.skipped.push(Skipped { name, reason: SkipReason::TooMany, detail });
        }
        self.imported
    }
}

fn key(price: &ImportedPrice) -> (String, String, Option<DateTime<Utc>>) {
    (canonical(&price.provider), price.model.to_ascii_lowercase(), price.effective_from)
}

fn is_name(name: &str, most: usize) -> bool {
    !name.trim().is_empty() && !name.contains(['\n', '\r']) && name.chars().count() <= most
}

/// Reads rates of one object and collects notes.
struct Rate<'a> {
    map: &'a Map<String, Value>,
    notes: Vec<String>,
}

impl<'a> Rate<'a> {
    fn new(map: &'a Map<String, Value>) -> Self {
        Self { map, notes: Vec::new() }
    }

    /// The rate under a key; `None` if omitted or null.
    fn get(&mut self, key: &str, power: i32, most: i64) -> Result<Option<i64>, Skip> {
        let map = self.map;
        map.get(key).map_or(Ok(None), |value| self.amount(key, value, power, most))
    }

    /// The rate in `value`; `key` names it in messages.
    fn amount(
        &mut self,
        key: &str,
        value: &Value,
        power: i32,
        most: i64,
    ) -> Result<Option<i64>, Skip> {
        let bad = |why: String| (SkipReason::BadRate, format!("`{}` {why}", shortened(key)));
        let decimal = match value {
            Value::Null => return Ok(None),
            Value::Number(number) => Decimal::from_number(number),
            Value::String(text) => Decimal::parse(text),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                return Err(bad("must be a number".to_owned()));
            }
        };
        let scaled = decimal
            .and_then(|decimal| decimal.rounded(power, most))
            .map_err(|error| bad(error.to_string()))?;
        if scaled.rounded {
            self.notes.push(format!("`{}` is rounded to a pico-dollar", shortened(key)));
        }
        Ok(Some(scaled.value))
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

/// Refuses a price of zero whose `terms` charge by something else: images, seconds, searches.
fn refuse_charged_otherwise<'a>(
    price: &Price,
    terms: impl IntoIterator<Item = &'a Value>,
) -> Result<(), Skip> {
    if is_free(price) && terms.into_iter().any(charges) {
        return Err((SkipReason::NotText, "charges by something else than tokens".to_owned()));
    }
    Ok(())
}

/// Whether a number other than zero is in it.
fn charges(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Array(items) => items.iter().any(charges),
        Value::Object(map) => map.values().any(charges),
    }
}

/// A price from stated rates and tiers by bound, without tiers that change nothing.
fn assemble(stated: StatedRates, tiers: BTreeMap<i64, TierRates>) -> Result<Price, Skip> {
    if tiers.len() > TIERS_MAX {
        return Err((SkipReason::Malformed, format!("has more than {TIERS_MAX} tiers")));
    }
    let mut price = Price::tiered(stated, tiers);
    let mut below = price.rates;
    price.tiers.retain(|tier| std::mem::replace(&mut below, tier.rates) != tier.rates);
    Ok(price)
}
