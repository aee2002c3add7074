//! A server killed while it plans: the run goes on after the restart, once, and no half plan is left.
//!
//! The goals have a chain of `agent` and `outline`. The planning task is cancelled, and the supervisor of the server
//! plans by the outline: it takes the run, plans, and stores the plan with all of its tasks. One round without a fault
//! teaches the statements of the last transaction; then the server is killed once at each of them.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use super::{
    client::Client,
    history::Recorder,
    load::Ground,
    relay::{Relay, Side, Statements, Then, Trap},
    server::Server,
};
use crate::support::{fleet::text, invariants::verify, process::PATIENCE};
use reqwest::Method;
use serde_json::json;
use tokio::sync::watch;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Tasks of a brief.
const TASKS: usize = 300;
/// A statement that only the transaction has that stores a plan.
const MARK: &str = "insert into plans";

fn brief() -> String {
    let mut brief = String::new();
    for n in 1..=TASKS {
        let _ = writeln!(brief, "- [ ] T{n:03} Do the part {n}");
    }
    brief
}

struct Scene {
    ground: Ground,
    relay: Relay,
    server: Server,
    admin: Client,
    rounds: usize,
}

impl Scene {
    async fn start() -> Self {
        let ground = Ground::shared().await;
        let relay = Relay::to_database(&ground.options).await;
        let server = Server::start(ground.server(relay.database_url(&ground.options))).await;
        let addresses = [server.address().to_owned()];
        let (answered, recorder) = (watch::channel(0).0, Recorder::default());
        let (recorder, answered) = (Arc::new(recorder), Arc::new(answered));
        let admin = Client::new(&addresses, &ground.key, TIMEOUT, recorder, answered);
        Self { ground, relay, server, admin, rounds: 0 }
    }

    /// A goal whose planning task is to be cancelled: `(goal, task)`.
    async fn prepare(&mut self) -> (String, String) {
        self.rounds += 1;
        let once = format!("round-{}", self.rounds);
        let body = json!({"title": once, "brief": brief(), "planners": ["agent", "outline"]});
        let (status, posted) =
            self.admin.ask_aside(Method::POST, "/v1/goals", Some(&body), Some(&once)).await;
        assert_eq!(status, 201, "{posted}");
        let goal = text(&posted["id"]);
        let task = "select task_id::text from tasks where goal_id = $1::uuid and purpose = 'plan'";
        let looking = async {
            loop {
                let found: Option<String> = sqlx::query_scalar(task)
                    .bind(&goal)
                    .fetch_optional(&self.ground.pool)
                    .await
                    .unwrap();
                if let Some(task) = found {
                    return task;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let task =
            tokio::time::timeout(PATIENCE, looking).await.expect("there is no planning task");
        (goal, task)
    }

    async fn cancel(&self, task: &str) {
        let path = format!("/v1/tasks/{task}/cancel");
        let (status, body) =
            self.admin.ask_aside(Method::POST, &path, Some(&json!({})), None).await;
        assert_eq!(status, 200, "{body}");
    }

    /// Waits until the goal is planned, and checks that it is planned once and whole. Nothing of the plan may be seen
    /// before all of it is there.
    async fn is_planned_once(&self, goal: &str) {
        let counts = "select (select count(*) from plans where goal_id = $1::uuid),
                             (select count(*) from tasks where goal_id = $1::uuid and purpose is null),
                             (select state from goals where goal_id = $1::uuid)";
        let planned = async {
            loop {
                let (plans, tasks, state): (i64, i64, String) =
                    sqlx::query_as(counts).bind(goal).fetch_one(&self.ground.pool).await.unwrap();
                match state.as_str() {
                    "planning" => assert_eq!((plans, tasks), (0, 0), "half a plan"),
                    "active" => return assert_eq!((plans, tasks), (1, TASKS as i64)),
                    other => panic!("the goal is {other}"),
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // A server that was killed holds the run for a minute.
        tokio::time::timeout(2 * PATIENCE, planned).await.expect("the goal is not planned");
        let runs: Vec<String> = sqlx::query_scalar(
            "select planner || ':' || state from planning_runs where goal_id = $1::uuid order by ordinal",
        )
        .bind(goal)
        .fetch_all(&self.ground.pool)
        .await
        .unwrap();
        assert_eq!(runs, ["agent:failed", "outline:planned"]);
    }

    /// Lets the time pass for which a killed server holds its runs.
    async fn forget_holders(&self) {
        sqlx::query(
            "update planning_runs set running_until = now() where running_until is not null",
        )
        .execute(&self.ground.pool)
        .await
        .unwrap();
    }

    /// A round without a fault; returns the statements of the transaction that stores the plan.
    async fn learn(&mut self) -> Statements {
        let (goal, task) = self.prepare().await;
        self.relay.transactions();
        self.cancel(&task).await;
        self.is_planned_once(&goal).await;
        let mut seen = self.relay.transactions().into_iter();
        let meant = seen.find(|transaction| transaction.committed() && transaction.contains(MARK));
        meant.expect("no plan was stored").statements
    }

    /// A round whose server is killed at a statement.
    async fn strike(&mut self, at: &[String], side: Side) {
        let (goal, task) = self.prepare().await;
        self.relay.set(Some(Trap { at: at.to_vec(), side, then: Then::Freeze }));
        self.cancel(&task).await;
        let sprung = tokio::time::timeout(PATIENCE, self.relay.sprung()).await;
        let seen = sprung.unwrap_or_else(|_| panic!("nothing came to {at:#?}"));
        assert_eq!(seen, at, "killed somewhere else");
        self.server.kill();
        self.relay.cut_all();
        self.relay.thaw();
        self.forget_holders().await;
        self.server.restart().await;
        self.is_planned_once(&goal).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_statement_that_stores_a_plan() {
    let mut scene = Scene::start().await;
    let statements = scene.learn().await;
    let mark = statements.iter().position(|statement| statement.contains(MARK)).unwrap();
    println!("{} statements, the plan is number {}", statements.len(), mark + 1);
    assert_eq!(statements.last().unwrap(), "COMMIT");
    // Before the mark nothing is written that only this transaction writes.
    for end in mark + 1..=statements.len() {
        scene.strike(&statements[..end], Side::Before).await;
    }
    scene.strike(&statements, Side::After).await;
    verify(&scene.ground.pool).await;
}
