//! A change that the owner of the database makes to sealed rows is found, at its number.

use muster::domain::journal::{BreakKind, Head};
use sqlx::{PgPool, Row as _};

use super::{check_in, execute, sealed_fleet, segments};
use crate::support::{database::TestDatabase, fleet::Fleet};

/// What a superuser does first.
pub const OPEN: &str = "alter table journal disable trigger all;
    alter table journal_seals disable trigger all;
    alter table journal drop constraint journal_before_is_a_digest,
        drop constraint journal_after_is_a_digest, drop constraint journal_salt_has_16_bytes,
        drop constraint journal_data_or_its_digest;
    alter table journal_seals drop constraint journal_seals_digest_per_row,
        drop constraint journal_seals_chain_is_a_digest, drop constraint journal_seals_in_order;
    alter table journal_chains drop constraint journal_chains_in_order;";

/// A sealed fleet whose database is copied for each change.
pub struct Bench {
    database: TestDatabase,
    pub head: Head,
    /// The segments, first and last number each.
    pub segments: Vec<(i64, i64)>,
}

impl Bench {
    pub async fn new() -> Self {
        let (fleet, found) = sealed_fleet().await;
        Self::of(fleet, found.head).await
    }

    pub async fn of(fleet: Fleet, head: Head) -> Self {
        let Fleet { pool, database, .. } = fleet;
        let segments = segments(&pool).await;
        pool.close().await;
        Self { database, head, segments }
    }

    /// What is found after these statements: the kind and the number.
    pub async fn after(&self, sql: &str, kept: Option<Head>) -> Vec<(BreakKind, i64)> {
        let database = self.database.copy().await;
        let pool = database.pool().await;
        execute(&pool, OPEN).await;
        execute(&pool, sql).await;
        let found = check_in(&pool, kept).await;
        assert_eq!(found.holds, found.breaks.is_empty());
        pool.close().await;
        found.breaks.into_iter().map(|found| (found.kind, found.number)).collect()
    }

    /// The segment that has a number.
    pub fn segment(&self, number: i64) -> (i64, i64) {
        let has = |(first, last): &&(i64, i64)| (*first..=*last).contains(&number);
        *self.segments.iter().find(has).unwrap()
    }
}

