//! Planners: the model that the planner `llm` asks.

use crate::{
    app::{
        caller::AdminCaller,
        planners::settings::{PlannerModel, PlannerModelSpec},
    },
    http::{
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfMatch, Versioned},
        },
        problem::Result,
        reply::NoContent,
    },
};

/// Read the planner's model.
///
/// Returns the model that the planner `llm` asks: that of the workspace, else that of the service. The key
/// is never shown.
#[utoipa::path(get, path = "/v1/planner")]
pub async fn get_planner(
    Auth { app, caller }: Auth<AdminCaller>,
) -> Result<Versioned<PlannerModel>> {
    Ok(Versioned::new(app.get_planner_model(&caller).await?, |model| model.version))
}

/// Set the planner's model.
///
/// Replaces the settings of the workspace. Without settings their version is 0: send `If-Match: "v0"` the
/// first time. The key is stored encrypted and never shown; omit it to keep it.
///
/// An address over plain HTTP, or of this machine or a private network, is refused unless the setting
/// `MUSTER_PLANNER_HOSTS` of the service lists its host.
#[utoipa::path(put, path = "/v1/planner")]
pub async fn set_planner(
    Auth { app, caller }: Auth<AdminCaller>,
    if_match: IfMatch,
    ApiJson(spec): ApiJson<PlannerModelSpec>,
) -> Result<Versioned<PlannerModel>> {
    let model = app.set_planner_model(&caller, if_match.version, &spec).await?;
    Ok(Versioned::new(model, |model| model.version))
}

/// Remove the planner's model.
///
/// Removes the settings and the key of the workspace. The planner `llm` then asks the model of the service,
/// if it has one.
#[utoipa::path(delete, path = "/v1/planner")]
pub async fn delete_planner(
    Auth { app, caller }: Auth<AdminCaller>,
    if_match: IfMatch,
) -> Result<NoContent> {
    app.delete_planner_model(&caller, if_match.version).await?;
    Ok(NoContent)
}
