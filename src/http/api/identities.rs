//! Identities: people as an identity provider names them.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        caller::AdminCaller,
        sign_in::identities::{Identity, IdentityChange, IdentityFilter},
    },
    domain::{access::person::Person, ids::IdentityId},
    http::{
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfMatch, Versioned},
            page::{Listing, Paged},
            path::ApiPath,
        },
        problem::Result,
    },
};

/// The filters of the list of identities.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct IdentityQuery {
    /// Only identities of this person.
    pub person: Option<Person>,
    /// Only identities whose person is confirmed, or is not.
    pub person_confirmed: Option<bool>,
}

/// List the identities.
///
/// Everybody who signed in with the identity provider, newest first.
#[utoipa::path(get, path = "/v1/identities")]
pub async fn list_identities(
    Auth { app, caller }: Auth<AdminCaller>,
    list: Listing<IdentityQuery, IdentityId>,
) -> Result<Paged<Identity>> {
    let IdentityQuery { person, person_confirmed } = &list.filter;
    let filter = IdentityFilter {
        person: person.as_ref(),
        person_confirmed: *person_confirmed,
        ..IdentityFilter::default()
    };
    let identities = app.list_identities(&caller, filter, list.after, list.rows()).await?;
    list.page(identities, |identity| identity.id)
}

/// Read an identity.
#[utoipa::path(get, path = "/v1/identities/{identity_id}")]
pub async fn get_identity(
    Auth { app, caller }: Auth<AdminCaller>,
    ApiPath(identity): ApiPath<IdentityId>,
) -> Result<Versioned<Identity>> {
    Ok(Versioned::new(app.get_identity(&caller, identity).await?, |identity| identity.version))
}

/// Confirm the person of an identity, or block it.
///
/// A confirmed identity is the person of that name: with their keys, in policies, and in the exclusions of
/// separation of duties. Blocking ends the sessions and refuses further sign-ins.
#[utoipa::path(patch, path = "/v1/identities/{identity_id}")]
pub async fn update_identity(
    Auth { app, caller }: Auth<AdminCaller>,
    ApiPath(identity): ApiPath<IdentityId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<IdentityChange>,
) -> Result<Versioned<Identity>> {
    let identity = app.update_identity(&caller, identity, if_match.version, change).await?;
    Ok(Versioned::new(identity, |identity| identity.version))
}
