//! The price book: the prices of models.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        caller::{OperatorCaller, ReaderCaller},
        spend::{
            model_price::ModelPrice,
            price_book::{ImportAnswer, PriceImport},
            rerate::{RerateAnswer, RerateRequest},
        },
    },
    domain::{ids::PriceId, price::NewPrice},
    http::{
        extract::{
            auth::Auth,
            body::ApiJson,
            idempotency::Create,
            page::{Listing, Paged},
            query::ApiQuery,
        },
        problem::Result,
        reply::{Created, Reply},
    },
};

/// The filters of the list of prices.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PriceQuery {
    /// Only prices of this provider.
    pub provider: Option<String>,
    /// Only prices of the model with exactly this name.
    pub model: Option<String>,
}

/// The call whose price to find.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct FindPriceQuery {
    /// The provider of the call; by default the one that the name of the model implies.
    pub provider: Option<String>,
    /// The model, as it is reported.
    pub model: String,
    /// The instant of the call; default: now.
    pub at: Option<DateTime<Utc>>,
}

/// List the prices of the workspace.
///
/// Newest first. Models without a price here may have a built-in one: see `GET /v1/prices/find`.
#[utoipa::path(get, path = "/v1/prices")]
pub async fn list_prices(
    Auth { app, caller }: Auth<ReaderCaller>,
    list: Listing<PriceQuery, Option<PriceId>>,
) -> Result<Paged<ModelPrice>> {
    let PriceQuery { provider, model } = &list.filter;
    let after = list.after.flatten();
    let (provider, model) = (provider.as_deref(), model.as_deref());
    let prices = app.list_prices(&caller, provider, model, after, list.rows()).await?;
    list.page(prices, |price| price.id)
}

/// Create a price.
///
/// Prices never change: a correction is a new price, and of two prices for the same instant the
/// later one applies. Earlier charges stay until they are rated again.
#[utoipa::path(post, path = "/v1/prices")]
pub async fn create_price(
    Auth { app, caller }: Auth<OperatorCaller>,
    Create { body, idempotency }: Create<NewPrice>,
) -> Result<Created<ModelPrice>> {
    let outcome = app.create_price(&caller, &body, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |_| "/v1/prices".to_owned()))
}

/// Import a price file.
///
/// Adds every price that is new or differs from the one in the price book.
#[utoipa::path(post, path = "/v1/prices/import")]
pub async fn import_prices(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiJson(file): ApiJson<PriceImport>,
) -> Result<Reply<ImportAnswer>> {
    Ok(Reply(app.import_prices(&caller, &file).await?))
}

/// Find the price of a call.
///
/// By the same rules that price reported usage.
#[utoipa::path(get, path = "/v1/prices/find")]
pub async fn find_price(
    Auth { app, caller }: Auth<ReaderCaller>,
    ApiQuery(query): ApiQuery<FindPriceQuery>,
) -> Result<Reply<ModelPrice>> {
    let FindPriceQuery { provider, model, at } = query;
    Ok(Reply(app.find_price(&caller, provider.as_deref(), &model, at).await?))
}

/// Rate spend again.
///
/// Uses the price book of this moment. Differences are written as correction entries; the same
/// request again finds none.
#[utoipa::path(post, path = "/v1/prices/rerate")]
pub async fn rerate_spend(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiJson(request): ApiJson<RerateRequest>,
) -> Result<Reply<RerateAnswer>> {
    Ok(Reply(app.rerate_spend(&caller, &request).await?))
}
