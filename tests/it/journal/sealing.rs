//! Sealing beside writers: nothing is passed over, nothing is sealed twice, nobody waits.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use muster::{
    app::{App, journal::verify::AuditVerification},
    clock::Clock,
    domain::journal::BreakKind,
    entropy::Entropy,
};
use serde_json::{Value, json};
use sqlx::Row as _;

use super::{check, execute, seal_all, sealed_fleet, segments, workspace};
use crate::support::{agent::Agent, fleet::Fleet, invariants::verify};

/// Rows that the test writes in a transaction of its own, as muster does.
const ROWS: &str = "with head as (
        update journal_heads set last_number = last_number + $2
        returning workspace_id, last_number - $2 as before
    )
    insert into journal (workspace_id, number, at, kind, public, subject, subject_id, data,
                         data_version, salt)
    select workspace_id, before + n, now(), $1, true, 'workspace', workspace_id, '{}', 1,
           decode(md5(n::text), 'hex')
    from head, generate_series(1, $2) n";

/// The kinds of sealed rows of the test, in their order.
async fn sealed_kinds(fleet: &Fleet) -> Vec<String> {
    sqlx::query_scalar(
        "select kind from journal where kind like 'test.%'
         and number <= (select sealed_to from journal_chains) order by number",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap()
}

async fn write(fleet: &Fleet, kind: &str, rows: i64) {
    sqlx::query(ROWS).bind(kind).bind(rows).execute(&fleet.pool).await.unwrap();
}

/// Numbers are in the order of commits: behind one that is taken and not committed there are none.
#[tokio::test]
async fn a_transaction_that_stays_open_is_sealed_in_its_turn() {
    let (fleet, before) = sealed_fleet().await;
    let workspace = workspace(&fleet.app).await;
    let mut open = fleet.pool.begin().await.unwrap();
    sqlx::query(ROWS).bind("test.open").bind(1_i64).execute(&mut *open).await.unwrap();
    let later = async {
        for _ in 0..3 {
            write(&fleet, "test.later", 1).await;
        }
    };
    let sealing = async {
        for _ in 0..3 {
            fleet.app.seal_journal(workspace).await.unwrap();
            assert_eq!(sealed_kinds(&fleet).await, [""; 0], "something came before its turn");
            let found = check(&fleet.app, Some(before.head)).await;
            assert_eq!((found.holds, found.unsealed, found.head), (true, 0, before.head));
        }
        open.commit().await.unwrap();
    };
    tokio::join!(later, sealing);
    let after = seal_all(&fleet.app).await;
    assert!(after.holds, "{after:#?}");
    assert_eq!(after.head.number, before.head.number + 4);
    let kinds = sealed_kinds(&fleet).await;
    assert_eq!(kinds, ["test.open", "test.later", "test.later", "test.later"]);
}

/// A transaction that is rolled back leaves no gap.
#[tokio::test]
async fn a_rollback_leaves_no_gap() {
    let (fleet, before) = sealed_fleet().await;
    let mut open = fleet.pool.begin().await.unwrap();
    sqlx::query(ROWS).bind("test.undone").bind(1_i64).execute(&mut *open).await.unwrap();
    open.rollback().await.unwrap();
    write(&fleet, "test.later", 1).await;
    let after = seal_all(&fleet.app).await;
    assert!(after.holds, "{after:#?}");
    assert_eq!(after.head.number, before.head.number + 1);
    assert_eq!(sealed_kinds(&fleet).await, ["test.later"]);
}

async fn work(agent: Agent, over: Arc<AtomicBool>) {
    let mut turn = 0;
    while !over.load(Ordering::Relaxed) {
        for held in agent.claim(3).await {
            turn += 1;
            let (verb, body) = match turn % 5 {
                0 => ("fail", json!({"class": "transient"})),
                1 => ("release", json!({"checkpoint": turn})),
                2 => {
                    ("heartbeat", json!({"progress": {"percent": 50}, "checkpoint": {"at": turn}}))
                }
                3 => ("spend", json!({"totals": {"usd_micros": turn}})),
                _ => ("complete", json!({"result": turn})),
            };
            let answer = agent.write(&held, verb, body).await;
            assert!(answer.status.is_success(), "{verb}: {}", answer.describe());
            if !matches!(verb, "fail" | "release" | "complete") {
                agent.complete(&held).await;
            }
        }
    }
}

/// Eight writers at two processes, and both seal all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_two_sealers_at_once_leave_no_gap() {
    let fleet = Fleet::start().await;
    let other = fleet.another_app().await;
    let bases = [
        fleet.listen().await,
        crate::support::fleet::serve(crate::support::fleet::router(&other)).await,
    ];
    let over = Arc::new(AtomicBool::new(false));
    let mut workers = Vec::new();
    for n in 0..8 {
        let agent = fleet.agent(&format!("agent {n}"), &[], 10).await.at(&bases[n % 2]);
        workers.push(tokio::spawn(work(agent, Arc::clone(&over))));
    }
    let workspace = workspace(&fleet.app).await;
    let sealers: Vec<_> = [fleet.app.clone(), other.clone()]
        .into_iter()
        .map(|app| {
            let over = Arc::clone(&over);
            tokio::spawn(async move {
                let mut sealed = 0;
                while !over.load(Ordering::Relaxed) {
                    sealed += app.seal_journal(workspace).await.unwrap();
                    tokio::task::yield_now().await;
                }
                sealed
            })
        })
        .collect();
    let mut heads = Vec::new();
    let began = std::time::Instant::now();
    while heads.len() < 8 {
        let tasks: Vec<Value> = (0..40)
            .map(|n| json!({"ref": n.to_string(), "title": "t", "max_attempts": 50}))
            .collect();
        fleet.goal(json!(tasks)).await;
        let found = check(&other, heads.last().copied()).await;
        assert!(found.holds, "{found:#?}");
        // A head that has not moved shows nothing.
        if heads.last().is_none_or(|last| *last != found.head) {
            heads.push(found.head);
        }
        assert!(began.elapsed() < crate::support::process::PATIENCE, "nothing is sealed");
        tokio::task::yield_now().await;
    }
    over.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    let mut sealed = 0;
    for sealer in sealers {
        sealed += sealer.await.unwrap();
    }
    assert!(sealed > 100, "{sealed} rows are no traffic");
    for head in heads {
        let found = check(&fleet.app, Some(head)).await;
        assert!(found.holds, "{found:#?}");
    }
    let found = seal_all(&fleet.app).await;
    assert!(found.holds, "{found:#?}");
    let row = sqlx::query(
        "select (select count(*) from journal), (select max(number) from journal),
                (select last_number from journal_heads),
                (select sum(last - first + 1) from journal_seals)::bigint,
                (select max(last) from journal_seals)",
    )
    .fetch_one(&fleet.pool)
    .await
    .unwrap();
    let counts: BTreeSet<i64> = (0..5).map(|n| row.get::<i64, _>(n)).collect();
    assert_eq!(counts, BTreeSet::from([found.head.number]), "rows, sealed rows, and the head");
    verify(&fleet.pool).await;
}

