//! Prices, and the cost of a call.
//!
//! A rate is a whole number of pico-dollars (1e-12 USD) per token; one dollar per million tokens is
//! 1,000,000. A [`Price`] is complete: omitted rates are filled in when it is made, so a stored
//! price never changes its meaning.

use std::{borrow::Cow, collections::BTreeMap};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{hours::HourWindow, usage::Tokens};

/// Pico-dollars per micro-dollar.
pub const PICOS_PER_MICRO: i64 = 1_000_000;
/// Highest rate: a dollar per token, in pico-dollars.
pub const RATE_MAX: i64 = 1_000_000_000_000;
/// Highest request price: a thousand dollars, in pico-dollars.
pub const REQUEST_MAX: i64 = 1_000_000_000_000_000;
/// Most tiers of a price.
pub const TIERS_MAX: usize = 20;
/// Most other prices by time of a price that an operator states, and most windows of each.
pub const HOURS_MAX: usize = 20;

/// Rates by kind of token, in pico-dollars (1e-12 USD) per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Input tokens without cache use, in pico-dollars per token.
    #[schema(example = 2_500_000)]
    pub input: i64,
    /// Output tokens without reasoning, in pico-dollars per token.
    #[schema(example = 10_000_000)]
    pub output: i64,
    /// Input tokens read from a cache, in pico-dollars per token.
    pub cache_read: i64,
    /// Input tokens written to a cache for five minutes or an unknown time, in pico-dollars per
    /// token.
    pub cache_write: i64,
    /// Input tokens written to a cache for an hour, in pico-dollars per token.
    pub cache_write_1h: i64,
    /// Reasoning tokens, in pico-dollars per token.
    pub reasoning: i64,
}

/// Another price at some times of the week, in pico-dollars (1e-12 USD). Of several the first that holds
/// applies, to the whole call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// When it applies: in any of these windows.
    pub windows: Vec<HourWindow>,
    /// Rates of prompts below every tier, at these times.
    pub rates: Rates,
    /// Other rates for large prompts, at these times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
    /// Price of each call besides its tokens, at these times.
    #[serde(default)]
    pub per_request: i64,
}

impl Hours {
    /// Whether it applies at `at`.
    #[must_use]
    pub fn hold(&self, at: DateTime<Utc>) -> bool {
        self.windows.iter().any(|window| window.holds(at))
    }
}

/// Stated rates, in pico-dollars per token; the others derive from them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatedRates {
    /// Input.
    pub input: i64,
    /// Output.
    pub output: i64,
    /// Input read from a cache; default: `input`.
    pub cache_read: Option<i64>,
    /// Input written to a cache; default: `input`.
    pub cache_write: Option<i64>,
    /// Input written to a cache for an hour; default: `cache_write`.
    pub cache_write_1h: Option<i64>,
    /// Reasoning; default: `output`.
    pub reasoning: Option<i64>,
}

/// Stated rates of a tier, in pico-dollars per token. An omitted rate is that of the next lower
/// tier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TierRates {
    /// Input.
    pub input: Option<i64>,
    /// Output.
    pub output: Option<i64>,
    /// Input read from a cache.
    pub cache_read: Option<i64>,
    /// Input written to a cache.
    pub cache_write: Option<i64>,
    /// Input written to a cache for an hour.
    pub cache_write_1h: Option<i64>,
    /// Reasoning.
    pub reasoning: Option<i64>,
}

impl StatedRates {
    /// All rates. Cache reads and writes default to input, writes for an hour to writes, reasoning
    /// to output.
    #[must_use]
    pub fn complete(self) -> Rates {
        let Self { input, output, cache_read, cache_write, cache_write_1h, reasoning } = self;
        let cache_write = cache_write.unwrap_or(input);
        Rates {
            input,
            output,
            cache_read: cache_read.unwrap_or(input),
            cache_write,
            cache_write_1h: cache_write_1h.unwrap_or(cache_write),
            reasoning: reasoning.unwrap_or(output),
        }
    }

    /// These rates, replaced by those that the next tier states.
    #[must_use]
    pub fn above(self, tier: TierRates) -> Self {
        Self {
            input: tier.input.unwrap_or(self.input),
            output: tier.output.unwrap_or(self.output),
            cache_read: tier.cache_read.or(self.cache_read),
            cache_write: tier.cache_write.or(self.cache_write),
            cache_write_1h: tier.cache_write_1h.or(self.cache_write_1h),
            reasoning: tier.reasoning.or(self.reasoning),
        }
    }
}

impl Rates {
    /// Every rate with its name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, i64); 6] {
        let Self { input, output, cache_read, cache_write, cache_write_1h, reasoning } = *self;
        [
            ("input", input),
            ("output", output),
            ("cache_read", cache_read),
            ("cache_write", cache_write),
            ("cache_write_1h", cache_write_1h),
            ("reasoning", reasoning),
        ]
    }

    /// The higher rate of each kind.
    #[must_use]
    pub fn dearer(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            output: self.output.max(other.output),
            cache_read: self.cache_read.max(other.cache_read),
            cache_write: self.cache_write.max(other.cache_write),
            cache_write_1h: self.cache_write_1h.max(other.cache_write_1h),
            reasoning: self.reasoning.max(other.reasoning),
        }
    }

    /// Cost of the tokens, in pico-dollars. Negative counts and rates count as zero.
    fn picos(&self, tokens: &Tokens) -> i128 {
        [
            (self.input, tokens.input),
            (self.output, tokens.output),
            (self.cache_read, tokens.cache_read),
            (self.cache_write, tokens.cache_write),
            (self.cache_write_1h, tokens.cache_write_1h),
            (self.reasoning, tokens.reasoning),
        ]
        .into_iter()
        .map(|(rate, count)| i128::from(rate.max(0)) * i128::from(count.max(0)))
        .fold(0, i128::saturating_add)
    }
}

