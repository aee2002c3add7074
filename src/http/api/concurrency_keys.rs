//! Concurrency keys: names under which at most so many attempts run at once.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        caller::{MonitorCaller, OperatorCaller},
        gates::keys::{ConcurrencyKey, ConcurrencyKeyChange, KeyFilter, NewConcurrencyKey},
    },
    domain::ids::{ConcurrencyKeyId, ProjectId},
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

/// The filters of the list of concurrency keys.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencyKeyQuery {
    /// Only keys with this name.
    pub name: Option<String>,
    /// Only keys of this project.
    pub project_id: Option<ProjectId>,
}

/// List the concurrency keys.
///
/// Newest first, each with the attempts that hold a grant and the number of ready tasks that name it.
#[utoipa::path(get, path = "/v1/concurrency-keys")]
pub async fn list_concurrency_keys(
    Auth { app, caller }: Auth<MonitorCaller>,
    list: Listing<ConcurrencyKeyQuery, ConcurrencyKeyId>,
) -> Result<Paged<ConcurrencyKey>> {
    let ConcurrencyKeyQuery { name, project_id } = list.filter.clone();
    let filter = KeyFilter { key: None, name, project: project_id };
    let keys = app.list_concurrency_keys(&caller, &filter, list.after, list.rows()).await?;
    list.page(keys, |key| key.id)
}

/// Create a concurrency key.
///
/// Limit of concurrent attempts, `most`, of all tasks with this name in their `concurrency_keys`. The key of the goal's
/// project with that name takes precedence over the key of the workspace. An unknown name in a new task creates a key of
/// the workspace with `most` 1, so a merge queue needs no preparation. The service deletes such a key after the end of its
/// last task, unless an operator edits it. At most 1,000 keys.
#[utoipa::path(post, path = "/v1/concurrency-keys")]
pub async fn create_concurrency_key(
    Auth { app, caller }: Auth<OperatorCaller>,
    Create { body, idempotency }: Create<NewConcurrencyKey>,
) -> Result<Created<ConcurrencyKey>> {
    let outcome = app.create_concurrency_key(&caller, &body, idempotency.as_ref()).await?;
    let created = Created::new(outcome, |key| format!("/v1/concurrency-keys/{}", key.id));
    Ok(created.version(|key| key.version))
}

/// Read a concurrency key.
#[utoipa::path(get, path = "/v1/concurrency-keys/{concurrency_key_id}")]
pub async fn get_concurrency_key(
    Auth { app, caller }: Auth<MonitorCaller>,
    ApiPath(key): ApiPath<ConcurrencyKeyId>,
) -> Result<Versioned<ConcurrencyKey>> {
    Ok(Versioned::new(app.get_concurrency_key(&caller, key).await?, |key| key.version))
}

/// Edit a concurrency key.
///
/// Raising `most` lets waiting tasks start at once. Lowering it ends no attempt: nothing starts under the key until
/// enough have ended.
#[utoipa::path(patch, path = "/v1/concurrency-keys/{concurrency_key_id}")]
pub async fn update_concurrency_key(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(key): ApiPath<ConcurrencyKeyId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<ConcurrencyKeyChange>,
) -> Result<Versioned<ConcurrencyKey>> {
    let key = app.update_concurrency_key(&caller, key, if_match.version, &change).await?;
    Ok(Versioned::new(key, |key| key.version))
}

/// Delete a concurrency key.
///
/// Refused with 409 while open tasks name it. Ended tasks no longer name it, also if they come back. A task that
/// names it later creates it again.
#[utoipa::path(delete, path = "/v1/concurrency-keys/{concurrency_key_id}")]
pub async fn delete_concurrency_key(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(key): ApiPath<ConcurrencyKeyId>,
    if_match: IfMatch,
) -> Result<NoContent> {
    app.delete_concurrency_key(&caller, key, if_match.version).await?;
    Ok(NoContent)
}
