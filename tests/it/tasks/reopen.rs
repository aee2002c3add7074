//! Reopening a done task: what waits again, what goes on, what the next attempt is told.

use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::retry::{names, on_task, race};
use crate::support::{
    agent::{Agent, claims},
    dump::{dump, same},
    fleet::{Fleet, seed},
    invariants::{verify, verify_rested},
};

async fn reopen(fleet: &Fleet, goal: &str, name: &str) -> Value {
    let body = json!({"reason": "it loses the last line"});
    on_task(fleet, goal, name, "reopen", body).await.value(200)
}

#[tokio::test]
async fn the_result_is_taken_back_and_the_next_attempt_is_told_why() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({"criteria": [{"text": "it works"}]})).await;
    let shown = json!({"result": 1, "evidence": [{"criterion": 1, "text": "see the log"}]});
    agent.write(&agent.take().await, "complete", shown.clone()).await.expect(200);
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    fleet.after(60).await;

    let answer = reopen(&fleet, &goal, "a").await;
    assert_eq!((&answer["state"], &answer["result"]), (&json!("ready"), &Value::Null));
    assert_eq!((&answer["begun"], &answer["waiting_again"]), (&json!([]), &json!([])));
    assert_eq!((&answer["evidence"], &answer["ended_at"]), (&json!([]), &Value::Null));
    let read = fleet.read_goal(&goal).await;
    assert_eq!((&read["state"], &read["ended_at"]), (&json!("active"), &Value::Null));
    assert_eq!((&read["tasks"]["open"], &read["tasks"]["done"]), (&json!(1), &json!(0)));
    verify_rested(&fleet.pool, fleet.now()).await;

    let held = agent.take().await;
    let earlier = &held.claim["earlier_attempts"][0];
    assert_eq!((&earlier["state"], &earlier["result"]), (&json!("rejected"), &json!(1)));
    assert_eq!(earlier["feedback"], "it loses the last line");
    agent.write(&held, "complete", shown).await.expect(200);
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    let task = fleet.task(&goal, "a").await;
    assert_eq!((&task["result"], &task["attempts_used"]), (&json!(1), &json!(0)));
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Dependents of `a`: those that were not begun wait again, offered or not, open or asked about. Those
/// that were begun go on.
#[tokio::test]
async fn dependents_that_were_not_begun_wait_again() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "t", "priority": 9},
            {"ref": "finished", "title": "t", "needs": ["a"], "priority": 8},
            {"ref": "running", "title": "t", "needs": ["a"], "priority": 7, "lease_seconds": 3600},
            {"ref": "ready", "title": "t", "needs": ["a"], "start_within_seconds": 100},
            {"ref": "asked", "title": "t", "needs": ["a"], "approval": {"start": true}},
            {"ref": "more", "title": "t", "needs": ["a", "ready"]},
            {"ref": "unwanted", "title": "t", "needs": ["a"]},
            {"ref": "box", "title": "t", "needs": ["a"]},
            {"ref": "inside", "title": "t", "parent": "box"},
            {"ref": "inner", "title": "t", "parent": "box"},
            {"ref": "deep", "title": "t", "parent": "inner", "needs": ["ready"]},
            {"ref": "begun", "title": "t", "needs": ["a"]},
            {"ref": "x", "title": "t", "parent": "begun", "priority": 6, "lease_seconds": 3600},
            {"ref": "y", "title": "t", "parent": "begun"},
        ]))
        .await;
    agent.complete(&agent.take().await).await;
    agent.complete(&agent.take().await).await;
    let running = agent.take().await;
    let x = agent.take().await;
    assert_eq!((running.name.as_str(), x.name.as_str()), ("running", "x"));
    on_task(&fleet, &goal, "unwanted", "cancel", json!({})).await.expect(200);
    assert_eq!(fleet.questions().await.len(), 1);
    fleet.after(50).await;

    let answer = reopen(&fleet, &goal, "a").await;
    assert_eq!(names(&answer["begun"]), ["finished", "running", "begun"]);
    assert_eq!(answer["begun_count"], 3);
    assert_eq!(names(&answer["waiting_again"]), ["ready", "asked", "box", "inside", "inner"]);
    assert_eq!(answer["waiting_again_count"], 5);
    let states = |a: &str, rest: &str| {
        format!("a:{a} finished:done running:running {rest} begun:running x:running y:ready")
    };
    let waiting = "ready:waiting asked:waiting more:waiting unwanted:cancelled box:waiting \
                   inside:waiting inner:waiting deep:waiting";
    fleet.expect_states(&goal, &states("ready", waiting)).await;
    let unmet = async |name: &str| fleet.task(&goal, name).await["needs_unmet"].clone();
    assert_eq!((unmet("ready").await, unmet("more").await), (json!(1), json!(2)));
    assert_eq!((unmet("inside").await, unmet("deep").await), (json!(1), json!(2)));
    assert_eq!(fleet.task(&goal, "ready").await["start_by"], Value::Null);
    assert!(fleet.questions().await.is_empty(), "it is asked again when it is free");
    verify_rested(&fleet.pool, fleet.now()).await;

    // What waits is not cancelled by what was begun, and is not late.
    fleet.after(60).await;
    agent.complete(&running).await;
    agent.complete(&x).await;
    let again = agent.take().await;
    assert_eq!((again.name.as_str(), again.number), ("a", 2));
    agent.complete(&again).await;
    let free = "ready:ready asked:parked more:waiting unwanted:cancelled box:running \
                inside:ready inner:running deep:waiting";
    let done = states("done", free).replace("running:running ready", "running:done ready");
    fleet.expect_states(&goal, &done.replace(" x:running", " x:done")).await;
    verify_rested(&fleet.pool, fleet.now()).await;
    fleet.decide(json!({"decision": "approve"})).await;
    agent.work_off().await;
    assert_eq!(fleet.goal_state(&goal).await, "cancelled", "one task was not wanted");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// What was begun is not lost with a reopened task that fails, and waits for it once it has failed itself.
