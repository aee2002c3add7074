//! Keys: who may do what.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{
        App,
        access::keys::{IssuedKey, Key, KeyFilter, NewKey},
        caller::AdminCaller,
    },
    domain::{
        access::role::Role,
        ids::{AgentId, KeyId},
    },
    http::{
        describe::handlers,
        extract::{
            auth::Auth,
            idempotency::Create,
            page::{Listing, Paged, SortKey},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, Reply},
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![list_keys, create_key, get_key, revoke_key[LastAdminKey]]
}

/// Which keys to list.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeyQuery {
    /// Only keys with this role.
    pub role: Option<Role>,
    /// Only keys of this agent.
    pub agent_id: Option<AgentId>,
}

/// Where a page of keys starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct KeyAfter {
    id: KeyId,
}

impl SortKey for KeyAfter {
    const LIST: &'static str = "keys";
}

/// List the keys.
///
/// Newest first, revoked and expired ones included. The secrets are not shown: they are stored
/// nowhere.
#[utoipa::path(get, path = "/v1/keys", tag = "keys")]
async fn list_keys(
    Auth(caller): Auth<AdminCaller>,
    State(app): State<Arc<App>>,
    list: Listing<KeyQuery, KeyAfter>,
) -> Result<Paged<Key>> {
    let filter = KeyFilter { key: None, role: list.filter.role, agent_id: list.filter.agent_id };
    let after = list.after.map(|after| after.id);
    let keys = app.list_keys(&caller, filter, after, list.rows()).await?;
    list.page(keys, |key| KeyAfter { id: key.id })
}

/// Make a key.
///
/// The answer holds the token, which is shown this once. With an `Idempotency-Key`, the same request
/// sent again within 24 hours gets the same token again, because the stored answer is encrypted
/// with the caller's own key.
#[utoipa::path(post, path = "/v1/keys", tag = "keys")]
async fn create_key(
    Auth(caller): Auth<AdminCaller>,
    State(app): State<Arc<App>>,
    Create { body, idempotency }: Create<NewKey>,
) -> Result<Created<IssuedKey>> {
    let outcome = app.create_key(&caller, &body, idempotency.as_ref()).await?;
    Ok(Created::new(format!("/v1/keys/{}", outcome.value.key.id), outcome))
}

/// Read a key.
#[utoipa::path(get, path = "/v1/keys/{key_id}", tag = "keys")]
async fn get_key(
    Auth(caller): Auth<AdminCaller>,
    State(app): State<Arc<App>>,
    ApiPath(key): ApiPath<KeyId>,
) -> Result<Reply<Key>> {
    Ok(Reply(app.get_key(&caller, key).await?))
}

/// Revoke a key.
///
/// From the answer on, every request with it is refused. Revoking a revoked key changes nothing.
/// The last valid admin key cannot be revoked, because nobody could make another.
#[utoipa::path(post, path = "/v1/keys/{key_id}/revoke", tag = "keys")]
async fn revoke_key(
    Auth(caller): Auth<AdminCaller>,
    State(app): State<Arc<App>>,
    ApiPath(key): ApiPath<KeyId>,
) -> Result<Reply<Key>> {
    Ok(Reply(app.revoke_key(&caller, key).await?))
}
