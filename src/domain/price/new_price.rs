//! Prices sent by operators, and signs of a mistake in them.
//!
//! The wire form is dollars per million tokens, as on providers' pages, in decimal text that is
//! read exactly. A price that is not a whole number of pico-dollars per token is refused, not
//! rounded. An *absurd* price, most likely a wrong decimal point or unit, needs `force`.

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
    hours::HourWindow,
    rate::{
        HOURS_MAX, Hours, Price, RATE_MAX, REQUEST_MAX, Rates, StatedRates, TIERS_MAX, TierRates,
    },
};

/// Rates above this are absurd: a thousand dollars per million tokens, in pico-dollars per token.
pub const ABSURD_RATE: i64 = 1_000_000_000;
/// Request prices above this are absurd: ten dollars, in pico-dollars.
pub const ABSURD_REQUEST: i64 = 10_000_000_000_000;
/// A change by more than this factor is absurd.
pub const ABSURD_FACTOR: i64 = 100;

/// Dollars as decimal text. A JSON number is accepted too, through its shortest decimal text.
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
    /// `self * 10^power`; reports why it is invalid.
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

/// Rates by kind of token, in US dollars per million tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRates {
    /// Input tokens without cache use, in US dollars per million.
    pub input: Usd,
    /// Output tokens without reasoning, in US dollars per million.
    pub output: Usd,
    /// Input tokens read from a cache, in US dollars per million. Default: `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Usd>,
    /// Input tokens written to a cache for five minutes or an unknown time, in US dollars per
    /// million. Default: `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Usd>,
    /// Input tokens written to a cache for an hour, in US dollars per million. Default:
    /// `cache_write`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Usd>,
    /// Reasoning tokens, in US dollars per million. Default: `output`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Usd>,
}

/// Rates of a tier, in US dollars per million tokens. An omitted rate is that of the next lower
/// tier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewTierRates {
    /// Input tokens without cache use, in US dollars per million.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Usd>,
    /// Output tokens without reasoning, in US dollars per million.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Usd>,
    /// Input tokens read from a cache, in US dollars per million.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Usd>,
    /// Input tokens written to a cache for five minutes or an unknown time, in US dollars per
    /// million.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Usd>,
    /// Input tokens written to a cache for an hour, in US dollars per million.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Usd>,
    /// Reasoning tokens, in US dollars per million.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Usd>,
}

/// Other rates for large prompts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTier {
    /// Applies to prompts with more input tokens than this, cached ones included.
    #[schema(example = 200_000, minimum = 1)]
    pub above: i64,
    /// Rates for all tokens of such a call, in US dollars per million.
    pub usd_per_million: NewTierRates,
}

/// Another price at some times of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "windows": [{"from": "16:30:00", "to": "00:30:00"}],
    "usd_per_million": {"input": "0.135", "output": "0.55"}
}))]
pub struct NewHours {
    /// When it applies: in any of these windows, at most 20.
    pub windows: Vec<HourWindow>,
    /// Rates by kind of token at these times, in US dollars per million tokens.
    pub usd_per_million: NewRates,
    /// Price of each call besides its tokens at these times, in US dollars. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_request: Option<Usd>,
    /// Other rates for large prompts at these times, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<NewTier>,
}

/// A price to add to the price book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "provider": "openai", "model": "gpt-4o",
    "usd_per_million": {"input": "2.50", "output": "10", "cache_read": "1.25"}
}))]
pub struct NewPrice {
    /// Provider that sends the bill; any of its usual names. `unknown`: the price of calls that state no
    /// provider.
    #[schema(example = "openai", min_length = 1, max_length = 100)]
    pub provider: String,
    /// Model name as calls report it.
    #[schema(example = "gpt-4o", min_length = 1, max_length = 200)]
    pub model: String,
    /// Start of validity; calls before it keep their earlier price. Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_from: Option<DateTime<Utc>>,
    /// Rates by kind of token, in US dollars per million tokens.
    pub usd_per_million: NewRates,
    /// Price of each call besides its tokens, in US dollars. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_request: Option<Usd>,
    /// Other rates for large prompts, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<NewTier>,
    /// Other prices at some times of the week, at most 20; the first that applies holds, for the whole
    /// call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<NewHours>,
    /// Free text for people, for example the source of the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub note: Option<String>,
    /// Accept a price that looks like a mistake.
    #[serde(default)]
    pub force: bool,
}

