//! A price as an operator sends it, and what makes it doubtful.
//!
//! Operators think in dollars per million tokens, as providers' pages do, so that is the wire
//! form, as decimal text that is read exactly. A price that is not a whole number of pico-dollars
//! per token is refused rather than rounded. One that is possible but *absurd*, most likely a slip
//! of the decimal point or of the unit, is taken only with `force`.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::{
    RefOr,
    schema::{ObjectBuilder, Schema, SchemaType, Type},
};

use crate::domain::{
    check::{Checks, pointer},
    refusal::Refusal,
    settings,
};

use super::{
    decimal::{Decimal, PER_MILLION, PER_ONE},
    rate::{Price, RATE_MAX, REQUEST_MAX, Rates, StatedRates, TIERS_MAX, TierRates},
};

/// A rate above this is absurd: a thousand dollars per million tokens, in pico-dollars per token.
pub const ABSURD_RATE: i64 = 1_000_000_000;
/// A price of a request above this is absurd: ten dollars, in pico-dollars.
pub const ABSURD_REQUEST: i64 = 10_000_000_000_000;
/// A rate that is so many times another is absurd beside it.
pub const ABSURD_FACTOR: i64 = 100;

/// Dollars as decimal text. A JSON number is taken too, by its shortest decimal text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "String")]
pub struct Usd(pub String);

/// A JSON value that is neither text nor a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("dollars are a decimal text such as \"2.50\", or a number")]
pub struct NotUsd;

impl TryFrom<Value> for Usd {
    type Error = NotUsd;

    fn try_from(value: Value) -> Result<Self, NotUsd> {
        match value {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(NotUsd),
        }
    }
}

impl From<Usd> for String {
    fn from(Usd(text): Usd) -> Self {
        text
    }
}

impl utoipa::PartialSchema for Usd {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Number]))
            .description(Some("Dollars as decimal text, or as a number."))
            .examples(["2.50"])
            .into()
    }
}

impl utoipa::ToSchema for Usd {}

impl Usd {
    /// Times ten to the power of `power`; notes why it cannot be.
    fn read(&self, checks: &mut Checks, at: &str, power: i32, most: i64) -> Option<i64> {
        match Decimal::parse(&self.0).and_then(|amount| amount.exact(power, most)) {
            Ok(picos) => Some(picos),
            Err(error) => {
                checks.add(at, error.to_string());
                None
            }
        }
    }
}

/// Rates in dollars per million tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRates {
    /// Input.
    pub input: Usd,
    /// Output.
    pub output: Usd,
    /// Input read from a cache; default: as `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Usd>,
    /// Input written to a cache for five minutes or an unknown time; default: as `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Usd>,
    /// Input written to a cache for an hour; default: as `cache_write`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Usd>,
    /// Reasoning; default: as `output`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Usd>,
}

/// Rates of a tier in dollars per million tokens. What is left out is as
/// below the tier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewTierRates {
    /// Input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Usd>,
    /// Output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Usd>,
    /// Input read from a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Usd>,
    /// Input written to a cache for five minutes or an unknown time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Usd>,
    /// Input written to a cache for an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Usd>,
    /// Reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Usd>,
}

/// Other rates for large prompts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTier {
    /// It holds when the prompt has more input tokens than this, cached ones included.
    #[schema(example = 200_000, minimum = 1)]
    pub above: i64,
    /// Its rates in dollars per million tokens, for all tokens of the call.
    pub usd_per_million: NewTierRates,
}

/// A price to be put into the book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "provider": "openai", "model": "gpt-4o",
    "usd_per_million": {"input": "2.50", "output": "10", "cache_read": "1.25"}
}))]
pub struct NewPrice {
    /// Who sends the bill.
    #[schema(example = "openai", min_length = 1, max_length = 100)]
    pub provider: String,
    /// The model's name, as calls report it.
    #[schema(example = "gpt-4o", min_length = 1, max_length = 200)]
    pub model: String,
    /// From when on it holds; default: from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_from: Option<DateTime<Utc>>,
    /// Rates in dollars per million tokens.
    pub usd_per_million: NewRates,
    /// What each call costs besides its tokens, in dollars; default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_request: Option<Usd>,
    /// Other rates for large prompts. At most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<NewTier>,
    /// A remark for people: where the price is from, for example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub note: Option<String>,
    /// Takes a price that looks like a slip.
    #[serde(default)]
    pub force: bool,
}

impl NewPrice {
    /// The price, when it is the whole body.
    ///
    /// # Errors
    /// `invalid` with every place that is wrong.
    pub fn price(&self) -> Result<Price, Refusal> {
        let mut checks = Checks::new();
        let price = self.build(&mut checks, "");
        checks.finish()?;
        Ok(price)
    }

