//! A fleet that is stopped while it works, at two server processes that are then killed.
//!
//! Agents do at random whatever they may, before, while and after everything is stopped. That nothing
//! got past the stop is shown twice: by what was answered to requests that were sent after its answer,
//! and by the order of the events and rows, in which its commit has one exact place.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{freeze_all, lift};
use crate::{
    promises::faults::server::{Server, Settings},
    support::{
        agent::{Agent, Held, claims},
        fleet::{Fleet, seed},
        invariants::verify,
        process::PATIENCE,
    },
};

const AGENTS: usize = 50;
/// What each agent holds on to until the stop: together 500.
const KEPT: usize = 10;
/// What each does after the stop was answered.
const LAST_ACTS: usize = 30;

async fn server(fleet: &Fleet) -> Server {
    Server::start(Settings {
        database_url: fleet.database.url(),
        listen: "127.0.0.1:0".to_owned(),
        bootstrap_key: fleet.admin_key.clone(),
        more: Vec::new(),
    })
    .await
}

/// What all workers share.
#[derive(Debug, Default)]
struct Signs {
    /// The answer to the stop has come.
    stopped: AtomicBool,
    /// Acts that were accepted before the stop.
    before: AtomicUsize,
    /// Acts that were refused after it.
    refused: AtomicUsize,
}

/// An agent that acts at random: it keeps some attempts until the stop, and works off others.
struct Worker {
    agent: Agent,
    random: StdRng,
    kept: Vec<Held>,
    others: Vec<Held>,
    signs: Arc<Signs>,
    acts: usize,
}

impl Worker {
    async fn run(mut self) -> (Agent, Vec<Held>) {
        let mut last = 0;
        while last < LAST_ACTS {
            // Read before the request is sent: then its answer came after that of the stop.
            let after = self.signs.stopped.load(Ordering::SeqCst);
            last += usize::from(after);
            self.act(after).await;
        }
        (self.agent, self.kept)
    }

