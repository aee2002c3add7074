//! Secrets of others, encrypted.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Tx, columns::uuids, traced};
use crate::domain::{
    ids::SecretId,
    secret::{MasterKeyFingerprint, Purpose, Sealed},
};

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// Id of the secret.
    pub secret_id: SecretId,
    /// For what it is sent.
    pub purpose: Purpose,
    /// Unique per purpose.
    pub name: String,
    /// The master key that it is under.
    pub master_key_fingerprint: MasterKeyFingerprint,
    /// Time of its first value.
    pub created_at: DateTime<Utc>,
    /// Time of its present value.
    pub updated_at: DateTime<Utc>,
}

/// A secret with its encrypted value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRow {
    /// Id of the secret.
    pub secret_id: SecretId,
    /// For what it is sent.
    pub purpose: Purpose,
    /// The encrypted value.
    pub sealed: Sealed,
}

/// The columns of a [`SealedRow`].
struct SealedColumns {
    secret_id: SecretId,
    purpose: Purpose,
    master_key_fingerprint: MasterKeyFingerprint,
    wrapped_key: Vec<u8>,
    sealed: Vec<u8>,
}

/// Finds the encrypted value of a secret.
pub async fn find(tx: &mut Tx, purpose: Purpose, name: &str) -> sqlx::Result<Option<SealedRow>> {
    let row = sqlx::query!(
        r#"select secret_id as "secret_id: SecretId", master_key_fingerprint as "master_key_fingerprint: MasterKeyFingerprint",
                  wrapped_key, sealed
           from secrets
           where workspace_id = $1 and purpose = $2 and name = $3"#,
        tx.workspace.0,
        purpose.as_str(),
        name,
    )
    .fetch_optional(traced!(tx, "secrets.find"))
    .await?;
    Ok(row.map(|row| SealedRow {
        secret_id: row.secret_id,
        purpose,
        sealed: Sealed {
            master_key_fingerprint: row.master_key_fingerprint,
            wrapped_key: row.wrapped_key,
            sealed: row.sealed,
        },
    }))
}

/// Locks a secret by its name.
pub async fn lock(tx: &mut Tx, purpose: Purpose, name: &str) -> sqlx::Result<Option<SecretRow>> {
    sqlx::query_as!(
        SecretRow,
        r#"select secret_id as "secret_id: SecretId", purpose as "purpose: Purpose", name,
                  master_key_fingerprint as "master_key_fingerprint: MasterKeyFingerprint", created_at, updated_at
           from secrets
           where workspace_id = $1 and purpose = $2 and name = $3
           for update"#,
        tx.workspace.0,
        purpose.as_str(),
        name,
    )
    .fetch_optional(traced!(tx, "secrets.lock"))
    .await
}

/// Stores a new secret. Returns `false` if the name is taken.
pub async fn insert(
    tx: &mut Tx,
    secret: SecretId,
    purpose: Purpose,
    name: &str,
    value: &Sealed,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into secrets (workspace_id, secret_id, purpose, name, master_key_fingerprint, wrapped_key,
                              sealed, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
         on conflict on constraint secrets_name_unique do nothing",
        tx.workspace.0,
        secret.0,
        purpose.as_str(),
        name,
        value.master_key_fingerprint.as_str(),
        value.wrapped_key,
        value.sealed,
        tx.now,
    )
    .execute(traced!(tx, "secrets.insert"))
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Gives a locked secret another value.
pub async fn update(tx: &mut Tx, secret: SecretId, value: &Sealed) -> sqlx::Result<()> {
    sqlx::query!(
        "update secrets set master_key_fingerprint = $3, wrapped_key = $4, sealed = $5, updated_at = $6
         where workspace_id = $1 and secret_id = $2",
        tx.workspace.0,
        secret.0,
        value.master_key_fingerprint.as_str(),
        value.wrapped_key,
        value.sealed,
        tx.now,
    )
    .execute(traced!(tx, "secrets.update"))
    .await?;
    Ok(())
}

/// Deletes a locked secret.
pub async fn delete(tx: &mut Tx, secret: SecretId) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from secrets where workspace_id = $1 and secret_id = $2",
        tx.workspace.0,
        secret.0,
    )
    .execute(traced!(tx, "secrets.delete"))
    .await?;
    Ok(())
}

