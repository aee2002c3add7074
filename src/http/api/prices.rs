//! The price book.

use std::sync::Arc;

use axum::{Extension, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{
        App,
        caller::{OperatorCaller, ReaderCaller},
        spend::{
            model_price::ModelPrice,
            price_book::{ImportAnswer, PriceImport},
            rerate::{RerateAnswer, RerateRequest},
        },
    },
    domain::{ids::PriceId, price::NewPrice},
    http::{
        describe::handlers,
        extract::{
            auth::Auth,
            body::{ApiJson, BodyLimit},
            idempotency::Create,
            page::{Listing, Paged, SortKey},
            query::ApiQuery,
        },
        problem::Result,
        reply::{Created, Reply},
        state::HttpState,
    },
};

/// Price files list thousands of models.
const FILE_LIMIT: BodyLimit = BodyLimit(16 * 1024 * 1024);

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    let files = handlers![import_prices];
    let others = handlers![list_prices, create_price, find_price[NotFound], rerate_spend];
    files.layer(Extension(FILE_LIMIT)).merge(others)
}

/// Which prices to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PriceQuery {
    /// Only of this provider.
    pub provider: Option<String>,
    /// Only of the model with exactly this name.
    pub model: Option<String>,
}

/// Which price to find.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FindPriceQuery {
    /// Who is called; left out, the model's name has to tell.
    pub provider: Option<String>,
    /// The model, as it would be reported.
    pub model: String,
    /// When the call is made; default: now.
    pub at: Option<DateTime<Utc>>,
}

/// Where a page of prices starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct PriceAfter {
    id: Option<PriceId>,
}

impl SortKey for PriceAfter {
    const LIST: &'static str = "prices";
}

/// List the workspace's own prices.
///
/// Newest first. Models that are not in the list may have a price that is built in:
/// `GET /v1/prices/find` knows.
#[utoipa::path(get, path = "/v1/prices", tag = "prices")]
async fn list_prices(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    list: Listing<PriceQuery, PriceAfter>,
) -> Result<Paged<ModelPrice>> {
    let PriceQuery { provider, model } = &list.filter;
    let after = list.after.and_then(|after| after.id);
    let (provider, model) = (provider.as_deref(), model.as_deref());
    let prices = app.list_prices(&caller, provider, model, after, list.rows()).await?;
    list.page(prices, |price| PriceAfter { id: price.id })
}

/// Add a price.
///
/// Prices are never changed: a correction is another one, and of two that hold at an instant the
/// later does. What was charged before stays until it is rated anew.
#[utoipa::path(post, path = "/v1/prices", tag = "prices")]
async fn create_price(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    Create { body, idempotency }: Create<NewPrice>,
) -> Result<Created<ModelPrice>> {
    let outcome = app.create_price(&caller, &body, idempotency.as_ref()).await?;
    Ok(Created::new("/v1/prices".to_owned(), outcome))
}

/// Read a price file.
///
/// Prices that the book does not have, or has otherwise, are added.
#[utoipa::path(post, path = "/v1/prices/import", tag = "prices")]
async fn import_prices(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiJson(file): ApiJson<PriceImport>,
) -> Result<Reply<ImportAnswer>> {
    Ok(Reply(app.import_prices(&caller, &file).await?))
}

/// Find the price that holds.
///
/// By the same rules by which reported usage is priced.
#[utoipa::path(get, path = "/v1/prices/find", tag = "prices")]
async fn find_price(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiQuery(query): ApiQuery<FindPriceQuery>,
) -> Result<Reply<ModelPrice>> {
    let FindPriceQuery { provider, model, at } = query;
    Ok(Reply(app.find_price(&caller, provider.as_deref(), &model, at).await?))
}

/// Rate calls anew.
///
/// By the price book as it is now. The difference is written as correction entries; sent again, it
/// finds none.
#[utoipa::path(post, path = "/v1/prices/rerate", tag = "prices")]
async fn rerate_spend(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiJson(request): ApiJson<RerateRequest>,
) -> Result<Reply<RerateAnswer>> {
    Ok(Reply(app.rerate_spend(&caller, &request).await?))
}
