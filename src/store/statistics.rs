//! The planner's statistics.
//!
//! A plan depends on the last measured table sizes until the next measurement. On a fresh database
//! these are zero, and autovacuum may take a minute to run: until then every statement scans
//! growing tables. So a duty analyzes tables as soon as they have doubled. That happens rarely,
//! since each doubling takes twice as many rows, and blocks nobody.

use sqlx::AssertSqlSafe;

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
