//! Keys: access to a workspace, with a role.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        access::{
            keys::{IssuedKey, Key, KeyFilter, NewKey},
            rotate::Rotation,
        },
        caller::{AdminCaller, SelfCaller},
    },
    domain::{
        access::role::Role,
        ids::{AgentId, KeyId},
    },
    http::{
        extract::{
            auth::Auth,
            idempotency::Create,
            page::{Listing, Paged},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, Reply},
    },
};

/// The filters of the list of keys.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct KeyQuery {
    /// Only keys with this role.
    pub role: Option<Role>,
    /// Only keys of this agent.
    pub agent_id: Option<AgentId>,
}

/// List the keys.
///
/// Newest first, including revoked and expired ones. Their secrets are not stored and cannot be
/// shown.
#[utoipa::path(get, path = "/v1/keys")]
pub async fn list_keys(
    Auth { app, caller }: Auth<AdminCaller>,
    list: Listing<KeyQuery, KeyId>,
) -> Result<Paged<Key>> {
    let filter = KeyFilter { key: None, role: list.filter.role, agent_id: list.filter.agent_id };
    let keys = app.list_keys(&caller, filter, list.after, list.rows()).await?;
    list.page(keys, |key| key.id)
}

/// Create a key.
///
/// The token is shown only in this answer. With an `Idempotency-Key`, the same request within 24
/// hours returns the same token: the stored answer is encrypted with the key of the caller.
#[utoipa::path(post, path = "/v1/keys")]
pub async fn create_key(
    Auth { app, caller }: Auth<AdminCaller>,
    Create { body, idempotency }: Create<NewKey>,
) -> Result<Created<IssuedKey>> {
    let outcome = app.create_key(&caller, &body, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |made| format!("/v1/keys/{}", made.key.id)))
}

/// Read a key.
#[utoipa::path(get, path = "/v1/keys/{key_id}")]
pub async fn get_key(
    Auth { app, caller }: Auth<AdminCaller>,
    ApiPath(key): ApiPath<KeyId>,
) -> Result<Reply<Key>> {
    Ok(Reply(app.get_key(&caller, key).await?))
}

/// Revoke a key.
///
/// Every request with it is refused from this answer on. Revoking a revoked key changes nothing.
/// The last valid admin key cannot be revoked, since nobody could create another.
#[utoipa::path(post, path = "/v1/keys/{key_id}/revoke")]
pub async fn revoke_key(
    Auth { app, caller }: Auth<AdminCaller>,
    ApiPath(key): ApiPath<KeyId>,
) -> Result<Reply<Key>> {
    Ok(Reply(app.revoke_key(&caller, key).await?))
}

/// Rotate a key.
///
/// Makes another key with the same role, person, agent, scope and lifetime, shown only in this
/// answer. The old key is accepted until the overlap is over. In votes and exclusions both count as
/// one. Keys that end with the old key end with the new one from now on. A key is rotated once: rotate
/// its successor next time.
#[utoipa::path(post, path = "/v1/keys/{key_id}/rotate")]
pub async fn rotate_key(
    Auth { app, caller }: Auth<AdminCaller>,
    ApiPath(key): ApiPath<KeyId>,
    Create { body, idempotency }: Create<Rotation>,
) -> Result<Created<IssuedKey>> {
    let outcome = app.rotate_key(&caller, key, body, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |made| format!("/v1/keys/{}", made.key.id)))
}

/// Rotate your own key.
///
/// As an administrator's rotation, with one limit: the new key expires when the old one was to expire.
/// Keys of agents get the lifetime of the workspace.
#[utoipa::path(post, path = "/v1/keys/rotate")]
pub async fn rotate_own_key(
    Auth { app, caller }: Auth<SelfCaller>,
    Create { body, idempotency }: Create<Rotation>,
) -> Result<Created<IssuedKey>> {
    let outcome = app.rotate_own_key(&caller, body, idempotency.as_ref()).await?;
    Ok(Created::new(outcome, |made| format!("/v1/keys/{}", made.key.id)))
}
