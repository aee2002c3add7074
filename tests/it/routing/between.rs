//! Which of several agents gets a task, through the real claims.

use std::{collections::HashMap, time::Duration};

use crate::support::{
    agent::{Agent, Held},
    fleet::{Fleet, register},
    invariants::verify,
};
use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use muster::{domain::ids::AttemptId, store};
use uuid::Uuid;

/// What is true of an agent.
#[derive(Clone, Copy)]
struct Truth {
    success: f64,
    usd_micros: i64,
}

const GOOD: Truth = Truth { success: 0.9, usd_micros: 10_000 };
const POOR: Truth = Truth { success: 0.6, ..GOOD };
/// Every attempt takes so long.
const SECONDS: f64 = 2.0;
/// Steps of the clock.
const STEP: Duration = Duration::from_millis(500);
/// Time between two rounds of the supervisor.
const ROUND: TimeDelta = TimeDelta::seconds(10);
/// Longest deferral, the default.
const BOUND: TimeDelta = TimeDelta::milliseconds(5_000);

/// How many tasks they get: `MUSTER_ROUTING_TASKS=1000` for the long run.
fn tasks() -> u32 {
    let asked = std::env::var("MUSTER_ROUTING_TASKS").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(200)
}

struct Worker {
    agent: Agent,
    truth: Truth,
    held: Option<(Held, DateTime<Utc>)>,
}

/// Two agents that work on a stream of tasks.
struct Work {
    fleet: Fleet,
    random: StdRng,
    workers: Vec<Worker>,
    /// Which worker got each claimed task, in order.
    given: Vec<usize>,
    /// When an idle worker first went without a task that it was able to do.
    held_back: HashMap<String, DateTime<Utc>>,
    longest: TimeDelta,
    next: DateTime<Utc>,
    round: DateTime<Utc>,
    posted: u32,
}

impl Work {
    async fn begin(seed: u64, truths: [Truth; 2]) -> Self {
        let fleet = Fleet::seeded(seed).await;
        let mut workers = Vec::new();
        for (name, truth) in ["one", "other"].into_iter().zip(truths) {
            let agent = fleet.agent(name, &["rust"], 1).await;
            workers.push(Worker { agent, truth, held: None });
        }
        let now = fleet.now();
        Self {
            fleet,
            random: StdRng::seed_from_u64(seed),
            workers,
            given: Vec::new(),
            held_back: HashMap::new(),
            longest: TimeDelta::zero(),
            next: now,
            round: now,
            posted: 0,
        }
    }

    async fn routing(&self, policy: &str) {
        sqlx::query("update workspaces set routing = $2 where workspace_id = $1")
            .bind(self.fleet.workspace.0)
            .bind(policy)
            .execute(&self.fleet.pool)
            .await
            .unwrap();
    }

    /// Lets them work until so many more tasks have been posted and done.
    async fn run(&mut self, tasks: u32) {
        // 60 % of what the good one could do alone.
        let between = SECONDS / (0.6 * GOOD.success);
        let last = self.posted + tasks;
        self.next = self.fleet.now();
        loop {
            self.fleet.clock.advance(STEP);
            let now = self.fleet.now();
            let mut due = Vec::new();
            while self.posted < last && self.next <= now {
                due.push(json!({"ref": format!("t{}", self.posted), "title": "t",
                    "capabilities": ["rust"], "max_attempts": 50}));
                let wait = -self.random.random_range(f64::EPSILON..1.0).ln() * between * 1_000.0;
                self.next += TimeDelta::milliseconds(wait as i64);
                self.posted += 1;
            }
            if !due.is_empty() {
                self.fleet.goal(Value::Array(due)).await;
            }
            self.finish().await;
            if now - self.round >= ROUND {
                self.round = now;
                self.fleet.round().await;
            }
            self.ask().await;
            if self.posted == last && self.is_done().await {
                return;
            }
        }
    }

    async fn is_done(&self) -> bool {
        let open: i64 = sqlx::query_scalar("select count(*) from tasks where ended_at is null")
            .fetch_one(&self.fleet.pool)
            .await
            .unwrap();
        open == 0
    }

    async fn finish(&mut self) {
        let now = self.fleet.now();
        for worker in &mut self.workers {
            let Some((held, until)) = worker.held.take() else { continue };
            if until > now {
                worker.held = Some((held, until));
                continue;
            }
            let spend = json!({"usd_micros": worker.truth.usd_micros});
            if self.random.random_bool(worker.truth.success) {
                let body = json!({"result": {}, "spend": {"totals": spend}});
                worker.agent.write(&held, "complete", body).await.value(200);
            } else {
                let body = json!({"class": "transient", "spend": {"totals": spend}});
                worker.agent.write(&held, "fail", body).await.value(200);
            }
        }
    }

