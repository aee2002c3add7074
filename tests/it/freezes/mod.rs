//! Freezes: what an agent may still do under each mode, what each scope is over, and what lifting lifts.

use serde_json::{Value, json};

use crate::support::{
    fleet::{Fleet, text},
    invariants::{verify, verify_rested},
};

mod races;
mod scopes;
mod waits;

/// Sets a freeze on everything; returns it.
async fn freeze_all(fleet: &Fleet, mode: &str) -> Value {
    freeze(fleet, json!({"scope": "workspace", "mode": mode, "reason": "a drill"})).await
}

/// Sets a freeze; returns it.
async fn freeze(fleet: &Fleet, body: Value) -> Value {
    fleet.admin.post("/v1/freezes", &body).await.value(201)
}

/// Lifts a freeze; returns it.
async fn lift(fleet: &Fleet, freeze: &Value) -> Value {
    let path = format!("/v1/freezes/{}/lift", text(&freeze["id"]));
    fleet.admin.post(path, &json!({"reason": "it is over"})).await.value(200)
}

async fn read(fleet: &Fleet, freeze: &Value) -> Value {
    fleet.admin.get(format!("/v1/freezes/{}", text(&freeze["id"]))).await.value(200)
}

fn cost() -> Value {
    json!({"key": "call-1", "amounts": {"usd_micros": 5}})
}

fn subtask() -> Value {
    json!({"tasks": [{"ref": "sub", "title": "s"}]})
}

fn tasks(count: usize) -> Value {
    let task = |n| json!({"ref": format!("t{n}"), "title": "t", "estimate": {"usd_micros": 10}});
    (0..count).map(task).collect()
}

