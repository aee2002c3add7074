//! A server that is killed loses nothing that it acknowledged.
//!
//! Workers claim, beat, report spend and complete over HTTP at a `muster serve` that is killed
//! with -9 whenever a random number of requests has been answered, and started again. Whoever gets
//! no answer asks again, as a real agent would. At the end every answer must be true.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::join_all;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, PgPool};
use tokio::sync::watch;

use crate::support::{
    database::{TestDatabase, fresh_database},
    fleet::{seed, text},
    invariants::verify,
    process::PATIENCE,
};

const KILLS: u32 = 6;
const GOALS: usize = 10;
const TASKS: usize = 30;
const WORKERS: usize = 12;

/// A `muster serve`, killed when dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Starts it and waits until it listens.
    fn start(database: &TestDatabase, listen: &str, key: &str) -> Self {
        let url = database.connect_options().to_url_lossy();
        let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
            .arg("serve")
            .env("DATABASE_URL", url.as_str())
            .env("MUSTER_LISTEN", listen)
            .env("MUSTER_BOOTSTRAP_KEY", key)
            .env("MUSTER_LOG", "info")
            .env("MUSTER_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let line: Value = serde_json::from_str(&line).ok()?;
            let address = line.pointer("/fields/address").or_else(|| line.get("address"))?;
            Some(text(address))
        });
        // Somebody must read what it goes on to say, or it would wait for a reader.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, address: address.expect("the server ended instead of listening") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that asks until it is answered.
#[derive(Clone)]
struct Stubborn {
    http: reqwest::Client,
    base: String,
    key: String,
    answered: Arc<watch::Sender<u32>>,
}

impl Stubborn {
    /// Status and body. A server that is away, or says that it is not ready, is asked again.
    async fn post(&self, path: &str, body: &Value, once: Option<&str>) -> (u16, Value) {
        loop {
            let mut request =
                self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.key).json(body);
            if let Some(once) = once {
                request = request.header("idempotency-key", once);
            }
            let Ok(response) = request.send().await else {
                tokio::task::yield_now().await;
                continue;
            };
            let status = response.status().as_u16();
            let Ok(bytes) = response.bytes().await else { continue };
            if status == 503 {
                continue;
            }
            self.answered.send_modify(|count| *count += 1);
            return (status, serde_json::from_slice(&bytes).unwrap_or_default());
        }
    }

    fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }
}

/// Everything that was answered with 2xx.
#[derive(Default)]
struct Acknowledged {
    completions: Vec<(String, Value)>,
    spend: Vec<(String, String)>,
    refused: Vec<String>,
}

async fn work(client: Stubborn, over: watch::Receiver<bool>, said: Arc<Mutex<Acknowledged>>) {
    let mut number = 0;
    while !*over.borrow() {
        // A claim whose answer is lost is a lease of two seconds that nobody holds.
        let ask = json!({"max": 2, "lease_seconds": 2, "wait_seconds": 1});
        let (status, answer) = client.post("/v1/claims", &ask, None).await;
        assert!(matches!(status, 200 | 204), "{status} {answer}");
        for claim in answer["claims"].as_array().into_iter().flatten() {
            number += 1;
            finish(&client, claim, number, &said).await;
        }
    }
}

/// Spends, beats and completes; stops when told that the lease is lost.
async fn finish(client: &Stubborn, claim: &Value, number: u32, said: &Mutex<Acknowledged>) {
    let attempt = text(&claim["attempt_id"]);
    let path = |verb: &str| format!("/v1/attempts/{attempt}/{verb}");
    let spend = json!({"lease": claim["lease"], "entries": [
        {"key": "work", "amounts": {"tokens": number}}
    ]});
    let (status, answer) = client.post(&path("spend"), &spend, None).await;
    assert_eq!(status, 200, "spend is never refused: {answer}");
    said.lock().unwrap().spend.push((attempt.clone(), number.to_string()));
    let beat = json!({"lease": claim["lease"], "progress": {"percent": 50}});
    let (status, answer) = client.post(&path("heartbeat"), &beat, None).await;
    assert!(status == 200 || answer["code"] == "lease_lost", "{status} {answer}");
    let result = json!({"attempt": attempt, "number": number});
    let body = json!({"lease": claim["lease"], "result": result});
    let (status, answer) = client.post(&path("complete"), &body, None).await;
    let mut said = said.lock().unwrap();
    match status {
        200 => said.completions.push((attempt, result)),
        _ if answer["code"] == "lease_lost" => said.refused.push(attempt),
        _ => panic!("{status} {answer}"),
    }
}

/// Layers of tasks, each of which needs two of the layer before.
fn goal(number: usize) -> Value {
    let tasks: Vec<Value> = (0..TASKS)
        .map(|n| {
            let needs: Vec<String> = match n {
                0..5 => Vec::new(),
                _ => vec![(n - 5).to_string(), (n - n % 5 - 5 + (n + 1) % 5).to_string()],
            };
            json!({"ref": n.to_string(), "title": "t", "needs": needs, "max_attempts": 100})
        })
        .collect();
    json!({"title": format!("goal {number}"), "tasks": tasks})
}