    fn build(&self, checks: &mut Checks, at: &str) -> Price {
        checks.line(&pointer(at, "provider"), &self.provider, 100);
        checks.line(&pointer(at, "model"), &self.model, 200);
        if let Some(instant) = self.effective_from {
            checks.range(&pointer(at, "effective_from"), instant.year(), 2000..=2999);
        }
        if let Some(note) = &self.note {
            checks.chars(&pointer(at, "note"), note, 1000);
        }
        let stated = self.usd_per_million.read(checks, &pointer(at, "usd_per_million"));
        let per_request = self.usd_per_request.as_ref().and_then(|usd| {
            usd.read(checks, &pointer(at, "usd_per_request"), PER_ONE, REQUEST_MAX)
        });
        let place = pointer(at, "tiers");
        checks.count(&place, self.tiers.len(), TIERS_MAX);
        let mut tiers = BTreeMap::new();
        for (index, tier) in self.tiers.iter().enumerate().take(TIERS_MAX) {
            let here = pointer(&place, index);
            let above = pointer(&here, "above");
            checks.range(&above, tier.above, 1..=settings::AMOUNT_MAX);
            let rates = tier.usd_per_million.read(checks, &pointer(&here, "usd_per_million"));
            let before = tiers.insert(tier.above, rates);
            checks.ensure(before.is_none(), &above, "is the bound of another tier already");
        }
        Price { per_request: per_request.unwrap_or(0), ..Price::tiered(stated, tiers) }
    }
}

impl NewRates {
    fn read(&self, checks: &mut Checks, at: &str) -> StatedRates {
        let Self { input, output, cache_read, cache_write, cache_write_1h, reasoning } = self;
        let mut rate =
            |name: &str, usd: &Usd| usd.read(checks, &pointer(at, name), PER_MILLION, RATE_MAX);
        StatedRates {
            input: rate("input", input).unwrap_or(0),
            output: rate("output", output).unwrap_or(0),
            cache_read: cache_read.as_ref().and_then(|usd| rate("cache_read", usd)),
            cache_write: cache_write.as_ref().and_then(|usd| rate("cache_write", usd)),
            cache_write_1h: cache_write_1h.as_ref().and_then(|usd| rate("cache_write_1h", usd)),
            reasoning: reasoning.as_ref().and_then(|usd| rate("reasoning", usd)),
        }
    }
}

impl NewTierRates {
    fn read(&self, checks: &mut Checks, at: &str) -> TierRates {
        let Self { input, output, cache_read, cache_write, cache_write_1h, reasoning } = self;
        let mut rate = |name: &str, usd: &Option<Usd>| {
            let usd = usd.as_ref()?;
            usd.read(checks, &pointer(at, name), PER_MILLION, RATE_MAX)
        };
        TierRates {
            input: rate("input", input),
            output: rate("output", output),
            cache_read: rate("cache_read", cache_read),
            cache_write: rate("cache_write", cache_write),
            cache_write_1h: rate("cache_write_1h", cache_write_1h),
            reasoning: rate("reasoning", reasoning),
        }
    }
}

/// What looks like a slip in a price, a sentence for each: a rate above $1,000 per million tokens
/// or a request above $10; nothing costs anything; a rate, tiers aside, that is more than a
/// hundred times that of the previous price of the same model, or less than a hundredth of it.
/// Nothing is infinitely less than something.
#[must_use]
pub fn absurdities(new: &Price, previous: Option<&Price>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, rate) in new.all_rates().flat_map(|rates| rates.named()) {
        let text = format!("`{name}` is above $1,000 per million tokens");
        // A rate that others follow from would be named once for each tier.
        if rate > ABSURD_RATE && !found.contains(&text) {
            found.push(text);
        }
    }
    if new.per_request > ABSURD_REQUEST {
        found.push("a request costs more than $10".to_owned());
    }
    if is_free(new) {
        found.push("nothing costs anything".to_owned());
    }
    let Some(previous) = previous else { return found };
    for ((name, now), (_, before)) in new.rates.named().into_iter().zip(previous.rates.named()) {
        if now.min(before).saturating_mul(ABSURD_FACTOR) < now.max(before) {
            found.push(format!(
                "`{name}` differs from the previous price by more than a factor of {ABSURD_FACTOR}"
            ));
        }
    }
    found
}

/// Whether nothing costs anything.
pub(super) fn is_free(price: &Price) -> bool {
    let free = |rates: Rates| rates.named().iter().all(|(_, rate)| *rate == 0);
    price.per_request == 0 && price.all_rates().all(free)
}
