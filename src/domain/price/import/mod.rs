//! Reading price files that others keep.
//!
//! A price file is somebody else's and changes without notice, so reading it never fails as a
//! whole: each entry becomes a price or a line in the list of what was skipped, with the reason.
//! The same file gives the same result in the same order, and its size is bounded.
//!
//! Rates in these files are JSON floats; each is read through its shortest decimal text, and one
//! that is finer than a pico-dollar per token is rounded, which is noted beside the price.
//! A price that would be absurd if an operator sent it is skipped: a file cannot say `force`.

pub mod genai_prices;
pub mod litellm;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::words::words;

use super::{
    decimal::Decimal,
    new_price::{absurdities, is_free},
    provider::canonical,
    rate::{Price, StatedRates, TIERS_MAX, TierRates},
};

/// Most prices read from one file, and most entries listed as skipped.
pub const ENTRIES_MAX: usize = 20_000;
/// Most characters of a name that are kept.
const NAME_CHARS: usize = 200;

words! {
    /// Why an entry of a price file gave no price.
    pub enum SkipReason {
        /// It is not of the form that the file has.
        Malformed => "malformed",
        /// It is there to explain the file.
        Sample => "sample",
        /// It does not say who sends the bill.
        NoProvider => "no_provider",
        /// It is of a kind that is charged for more than tokens of text: pictures, sound,
        /// searches and the like.
        NotText => "not_text",
        /// It has no price for input tokens, or none for output tokens.
        NoTokenPrice => "no_token_price",
        /// A rate is no amount: negative, too large, or not a number.
        BadRate => "bad_rate",
        /// Nothing costs anything, be it that it is free or that the price is not known.
        Free => "free",
        /// The price looks like a slip.
        Absurd => "absurd",
        /// It holds only at some hours of the day.
        TimeOfDay => "time_of_day",
        /// The same model of the same provider was read before.
        Duplicate => "duplicate",
        /// The file has more entries than are read.
        TooMany => "too_many",
    }
}

/// A price that was read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedPrice {
    /// Who sends the bill, by its canonical name.
    pub provider: String,
    /// The model's name.
    pub model: String,
    /// From when on it holds; the file does not always say.
    pub effective_from: Option<DateTime<Utc>>,
    /// What a call costs.
    pub price: Price,
    /// What was lost on the way, for people: rates that were rounded, terms that have no place.
    pub notes: Vec<String>,
}

/// An entry that gave no price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Skipped {
    /// Its name in the file.
    pub name: String,
    /// Why.
    pub reason: SkipReason,
    /// More about it, for people; may be empty.
    pub detail: String,
}

/// What was read from a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// The prices; no two of the same provider, model and time.
    pub prices: Vec<ImportedPrice>,
    /// The entries that gave none.
    pub skipped: Vec<Skipped>,
}

/// Why an entry is skipped.
type Skip = (SkipReason, String);

/// Collects what is read.
#[derive(Default)]
struct Collector {
    imported: Imported,
    /// Provider, model in lower case, and time; where the price is.
    seen: BTreeMap<(String, String, Option<DateTime<Utc>>), usize>,
    /// Provider and model in lower case; which model of the file has that name.
    owners: BTreeMap<(String, String), String>,
    over: usize,
}

impl Collector {
    /// Takes a price, or the reason that there is none, for the entry `name`.
    fn take(&mut self, name: &str, read: Result<ImportedPrice, Skip>) {
        match read.and_then(|price| self.admit(price)) {
            Ok(price) => self.keep(price),
            Err((reason, detail)) => self.skip(name, reason, detail),
        }
    }

    /// Takes a price of the model `owner` under another name, unless a model has that name.
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
        if is_free(&price.price) {
            return Err((SkipReason::Free, String::new()));
        }
        if let Some(text) = absurdities(&price.price, None).into_iter().next() {
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

/// Reads rates of one object, and what was lost with them.
struct Rate<'a> {
    map: &'a Map<String, Value>,
    notes: Vec<String>,
}

impl<'a> Rate<'a> {
    fn new(map: &'a Map<String, Value>) -> Self {
        Self { map, notes: Vec::new() }
    }

    /// The rate under a key; nothing when it is left out or null.
    fn get(&mut self, key: &str, power: i32, most: i64) -> Result<Option<i64>, Skip> {
        let map = self.map;
        map.get(key).map_or(Ok(None), |value| self.amount(key, value, power, most))
    }

    /// The rate that `value` is; `key` is its name.
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

/// A price of stated rates, with tiers by their bounds; without tiers that change nothing.
fn assemble(stated: StatedRates, tiers: BTreeMap<i64, TierRates>) -> Result<Price, Skip> {
    if tiers.len() > TIERS_MAX {
        return Err((SkipReason::Malformed, format!("has more than {TIERS_MAX} tiers")));
    }
    let mut price = Price::tiered(stated, tiers);
    let mut below = price.rates;
    price.tiers.retain(|tier| std::mem::replace(&mut below, tier.rates) != tier.rates);
    Ok(price)
}
