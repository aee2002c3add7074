//! A server killed while a planner makes a new plan of a goal: it goes on after the restart, once, and the goal is worked
//! on by the plan before until all of the new one is there.
//!
//! The model is a stub of the test, which outlives the server; the agent is a client of it. One round without a fault
//! teaches the statements of the transaction that applies the new plan; then the server is killed at boundaries between
//! them: six per planner, or `MUSTER_FAULT_ROUNDS`. A server is also killed while the model thinks.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    client::Client,
    planning_rig::{Rig, Stored, TIMEOUT},
    relay::Side,
    rounds,
};
use crate::support::{
    fleet::text,
    invariants::verify,
    model_stub::{Act, ModelStub},
    process::PATIENCE,
};

/// Tasks that the new plan adds to the two of the goal.
const ADDED: usize = 60;

/// Who makes the new plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Model,
    Agent,
}

impl By {
    const fn planner(self) -> &'static str {
        match self {
            Self::Model => "llm",
            Self::Agent => "agent",
        }
    }
}

/// The new plan: what the goal has, and more.
fn plan() -> Value {
    let task = |name: String, needs: Value| {
        json!({"ref": name, "title": format!("Write part {name}"), "description": "", "needs": needs,
               "parent": null, "capabilities": ["work"], "priority": null, "estimate": null,
               "criteria": [{"text": "it works", "required": true}]})
    };
    let given = [task("a".into(), json!([])), task("b".into(), json!(["a"]))];
    let more = (0..ADDED).map(|n| task(format!("n{n}"), json!(["a"])));
    json!({"tasks": given.into_iter().chain(more).collect::<Vec<_>>()})
}

struct Scene {
    rig: Rig,
    stub: ModelStub,
    planner: Client,
    rounds: usize,
}

impl Scene {
    async fn start() -> Self {
        let stub = ModelStub::play([]).await;
        let rig = Rig::start(vec![
            ("MUSTER_PLANNER_API", "openai_chat".to_owned()),
            ("MUSTER_PLANNER_URL", stub.url()),
            ("MUSTER_PLANNER_MODEL", "a-model".to_owned()),
            ("MUSTER_PLANNER_KEY", "sk-killed".to_owned()),
        ])
        .await;
        let mut scene = Self { planner: rig.admin.clone(), rig, stub, rounds: 0 };
        scene.agent("worker", "work").await;
        let key = scene.agent("planner", "plan").await;
        scene.planner = scene.rig.admin.of_agent(&key, "planner", TIMEOUT);
        scene
    }

