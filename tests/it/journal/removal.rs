//! Data that was erased and rows that were pruned: what is left verifies, and a forged removal does
//! not.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use muster::{
    app::journal::verify::AuditVerification,
    domain::journal::{BreakKind, Head},
};
use serde_json::{Value, json};

use super::{check, export, seal_all, sealed_fleet, segments, tampering::Bench, workspace};
use crate::support::{fleet::Fleet, invariants::verify};

async fn erase(fleet: &Fleet, numbers: &[i64]) -> u64 {
    let local = fleet.app.local_admin(Some(workspace(&fleet.app).await)).await.unwrap();
    local.erase_data(numbers).await.unwrap()
}

async fn prune(fleet: &Fleet, to: i64) -> u64 {
    let local = fleet.app.local_admin(Some(workspace(&fleet.app).await)).await.unwrap();
    local.prune_journal(to).await.unwrap()
}

async fn rows(fleet: &Fleet, query: &str) -> Vec<Value> {
    let page = fleet.admin.get(format!("/v1/audit?limit=200&{query}")).await.value(200);
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["row"].clone()).collect()
}

fn places(found: &AuditVerification) -> Vec<(BreakKind, i64)> {
    found.breaks.iter().map(|found| (found.kind, found.number)).collect()
}

#[tokio::test]
async fn erased_data_is_gone_and_the_rest_verifies() {
    let (fleet, before) = sealed_fleet().await;
    let secret = json!([{"ref": "a", "title": "hunter2"}]);
    fleet.goal(secret).await;
    let whole = export::lines(&fleet).await;
    seal_all(&fleet.app).await;
    let told = rows(&fleet, "kind=task.created").await;
    let number = told[0]["number"].as_i64().unwrap();
    assert!(told[0]["data"].to_string().contains("hunter2"));

    assert_eq!(erase(&fleet, &[number, 7]).await, 2);
    let found = check(&fleet.app, Some(before.head)).await;
    assert!(found.holds, "{found:#?}");
    assert_eq!((found.erased, found.unsealed), (2, 0));
    let dumped: i64 = sqlx::query_scalar(
        "select count(*) from journal where data::text like '%hunter2%'
         or (number = $1 and (data is not null or salt is not null))",
    )
    .bind(number)
    .fetch_one(&fleet.pool)
    .await
    .unwrap();
    assert_eq!(dumped, 0);
    let told = &rows(&fleet, "kind=task.created").await[0];
    assert!(told.get("data").is_none() && told.get("salt").is_none(), "{told:#}");
    assert_eq!(told["data_sha256"].as_str().map(str::len), Some(64));
    let path = format!("/v1/events?after={}&limit=1", number - 1);
    let event = &fleet.admin.get(path).await.value(200)["items"][0];
    assert_eq!((&event["number"], &event["data"]), (&json!(number), &json!(null)));
    // The rows say so themselves, and keep what they say.
    let said = rows(&fleet, "kind=journal.erased").await;
    assert_eq!(said[0]["data"], json!({"numbers": [number, 7]}));
    let own = said[0]["number"].as_i64().unwrap();
    assert_eq!(erase(&fleet, &[number, own]).await, 0);
    let found = check(&fleet.app, Some(before.head)).await;
    assert!(found.holds && found.erased == 2, "{found:#?}");
    verify(&fleet.pool).await;

    let lines = export::lines(&fleet).await;
    assert!(lines.len() > whole.len() && !lines.concat().contains("hunter2"));
    let (status, text, _) = export::offline(&lines.join("\n"), &[]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("data erased in 2 rows"), "{text}");
}