async fn post_goals(admin: Stubborn) -> Vec<String> {
    let mut goals = Vec::new();
    for number in 0..GOALS {
        let once = format!("goal-{number}");
        let (status, answer) = admin.post("/v1/goals", &goal(number), Some(&once)).await;
        assert_eq!(status, 201, "{answer}");
        goals.push(text(&answer["id"]));
    }
    goals
}

async fn workers(admin: &Stubborn) -> Vec<Stubborn> {
    let mut workers = Vec::new();
    for n in 0..WORKERS {
        let body = json!({"name": format!("agent {n}"), "max_concurrent": 50});
        let (status, answer) = admin.post("/v1/agents", &body, Some(&format!("agent-{n}"))).await;
        assert_eq!(status, 201, "{answer}");
        workers.push(admin.with_key(answer["token"].as_str().unwrap()));
    }
    workers
}

async fn all_ended(pool: &PgPool) -> bool {
    let open: i64 = sqlx::query_scalar("select count(*) from goals where ended_at is null")
        .fetch_one(pool)
        .await
        .unwrap();
    open == 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_that_it_acknowledged() {
    let mut random = StdRng::seed_from_u64(seed());
    let database = fresh_database().await;
    let pool = database.pool().await;
    let key: String = format!("{:032x}{:032x}", random.random::<u128>(), random.random::<u128>());
    let mut server = Server::start(&database, "127.0.0.1:0", &key);
    let (answered, mut answers) = watch::channel(0);
    let admin = Stubborn {
        http: reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap(),
        base: format!("http://{}", server.address),
        key: key.clone(),
        answered: Arc::new(answered),
    };
    let said = Arc::new(Mutex::new(Acknowledged::default()));
    let (over, is_over) = watch::channel(false);
    let posting = tokio::spawn(post_goals(admin.clone()));
    let working: Vec<_> = workers(&admin)
        .await
        .into_iter()
        .map(|client| tokio::spawn(work(client, is_over.clone(), Arc::clone(&said))))
        .collect();

    for kill in 0..KILLS {
        let until = *answers.borrow() + random.random_range(20..150);
        let reached = answers.wait_for(|count| *count >= until);
        tokio::time::timeout(PATIENCE, reached).await.expect("the fleet stands still").unwrap();
        let address = server.address.clone();
        drop(server);
        println!("kill {kill} after {until} answers");
        server = Server::start(&database, &address, &key);
    }

    let goals = posting.await.unwrap();
    let ended = async {
        while !all_ended(&pool).await {
            let seen = *answers.borrow_and_update();
            let _ = answers.wait_for(|count| *count > seen).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("not every goal ended");
    over.send_replace(true);
    for worker in join_all(working).await {
        worker.unwrap();
    }
    let said = Arc::into_inner(said).unwrap().into_inner().unwrap();
    check(&pool, &goals, &said).await;
}

/// Everything that was acknowledged is there, once, and nothing that was refused.
async fn check(pool: &PgPool, goals: &[String], said: &Acknowledged) {
    verify(pool).await;
    let stored: Vec<String> = sqlx::query_scalar("select goal_id::text from goals order by title")
        .fetch_all(pool)
        .await
        .unwrap();
    assert_eq!(stored, goals, "each goal exists once, under the id that was answered");
    let tasks: Vec<(String, i64)> = sqlx::query_as(
        "select state || coalesce(' ' || failure_class, ''), count(*) from tasks group by 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    println!("tasks: {tasks:?}, refused completions: {}", said.refused.len());
    for (state, _) in &tasks {
        // A task whose agents were cut off three times in a row is in quarantine, and what needs
        // it is cancelled.
        assert!(matches!(state.as_str(), "done" | "failed lost" | "cancelled"), "{state}");
    }
    for (attempt, result) in &said.completions {
        let found: Option<(String, String, Value)> = sqlx::query_as(
            "select a.state, t.state, x.result from attempts a join tasks t using (workspace_id, task_id)
             join task_texts x using (workspace_id, task_id) where a.attempt_id = $1::uuid",
        )
        .bind(attempt)
        .fetch_optional(pool)
        .await
        .unwrap();
        assert_eq!(found, Some(("accepted".into(), "done".into(), result.clone())));
    }
    for (attempt, tokens) in &said.spend {
        let found: Vec<String> = sqlx::query_scalar(
            "select amount::text from spend_entries where attempt_id = $1::uuid",
        )
        .bind(attempt)
        .fetch_all(pool)
        .await
        .unwrap();
        assert_eq!(found, std::slice::from_ref(tokens));
    }
    for attempt in &said.refused {
        let state: String =
            sqlx::query_scalar("select state from attempts where attempt_id = $1::uuid")
                .bind(attempt)
                .fetch_one(pool)
                .await
                .unwrap();
        assert_ne!(state, "accepted", "refused, and stored all the same");
    }
}
