//! How much the database is asked, seen from beside it.
//!
//! From a database of its own on the same server, so that its own questions are not counted. The
//! exact count is that of `pg_stat_statements`, which has to be loaded when the server starts;
//! without it transactions are counted, of which each holds several statements.

use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

use super::{
    error::{BenchError, Result},
    stage::Stage,
};

/// The database to look from.
const WATCH: &str = "muster_bench_watch";

const STATEMENTS: &str = "
    select coalesce(sum(calls), 0)::bigint from pg_stat_statements s
    join pg_database d on d.oid = s.dbid where d.datname = $1
";
const TRANSACTIONS: &str =
    "select xact_commit + xact_rollback from pg_stat_database where datname = $1";

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Statements, those that begin and end transactions included.
    Statements,
    /// Transactions, autovacuum's included.
    Transactions,
}

/// Counts what one database is asked.
#[derive(Debug)]
pub struct Counter {
    connection: PgConnection,
    database: String,
    /// What is counted.
    pub counted: Counted,
}

impl Counter {
    /// Looks at the database of the service.
    ///
    /// # Errors
    /// When it is not known, or cannot be reached.
    pub async fn open(stage: &Stage) -> Result<Self> {
        let unknown = || BenchError::Impossible("the database of --url is not known".into());
        let options = stage.database.as_ref().ok_or_else(unknown)?;
        let database = options.get_database().unwrap_or("postgres").to_owned();
        let mut connection = PgConnection::connect_with(&stage.beside(WATCH).await?).await?;
        // Neither that it is not installed nor that it is not loaded is an error: see below.
        let create = "create extension if not exists pg_stat_statements";
        let _ = sqlx::raw_sql(create).execute(&mut connection).await;
        let mut counter = Self { connection, database, counted: Counted::Statements };
        if counter.count().await.is_err() {
            counter.counted = Counted::Transactions;
        }
        Ok(counter)
    }

    /// The count up to now. It runs behind by up to a second.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count(&mut self) -> Result<i64> {
        let question = match self.counted {
            Counted::Statements => STATEMENTS,
            Counted::Transactions => TRANSACTIONS,
        };
        let count = sqlx::query_scalar(question).bind(&self.database);
        Ok(count.fetch_one(&mut self.connection).await?)
    }
}
