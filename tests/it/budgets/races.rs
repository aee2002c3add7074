//! Many who want the same money at the same time, at two processes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use muster::supervisor;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinHandle;

use super::{holds, limit, of, tasks};
use crate::support::{
    agent::Agent,
    fleet::{Fleet, router, seed, serve},
    invariants::verify,
    process::PATIENCE,
};

/// Looks again and again whether a limit is exceeded by what is set aside; returns how often it
/// looked, and how many it found.
fn watch(pool: &PgPool, over: &Arc<AtomicBool>) -> JoinHandle<(usize, i64)> {
    let (pool, over) = (pool.clone(), Arc::clone(over));
    tokio::spawn(async move {
        let (mut looks, mut found) = (0, 0);
        while !over.load(Ordering::Relaxed) {
            let exceeded: i64 = sqlx::query_scalar(
                "select count(*) from budget_windows
                 where enforced and settled + reserved > amount + overrun",
            )
            .fetch_one(&pool)
            .await
            .unwrap();
            looks += 1;
            found += exceeded;
            tokio::task::yield_now().await;
        }
        (looks, found)
    })
}

async fn two_processes(fleet: &Fleet) -> [String; 2] {
    [fleet.listen().await, serve(router(&fleet.another_app().await)).await]
}

/// The limit is ten reservations, on four levels and in two units: sixty-four claimers are given
/// exactly ten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_reservations_are_ten() {
    let fleet = Fleet::start().await;
    let two = |money: i64, tokens: i64| {
        json!({"limits": [{"unit": "usd_micros", "amount": money},
                          {"unit": "input_tokens", "amount": tokens}]})
    };
    let project = fleet.admin.post("/v1/projects", &json!({"name": "p"})).await.value(201);
    limit(&fleet, "workspace", None, two(109, 1000)).await;
    limit(&fleet, "project", project["id"].as_str(), two(100, 1099)).await;
    let estimate = json!({"usd_micros": 10, "input_tokens": 100});
    let goal = json!({
        "title": "g", "project": "p", "tasks": tasks(100, &estimate), "budget": two(5000, 1010),
    });
    fleet.post_goal(goal).await;
    let bases = two_processes(&fleet).await;
    let mut claimers = Vec::new();
    for n in 0..64 {
        let agent = fleet.agent(&format!("agent {n}"), &[], 100).await;
        limit(&fleet, "agent", Some(&agent.id), two(105, 5000)).await;
        claimers.push(agent.at(&bases[n % 2]));
    }
    let over = Arc::new(AtomicBool::new(false));
    let watcher = watch(&fleet.pool, &over);
    let claims = claimers.into_iter().map(|agent| {
        tokio::spawn(async move {
            let mut given = 0;
            for _ in 0..3 {
                given += agent.claim(2).await.len();
            }
            given
        })
    });
    let given: usize = join_all(claims).await.into_iter().map(Result::unwrap).sum();
    over.store(true, Ordering::Relaxed);
    let (looks, found) = watcher.await.unwrap();
    assert_eq!(given, 10);
    assert!(looks > 0);
    assert_eq!(found, 0, "a limit was exceeded");
    verify(&fleet.pool).await;
}

/// Spend that is reported late, and the close of the goal's allocation at the same time: whichever
/// is first, the limit above settles all of it. The commit of the spend is held up until the close
/// has begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_spend_meets_the_close_of_an_allocation() {
    let fleet = Fleet::start().await;
    let whole = limit(&fleet, "workspace", None, of("usd_micros", 1000)).await;
    let estimate = json!({"usd_micros": 30});
    let budget = json!({"limits": [{"unit": "usd_micros", "amount": 100}], "allocated": true});
    fleet.post_goal(json!({"title": "g", "tasks": tasks(1, &estimate), "budget": budget})).await;
    let agent = fleet.worker().await;
    let held = agent.take().await;
    agent.complete(&held).await;
    let mut holder = fleet.pool.begin().await.unwrap();
    sqlx::query("select from journal_heads for update").execute(&mut *holder).await.unwrap();
    let late = json!({"entries": [{"key": "late", "amounts": {"usd_micros": 7}}]});
    let late = agent.write(&held, "spend", late);
    let spend = tokio::spawn(async move { late.await.expect(200) });
    fleet.until_blocked(1).await;
    let app = fleet.app.clone();
    let close = tokio::spawn(async move { supervisor::round(&app).await.unwrap() });
    fleet.until_blocked(2).await;
    holder.commit().await.unwrap();
    spend.await.unwrap();
    close.await.unwrap();
    fleet.round().await;
    assert_eq!(holds(&fleet, &whole).await, (7, 0, 0));
    verify(&fleet.pool).await;
}

const AGENTS: usize = 32;

/// How many claims: `MUSTER_TEST_CLAIMS`, else four thousand.
fn claims() -> usize {
    let given = std::env::var("MUSTER_TEST_CLAIMS").ok().and_then(|claims| claims.parse().ok());
    given.unwrap_or(4_000)
}