#[tokio::test]
async fn under_a_drain_what_runs_goes_on_and_nothing_is_claimed() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.goal(tasks(3)).await;
    let (first, second) = (agent.take().await, agent.take().await);
    let drain = freeze_all(&fleet, "drain").await;
    assert_eq!(drain["running_attempts"], 2);
    assert_eq!((&drain["stopped_attempts"], &drain["stopped"]), (&json!(0), &json!([])));
    agent.find_nothing().await;
    let beat = agent.beat(&first).await;
    assert_eq!(beat["directive"], "continue");
    assert_eq!((&beat["freeze"]["id"], &beat["freeze"]["mode"]), (&drain["id"], &json!("drain")));
    agent.write(&first, "authorize", cost()).await.expect(200);
    agent.complete(&first).await;
    agent.subtasks(&second, subtask()["tasks"].clone()).await;
    assert_eq!(read(&fleet, &drain).await["running_attempts"], 0);
    agent.find_nothing().await;
    lift(&fleet, &drain).await;
    assert_eq!(agent.claim(5).await.len(), 2);
    fleet.expect_states(&goal, "t0:done t1:parked t2:running sub:running").await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn under_a_pause_agents_come_to_rest_and_begin_nothing() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.goal(tasks(5)).await;
    let held = agent.claim(4).await;
    agent.write(&held[0], "authorize", cost()).await.expect(200);
    let pause = freeze_all(&fleet, "pause").await;
    agent.find_nothing().await;
    for beat in [
        agent.beat(&held[0]).await,
        // Those that report spend go another way.
        agent
            .write(&held[1], "heartbeat", json!({"spend": {"totals": {"usd_micros": 3}}}))
            .await
            .value(200),
    ] {
        assert_eq!(beat["directive"], "pause");
        assert_eq!(beat["freeze"]["reason"], "a drill");
        assert_eq!(beat["freeze"]["generation"], pause["generation"]);
    }
    // What was authorised before stays so, and nothing more is.
    agent.write(&held[0], "authorize", cost()).await.expect(200);
    agent.write(&held[1], "authorize", cost()).await.problem(409, "frozen");
    agent.write(&held[1], "subtasks", subtask()).await.problem(409, "frozen");
    agent.complete(&held[0]).await;
    agent.write(&held[1], "release", json!({"checkpoint": {"at": 7}})).await.expect(200);
    agent.ask(&held[2], "input").await;
    agent.fail(&held[3], "permanent").await;
    assert_eq!(read(&fleet, &pause).await["running_attempts"], 0);
    fleet.expect_states(&goal, "t0:done t1:ready t2:parked t3:failed t4:ready").await;
    agent.find_nothing().await;
    lift(&fleet, &pause).await;
    let again = agent.claim(5).await;
    assert_eq!(again.len(), 2);
    let released = again.iter().find(|held| held.name == "t1").unwrap();
    assert_eq!(released.claim["checkpoint"], json!({"at": 7}));
    assert_eq!(fleet.task(&goal, "t1").await["attempts_used"], 0);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_stop_ends_what_runs_and_says_what() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let limits = json!({"limits": [{"unit": "usd_micros", "amount": 100}]});
    let budget = json!({"node": "workspace", "budget": limits});
    fleet.admin.post("/v1/budgets", &budget).await.expect(201);
    let goal = fleet.goal(tasks(3)).await;
    let held = agent.claim(2).await;
    agent
        .write(&held[0], "heartbeat", json!({"checkpoint": {"at": 3}, "progress": {"percent": 9}}))
        .await
        .expect(200);
    let stop = freeze_all(&fleet, "stop").await;
    assert_eq!(stop["stopped_attempts"], 2);
    assert_eq!(stop["running_attempts"], 0);
    let stopped: Vec<[String; 3]> = stop["stopped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| [text(&s["attempt_id"]), text(&s["task_id"]), text(&s["agent_id"])])
        .collect();
    let mut expected: Vec<[String; 3]> = held
        .iter()
        .map(|held| [held.attempt.clone(), held.task.clone(), agent.id.clone()])
        .collect();
    expected.sort();
    assert_eq!(stopped, expected);
    for verb in ["heartbeat", "release"] {
        agent.write(&held[0], verb, json!({})).await.problem(409, "lease_lost");
    }
    agent.write(&held[0], "complete", json!({})).await.problem(409, "lease_lost");
    agent.write(&held[0], "fail", json!({"class": "transient"})).await.problem(409, "lease_lost");
    agent.write(&held[0], "authorize", cost()).await.problem(409, "lease_lost");
    agent.write(&held[0], "subtasks", subtask()).await.problem(409, "lease_lost");
    let question = json!({"kind": "input", "title": "may I?"});
    agent.write(&held[0], "approvals", question).await.problem(409, "lease_lost");
    // The spend counts; its reservation is gone.
    let spend = json!({"entries": [{"key": "a", "amounts": {"usd_micros": 15}}]});
    let late = agent.write(&held[0], "spend", spend).await.value(200);
    assert_eq!(late["late"], true);
    let sums: (i64, i64) =
        sqlx::query_as("select settled::bigint, reserved::bigint from budget_windows")
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(sums, (15, 0));
    fleet.expect_states(&goal, "t0:ready t1:ready t2:ready").await;
    agent.find_nothing().await;
    verify_rested(&fleet.pool, fleet.now()).await;

    let lifted = lift(&fleet, &stop).await;
    assert_eq!(lifted["stopped"], stop["stopped"]);
    assert_eq!(lifted["lift_reason"], "it is over");
    let again = agent.claim(3).await;
    let first = again.iter().find(|again| again.task == held[0].task).unwrap();
    assert_eq!((first.number, &first.claim["checkpoint"]), (2, &json!({"at": 3})));
    assert_eq!(fleet.task(&goal, "t0").await["attempts_used"], 0);
    agent.write(&held[0], "complete", json!({})).await.problem(409, "lease_lost");
    agent.complete(first).await;
    verify(&fleet.pool).await;
}

