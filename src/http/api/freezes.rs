//! Freezes: stops that operators put on a scope.

use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    app::{
        caller::{OperatorCaller, ReaderCaller},
        freezes::{Freeze, FreezeDetail, FreezeFilter, Lift, NewFreeze},
    },
    domain::{freeze::FreezeScope, ids::FreezeId},
    http::{
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::Versioned,
            idempotency::Create,
            page::{Listing, Paged},
            path::ApiPath,
        },
        problem::Result,
        reply::Created,
    },
};

/// The filters of the list of freezes.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct FreezeQuery {
    /// `false`: only freezes in force. `true`: only lifted freezes.
    pub lifted: Option<bool>,
    /// Only freezes on this kind of scope.
    pub scope: Option<FreezeScope>,
    /// Only freezes on this project, goal, task, agent or workspace itself, not on what contains
    /// it.
    pub scope_id: Option<Uuid>,
}

/// List the freezes.
///
/// Newest first, including lifted ones.
#[utoipa::path(get, path = "/v1/freezes")]
pub async fn list_freezes(
    Auth { app, caller }: Auth<ReaderCaller>,
    list: Listing<FreezeQuery, FreezeId>,
) -> Result<Paged<Freeze>> {
    let FreezeQuery { lifted, scope, scope_id } = list.filter;
    let filter = FreezeFilter { freeze: None, lifted, scope, scope_id };
    let freezes = app.list_freezes(&caller, filter, list.after, list.rows()).await?;
    list.page(freezes, |freeze| freeze.id)
}

/// Freeze a scope.
///
/// From this answer until the freeze is lifted, no task under the scope is claimed. `drain` lets
/// running attempts continue; `pause` asks their agents to save a checkpoint and release; `stop`
/// has ended them, and the answer lists them. A freeze applies to all agents at once and survives
/// restarts.
///
/// Several freezes may cover a task; it is free when all of them are lifted.
#[utoipa::path(post, path = "/v1/freezes")]
pub async fn set_freeze(
    Auth { app, caller }: Auth<OperatorCaller>,
    Create { body, idempotency }: Create<NewFreeze>,
) -> Result<Created<FreezeDetail>> {
    let outcome = app.set_freeze(&caller, &body, idempotency.as_ref()).await?;
    let created = Created::new(outcome, |made| format!("/v1/freezes/{}", made.freeze.id));
    Ok(created.version(|made| made.freeze.generation))
}

/// Read a freeze.
///
/// Includes what it stopped, and the number of attempts that still run under it.
#[utoipa::path(get, path = "/v1/freezes/{freeze_id}")]
pub async fn get_freeze(
    Auth { app, caller }: Auth<ReaderCaller>,
    ApiPath(freeze): ApiPath<FreezeId>,
) -> Result<Versioned<FreezeDetail>> {
    Ok(Versioned::new(app.get_freeze(&caller, freeze).await?, |freeze| freeze.freeze.generation))
}

/// Lift a freeze.
///
/// Lifts this one only: tasks under other freezes stay frozen. Waiting claims get the tasks that
/// become free. Lifting a lifted freeze changes nothing.
#[utoipa::path(post, path = "/v1/freezes/{freeze_id}/lift")]
pub async fn lift_freeze(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(freeze): ApiPath<FreezeId>,
    ApiJson(lift): ApiJson<Lift>,
) -> Result<Versioned<FreezeDetail>> {
    let freeze = app.lift_freeze(&caller, freeze, &lift).await?;
    Ok(Versioned::new(freeze, |freeze| freeze.freeze.generation))
}
