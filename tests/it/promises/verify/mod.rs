//! The check of the promises: it finds each kind of damage, raises no false alarm, and says what it
//! found to operators over HTTP and at the command line.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::support::{
    agent::Agent,
    fleet::{Fleet, router, serve},
    invariants::{broken, found, verify_rested},
    process::PATIENCE,
};
use corruptions::corruption;
use muster::{
    app::App,
    clock::Clock,
    domain::{invariant::Invariant, words::Words as _},
    entropy::Entropy,
    store, supervisor,
};
use place::{busy, execute, open_to_damage};
use serde_json::{Value, json};

mod corruptions;
pub mod place;

/// Complete by construction: whatever is published has its damage, and the damage of one is not
/// taken for that of another.
#[tokio::test]
async fn each_damage_is_found_and_called_by_its_name() {
    let fleet = busy().await;
    verify_rested(&fleet.pool, fleet.now()).await;
    let now = fleet.now();
    fleet.pool.close().await;
    let mut wrong = Vec::new();
    for invariant in Invariant::ALL {
        let database = fleet.database.copy().await;
        let pool = open_to_damage(&database).await;
        for statement in corruption(*invariant) {
            execute(&pool, statement).await;
        }
        let found = found(&pool, Some(now)).await;
        let names: Vec<Invariant> = found[0]
            .invariants
            .iter()
            .filter(|checked| !checked.holds)
            .map(|checked| checked.invariant)
            .collect();
        if names != [*invariant] {
            wrong.push(format!("{invariant} damaged: {:#?}", broken(&found)));
        }
        let samples = found[0].invariants.iter().filter(|checked| !checked.holds);
        let shown = samples.flat_map(|checked| &checked.samples);
        assert!(shown.clone().count() > 0 || names.is_empty());
        assert!(shown.clone().all(|sample| !sample.found.is_empty() && !sample.id.is_empty()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn promises_are_sentences_and_have_one_name() {
    for invariant in Invariant::ALL {
        let promise = invariant.promise();
        assert!(promise.ends_with('.') && promise.len() <= 120, "{invariant}: {promise}");
        let name = invariant.as_str();
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
    }
}

/// Ten examples and the number of all, however many there are.
#[tokio::test]
async fn much_damage_is_counted_and_a_little_of_it_shown() {
    let fleet = Fleet::start().await;
    let tasks: Vec<Value> = (0..25).map(|n| json!({"ref": n.to_string(), "title": "t"})).collect();
    fleet.goal(json!(tasks)).await;
    execute(&fleet.pool, "update tasks set attempts_started = 1").await;
    let answer = fleet.admin.get("/v1/verify").await.value(200);
    assert_eq!(answer["holds"], false);
    let of = |name: &str| {
        let all = answer["invariants"].as_array().unwrap();
        all.iter().find(|checked| checked["invariant"] == name).unwrap().clone()
    };
    let counted = of("attempts_numbered");
    assert_eq!((&counted["holds"], &counted["violations"]), (&json!(false), &json!(25)));
    assert_eq!(counted["samples"].as_array().unwrap().len(), 10);
    assert_eq!(counted["samples"][0]["subject"], "task");
    assert_eq!(of("goal_counters")["samples"], json!([]));
}

/// A lowered limit takes nothing away, so it breaks nothing; a limit that was never edited is exact.
#[tokio::test]
async fn a_lowered_limit_is_no_broken_promise() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("a", &[], 3).await;
    fleet.goal(json!([{"ref": "a", "title": "t"}, {"ref": "b", "title": "t"}])).await;
    assert_eq!(agent.claim(2).await.len(), 2);
    let path = format!("/v1/agents/{}", agent.id);
    fleet.admin.patch(&path, &json!({"max_concurrent": 1})).if_match("*").await.expect(200);
    verify_rested(&fleet.pool, fleet.now()).await;
    execute(&fleet.pool, "update attempts set started_at = started_at + interval '2 min'").await;
    let found = broken(&found(&fleet.pool, None).await);
    assert!(found[0].starts_with("agents_within_limit"), "{found:?}");
}

/// What is broken in one workspace is none of another's business.
#[tokio::test]
async fn a_workspace_is_checked_alone() {
    let fleet = busy().await;
    let stranger = fleet.other_workspace().await;
    execute(&fleet.pool, "update tasks set attempts_started = attempts_started + 1").await;
    let answer = fleet.admin.get("/v1/verify").await.value(200);
    assert_eq!(answer["holds"], false);
    let other = stranger.get("/v1/verify").await.value(200);
    assert_eq!(other["holds"], true, "{other:#}");
    assert_ne!(answer["workspace_id"], other["workspace_id"]);
}

/// Whatever comes next: claims, then completes, fails, gives back, or leaves it to time.
async fn work(agent: Agent, over: Arc<AtomicBool>, written: Arc<AtomicUsize>) {
    let mut turn = 0;
    while !over.load(Ordering::Relaxed) {
        for held in agent.claim_with(json!({"max": 3, "lease_seconds": 1})).await {
            turn += 1;
            let spend = json!({"totals": {"usd_micros": turn}});
            let (verb, body) = match turn % 9 {
                0 => continue,
                1 => ("fail", json!({"class": "transient", "spend": spend})),
                2 => ("release", json!({"spend": spend})),
                3 => (
                    "subtasks",
                    json!({"tasks": [{"ref": format!("sub {}", held.attempt),
                      "title": "t"}], "spend": spend}),
                ),
                4 => ("heartbeat", json!({"spend": spend})),
                _ => ("complete", json!({"spend": spend})),
            };
            let answer = agent.write(&held, verb, body).await;
            let known = answer.status.is_success() || answer.status == 409;
            assert!(known, "{verb}: {}", answer.describe());
            written.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Two processes, eight agents that do everything at once, the supervisor, and somebody who asks
/// again and again whether all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_running_traffic_there_is_no_false_alarm() {
    let fleet = Fleet::on_time().await;
    let pool = store::connect(fleet.database.connect_options(), 10).await.unwrap();
    let other = App::new(pool, Clock::Database, Entropy::system());
    let bases = [fleet.listen().await, serve(router(&other)).await];
    let chain = |goal: usize| -> Value {
        let task = |n: usize| {
            let needs: Vec<String> =
                (n % 4 == 1).then(|| (n - 1).to_string()).into_iter().collect();
            json!({"ref": n.to_string(), "title": goal.to_string(), "needs": needs})
        };
        (0..150).map(task).collect()
    };
    for goal in 0..6 {
        fleet.goal(chain(goal)).await;
    }
    let over = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicUsize::new(0));
    let mut workers = Vec::new();
    for n in 0..8 {
        let agent = fleet.agent(&format!("agent {n}"), &[], 4).await.at(&bases[n % 2]);
        workers.push(tokio::spawn(work(agent, Arc::clone(&over), Arc::clone(&written))));
    }
    let sweeper = {
        let (app, over) = (other.clone(), Arc::clone(&over));
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                supervisor::round(&app).await.unwrap();
            }
        })
    };
    let check = async {
        for _ in 0..15 {
            let before = written.load(Ordering::Relaxed);
            let answer = fleet.admin.get("/v1/verify").await.value(200);
            let broken: Vec<&Value> = answer["invariants"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|checked| checked["holds"] == false)
                .collect();
            assert!(broken.is_empty(), "{broken:#?}");
            // Something must have been written meanwhile, or this shows nothing.
            while written.load(Ordering::Relaxed) == before
                && !workers.iter().all(|w| w.is_finished())
            {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(3 * PATIENCE, check).await.expect("the checks take too long");
    over.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    sweeper.await.unwrap();
    let count = written.load(Ordering::Relaxed);
    println!("{count} writes beside 15 checks");
    assert!(count > 50, "{count} writes are no traffic");
}

fn run(url: &str, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_muster"))
        .arg("verify")
        .args(args)
        .env("DATABASE_URL", url)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn at_the_command_line_the_status_says_it() {
    let fleet = busy().await;
    let url = fleet.database.url();
    // The fleet's clock stands in the past, so by the clock of the database all is overdue.
    let (status, text) = run(&url, &["--at-rest"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("one_live_attempt") && text.ends_with("every invariant holds\n"));
    assert!(!text.contains("leases_swept"), "{text}");
    let (status, text) = run(&url, &["--json"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &found[0]["holds"]), (Some(1), &json!(false)), "{text}");

    execute(&fleet.pool, "update tasks set attempts_used = 1 where ref = 'twice'").await;
    let (status, text) = run(&url, &["--at-rest"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("attempts_used_counted is broken 1 times"), "{text}");
    let workspace = found[0]["workspace_id"].as_str().unwrap();
    assert_eq!(run(&url, &["--at-rest", "--workspace", workspace]).0, Some(1));
    assert_eq!(run(&url, &["--workspace", &fleet.no_id()]).0, Some(2));
    assert_eq!(run("postgres://nobody@127.0.0.1:1/nothing?x", &["--at-rest"]).0, Some(2));
}
