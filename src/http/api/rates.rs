//! Rates: how many attempts may start per minute, by capability.

use crate::{
    app::{
        caller::{MonitorCaller, OperatorCaller},
        rates::{Rate, RateChange},
    },
    domain::{ids::RateId, rate::NewRate},
    http::{
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfMatch, Versioned},
            idempotency::Create,
            page::{Listing, NoFilter, Paged},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, NoContent},
    },
};

/// List the rates.
///
/// Newest first, each with the starts that are free now.
#[utoipa::path(get, path = "/v1/rates")]
pub async fn list_rates(
    Auth { app, caller }: Auth<MonitorCaller>,
    list: Listing<NoFilter, RateId>,
) -> Result<Paged<Rate>> {
    let rates = app.list_rates(&caller, list.after, list.rows()).await?;
    list.page(rates, |rate| rate.id)
}

/// Create a rate.
///
/// Claims start no more attempts per minute at tasks that require the capability, over all agents and servers.
/// Tasks beyond it stay `ready`, and waiting claims are called when a start is free again. A person who takes a task
/// over starts at once and does not count. One rate per capability; a task with two of them needs both.
#[utoipa::path(post, path = "/v1/rates")]
pub async fn create_rate(
    Auth { app, caller }: Auth<OperatorCaller>,
    Create { body, idempotency }: Create<NewRate>,
) -> Result<Created<Rate>> {
    let outcome = app.create_rate(&caller, &body, idempotency.as_ref()).await?;
    let created = Created::new(outcome, |rate| format!("/v1/rates/{}", rate.id));
    Ok(created.version(|rate| rate.version))
}

/// Read a rate.
#[utoipa::path(get, path = "/v1/rates/{rate_id}")]
pub async fn get_rate(
    Auth { app, caller }: Auth<MonitorCaller>,
    ApiPath(rate): ApiPath<RateId>,
) -> Result<Versioned<Rate>> {
    Ok(Versioned::new(app.get_rate(&caller, rate).await?, |rate| rate.version))
}

/// Edit a rate.
///
/// Attempts that were started before still count.
#[utoipa::path(patch, path = "/v1/rates/{rate_id}")]
pub async fn update_rate(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(rate): ApiPath<RateId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<RateChange>,
) -> Result<Versioned<Rate>> {
    let rate = app.update_rate(&caller, rate, if_match.version, &change).await?;
    Ok(Versioned::new(rate, |rate| rate.version))
}

/// Delete a rate.
///
/// Starts of the capability are not limited from this answer on.
#[utoipa::path(delete, path = "/v1/rates/{rate_id}")]
pub async fn delete_rate(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(rate): ApiPath<RateId>,
) -> Result<NoContent> {
    app.delete_rate(&caller, rate).await?;
    Ok(NoContent)
}
