//! Whatever ends an attempt releases its grants, in the same transaction; a takeover passes them on.

use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    fleet::{Fleet, text},
    invariants::verify,
};

const ENDS: &[&str] = &[
    "complete", "review", "fail", "release", "ask", "subtasks", "split", "expiry", "cancel",
    "freeze", "reassign", "hand-off",
];

async fn end(fleet: &Fleet, agent: &Agent, held: &Held, how: &str) {
    let task = format!("/v1/tasks/{}", held.task);
    match how {
        "complete" | "review" => drop(agent.complete(held).await),
        "fail" => drop(agent.fail(held, "permanent").await),
        "release" => drop(agent.release(held).await),
        "ask" => drop(agent.ask(held, "input").await),
        "subtasks" => {
            drop(
                agent
                    .subtasks(held, json!([{"ref": "s", "title": "s", "capabilities": ["x"]}]))
                    .await,
            );
        }
        "split" => {
            let parts = json!({"tasks": [{"ref": "p", "title": "p", "capabilities": ["x"]}]});
            agent.write(held, "split", parts).await.expect(201);
        }
        "expiry" => drop(fleet.after(3_600).await),
        "cancel" => {
            fleet.admin.post(format!("{task}/cancel"), &json!({})).await.expect(200);
            fleet.after(3_600).await;
        }
        "freeze" => {
            let stop =
                json!({"scope": "task", "scope_id": held.task, "mode": "stop", "reason": "r"});
            fleet.admin.post("/v1/freezes", &stop).await.expect(201);
        }
        "hand-off" => {
            fleet.agent("relay", &["relay"], 1).await;
            let to = json!({"to": {"capability": "relay"}, "note": "go on"});
            agent.write(held, "hand-off", to).await.expect(201);
        }
        "reassign" => {
            let to = json!({"reason": "r"});
            fleet.admin.post(format!("{task}/reassign"), &to).await.expect(200);
        }
        how => panic!("{how}"),
    }
}

async fn grants(fleet: &Fleet) -> i64 {
    sqlx::query_scalar(
        "select (select count(*) from concurrency_grants) + (select count(*) from resource_grants)",
    )
    .fetch_one(&fleet.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn every_end_of_an_attempt_releases_what_it_held() {
    for how in ENDS {
        let fleet = Fleet::start().await;
        let agent = fleet.worker().await;
        let gates = json!({"concurrency_keys": ["k"], "touches": [{"resource": "src/**"}],
                           "approval": {"result": *how == "review"}, "priority": 9});
        fleet.lone_task(gates).await;
        fleet.pass(1);
        let next = json!({"concurrency_keys": ["k"], "touches": [{"resource": "src/main.rs"}]});
        let second = fleet.lone_task(next).await;
        let held = agent.take().await;
        let take = json!({"take": [{"resource": "more"}]});
        agent.write(&held, "resources", take).await.expect(200);
        agent.find_nothing().await;
        assert_eq!(grants(&fleet).await, 3, "{how}");
        end(&fleet, &agent, &held, how).await;
        assert_eq!(grants(&fleet).await, 0, "{how} left a grant");
        let got = agent.claim(10).await;
        let goals: Vec<&Value> = got.iter().map(|held| &held.claim["task"]["goal_id"]).collect();
        assert_eq!(got.len(), 1, "{how}: {goals:?}");
        // An expired or released task may be first again; then the other one waits for it.
        assert!(goals[0] == second.as_str() || got[0].task == held.task, "{how}");
        assert_eq!(grants(&fleet).await, 2, "{how}");
        verify(&fleet.pool).await;
    }
}

/// Nobody comes between: the person holds what the agent held, taken resources included, and the agent nothing.
#[tokio::test]
async fn a_takeover_passes_the_grants_on() {
    let fleet = Fleet::start().await;
    let (agent, other) = (fleet.worker().await, fleet.agent("other", &[], 10).await);
    let gates = json!({"concurrency_keys": ["k"], "touches": [{"resource": "src/**"}]});
    let goals = [fleet.lone_task(gates.clone()).await, fleet.lone_task(gates).await];
    let tasks = [fleet.task_id(&goals[0], "a").await, fleet.task_id(&goals[1], "a").await];
    let held = agent.take().await;
    let take = json!({"take": [{"resource": "more", "mode": "shared"}]});
    agent.write(&held, "resources", take).await.expect(200);
    let path = format!("/v1/tasks/{}/takeover", held.task);
    let claim = fleet.admin.post(&path, &json!({})).await.value(201);
    other.find_nothing().await;
    let attempt = format!("/v1/attempts/{}", text(&claim["attempt_id"]));
    let shown = fleet.admin.get(&attempt).await.value(200);
    assert_eq!(shown["concurrency_keys"], json!(["k"]));
    let resources = json!([{"resource": "more", "mode": "shared"}, {"resource": "src/**", "mode": "exclusive"}]);
    assert_eq!(shown["resources"], resources);
    agent.write(&held, "resources", json!({"release": ["more"]})).await.problem(409, "lease_lost");
    verify(&fleet.pool).await;
    // What waits for the grants is not taken over.
    let left = tasks.iter().find(|task| **task != held.task).unwrap();
    let waiting = format!("/v1/tasks/{left}/takeover");
    fleet.admin.post(&waiting, &json!({})).await.problem(409, "resource_held");
    let done = json!({"lease": claim["lease"], "result": 1});
    fleet.admin.post(format!("{attempt}/complete"), &done).await.expect(200);
    fleet.admin.post(&waiting, &json!({})).await.expect(201);
    verify(&fleet.pool).await;
}

/// A takeover takes its grants before it settles the budgets of the attempt that it ends: a claim locks both in this
/// order, and would wait in a circle with it.
#[tokio::test]
async fn a_takeover_locks_keys_before_budgets() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let task = json!({"ref": "a", "title": "a", "concurrency_keys": ["k"],
        "estimate": {"usd_micros": 10}});
    let limits = json!([{"unit": "usd_micros", "amount": 100}]);
    fleet.post_goal(json!({"title": "g", "budget": {"limits": limits}, "tasks": [task]})).await;
    let held = agent.take().await;
    let mut claim = fleet.pool.begin().await.unwrap();
    sqlx::query("select from concurrency_keys for update").execute(&mut *claim).await.unwrap();
    let path = format!("/v1/tasks/{}/takeover", held.task);
    let takeover = async { fleet.admin.post(&path, &json!({})).await.value(201) };
    let claims = async {
        fleet.until_blocked(1).await;
        let budgets = "select from budget_windows for update nowait";
        let locked = sqlx::query(budgets).execute(&mut *claim).await;
        claim.rollback().await.unwrap();
        locked
    };
    let (_, locked) = tokio::join!(takeover, claims);
    assert_eq!(locked.expect("the takeover holds budgets").rows_affected(), 1);
    verify(&fleet.pool).await;
}
