//! Random lives of random goals.
//!
//! Agents, operators and time do whatever they can, in an order that the seed decides. After each
//! refusal nothing may be stored; every now and then all that must hold of the data is looked at;
//! and in the end, when everybody just does their work, everything comes to an end.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use crate::{
    attempts::takeover::people::held,
    support::{
        agent::{Agent, Held},
        client::{Answer, Client},
        dump::{dump, same},
        fleet::{Fleet, about, seed, text},
        invariants::{verify, verify_rested},
    },
};

const CAPABILITIES: &[&str] = &["rust", "review", "docs"];
const CLASSES: &[&str] =
    &["transient", "rate_limited", "resources", "invalid_input", "permanent", "timeout"];

struct Life {
    fleet: Fleet,
    /// Somebody who decides, and works on nothing.
    reviewer: Client,
    random: StdRng,
    agents: Vec<Agent>,
    /// Every claim ever made, with whose it was.
    claims: Vec<(usize, Held)>,
    goals: Vec<String>,
    subtasks: usize,
}

/// The place of the person among those who hold attempts, after the three agents.
const PERSON: usize = 3;

impl Life {
    async fn begin(seed: u64) -> Self {
        let fleet = Fleet::seeded(seed).await;
        let agents = vec![
            fleet.agent("all", CAPABILITIES, 4).await,
            fleet.agent("some", &CAPABILITIES[..1], 2).await,
            fleet.agent("none", &[], 3).await,
            // The person: with the key of the admin, who takes tasks over and claims none.
            Agent::new(fleet.admin.clone(), &fleet.admin_key, String::new()),
        ];
        let random = StdRng::seed_from_u64(seed);
        let reviewer = fleet.client(&fleet.key("operator").await);
        let mut life = Self {
            fleet,
            reviewer,
            random,
            agents,
            claims: Vec::new(),
            goals: Vec::new(),
            subtasks: 0,
        };
        for _ in 0..3 {
            life.post_goal().await;
        }
        life
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    /// A goal that may be refused because its tasks need each other in a circle.
    async fn post_goal(&mut self) {
        loop {
            let count = self.random.random_range(3..12);
            let mut tasks: Vec<Value> = (0..count).map(|n| self.plan_task(n)).collect();
            for (n, task) in tasks.iter_mut().enumerate() {
                if n > 0 && self.chance(25) {
                    task["parent"] = json!(self.random.random_range(0..n).to_string());
                }
            }
            let plan = self.chance(20);
            let goal = json!({"title": "goal", "tasks": tasks, "approval": {"plan": plan}});
            let answer = self.fleet.poster.post("/v1/goals", &goal).await;
            if answer.status == 201 {
                let goal: Value = answer.json();
                return self.goals.push(text(&goal["id"]));
            }
            answer.problem(422, "plan_invalid");
        }
    }

    fn plan_task(&mut self, n: usize) -> Value {
        let mut task = self.small_task(&n.to_string());
        let needs: Vec<String> =
            (0..n).filter(|_| self.chance(25)).map(|need| need.to_string()).collect();
        task["needs"] = json!(needs);
        task["done"] = json!(self.chance(8));
        task
    }

    fn small_task(&mut self, name: &str) -> Value {
        let mut task = json!({
            "ref": name, "title": name, "priority": self.random.random_range(0..10),
            "max_attempts": self.random.random_range(1..6),
            "max_rework": self.random.random_range(1..3),
            "approval": {"start": self.chance(10), "result": self.chance(15)},
        });
        if self.chance(20) {
            task["capabilities"] = json!([CAPABILITIES.choose(&mut self.random)]);
        }
        for (name, percent, most) in [
            ("start_within_seconds", 5, 900),
            ("finish_within_seconds", 5, 1800),
            ("attempt_timeout_seconds", 20, 300),
            ("lease_seconds", 30, 200),
        ] {
            if self.chance(percent) {
                task[name] = json!(self.random.random_range(1..most));
            }
        }
        if self.chance(10) {
            let at =
                self.fleet.now() + chrono::TimeDelta::seconds(self.random.random_range(1..300));
            task["not_before"] = json!(at);
        }
        task
    }

    async fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..30 => self.claim().await,
            30..65 => self.write().await,
            65..75 => self.decide().await,
            75..78 => self.cancel().await,
            78..79 => self.edit().await,
            79..80 => self.take_away().await,
            80..81 => self.post_goal().await,
            81..92 => {
                let seconds = *[1, 5, 30, 61, 130].choose(&mut self.random).unwrap();
                self.fleet.pass(seconds);
            }
            _ => {
                self.fleet.round().await;
            }
        }
    }

    async fn claim(&mut self) {
        let whose = self.random.random_range(0..PERSON);
        let max = self.random.random_range(1..4);
        for held in self.agents[whose].claim(max).await {
            self.claims.push((whose, held));
        }
    }

    /// A write with any lease that was ever given: most are the newest, some are long lost.
    async fn write(&mut self) {
        if self.claims.is_empty() {
            return;
        }
        let back = if self.chance(70) { self.claims.len().min(5) } else { self.claims.len() };
        let index = self.claims.len() - 1 - self.random.random_range(0..back);
        let (whose, held) = self.claims[index].clone();
        let (verb, body) = self.any_write();
        let accepted = self.may_write(&held, verb).await;
        if accepted == Some(true) {
            let answer = self.agents[whose].write(&held, verb, body).await;
            return self.judge(verb, accepted, &answer);
        }
        let before = dump(&self.fleet.pool).await;
        let answer = self.agents[whose].write(&held, verb, body).await;
        self.judge(verb, accepted, &answer);
        // Whether refused or answered as before: nothing is stored.
        same(verb, &before, &dump(&self.fleet.pool).await);
    }

    fn judge(&self, verb: &str, accepted: Option<bool>, answer: &Answer) {
        let code = if answer.status.is_success() {
            return assert_ne!(accepted, Some(false), "{verb} was accepted: {}", answer.describe());
        } else {
            text(&answer.json::<Value>()["code"])
        };
        let known = match (accepted, code.as_str()) {
            // Subtasks and questions are refused for what is being cancelled.
            (Some(true), "task_ended" | "goal_ended") => matches!(verb, "subtasks" | "approvals"),
            (Some(false), "lease_lost" | "already_completed") => true,
            (None, "lease_lost" | "already_completed") => true,
            _ => false,
        };
        assert!(known, "{verb}, which should be {accepted:?}: {}", answer.describe());
    }

    fn any_write(&mut self) -> (&'static str, Value) {
        let amount = self.random.random_range(0..100);
        let spend = json!({"totals": {"usd_micros": amount}});
        let result = json!({"result": self.random.random_range(0..1_000_000), "spend": spend});
        match self.random.random_range(0..100) {
            0..20 => ("heartbeat", json!({"checkpoint": amount, "spend": spend})),
            20..65 => ("complete", result),
            65..80 => {
                let mut body = json!({"class": CLASSES.choose(&mut self.random), "spend": spend});
                if self.chance(30) {
                    body["retryable"] = json!(self.chance(50));
                }
                ("fail", body)
            }
            80..85 => ("release", json!({"checkpoint": amount, "spend": spend})),
            85..92 => {
                let kind = ["input", "action"].choose(&mut self.random);
                ("approvals", json!({"kind": kind, "title": "well?", "spend": spend}))
            }
            _ => {
                let count = self.random.random_range(1..4);
                let tasks: Vec<Value> = (0..count)
                    .map(|_| {
                        self.subtasks += 1;
                        self.small_task(&format!("sub {}", self.subtasks))
                    })
                    .collect();
                ("subtasks", json!({"tasks": tasks, "spend": spend}))
            }
        }
    }

    /// Whether the rules let the attempt write; unknown for repetitions, which may be answered.
    async fn may_write(&self, held: &Held, verb: &str) -> Option<bool> {
        let (attempt, task, current): (String, String, bool) = sqlx::query_as(
            "select a.state, t.state, t.current_attempt_id = a.attempt_id and a.withdrawn_at is null
             from attempts a join tasks t using (workspace_id, task_id)
             where a.attempt_id = $1::uuid",
        )
        .bind(&held.attempt)
        .fetch_one(&self.fleet.pool)
        .await
        .unwrap();
        let repeats = matches!(verb, "complete" | "fail" | "release");
        match attempt.as_str() {
            "running" => Some(true),
            "expired" if verb == "complete" => {
                Some(current && matches!(task.as_str(), "waiting" | "ready"))
            }
            "expired" => Some(false),
            _ if repeats => None,
            _ => Some(false),
        }
    }

    async fn decide(&mut self) {
        let questions = self.fleet.questions().await;
        if let Some(question) = questions.choose(&mut self.random) {
            let yes = self.chance(75);
            self.answer(question, yes).await;
        }
    }

    async fn answer(&self, question: &Value, yes: bool) {
        let decision = match (yes, text(&question["kind"]).as_str()) {
            (true, "input") => json!({"decision": "answer", "answer": 42}),
            (true, _) => json!({"decision": "approve"}),
            (false, _) => json!({"decision": "reject", "reason": "no"}),
        };
        let mut decision = decision;
        if question["choices"] != json!([]) {
            // By the last digit of the id, which the seed decides.
            let actions = ["cancel", "reassign", "split"];
            let id = text(&question["id"]);
            let digit = id.bytes().last().unwrap() as usize;
            let action = if yes { "accept" } else { actions[digit % 3] };
            decision["choice"] = json!({"action": action});
            if action == "split" {
                decision["choice"]["tasks"] = json!([{"ref": format!("of {id}"), "title": "t"}]);
            }
        }
        let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
        let decision = about(question, decision);
        self.reviewer.post(path, &decision).await.expect(200);
    }

    async fn cancel(&mut self) {
        let goal = self.goals.choose(&mut self.random).unwrap().clone();
        let path = if self.chance(15) {
            format!("/v1/goals/{goal}/cancel")
        } else {
            let Some(task) = self.any_task(&goal).await else { return };
            format!("/v1/tasks/{task}/cancel")
        };
        let answer = self.fleet.admin.post(path, &json!({})).await;
        assert!(matches!(answer.status.as_u16(), 200 | 409), "{}", answer.describe());
    }

    async fn edit(&mut self) {
        let goal = self.goals.choose(&mut self.random).unwrap().clone();
        let Some(task) = self.any_task(&goal).await else { return };
        let path = format!("/v1/tasks/{task}");
        let etag = self.fleet.admin.get(&path).await.etag();
        let change = json!({"priority": self.random.random_range(0..10)});
        let answer = self.fleet.admin.patch(path, &change).if_match(&etag).await;
        assert!(matches!(answer.status.as_u16(), 200 | 409), "{}", answer.describe());
    }

    /// An operator gives a task to another agent, or takes it over.
    async fn take_away(&mut self) {
        let goal = self.goals.choose(&mut self.random).unwrap().clone();
        let Some(task) = self.any_task(&goal).await else { return };
        let (verb, body) = if self.chance(50) {
            ("takeover", json!({"lease_seconds": self.random.random_range(1..200)}))
        } else {
            let somebody = self.chance(70);
            let agent = self.agents[..PERSON].choose(&mut self.random);
            ("reassign", json!({"agent_id": agent.filter(|_| somebody).map(|agent| &agent.id)}))
        };
        let before = dump(&self.fleet.pool).await;
        let answer = self.fleet.admin.post(format!("/v1/tasks/{task}/{verb}"), &body).await;
        match answer.status.as_u16() {
            200 => {}
            201 => self.claims.push((PERSON, held(&answer.json()))),
            409 | 422 => same(verb, &before, &dump(&self.fleet.pool).await),
            _ => panic!("{}", answer.describe()),
        }
    }

    async fn any_task(&mut self, goal: &str) -> Option<String> {
        let tasks: Vec<String> = sqlx::query_scalar(
            "select task_id::text from tasks where goal_id = $1::uuid order by position",
        )
        .bind(goal)
        .fetch_all(&self.fleet.pool)
        .await
        .unwrap();
        tasks.choose(&mut self.random).cloned()
    }

    /// Everybody does their work until all goals have ended.
    async fn end(&mut self) {
        for _ in 0..200 {
            for question in self.fleet.questions().await {
                self.answer(&question, true).await;
            }
            let kept: Vec<String> = sqlx::query_scalar(
                "select task_id::text from tasks where ended_at is null
                 and (assigned_agent_id is not null or barred_agent_id is not null)
                 and state <> 'running'",
            )
            .fetch_all(&self.fleet.pool)
            .await
            .unwrap();
            for task in kept {
                let path = format!("/v1/tasks/{task}/reassign");
                let answer = self.fleet.admin.post(path, &json!({})).await;
                assert!(matches!(answer.status.as_u16(), 200 | 409), "{}", answer.describe());
            }
            for agent in &self.agents[..PERSON] {
                for held in agent.claim(10).await {
                    agent.complete(&held).await;
                }
            }
            self.fleet.after(61).await;
            let open: i64 = sqlx::query_scalar("select count(*) from goals where ended_at is null")
                .fetch_one(&self.fleet.pool)
                .await
                .unwrap();
            if open == 0 {
                return;
            }
        }
        panic!("everybody works, and still not every goal has ended");
    }
}

async fn live(seed: u64) {
    println!("life {seed}");
    let mut life = Life::begin(seed).await;
    for step in 1..=150 {
        life.step().await;
        if step % 15 == 0 {
            verify(&life.fleet.pool).await;
            life.fleet.round().await;
            verify_rested(&life.fleet.pool, life.fleet.now()).await;
        }
    }
    life.end().await;
    verify_rested(&life.fleet.pool, life.fleet.now()).await;
}

#[tokio::test]
async fn whatever_they_do_the_rules_hold() {
    let lives = std::env::var("MUSTER_TEST_LIVES").ok().and_then(|lives| lives.parse().ok());
    let seed = seed();
    for life in 0..lives.unwrap_or(3) {
        live(seed.wrapping_add(life)).await;
    }
}
