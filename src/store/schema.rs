//! The schema of a database in short, and the database at one moment, for copies of it.
//!
//! Statements here name no workspace: a copy has all of them.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgPool, Postgres, Transaction, migrate::Migrate as _};

use super::{MIGRATIONS, StoreError, now};

/// The migration that makes the table of secrets.
const SECRETS_SINCE: i64 = 17;

/// The migrations of a database, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Number of the newest migration; 0 if there is none.
    pub newest: i64,
    /// SHA-256 of the numbers and checksums of all of them.
    pub sha256: String,
}

impl Schema {
    fn of<'a>(migrations: impl Iterator<Item = (i64, &'a [u8])>) -> Self {
        let (mut newest, mut text) = (0, String::new());
        for (version, checksum) in migrations {
            newest = version;
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{version} {}", HEXLOWER.encode(checksum));
        }
        Self { newest, sha256: HEXLOWER.encode(&Sha256::digest(text)) }
    }

    /// The schema of this program after the migration `newest`.
    #[must_use]
    pub fn up_to(newest: i64) -> Self {
        let known = MIGRATIONS.iter().filter(|migration| migration.version <= newest);
        Self::of(known.map(|migration| (migration.version, &*migration.checksum)))
    }

    /// The schema of this program.
    #[must_use]
    pub fn current() -> Self {
        Self::up_to(i64::MAX)
    }
}

/// The schema of a database.
///
/// # Errors
/// When the database fails, or has no migrations.
pub async fn schema(conn: &mut PgConnection) -> Result<Schema, StoreError> {
    let applied = conn.list_applied_migrations(&MIGRATIONS.table_name).await;
    let applied = applied.map_err(StoreError::Schema)?;
    Ok(Schema::of(applied.iter().map(|applied| (applied.version, &*applied.checksum))))
}

/// A database at one moment. Other connections see it as this one does until it is dropped.
#[derive(Debug)]
pub struct Snapshot {
    /// The name for `pg_dump --snapshot`.
    pub name: String,
    /// The time.
    pub taken_at: DateTime<Utc>,
    /// The schema.
    pub schema: Schema,
    /// Fingerprints of the master keys that secrets are under. `None` if this program does not know the
    /// schema.
    pub master_keys: Option<Vec<String>>,
    /// Rolls back when it is dropped, which ends the snapshot.
    _transaction: Transaction<'static, Postgres>,
}

impl Snapshot {
    /// Takes a snapshot.
    ///
    /// # Errors
    /// When the database fails, or has no migrations.
    pub async fn take(pool: &PgPool) -> Result<Self, StoreError> {
        // It is idle for as long as others read.
        let begin = "begin isolation level repeatable read read only; \
                     set local idle_in_transaction_session_timeout = 0";
        let mut transaction = pool.begin_with(begin).await.map_err(StoreError::Read)?;
        let conn = &mut *transaction;
        let name = sqlx::query_scalar!(r#"select pg_export_snapshot() as "name!""#)
            .fetch_one(&mut *conn)
            .await
            .map_err(StoreError::Read)?;
        let taken_at = now(&mut *conn).await.map_err(StoreError::Read)?;
        let schema = schema(&mut *conn).await?;
        let master_keys = if schema != Schema::up_to(schema.newest) {
            None
        } else if schema.newest < SECRETS_SINCE {
            Some(Vec::new())
        } else {
            Some(master_keys(&mut *conn).await.map_err(StoreError::Read)?)
        };
        Ok(Self { name, taken_at, schema, master_keys, _transaction: transaction })
    }
}

async fn master_keys(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select distinct master_key_fingerprint from secrets order by master_key_fingerprint"
    )
    .fetch_all(conn)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_known_by_every_migration_in_it() {
        let current = Schema::current();
        assert_eq!(Schema::up_to(current.newest), current);
        assert_ne!(Schema::up_to(current.newest - 1), current);
        assert_eq!(Schema::up_to(0).newest, 0);
        let one = |checksum: &'static [u8]| Schema::of([(1, checksum)].into_iter());
        assert_ne!(one(b"a"), one(b"b"));
    }
}