/// A copy in another database goes on where the original was.
#[tokio::test]
async fn a_journal_that_was_moved_goes_on() {
    let (fleet, before) = sealed_fleet().await;
    write(&fleet, "test.old", 3).await;
    let Fleet { pool, database, .. } = fleet;
    pool.close().await;
    let moved = database.copy().await;
    let pool = moved.pool().await;
    let app = App::new(pool.clone(), Clock::Database, Entropy::system());
    sqlx::query(ROWS).bind("test.new").bind(1_i64).execute(&pool).await.unwrap();
    let after = seal_all(&app).await;
    assert!(after.holds, "{after:#?}");
    assert_eq!(after.head.number, before.head.number + 4);
    let kept = check(&app, Some(before.head)).await;
    assert!(kept.holds, "{kept:#?}");
}

/// Many more than one segment has, and one transaction that is more than a segment.
#[tokio::test]
async fn a_great_many_are_sealed_in_segments() {
    let fleet = Fleet::start().await;
    for count in [1, 998, 2_500, 1, 1_024, 1_023] {
        write(&fleet, "test.many", count).await;
    }
    let found = seal_all(&fleet.app).await;
    assert!(found.holds && found.head.number > 5_540, "{found:#?}");
    let segments = segments(&fleet.pool).await;
    assert!(segments.iter().all(|(first, last)| last - first < 1_024), "{segments:?}");
    assert!(segments.len() > 5, "{segments:?}");
    verify(&fleet.pool).await;
}

/// A row that disappears before it is sealed does not stop the sealer, and is missed for ever.
#[tokio::test]
async fn a_row_that_is_gone_before_it_is_sealed_is_missed() {
    let (fleet, before) = sealed_fleet().await;
    write(&fleet, "test.one", 3).await;
    let gone = before.head.number + 2;
    let damage = format!(
        "alter table journal disable trigger all; delete from journal where number = {gone};
         alter table journal enable trigger all"
    );
    execute(&fleet.pool, &damage).await;
    let missing = |found: &AuditVerification| {
        let places: Vec<_> = found.breaks.iter().map(|found| (found.kind, found.number)).collect();
        assert_eq!(places, [(BreakKind::Missing, gone)], "{found:#?}");
    };
    missing(&check(&fleet.app, None).await);
    missing(&seal_all(&fleet.app).await);
    write(&fleet, "test.two", 1).await;
    let found = seal_all(&fleet.app).await;
    missing(&found);
    assert_eq!(found.head.number, before.head.number + 4);
}

/// Where there is nothing to seal the supervisor's look says so.
#[tokio::test]
async fn an_idle_workspace_has_nothing_to_seal() {
    let (fleet, _) = sealed_fleet().await;
    let workspace = workspace(&fleet.app).await;
    assert!(!fleet.app.due(workspace).await.unwrap().seal);
    fleet.lone_task(json!({})).await;
    let began = std::time::Instant::now();
    while !fleet.app.due(workspace).await.unwrap().seal {
        assert!(began.elapsed() < crate::support::process::PATIENCE, "it never becomes due");
        tokio::task::yield_now().await;
    }
    fleet.round().await;
    seal_all(&fleet.app).await;
    assert!(!fleet.app.due(workspace).await.unwrap().seal);
}
