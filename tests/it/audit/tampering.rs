//! What the owner of the database does to sealed rows is found, and said where.

use muster::domain::audit::{BreakKind, Head};
use sqlx::{PgPool, Row as _};

use super::{check_in, execute, sealed_fleet};
use crate::support::{database::TestDatabase, fleet::Fleet};

/// What a superuser does first.
const OPEN: &str = "alter table audit_entries disable trigger all;
    alter table audit_seals disable trigger all;
    alter table audit_entries drop constraint audit_entries_before_is_a_hash;
    alter table audit_entries drop constraint audit_entries_after_is_a_hash;";

/// A sealed fleet whose database is copied for each damage.
struct Bench {
    database: TestDatabase,
    head: Head,
}

impl Bench {
    async fn new() -> Self {
        let (Fleet { pool, database, .. }, found) = sealed_fleet().await;
        pool.close().await;
        Self { database, head: found.head }
    }

    /// What is found after these statements: kind, number, and whether an entry is named.
    async fn after(&self, sql: &str, kept: Option<Head>) -> Vec<(BreakKind, Option<i64>)> {
        let database = self.database.copy().await;
        let pool = database.pool().await;
        execute(&pool, OPEN).await;
        execute(&pool, sql).await;
        let found = check_in(&pool, kept).await;
        assert_eq!(found.holds, found.breaks.is_empty());
        pool.close().await;
        found.breaks.into_iter().map(|found| (found.kind, found.seq)).collect()
    }
}