    async fn call(&self, path: &str, body: Value, once: Option<&str>) -> Value {
        let (status, answer) =
            self.rig.admin.ask_aside(Method::POST, path, Some(&body), once).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    /// Registers an agent; returns its key.
    async fn agent(&self, name: &str, capability: &str) -> String {
        let body = json!({"name": name, "capabilities": [capability], "max_concurrent": 9});
        text(&self.call("/v1/agents", body, None).await["token"])
    }

    /// A goal of two tasks that is worked on.
    async fn goal(&mut self) -> String {
        self.rounds += 1;
        let once = format!("goal-{}", self.rounds);
        let task = |name: &str, needs: Value| {
            json!({"ref": name, "title": format!("Write part {name}"), "needs": needs, "capabilities": ["work"],
                   "criteria": [{"text": "it works"}]})
        };
        let tasks = [task("a", json!([])), task("b", json!(["a"]))];
        let body = json!({"title": once, "tasks": tasks});
        text(&self.call("/v1/goals", body, Some(&once)).await["id"])
    }

    async fn ask_for_a_plan(&self, goal: &str, by: By) {
        let body = json!({"planners": [by.planner()], "reason": "more is wanted"});
        let once = format!("replan-{goal}");
        let answer = self.call(&format!("/v1/goals/{goal}/replan"), body, Some(&once)).await;
        assert_eq!(answer["outcome"], "planning");
    }

    /// Takes the planning task and hands in the new plan, which the server then judges and applies.
    async fn hand_in(&self) {
        let claimed = async {
            loop {
                let body = json!({"max": 1, "wait_seconds": 1});
                let (status, answer) =
                    self.planner.ask_aside(Method::POST, "/v1/claims", Some(&body), None).await;
                if status == 200 {
                    return answer["claims"][0].clone();
                }
            }
        };
        let claim =
            tokio::time::timeout(PATIENCE, claimed).await.expect("there is no planning task");
        let body = json!({"lease": claim["lease"], "result": plan()});
        let path = format!("/v1/attempts/{}/complete", text(&claim["attempt_id"]));
        let (status, answer) = self.planner.ask_aside(Method::POST, &path, Some(&body), None).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Waits until the goal has its new plan, and checks that it has it once and whole, and nothing of it before.
    async fn is_planned_once(&self, goal: &str, by: By) {
        let is_planned = |Stored { plans, tasks, state }: &Stored| {
            assert_eq!(state, "active", "the work goes on meanwhile");
            match plans {
                1 => assert_eq!(*tasks, 2, "half a plan"),
                plans => assert_eq!((*plans, *tasks), (2, 2 + ADDED as i64)),
            }
            *plans > 1
        };
        self.rig.planned(goal, is_planned).await;
        assert_eq!(self.rig.runs(goal).await, [format!("replan {}:planned", by.planner())]);
    }

    async fn plan(&self, goal: &str, by: By) {
        self.ask_for_a_plan(goal, by).await;
        match by {
            By::Model => {}
            By::Agent => self.hand_in().await,
        }
    }

    /// A round whose server is killed at a statement.
    async fn strike(&mut self, by: By, at: &[String], side: Side) {
        let goal = self.goal().await;
        let asked = self.stub.received().len();
        // One answer for the killed server, one for the next if it asks again.
        let answers = match side {
            Side::Before => 2,
            Side::After => 1,
        };
        if by == By::Model {
            self.stub.then(vec![Act::Say(plan().to_string()); answers]);
        }
        self.rig.hold_up(at, side);
        self.plan(&goal, by).await;
        self.rig.kill_at(at).await;
        self.is_planned_once(&goal, by).await;
        if by == By::Model {
            assert_eq!(self.stub.received().len() - asked, answers, "it was asked again, once");
        }
    }

    async fn killed_everywhere(&mut self, by: By) {
        // A round without a fault.
        let goal = self.goal().await;
        self.stub.then([Act::Say(plan().to_string())]);
        self.rig.begin();
        self.plan(&goal, by).await;
        self.is_planned_once(&goal, by).await;
        let (statements, mark) = self.rig.stored();
        let (all, strikes) = (statements.len() - mark, rounds(6).max(1) as usize);
        for end in (1..=all).filter(|end| end * strikes / all != (end - 1) * strikes / all) {
            self.strike(by, &statements[..mark + end], Side::Before).await;
        }
        self.strike(by, &statements, Side::After).await;
        verify(&self.rig.ground.pool).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_plan_of_a_model_is_applied_once() {
    Scene::start().await.killed_everywhere(By::Model).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_plan_of_an_agent_is_applied_once() {
    Scene::start().await.killed_everywhere(By::Agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_while_the_model_thinks_asks_it_again() {
    let mut scene = Scene::start().await;
    let goal = scene.goal().await;
    scene.stub.then([Act::Hang, Act::Say(plan().to_string())]);
    scene.ask_for_a_plan(&goal, By::Model).await;
    let asked = async {
        while scene.stub.received().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("the model is not asked");
    scene.rig.server.kill();
    scene.rig.start_again().await;
    scene.is_planned_once(&goal, By::Model).await;
    assert_eq!(scene.stub.received().len(), 2);
    let taken: i32 = sqlx::query_scalar("select attempt from planning_runs")
        .fetch_one(&scene.rig.ground.pool)
        .await
        .unwrap();
    assert_eq!(taken, 2);
    verify(&scene.rig.ground.pool).await;
}
