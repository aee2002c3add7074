//! The load: a database, goals that keep coming, workers, somebody who follows the events; and at
//! the end everything they were told, held against what is stored.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, PgPool, postgres::PgConnectOptions};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    checker,
    client::Client,
    history::{Event, History, Recorder, Told, What},
    server::Settings,
    stored::Stored,
    worker,
};
use crate::support::{
    database::{TestDatabase, fresh_database},
    fleet::{seed, text},
    invariants::verify,
    process::PATIENCE,
};

/// Goals that are open at once: enough that nobody is ever idle for long.
const GOALS_OPEN: i64 = 10;
/// Tasks of a goal, in two rows: a lost lease is waited for at most twice.
const TASKS: usize = 12;
const ROW: usize = 6;

/// What a test stands on: a database, a first key, randomness from a printed seed.
pub struct Ground {
    pub pool: PgPool,
    pub options: PgConnectOptions,
    pub random: StdRng,
    pub key: String,
    // The last to go: it must outlive the pool.
    _database: Option<TestDatabase>,
}

impl Ground {
    /// On the server that all tests share.
    pub async fn shared() -> Self {
        let database = fresh_database().await;
        let options = database.connect_options();
        Self { _database: Some(database), ..Self::on(options) }
    }

    /// On a database of the caller's.
    pub fn on(options: PgConnectOptions) -> Self {
        let mut random = StdRng::seed_from_u64(seed());
        let key = format!("{:032x}{:032x}", random.random::<u128>(), random.random::<u128>());
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(3)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options.clone());
        Self { pool, options, random, key, _database: None }
    }

    /// How to start a server that reaches the database at `database_url`.
    pub fn server(&self, database_url: impl Into<String>) -> Settings {
        Settings {
            database_url: database_url.into(),
            listen: "127.0.0.1:0".to_owned(),
            bootstrap_key: self.key.clone(),
            more: Vec::new(),
        }
    }

    /// The database without anything in between.
    pub fn url(&self) -> String {
        self.options.to_url_lossy().into()
    }
}

/// Everybody who uses the service.
pub struct Load {
    pub admin: Client,
    pub recorder: Arc<Recorder>,
    pool: PgPool,
    answers: watch::Receiver<u64>,
    feeding: watch::Sender<bool>,
    working: watch::Sender<bool>,
    following: watch::Sender<Option<i64>>,
    feeder: JoinHandle<()>,
    follower: JoinHandle<()>,
    workers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts `workers` workers of the servers at these addresses, and somebody who posts goals.
    /// `timeout`: how long each waits for an answer.
    pub async fn start(
        ground: &mut Ground,
        addresses: &[String],
        workers: usize,
        timeout: Duration,
    ) -> Self {
        let (answered, answers) = watch::channel(0);
        let recorder = Arc::new(Recorder::default());
        let admin =
            Client::new(addresses, &ground.key, timeout, Arc::clone(&recorder), Arc::new(answered));
        limit(&admin).await;
        let (feeding, (working, following)) =
            (watch::Sender::new(true), (watch::Sender::new(false), watch::Sender::new(None)));
        let feeder = tokio::spawn(feed(admin.clone(), ground.pool.clone(), feeding.subscribe()));
        let follower = tokio::spawn(follow(admin.clone(), following.subscribe()));
        let mut load = Self {
            admin,
            recorder,
            pool: ground.pool.clone(),
            answers,
            feeding,
            working,
            following,
            feeder,
            follower,
            workers: Vec::new(),
        };
        for n in 0..workers {
            let agent = agent(&load.admin, &format!("agent-{n}"), timeout).await;
            let work = worker::work(agent, ground.random.next_u64(), load.working.subscribe());
            load.workers.push(tokio::spawn(work));
        }
        load
    }

    /// Returns when so many more requests were answered.
    pub async fn answers(&mut self, more: u64) {
        let until = *self.answers.borrow() + more;
        let reached = self.answers.wait_for(|count| *count >= until);
        tokio::time::timeout(PATIENCE, reached).await.expect("the fleet stands still").unwrap();
    }

    /// No more goals: waits until everything has ended, and checks all that was said and is stored.
    pub async fn finish(self) -> (History, Stored) {
        self.feeding.send_replace(false);
        self.feeder.await.unwrap();
        all_ended(&self.pool).await;
        self.working.send_replace(true);
        for worker in join_all(self.workers).await {
            worker.unwrap();
        }
        self.following.send_replace(Some(newest_event(&self.pool).await));
        self.follower.await.unwrap();
        check(&self.pool, &self.recorder).await
    }
}

/// Panics with everything that is wrong.
pub async fn check(pool: &PgPool, recorder: &Recorder) -> (History, Stored) {
    verify(pool).await;
    let (history, stored) = (recorder.history(), Stored::read(pool).await);
    let count =
        |told: &dyn Fn(&Told) -> bool| history.calls.iter().filter(|call| told(&call.told)).count();
    println!(
        "{} requests, {} without an answer, {} refused; {} tasks, {} attempts, {} events",
        history.calls.len(),
        count(&|told| *told == Told::Unknown),
        count(&|told| matches!(told, Told::Refused(_))),
        stored.tasks.len(),
        stored.attempts.len(),
        stored.events.len(),
    );
    let broken = checker::broken(&history, &stored);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(history.calls.len() > 10, "nothing was tested");
    (history, stored)
}