    /// The idle ones ask, the first of them at random.
    async fn ask(&mut self) {
        let first = self.random.random_range(0..self.workers.len());
        for index in [first, 1 - first] {
            if self.workers[index].held.is_some() {
                continue;
            }
            let now = self.fleet.now();
            let claimed = self.workers[index].agent.claim(1).await.pop();
            let Some(held) = claimed else {
                for task in self.ready().await {
                    self.held_back.entry(task).or_insert(now);
                }
                continue;
            };
            if let Some(since) = self.held_back.remove(&held.task) {
                self.longest = self.longest.max(now - since);
            }
            self.given.push(index);
            let until = now + TimeDelta::milliseconds((SECONDS * 1_000.0) as i64);
            self.workers[index].held = Some((held, until));
        }
    }

    async fn ready(&self) -> Vec<String> {
        sqlx::query_scalar("select task_id::text from tasks where state = 'ready'")
            .fetch_all(&self.fleet.pool)
            .await
            .unwrap()
    }

    fn share_of(&self, worker: usize, last: usize) -> f64 {
        let last = &self.given[self.given.len() - last..];
        last.iter().filter(|given| **given == worker).count() as f64 / last.len() as f64
    }
}

#[tokio::test]
async fn the_better_agent_gets_the_tasks_and_a_swap_is_noticed() {
    let mut work = Work::begin(17, [GOOD, POOR]).await;
    work.run(tasks()).await;
    let share = work.share_of(0, tasks() as usize * 3 / 10);
    assert!(share >= 0.8, "{share}");

    let report = work.fleet.admin.get("/v1/reports/routing?capability=rust").await.value(200);
    let beliefs = report["beliefs"].as_array().unwrap();
    assert_eq!(beliefs.len(), 2);
    assert_eq!(beliefs[0]["agent_name"], "one");
    assert!(
        beliefs[0]["success"]["estimate"].as_f64() > beliefs[1]["success"]["estimate"].as_f64()
    );
    let count = |arm: &str| report[arm]["attempts"].as_i64().unwrap();
    assert_eq!(count("routed") + count("control"), work.given.len() as i64);
    assert!(report["gain"]["success"]["high"].as_f64().unwrap() > 0.0);

    work.workers[0].truth = POOR;
    work.workers[1].truth = GOOD;
    work.run(tasks()).await;
    let share = work.share_of(1, 100);
    assert!(share >= 0.8, "after the swap: {share}");
    let step = TimeDelta::from_std(STEP).unwrap();
    assert!(work.longest <= BOUND + step, "an able agent waited for {}", work.longest);
    verify(&work.fleet.pool).await;
}

#[tokio::test]
async fn cheapest_sends_the_tasks_to_the_cheap_one_of_equals() {
    let dear = Truth { usd_micros: 40_000, ..GOOD };
    let mut work = Work::begin(18, [dear, GOOD]).await;
    work.routing("cheapest").await;
    work.run(tasks()).await;
    let share = work.share_of(1, tasks() as usize * 3 / 10);
    assert!(share >= 0.8, "{share}");
}

#[tokio::test]
async fn an_assignment_says_why() {
    let fleet = Fleet::start().await;
    let one = fleet.agent("one", &["rust"], 4).await;
    let other = fleet.agent("other", &["rust"], 4).await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "a", "capabilities": ["rust"]},
            {"ref": "b", "title": "b", "capabilities": ["rust"]},
        ]))
        .await;
    fleet.pass(3);
    let first = one.take().await;
    fleet.pass(1);
    let second = other.take().await;
    let list = async |query: String| {
        let found = fleet.admin.get(format!("/v1/assignments?{query}")).await.value(200);
        found["items"].as_array().unwrap().clone()
    };
    let all = list(format!("goal_id={goal}")).await;
    assert_eq!(all.len(), 2);
    assert_eq!(all[0]["attempt_id"], json!(second.attempt), "newest first");
    let found = list(format!("task_id={}", first.task)).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["agent_id"], json!(one.id));
    assert_eq!(found[0]["policy"], "balanced");
    assert_eq!(found[0]["waited_ms"], 3_000);
    assert_eq!(found[0]["candidates"], json!([]));
    assert_eq!(list(format!("agent_id={}", other.id)).await.len(), 1);
    let page = fleet.admin.get("/v1/assignments?limit=1").await.value(200);
    let next = page["next_cursor"].as_str().unwrap();
    let page = fleet.admin.get(format!("/v1/assignments?limit=1&cursor={next}")).await.value(200);
    assert_eq!(page["items"][0]["attempt_id"], json!(first.attempt));

    // Thirty days later they are gone.
    fleet.after(31 * 86_400).await;
    assert!(list(String::from("limit=10")).await.is_empty());
}

