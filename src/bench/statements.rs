//! The number of statements at the database.
//!
//! They are read from another database of the same server, so that the reading is not counted.
//! `pg_stat_statements` has the exact number, but must be loaded at the start of the server; without
//! it transactions are counted, of several statements each.

use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

use super::{error::Result, stage::Stage};

/// The database to read from.
const WATCH: &str = "muster_bench_watch";

const STATEMENTS: &str = "
    select coalesce(sum(calls), 0)::bigint from pg_stat_statements s
    join pg_database d on d.oid = s.dbid where d.datname = $1
";
const TRANSACTIONS: &str =
    "select xact_commit + xact_rollback from pg_stat_database where datname = $1";

/// The unit of the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Statements, including begin and commit.
    Statements,
    /// Transactions, including those of autovacuum.
    Transactions,
}

/// Counts the statements of one database.
#[derive(Debug)]
pub struct Counter {
    connection: PgConnection,
    database: String,
    /// The unit of the count.
    pub counted: Counted,
}

impl Counter {
    /// For the database of the service.
    pub async fn open(stage: &Stage) -> Result<Self> {
        let database = stage.options()?.get_database().unwrap_or("postgres").to_owned();
        let mut connection = PgConnection::connect_with(&stage.beside(WATCH).await?).await?;
        // A missing or unloaded extension is no error: transactions are counted then.
        let create = "create extension if not exists pg_stat_statements";
        let _ = sqlx::raw_sql(create).execute(&mut connection).await;
        let mut counter = Self { connection, database, counted: Counted::Statements };
        if counter.count().await.is_err() {
            counter.counted = Counted::Transactions;
        }
        Ok(counter)
    }

    /// The count until now, up to a second late.
    pub async fn count(&mut self) -> Result<i64> {
        let question = match self.counted {
            Counted::Statements => STATEMENTS,
            Counted::Transactions => TRANSACTIONS,
        };
        let count = sqlx::query_scalar(question).bind(&self.database);
        Ok(count.fetch_one(&mut self.connection).await?)
    }
}
