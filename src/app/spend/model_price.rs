//! A price of the price book as the API shows it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    app::{Result, Unit, error::corrupt},
    domain::{
        ids::{KeyId, PriceId},
        price::{Price, PriceSource},
    },
    store::spend::prices::PriceRow,
};

/// What a model costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ModelPrice {
    /// Its id; `null`: it is built in.
    pub id: Option<PriceId>,
    /// Who sends the bill.
    #[schema(example = "openai")]
    pub provider: String,
    /// The model's name, as the provider has it.
    #[schema(example = "gpt-4o")]
    pub model: String,
    /// From when on it holds.
    pub effective_from: DateTime<Utc>,
    /// Rates in pico-dollars per token: 1,000,000 are one dollar per million tokens.
    pub price: Price,
    /// Where it comes from; `null`: it is built in.
    pub source: Option<PriceSource>,
    /// For people.
    pub note: Option<String>,
    /// The key that added it.
    pub created_by: Option<KeyId>,
    /// When it was added.
    pub created_at: Option<DateTime<Utc>>,
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
        price: json!(price),
        source,
        note: None,
        created_by: unit.actor(),
        created_at: unit.now(),
    }
}

pub(in crate::app) fn view(row: PriceRow) -> Result<ModelPrice> {
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
    Ok(ModelPrice {
        id: Some(price_id),
        provider,
        model,
        effective_from,
        price: serde_json::from_value(price).map_err(corrupt)?,
        source: Some(source),
        note,
        created_by,
        created_at: Some(created_at),
    })
}
