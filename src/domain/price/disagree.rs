//! Books that disagree about a price.
//!
//! The price book holds what several people say: an operator, LiteLLM, genai-prices, and the table
//! that is built in. One of them decides what a call costs, and people should hear when another says
//! something else.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    PriceSource,
    find::{BookPrice, in_effect, newest},
    provider::canonical,
    rate::Price,
};

/// The price that another book states for the same provider and model at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PriceDisagreement {
    /// Provider that sends the bill, as the other book names it.
    #[schema(example = "openai")]
    pub provider: String,
    /// Name of the model.
    #[schema(example = "gpt-4o")]
    pub model: String,
    /// The other book; `null`: the built-in table.
    pub source: Option<PriceSource>,
    /// Start of validity of its price.
    pub effective_from: DateTime<Utc>,
    /// Its price.
    pub price: Price,
    /// What differs: kinds of rates, `tiers`, `per_request` or `hours`.
    #[schema(example = json!(["input", "output"]))]
    pub differs: Vec<String>,
}

/// What books other than that of `chosen` say about its provider and model at `at`, where it is another
/// price: the newest price of each book.
#[must_use]
pub fn disagreements(
    books: &[&[BookPrice]],
    chosen: &BookPrice,
    at: DateTime<Utc>,
) -> Vec<PriceDisagreement> {
    let provider = canonical(&chosen.provider);
    let named = || books.iter().flat_map(|book| in_effect(book, &chosen.model, at));
    let of = |source: Option<PriceSource>| {
        newest(named().filter(|row| row.source == source && canonical(&row.provider) == provider))
    };
    let mut sources: Vec<_> = named().map(|row| row.source).collect();
    sources.sort_unstable();
    sources.dedup();
    let others = sources.into_iter().filter(|source| *source != chosen.source);
    others.filter_map(of).filter_map(|row| differing(row, &chosen.price)).collect()
}

fn differing(other: &BookPrice, price: &Price) -> Option<PriceDisagreement> {
    let differs = differences(&other.price, price);
    (!differs.is_empty()).then(|| PriceDisagreement {
        provider: other.provider.clone(),
        model: other.model.clone(),
        source: other.source,
        effective_from: other.effective_from,
        price: other.price.clone(),
        differs,
    })
}

fn differences(one: &Price, other: &Price) -> Vec<String> {
    let rates = one.rates.named().into_iter().zip(other.rates.named());
    let rates = rates.filter(|((_, one), (_, other))| one != other).map(|((name, _), _)| name);
    let rest = [
        ("tiers", one.tiers != other.tiers),
        ("per_request", one.per_request != other.per_request),
        ("hours", one.hours != other.hours),
    ];
    let rest = rest.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name);
    rates.chain(rest).map(str::to_owned).collect()
}
