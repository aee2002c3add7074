//! Identities: people as an identity provider names them.
//!
//! An identity is made at the first sign-in, and lives on when the provider forgets the person. An
//! administrator confirms its person, and blocks it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::end_key;
use crate::{
    app::{
        App, Result, Unit,
        caller::{AdminCaller, Caller as _},
        error::same_version,
    },
    domain::{
        access::{person::Person, role::Role},
        ids::{IdentityId, KeyId},
        journal::{Kind, NewRow},
        refusal::Refusal,
    },
    store::{
        self,
        identities::{IdentityRow, Which},
    },
};

pub use crate::store::identities::IdentityFilter;

/// A person as an identity provider names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Identity {
    /// Id of the identity.
    pub id: IdentityId,
    /// The identity provider.
    #[schema(example = "https://id.example.com")]
    pub issuer: String,
    /// The id of the person at the provider; unique and stable there.
    pub subject: String,
    /// The person, from a claim of the last sign-in.
    pub person: Person,
    /// Whether the person counts: an administrator confirmed it, or the service trusts the provider. If
    /// not, sessions of the identity only read, and act as nobody. Lost when a later sign-in has another
    /// person.
    pub person_confirmed: bool,
    /// The role, from a claim of the last sign-in. A change at the provider takes effect at the next
    /// sign-in.
    pub role: Role,
    /// The key that its sessions act with, the `actor_key_id` of its events. Nobody has its secret.
    /// Replaced when a sign-in has another person or role.
    pub key_id: KeyId,
    /// Whether an administrator blocked its sign-ins.
    pub blocked: bool,
    /// Version of the identity; rises by one with every change but the time of the last sign-in; the
    /// `ETag`.
    pub version: i32,
    /// When the person signed in for the first time.
    pub created_at: DateTime<Utc>,
    /// When the identity last got another version.
    pub updated_at: DateTime<Utc>,
    /// When the person signed in for the last time.
    pub last_signed_in_at: DateTime<Utc>,
}

impl From<IdentityRow> for Identity {
    fn from(row: IdentityRow) -> Self {
        let IdentityRow {
            identity_id,
            issuer,
            subject,
            person,
            role,
            key_id,
            person_confirmed,
            blocked,
            version,
            created_at,
            updated_at,
            last_signed_in_at,
        } = row;
        Self {
            id: identity_id,
            issuer,
            subject,
            person,
            person_confirmed,
            role,
            key_id,
            blocked,
            version,
            created_at,
            updated_at,
            last_signed_in_at,
        }
    }
}

/// An edit of an identity; absent fields keep their value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityChange {
    /// Whether this is the person of that name: the one with keys, in policies and in goals. In effect at
    /// once, also for open sessions.
    pub person_confirmed: Option<bool>,
    /// Whether sign-ins are blocked. Blocking ends the sessions.
    pub blocked: Option<bool>,
}

/// Records a change of an identity.
pub(super) fn record(
    unit: &mut Unit,
    kind: Kind,
    before: Option<IdentityRow>,
    after: &IdentityRow,
) {
    let data = json!({"identity_id": after.identity_id, "person": after.person, "role": after.role,
                      "key_id": after.key_id, "person_confirmed": after.person_confirmed,
                      "blocked": after.blocked});
    let row = NewRow::new(kind).after(&Identity::from(after.clone())).data(data);
    unit.record(match before {
        Some(before) => row.before(&Identity::from(before)),
        None => row,
    });
}

fn not_found() -> Refusal {
    Refusal::not_found("identity")
}

impl App {
    /// Up to `rows` identities after `after`, newest first.
    pub async fn list_identities(
        &self,
        caller: &AdminCaller,
        filter: IdentityFilter<'_>,
        after: Option<IdentityId>,
        rows: u32,
    ) -> Result<Vec<Identity>> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let rows = store::identities::list(&mut tx, filter, after, i64::from(rows)).await?;
        Ok(rows.into_iter().map(Identity::from).collect())
    }

    /// Reads one identity.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_identity(&self, caller: &AdminCaller, id: IdentityId) -> Result<Identity> {
        let filter = IdentityFilter { identity: Some(id), ..IdentityFilter::default() };
        let found = self.list_identities(caller, filter, None, 1).await?.pop();
        Ok(found.ok_or_else(not_found)?)
    }

    /// Confirms the person of an identity, or blocks it. `version`: the version the caller read
    /// (`If-Match`); `None` skips the check. An edit without a change makes no new version.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`.
    pub async fn update_identity(
        &self,
        caller: &AdminCaller,
        id: IdentityId,
        version: Option<i64>,
        change: IdentityChange,
    ) -> Result<Identity> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let stored = store::identities::lock(unit.tx(), Which::Id(id)).await?;
        let stored = stored.ok_or_else(not_found)?;
        if let Some(version) = version {
            same_version(i64::from(stored.version), version)?;
        }
        let mut after = IdentityRow {
            person_confirmed: change.person_confirmed.unwrap_or(stored.person_confirmed),
            blocked: change.blocked.unwrap_or(stored.blocked),
            ..stored.clone()
        };
        if after == stored {
            return Ok(stored.into());
        }
        (after.version, after.updated_at) = (stored.version + 1, unit.now());
        if after.blocked && !stored.blocked {
            end_key(&mut unit, stored.key_id).await?;
        }
        store::identities::update(unit.tx(), &after).await?;
        record(&mut unit, Kind::IdentityUpdated, Some(stored), &after);
        self.commit(unit).await?;
        Ok(after.into())
    }
}