    async fn act(&mut self, after: bool) {
        self.acts += 1;
        if self.random.random_bool(0.3) || (self.others.is_empty() && !after) {
            return self.claim(after).await;
        }
        // Before the stop nothing ends what is kept.
        let (held, kept) = match self.others.pop() {
            Some(held) if self.random.random_bool(0.6) => (held, false),
            other => {
                self.others.extend(other);
                (self.kept[self.random.random_range(0..KEPT)].clone(), true)
            }
        };
        let verbs: &[&str] = match (kept, after) {
            (true, false) => &["heartbeat", "authorize", "spend"],
            (false, _) => &["complete", "complete", "release", "fail", "subtasks", "approvals"],
            (true, true) => {
                &["heartbeat", "authorize", "complete", "release", "fail", "subtasks", "approvals"]
            }
        };
        let verb = verbs[self.random.random_range(0..verbs.len())];
        let answer = self.agent.write(&held, verb, self.body(verb, &held)).await;
        let accepted = answer.status.is_success();
        assert!(accepted || answer.status == 409, "{verb}: {}", answer.describe());
        if after {
            assert!(!accepted, "{verb} was accepted after the stop: {}", answer.describe());
            self.signs.refused.fetch_add(1, Ordering::Relaxed);
        } else if accepted {
            self.signs.before.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn claim(&mut self, after: bool) {
        let max = self.random.random_range(1..4);
        let answer = self.agent.client.post("/v1/claims", &json!({"max": max})).await;
        let given = claims(&answer);
        assert!(given.is_empty() || !after, "a claim was given something after the stop");
        self.others.extend(given);
    }

    fn body(&self, verb: &str, held: &Held) -> Value {
        let key = format!("{} {}", self.agent.id, self.acts);
        match verb {
            "authorize" => json!({"key": key, "amounts": {"usd_micros": 1}}),
            "spend" => json!({"entries": [{"key": key, "amounts": {"usd_micros": 1}}]}),
            "fail" => json!({"class": "transient"}),
            "subtasks" => {
                // An estimate, as without one it would reserve all that is left.
                let sub = format!("sub {}", held.attempt);
                json!({"tasks": [{"ref": sub, "title": "t", "estimate": {"usd_micros": 10}}]})
            }
            "approvals" => json!({"kind": "input", "title": "may I?"}),
            // Half of the heartbeats report spend, which is another way through the service.
            "heartbeat" if self.acts.is_multiple_of(2) => {
                json!({"spend": {"totals": {"usd_micros": self.acts}}})
            }
            _ => json!({}),
        }
    }
}

/// What must not change under a stop, as numbers.
async fn numbers(pool: &PgPool) -> Vec<i64> {
    let mut numbers = Vec::new();
    for query in [
        "select count(*) from attempts",
        "select count(*) from attempts where state = 'running'",
        "select count(*) from attempts where state = 'accepted'",
        "select count(*) from tasks",
        "select count(*) from approvals",
        "select count(*) from authorizations",
        "select count(*) from reservations",
        "select count(*) from reservations where closed_at is null",
        "select coalesce(sum(reserved), 0)::bigint from budget_windows",
    ] {
        numbers.push(sqlx::query_scalar(query).fetch_one(pool).await.unwrap());
    }
    numbers
}

/// The kinds of events that are numbered after the last stop and tell of something that it forbids.
async fn forbidden(pool: &PgPool) -> Vec<(String, i64)> {
    sqlx::query_as(
        "select kind, count(*) from journal
         where number > (select max(number) from journal where kind = 'freeze.set')
           and kind in ('task.running', 'task.created', 'task.done', 'task.failed',
                        'task.reviewing', 'approval.requested')
         group by kind",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

async fn fifty_agents(
    fleet: &Fleet,
    bases: &[String],
    signs: &Arc<Signs>,
    seed: u64,
) -> Vec<Worker> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut workers = Vec::new();
    for n in 0..AGENTS {
        let agent = fleet.agent(&format!("agent {n}"), &[], 100).await.at(&bases[n % 2]);
        let kept = agent.claim_with(json!({"max": KEPT, "lease_seconds": 600})).await;
        assert_eq!(kept.len(), KEPT);
        workers.push(Worker {
            agent,
            random: StdRng::seed_from_u64(random.random()),
            kept,
            others: Vec::new(),
            signs: Arc::clone(signs),
            acts: 0,
        });
    }
    workers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_gets_past_the_stop_of_a_fleet_at_work() {
    let seed = seed();
    let fleet = Fleet::on_time().await;
    let budget = json!({"limits": [{"unit": "usd_micros", "amount": 100_000_000}]});
    let budget = json!({"node": "workspace", "budget": budget});
    fleet.admin.post("/v1/budgets", &budget).await.expect(201);
    for _ in 0..10 {
        let task =
            |n| json!({"ref": format!("t{n}"), "title": "t", "estimate": {"usd_micros": 10}});
        fleet.goal((0..300).map(task).collect()).await;
    }
    let mut servers = [server(&fleet).await, server(&fleet).await];
    let bases: Vec<String> =
        servers.iter().map(|server| format!("http://{}", server.address())).collect();
    let signs = Arc::new(Signs::default());
    let workers = fifty_agents(&fleet, &bases, &signs, seed).await;
    let workers: Vec<_> = workers.into_iter().map(|worker| tokio::spawn(worker.run())).collect();
    let busy = async {
        while signs.before.load(Ordering::Relaxed) < 10 * AGENTS {
            assert!(!workers.iter().all(tokio::task::JoinHandle::is_finished), "nobody works");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(3 * PATIENCE, busy).await.expect("the load never comes up");

    let stop = freeze_all(&fleet, "stop").await;
    let at_once = numbers(&fleet.pool).await;
    signs.stopped.store(true, Ordering::SeqCst);
    let stopped = stop["stopped_attempts"].as_i64().unwrap();
    assert!(stopped >= (AGENTS * KEPT) as i64, "only {stopped} attempts ran");
    assert_eq!(stop["stopped"].as_array().unwrap().len(), 200);
    let ended = tokio::time::timeout(3 * PATIENCE, join_all(workers)).await;
    let workers: Vec<(Agent, Vec<Held>)> =
        ended.expect("somebody waits in vain").into_iter().map(Result::unwrap).collect();
    assert_eq!(forbidden(&fleet.pool).await, []);
    assert_eq!(numbers(&fleet.pool).await, at_once);
    assert_eq!((at_once[1], at_once[7], at_once[8]), (0, 0, 0), "what runs, and what it set aside");
    let counts = [&signs.before, &signs.refused].map(|count| count.load(Ordering::Relaxed));
    println!("{} acts before, {stopped} attempts stopped, {} refused after", counts[0], counts[1]);
    verify(&fleet.pool).await;

    // Nobody remembers anything, and it is stopped all the same.
    for server in &mut servers {
        server.restart().await;
    }
    for (agent, kept) in &workers {
        agent.find_nothing().await;
        let held = &kept[0];
        agent.write(held, "complete", json!({})).await.problem(409, "lease_lost");
        let late = json!({"entries": [{"key": "late", "amounts": {"usd_micros": 2}}]});
        assert_eq!(agent.write(held, "spend", late).await.value(200)["late"], true);
    }
    assert_eq!(numbers(&fleet.pool).await, at_once);
    assert_eq!(forbidden(&fleet.pool).await, []);

    lift(&fleet, &stop).await;
    for (agent, _) in &workers {
        assert_eq!(agent.claim(3).await.len(), 3);
    }
    let tried: i64 = sqlx::query_scalar(
        "select count(*) from freeze_stops s join attempts a using (workspace_id, attempt_id)
         join tasks t using (workspace_id, task_id)
         where t.attempts_used > (select count(*) from attempts b where b.task_id = t.task_id
                                  and b.state in ('failed', 'expired'))",
    )
    .fetch_one(&fleet.pool)
    .await
    .unwrap();
    assert_eq!(tried, 0, "tasks lost a try to the stop");
    verify(&fleet.pool).await;
}

/// Stops and lifts again and again, by two operators at two processes, beside agents who claim and
/// complete: under every stop nothing runs, and in the end everything is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stops_that_come_and_go_lose_nothing() {
    let fleet = Fleet::on_time().await;
    let goal =
        fleet.goal((0..300).map(|n| json!({"ref": n.to_string(), "title": "t"})).collect()).await;
    let other = crate::support::fleet::router(&fleet.another_app().await);
    let other = crate::support::client::Client::of(other).with_key(&fleet.admin_key);
    let bases = [fleet.listen().await, fleet.listen().await];
    let over = Arc::new(AtomicBool::new(false));
    let mut workers = Vec::new();
    for n in 0..8 {
        let agent = fleet.agent(&format!("agent {n}"), &[], 4).await.at(&bases[n % 2]);
        let over = Arc::clone(&over);
        workers.push(tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                for held in agent.claim(2).await {
                    let answer = agent.write(&held, "complete", json!({})).await;
                    let known = answer.status.is_success() || answer.status == 409;
                    assert!(known, "{}", answer.describe());
                }
            }
        }));
    }
    let stops = [&fleet.admin, &other].map(|operator| {
        let (fleet, body) = (&fleet, json!({"scope": "workspace", "mode": "stop"}));
        async move {
            let mut ended = 0;
            for _ in 0..15 {
                let set = operator.post("/v1/freezes", &body).await.value(201);
                assert_eq!(set["running_attempts"], 0);
                let running = numbers(&fleet.pool).await[1];
                assert_eq!(running, 0, "{running} attempts run under a stop");
                ended += set["stopped_attempts"].as_i64().unwrap();
                let path = format!("/v1/freezes/{}/lift", set["id"].as_str().unwrap());
                operator.post(path, &json!({})).await.expect(200);
            }
            ended
        }
    });
    let ended: i64 =
        tokio::time::timeout(3 * PATIENCE, join_all(stops)).await.unwrap().iter().sum();
    let done = async {
        while fleet.goal_state(&goal).await != "completed" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(3 * PATIENCE, done).await.expect("something was lost");
    over.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    println!("{ended} attempts were stopped on the way");
    let last: i64 = sqlx::query_scalar("select max(generation) from freezes")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    assert_eq!(last, 60, "each of thirty was set and lifted once");
    verify(&fleet.pool).await;
}
