//! What happens because time passes: starts, leases, backoff, retries, deadlines.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    fleet::Fleet,
    invariants::{verify, verify_rested},
};

fn instant(value: &Value) -> DateTime<Utc> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Milliseconds from now.
fn in_ms(fleet: &Fleet, value: &Value) -> i64 {
    (instant(value) - fleet.now()).num_milliseconds()
}

/// The fleet waits until the task is offered again, and takes it.
async fn next(fleet: &Fleet, agent: &Agent) -> Held {
    fleet.after(601).await;
    agent.take().await
}

#[tokio::test]
async fn a_task_is_not_offered_before_its_time() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let at = fleet.now() + chrono::TimeDelta::seconds(100);
    let goal = fleet.lone_task(json!({"not_before": at})).await;
    fleet.after(99).await;
    fleet.expect_states(&goal, "a:waiting").await;
    agent.find_nothing().await;
    fleet.after(1).await;
    fleet.expect_states(&goal, "a:ready").await;
    agent.complete(&agent.take().await).await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
}

/// A start time that has passed holds nothing back, and nothing was ready before it existed.
#[tokio::test]
async fn no_task_is_ready_before_it_exists() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let past =
        |name: &str| json!({"ref": name, "title": name, "not_before": "2020-01-01T00:00:00Z"});
    let goal = fleet.goal(json!([past("posted")])).await;
    fleet.pass(7);
    let added = json!({"tasks": [past("added")]});
    fleet.admin.post(format!("/v1/goals/{goal}/tasks"), &added).await.expect(201);
    fleet.pass(7);
    agent.subtasks(&agent.take().await, json!([past("sub")])).await;
    fleet.pass(7);
    let planned = json!({"title": "g", "tasks": [past("planned")], "approval": {"plan": true}});
    let planned = fleet.post_goal(planned).await;
    fleet.pass(7);
    fleet.decide(json!({"decision": "approve"})).await;
    for (goal, name) in [(&goal, "posted"), (&goal, "added"), (&goal, "sub"), (&planned, "planned")]
    {
        let task = fleet.task(goal, name).await;
        assert_eq!(task["ready_from"], task["created_at"], "{name}");
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn failures_are_tried_again_by_their_class() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    for (class, retryable, again) in [
        ("transient", None, true),
        ("rate_limited", None, true),
        ("resources", None, true),
        ("timeout", None, true),
        ("invalid_input", None, false),
        ("permanent", None, false),
        ("permanent", Some(true), true),
        ("transient", Some(false), false),
    ] {
        let goal = fleet.lone_task(json!({})).await;
        let held = agent.take().await;
        let body = json!({"class": class, "retryable": retryable});
        let answer = agent.write(&held, "fail", body).await.value(200);
        let want = if again { "waiting" } else { "failed" };
        assert_eq!(answer["task_state"], want, "{class} {retryable:?}");
        fleet.round().await;
        let task = fleet.task(&goal, "a").await;
        let used = if class == "rate_limited" { 0 } else { 1 };
        assert_eq!(task["attempts_used"], used, "{class}");
        if again {
            assert_eq!(task["failure_class"], Value::Null);
            agent.complete(&next(&fleet, &agent).await).await;
        } else {
            assert_eq!(task["failure_class"], class);
            assert_eq!(fleet.goal_state(&goal).await, "failed");
        }
    }
    for class in ["lost", "start_timeout", "finish_timeout", "children_failed"] {
        let goal = fleet.lone_task(json!({})).await;
        let held = agent.take().await;
        let answer = agent.write(&held, "fail", json!({"class": class})).await;
        assert_eq!(answer.problem(422, "invalid"), ["/class"], "an agent says {class}");
        agent.complete(&held).await;
        fleet.expect_states(&goal, "a:done").await;
    }
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn the_backoff_doubles_and_spreads() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({"max_attempts": 14})).await;
    let mut spread = Vec::new();
    for used in 1..=13 {
        let held = if used == 1 { agent.take().await } else { next(&fleet, &agent).await };
        assert_eq!(held.number, used);
        let answer = agent.fail(&held, "transient").await;
        let full = (1000 << (used - 1)).min(600_000);
        let wait = in_ms(&fleet, &answer["retry_at"]);
        assert!((full / 2..=full).contains(&wait), "after {used} failures it rests {wait} ms");
        spread.push(wait * 1000 / full);
        // Not a moment before, and at that moment.
        fleet.clock.advance(std::time::Duration::from_millis(wait as u64 - 1));
        fleet.round().await;
        fleet.expect_states(&goal, "a:waiting").await;
        fleet.clock.advance(std::time::Duration::from_millis(2));
        fleet.round().await;
        fleet.expect_states(&goal, "a:ready").await;
    }
    spread.dedup();
    assert!(spread.len() > 5, "there is no jitter: {spread:?}");
    let held = next(&fleet, &agent).await;
    assert_eq!(agent.fail(&held, "transient").await["task_state"], "failed");
    assert_eq!(fleet.task(&goal, "a").await["attempts_used"], 14);
}

#[tokio::test]
async fn retry_after_is_kept() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let body = json!({"class": "transient", "retry_after_seconds": 3000});
    let answer = agent.write(&held, "fail", body).await.value(200);
    assert_eq!(in_ms(&fleet, &answer["retry_at"]), 3_000_000);
    fleet.after(2999).await;
    fleet.expect_states(&goal, "a:waiting").await;
    fleet.after(1).await;
    fleet.expect_states(&goal, "a:ready").await;
}

