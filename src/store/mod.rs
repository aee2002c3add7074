//! All SQL of muster, one file per table or noun.
//!
//! Functions take a connection and slices, name the workspace in every statement, and know no
//! rules beyond the constraints of the schema. They never begin or commit: that is the app's.

pub mod agents;
pub mod approvals;
pub mod attempts;
pub mod attention;
pub mod budgets;
pub mod columns;
pub mod freezes;
pub mod goals;
pub mod idempotency;
pub mod journal;
pub mod keys;
pub mod projects;
pub mod reports;
pub mod rules;
pub mod spend;
pub mod statistics;
pub mod supervisor;
pub mod tasks;
mod tx;
pub mod verify;
pub mod workspaces;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool,
    migrate::{Migrate as _, MigrateError},
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::domain::ids::WorkspaceId;

pub(crate) use tx::traced;
pub use tx::{SystemTx, Traced, Tx};

/// A connection that was used so recently is taken to be alive.
const FRESH: Duration = Duration::from_secs(1);
/// How long a connection of the pool may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Why the database could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be reached.
    #[error("cannot connect to PostgreSQL: {0}")]
    Connect(#[source] sqlx::Error),
    /// Its schema could not be brought up to date.
    #[error("cannot migrate the database: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// The migrations, inside the binary.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Begins a unit of work. Its statements find rows by their ids, whatever the ids are, so their plans
/// are made once: planning such a statement for the arguments at hand takes longer than doing it.
/// (Lists are not units of work; their plans depend on which filters are given.)
///
/// Every unit of work has a share in the limits and freezes of its workspace; what changes these
/// holds them alone, so that no work is under way that knows the old ones.
#[must_use]
pub fn begin(workspace: WorkspaceId, hold: Hold) -> AssertSqlSafe<String> {
    let lock = match hold {
        Hold::Share => "pg_advisory_xact_lock_shared",
        Hold::Alone => "pg_advisory_xact_lock",
    };
    // One number of a workspace's 128 bits: two workspaces with the same would only wait for each
    // other now and then.
    let (high, low) = workspace.0.as_u64_pair();
    let number = (high ^ low).cast_signed();
    AssertSqlSafe(format!(
        "begin; set local plan_cache_mode = force_generic_plan; select {lock}({number})"
    ))
}

/// How a unit of work holds the limits and freezes of its workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Beside others.
    Share,
    /// While nobody else does anything in the workspace: to change limits, or to set or lift a freeze.
    Alone,
}

/// Opens a pool whose every connection has muster's timeouts: no statement, lock or forgotten
/// transaction can hold the service up for longer than they say.
///
/// # Errors
/// When no connection can be made within ten seconds.
pub async fn connect(options: PgConnectOptions, connections: u32) -> Result<PgPool, StoreError> {
    let options = options.application_name("muster").options([
        ("statement_timeout", "30s"),
        ("lock_timeout", "10s"),
        // Nothing of ours thinks for long inside a transaction: a connection that has gone silent
        // must not keep its locks for longer than others wait for them.
        ("idle_in_transaction_session_timeout", "10s"),
        ("timezone", "UTC"),
        // Compiling a statement takes a second; none of ours runs long enough to win that back.
        ("jit", "off"),
        // Every statement finds its rows by an index. A plan that was made while a table was small
        // is kept until the statistics change: made for an empty table it would read all of a full
        // one, for minutes on end, under everybody's locks.
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ]);
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        // Asking each time would be one more round trip per unit of work; a connection that was used
        // a moment ago is there, and whoever meets one that is not is told to try again.
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

/// Whether a connection still answers. When one is given back the pool asks too, but would wait for
/// ever on one that has gone silent, and never have its place back.
async fn answers(connection: &mut PgConnection) -> sqlx::Result<bool> {
    tokio::time::timeout(ANSWERS_WITHIN, connection.ping())
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
        .map(|()| true)
}

/// Brings the schema up to date. Safe to run from several processes at once.
///
/// # Errors
/// When a migration fails, or the database is newer than this binary.
pub async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    MIGRATIONS.run(pool).await.map_err(StoreError::from)
}

/// Whether every migration of this program is applied, none is half applied, and none is there that
/// this program does not know.
pub async fn is_migrated(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let table = &MIGRATIONS.table_name;
    let applied = match conn.list_applied_migrations(table).await {
        Ok(applied) => applied,
        // There is no table of migrations: nothing was ever applied.
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

/// The database's clock, to the microsecond that it can store.
pub async fn now(conn: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(conn).await
}

/// Whether a statement was refused by the named constraint.
fn violates(error: &sqlx::Error, constraint: &str) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some(constraint)
}