/// What an agent must be able to do for the tasks of goals that keep coming.
const ABLE: &str = "work";

/// Registers an agent that can do everything.
pub async fn agent(admin: &Client, name: &str, timeout: Duration) -> Client {
    register(admin, name, &[ABLE], timeout).await
}

/// Registers an agent that can do so much.
pub async fn register(
    admin: &Client,
    name: &str,
    capabilities: &[&str],
    timeout: Duration,
) -> Client {
    let body = json!({"name": name, "capabilities": capabilities, "max_concurrent": 50});
    let once = format!("register-{name}");
    let (status, answer) =
        admin.ask_aside(Method::POST, "/v1/agents", Some(&body), Some(&once)).await;
    assert!(matches!(status, 200 | 201), "{status} {answer}");
    admin.of_agent(&text(&answer["token"]), &text(&answer["agent"]["id"]), timeout)
}

/// Limits the workspace, far above what anybody uses: what is set aside and settled must add up.
async fn limit(admin: &Client) {
    let limits = json!([{"unit": "credits", "amount": 1_000_000_000, "period": "day"},
                        {"unit": "attempts", "amount": 1_000_000}]);
    let body = json!({"node": "workspace", "budget": {"limits": limits}});
    let (status, answer) =
        admin.ask_aside(Method::POST, "/v1/budgets", Some(&body), Some("limit")).await;
    assert_eq!(status, 201, "{answer}");
}

/// Two rows of tasks; each of the second needs two of the first.
fn goal(title: &str) -> Value {
    let tasks: Vec<Value> = (0..TASKS)
        .map(|n| {
            let needs: Vec<String> = match n {
                0..ROW => Vec::new(),
                _ => vec![(n - ROW).to_string(), ((n + 1) % ROW).to_string()],
            };
            json!({
                "ref": n.to_string(), "title": "t", "needs": needs, "max_attempts": 100,
                "capabilities": [ABLE], "estimate": {"credits": {"want": 120, "min": 1}},
            })
        })
        .collect();
    // Every other one sets its whole limit aside from the workspace's.
    let budget = json!({
        "limits": [{"unit": "credits", "amount": 1_000_000}],
        "allocated": title.ends_with(['1', '3', '5', '7', '9']),
    });
    json!({"title": title, "tasks": tasks, "budget": budget})
}

/// Posts a goal; returns its id.
pub async fn post(admin: &Client, title: &str, body: &Value) -> String {
    let what = What::Post { key: title.to_owned() };
    let read = |status: u16, body: &Value| {
        assert_eq!(status, 201, "a goal was answered: {body}");
        Told::Posted(text(&body["id"]))
    };
    let (_, body) = admin.ask(what, "/v1/goals", body, read).await;
    text(&body["id"])
}

/// Keeps some goals open.
async fn feed(admin: Client, pool: PgPool, mut feeding: watch::Receiver<bool>) {
    let mut number = 0;
    while *feeding.borrow() {
        if open_goals(&pool).await.is_some_and(|open| open < GOALS_OPEN) {
            number += 1;
            let title = format!("goal-{number}");
            post(&admin, &title, &goal(&title)).await;
        } else {
            let change = feeding.changed();
            let _ = tokio::time::timeout(Duration::from_millis(20), change).await;
        }
    }
}

/// How many goals have not ended; none while the database is away.
pub async fn open_goals(pool: &PgPool) -> Option<i64> {
    let open = sqlx::query_scalar("select count(*) from goals where ended_at is null");
    open.fetch_one(pool).await.ok()
}

/// Returns when every goal has ended.
pub async fn all_ended(pool: &PgPool) {
    let ended = async {
        while open_goals(pool).await != Some(0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("not every goal ended");
}

/// The number of the last event.
pub async fn newest_event(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select coalesce(max(number), 0) from journal")
        .fetch_one(pool)
        .await
        .unwrap()
}

/// Reads every event, up to the last one when it is told which that is.
pub async fn follow(admin: Client, until: watch::Receiver<Option<i64>>) {
    let mut after = 0;
    while until.borrow().is_none_or(|last| after < last) {
        let path = format!("/v1/events?after={after}&limit=200&wait_seconds=1");
        let (status, batch) = admin.ask_aside(Method::GET, &path, None, None).await;
        assert_eq!(status, 200, "the events after {after}: {batch}");
        for event in batch["items"].as_array().unwrap() {
            let (number, kind) = (event["number"].as_i64().unwrap(), text(&event["kind"]));
            admin.recorder.read(Event { number, kind });
        }
        after = batch["next_after"].as_i64().unwrap();
    }
}