impl NewPrice {
    /// The price, when it is the whole request body.
    ///
    /// # Errors
    /// `invalid`, with every fault.
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
        let Self { usd_per_million, usd_per_request, tiers, .. } = self;
        let price = terms(checks, at, usd_per_million, usd_per_request.as_ref(), tiers);
        let place = pointer(at, "hours");
        checks.count(&place, self.hours.len(), HOURS_MAX);
        let hours = self.hours.iter().enumerate().take(HOURS_MAX);
        let hours = hours.map(|(index, hours)| hours.build(checks, &pointer(&place, index)));
        Price { hours: hours.collect(), ..price }
    }
}

/// The price in a request or in some hours of it, the same at all times.
fn terms(
    checks: &mut Checks,
    at: &str,
    rates: &NewRates,
    per_request: Option<&Usd>,
    tiers: &[NewTier],
) -> Price {
    let stated = rates.read(checks, &pointer(at, "usd_per_million"));
    let per_request = per_request
        .and_then(|usd| usd.read(checks, &pointer(at, "usd_per_request"), PER_ONE, REQUEST_MAX));
    let place = pointer(at, "tiers");
    checks.count(&place, tiers.len(), TIERS_MAX);
    let mut read = BTreeMap::new();
    for (index, tier) in tiers.iter().enumerate().take(TIERS_MAX) {
        let here = pointer(&place, index);
        let above = pointer(&here, "above");
        checks.range(&above, tier.above, 1..=settings::AMOUNT_MAX);
        let rates = tier.usd_per_million.read(checks, &pointer(&here, "usd_per_million"));
        let before = read.insert(tier.above, rates);
        checks.ensure(before.is_none(), &above, "is the bound of another tier");
    }
    Price { per_request: per_request.unwrap_or(0), ..Price::tiered(stated, read) }
}

impl NewHours {
    fn build(&self, checks: &mut Checks, at: &str) -> Hours {
        let Self { windows, usd_per_million, usd_per_request, tiers } = self;
        let price = terms(checks, at, usd_per_million, usd_per_request.as_ref(), tiers);
        let place = pointer(at, "windows");
        checks.ensure(!windows.is_empty(), &place, "must have at least one window");
        checks.count(&place, windows.len(), HOURS_MAX);
        for (index, window) in windows.iter().enumerate().take(HOURS_MAX) {
            window.check(checks, &pointer(&place, index));
        }
        let Price { rates, tiers, per_request, hours: _ } = price;
        Hours { windows: windows.clone(), rates, tiers, per_request }
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

/// Signs of a mistake in a price that a person typed: those of [`absurd_rates`]; a base rate that is zero
/// where the previous one was not, or the other way; and a price of zero throughout, which is more often
/// a field left empty than a model that costs nothing.
#[must_use]
pub fn absurdities(new: &Price, previous: Option<&Price>) -> Vec<String> {
    let mut found = absurd_rates(new, previous);
    found.extend(far(new, previous, |now, before| (now == 0) != (before == 0)));
    if is_free(new) {
        found.push("every rate and the request price are zero".to_owned());
    }
    found
}

/// Signs of a mistake in a price, one sentence each: a rate above $1,000 per million tokens or a
/// request above $10; a base rate that differs from the model's previous price by more than a factor
/// of a hundred. Zero is no sign: files have models that cost nothing, and that later cost something.
#[must_use]
pub fn absurd_rates(new: &Price, previous: Option<&Price>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, rate) in new.all_rates().flat_map(|rates| rates.named()) {
        let text = format!("`{name}` is above $1,000 per million tokens");
        // Tiers inherit rates; each kind is named once.
        if rate > ABSURD_RATE && !found.contains(&text) {
            found.push(text);
        }
    }
    if new.at_any_hour().any(|price| price.per_request > ABSURD_REQUEST) {
        found.push("a request costs more than $10".to_owned());
    }
    found.extend(far(new, previous, |now, before| {
        let (low, high) = (now.min(before), now.max(before));
        low != 0 && low.saturating_mul(ABSURD_FACTOR) < high
    }));
    found
}

/// A sentence for each base rate that is too far from the previous one.
fn far(
    new: &Price,
    previous: Option<&Price>,
    is_far: impl Fn(i64, i64) -> bool,
) -> impl Iterator<Item = String> {
    let pairs = previous
        .into_iter()
        .flat_map(move |previous| new.rates.named().into_iter().zip(previous.rates.named()));
    let pairs = pairs.filter(move |((_, now), (_, before))| is_far(*now, *before));
    pairs.map(|((name, _), _)| {
        format!("`{name}` differs from the previous price by more than a factor of {ABSURD_FACTOR}")
    })
}

/// Whether every rate and the request price are zero.
pub(super) fn is_free(price: &Price) -> bool {
    let free = |rates: Rates| rates.named().iter().all(|(_, rate)| *rate == 0);
    price.at_any_hour().all(|price| price.per_request == 0) && price.all_rates().all(free)
}
