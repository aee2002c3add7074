//! Servers that are killed under tasks with gates: at no time more run than may, and what a killed server or a
//! forgetful worker leaves behind is given to others.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    client::Client,
    history::Recorder,
    load::{Ground, agent, all_ended, check, follow, newest_event, post},
    rounds,
    server::Server,
    worker::{self, Wish},
};
use crate::{coordination::most_at_once, support::process::PATIENCE};

const TIMEOUT: Duration = Duration::from_secs(5);
const CLAIMERS: usize = 64;
const TASKS: usize = 150;

async fn work(client: Client, seed: u64, over: watch::Receiver<bool>) {
    let mut random = StdRng::seed_from_u64(seed);
    while !*over.borrow() {
        let wish = Wish { max: random.random_range(1..4), wait_seconds: 1, ..Wish::one() };
        for held in worker::claim(&client, wish).await {
            // Some forget about it: the lease ends, and with it the grant.
            match random.random_range(0..30) {
                0 => {}
                1 => _ = worker::release(&client, &held).await,
                _ => _ = worker::complete(&client, &held, random.random_range(0..1_000)).await,
            }
        }
    }
}

/// Never more than `most` tasks with these gates run, and in the end all are done.
async fn killed_under(gates: Value, most: usize) {
    let mut ground = Ground::shared().await;
    let mut servers = Vec::new();
    for _ in 0..2 {
        servers.push(Server::start(ground.server(ground.url())).await);
    }
    let addresses: Vec<String> = servers.iter().map(|s| s.address().to_owned()).collect();
    let (answered, mut answers) = watch::channel(0u64);
    let recorder = Arc::new(Recorder::default());
    let admin =
        Client::new(&addresses, &ground.key, TIMEOUT, Arc::clone(&recorder), Arc::new(answered));
    let key = json!({"name": "k", "most": most});
    let (status, answer) =
        admin.ask_aside(Method::POST, "/v1/concurrency-keys", Some(&key), Some("key")).await;
    assert_eq!(status, 201, "{answer}");
    let over = watch::Sender::new(false);
    let mut workers = Vec::new();
    for n in 0..CLAIMERS {
        let agent = agent(&admin, &format!("agent-{n}"), TIMEOUT).await;
        workers.push(tokio::spawn(work(agent, ground.random.next_u64(), over.subscribe())));
    }
    let tasks: Value = (0..TASKS)
        .map(|n| {
            let mut task = json!({"ref": n.to_string(), "title": "t", "max_attempts": 100,
                                  "capabilities": ["work"]});
            task.as_object_mut().unwrap().extend(gates.as_object().unwrap().clone());
            task
        })
        .collect();
    post(&admin, "gated", &json!({"title": "gated", "tasks": tasks})).await;
    for round in 0..rounds(4) {
        let until = *answers.borrow() + ground.random.random_range(50..200);
        let reached = answers.wait_for(|count| *count >= until);
        tokio::time::timeout(PATIENCE, reached).await.expect("the fleet stands still").unwrap();
        servers[round as usize % 2].restart().await;
    }
    all_ended(&ground.pool).await;
    over.send_replace(true);
    for worker in join_all(workers).await {
        worker.unwrap();
    }
    let newest = newest_event(&ground.pool).await;
    follow(admin.clone(), watch::Sender::new(Some(newest)).subscribe()).await;
    check(&ground.pool, &recorder).await;
    assert_eq!(most_at_once(&ground.pool).await, most);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_three_is_never_held_by_four() {
    killed_under(json!({"concurrency_keys": ["k"]}), 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_path_is_never_held_by_two() {
    killed_under(json!({"touches": [{"resource": "src/**"}]}), 1).await;
}
