//! Sealing beside writers: nothing is passed over, nothing is sealed twice, nobody waits.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};
use sqlx::Row as _;

use super::{check, execute, seal_all, sealed_fleet, workspace};
use crate::support::{agent::Agent, fleet::Fleet, invariants::verify};

/// An entry that the test writes in a transaction of its own.
const ENTRY: &str =
    "insert into audit_entries (workspace_id, entry_id, action, subject, subject_id,
        created_at)
    select workspace_id, gen_random_uuid(), $1, 'workspace', workspace_id, now() from workspaces";

/// The actions in the order in which they are sealed.
async fn sealed_actions(fleet: &Fleet) -> Vec<String> {
    sqlx::query_scalar(
        "select action from audit_seals join audit_entries using (workspace_id, entry_id)
         where action like 'test.%' order by seq",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap()
}

/// One that stays open while others commit holds back what began after it, and is sealed in its turn.
#[tokio::test]
async fn a_transaction_that_stays_open_is_sealed_in_its_turn() {
    let (fleet, before) = sealed_fleet().await;
    let workspace = workspace(&fleet.app).await;
    let mut open = fleet.pool.begin().await.unwrap();
    sqlx::query(ENTRY).bind("test.open").execute(&mut *open).await.unwrap();
    for _ in 0..3 {
        sqlx::query(ENTRY).bind("test.later").execute(&fleet.pool).await.unwrap();
    }
    fleet.app.seal_audit(workspace).await.unwrap();
    assert_eq!(sealed_actions(&fleet).await, [""; 0], "something came before what may come");
    let found = check(&fleet.app, Some(before.head)).await;
    assert_eq!((found.holds, found.unsealed, found.head), (true, 3, before.head));
    open.commit().await.unwrap();
    let after = seal_all(&fleet.app).await;
    assert!(after.holds, "{after:#?}");
    assert_eq!(after.head.seq, before.head.seq + 4);
    let actions = sealed_actions(&fleet).await;
    assert_eq!(actions, ["test.open", "test.later", "test.later", "test.later"]);
}

/// What is taken back leaves nothing, and holds nobody.
#[tokio::test]
async fn what_is_taken_back_leaves_no_gap() {
    let (fleet, before) = sealed_fleet().await;
    let mut open = fleet.pool.begin().await.unwrap();
    sqlx::query(ENTRY).bind("test.undone").execute(&mut *open).await.unwrap();
    sqlx::query(ENTRY).bind("test.later").execute(&fleet.pool).await.unwrap();
    open.rollback().await.unwrap();
    let after = seal_all(&fleet.app).await;
    assert!(after.holds, "{after:#?}");
    assert_eq!(after.head.seq, before.head.seq + 1);
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
                    sealed += app.seal_audit(workspace).await.unwrap();
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
    assert!(sealed > 100, "{sealed} entries are no traffic");
    for head in heads {
        let found = check(&fleet.app, Some(head)).await;
        assert!(found.holds, "{found:#?}");
    }
    let found = seal_all(&fleet.app).await;
    assert!(found.holds, "{found:#?}");
    let row = sqlx::query(
        "select (select count(*) from audit_entries), (select count(*) from audit_seals),
                (select count(distinct entry_id) from audit_seals), (select max(seq) from audit_seals)",
    )
    .fetch_one(&fleet.pool)
    .await
    .unwrap();
    let counts: BTreeSet<i64> = (0..4).map(|n| row.get::<i64, _>(n)).collect();
    assert_eq!(counts, BTreeSet::from([found.head.seq]), "entries, seals, and the head");
    verify(&fleet.pool).await;
}

/// A dump that is restored in another PostgreSQL has transactions that this one never saw, sealed and
/// not, and a horizon that lies ahead of all that come.
#[tokio::test]
async fn an_audit_that_was_moved_to_another_server_goes_on() {
    let (fleet, before) = sealed_fleet().await;
    let strange = "alter table audit_entries disable trigger all;
        update audit_heads set horizon = 5000000000000;
        insert into audit_entries (workspace_id, entry_id, xid, action, subject, subject_id, created_at)
        select workspace_id, gen_random_uuid(), 4000000000000, 'test.old', 'workspace', workspace_id,
               now() from workspaces;
        insert into audit_entries (workspace_id, entry_id, xid, action, subject, subject_id, created_at)
        select workspace_id, gen_random_uuid(), 5000000000000, 'test.open', 'workspace', workspace_id,
               now() from workspaces;";
    execute(&fleet.pool, strange).await;
    sqlx::query(ENTRY).bind("test.new").execute(&fleet.pool).await.unwrap();
    let after = seal_all(&fleet.app).await;
    assert!(after.holds, "{after:#?}");
    assert_eq!(after.head.seq, before.head.seq + 3);
    sqlx::query(ENTRY).bind("test.newer").execute(&fleet.pool).await.unwrap();
    let last = seal_all(&fleet.app).await;
    assert!(last.holds, "{last:#?}");
    assert_eq!(last.head.seq, after.head.seq + 1);
    let kept = check(&fleet.app, Some(before.head)).await;
    assert!(kept.holds, "{kept:#?}");
}

/// Many more than one batch has, and one transaction that is more than a batch.
#[tokio::test]
async fn a_great_many_are_sealed_in_batches() {
    let fleet = Fleet::start().await;
    let many = |count: i64| {
        format!(
            "insert into audit_entries (workspace_id, entry_id, action, subject, subject_id, created_at)
             select workspace_id, gen_random_uuid(), 'test.many', 'workspace', workspace_id, now()
             from workspaces, generate_series(1, {count})"
        )
    };
    for count in [1, 998, 2_500, 1, 1_000, 999] {
        execute(&fleet.pool, &many(count)).await;
    }
    let found = seal_all(&fleet.app).await;
    assert!(found.holds && found.head.seq > 5_499, "{found:#?}");
    verify(&fleet.pool).await;
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
