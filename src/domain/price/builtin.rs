//! Built-in prices: list prices of widely used models.
//!
//! They let a new installation turn tokens into money at once. They apply from the start of 2024,
//! before most of these models existed; earlier prices of a model are not included. A dated name is
//! listed where its price is not that of the bare name. An operator's price of the same or a later date
//! replaces them.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};

use super::{
    find::BookPrice,
    rate::{Price, StatedRates, TierRates},
};

/// Start of validity: 2024-01-01T00:00:00Z.
const SINCE: i64 = 1_704_067_200;
/// Pico-dollars per token, for a thousandth of a dollar per million tokens.
const MILL: i64 = 1_000;

/// Rates of a model, in thousandths of a dollar per million tokens.
struct Row {
    model: &'static str,
    input: i64,
    output: i64,
    cache_read: i64,
    /// For five minutes and for an hour; `None`: as input.
    cache_write: Option<(i64, i64)>,
    tier: Option<Large>,
}

/// Rates of large prompts, in thousandths of a dollar per million tokens.
struct Large {
    above: i64,
    input: i64,
    output: i64,
    cache_read: i64,
}

const fn row(model: &'static str, input: i64, output: i64, cache_read: i64) -> Row {
    Row { model, input, output, cache_read, cache_write: None, tier: None }
}

impl Row {
    const fn writing(self, short: i64, long: i64) -> Self {
        Self { cache_write: Some((short, long)), ..self }
    }

    const fn above(self, above: i64, input: i64, output: i64, cache_read: i64) -> Self {
        Self { tier: Some(Large { above, input, output, cache_read }), ..self }
    }
}

const OPENAI: &[Row] = &[
    row("gpt-4o", 2_500, 10_000, 1_250),
    row("gpt-4o-2024-05-13", 5_000, 15_000, 5_000),
    row("gpt-4o-mini", 150, 600, 75),
    row("gpt-4.1", 2_000, 8_000, 500),
    row("gpt-4.1-mini", 400, 1_600, 100),
    row("gpt-4.1-nano", 100, 400, 25),
    row("o3", 2_000, 8_000, 500),
    row("o4-mini", 1_100, 4_400, 275),
    row("gpt-5", 1_250, 10_000, 125),
    row("gpt-5-mini", 250, 2_000, 25),
    row("gpt-5-nano", 50, 400, 5),
    row("gpt-5.2", 1_750, 14_000, 175),
    row("gpt-5.4", 2_500, 15_000, 250).above(272_000, 5_000, 22_500, 500),
    row("gpt-5.5", 5_000, 30_000, 500).above(272_000, 10_000, 45_000, 1_000),
];

const ANTHROPIC: &[Row] = &[
    row("claude-haiku-4-5", 1_000, 5_000, 100).writing(1_250, 2_000),
    row("claude-sonnet-4-5", 3_000, 15_000, 300).writing(3_750, 6_000),
    row("claude-sonnet-4-6", 3_000, 15_000, 300).writing(3_750, 6_000),
    row("claude-opus-4-5", 5_000, 25_000, 500).writing(6_250, 10_000),
    row("claude-opus-4-6", 5_000, 25_000, 500).writing(6_250, 10_000),
];

const GOOGLE: &[Row] = &[
    row("gemini-2.5-pro", 1_250, 10_000, 125).above(200_000, 2_500, 15_000, 250),
    row("gemini-2.5-flash", 300, 2_500, 30),
    row("gemini-2.5-flash-lite", 100, 400, 10),
];

const MISTRAL: &[Row] = &[
    row("mistral-large-latest", 500, 1_500, 50),
    row("mistral-medium-latest", 1_500, 7_500, 150),
    row("mistral-small-latest", 150, 600, 15),
];

const DEEPSEEK: &[Row] =
    &[row("deepseek-chat", 280, 420, 28), row("deepseek-reasoner", 280, 420, 28)];

/// The built-in prices. Their numbers are negative, so an operator's price of the same instant
/// precedes them.
#[must_use]
pub fn builtin() -> &'static [BookPrice] {
    static TABLE: LazyLock<Vec<BookPrice>> = LazyLock::new(table);
    &TABLE
}

fn table() -> Vec<BookPrice> {
    let since = DateTime::<Utc>::from_timestamp(SINCE, 0).unwrap_or_default();
    let providers = [
        ("openai", OPENAI),
        ("anthropic", ANTHROPIC),
        ("google", GOOGLE),
        ("mistral", MISTRAL),
        ("deepseek", DEEPSEEK),
    ];
    let rows = providers.iter().flat_map(|(name, rows)| rows.iter().map(move |row| (*name, row)));
    rows.zip(1..)
        .map(|((provider, row), count)| BookPrice {
            number: -count,
            provider: provider.to_owned(),
            model: row.model.to_owned(),
            effective_from: since,
            price: price(row),
            source: None,
        })
        .collect()
}

fn price(row: &Row) -> Price {
    let Row { model: _, input, output, cache_read, cache_write, tier } = row;
    let stated = StatedRates {
        input: input * MILL,
        output: output * MILL,
        cache_read: Some(cache_read * MILL),
        cache_write: cache_write.map(|(short, _)| short * MILL),
        cache_write_1h: cache_write.map(|(_, long)| long * MILL),
        reasoning: None,
    };
    let large = tier.as_ref().map(|Large { above, input, output, cache_read }| {
        let rates = TierRates {
            input: Some(input * MILL),
            output: Some(output * MILL),
            cache_read: Some(cache_read * MILL),
            ..TierRates::default()
        };
        (*above, rates)
    });
    Price::tiered(stated, large.into_iter().collect())
}