/// What muster itself would do, without saying so; and an edit that is to look like an erasure.
#[tokio::test]
async fn an_erasure_that_the_journal_does_not_announce_is_found() {
    use BreakKind::Edited;
    let bench = Bench::new().await;
    let erasure = "update journal set data = null, salt = null,
        data_sha256 = sha256(salt || convert_to(data::text, 'UTF8')) where number = 7;";
    assert_eq!(bench.after(erasure, None).await, [(Edited, 7)]);

    let (fleet, _) = sealed_fleet().await;
    erase(&fleet, &[7]).await;
    let head = seal_all(&fleet.app).await.head;
    let bench = Bench::of(fleet, head).await;
    assert_eq!(bench.after("select 1", None).await, []);
    let own = head.number;
    for (damage, number) in [
        ("update journal set kind = 'task.cancelled' where number = 7", 7),
        ("update journal set data_sha256 = sha256('') where number = 7", 7),
        ("update journal set data = '{}' where number = 7", 7),
    ] {
        assert_eq!(bench.after(damage, None).await, [(Edited, number)], "{damage}");
    }
    let other = format!(
        "{} update journal set data = '{{\"numbers\": [7, 9]}}' where number = {own}",
        erasure.replace('7', "9")
    );
    let found = bench.after(&other, None).await;
    assert_eq!(found, [(Edited, 7), (Edited, 9), (Edited, own)]);
}

/// A fleet whose first segments are pruned, and the head of before.
async fn pruned_fleet() -> (Fleet, AuditVerification, i64) {
    let (fleet, before) = sealed_fleet().await;
    let segments = segments(&fleet.pool).await;
    let (_, end) = segments[1];
    // In the middle of the third: whole segments only.
    let removed = prune(&fleet, segments[2].1 - 1).await;
    assert_eq!(removed, end.unsigned_abs());
    (fleet, before, end)
}

#[tokio::test]
async fn a_pruned_journal_verifies_and_goes_on() {
    let (fleet, before, end) = pruned_fleet().await;
    let found = check(&fleet.app, Some(before.head)).await;
    assert!(found.holds, "{found:#?}");
    assert_eq!((found.pruned_to, found.unsealed), (end, 0));
    let low: i64 =
        sqlx::query_scalar("select min(number) from journal").fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(low, end + 1);
    // Whole segments, each once.
    assert_eq!(prune(&fleet, end).await, 0);
    assert_eq!(prune(&fleet, 0).await, 0);
    // Readers begin with what is left.
    let batch = fleet.admin.get("/v1/events?after=0&limit=1").await.value(200);
    assert!(batch["items"][0]["number"].as_i64().unwrap() > end);
    let said = rows(&fleet, "kind=journal.pruned").await;
    assert_eq!(said[0]["data"]["pruned_to"], end);
    verify(&fleet.pool).await;

    let lines = export::lines(&fleet).await;
    let (status, text, _) = export::offline(&lines.join("\n"), &[]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains(&format!("pruned up to {end}")), "{text}");
    // It goes on, and may be pruned again: then what said so before is pruned too.
    fleet.lone_task(json!({})).await;
    let later = seal_all(&fleet.app).await;
    assert!(later.holds, "{later:#?}");
    assert!(prune(&fleet, later.head.number).await > 0);
    let found = check(&fleet.app, Some(later.head)).await;
    assert!(found.holds && found.pruned_to == later.head.number, "{found:#?}");
    verify(&fleet.pool).await;
    // A head within the pruned rows counts as long as a seal ends there.
    let found = check(&fleet.app, Some(before.head)).await;
    assert!(found.holds, "{found:#?}");
    let other = Head { chain_sha256: later.head.chain_sha256, ..before.head };
    let found = check(&fleet.app, Some(other)).await;
    assert_eq!(places(&found), [(BreakKind::ChainBroken, before.head.number)]);
}

