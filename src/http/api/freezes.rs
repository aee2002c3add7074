//! Freezes: stops that operators put on a scope.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use crate::{
    app::{
        App,
        caller::{OperatorCaller, ReaderCaller},
        freezes::{Freeze, FreezeDetail, FreezeFilter, Lift, NewFreeze},
    },
    domain::{freeze::FreezeScope, ids::FreezeId},
    http::{
        describe::handlers,
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::Versioned,
            idempotency::Create,
            page::{Listing, Paged, SortKey},
            path::ApiPath,
        },
        problem::Result,
        reply::Created,
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![list_freezes, set_freeze[NotFound], get_freeze, lift_freeze]
}

/// Which freezes to list.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FreezeQuery {
    /// `false`: only those in force; `true`: only those that were lifted.
    pub lifted: Option<bool>,
    /// Only on things of this kind.
    pub scope: Option<FreezeScope>,
    /// Only on this project, goal, task, agent or workspace itself, not on what it belongs to.
    pub scope_id: Option<Uuid>,
}

/// Where a page of freezes starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct FreezeAfter {
    id: FreezeId,
}

impl SortKey for FreezeAfter {
    const LIST: &'static str = "freezes";
}

/// List the freezes.
///
/// Newest first, lifted ones included.
#[utoipa::path(get, path = "/v1/freezes", tag = "freezes")]
async fn list_freezes(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    list: Listing<FreezeQuery, FreezeAfter>,
) -> Result<Paged<Freeze>> {
    let FreezeQuery { lifted, scope, scope_id } = list.filter;
    let filter = FreezeFilter { freeze: None, lifted, scope, scope_id };
    let after = list.after.map(|after| after.id);
    let freezes = app.list_freezes(&caller, filter, after, list.rows()).await?;
    list.page(freezes, |freeze| FreezeAfter { id: freeze.id })
}

/// Freeze a scope.
///
/// From the answer on, and until it is lifted, nothing under it is claimed. `drain` lets what runs go
/// on; `pause` tells the agents at work to save a checkpoint and release; `stop` has ended what ran, and
/// the answer says what. It holds for everybody at once and is kept over restarts.
///
/// Freezes do not replace each other: what several are over is free when all of them are lifted.
#[utoipa::path(post, path = "/v1/freezes", tag = "freezes")]
async fn set_freeze(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    Create { body, idempotency }: Create<NewFreeze>,
) -> Result<Created<FreezeDetail>> {
    let outcome = app.set_freeze(&caller, &body, idempotency.as_ref()).await?;
    let Freeze { id, generation, .. } = outcome.value.freeze;
    Ok(Created::new(format!("/v1/freezes/{id}"), outcome).version(generation))
}

/// Read a freeze.
///
/// With what it stopped, and how many attempts still run under it.
#[utoipa::path(get, path = "/v1/freezes/{freeze_id}", tag = "freezes")]
async fn get_freeze(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(freeze): ApiPath<FreezeId>,
) -> Result<Versioned<FreezeDetail>> {
    let freeze = app.get_freeze(&caller, freeze).await?;
    Ok(Versioned::new(freeze.freeze.generation, freeze))
}

/// Lift a freeze.
///
/// Only this one: what others are over stays frozen. Claims that wait are given what is free again.
/// Lifting a lifted freeze changes nothing.
#[utoipa::path(post, path = "/v1/freezes/{freeze_id}/lift", tag = "freezes")]
async fn lift_freeze(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(freeze): ApiPath<FreezeId>,
    ApiJson(lift): ApiJson<Lift>,
) -> Result<Versioned<FreezeDetail>> {
    let freeze = app.lift_freeze(&caller, freeze, &lift).await?;
    Ok(Versioned::new(freeze.freeze.generation, freeze))
}