/// Random limits on random nodes of a random tree, and agents that claim, spend, ask before they
/// spend, give up and give back, at two processes: nobody waits for ever, no limit is exceeded by
/// what is set aside, and everything adds up in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_random_trees_nobody_waits_for_ever() {
    let (seed, claims) = (seed(), claims());
    let mut random = StdRng::seed_from_u64(seed);
    let fleet = Fleet::seeded(seed).await;
    random_limit(&fleet, &mut random, "workspace", None, 40 * claims as i64).await;
    for n in 0..12 {
        let project = format!("p{}", n % 4);
        let mut goal = json!({
            "title": "g", "project": project, "tasks": random_tasks(&mut random, claims / 10),
        });
        if random.random_bool(0.5) {
            goal["budget"] = json!({
                "limits": [{"unit": "usd_micros", "amount": random.random_range(100..9000)}],
                "on_exhausted": "park", "allocated": random.random_bool(0.3),
            });
        }
        fleet.admin.post("/v1/goals", &goal).await;
    }
    let projects = fleet.admin.get("/v1/projects").await.value(200);
    for project in projects["items"].as_array().unwrap() {
        random_limit(&fleet, &mut random, "project", project["id"].as_str(), 15_000).await;
    }
    let bases = two_processes(&fleet).await;
    let mut workers = Vec::new();
    for n in 0..AGENTS {
        let agent = fleet.agent(&format!("agent {n}"), &[], 8).await;
        if random.random_bool(0.3) {
            random_limit(&fleet, &mut random, "agent", Some(&agent.id), 3000).await;
        }
        let worker = StdRng::seed_from_u64(random.random());
        workers.push(tokio::spawn(work(agent.at(&bases[n % 2]), worker, claims / AGENTS)));
    }
    let over = Arc::new(AtomicBool::new(false));
    let watcher = watch(&fleet.pool, &over);
    let patience = PATIENCE * (4 + claims / 1_000) as u32;
    let all = tokio::time::timeout(patience, join_all(workers)).await;
    let claimed: usize = all.expect("somebody waits").into_iter().map(Result::unwrap).sum();
    over.store(true, Ordering::Relaxed);
    let (_, found) = watcher.await.unwrap();
    assert!(claimed > claims / 20, "hardly anything was claimed: {claimed}");
    assert_eq!(found, 0, "a limit was exceeded");
    fleet.round().await;
    verify(&fleet.pool).await;
}

async fn random_limit(
    fleet: &Fleet,
    random: &mut StdRng,
    node: &str,
    id: Option<&str>,
    about: i64,
) {
    let units = ["usd_micros", "input_tokens", "attempts"];
    let periods = ["lifetime", "day", "month"];
    let limits: Vec<Value> = units
        .iter()
        .map(|unit| {
            let amount = random.random_range(about / 2..about);
            json!({"unit": unit, "amount": amount, "period": periods[random.random_range(0..3)]})
        })
        .collect();
    let policies = ["park", "park_and_ask", "notify"];
    let policy = policies[random.random_range(0..3)];
    limit(fleet, node, id, json!({"limits": limits, "on_exhausted": policy})).await;
}

fn random_tasks(random: &mut StdRng, count: usize) -> Value {
    let task = |n| {
        let want = random.random_range(0..40);
        json!({
            "ref": format!("t{n}"), "title": "t",
            "estimate": {"usd_micros": {"want": want, "min": want / 2}, "input_tokens": want},
        })
    };
    (0..count).map(task).collect()
}

/// One agent's life: so many claims, and for each attempt something else.
async fn work(agent: Agent, mut random: StdRng, claims: usize) -> usize {
    let mut claimed = 0;
    for n in 0..claims {
        for held in agent.claim(random.random_range(1..4)).await {
            claimed += 1;
            let amount = random.random_range(0..50);
            let key = format!("k{n}");
            if random.random_bool(0.3) {
                let ask = json!({"key": key, "amounts": {"usd_micros": amount}});
                let answer = agent.write(&held, "authorize", ask).await;
                assert!([200, 409].contains(&answer.status.as_u16()), "{}", answer.describe());
            }
            let spend = json!({"entries": [{"key": key, "amounts": {"usd_micros": amount,
                               "input_tokens": random.random_range(0..50)}}]});
            match random.random_range(0..6) {
                0 => agent.write(&held, "release", json!({"spend": spend})).await.expect(200),
                1 => {
                    let failed = json!({"class": "permanent", "spend": spend});
                    agent.write(&held, "fail", failed).await.expect(200)
                }
                2 => agent.write(&held, "heartbeat", json!({"spend": spend})).await.expect(200),
                _ => agent.write(&held, "complete", json!({"spend": spend})).await.expect(200),
            };
        }
        tokio::time::sleep(Duration::ZERO).await;
    }
    claimed
}
