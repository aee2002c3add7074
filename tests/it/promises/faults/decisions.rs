//! A server killed between any two statements of a question and of its decision: it is not asked, or
//! asked and parked; it is pending, or decided and resumed; never between.
//!
//! As with [claims and completions](super::kill_points), one round without a fault tells which
//! statements there are, and then each boundary has a round of its own. What is stored is looked at
//! while no server runs.

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::watch;

use super::{
    client::Client,
    history::Recorder,
    load::{Ground, agent, post},
    relay::{Relay, Side, Statements, Then, Trap},
    server::Server,
    worker::{self, Held, Wish},
};
use crate::support::{fleet::text, invariants::verify, process::PATIENCE};

const TIMEOUT: Duration = Duration::from_secs(10);
/// A transaction with fewer statements than this is not what was meant.
const LEAST: usize = 8;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ask,
    Decide,
}

impl Kind {
    /// Text that only a statement of its transaction has.
    fn mark(self) -> &'static str {
        match self {
            Self::Ask => "insert into approvals",
            Self::Decide => "update approvals set state = $3",
        }
    }
}

/// A service behind a relay, an agent and somebody who decides.
struct Scene {
    pool: PgPool,
    relay: Relay,
    server: Server,
    admin: Client,
    reviewer: Client,
    worker: Client,
    rounds: usize,
    _ground: Ground,
}

/// A task that is about to be asked about, or was.
struct Round {
    held: Held,
    number: usize,
    asked: Option<Value>,
}

/// What is stored about the task: the states of the task and of its newest question, and how often it
/// was said that this was asked, and that it was decided.
#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
struct Stored {
    task: String,
    approval: Option<String>,
    asked: i64,
    decided: i64,
}

impl Stored {
    fn new(task: &str, approval: Option<&str>, asked: i64, decided: i64) -> Self {
        Self { task: task.to_owned(), approval: approval.map(str::to_owned), asked, decided }
    }
}

impl Scene {
    async fn start() -> Self {
        let ground = Ground::shared().await;
        let relay = Relay::to_database(&ground.options).await;
        let server = Server::start(ground.server(relay.database_url(&ground.options))).await;
        let addresses = [server.address().to_owned()];
        let (seen, answered) = (Arc::new(Recorder::default()), Arc::new(watch::channel(0).0));
        let admin = Client::new(&addresses, &ground.key, TIMEOUT, seen, answered);
        let new = json!({"name": "reviewer", "role": "operator", "person": "reviewer"});
        let (_, made) = admin.ask_aside(Method::POST, "/v1/keys", Some(&new), Some("key")).await;
        let reviewer = admin.of_agent(&text(&made["token"]), "", TIMEOUT);
        let worker = agent(&admin, "agent", TIMEOUT).await;
        let pool = ground.pool.clone();
        Self { pool, relay, server, admin, reviewer, worker, rounds: 0, _ground: ground }
    }

    /// A claimed task and, when the decision is what the round is about, a question about it.
    async fn prepare(&mut self, kind: Kind) -> Round {
        self.rounds += 1;
        let title = format!("round-{}", self.rounds);
        let tasks = json!([{"ref": "a", "title": "t"}]);
        post(&self.admin, &title, &json!({"title": title, "tasks": tasks})).await;
        let wish = Wish { lease_seconds: 3600, ..Wish::one() };
        let held = worker::claim(&self.worker, wish).await.pop().expect("there is a task");
        let mut round = Round { held, number: self.rounds, asked: None };
        if kind == Kind::Decide {
            round.asked = Some(ask(self.worker.clone(), &round).await);
        }
        round
    }

