//! A server killed between any two statements of a claim, of a completion and of an expiry.
//!
//! For each kind one round is made without a fault, to learn from the relay which statements its
//! transaction has. Then the same round is made once for every boundary between them: the relay
//! stands still there, the server is killed with -9, started again, and the round goes on as its
//! workers can. The last boundary is the one after the database has done `COMMIT` and before the
//! server hears of it.
//!
//! A round lets several workers do the one thing at once and nothing else, so what the relay sees
//! is of the kind that is meant; that it was is checked by the statements.

use std::{sync::Arc, time::Duration};

use super::{
    client::Client,
    history::Recorder,
    load::{Ground, agent, check, follow, newest_event, open_goals, post},
    relay::{Relay, Side, Statements, Then, Trap},
    server::Server,
    worker::{self, Held, Wish},
};
use crate::support::{
    fleet::{router, serve},
    process::PATIENCE,
};
use futures_util::future::join_all;
use muster::{app::App, clock::Clock, entropy::Entropy};
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Workers that do the same at once.
const WORKERS: usize = 3;

/// A transaction with fewer statements than this is not what was meant.
const LEAST: usize = 8;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Claim,
    /// A claim that carries an `Idempotency-Key`.
    KeyedClaim,
    Complete,
    Expire,
}

impl Kind {
    /// Text that only a statement of its transaction has.
    fn mark(self) -> &'static str {
        match self {
            Self::Claim | Self::KeyedClaim => "for no key update of t skip locked",
            Self::Complete => "insert into attempt_results",
            Self::Expire => "select task_id as \"task_id: TaskId\", start_by, finish_by, cancel_by",
        }
    }
}

/// A service behind a relay, and its workers.
struct Scene {
    ground: Ground,
    relay: Relay,
    server: Server,
    admin: Client,
    workers: Vec<Client>,
    recorder: Arc<Recorder>,
    rounds: usize,
}

impl Scene {
    async fn start() -> Self {
        let ground = Ground::shared().await;
        let relay = Relay::to_database(&ground.options).await;
        let settings = ground.server(relay.database_url(&ground.options));
        let server = Server::start(settings).await;
        let recorder = Arc::new(Recorder::default());
        let (answered, _) = watch::channel(0);
        let addresses = [server.address().to_owned()];
        let (seen, answered) = (Arc::clone(&recorder), Arc::new(answered));
        let admin = Client::new(&addresses, &ground.key, TIMEOUT, seen, answered);
        let mut workers = Vec::new();
        for n in 0..WORKERS {
            workers.push(agent(&admin, &format!("agent-{n}"), TIMEOUT).await);
        }
        Self { ground, relay, server, admin, workers, recorder, rounds: 0 }
    }

    /// Gets everything ready for a round: a goal of a task for each worker, one more that needs
    /// them all, and, unless claims are what the round is about, their claims.
    async fn prepare(&mut self, kind: Kind) -> Vec<Held> {
        self.rounds += 1;
        // One attempt: what expires has failed, and takes along what needs it.
        let attempts = if kind == Kind::Expire { 1 } else { 100 };
        let task = |name: &str, needs: &[String]| json!({"ref": name, "title": "t", "needs": needs, "max_attempts": attempts});
        let needs: Vec<String> = (0..WORKERS).map(|n| n.to_string()).collect();
        let mut tasks: Vec<Value> = needs.iter().map(|name| task(name, &[])).collect();
        tasks.push(task("last", &needs));
        let title = format!("round-{}", self.rounds);
        post(&self.admin, &title, &json!({"title": title, "tasks": tasks})).await;
        let mut held = Vec::new();
        match kind {
            Kind::Claim | Kind::KeyedClaim => return Vec::new(),
            Kind::Complete => {
                for worker in &self.workers {
                    // A task may be kept some seconds for an agent that does better.
                    let wish = Wish { lease_seconds: 60, wait_seconds: 7, ..Wish::one() };
                    held.extend(worker::claim(worker, wish).await);
                }
            }
            // Claimed together, so that they expire together.
            Kind::Expire => {
                let wish = Wish { max: WORKERS, ..Wish::one() };
                held.extend(worker::claim(&self.workers[0], wish).await);
            }
        }
        assert_eq!(held.len(), WORKERS);
        held
    }

    /// The workers do what the round is about; each ends when it has been answered.
    fn act(&mut self, kind: Kind, held: Vec<Held>) -> Vec<JoinHandle<()>> {
        let mut acting = Vec::new();
        let mut held = held.into_iter();
        for (n, client) in self.workers.iter().cloned().enumerate() {
            let result = self.ground.random.random_range(0..1000);
            let key = (kind == Kind::KeyedClaim).then(|| format!("claim-{}-{n}", self.rounds));
            match (kind, held.next()) {
                (Kind::Claim | Kind::KeyedClaim, _) => acting.push(tokio::spawn(async move {
                    for held in worker::claim(&client, Wish { key, ..Wish::one() }).await {
                        worker::complete(&client, &held, result).await;
                    }
                })),
                (Kind::Complete, Some(held)) => acting.push(tokio::spawn(async move {
                    worker::complete(&client, &held, result).await;
                })),
                // Says nothing any more.
                (Kind::Expire, _) | (Kind::Complete, None) => {}
            }
        }
        acting
    }

