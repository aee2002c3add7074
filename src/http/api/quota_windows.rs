//! Quota windows: how much an account may use per window of its provider.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        caller::{MonitorCaller, OperatorCaller},
        quota_windows::{QuotaWindow, QuotaWindowChange},
    },
    domain::{ids::QuotaWindowId, quota::NewQuotaWindow},
    http::{
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfMatch, Versioned},
            idempotency::Create,
            page::{Listing, Paged},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, NoContent},
    },
};

/// The filters of the list of quota windows.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct QuotaWindowQuery {
    /// Only quota windows of this account.
    pub account: Option<String>,
}

/// List the quota windows.
///
/// Newest first, each with what is used of the present window.
#[utoipa::path(get, path = "/v1/quota-windows")]
pub async fn list_quota_windows(
    Auth { app, caller }: Auth<MonitorCaller>,
    list: Listing<QuotaWindowQuery, QuotaWindowId>,
) -> Result<Paged<QuotaWindow>> {
    let account = list.filter.account.as_deref();
    let windows = app.list_quota_windows(&caller, account, list.after, list.rows()).await?;
    list.page(windows, |window| window.id)
}

/// Create a quota window.
///
/// The agents with this `account` share it. Spend that they report counts, and with the unit `attempts` each
/// attempt that they start. From `stop_percent` on they are given no tasks until the window ends, nor a task whose
/// estimate does not fit into the rest. A task whose estimate exceeds the whole amount is given when nothing of a window
/// is used. Running attempts go on. An account may have several windows, such as one of five hours and one of a week.
#[utoipa::path(post, path = "/v1/quota-windows")]
pub async fn create_quota_window(
    Auth { app, caller }: Auth<OperatorCaller>,
    Create { body, idempotency }: Create<NewQuotaWindow>,
) -> Result<Created<QuotaWindow>> {
    let outcome = app.create_quota_window(&caller, &body, idempotency.as_ref()).await?;
    let created = Created::new(outcome, |window| format!("/v1/quota-windows/{}", window.id));
    Ok(created.version(|window| window.version))
}

/// Read a quota window.
#[utoipa::path(get, path = "/v1/quota-windows/{window_id}")]
pub async fn get_quota_window(
    Auth { app, caller }: Auth<MonitorCaller>,
    ApiPath(window): ApiPath<QuotaWindowId>,
) -> Result<Versioned<QuotaWindow>> {
    Ok(Versioned::new(app.get_quota_window(&caller, window).await?, |window| window.version))
}

/// Edit a quota window.
///
/// `used` and `resets_at` correct the service by what the provider says.
#[utoipa::path(patch, path = "/v1/quota-windows/{window_id}")]
pub async fn update_quota_window(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(window): ApiPath<QuotaWindowId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<QuotaWindowChange>,
) -> Result<Versioned<QuotaWindow>> {
    let window = app.update_quota_window(&caller, window, if_match.version, &change).await?;
    Ok(Versioned::new(window, |window| window.version))
}

/// Delete a quota window.
///
/// The account is not limited by it from this answer on.
#[utoipa::path(delete, path = "/v1/quota-windows/{window_id}")]
pub async fn delete_quota_window(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(window): ApiPath<QuotaWindowId>,
) -> Result<NoContent> {
    app.delete_quota_window(&caller, window).await?;
    Ok(NoContent)
}