async fn columns(pool: &PgPool) -> Vec<(String, String)> {
    let rows = sqlx::query(
        "select column_name::text, data_type::text from information_schema.columns
         where table_schema = 'public' and table_name = 'journal' order by ordinal_position",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Every column there is, by its type: a column that is added later is edited here too.
#[tokio::test]
async fn an_edit_of_any_column_is_found_at_its_number() {
    let bench = Bench::new().await;
    let columns = columns(&bench.database.copy().await.pool().await).await;
    assert_eq!(columns.len(), 26);
    let edit = |column: &str, value: &str| {
        format!("update journal set {column} = {value} where number = 7")
    };
    for (column, kind) in columns {
        let value = match (column.as_str(), kind.as_str()) {
            (_, "uuid") => "gen_random_uuid()".to_owned(),
            (name, "bigint") => format!("{name} + 1000000"),
            (name, "smallint") => format!("{name} + 1"),
            (name, "boolean") => format!("not {name}"),
            (name, "text") => format!("coalesce({name}, '') || ' '"),
            (name, "json") => format!("json_build_array({name})"),
            (name, "bytea") => format!("sha256(coalesce({name}, ''))"),
            (name, "ARRAY") => format!("array_append({name}, 'mallory')"),
            (name, "timestamp with time zone") => format!("{name} + interval '1 microsecond'"),
            (name, kind) => panic!("how is {name}, a {kind}, edited?"),
        };
        let found = bench.after(&edit(&column, &value), None).await;
        match column.as_str() {
            // Without its tenant or its number the row is not there.
            "workspace_id" => assert_eq!(found, [(BreakKind::Missing, 7)]),
            "number" => {
                let beyond = (BreakKind::Inserted, bench.head.number + 1);
                assert_eq!(found, [(BreakKind::Missing, 7), beyond]);
            }
            name => assert_eq!(found, [(BreakKind::Edited, 7)], "{name}"),
        }
    }
    // Values that no program can hold, that mean the same, or that are taken away.
    for (column, value) in [
        ("at", "'infinity'"),
        ("at", "'-infinity'"),
        ("on_behalf_of", "array['a', null]"),
        ("on_behalf_of", "array[array['a'], array['b']]"),
        ("on_behalf_of", "'{}'"),
        ("data", "(data::text || ' ')::json"),
        ("data", "replace(data::text, '{', E'{\\n')::json"),
        ("data", "'null'"),
        ("data", "null"),
        ("salt", "null"),
        ("salt", "''"),
        ("data", "'\"\\ud800\"'"),
    ] {
        let found = bench.after(&edit(column, value), None).await;
        assert_eq!(found, [(BreakKind::Edited, 7)], "{column} = {value}");
    }
}

#[tokio::test]
async fn deleted_rows_are_found_at_their_number() {
    use BreakKind::{Inserted, Missing};
    let bench = Bench::new().await;
    let row = "delete from journal where number = 7;";
    assert_eq!(bench.after(row, None).await, [(Missing, 7)]);
    let closed = format!(
        "{row} update journal set number = -number where number > 7;
         update journal set number = -number - 1 where number < 0;
         update journal_heads set last_number = last_number - 1;"
    );
    assert_eq!(bench.after(&closed, None).await, [(Missing, 7)]);
    // The rows of a segment without its seal.
    let (first, last) = bench.segment(7);
    let seal = format!("delete from journal_seals where first = {first};");
    assert_eq!(bench.after(&seal, None).await, [(Missing, first), (Inserted, first)]);
    let both = format!("{seal} delete from journal where number between {first} and {last}");
    assert_eq!(bench.after(&both, None).await, [(Missing, first)]);
    // Rows behind the sealed ones are missed too.
    let tail = "insert into journal_heads select workspace_id, 0 from workspaces on conflict
        (workspace_id) do update set last_number = journal_heads.last_number + 3";
    let end = bench.head.number;
    assert_eq!(bench.after(tail, None).await, [(Missing, end + 1)]);
}

#[tokio::test]
async fn inserted_rows_are_found_at_their_number() {
    use BreakKind::{Edited, Inserted};
    let bench = Bench::new().await;
    let end = bench.head.number;
    let copy = |number: &str| {
        format!(
            "create temp table made as select * from journal where number = 7;
             update made set number = {number}, kind = 'goal.cancelled',
                 salt = decode(repeat('07', 16), 'hex');
             insert into journal select * from made;"
        )
    };
    for number in [-1, 0, end + 1] {
        let found = bench.after(&copy(&number.to_string()), None).await;
        assert_eq!(found, [(Inserted, number)]);
    }
    let between = "update journal set number = -number where number >= 7;
         update journal set number = 1 - number where number < 0;
         update journal_heads set last_number = last_number + 1;
         create temp table made as select * from journal where number = 8;
         update made set number = 7, kind = 'goal.cancelled',
             salt = decode(repeat('07', 16), 'hex');
         insert into journal select * from made;";
    assert_eq!(bench.after(between, None).await, [(Inserted, 7)]);
    // With a digest of its own, and everything behind it moved along.
    let sealed = format!(
        "{between}
         update journal_seals set first = -first where first > 7;
         update journal_seals set first = 1 - first, last = last + 1 where first < 0;
         update journal_seals set last = last + 1,
             digests = substring(digests for 32 * (7 - first)::int) || sha256('made up')
                       || substring(digests from 32 * (7 - first)::int + 1)
         where 7 between first and last;
         update journal_chains set sealed_to = sealed_to + 1;"
    );
    let found = bench.after(&sealed, None).await;
    let (first, last) = bench.segment(7);
    assert!(found.iter().any(|found| found.0 == BreakKind::ChainBroken && found.1 == first));
    assert!(found.contains(&(Edited, 7)), "{found:?}");
    // Each further segment has other numbers than it was sealed with, and shows it.
    assert!(found.iter().all(|found| found.1 == 7 || found.0 == BreakKind::ChainBroken));
    assert!(found.iter().all(|found| found.1 <= last || found.1 > last + 1 || first < 7));
    let behind = "insert into journal_seals
        select workspace_id, last + 1, last + 1, sha256(''), chain_sha256, sealed_at
        from journal_seals order by first desc limit 1";
    assert_eq!(bench.after(behind, None).await, [(Inserted, end + 1)]);
}

/// Two rows exchange their numbers, their contents, or their digests too.
#[tokio::test]
async fn reordered_rows_are_found_at_both_numbers() {
    use BreakKind::{ChainBroken, Edited, Reordered};
    let bench = Bench::new().await;
    for (one, other) in [(7, 11), (7, 8), (1, bench.head.number)] {
        let exchange = format!(
            "update journal set number = -{one} where number = {one};
             update journal set number = {one} where number = {other};
             update journal set number = {other} where number = -{one};"
        );
        let found = bench.after(&exchange, None).await;
        assert_eq!(found, [(Reordered, one), (Reordered, other)]);
    }
    let contents = "create temp table old as select * from journal where number in (7, 11);
        update journal e set (at, kind, subject_id, data) =
            (select o.at, o.kind, o.subject_id, o.data from old o where o.number <> e.number)
        where number in (7, 11)";
    assert_eq!(bench.after(contents, None).await, [(Edited, 7), (Edited, 11)]);
    let (one, other) = (bench.segments[1], bench.segments[2]);
    let digests = format!(
        "update journal set number = -1 where number = {0};
         update journal set number = {0} where number = {1};
         update journal set number = {1} where number = -1;
         create temp table old as select first, substring(digests for 32) as digest
             from journal_seals;
         update journal_seals s set digests = (select digest from old o where o.first <> s.first
             and o.first in ({0}, {1})) || substring(digests from 33) where first in ({0}, {1})",
        one.0, other.0
    );
    let found = bench.after(&digests, None).await;
    assert_eq!(found, [(ChainBroken, one.0), (ChainBroken, other.0)]);
}

#[tokio::test]
async fn a_changed_seal_or_head_is_found() {
    use BreakKind::{ChainBroken, Missing};
    let bench = Bench::new().await;
    let (first, last) = bench.segment(7);
    let seal = format!("where first = {first}");
    // The digest of one row.
    let digest = format!(
        "update journal_seals set digests = overlay(digests placing sha256('')
             from 32 * (7 - first)::int + 1) {seal}"
    );
    assert_eq!(bench.after(&digest, None).await, [(ChainBroken, 7)]);
    for change in [
        "chain_sha256 = sha256('')",
        "chain_sha256 = ''",
        "digests = ''",
        "digests = substring(digests from 2)",
    ] {
        let found = bench.after(&format!("update journal_seals set {change} {seal}"), None).await;
        assert_eq!(found, [(ChainBroken, first)], "{change}");
    }
    for change in ["first = first + 1", "last = last + 1", "last = last - 1", "digests = null"] {
        let found = bench.after(&format!("update journal_seals set {change} {seal}"), None).await;
        let near = |found: &(BreakKind, i64)| (first..=last + 1).contains(&found.1);
        assert!(found.first().is_some_and(near) && found.iter().all(near), "{change}: {found:?}");
    }
    let end = bench.head.number;
    let head = "update journal_chains set chain_sha256 = sha256('')";
    assert_eq!(bench.after(head, None).await, [(ChainBroken, end)]);
    let further = "update journal_chains set sealed_to = sealed_to + 1";
    assert_eq!(bench.after(further, None).await, [(Missing, end + 1)]);
}

/// With the seals and the head made to fit there is nothing wrong with the chain, but it is not the one
/// whose head was kept.
#[tokio::test]
async fn a_cut_off_end_and_a_rewritten_chain_are_found_by_a_kept_head() {
    use BreakKind::{ChainBroken, Edited, Missing};
    let bench = Bench::new().await;
    let (first, _) = bench.segments[bench.segments.len() - 1];
    let cut = format!(
        "delete from journal where number >= {first};
         delete from journal_seals where first >= {first};
         update journal_heads set last_number = {first} - 1;
         update journal_chains set sealed_to = {first} - 1,
             chain_sha256 = (select chain_sha256 from journal_seals where last = {first} - 1)"
    );
    assert_eq!(bench.after(&cut, None).await, []);
    let found = bench.after(&cut, Some(bench.head)).await;
    assert_eq!(found, [(Missing, first)]);

    let rewritten = "update journal_seals set digests = overlay(digests placing sha256('anything')
             from 32 * (7 - first)::int + 1) where 7 between first and last;
        do $$ declare seal record; chain bytea := decode(repeat('00', 32), 'hex'); begin
            for seal in select * from journal_seals order by first loop
                chain := sha256(chain || int8send(seal.first) || int8send(seal.last)
                                || seal.digests);
                update journal_seals set chain_sha256 = chain where first = seal.first;
            end loop;
            update journal_chains set chain_sha256 = chain;
        end $$";
    // The row itself no longer fits, which shows that the chain is what the database computed.
    assert_eq!(bench.after(rewritten, None).await, [(Edited, 7)]);
    let found = bench.after(rewritten, Some(bench.head)).await;
    let end = bench.head.number;
    assert_eq!(found, [(Edited, 7), (ChainBroken, end)]);
    assert_eq!(bench.after("select 1", Some(bench.head)).await, []);
}

/// Even the owner of the tables is refused, as long as the triggers are there.
#[tokio::test]
async fn the_tables_are_append_only() {
    let (fleet, _) = sealed_fleet().await;
    let erasure = "data = null, salt = null,
        data_sha256 = sha256(salt || convert_to(data::text, 'UTF8'))";
    for statement in [
        "update journal set workspace_id = workspace_id".to_owned(),
        "update journal set kind = 'goal.updated'".to_owned(),
        "update journal set data = '{}'".to_owned(),
        "update journal set data = null, salt = null, data_sha256 = sha256('')".to_owned(),
        format!("update journal set {erasure}, kind = 'goal.updated'"),
        format!("update journal set {erasure}, public = false"),
        "delete from journal".to_owned(),
        "truncate journal".to_owned(),
        "update journal_seals set workspace_id = workspace_id".to_owned(),
        "update journal_seals set digests = null".to_owned(),
        "update journal_seals set chain_sha256 = sha256('')".to_owned(),
        "delete from journal_seals".to_owned(),
        "truncate journal_seals".to_owned(),
    ] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement.clone()));
        let refused = refused.execute(&fleet.pool).await.unwrap_err();
        let code = refused.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some("23001"), "{statement}: {refused}");
    }
}
