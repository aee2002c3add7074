//! What the planner knows of the tables' sizes.
//!
//! A plan is made for the sizes that were last measured and kept until they are measured again. On
//! a fresh database that is when everything was empty, and the server's own autovacuum may come
//! only a minute later: until then every statement reads all of a growing table. So tables that have
//! doubled since are measured at once. That is seldom, since each time it takes twice as many rows,
//! and holds up nobody.

use sqlx::AssertSqlSafe;

use super::{SystemTx, traced};

/// Tables with more than twice as many rows as when they were last measured, quoted. What is tiny is
/// left out, because for it every plan is good, and so is what only somebody else may measure.
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

/// Measures a table. What somebody else measures at the moment is left to them.
pub async fn measure(tx: &mut SystemTx, quoted: &str) -> sqlx::Result<()> {
    // The name is quoted by the database itself.
    sqlx::query(AssertSqlSafe(format!("analyze (skip_locked) {quoted}")))
        .execute(traced!(tx, "statistics.measure"))
        .await?;
    Ok(())
}