#[tokio::test]
async fn another_version_of_an_agent_is_counted_apart() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("one", &["rust"], 1).await;
    let path = format!("/v1/agents/{}", agent.id);
    let say = async |body: Value| {
        let etag = fleet.poster.get(&path).await.etag();
        fleet.poster.patch(&path, &body).if_match(&etag).await.value(200)
    };
    let said = say(json!({"model": "m", "agent_version": "1"})).await;
    assert_eq!((&said["model"], &said["agent_version"]), (&json!("m"), &json!("1")));
    for version in ["1", "2"] {
        say(json!({"agent_version": version})).await;
        for _ in 0..3 {
            fleet.pass(1);
            fleet.goal(json!([{"ref": "a", "title": "a", "capabilities": ["rust"]}])).await;
            let held = agent.take().await;
            fleet.pass(1);
            agent.complete(&held).await;
        }
        fleet.round().await;
    }
    let report = fleet.admin.get("/v1/reports/routing").await.value(200);
    assert_eq!(report["beliefs"].as_array().unwrap().len(), 1);
    assert_eq!(report["beliefs"][0]["version"], "m 2");
    assert_eq!(report["beliefs"][0]["attempts"], 3);
    assert_eq!(report["beliefs"][0]["canary"], true);
    assert_eq!(report["versions"][0]["before"], "m 1");
    assert_eq!(report["versions"][0]["attempts_before"], 3);
    let refused = fleet.poster.patch(&path, &json!({"model": ""})).if_match("*").await;
    assert_eq!(refused.problem(422, "invalid"), ["/model"]);
}

#[tokio::test]
async fn what_says_nothing_of_an_agent_does_not_count() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("one", &["rust"], 10).await;
    for _ in 0..4 {
        fleet.lone_task(json!({"capabilities": ["rust"]})).await;
    }
    for class in ["rate_limited", "invalid_input", "transient"] {
        let held = agent.take().await;
        agent.fail(&held, class).await;
        // After a rate limit the agent is given nothing for a minute.
        fleet.after(60).await;
    }
    let held = agent.take().await;
    agent.release(&held).await;
    fleet.round().await;
    let report = fleet.admin.get("/v1/reports/routing").await.value(200);
    assert_eq!(report["beliefs"][0]["attempts"], 1);
    assert_eq!(
        report["routed"]["attempts"].as_i64().unwrap()
            + report["control"]["attempts"].as_i64().unwrap(),
        1
    );
}

/// Of an agent that says another version again and again, the records of the last two stay.
#[tokio::test]
async fn records_of_former_versions_are_forgotten() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("one", &["rust"], 1).await;
    let path = format!("/v1/agents/{}", agent.id);
    let versions = async || -> Vec<String> {
        sqlx::query_scalar("select version_key from agent_records order by version_key")
            .fetch_all(&fleet.pool)
            .await
            .unwrap()
    };
    for version in ["1", "2", "3"] {
        let said = json!({"model": "m", "agent_version": version});
        fleet.admin.patch(&path, &said).if_match("*").await.expect(200);
        fleet.lone_task(json!({"capabilities": ["rust"]})).await;
        agent.complete(&agent.take().await).await;
        fleet.after(1).await;
    }
    assert_eq!(versions().await, ["m 1", "m 2", "m 3"]);
    fleet.after(89 * 86_400).await;
    assert_eq!(versions().await, ["m 1", "m 2", "m 3"], "none is ninety days old");
    fleet.after(2 * 86_400).await;
    assert_eq!(versions().await, ["m 2", "m 3"]);
}

/// Nothing is left for an agent that may not claim now: its provider limits its rate, or its quota window is used up.
#[tokio::test]
async fn an_agent_that_is_held_is_no_rival() {
    let fleet = Fleet::start().await;
    let body = json!({"name": "one", "capabilities": ["rust"], "account": "max"});
    let agent = register(&fleet.admin, body).await;
    let is_rival = async || {
        let id = agent.id.parse().unwrap();
        let rivals = store::routing::rivals::online(&mut fleet.tx().await, &[id]).await;
        !rivals.unwrap().is_empty()
    };
    agent.find_nothing().await;
    assert!(is_rival().await);

    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let limited = json!({"class": "rate_limited", "retry_after_seconds": 20});
    agent.write(&held, "fail", limited).await.expect(200);
    assert!(!is_rival().await, "its provider limits its rate");
    fleet.pass(20);
    agent.find_nothing().await;
    assert!(is_rival().await);

    let window = json!({"account": "max", "unit": "attempts", "amount": 1, "window_seconds": 60});
    fleet.admin.post("/v1/quota-windows", &window).await.expect(201);
    assert!(is_rival().await);
    fleet.lone_task(json!({})).await;
    agent.take().await;
    assert!(!is_rival().await, "its quota window is used up");
    fleet.pass(60);
    agent.find_nothing().await;
    assert!(is_rival().await);
}

/// The report compares the newest assignments of a long period.
#[tokio::test]
async fn the_newest_assignments_are_compared() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("one", &[], 3).await;
    let mut attempts: Vec<AttemptId> = Vec::new();
    for _ in 0..3 {
        fleet.pass(1);
        fleet.lone_task(json!({})).await;
        attempts.push(agent.take().await.attempt.parse().unwrap());
    }
    let (first, end) = (AttemptId(Uuid::nil()), AttemptId(Uuid::max()));
    for (most, from) in [(1, Some(attempts[2])), (2, Some(attempts[1])), (3, None)] {
        let newest = store::routing::report::newest(&mut fleet.tx().await, first, end, most).await;
        assert_eq!(newest.unwrap().map(|(attempt, _)| attempt), from, "{most}");
    }
    let report = fleet.admin.get("/v1/reports/routing").await.value(200);
    assert_eq!(report["shortened"], false);
}