#[tokio::test]
async fn what_was_begun_does_not_depend_on_the_second_result() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "t"},
            {"ref": "b", "title": "t", "needs": ["a"]},
            {"ref": "c", "title": "t", "needs": ["b"]},
        ]))
        .await;
    agent.complete(&agent.take().await).await;
    let b = agent.take().await;
    assert_eq!(names(&reopen(&fleet, &goal, "a").await["begun"]), ["b"]);
    agent.fail(&agent.take().await, "permanent").await;
    fleet.expect_states(&goal, "a:failed b:running c:waiting").await;
    verify(&fleet.pool).await;
    agent.fail(&b, "permanent").await;
    fleet.expect_states(&goal, "a:failed b:failed c:cancelled").await;
    let refused = on_task(&fleet, &goal, "b", "retry", json!({})).await;
    refused.problem(409, "wrong_state");
    assert!(refused.describe().contains("needs the task `a`"), "{}", refused.describe());
    let path = format!("/v1/goals/{goal}/retry");
    assert_eq!(fleet.admin.post(path, &json!({})).await.value(200)["retried_count"], 2);
    fleet.expect_states(&goal, "a:ready b:waiting c:waiting").await;
    verify(&fleet.pool).await;
    assert_eq!(agent.work_off().await, ["a", "b", "c"]);
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn done_containers_open_again() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "box", "title": "t"},
            {"ref": "inner", "title": "t", "parent": "box"},
            {"ref": "a", "title": "t", "parent": "inner"},
            {"ref": "ticked", "title": "t", "parent": "inner", "done": true},
            {"ref": "after", "title": "t", "needs": ["box"], "capabilities": ["nobody"]},
        ]))
        .await;
    agent.work_off().await;
    fleet.expect_states(&goal, "box:done inner:done a:done ticked:done after:ready").await;
    let answer = reopen(&fleet, &goal, "a").await;
    assert_eq!(names(&answer["waiting_again"]), ["after"]);
    fleet.expect_states(&goal, "box:running inner:running a:ready ticked:done after:waiting").await;
    verify_rested(&fleet.pool, fleet.now()).await;
    // A task that the plan ticked has no result; it is done for the first time then.
    reopen(&fleet, &goal, "ticked").await;
    verify_rested(&fleet.pool, fleet.now()).await;
    assert_eq!(agent.work_off().await.len(), 2);
    fleet.expect_states(&goal, "box:done inner:done a:done ticked:done after:ready").await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_is_not_done_is_refused() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "failed", "title": "t", "priority": 9},
            {"ref": "lost", "title": "t", "needs": ["failed"]},
            {"ref": "box", "title": "t"},
            {"ref": "good", "title": "t", "parent": "box", "priority": 8},
            {"ref": "bad", "title": "t", "parent": "box", "priority": 7},
            {"ref": "split", "title": "t", "priority": 6},
            {"ref": "ready", "title": "t"},
        ]))
        .await;
    agent.fail(&agent.take().await, "permanent").await;
    agent.complete(&agent.take().await).await;
    agent.fail(&agent.take().await, "permanent").await;
    agent.subtasks(&agent.take().await, json!([{"ref": "s", "title": "t", "priority": 9}])).await;
    agent.complete(&agent.take().await).await;
    let before = dump(&fleet.pool).await;
    for (name, said) in [
        ("failed", "/retry"),
        ("lost", "retry the failed task that caused this"),
        ("box", "reopen one of those"),
        ("good", "retry that one first"),
        ("s", "goes on without it"),
        ("ready", "not done yet"),
    ] {
        let refused = on_task(&fleet, &goal, name, "reopen", json!({})).await;
        refused.problem(409, "wrong_state");
        assert!(refused.describe().contains(said), "{name}: {}", refused.describe());
    }
    same("refused reopenings", &before, &dump(&fleet.pool).await);
    let long = json!({"reason": "x".repeat(16 * 1024 + 1)});
    let refused = on_task(&fleet, &goal, "good", "reopen", long).await;
    assert_eq!(refused.problem(422, "invalid"), ["/reason"]);
    let path = format!("/v1/tasks/{}/reopen", fleet.task_id(&goal, "good").await);
    let submitter = fleet.client(&fleet.key("submitter").await);
    submitter.post(&path, &json!({})).await.problem(403, "forbidden");
    let stranger = fleet.other_workspace().await;
    stranger.post(&path, &json!({})).await.problem(404, "not_found");
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    fleet.admin.post(&path, &json!({})).await.problem(409, "goal_ended");
}

