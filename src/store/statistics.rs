//! The planner's statistics.
//!
//! A plan depends on the last measured table sizes until the next measurement. On a fresh database
//! these are zero, and autovacuum may take a minute to run: until then every statement scans
//! growing tables. So a duty analyzes tables as soon as they have doubled. That happens rarely,
//! since each doubling takes twice as many rows, and blocks nobody.

use sqlx::{AssertSqlSafe, PgPool};

use super::{SystemTx, traced};

/// Names, quoted, of tables with more than twice the rows of their last analysis. Omits tiny
/// tables, because any plan suits them, and tables this role may not analyze.
pub async fn outgrown(tx: &mut SystemTx) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select quote_ident(s.relname) as "name!" from pg_stat_user_tables s
           join pg_class c on c.oid = s.relid
           where s.schemaname = current_schema()
             and pg_has_role(c.relowner, 'usage')
             and s.n_live_tup > 300 + 2 * greatest(c.reltuples, 0)
           order by s.relname"#,
    )
    .fetch_all(traced!(tx, "statistics.outgrown"))
    .await
}

/// Analyzes a table; skips it if it is locked.
pub async fn measure(tx: &mut SystemTx, quoted: &str) -> sqlx::Result<()> {
    // The database itself quoted the name.
    sqlx::query(AssertSqlSafe(format!("analyze (skip_locked) {quoted}")))
        .execute(traced!(tx, "statistics.measure"))
        .await?;
    Ok(())
}

/// Age in seconds of the oldest transaction that a program other than muster has open in the database;
/// 0 if there is none, or none may be seen.
pub async fn oldest_foreign(tx: &mut SystemTx) -> sqlx::Result<f64> {
    sqlx::query_scalar!(
        r#"select coalesce(extract(epoch from max(clock_timestamp() - xact_start)), 0)::float8
                      as "age!"
           from pg_stat_activity
           where datname = current_database() and backend_type = 'client backend'
             and application_name <> 'muster' and xact_start is not null"#,
    )
    .fetch_one(traced!(tx, "statistics.oldest_foreign"))
    .await
}

/// Writes some pages that only this transaction sees, and takes them back. Fails if the disk is full.
pub async fn try_write(pool: &PgPool) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    // Pages of other tables may have room left. Those of a new table never do.
    sqlx::query(
        "create temporary table muster_write_check on commit drop as
         select gen_random_uuid() as id from generate_series(1, 5000)",
    )
    .execute(&mut *tx)
    .await?;
    tx.rollback().await
}