async fn columns(pool: &PgPool) -> Vec<(String, String)> {
    let rows = sqlx::query(
        "select column_name::text, data_type::text from information_schema.columns
         where table_schema = 'public' and table_name = 'audit_entries' order by ordinal_position",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Every column there is, by its type: a column that is added later is edited here too.
#[tokio::test]
async fn an_edit_of_any_column_is_found_at_its_place() {
    let bench = Bench::new().await;
    let columns = columns(&bench.database.copy().await.pool().await).await;
    assert!(columns.len() > 12);
    for (column, kind) in columns {
        let value = match (column.as_str(), kind.as_str()) {
            // The tenant and the id say which entry it is: without them it is not there.
            ("workspace_id" | "entry_id", _) => "gen_random_uuid()".to_owned(),
            (_, "uuid") => "gen_random_uuid()".to_owned(),
            (name, "bigint") => format!("{name} - 1"),
            (name, "text") => format!("coalesce({name}, '') || ' '"),
            (name, "jsonb") => format!("jsonb_build_array({name})"),
            (name, "bytea") => format!("sha256(coalesce({name}, ''))"),
            (name, "timestamp with time zone") => format!("{name} + interval '1 microsecond'"),
            (name, kind) => panic!("how is {name}, a {kind}, edited?"),
        };
        let edit = |value: &str| {
            format!(
                "update audit_entries set {column} = {value} where entry_id =
                 (select entry_id from audit_seals where seq = 7)"
            )
        };
        let found = bench.after(&edit(&value), None).await;
        let want = match column.as_str() {
            "workspace_id" | "entry_id" => BreakKind::Missing,
            _ => BreakKind::Edited,
        };
        assert_eq!(found[0], (want, Some(7)), "{column}");
        let others = found.iter().skip(1).all(|found| *found == (BreakKind::Inserted, None));
        assert!(others && found.len() <= 2, "{column}: {found:?}");
        // What was there is taken away, and what no program can hold is put in.
        if column == "created_at" {
            let found = bench.after(&edit("'infinity'"), None).await;
            assert_eq!(found, [(BreakKind::Edited, Some(7))]);
        }
    }
}

#[tokio::test]
async fn what_is_deleted_is_found_at_its_place() {
    use BreakKind::{Inserted, Missing};
    let bench = Bench::new().await;
    let entry = "delete from audit_entries
        where entry_id = (select entry_id from audit_seals where seq = 7);";
    let seal = "delete from audit_seals where seq = 7;";
    assert_eq!(bench.after(entry, None).await, [(Missing, Some(7))]);
    // The entry that was sealed has no seal now.
    assert_eq!(bench.after(seal, None).await, [(Missing, Some(7)), (Inserted, None)]);
    let both = format!("{entry} {seal}");
    assert_eq!(bench.after(&both, None).await, [(Missing, Some(7))]);
    let closed = format!(
        "{both} update audit_seals set seq = -seq where seq > 7;
         update audit_seals set seq = -seq - 1 where seq < 0;
         update audit_heads set seq = seq - 1;"
    );
    assert_eq!(bench.after(&closed, None).await, [(Missing, Some(7))]);
}

#[tokio::test]
async fn what_is_inserted_is_found_at_its_place() {
    use BreakKind::Inserted;
    let bench = Bench::new().await;
    let entry = "insert into audit_entries
        select workspace_id, '01890a5d-ac96-774b-bcce-b302099a8057', xid, 'goal.cancelled', subject,
               subject_id, actor_key_id, actor_person, on_behalf_of, request, before_sha256,
               after_sha256, details, created_at
        from audit_entries where entry_id = (select entry_id from audit_seals where seq = 7);";
    let unsealed = bench.after(entry, None).await;
    assert_eq!(unsealed, [(Inserted, None)]);
    let sealed = format!(
        "{entry} update audit_seals set seq = -seq where seq >= 7;
         update audit_seals set seq = 1 - seq where seq < 0;
         insert into audit_seals select workspace_id, 7, '01890a5d-ac96-774b-bcce-b302099a8057',
             entry_sha256, sha256('made up') from audit_seals where seq = 8;
         update audit_heads set seq = seq + 1;"
    );
    let found = bench.after(&sealed, None).await;
    // Its hash is another's, so it is not what it says either.
    assert_eq!(found[0].1, Some(7), "{found:?}");
    assert!(found.contains(&(Inserted, Some(7))), "{found:?}");
    assert!(found.iter().all(|found| found.1 == Some(7)), "{found:?}");
    let behind = "insert into audit_seals select workspace_id, seq + 1, gen_random_uuid(),
        entry_sha256, chain_sha256 from audit_seals order by seq desc limit 1";
    let end = bench.head.seq + 1;
    assert_eq!(bench.after(behind, None).await, [(Inserted, Some(end))]);
}

/// Two entries exchange what they say, their names in the chain, or their whole places.
#[tokio::test]
async fn what_is_reordered_is_found_in_both_places() {
    use BreakKind::{Edited, Reordered};
    let bench = Bench::new().await;
    let exchange = |columns: &str| {
        format!(
            "update audit_seals s set ({columns}) = (select {columns} from before b
                 where b.seq = case s.seq when 7 then 11 else 7 end)
             where s.seq in (7, 11)"
        )
    };
    let before = "create table before as select * from audit_seals;
        alter table audit_seals drop constraint audit_seals_entry_once;";
    for columns in
        ["entry_id, entry_sha256, chain_sha256", "entry_id, entry_sha256", "entry_id, chain_sha256"]
    {
        let found = bench.after(&format!("{before} {}", exchange(columns)), None).await;
        let places: Vec<Option<i64>> = found.iter().map(|found| found.1).collect();
        assert!(places.contains(&Some(7)) && places.contains(&Some(11)), "{columns}: {found:?}");
        if columns != "entry_id, chain_sha256" {
            assert_eq!(found, [(Reordered, Some(7)), (Reordered, Some(11))], "{columns}");
        }
    }
    let names =
        format!("{before} {}", exchange("entry_id, entry_id").replacen(", entry_id", "", 2));
    let found = bench.after(&names, None).await;
    assert_eq!(found, [(Reordered, Some(7)), (Reordered, Some(11))]);
    let contents = "create table old as select e.*, s.seq from audit_entries e
            join audit_seals s using (workspace_id, entry_id) where s.seq in (7, 11);
        update audit_entries e set (action, subject_id, after_sha256, xid) =
            (select o.action, o.subject_id, o.after_sha256, o.xid from old o
             where o.entry_id <> e.entry_id)
        where e.entry_id in (select entry_id from old)";
    assert_eq!(bench.after(contents, None).await, [(Edited, Some(7)), (Edited, Some(11))]);
}

#[tokio::test]
async fn a_touched_seal_or_head_is_found() {
    use BreakKind::ChainBroken;
    let bench = Bench::new().await;
    for column in ["entry_sha256", "chain_sha256"] {
        for value in ["sha256('')", "''"] {
            let sql = format!("update audit_seals set {column} = {value} where seq = 7");
            assert_eq!(bench.after(&sql, None).await, [(ChainBroken, Some(7))], "{sql}");
        }
    }
    let end = Some(bench.head.seq);
    let head = "update audit_heads set chain_sha256 = sha256('')";
    assert_eq!(bench.after(head, None).await, [(ChainBroken, end)]);
    let further = "update audit_heads set seq = seq + 1";
    let next = Some(bench.head.seq + 1);
    assert_eq!(bench.after(further, None).await, [(BreakKind::Missing, next)]);
}

/// With the seals and the head made to fit there is nothing wrong with the chain, but it is not the one
/// whose head was kept.
#[tokio::test]
async fn a_cut_off_end_and_a_rewritten_chain_are_found_by_a_kept_head() {
    let bench = Bench::new().await;
    let cut = "delete from audit_entries where entry_id in
            (select entry_id from audit_seals where seq > 15);
        delete from audit_seals where seq > 15;
        update audit_heads h set seq = 15, chain_sha256 =
            (select chain_sha256 from audit_seals where seq = 15)";
    assert_eq!(bench.after(cut, None).await, []);
    let found = bench.after(cut, Some(bench.head)).await;
    assert_eq!(found, [(BreakKind::Missing, Some(16))]);

    let rewritten = "update audit_seals set entry_sha256 = sha256('anything') where seq = 7;
        do $$ declare link record; chain bytea; begin
            select chain_sha256 into chain from audit_seals where seq = 6;
            for link in select * from audit_seals where seq > 6 order by seq loop
                chain := sha256(chain || int8send(link.seq) || link.entry_sha256);
                update audit_seals set chain_sha256 = chain where seq = link.seq;
            end loop;
            update audit_heads set chain_sha256 = chain;
        end $$";
    // The entry itself no longer fits, which shows that the chain is what the database computed.
    assert_eq!(bench.after(rewritten, None).await, [(BreakKind::Edited, Some(7))]);
    let found = bench.after(rewritten, Some(bench.head)).await;
    let end = Some(bench.head.seq);
    assert_eq!(found, [(BreakKind::Edited, Some(7)), (BreakKind::ChainBroken, end)]);
    // A head that was kept earlier still narrows it down.
    let earlier = bench.after("select 1", Some(bench.head)).await;
    assert_eq!(earlier, []);
}

/// Even the owner of the tables is refused, as long as the triggers are there.
#[tokio::test]
async fn the_tables_take_inserts_only() {
    let (fleet, _) = sealed_fleet().await;
    for table in ["audit_entries", "audit_seals"] {
        for statement in [
            format!("update {table} set workspace_id = workspace_id"),
            format!("delete from {table}"),
            format!("truncate {table}"),
        ] {
            let refused = sqlx::query(sqlx::AssertSqlSafe(statement.clone()));
            let refused = refused.execute(&fleet.pool).await.unwrap_err();
            let code = refused.as_database_error().and_then(|error| error.code());
            assert_eq!(code.as_deref(), Some("23001"), "{statement}: {refused}");
        }
    }
}
