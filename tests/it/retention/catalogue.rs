//! The catalogue of tables in the code, held against that of a migrated database.

use std::collections::{BTreeSet, HashMap};

use muster::store::tables::{TABLES, TablePruning};

use crate::support::database::fresh_database;

#[tokio::test]
async fn every_table_is_pruned_or_stays_for_a_reason() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let stored: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
           and relname <> '_sqlx_migrations'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let stored: BTreeSet<&str> = stored.iter().map(String::as_str).collect();
    let listed: BTreeSet<&str> = TABLES.iter().map(|table| table.name).collect();
    assert_eq!(stored, listed, "src/store/tables.rs must list every table");
    assert_eq!(listed.len(), TABLES.len(), "a table is listed twice");
    assert!(TABLES.iter().all(|table| !table.why.is_empty()));
}

#[tokio::test]
async fn a_table_comes_before_those_it_refers_to() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let references: Vec<(String, String)> = sqlx::query_as(
        "select conrelid::regclass::text, confrelid::regclass::text from pg_constraint
         where contype = 'f' and connamespace = 'public'::regnamespace and conrelid <> confrelid",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let places: HashMap<&str, usize> =
        TABLES.iter().enumerate().map(|(place, table)| (table.name, place)).collect();
    let wrong: Vec<_> = references
        .iter()
        .filter(|(from, to)| places[from.as_str()] >= places[to.as_str()])
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whatever names a goal, or something of a goal, goes with it.
#[tokio::test]
async fn what_names_a_goal_goes_with_it() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let naming: Vec<String> = sqlx::query_scalar(
        "select distinct table_name::text from information_schema.columns c
         join pg_class t on t.oid = format('%I.%I', table_schema, table_name)::regclass
         where table_schema = 'public' and t.relkind = 'r' and table_name <> 'journal'
           and column_name in ('goal_id', 'task_id', 'attempt_id', 'approval_id', 'plan_id')",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(naming.len() > 20, "{naming:?}");
    for name in naming {
        let table = TABLES.iter().find(|table| table.name == name).unwrap();
        let goes = matches!(table.pruning, TablePruning::WithGoal { .. });
        assert!(goes, "{name} names what is pruned");
    }
}

/// The database looks for references to each row that is deleted: without an index it reads the whole table each time.
#[tokio::test]
async fn references_to_what_goes_with_a_goal_are_indexed() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let goes = TABLES.iter().filter(|t| matches!(t.pruning, TablePruning::WithGoal { .. }));
    let goes: Vec<&str> = goes.map(|table| table.name).collect();
    let slow: Vec<String> = sqlx::query_scalar(
        "select c.conname::text from pg_constraint c
         join pg_class r on r.oid = c.confrelid
         where c.contype = 'f' and c.connamespace = 'public'::regnamespace
           and r.relname = any($1::text[])
           and not exists (
               select from pg_index i
               cross join lateral (
                   select (i.indkey::int2[])[0:cardinality(c.conkey) - 1] as first) k
               where i.indrelid = c.conrelid and k.first @> c.conkey and k.first <@ c.conkey
                 -- An index of some of the rows serves only if the others refer to nothing.
                 and (i.indpred is null or exists (
                     select from pg_attribute a
                     where a.attrelid = c.conrelid and a.attnum = any(c.conkey)
                       and pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname))))
         order by c.conname",
    )
    .bind(&goes)
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(slow, [""; 0], "foreign keys without an index that begins with their columns");
}
