//! All SQL of muster, one file per table or noun.
//!
//! Functions take a connection and slices, name the workspace in every statement, and contain no
//! rules beyond the schema's constraints. Only the app begins and commits transactions.

pub mod agent_owners;
pub mod agents;
pub mod approvals;
pub mod artifacts;
pub mod attempts;
pub mod attention;
pub mod authority;
pub mod budgets;
pub mod columns;
pub mod comments;
pub mod dedup;
pub mod explain;
pub mod freezes;
pub mod gates;
pub mod goals;
pub mod hand_offs;
pub mod idempotency;
pub mod identities;
pub mod journal;
pub mod keys;
pub mod knowledge;
pub mod moving;
pub mod planners;
pub mod planning;
pub mod playbooks;
pub mod projects;
pub mod quota_windows;
pub mod rates;
pub mod reports;
pub mod retention;
pub mod routing;
pub mod rules;
pub mod schedules;
pub mod schema;
pub mod secrets;
pub mod sessions;
pub mod spend;
pub mod statistics;
pub mod supervisor;
pub mod tables;
pub mod tasks;
mod tx;
pub mod usage;
pub mod verify;
pub mod workspaces;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool,
    migrate::{Migrate as _, MigrateError},
    postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult},
};

use crate::domain::ids::WorkspaceId;

pub(crate) use tx::traced;
pub use tx::{SystemTx, Traced, Tx};

/// A connection used within this time counts as alive.
const FRESH: Duration = Duration::from_secs(1);
/// Timeout of the check whether a pooled connection answers.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Failure to prepare the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is unreachable.
    #[error("cannot connect to PostgreSQL: {0}")]
    Connect(#[source] sqlx::Error),
    /// The database cannot be read.
    #[error("cannot read the database: {0}")]
    Read(#[source] sqlx::Error),
    /// The list of migrations cannot be read, or there is none.
    #[error("the schema of the database cannot be read: {0}")]
    Schema(#[source] sqlx::migrate::MigrateError),
    /// A migration failed.
    #[error("cannot migrate the database: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A row is in another state than the caller, who holds it, takes it to be in: a defect.
    #[error("{0}")]
    Stale(&'static str),
}

/// Fails unless a statement wrote as many rows as it was to.
fn complete(written: &PgQueryResult, rows: usize, stale: &'static str) -> Result<(), WriteError> {
    if written.rows_affected() == rows as u64 { Ok(()) } else { Err(WriteError::Stale(stale)) }
}

/// The migrations, inside the binary.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Begins a unit of work. Statements use generic plans, made once: they find rows by id, and
/// planning for the given arguments takes longer than running them. (Lists run outside of units of
/// work; their plans depend on the given filters.)
///
/// Every unit of work shares the workspace's lock on limits and freezes. Changes of these take the
/// lock exclusively, so no concurrent work has read old values.
#[must_use]
pub fn begin(workspace: WorkspaceId, hold: Hold) -> AssertSqlSafe<String> {
    let lock = match hold {
        Hold::Share => "pg_advisory_xact_lock_shared",
        Hold::Alone => "pg_advisory_xact_lock",
    };
    // The lock's number has 64 bits, the workspace's id 128. Two workspaces with the same number
    // only wait for each other occasionally.
    let (high, low) = workspace.0.as_u64_pair();
    let number = (high ^ low).cast_signed();
    AssertSqlSafe(format!(
        "begin; set local plan_cache_mode = force_generic_plan; select {lock}({number})"
    ))
}

/// Mode of the workspace's lock on limits and freezes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Shared with other units of work.
    Share,
    /// Exclusive: to change limits, or to set or lift a freeze.
    Alone,
}

/// Opens a pool with muster's timeouts on every connection. They bound the time that a statement, a
/// lock or an abandoned transaction can block the service.
///
/// # Errors
/// When no connection succeeds within ten seconds.
pub async fn connect(options: PgConnectOptions, connections: u32) -> Result<PgPool, StoreError> {
    let options = options.application_name("muster").options([
        ("statement_timeout", "30s"),
        ("lock_timeout", "10s"),
        // A transaction of muster is never idle for long. The server ends one with a dead client
        // before others time out on its locks.
        ("idle_in_transaction_session_timeout", "10s"),
        ("timezone", "UTC"),
        // JIT compilation takes about a second; no statement here runs long enough to gain from it.
        ("jit", "off"),
        // Every statement finds its rows by an index. A plan made for a small or empty table is
        // kept until the statistics change; with a sequential scan it would read a large table for
        // minutes while holding locks.
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ]);
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        // A check per use costs a round trip per unit of work. A recently used connection is alive;
        // if it is not, the caller is told to retry.
        .test_before_acquire(false)
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for > FRESH { answers(connection).await } else { Ok(true) }
            })
        })
        .after_release(|connection, _| Box::pin(answers(connection)))
        .connect_with(options)
        .await
        .map_err(StoreError::Connect)
}

/// Whether a connection answers in time. The pool checks returned connections too, but without a
/// timeout: a dead connection would occupy its place for ever.
async fn answers(connection: &mut PgConnection) -> sqlx::Result<bool> {
    tokio::time::timeout(ANSWERS_WITHIN, connection.ping())
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
        .map(|()| true)
}

/// Applies the pending migrations. Safe to run from several processes at once.
///
/// # Errors
/// When a migration fails, or the database is newer than this binary.
pub async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    MIGRATIONS.run(pool).await.map_err(StoreError::from)
}

/// Version of the schema of this binary: the number of the last migration.
#[must_use]
pub fn schema_version() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Whether the applied migrations are exactly those of this binary, all complete.
pub async fn is_migrated(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let table = &MIGRATIONS.table_name;
    let applied = match conn.list_applied_migrations(table).await {
        Ok(applied) => applied,
        // Without a table of migrations none was applied.
        Err(MigrateError::Execute(error)) if is_undefined_table(&error) => return Ok(false),
        Err(MigrateError::Execute(error)) => return Err(error),
        Err(_) => return Ok(false),
    };
    let known: Vec<_> = MIGRATIONS.iter().map(|known| (known.version, &known.checksum)).collect();
    let found: Vec<_> = applied.iter().map(|found| (found.version, &found.checksum)).collect();
    let dirty = conn.dirty_version(table).await.unwrap_or(Some(0)).is_some();
    Ok(known == found && !dirty)
}

fn is_undefined_table(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("42P01")
}

/// The database's clock, in microseconds: the precision of its columns.
pub async fn now(conn: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(conn).await
}

/// Whether the error is a violation of the named constraint.
fn violates(error: &sqlx::Error, constraint: &str) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some(constraint)
}
