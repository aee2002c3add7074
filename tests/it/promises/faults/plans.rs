//! A server killed between any two statements that write a plan of 5,000 tasks.
//!
//! Once without a fault, to learn the statements from the relay; then at boundaries between them: three, or
//! `MUSTER_FAULT_ROUNDS`. The poster asks again with the same key until it is answered. Whatever the moment, there is nothing of the plan or
//! all of it, and in the end there is one goal.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::watch;

use super::{
    client::Client,
    history::Recorder,
    load::{Ground, post},
    relay::{Relay, Side, Statements, Then, Trap},
    rounds,
    server::Server,
};
use crate::support::{invariants::verify, process::PATIENCE};

/// As many as a plan may have.
const TASKS: usize = 5_000;
/// Text that only a statement of its transaction has.
const MARK: &str = "insert into goal_texts";
const TIMEOUT: Duration = Duration::from_secs(60);

/// A hundred rows of fifty tasks, each after the one above it and under a container.
fn plan(title: &str) -> Value {
    let width = 50;
    let mut tasks: Vec<Value> = vec![json!({"ref": "all", "title": "t"})];
    for n in 1..TASKS {
        let needs: Vec<String> = (n > width).then(|| (n - width).to_string()).into_iter().collect();
        let criteria: Vec<Value> =
            (n % 7 == 0).then(|| json!({"text": "it works"})).into_iter().collect();
        tasks.push(json!({"ref": n.to_string(), "title": "t", "needs": needs, "parent": "all",
                          "criteria": criteria}));
    }
    json!({"title": title, "tasks": tasks})
}

/// Numbers of goals, plans, tasks, texts, dependencies and criteria of a title.
async fn counts(pool: &PgPool, title: &str) -> Vec<i64> {
    let query = "
        with mine as (select workspace_id, goal_id from goals where title = $1),
             its as (select t.workspace_id, t.task_id from tasks t join mine using (workspace_id, goal_id))
        select array[(select count(*) from mine),
                     (select count(*) from goal_texts join mine using (workspace_id, goal_id)),
                     (select count(*) from plans join mine using (workspace_id, goal_id)),
                     (select count(*) from its),
                     (select count(*) from task_texts join its using (workspace_id, task_id)),
                     (select count(*) from dependencies join its using (workspace_id, task_id)),
                     (select count(*) from criteria join its using (workspace_id, task_id))]";
    sqlx::query_scalar(query).bind(title).fetch_one(pool).await.unwrap()
}

fn whole() -> Vec<i64> {
    let all = TASKS as i64;
    vec![1, 1, 1, all, all, all - 51, (1..TASKS).filter(|n| n % 7 == 0).count() as i64]
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
        let (answered, _) = watch::channel(0);
        let addresses = [server.address().to_owned()];
        let recorder = Arc::new(Recorder::default());
        let admin = Client::new(&addresses, &ground.key, TIMEOUT, recorder, Arc::new(answered));
        Self { ground, relay, server, admin, rounds: 0 }
    }

    fn next(&mut self) -> String {
        self.rounds += 1;
        format!("plan-{}", self.rounds)
    }

    /// The statements of the transaction that writes a plan.
    async fn learn(&mut self) -> Statements {
        let title = self.next();
        self.relay.transactions();
        post(&self.admin, &title, &plan(&title)).await;
        assert_eq!(counts(&self.ground.pool, &title).await, whole());
        let seen = self.relay.transactions().into_iter();
        let mut meant = seen.filter(|t| t.committed() && t.contains(MARK));
        meant.next().expect("no transaction wrote the plan").statements
    }

    /// Kills the server at a statement, and looks at what is there.
    async fn strike(&mut self, at: &[String], side: Side) {
        let title = self.next();
        self.relay.set(Some(Trap { at: at.to_vec(), side, then: Then::Freeze }));
        let posting = {
            let (admin, title) = (self.admin.clone(), title.clone());
            tokio::spawn(async move { post(&admin, &title, &plan(&title)).await })
        };
        let sprung = tokio::time::timeout(2 * PATIENCE, self.relay.sprung()).await;
        let seen = sprung.unwrap_or_else(|_| panic!("it never came to {at:#?}"));
        assert_eq!(seen, at, "killed somewhere else");
        self.server.kill();
        let left = counts(&self.ground.pool, &title).await;
        match side {
            Side::Before => {
                assert_eq!(left, [0; 7], "something of a plan, killed before {:?}", at.last())
            }
            Side::After => assert_eq!(left, whole(), "it was not committed"),
        }
        self.relay.cut_all();
        self.relay.thaw();
        self.server.restart().await;
        posting.await.unwrap();
        assert_eq!(counts(&self.ground.pool, &title).await, whole(), "once, and all of it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_of_5000_tasks_is_written_as_a_whole_or_not_at_all() {
    let mut scene = Scene::start().await;
    let statements = scene.learn().await;
    assert_eq!(statements.last().unwrap(), "COMMIT");
    println!("{} statements write a plan", statements.len());
    assert!(statements.len() >= 8, "too few statements were seen: {statements:#?}");
    let (all, strikes) = (statements.len(), rounds(3).max(1) as usize);
    // Evenly divided, the last of them before the commit.
    for end in (1..=all).filter(|end| end * strikes / all != (end - 1) * strikes / all) {
        scene.strike(&statements[..end], Side::Before).await;
    }
    scene.strike(&statements, Side::After).await;
    let goals: i64 = sqlx::query_scalar("select count(*) from goals")
        .fetch_one(&scene.ground.pool)
        .await
        .unwrap();
    assert_eq!(goals, scene.rounds as i64, "a goal was posted twice, or not");
    verify(&scene.ground.pool).await;
}
