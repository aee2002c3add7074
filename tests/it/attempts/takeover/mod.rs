//! Tasks that operators take from who has them: for another agent.

use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    dump::{dump, same},
    fleet::{Fleet, text},
    invariants::{verify, verify_rested},
};

pub mod people;
mod races;

async fn two() -> (Fleet, Agent, Agent) {
    let fleet = Fleet::start().await;
    let first = fleet.agent("first", &["rust"], 5).await;
    let second = fleet.agent("second", &["rust"], 5).await;
    (fleet, first, second)
}

async fn reassign(fleet: &Fleet, task: &str, body: Value) -> Value {
    fleet.admin.post(format!("/v1/tasks/{task}/reassign"), &body).await.value(200)
}

/// Whatever a holder may write, with a body that is accepted from one who holds its task.
const WRITES: &[(&str, &str)] = &[
    ("heartbeat", r#"{"checkpoint": 1}"#),
    ("complete", r#"{"result": 1, "spend": {"totals": {"x": 9}}}"#),
    ("fail", r#"{"class": "transient"}"#),
    ("release", "{}"),
    ("subtasks", r#"{"tasks": [{"ref": "s", "title": "s"}]}"#),
    ("approvals", r#"{"kind": "input", "title": "well?"}"#),
    ("authorize", r#"{"key": "k", "amounts": {"x": 1}}"#),
];

/// The old holder is told so with every write, and nothing of it is stored but what was used.
async fn find_lost(fleet: &Fleet, agent: &Agent, held: &Held) {
    let before = dump(&fleet.pool).await;
    for (verb, body) in WRITES {
        let body = serde_json::from_str(body).unwrap();
        agent.write(held, verb, body).await.problem(409, "lease_lost");
    }
    let beat = json!({"attempt_id": held.attempt, "lease": held.lease});
    let many = agent.client.post("/v1/heartbeats", &json!({"heartbeats": [beat]})).await.value(200);
    assert_eq!(many["outcomes"][0]["problem"]["code"], "lease_lost");
    same("writes without a lease", &before, &dump(&fleet.pool).await);
    let spent = agent.write(held, "spend", json!({"totals": {"usd_micros": 7}})).await.value(200);
    assert_eq!((&spent["late"], &spent["attempt_spend"]["usd_micros"]), (&json!(true), &json!(7)));
}

#[tokio::test]
async fn a_running_task_goes_to_the_agent_that_is_named_and_to_no_other() {
    let (fleet, first, second) = two().await;
    let goal = fleet.lone_task(json!({"capabilities": ["rust"], "max_attempts": 2})).await;
    let held = first.take().await;
    first.write(&held, "heartbeat", json!({"checkpoint": {"at": 3}})).await.expect(200);
    let body = json!({"agent_id": second.id, "reason": "round in circles",
                      "attempt_id": held.attempt});
    let task = reassign(&fleet, &held.task, body).await;
    assert_eq!((&task["state"], &task["attempts_used"]), (&json!("ready"), &json!(0)));
    assert_eq!(task["assigned_agent_id"], json!(second.id));
    find_lost(&fleet, &first, &held).await;
    first.find_nothing().await;
    let next = second.take().await;
    assert_eq!((next.number, &next.claim["checkpoint"]), (2, &json!({"at": 3})));
    let earlier = &next.claim["earlier_attempts"][0];
    assert_eq!(earlier["state"], "released");
    assert!(text(&earlier["message"]).contains("round in circles"), "{earlier}");
    assert_eq!(fleet.task(&goal, "a").await["assigned_agent_id"], Value::Null, "it is used up");
    second.fail(&next, "transient").await;
    fleet.after(5).await;
    let last = first.take().await;
    assert_eq!(last.number, 3, "a second failure is anybody's again, and no try was lost");
    first.complete(&last).await;
    let told: Vec<String> =
        sqlx::query_scalar("select data ->> 'ended_attempt_id' from journal where kind = $1")
            .bind("task.reassigned")
            .fetch_all(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(told, [held.attempt]);
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn without_a_name_it_goes_to_anybody_but_who_had_it_until_that_is_taken_back() {
    let (fleet, first, second) = two().await;
    fleet.lone_task(json!({})).await;
    let held = first.take().await;
    let task = reassign(&fleet, &held.task, json!({})).await;
    assert_eq!(task["barred_agent_id"], json!(first.id));
    first.find_nothing().await;
    let next = second.take().await;
    let task = reassign(&fleet, &held.task, json!({})).await;
    assert_eq!(task["barred_agent_id"], json!(second.id));
    find_lost(&fleet, &second, &next).await;
    second.find_nothing().await;
    let task = reassign(&fleet, &held.task, json!({})).await;
    assert_eq!(
        (&task["barred_agent_id"], &task["assigned_agent_id"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(second.take().await.number, 3);
    verify(&fleet.pool).await;
}

/// What is set aside for a task goes back with its attempt, and so does the slot.
#[tokio::test]
async fn slot_and_reservation_are_free_at_once() {
    let fleet = Fleet::start().await;
    let narrow = fleet.agent("narrow", &[], 1).await;
    let other = fleet.agent("other", &[], 1).await;
    let limits = json!([{"unit": "usd_micros", "amount": 10}]);
    let estimate = json!({"usd_micros": 10});
    let goal = json!({"title": "g", "budget": {"limits": limits}, "tasks": [
        {"ref": "a", "title": "a", "estimate": estimate},
        {"ref": "b", "title": "b", "estimate": {"usd_micros": 1}},
    ]});
    fleet.post_goal(goal).await;
    let held = narrow.take().await;
    assert_eq!(held.name, "a");
    reassign(&fleet, &held.task, json!({"agent_id": other.id})).await;
    assert_eq!(narrow.take().await.name, "b");
    verify(&fleet.pool).await;
}

/// Whoever gets it next is remembered while it waits for something.
#[tokio::test]
async fn a_task_that_waits_keeps_for_whom_it_is() {
    let (fleet, first, second) = two().await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "a"},
            {"ref": "needs", "title": "n", "needs": ["a"]},
            {"ref": "start", "title": "s", "approval": {"start": true}, "priority": 1},
        ]))
        .await;
    for name in ["needs", "start"] {
        let task = fleet.task_id(&goal, name).await;
        reassign(&fleet, &task, json!({"agent_id": second.id})).await;
    }
    first.complete(&first.take().await).await;
    fleet.decide(json!({"decision": "approve"})).await;
    fleet.expect_states(&goal, "a:done needs:ready start:ready").await;
    first.find_nothing().await;
    assert_eq!(second.work_off().await, ["needs", "start"]);

    let goal = fleet.lone_task(json!({"approval": {"result": true}})).await;
    let held = first.take().await;
    first.complete(&held).await;
    reassign(&fleet, &held.task, json!({"agent_id": second.id})).await;
    fleet.decide(json!({"decision": "reject", "reason": "again"})).await;
    fleet.expect_states(&goal, "a:ready").await;
    first.find_nothing().await;
    let next = second.take().await;
    assert_eq!(next.claim["earlier_attempts"][0]["feedback"], "again");
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_is_kept_for_an_agent_falls_away_when_it_is_retired() {
    let (fleet, first, second) = two().await;
    let goal = fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let [a, b] = [fleet.task_id(&goal, "a").await, fleet.task_id(&goal, "b").await];
    reassign(&fleet, &a, json!({"agent_id": second.id})).await;
    reassign(&fleet, &b, json!({"agent_id": first.id})).await;
    let path = format!("/v1/agents/{}", second.id);
    fleet.admin.patch(&path, &json!({"state": "paused"})).if_match("*").await.expect(200);
    assert_eq!(first.take().await.name, "b");
    first.find_nothing().await;
    fleet.admin.patch(&path, &json!({"state": "retired"})).if_match("*").await.expect(200);
    assert_eq!(first.take().await.name, "a");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let (fleet, first, second) = two().await;
    let lesser = fleet.agent("lesser", &[], 1).await;
    let retired = fleet.agent("retired", &["rust"], 1).await;
    let path = format!("/v1/agents/{}", retired.id);
    fleet.admin.patch(path, &json!({"state": "retired"})).if_match("*").await.expect(200);
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "a", "capabilities": ["rust"], "priority": 9},
            {"ref": "box", "title": "box"},
            {"ref": "in", "title": "in", "parent": "box"},
            {"ref": "done", "title": "done", "done": true},
        ]))
        .await;
    let held = first.take().await;
    let before = dump(&fleet.pool).await;
    let task = |name: &'static str| fleet.task_id(&goal, name);
    let post =
        |task: String, body: Value| fleet.admin.post(format!("/v1/tasks/{task}/reassign"), &body);
    for agent in [lesser.id.clone(), retired.id.clone(), fleet.no_id()] {
        let answer = post(held.task.clone(), json!({"agent_id": agent})).await;
        assert_eq!(answer.problem(422, "invalid"), ["/agent_id"]);
    }
    let seen = json!({"agent_id": second.id, "attempt_id": fleet.no_id()});
    post(held.task.clone(), seen.clone()).await.problem(412, "precondition_failed");
    let answer = fleet.admin.post(
        format!("/v1/tasks/{}/takeover", held.task),
        &json!({
        "attempt_id": fleet.no_id()}),
    );
    answer.await.problem(412, "precondition_failed");
    for verb in ["reassign", "takeover"] {
        for (name, code) in [("box", "wrong_state"), ("done", "task_ended")] {
            let path = format!("/v1/tasks/{}/{verb}", task(name).await);
            fleet.admin.post(path, &json!({})).await.problem(409, code);
        }
        let path = format!("/v1/tasks/{}/{verb}", fleet.no_id());
        fleet.admin.post(path, &json!({})).await.problem(404, "not_found");
    }
    same("refused", &before, &dump(&fleet.pool).await);
    fleet.admin.post(format!("/v1/tasks/{}/cancel", held.task), &json!({})).await.expect(200);
    post(held.task.clone(), json!({})).await.problem(409, "task_ended");
    verify(&fleet.pool).await;
}