    async fn stored(&self, round: &Round) -> Stored {
        sqlx::query_as(
            "select t.state as task, a.state as approval,
                    (select count(*) from journal e
                     where e.task_id = t.task_id and e.kind = 'approval.requested') as asked,
                    (select count(*) from journal e
                     where e.task_id = t.task_id and e.kind = 'approval.decided') as decided
             from tasks t left join approvals a on a.task_id = t.task_id
             where t.task_id = $1::uuid",
        )
        .bind(&round.held.given.task)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Does what the round is about, however often it must be asked for.
    fn act(&self, kind: Kind, round: &Round) -> tokio::task::JoinHandle<()> {
        match (kind, &round.asked) {
            (Kind::Ask, _) => {
                let (worker, number) = (self.worker.clone(), round.number);
                let round = Round { held: round.held.clone(), number, asked: None };
                tokio::spawn(async move {
                    ask(worker, &round).await;
                })
            }
            (Kind::Decide, asked) => {
                let asked = asked.clone().expect("it was asked");
                tokio::spawn(decide(self.reviewer.clone(), asked))
            }
        }
    }

    /// Nothing is lost: what is still open is decided, and the next attempt is told so, once.
    async fn finish(&self, round: &Round) {
        let path = "/v1/approvals?state=pending";
        let (_, open) = self.admin.ask_aside(Method::GET, path, None, None).await;
        for approval in open["items"].as_array().unwrap() {
            decide(self.reviewer.clone(), approval.clone()).await;
        }
        assert_eq!(self.stored(round).await, Stored::new("ready", Some("approved"), 1, 1));
        let body = json!({"lease_seconds": 3600});
        for decisions in [1, 0] {
            let path = "/v1/claims";
            let (status, claim) =
                self.worker.ask_aside(Method::POST, path, Some(&body), None).await;
            assert_eq!(status, 200, "the task was not resumed");
            let claim = &claim["claims"][0];
            assert_eq!(claim["decisions"].as_array().unwrap().len(), decisions, "{claim}");
            assert_eq!(claim["checkpoint"], json!({"at": round.number}));
            let end = if decisions == 0 { "complete" } else { "release" };
            let path = format!("/v1/attempts/{}/{end}", text(&claim["attempt_id"]));
            let body = json!({"lease": claim["lease"]});
            let (status, _) = self.worker.ask_aside(Method::POST, &path, Some(&body), None).await;
            assert_eq!(status, 200);
        }
    }

    /// A round without a fault; returns the statements of its transaction.
    async fn learn(&mut self, kind: Kind) -> Statements {
        let round = self.prepare(kind).await;
        self.relay.transactions();
        self.act(kind, &round).await.unwrap();
        let seen = self.relay.transactions().into_iter();
        let meant = seen.filter(|t| t.committed() && t.contains(kind.mark()));
        let statements = meant.map(|t| t.statements).next().expect("it was not seen");
        self.finish(&round).await;
        statements
    }

    /// A round whose server is killed at a statement.
    async fn strike(&mut self, kind: Kind, at: &[String], side: Side) {
        let round = self.prepare(kind).await;
        let before = self.stored(&round).await;
        self.relay.set(Some(Trap { at: at.to_vec(), side, then: Then::Freeze }));
        let acting = self.act(kind, &round);
        let sprung = tokio::time::timeout(PATIENCE, self.relay.sprung()).await;
        let seen = sprung.unwrap_or_else(|_| panic!("{kind:?} never came to {at:#?}"));
        assert_eq!(seen, at, "killed somewhere else");
        self.server.kill();
        let after = match kind {
            Kind::Ask => Stored::new("parked", Some("pending"), 1, 0),
            Kind::Decide => Stored::new("ready", Some("approved"), 1, 1),
        };
        let stored = self.stored(&round).await;
        assert_eq!(stored, if side == Side::After { after } else { before }, "in between");
        self.relay.cut_all();
        self.relay.thaw();
        self.server.restart().await;
        acting.await.unwrap();
        self.finish(&round).await;
    }
}

/// Asks with a key of the round's own, so that it is one question however often it is sent.
async fn ask(worker: Client, round: &Round) -> Value {
    let body = json!({"lease": round.held.lease, "kind": "action", "title": "may I?",
                      "payload": {"n": round.number}, "checkpoint": {"at": round.number}});
    let path = format!("/v1/attempts/{}/approvals", round.held.given.attempt);
    let once = format!("ask-{}", round.number);
    let (status, asked) = worker.ask_aside(Method::POST, &path, Some(&body), Some(&once)).await;
    assert_eq!(status, 201, "{asked}");
    asked
}

/// Decides; whoever got no answer may find that it was decided.
async fn decide(reviewer: Client, approval: Value) {
    let path = format!("/v1/approvals/{}/decide", text(&approval["id"]));
    let body = json!({"decision": "approve", "payload_sha256": approval["payload_sha256"]});
    let (status, answer) = reviewer.ask_aside(Method::POST, &path, Some(&body), None).await;
    assert!(status == 200 || answer["code"] == "already_decided", "{status}: {answer}");
}

async fn kill_everywhere(kind: Kind) {
    let mut scene = Scene::start().await;
    let statements = scene.learn(kind).await;
    assert_eq!(statements.last().unwrap(), "COMMIT");
    println!("{kind:?}: {} statements", statements.len());
    assert!(statements.len() >= LEAST, "too few statements were seen: {statements:#?}");
    for end in 1..=statements.len() {
        scene.strike(kind, &statements[..end], Side::Before).await;
    }
    scene.strike(kind, &statements, Side::After).await;
    verify(&scene.pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_statement_of_a_question() {
    kill_everywhere(Kind::Ask).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_statement_of_a_decision() {
    kill_everywhere(Kind::Decide).await;
}
