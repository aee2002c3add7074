//! Tasks that are claimed and released for ever: they wait longer each time, and people are told.

use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    fleet::{Fleet, text},
    invariants::verify,
};

async fn attention(fleet: &Fleet) -> Vec<Value> {
    let page = fleet.admin.get("/v1/attention?kind=released_task").await.value(200);
    let items = page["items"].as_array().unwrap().clone();
    assert_eq!(page["counts"]["released_task"], items.len());
    items
}

async fn in_row(fleet: &Fleet) -> i32 {
    sqlx::query_scalar("select released_in_row from tasks").fetch_one(&fleet.pool).await.unwrap()
}

/// Passes time until the task is offered to the agent again; returns the seconds and its attempt.
async fn wait(fleet: &Fleet, agent: &Agent) -> (u64, Held) {
    for seconds in 0..=700 {
        if let Some(held) = agent.claim(1).await.pop() {
            return (seconds, held);
        }
        fleet.pass(1);
        fleet.round().await;
    }
    panic!("the task is not offered again");
}

/// One agent claims and releases the same task as fast as it can.
#[tokio::test]
async fn claims_and_releases_for_ever_become_rare() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let mut held = agent.take().await;
    let mut pauses = Vec::new();
    for row in 1..=9 {
        let answer = agent.release(&held).await;
        let state = if row <= 2 { "ready" } else { "waiting" };
        assert_eq!(answer["task_state"], state, "release {row}");
        assert_eq!(attention(&fleet).await.len(), usize::from(row >= 5), "release {row}");
        let (pause, next) = wait(&fleet, &agent).await;
        pauses.push(pause);
        held = next;
    }
    assert_eq!(pauses[..2], [0, 0]);
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert!((32..=64).contains(&pauses[8]), "{pauses:?}");
    // No try was lost, and work ends the row.
    agent.beat(&held).await;
    assert_eq!(in_row(&fleet).await, 9);
    agent.complete(&held).await;
    fleet.expect_states(&goal, "a:done").await;
    assert_eq!(in_row(&fleet).await, 0);
    verify(&fleet.pool).await;
}

/// The item names the task and the agent. Its action gives the task to the others at once.
#[tokio::test]
async fn a_task_that_is_released_for_ever_is_given_to_the_others() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let mut held = agent.take().await;
    for _ in 1..6 {
        agent.release(&held).await;
        held = wait(&fleet, &agent).await.1;
    }
    let since = fleet.now();
    agent.release(&held).await;
    let items = attention(&fleet).await;
    let [item] = items.as_slice() else { panic!("{items:#?}") };
    assert_eq!((&item["task_id"], &item["agent_id"]), (&json!(held.task), &json!(agent.id)));
    let detail = text(&item["detail"]);
    assert!(detail.contains("6 times in a row") && detail.contains("worker"), "{detail}");
    // It waits since the fifth release.
    assert!(text(&item["since"]) < since.to_rfc3339(), "{item:#}");
    let elsewhere = format!("/v1/attention?goal_id={}", fleet.no_id());
    let elsewhere = fleet.admin.get(elsewhere).await.value(200);
    assert_eq!(elsewhere["items"], json!([]));
    let action = &item["action"];
    fleet.admin.post(text(&action["path"]), &action["body"]).await.expect(200);
    assert!(attention(&fleet).await.is_empty());
    agent.find_nothing().await;
    let other = fleet.agent("other", &[], 5).await;
    other.complete(&other.take().await).await;
    fleet.expect_states(&goal, "a:done").await;
    verify(&fleet.pool).await;
}

/// Progress, or a checkpoint that is not the last one again, ends the row.
#[tokio::test]
async fn work_on_a_task_ends_the_row() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let mut held = agent.take().await;
    for (beat, checkpoint, row) in [
        (None, None, 1),
        (Some(json!({"progress": {"percent": 5}})), None, 0),
        (None, Some(json!({"page": 1})), 0),
        (None, Some(json!({"page": 1})), 1),
        (Some(json!({})), Some(json!({"page": 1})), 2),
        (None, Some(json!({"page": 2})), 0),
        (None, None, 1),
        (Some(json!({"checkpoint": {"page": 3}})), None, 0),
    ] {
        if let Some(beat) = &beat {
            agent.write(&held, "heartbeat", beat.clone()).await.expect(200);
        }
        let body = json!({"checkpoint": checkpoint});
        agent.write(&held, "release", body).await.expect(200);
        assert_eq!(in_row(&fleet).await, row, "{beat:?} {checkpoint:?}");
        held = agent.take().await;
    }
    agent.release(&held).await;
    let held = agent.take().await;
    assert_eq!(in_row(&fleet).await, 1);
    agent.fail(&held, "transient").await;
    assert_eq!(in_row(&fleet).await, 0);
    verify(&fleet.pool).await;
}

/// A release that the service, an operator or a budget asked for is not the agent's.
#[tokio::test]
async fn a_release_with_a_reason_does_not_count() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let agents = format!("/v1/agents/{}", agent.id);
    // A pause of the agent.
    let held = agent.take().await;
    fleet.admin.patch(&agents, &json!({"state": "paused"})).if_match("*").await.expect(200);
    agent.release(&held).await;
    fleet.admin.patch(&agents, &json!({"state": "active"})).if_match("*").await.expect(200);
    // A pause of the work.
    let held = agent.take().await;
    let freeze = json!({"scope": "goal", "scope_id": goal, "mode": "pause", "reason": "a look"});
    let freeze = fleet.admin.post("/v1/freezes", &freeze).await.value(201);
    agent.release(&held).await;
    let lift = format!("/v1/freezes/{}/lift", text(&freeze["id"]));
    fleet.admin.post(lift, &json!({})).await.expect(200);
    // A stop, and a reassignment.
    agent.take().await;
    let freeze = json!({"scope": "goal", "scope_id": goal, "mode": "stop", "reason": "a look"});
    let freeze = fleet.admin.post("/v1/freezes", &freeze).await.value(201);
    let lift = format!("/v1/freezes/{}/lift", text(&freeze["id"]));
    fleet.admin.post(lift, &json!({})).await.expect(200);
    // A question to a person.
    let held = agent.take().await;
    agent.ask(&held, "input").await;
    fleet.decide(json!({"decision": "answer", "answer": "yes"})).await;
    // The end of its time is near.
    let held = agent.claim_with(json!({"max": 1, "lease_seconds": 3600})).await.remove(0);
    assert_eq!(in_row(&fleet).await, 0);
    fleet.pass(3_500);
    agent.beat(&held).await;
    fleet.pass(3_500);
    agent.beat(&held).await;
    fleet.pass(3_500);
    assert_eq!(agent.beat(&held).await["directive"], "wrap_up");
    agent.release(&held).await;
    assert_eq!(in_row(&fleet).await, 0);
    // Nobody asked for this one.
    agent.release(&agent.take().await).await;
    assert_eq!(in_row(&fleet).await, 1);
    verify(&fleet.pool).await;
}