#[tokio::test]
async fn a_forged_prefix_is_found() {
    use BreakKind::{ChainBroken, Edited, Inserted, Missing};
    let pruning = |end: i64| {
        format!(
            "update journal_chains set pruned_to = {end};
             update journal_seals set digests = null where last <= {end};
             delete from journal where number <= {end};"
        )
    };
    // Of a journal that was never pruned.
    let bench = Bench::new().await;
    for end in [bench.segments[0].1, bench.segments[2].1] {
        assert_eq!(bench.after(&pruning(end), None).await, [(ChainBroken, end)]);
    }
    let rows = format!("delete from journal where number <= {}", bench.segments[0].1);
    assert_eq!(bench.after(&rows, None).await, [(Missing, 1)]);
    let moved = "update journal_chains set pruned_to = 2";
    assert_eq!(bench.after(moved, None).await, [(ChainBroken, 2)]);

    // Of one that was: further than announced, other seals, rows put back, another announcement.
    let (fleet, _, end) = pruned_fleet().await;
    let said: i64 = sqlx::query_scalar("select number from journal where kind = 'journal.pruned'")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    let head = seal_all(&fleet.app).await.head;
    let bench = Bench::of(fleet, head).await;
    assert_eq!(bench.after("select 1", None).await, []);
    let further = bench.segments[2].1;
    assert_eq!(bench.after(&pruning(further), None).await, [(ChainBroken, further)]);
    let chain = format!("update journal_seals set chain_sha256 = sha256('') where last = {end}");
    assert_eq!(bench.after(&chain, None).await, [(ChainBroken, end), (ChainBroken, end + 1)]);
    let back = "create temp table made as select * from journal order by number limit 1;
        update made set number = 2; insert into journal select * from made";
    assert_eq!(bench.after(back, None).await, [(Inserted, 2)]);
    let announced = format!(
        "update journal set data = regexp_replace(data::text, ':{end}\\M', ':{further}')::json
         where number = {said};"
    );
    let found = bench.after(&format!("{announced} {}", pruning(further)), None).await;
    assert_eq!(found, [(ChainBroken, further), (Edited, said)]);
    let seal = "delete from journal_seals where first = 1";
    assert_eq!(bench.after(seal, None).await, [(Missing, 1)]);
}

/// The tables let go of what is pruned and of nothing else.
#[tokio::test]
async fn the_tables_keep_what_is_not_pruned() {
    let (fleet, _, end) = pruned_fleet().await;
    for statement in [
        format!("delete from journal where number = {}", end + 1),
        format!("update journal_seals set digests = null where first = {}", end + 1),
        format!("update journal_seals set chain_sha256 = sha256('') where last = {end}"),
        "update journal set data = null, salt = null,
            data_sha256 = sha256(salt || convert_to(data::text, 'UTF8'))
         where kind = 'journal.pruned'"
            .to_owned(),
    ] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement.clone()));
        let refused = refused.execute(&fleet.pool).await.unwrap_err();
        let code = refused.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some("23001"), "{statement}: {refused}");
    }
}

/// Writers, a sealer and checks beside pruning and erasing: at every moment everything holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_holds_at_every_moment() {
    let (fleet, _) = sealed_fleet().await;
    let over = Arc::new(AtomicBool::new(false));
    let (app, stop) = (fleet.app.clone(), Arc::clone(&over));
    let id = workspace(&fleet.app).await;
    let sealer = tokio::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            app.seal_journal(id).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    let removing = async {
        for round in 0..6 {
            let goal = fleet.goal(json!([{"ref": "a", "title": format!("{round}")}])).await;
            let posted = rows(&fleet, &format!("subject_id={goal}&kind=goal.created")).await;
            let number = posted[0]["number"].as_i64().unwrap();
            assert_eq!(erase(&fleet, &[number]).await, 1);
            assert!(prune(&fleet, number - 1).await > 0);
        }
        over.store(true, Ordering::Relaxed);
    };
    let checking = async {
        while !over.load(Ordering::Relaxed) {
            let found = check(&fleet.app, None).await;
            assert!(found.holds, "{found:#?}");
        }
    };
    tokio::join!(removing, checking);
    sealer.await.unwrap();
    let found = seal_all(&fleet.app).await;
    assert!(found.holds && found.pruned_to > 0, "{found:#?}");
    verify(&fleet.pool).await;
}
