//! Sixty-four claimers, two processes, and operators who take tasks away: never more at once than there may be, and
//! never nothing with work left.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::join_all;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::most_at_once;
use crate::support::{
    fleet::{Fleet, router, seed, serve, text},
    invariants::verify,
    process::PATIENCE,
};

const AGENTS: usize = 64;
const TASKS: usize = 200;

async fn open(fleet: &Fleet) -> i64 {
    sqlx::query_scalar("select count(*) from tasks where ended_at is null")
        .fetch_one(&fleet.pool)
        .await
        .unwrap()
}

/// Works off tasks with these gates. Returns when all are done.
async fn work_off(gates: Value, most: usize) {
    let fleet = Fleet::on_time().await;
    let mut random = StdRng::seed_from_u64(seed());
    let bases = [fleet.listen().await, serve(router(&fleet.another_app().await)).await];
    let new = json!({"name": "k", "most": most});
    fleet.admin.post("/v1/concurrency-keys", &new).await.expect(201);
    let tasks: Value = (0..TASKS)
        .map(|n| {
            let mut task = json!({"ref": n.to_string(), "title": "t", "max_attempts": 100});
            task.as_object_mut().unwrap().extend(gates.as_object().unwrap().clone());
            task
        })
        .collect();
    fleet.goal(tasks).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut workers = Vec::new();
    for n in 0..AGENTS {
        let agent = fleet.agent(&format!("agent {n}"), &[], 4).await.at(&bases[n % 2]);
        let over = Arc::clone(&over);
        let mut random = StdRng::seed_from_u64(random.random());
        workers.push(tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let max = random.random_range(1..4);
                for held in agent.claim_with(json!({"max": max, "wait_seconds": 1})).await {
                    // Taken away meanwhile, perhaps.
                    let verb = if random.random_range(0..10) == 0 { "release" } else { "complete" };
                    let body = json!({"checkpoint": {"at": held.number}});
                    let body = if verb == "release" { body } else { json!({}) };
                    let answer = agent.write(&held, verb, body).await;
                    assert!(answer.status == 200 || answer.status == 409, "{}", answer.describe());
                }
            }
        }));
    }
    let done = async {
        while open(&fleet).await > 0 {
            let running: Option<String> = sqlx::query_scalar(
                "select task_id::text from tasks where state = 'running' order by random() limit 1",
            )
            .fetch_optional(&fleet.pool)
            .await
            .unwrap();
            let Some(task) = running else { continue };
            if random.random() {
                let path = format!("/v1/tasks/{task}/takeover");
                let taken = fleet.admin.post(path, &json!({})).await;
                if taken.status == 201 {
                    let claim: Value = taken.json();
                    let path = format!("/v1/attempts/{}/complete", text(&claim["attempt_id"]));
                    let done = json!({"lease": claim["lease"]});
                    fleet.admin.post(path, &done).await.expect(200);
                }
            } else {
                let path = format!("/v1/tasks/{task}/reassign");
                let answer = fleet.admin.post(path, &json!({"reason": "r"})).await;
                assert!(answer.status.as_u16() < 500, "{}", answer.describe());
            }
        }
    };
    tokio::time::timeout(PATIENCE, done).await.expect("work is left and nobody gets it");
    over.store(true, Ordering::Relaxed);
    for worker in join_all(workers).await {
        worker.unwrap();
    }
    assert_eq!(most_at_once(&fleet.pool).await, most);
    verify(&fleet.pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_than_three_of_a_key_run() {
    work_off(json!({"concurrency_keys": ["k"]}), 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_two_tasks_run_that_touch_one_path() {
    work_off(json!({"touches": [{"resource": "src/main.rs"}]}), 1).await;
}