/// A goal of which `a` is done and `b`, which needs it, is offered.
async fn half_done(fleet: &Fleet, agent: &Agent) -> String {
    let tasks = json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b", "needs": ["a"]}]);
    let goal = fleet.goal(tasks).await;
    agent.complete(&agent.take().await).await;
    goal
}

/// Sixty-four tries each: with a claim of the dependent, with its completion, with a cancellation.
#[tokio::test]
async fn a_reopening_races_with_everything() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let mut random = StdRng::seed_from_u64(seed());
    let path = async |goal: &str| format!("/v1/tasks/{}/reopen", fleet.task_id(goal, "a").await);
    let mut begun = 0;
    for _ in 0..64 {
        let goal = half_done(&fleet, &agent).await;
        let claim = agent.client.post("/v1/claims", &json!({}));
        let reopen = fleet.admin.post(path(&goal).await, &json!({}));
        let (claimed, reopened) = race(&mut random, claim, reopen).await;
        let answer = reopened.value(200);
        let held = claims(&claimed);
        let dependent = fleet.task_id(&goal, "b").await;
        let was_begun = held.iter().any(|held| held.task == dependent);
        begun += usize::from(was_begun);
        assert_eq!(answer["begun_count"], json!(i32::from(was_begun)), "{held:#?}");
        assert_eq!(answer["waiting_again_count"], json!(i32::from(!was_begun)));
        for held in &held {
            agent.complete(held).await;
        }
        while fleet.goal_state(&goal).await != "completed" {
            agent.complete(&agent.take().await).await;
        }
    }
    println!("{begun} of 64 dependents were begun");
    for _ in 0..64 {
        let goal = half_done(&fleet, &agent).await;
        let held = agent.take().await;
        let complete = agent.write(&held, "complete", json!({}));
        let reopen = fleet.admin.post(path(&goal).await, &json!({}));
        let (completed, reopened) = race(&mut random, complete, reopen).await;
        completed.expect(200);
        assert_eq!(reopened.value(200)["begun_count"], 1);
        assert_eq!(fleet.goal_state(&goal).await, "active");
        agent.complete(&agent.take().await).await;
        assert_eq!(fleet.goal_state(&goal).await, "completed");
    }
    for _ in 0..64 {
        let goal = half_done(&fleet, &agent).await;
        let cancel = fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({}));
        let reopen = fleet.admin.post(path(&goal).await, &json!({}));
        let (cancelled, reopened) = race(&mut random, cancel, reopen).await;
        cancelled.expect(200);
        if reopened.status == 200 {
            fleet.expect_states(&goal, "a:cancelled b:cancelled").await;
        } else {
            reopened.problem(409, "goal_ended");
            fleet.expect_states(&goal, "a:done b:cancelled").await;
        }
        assert_eq!(fleet.goal_state(&goal).await, "cancelled");
    }
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}
