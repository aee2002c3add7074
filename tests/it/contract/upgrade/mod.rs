//! Migrations are forward-only: a released one is never edited, and a database made by a release is
//! upgraded with everything in it.
//!
//! The baseline is a pair of files of one state of this tree: `baseline.sums` lists the migrations of
//! that state with their checksums, `baseline.sql` the rows of a lively fleet under their schema. Until
//! the first release both are regenerated after an edit of a migration, by
//!
//! ```text
//! MUSTER_BASELINE=write cargo nextest run --test it upgrade::
//! ```
//!
//! From then on they stay as they are, and a change of the schema is a new migration.

use std::fmt::Write as _;

use futures_util::TryStreamExt as _;
use muster::{
    app::{App, access::keys::NewKey},
    clock::{Clock, ManualClock},
    domain::access::role::Role,
    entropy::Entropy,
    store,
};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use crate::support::{
    client::Client,
    database::fresh_database,
    fleet::{register, router, text},
    invariants::verify_rested,
};

pub mod lively;

const ROWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/contract/upgrade/baseline.sql");
const SUMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/contract/upgrade/baseline.sums");

/// The tables in an order in which references come after what they refer to, each with the columns
/// that are stored and those of its primary key.
const TABLES: &str = "
    with recursive tables as (
        select oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
          and relname <> '_sqlx_migrations'
    ), depths (oid, depth) as (
        select oid, 0 from tables
        union
        select c.conrelid, d.depth + 1 from depths d
        join pg_constraint c on c.confrelid = d.oid and c.contype = 'f' and c.conrelid <> d.oid
    )
    select t.oid::regclass::text,
        (select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a
         where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''),
        (select string_agg(quote_ident(a.attname), ', ' order by k.place) from pg_index i
         cross join unnest(i.indkey) with ordinality as k (attnum, place)
         join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
         where i.indrelid = t.oid and i.indisprimary)
    from tables t
    order by (select max(d.depth) from depths d where d.oid = t.oid), 1";

/// Whether this run writes the baseline instead of reading it.
fn writes() -> bool {
    std::env::var_os("MUSTER_BASELINE").is_some_and(|value| value == "write")
}

/// The migrations of this tree, a line each.
fn sums() -> String {
    let mut sums = String::new();
    for migration in store::MIGRATIONS.iter() {
        let sum = data_encoding::HEXLOWER.encode(&migration.checksum);
        writeln!(sums, "{:04} {} {sum}", migration.version, migration.description).unwrap();
    }
    sums
}

#[test]
fn released_migrations_are_not_edited() {
    if writes() {
        return std::fs::write(SUMS, sums()).unwrap();
    }
    let released = std::fs::read_to_string(SUMS).unwrap();
    assert!(!released.is_empty());
    assert!(
        sums().starts_with(&released),
        "a migration of the baseline was edited, renamed or removed; see the head of {}",
        file!()
    );
}

#[tokio::test]
async fn a_database_of_the_baseline_is_upgraded_and_works() {
    if writes() {
        let fleet = lively::lively().await;
        verify_rested(&fleet.pool, fleet.now()).await;
        return std::fs::write(ROWS, rows(&fleet.pool).await).unwrap();
    }
    let database = fresh_database().await;
    let pool = store::connect(database.connect_options(), 5).await.unwrap();
    sqlx::raw_sql("drop schema public cascade; create schema public").execute(&pool).await.unwrap();
    let released = std::fs::read_to_string(SUMS).unwrap().lines().count();
    let last = store::MIGRATIONS.iter().nth(released - 1).unwrap().version;
    store::MIGRATIONS.run_to(last, &pool).await.unwrap();
    load(&mut pool.acquire().await.unwrap(), &std::fs::read_to_string(ROWS).unwrap()).await;

    store::migrate(&pool).await.unwrap();

    let now =
        sqlx::query_scalar("select max(updated_at) from goals").fetch_one(&pool).await.unwrap();
    verify_rested(&pool, now).await;
    let app = App::new(pool.clone(), Clock::Manual(ManualClock::at(now)), Entropy::system());
    works(&app).await;
    verify_rested(&pool, now).await;
}

/// Posts, reads, claims and completes in the first workspace.
async fn works(app: &App) {
    let workspace = app.workspaces().await.unwrap()[0];
    let new = NewKey {
        name: "new".into(),
        role: Role::Admin,
        person: None,
        expires_in_seconds: None,
        scope: Default::default(),
        dies_with_maker: false,
    };
    let key = app.local_admin(Some(workspace)).await.unwrap().create_key(&new).await.unwrap().token;
    let admin = Client::of(router(app)).with_key(&key);

    let goals = admin.get("/v1/goals?state=active").await.value(200);
    let path = format!("/v1/goals/{}", text(&goals["items"][0]["id"]));
    assert_eq!(admin.get(path).await.value(200)["state"], "active");

    let agent = register(&admin, json!({"name": "new", "max_concurrent": 9})).await;
    let held = agent.take().await;
    assert_eq!(held.name, "open");
    agent.complete(&held).await;
    let task = admin.get(format!("/v1/tasks/{}", held.task)).await.value(200);
    assert_eq!(task["state"], "done");
}

/// All rows, as statements that `psql` reads too.
async fn rows(pool: &PgPool) -> String {
    let mut connection = pool.acquire().await.unwrap();
    let tables: Vec<(String, String, String)> =
        sqlx::query_as(TABLES).fetch_all(&mut *connection).await.unwrap();
    let mut all = String::new();
    for (table, columns, key) in tables {
        let copy = format!("copy (select {columns} from {table} order by {key}) to stdout");
        let stream = connection.copy_out_raw(&copy).await.unwrap();
        let bytes: Vec<_> = stream.try_collect().await.unwrap();
        let rows = String::from_utf8(bytes.concat()).unwrap();
        assert!(!rows.is_empty(), "the lively fleet has nothing in {table}");
        write!(all, "copy {table} ({columns}) from stdin;\n{rows}\\.\n").unwrap();
    }
    all
}

/// Stores what [`rows`] wrote.
async fn load(connection: &mut PgConnection, all: &str) {
    for block in all.split_terminator("\\.\n") {
        let (copy, rows) = block.split_once('\n').unwrap();
        let mut into = connection.copy_in_raw(copy.trim_end_matches(';')).await.unwrap();
        into.send(rows.as_bytes()).await.unwrap();
        into.finish().await.unwrap();
    }
}
