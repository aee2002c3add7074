//! A price of the price book, as the API shows it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    app::Unit,
    domain::{
        ids::{KeyId, PriceId},
        price::{Price, PriceDisagreement, PriceSource},
    },
    store::spend::prices::PriceRow,
};

/// Price of a model, from a point in time on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ModelPrice {
    /// Id of the price; `null` if it is built in.
    pub id: Option<PriceId>,
    /// Name of the provider that bills the calls.
    #[schema(example = "openai")]
    pub provider: String,
    /// Name of the model at the provider.
    #[schema(example = "gpt-4o")]
    pub model: String,
    /// Start of its validity; a later price of the same model replaces it.
    pub effective_from: DateTime<Utc>,
    /// Rates in pico-dollars per token: 1,000,000 are one dollar per million tokens.
    pub price: Price,
    /// How it was added; `null` if it is built in.
    pub source: Option<PriceSource>,
    /// Remark for people, from the request or the price file.
    pub note: Option<String>,
    /// The key that added it; `null` if it is built in.
    pub created_by: Option<KeyId>,
    /// When it was added; `null` if it is built in.
    pub created_at: Option<DateTime<Utc>>,
    /// What other books state for the same provider and model at the same time, where it is another
    /// price; only in the answer of `GET /v1/prices/find`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disagreements: Vec<PriceDisagreement>,
}

pub(super) fn row(
    unit: &Unit,
    provider: &str,
    model: &str,
    effective_from: DateTime<Utc>,
    price: &Price,
    source: PriceSource,
) -> PriceRow {
    PriceRow {
        price_id: unit.id(),
        provider: provider.to_owned(),
        model: model.to_owned(),
        effective_from,
        price: price.clone().into(),
        source,
        note: None,
        created_by: unit.actor(),
        created_at: unit.now(),
    }
}

pub(in crate::app) fn view(row: PriceRow) -> ModelPrice {
    let PriceRow {
        price_id,
        provider,
        model,
        effective_from,
        price,
        source,
        note,
        created_by,
        created_at,
    } = row;
    ModelPrice {
        id: Some(price_id),
        provider,
        model,
        effective_from,
        price: price.0,
        source: Some(source),
        note,
        created_by,
        created_at: Some(created_at),
        disagreements: Vec::new(),
    }
}
