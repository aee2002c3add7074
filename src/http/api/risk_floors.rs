//! Risk floors: the least risk of approvals, whatever the asker states.

use crate::{
    app::{
        approvals::floors::RiskFloorRule,
        caller::{AdminCaller, MonitorCaller},
    },
    domain::{approval::floor::FloorSpec, ids::RiskFloorId},
    http::{
        extract::{
            auth::Auth,
            idempotency::Create,
            page::{Listing, NoFilter, Paged},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, NoContent, Reply},
    },
};

/// List the risk floors.
///
/// Newest first, without deleted ones. An approval has at least the risk of every rule that covers it,
/// and of its task; its `risk_floor` names the highest.
#[utoipa::path(get, path = "/v1/risk-floors")]
pub async fn list_risk_floors(
    Auth { app, caller }: Auth<MonitorCaller>,
    list: Listing<NoFilter, RiskFloorId>,
) -> Result<Paged<RiskFloorRule>> {
    let floors = app.list_risk_floors(&caller, list.after, list.rows()).await?;
    list.page(floors, |floor| floor.id)
}

/// Create a risk floor.
///
/// It covers approvals that are requested later, and payloads that are revised later; pending approvals
/// stay as they are. Policies match on the risk that results. At most 100 rules.
#[utoipa::path(post, path = "/v1/risk-floors")]
pub async fn create_risk_floor(
    Auth { app, caller }: Auth<AdminCaller>,
    Create { body, idempotency }: Create<FloorSpec>,
) -> Result<Created<RiskFloorRule>> {
    let outcome = app.create_risk_floor(&caller, &body, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |floor| format!("/v1/risk-floors/{}", floor.id)))
}

/// Read a risk floor.
#[utoipa::path(get, path = "/v1/risk-floors/{floor_id}")]
pub async fn get_risk_floor(
    Auth { app, caller }: Auth<MonitorCaller>,
    ApiPath(floor): ApiPath<RiskFloorId>,
) -> Result<Reply<RiskFloorRule>> {
    Ok(Reply(app.get_risk_floor(&caller, floor).await?))
}

/// Delete a risk floor.
///
/// It covers nothing from this answer on. Approvals requested before keep their risk, and name the rule
/// in `risk_floor`.
#[utoipa::path(delete, path = "/v1/risk-floors/{floor_id}")]
pub async fn delete_risk_floor(
    Auth { app, caller }: Auth<AdminCaller>,
    ApiPath(floor): ApiPath<RiskFloorId>,
) -> Result<NoContent> {
    app.delete_risk_floor(&caller, floor).await?;
    Ok(NoContent)
}
