//! A server killed while it plans: the run goes on after the restart, once, and no half plan is left.
//!
//! The goals have a chain of `agent` and `outline`. The planning task is cancelled, and the supervisor of the server
//! plans by the outline: it takes the run, plans, and stores the plan with all of its tasks. One round without a fault
//! teaches the statements of the last transaction; then the server is killed once at each of them.

use std::{fmt::Write as _, time::Duration};

use super::{
    planning_rig::{Rig, Stored},
    relay::Side,
};
use crate::support::{fleet::text, invariants::verify, process::PATIENCE};
use reqwest::Method;
use serde_json::json;

/// Tasks of a brief.
const TASKS: usize = 300;

fn brief() -> String {
    let mut brief = String::new();
    for n in 1..=TASKS {
        let _ = writeln!(brief, "- [ ] T{n:03} Do the part {n}");
    }
    brief
}

struct Scene {
    rig: Rig,
    rounds: usize,
}

impl Scene {
    async fn start() -> Self {
        Self { rig: Rig::start(Vec::new()).await, rounds: 0 }
    }

    /// A goal whose planning task is to be cancelled: `(goal, task)`.
    async fn prepare(&mut self) -> (String, String) {
        self.rounds += 1;
        let once = format!("round-{}", self.rounds);
        let body = json!({"title": once, "brief": brief(), "planners": ["agent", "outline"]});
        let (status, posted) =
            self.rig.admin.ask_aside(Method::POST, "/v1/goals", Some(&body), Some(&once)).await;
        assert_eq!(status, 201, "{posted}");
        let goal = text(&posted["id"]);
        let task = "select task_id::text from tasks where goal_id = $1::uuid and purpose = 'plan'";
        let looking = async {
            loop {
                let found: Option<String> = sqlx::query_scalar(task)
                    .bind(&goal)
                    .fetch_optional(&self.rig.ground.pool)
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
            self.rig.admin.ask_aside(Method::POST, &path, Some(&json!({})), None).await;
        assert_eq!(status, 200, "{body}");
    }

    /// Waits until the goal is planned, and checks that it is planned once and whole. Nothing of the plan may be seen
    /// before all of it is there.
    async fn is_planned_once(&self, goal: &str) {
        let is_planned = |Stored { plans, tasks, state }: &Stored| match state.as_str() {
            "planning" => {
                assert_eq!((*plans, *tasks), (0, 0), "half a plan");
                false
            }
            "active" => {
                assert_eq!((*plans, *tasks), (1, TASKS as i64));
                true
            }
            other => panic!("the goal is {other}"),
        };
        self.rig.planned(goal, is_planned).await;
        assert_eq!(self.rig.runs(goal).await, ["plan agent:failed", "plan outline:planned"]);
    }

    /// A round whose server is killed at a statement.
    async fn strike(&mut self, at: &[String], side: Side) {
        let (goal, task) = self.prepare().await;
        self.rig.hold_up(at, side);
        self.cancel(&task).await;
        self.rig.kill_at(at).await;
        self.is_planned_once(&goal).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_statement_that_stores_a_plan() {
    let mut scene = Scene::start().await;
    let (goal, task) = scene.prepare().await;
    scene.rig.begin();
    scene.cancel(&task).await;
    scene.is_planned_once(&goal).await;
    let (statements, mark) = scene.rig.stored();
    for end in mark + 1..=statements.len() {
        scene.strike(&statements[..end], Side::Before).await;
    }
    scene.strike(&statements, Side::After).await;
    verify(&scene.rig.ground.pool).await;
}