/// Other rates for large prompts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Applies to prompts with more input tokens than this, cached ones included.
    #[schema(example = 200_000)]
    pub above: i64,
    /// Rates for all tokens of such a call.
    pub rates: Rates,
}

/// Price of calls of one model, in pico-dollars (1e-12 USD). Immutable once stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Rates of prompts below every tier.
    pub rates: Rates,
    /// Other rates for large prompts. The highest tier that the prompt exceeds applies to the whole
    /// call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
    /// Price of each call besides its tokens, in pico-dollars.
    #[serde(default)]
    pub per_request: i64,
    /// Other prices at some times of the week; the first that applies holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<Hours>,
}

impl Price {
    /// A price without tiers.
    #[must_use]
    pub fn flat(rates: Rates) -> Self {
        Self { rates, tiers: Vec::new(), per_request: 0, hours: Vec::new() }
    }

    /// The price that holds at `at`, the same at all hours.
    #[must_use]
    pub fn at(&self, at: DateTime<Utc>) -> Cow<'_, Self> {
        let hours = self.hours.iter().find(|hours| hours.hold(at));
        hours.map_or(Cow::Borrowed(self), |hours| Cow::Owned(Self::during(hours)))
    }

    /// The price during `hours`.
    fn during(hours: &Hours) -> Self {
        let Hours { windows: _, rates, tiers, per_request } = hours.clone();
        Self { rates, tiers, per_request, hours: Vec::new() }
    }

    /// Every price that can hold at some hour.
    pub(super) fn at_any_hour(&self) -> impl Iterator<Item = Cow<'_, Self>> {
        let other = self.hours.iter().map(|hours| Cow::Owned(Self::during(hours)));
        std::iter::once(Cow::Borrowed(self)).chain(other)
    }

    /// A price from stated rates and tiers by bound. A tier inherits from the next lower one; what
    /// none of them states derives from the tier's input and output.
    #[must_use]
    pub fn tiered(base: StatedRates, tiers: BTreeMap<i64, TierRates>) -> Self {
        let tiers = tiers.into_iter().scan(base, |below, (above, tier)| {
            *below = below.above(tier);
            Some(Tier { above, rates: below.complete() })
        });
        Self { tiers: tiers.collect(), ..Self::flat(base.complete()) }
    }

    /// Rates for a prompt of this many tokens.
    #[must_use]
    pub fn rates_for(&self, prompt: i64) -> Rates {
        let reached = self.tiers.iter().filter(|tier| prompt > tier.above);
        reached.max_by_key(|tier| tier.above).map_or(self.rates, |tier| tier.rates)
    }

    /// The base rates and those of all tiers and hours, in stored order.
    pub(super) fn all_rates(&self) -> impl Iterator<Item = Rates> {
        self.at_any_hour().flat_map(|price| {
            let tiers: Vec<Rates> = price.tiers.iter().map(|tier| tier.rates).collect();
            std::iter::once(price.rates).chain(tiers)
        })
    }
}

/// Money, exact to the pico-dollar; never negative, saturating.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost {
    /// Whole micro-dollars (1e-6 USD).
    pub micros: i64,
    /// Millionths of a micro-dollar besides, 0 to 999,999.
    pub fraction: i64,
}

impl Cost {
    /// Largest amount.
    pub const MAX: Self = Self { micros: i64::MAX, fraction: PICOS_PER_MICRO - 1 };

    /// From pico-dollars.
    #[must_use]
    pub fn from_picos(picos: i128) -> Self {
        let picos = picos.max(0);
        let unit = i128::from(PICOS_PER_MICRO);
        match (i64::try_from(picos / unit), i64::try_from(picos % unit)) {
            (Ok(micros), Ok(fraction)) => Self { micros, fraction },
            (Err(_), _) | (_, Err(_)) => Self::MAX,
        }
    }

    /// In pico-dollars.
    #[must_use]
    pub fn picos(self) -> i128 {
        i128::from(self.micros) * i128::from(PICOS_PER_MICRO) + i128::from(self.fraction)
    }

    /// Sum; fractions carry into micro-dollars.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self::from_picos(self.picos().saturating_add(other.picos()))
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Self::plus)
    }
}

/// Cost of a call made at `at`: each token at the rate of its kind in the tier of the prompt, plus the
/// request price, as they hold at that hour.
#[must_use]
pub fn cost(price: &Price, tokens: &Tokens, at: DateTime<Utc>) -> Cost {
    cost_of(&price.at(at), tokens)
}

/// Cost by a price, whatever its hours.
fn cost_of(price: &Price, tokens: &Tokens) -> Cost {
    let picos = price.rates_for(tokens.prompt()).picos(tokens);
    Cost::from_picos(picos.saturating_add(i128::from(price.per_request.max(0))))
}

/// Upper bound of the cost of an unknown model's call: each token at the highest rate of its kind
/// among these prices for such a prompt at any hour, plus the highest request price. At least the
/// [`cost`] by any of them; `None` without prices.
#[must_use]
pub fn dearest<'a>(prices: impl IntoIterator<Item = &'a Price>, tokens: &Tokens) -> Option<Cost> {
    let prompt = tokens.prompt();
    let each = prices.into_iter().flat_map(Price::at_any_hour).map(|price| Price {
        per_request: price.per_request,
        ..Price::flat(price.rates_for(prompt))
    });
    let highest = each.reduce(|one, other| Price {
        per_request: one.per_request.max(other.per_request),
        ..Price::flat(one.rates.dearer(other.rates))
    })?;
    Some(cost_of(&highest, tokens))
}