    /// Whatever is left of a round is worked off.
    async fn finish_round(&self) {
        let rest = async {
            while open_goals(&self.ground.pool).await != Some(0) {
                for held in worker::claim(&self.workers[0], Wish { max: 3, ..Wish::one() }).await {
                    worker::complete(&self.workers[0], &held, 1).await;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, rest).await.expect("the round does not end");
    }

    /// A round without a fault; returns the statements of the longest transaction of the kind.
    async fn learn(&mut self, kind: Kind) -> Statements {
        let held = self.prepare(kind).await;
        self.relay.transactions();
        join_all(self.act(kind, held)).await.into_iter().for_each(Result::unwrap);
        let looking = async {
            loop {
                let seen = self.relay.transactions().into_iter();
                let meant = seen.filter(|t| t.committed() && t.contains(kind.mark()));
                if let Some(longest) = meant.max_by_key(|t| t.statements.len()) {
                    return longest.statements;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, looking).await;
        self.finish_round().await;
        seen.expect("no transaction of the kind was seen")
    }

    /// A round whose server is killed at a statement.
    async fn strike(&mut self, kind: Kind, at: &[String], side: Side) {
        let held = self.prepare(kind).await;
        let before = newest_event(&self.ground.pool).await;
        self.relay.set(Some(Trap { at: at.to_vec(), side, then: Then::Freeze }));
        let acting = self.act(kind, held);
        let sprung = tokio::time::timeout(PATIENCE, self.relay.sprung()).await;
        let seen = sprung.unwrap_or_else(|_| panic!("{kind:?} never came to {at:#?}"));
        assert_eq!(seen, at, "killed somewhere else");
        self.server.kill();
        if side == Side::After {
            assert!(newest_event(&self.ground.pool).await > before, "it was not committed");
        }
        self.relay.cut_all();
        self.relay.thaw();
        self.server.restart().await;
        join_all(acting).await.into_iter().for_each(Result::unwrap);
        self.finish_round().await;
    }
}

/// Kills the server at every boundary of a kind.
async fn kill_everywhere(kind: Kind) {
    let mut scene = Scene::start().await;
    let statements = scene.learn(kind).await;
    let mark = statements.iter().position(|statement| statement.contains(kind.mark())).unwrap();
    let (first, last) = (statements.first().unwrap(), statements.last().unwrap());
    assert!(first.starts_with("begin;"), "{first}");
    assert_eq!(last, "COMMIT");
    println!("{kind:?}: {} statements, its own is number {}", statements.len(), mark + 1);
    assert!(statements.len() >= LEAST, "too few statements were seen: {statements:#?}");
    // After a statement and before the next is the same moment for a server that is killed, and for
    // the database; so every boundary is met once.
    for end in 1..=statements.len() {
        scene.strike(kind, &statements[..end], Side::Before).await;
    }
    scene.strike(kind, &statements, Side::After).await;
    let newest = newest_event(&scene.ground.pool).await;
    follow(scene.admin.clone(), watch::Sender::new(Some(newest)).subscribe()).await;
    check(&scene.ground.pool, &scene.recorder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_statement_of_a_claim() {
    kill_everywhere(Kind::Claim).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_statement_of_a_claim_with_a_key() {
    kill_everywhere(Kind::KeyedClaim).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_statement_of_a_completion() {
    kill_everywhere(Kind::Complete).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_statement_of_an_expiry() {
    kill_everywhere(Kind::Expire).await;
}

/// A heartbeat comes after the supervisor has found the attempt silent and before it has its lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expiry_that_a_heartbeat_overtakes_is_none() {
    let mut scene = Scene::start().await;
    let statements = scene.learn(Kind::Expire).await;
    let locks = |statement: &String| {
        statement.contains("lease_sha256") && statement.contains("for no key update")
    };
    let lock = statements.iter().position(locks).expect("no attempt was locked");
    // Another process on the database, without a supervisor that might come first.
    let app = App::new(scene.ground.pool.clone(), Clock::default(), Entropy::system());
    let address = serve(router(&app)).await.replace("http://", "");

    let task = json!({"title": "goal", "tasks": [{"ref": "a", "title": "t"}]});
    post(&scene.admin, "goal", &task).await;
    let held = worker::claim(&scene.workers[0], Wish::one()).await.pop().unwrap();
    let at = statements[..=lock].to_vec();
    scene.relay.set(Some(Trap { at, side: Side::Before, then: Then::Freeze }));
    tokio::time::timeout(PATIENCE, scene.relay.sprung()).await.expect("nothing expires");
    let beats = Client::new(
        std::slice::from_ref(&address),
        scene.workers[0].key(),
        TIMEOUT,
        Arc::clone(&scene.recorder),
        Arc::new(watch::channel(0).0),
    );
    assert!(worker::beat(&beats, &held, 1).await, "the lease was lost");
    scene.relay.transactions();
    scene.relay.thaw();
    let looked_again = async {
        loop {
            let mut seen = scene.relay.transactions().into_iter();
            if let Some(first) = seen.find(|t| t.contains(&statements[lock])) {
                return first;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let expiry = tokio::time::timeout(PATIENCE, looked_again).await.expect("it does not end");
    assert!(!expiry.contains("update attempts"), "it was ended though it had been heard of");
}