/// Its lease ran out, and nobody else has the task: it may complete, but not under a stop.
#[tokio::test]
async fn a_late_completion_waits_for_the_lift() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.goal(tasks(1)).await;
    let held = agent.claim_with(json!({"lease_seconds": 10})).await.remove(0);
    fleet.after(11).await;
    fleet.expect_states(&goal, "t0:waiting").await;
    let stop = freeze_all(&fleet, "stop").await;
    assert_eq!(stop["stopped_attempts"], 0);
    let refused = agent.write(&held, "complete", json!({"result": 1})).await;
    refused.problem(409, "frozen");
    assert_eq!(refused.json::<Value>()["retryable"], true);
    let told = async || {
        let answer = agent.write(&held, "heartbeat", json!({})).await;
        answer.problem(409, "lease_lost");
        answer.describe()
    };
    let frozen = told().await;
    assert!(frozen.contains("until the freeze is lifted"), "{frozen}");
    assert!(!frozen.contains("`complete` is still accepted"), "{frozen}");
    lift(&fleet, &stop).await;
    assert!(told().await.contains("`complete` is still accepted"));
    agent.write(&held, "complete", json!({"result": 1})).await.expect(200);
    // The stored answer of what was done before is given under a stop too.
    freeze_all(&fleet, "stop").await;
    agent.write(&held, "complete", json!({"result": 1})).await.expect(200);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_stop_ends_a_cancellation_and_counts_no_lost_lease() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.goal(tasks(2)).await;
    agent.claim_with(json!({"max": 2, "lease_seconds": 10})).await;
    fleet.after(11).await;
    fleet.after(60).await;
    let held = agent.claim(2).await;
    assert_eq!(held.len(), 2);
    let path = format!("/v1/tasks/{}/cancel", fleet.task_id(&goal, "t0").await);
    fleet.admin.post(path, &json!({})).await.expect(200);
    freeze_all(&fleet, "stop").await;
    fleet.expect_states(&goal, "t0:cancelled t1:ready").await;
    let lost: i32 = sqlx::query_scalar("select lost_in_row from tasks where ref = 't1'")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    assert_eq!((lost, &fleet.task(&goal, "t1").await["attempts_used"]), (1, &json!(1)));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn each_change_has_a_number_and_an_event() {
    let fleet = Fleet::start().await;
    let goal = fleet.goal(tasks(1)).await;
    let drain = freeze_all(&fleet, "drain").await;
    fleet.pass(1);
    let stop = freeze(&fleet, json!({"scope": "goal", "scope_id": goal, "mode": "stop"})).await;
    let lifted = lift(&fleet, &drain).await;
    let numbers = [&drain, &stop, &lifted].map(|freeze| freeze["generation"].as_i64().unwrap());
    assert_eq!(numbers, [1, 2, 3]);
    // Lifted again it stays as it was.
    assert_eq!(lift(&fleet, &drain).await, lifted);
    let read = fleet.admin.get(format!("/v1/freezes/{}", text(&drain["id"]))).await.expect(200);
    assert_eq!(read.etag(), "\"v3\"");
    let list = |query: &str| fleet.admin.get(format!("/v1/freezes{query}"));
    let ids = |page: Value| -> Vec<Value> {
        page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect()
    };
    let both = [stop["id"].clone(), drain["id"].clone()];
    assert_eq!(ids(list("").await.value(200)), both);
    assert_eq!(ids(list("?lifted=false").await.value(200)), both[..1]);
    assert_eq!(ids(list("?lifted=true").await.value(200)), both[1..]);
    assert_eq!(ids(list(&format!("?scope=goal&scope_id={goal}")).await.value(200)), both[..1]);
    let told: Vec<(String, Option<String>, Value)> = sqlx::query_as(
        "select kind, goal_id::text, data from journal where kind like 'freeze.%' order by number",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    let kinds: Vec<&str> = told.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert_eq!(kinds, ["freeze.set", "freeze.set", "freeze.lifted"]);
    assert_eq!((&told[1].1, &told[1].2["mode"]), (&Some(goal), &json!("stop")));
    assert_eq!(told[2].2["reason"], "it is over");
}

#[tokio::test]
async fn a_freeze_is_set_once_per_key_and_only_on_what_is_there() {
    let fleet = Fleet::start().await;
    let body = json!({"scope": "workspace", "mode": "drain"});
    let set = || fleet.admin.post("/v1/freezes", &body).idempotency_key("a");
    let first = set().await.value(201);
    let again = set().await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json::<Value>()["id"], first["id"]);
    let refused = async |body: Value, places: &[&str]| {
        assert_eq!(fleet.admin.post("/v1/freezes", &body).await.problem(422, "invalid"), places);
    };
    refused(json!({"scope": "goal", "mode": "stop"}), &["/scope_id"]).await;
    refused(json!({"scope": "capability", "mode": "stop"}), &["/capability"]).await;
    refused(
        json!({"scope": "capability", "capability": "No", "scope_id": fleet.no_id(),
               "mode": "stop", "reason": "x".repeat(1001)}),
        &["/reason", "/scope_id", "/capability"],
    )
    .await;
    let named = json!({"scope": "workspace", "capability": "rust", "mode": "stop"});
    refused(named, &["/capability"]).await;
    for scope in ["workspace", "project", "goal", "task", "agent"] {
        let body = json!({"scope": scope, "scope_id": fleet.no_id(), "mode": "stop"});
        fleet.admin.post("/v1/freezes", &body).await.problem(404, "not_found");
    }
    let path = format!("/v1/freezes/{}/lift", fleet.no_id());
    fleet.admin.post(path, &json!({})).await.problem(404, "not_found");
    let count: i64 =
        sqlx::query_scalar("select count(*) from freezes").fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(count, 1);
}
