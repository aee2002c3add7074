//! Everything that is stored, to show that something stored nothing.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, PgPool};

/// The rows of each table as text, in a fixed order.
pub type Dump = BTreeMap<String, Vec<String>>;

/// All tables but those that say who was heard of when, and without the last use of keys: that is no
/// effect of a request.
pub async fn dump(pool: &PgPool) -> Dump {
    let tables: Vec<String> = sqlx::query_scalar(
        "select tablename::text from pg_tables where schemaname = 'public'
         and tablename not in ('agent_presence', '_sqlx_migrations', 'supervisor_duties')",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut dump = Dump::new();
    for table in tables {
        let rows = format!("select (to_jsonb(t) - 'last_used_at')::text from {table} t order by 1");
        let rows = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(pool).await.unwrap();
        dump.insert(table, rows);
    }
    dump
}

/// Panics, naming the rows, unless both are the same.
#[track_caller]
pub fn same(what: &str, before: &Dump, after: &Dump) {
    for (table, rows) in after {
        let gone: Vec<_> = before[table].iter().filter(|row| !rows.contains(row)).collect();
        let new: Vec<_> = rows.iter().filter(|row| !before[table].contains(row)).collect();
        assert!(
            gone.is_empty() && new.is_empty(),
            "{what} changed {table}:\n- {gone:#?}\n+ {new:#?}"
        );
    }
}
