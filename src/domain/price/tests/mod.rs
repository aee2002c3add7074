//! Tests of the price book's rules.

mod decimal;
mod disagree;
mod find;
mod hours;
mod import;
mod new_price;
mod rate;
mod sift;
mod usage;

use super::{Cost, Price, Rates, Tokens};
use chrono::{DateTime, Utc};
use proptest::prelude::*;

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// What a call costs by a price that is the same at all hours.
fn cost(price: &Price, tokens: &Tokens) -> Cost {
    super::cost(price, tokens, instant("2025-06-01T12:00:00Z"))
}

/// gpt-4o's list price.
fn gpt_4o() -> Price {
    Price::flat(Rates {
        input: 2_500_000,
        output: 10_000_000,
        cache_read: 1_250_000,
        cache_write: 2_500_000,
        cache_write_1h: 2_500_000,
        reasoning: 10_000_000,
    })
}

fn any_rates() -> impl Strategy<Value = Rates> {
    prop::array::uniform6(0_i64..200_000_000).prop_map(|[a, b, c, d, e, f]| Rates {
        input: a,
        output: b,
        cache_read: c,
        cache_write: d,
        cache_write_1h: e,
        reasoning: f,
    })
}

fn any_price() -> impl Strategy<Value = Price> {
    let tiers = prop::collection::vec((1_i64..4_000, any_rates()), 0..4);
    (any_rates(), tiers, 0_i64..5_000_000).prop_map(|(rates, tiers, per_request)| {
        let tiers = tiers.into_iter().map(|(above, rates)| super::Tier { above, rates });
        Price { rates, tiers: tiers.collect(), per_request, hours: Vec::new() }
    })
}

fn any_tokens() -> impl Strategy<Value = Tokens> {
    prop::array::uniform6(0_i64..2_000).prop_map(|[a, b, c, d, e, f]| Tokens {
        input: a,
        cache_read: b,
        cache_write: c,
        cache_write_1h: d,
        output: e,
        reasoning: f,
    })
}
