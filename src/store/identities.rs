//! Identities: people who sign in with an identity provider.

use chrono::{DateTime, Utc};

use super::{Tx, traced};
use crate::domain::{
    access::{person::Person, role::Role},
    ids::{IdentityId, KeyId},
};

/// A person as an identity provider names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRow {
    /// Id of the identity.
    pub identity_id: IdentityId,
    /// The provider.
    pub issuer: String,
    /// The id of the person at the provider; never changes.
    pub subject: String,
    /// The person, at the last sign-in.
    pub person: Person,
    /// The role, at the last sign-in.
    pub role: Role,
    /// The key that its sessions act with.
    pub key_id: KeyId,
    /// Whether the person is confirmed.
    pub person_confirmed: bool,
    /// Whether sign-ins are blocked.
    pub blocked: bool,
    /// Rises by one with every change.
    pub version: i32,
    /// Time of the first sign-in.
    pub created_at: DateTime<Utc>,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
    /// Time of the last sign-in.
    pub last_signed_in_at: DateTime<Utc>,
}

/// Stores a new identity. Returns `false` if there is one with this issuer and subject.
pub async fn insert(tx: &mut Tx, row: &IdentityRow) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into identities (workspace_id, identity_id, issuer, subject, person, role, key_id,
                                 person_confirmed, blocked, version, created_at, updated_at,
                                 last_signed_in_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         on conflict on constraint identities_subject_unique do nothing",
        tx.workspace.0,
        row.identity_id.0,
        row.issuer,
        row.subject,
        row.person.as_str(),
        row.role.as_str(),
        row.key_id.0,
        row.person_confirmed,
        row.blocked,
        row.version,
        row.created_at,
        row.updated_at,
        row.last_signed_in_at,
    )
    .execute(traced!(tx, "identities.insert"))
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Locks an identity by its id, or by its issuer and subject.
pub async fn lock(tx: &mut Tx, which: Which<'_>) -> sqlx::Result<Option<IdentityRow>> {
    let (id, issuer, subject) = match which {
        Which::Id(id) => (Some(id.0), None, None),
        Which::Subject { issuer, subject } => (None, Some(issuer), Some(subject)),
    };
    sqlx::query_as!(
        IdentityRow,
        r#"select identity_id as "identity_id: IdentityId", issuer, subject,
                  person as "person: Person", role as "role: Role", key_id as "key_id: KeyId",
                  person_confirmed, blocked, version, created_at, updated_at, last_signed_in_at
           from identities
           where workspace_id = $1
             and ($2::uuid is null or identity_id = $2)
             and ($3::text is null or (issuer = $3 and subject = $4))
           for no key update"#,
        tx.workspace.0,
        id,
        issuer,
        subject,
    )
    .fetch_optional(traced!(tx, "identities.lock"))
    .await
}

/// One identity.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// By its id.
    Id(IdentityId),
    /// By its provider and its id there.
    Subject {
        /// The provider.
        issuer: &'a str,
        /// The id of the person there.
        subject: &'a str,
    },
}

/// Writes everything that may change of a locked identity.
pub async fn update(tx: &mut Tx, row: &IdentityRow) -> sqlx::Result<()> {
    sqlx::query!(
        "update identities
         set person = $3, role = $4, key_id = $5, person_confirmed = $6, blocked = $7, version = $8,
             updated_at = $9, last_signed_in_at = $10
         where workspace_id = $1 and identity_id = $2",
        tx.workspace.0,
        row.identity_id.0,
        row.person.as_str(),
        row.role.as_str(),
        row.key_id.0,
        row.person_confirmed,
        row.blocked,
        row.version,
        row.updated_at,
        row.last_signed_in_at,
    )
    .execute(traced!(tx, "identities.update"))
    .await?;
    Ok(())
}

/// Filter for [`list`].
#[derive(Debug, Clone, Copy, Default)]
pub struct IdentityFilter<'a> {
    /// Only this one.
    pub identity: Option<IdentityId>,
    /// Only of this person.
    pub person: Option<&'a Person>,
    /// Only those whose person is confirmed, or is not.
    pub person_confirmed: Option<bool>,
}

/// Lists identities after `after`, newest first.
pub async fn list(
    tx: &mut Tx,
    filter: IdentityFilter<'_>,
    after: Option<IdentityId>,
    rows: i64,
) -> sqlx::Result<Vec<IdentityRow>> {
    sqlx::query_as!(
        IdentityRow,
        r#"select identity_id as "identity_id: IdentityId", issuer, subject,
                  person as "person: Person", role as "role: Role", key_id as "key_id: KeyId",
                  person_confirmed, blocked, version, created_at, updated_at, last_signed_in_at
           from identities
           where workspace_id = $1
             and ($2::uuid is null or identity_id = $2)
             and ($3::text is null or person = $3)
             and ($4::boolean is null or person_confirmed = $4)
             and ($5::uuid is null or identity_id < $5)
           order by identity_id desc
           limit $6"#,
        tx.workspace.0,
        filter.identity.map(|id| id.0),
        filter.person.map(Person::as_str),
        filter.person_confirmed,
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "identities.list"))
    .await
}

/// Whether a key is the present one of an identity.
pub async fn has_key(tx: &mut Tx, key: KeyId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from identities where workspace_id = $1 and key_id = $2) as "exists!""#,
        tx.workspace.0,
        key.0,
    )
    .fetch_one(traced!(tx, "identities.has_key"))
    .await
}