/// Up to `rows` secrets in the order of purpose and name.
pub async fn list(tx: &mut Tx, rows: i64) -> sqlx::Result<Vec<SecretRow>> {
    sqlx::query_as!(
        SecretRow,
        r#"select secret_id as "secret_id: SecretId", purpose as "purpose: Purpose", name,
                  master_key_fingerprint as "master_key_fingerprint: MasterKeyFingerprint", created_at, updated_at
           from secrets
           where workspace_id = $1
           order by purpose, name
           limit $2"#,
        tx.workspace.0,
        rows,
    )
    .fetch_all(traced!(tx, "secrets.list"))
    .await
}

/// The number of secrets.
pub async fn count(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from secrets where workspace_id = $1"#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "secrets.count"))
    .await
}

/// Locks up to `rows` secrets that are not under a master key, in the order of ids.
pub async fn lock_not_under(
    tx: &mut Tx,
    master_key: &MasterKeyFingerprint,
    rows: i64,
) -> sqlx::Result<Vec<SealedRow>> {
    let rows = sqlx::query_as!(
        SealedColumns,
        r#"select secret_id as "secret_id: SecretId", purpose as "purpose: Purpose",
                  master_key_fingerprint as "master_key_fingerprint: MasterKeyFingerprint", wrapped_key, sealed
           from secrets
           where workspace_id = $1 and master_key_fingerprint <> $2
           order by secret_id
           limit $3
           for update"#,
        tx.workspace.0,
        master_key.as_str(),
        rows,
    )
    .fetch_all(traced!(tx, "secrets.lock_not_under"))
    .await?;
    let row =
        |SealedColumns { secret_id, purpose, master_key_fingerprint, wrapped_key, sealed }| {
            SealedRow {
                secret_id,
                purpose,
                sealed: Sealed { master_key_fingerprint, wrapped_key, sealed },
            }
        };
    Ok(rows.into_iter().map(row).collect())
}

/// Stores locked secrets under another master key. Their values are the same.
pub async fn reseal(
    tx: &mut Tx,
    master_key: &MasterKeyFingerprint,
    sealed: &[(SecretId, Sealed)],
) -> sqlx::Result<u64> {
    let ids: Vec<SecretId> = sealed.iter().map(|(id, _)| *id).collect();
    let wrapped: Vec<Vec<u8>> = sealed.iter().map(|(_, row)| row.wrapped_key.clone()).collect();
    let values: Vec<Vec<u8>> = sealed.iter().map(|(_, row)| row.sealed.clone()).collect();
    let done = sqlx::query!(
        "update secrets s
         set master_key_fingerprint = $2, wrapped_key = n.wrapped_key, sealed = n.sealed
         from unnest($3::uuid[], $4::bytea[], $5::bytea[]) as n (secret_id, wrapped_key, sealed)
         where s.workspace_id = $1 and s.secret_id = n.secret_id",
        tx.workspace.0,
        master_key.as_str(),
        &uuids(&ids) as &[Uuid],
        &wrapped as &[Vec<u8>],
        &values as &[Vec<u8>],
    )
    .execute(traced!(tx, "secrets.reseal"))
    .await?;
    Ok(done.rows_affected())
}

/// The master keys that secrets of the workspace are under.
pub async fn master_keys(tx: &mut Tx) -> sqlx::Result<Vec<MasterKeyFingerprint>> {
    sqlx::query_scalar!(
        r#"select distinct master_key_fingerprint as "master_key_fingerprint: MasterKeyFingerprint" from secrets
           where workspace_id = $1"#,
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "secrets.master_keys"))
    .await
}