#[tokio::test]
async fn three_leases_lost_in_a_row_are_quarantine() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({"max_attempts": 50})).await;
    // A failure in between is a sign of life: the row begins anew.
    for lost in [true, true, false, true, true, true] {
        let held = next(&fleet, &agent).await;
        if lost {
            fleet.after(61).await;
        } else {
            agent.fail(&held, "transient").await;
        }
    }
    let task = fleet.task(&goal, "a").await;
    assert_eq!((&task["state"], &task["failure_class"]), (&json!("failed"), &json!("lost")));
    assert_eq!((&task["quarantined"], &task["attempts_used"]), (&json!(true), &json!(6)));
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "failed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn heartbeats_keep_a_lease_and_the_hard_deadline_ends_it() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({"lease_seconds": 10, "attempt_timeout_seconds": 100})).await;
    let held = agent.take().await;
    assert_eq!(held.claim["lease_ms"], 10_000);
    let deadline = instant(&held.claim["hard_deadline"]);
    assert_eq!(in_ms(&fleet, &held.claim["hard_deadline"]), 100_000);
    let mut last = instant(&held.claim["lease_expires_at"]);
    let mut directives = Vec::new();
    for _ in 0..11 {
        fleet.after(9).await;
        let beat = agent.beat(&held).await;
        let lease = instant(&beat["lease_expires_at"]);
        assert!(lease >= last, "a heartbeat shortened the lease");
        assert!(lease <= deadline, "a heartbeat moved the lease past the deadline");
        assert_eq!(beat["lease_expires_in_ms"], in_ms(&fleet, &beat["lease_expires_at"]));
        last = lease;
        directives.push(beat["directive"].as_str().unwrap().to_owned());
    }
    assert_eq!(last, deadline);
    directives.dedup();
    assert_eq!(directives, ["continue", "wrap_up"]);
    fleet.after(1).await;
    let task = fleet.task(&goal, "a").await;
    assert_eq!((&task["state"], &task["attempts_used"]), (&json!("waiting"), &json!(1)));
    let attempt = fleet.admin.get(format!("/v1/attempts/{}", held.attempt)).await.value(200);
    assert_eq!(
        (&attempt["state"], &attempt["failure_class"]),
        (&json!("expired"), &json!("timeout"))
    );
    // A long lease that a claim asked for is not shortened by a heartbeat of the default.
    fleet.lone_task(json!({})).await;
    let held = agent.claim_with(json!({"lease_seconds": 600})).await.remove(0);
    assert_eq!(in_ms(&fleet, &agent.beat(&held).await["lease_expires_at"]), 600_000);
}

#[tokio::test]
async fn nobody_came_in_time() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({"start_within_seconds": 60})).await;
    fleet.after(59).await;
    fleet.expect_states(&goal, "a:ready").await;
    fleet.after(1).await;
    let task = fleet.task(&goal, "a").await;
    assert_eq!(task["failure_class"], "start_timeout");
    assert_eq!(fleet.goal_state(&goal).await, "failed");

    // Once claimed it may come back as often as it likes.
    let goal = fleet.lone_task(json!({"start_within_seconds": 60})).await;
    agent.release(&agent.take().await).await;
    fleet.after(3600).await;
    fleet.expect_states(&goal, "a:ready").await;
    agent.complete(&agent.take().await).await;

    // The time runs from the moment it may be claimed.
    let goal = fleet
        .goal(json!([
            {"ref": "b", "title": "b", "priority": 9},
            {"ref": "c", "title": "c", "needs": ["b"], "start_within_seconds": 60},
        ]))
        .await;
    fleet.after(3600).await;
    agent.complete(&agent.take().await).await;
    fleet.after(59).await;
    fleet.expect_states(&goal, "b:done c:ready").await;
    fleet.after(1).await;
    fleet.expect_states(&goal, "b:done c:failed").await;
}

#[tokio::test]
async fn all_attempts_together_may_take_so_long() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({"finish_within_seconds": 100, "max_attempts": 9})).await;
    fleet.after(40).await;
    agent.fail(&agent.take().await, "transient").await;
    fleet.after(30).await;
    let held = agent.take().await;
    assert_eq!(in_ms(&fleet, &held.claim["hard_deadline"]), 30_000, "no attempt outlasts its task");
    fleet.pass(29);
    agent.beat(&held).await;
    fleet.round().await;
    fleet.expect_states(&goal, "a:running").await;
    fleet.after(1).await;
    assert_eq!(fleet.task(&goal, "a").await["failure_class"], "finish_timeout");
    agent.write(&held, "complete", json!({})).await.problem(409, "lease_lost");

    // While it waits for a person the time stands still: it is not the agents' time.
    let goal = fleet
        .lone_task(
            json!({"finish_within_seconds": 100, "approval": {"start": true, "result": true}}),
        )
        .await;
    fleet.after(3600).await;
    fleet.expect_states(&goal, "a:parked").await;
    fleet.decide(json!({"decision": "approve"})).await;
    fleet.after(60).await;
    agent.complete(&agent.take().await).await;
    fleet.after(3600).await;
    fleet.expect_states(&goal, "a:reviewing").await;
    fleet.decide(json!({"decision": "reject", "reason": "again"})).await;
    fleet.after(39).await;
    fleet.expect_states(&goal, "a:ready").await;
    fleet.after(1).await;
    fleet.expect_states(&goal, "a:failed").await;
    verify_rested(&fleet.pool, fleet.now()).await;
}
