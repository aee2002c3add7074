//! What tasks owe each other: needs, containers, subtasks, and what a failure takes along.

use serde_json::{Value, json};

use crate::support::{
    fleet::Fleet,
    invariants::{verify, verify_rested},
};

#[tokio::test]
async fn a_failure_takes_along_what_needs_it_and_nothing_else() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "bad", "title": "t", "priority": 9},
            {"ref": "good", "title": "t"},
            {"ref": "b", "title": "t", "needs": ["bad"]},
            {"ref": "c", "title": "t", "needs": ["b", "good"]},
            {"ref": "box", "title": "t", "needs": ["b"]},
            {"ref": "inside", "title": "t", "parent": "box"},
            {"ref": "apart", "title": "t", "needs": ["good"]},
        ]))
        .await;
    agent.fail(&agent.take().await, "permanent").await;
    fleet
        .expect_states(
            &goal,
            "bad:failed good:ready b:cancelled c:cancelled box:cancelled inside:cancelled \
             apart:waiting",
        )
        .await;
    verify(&fleet.pool).await;
    assert_eq!(fleet.goal_state(&goal).await, "active", "the rest goes on");
    assert_eq!(agent.work_off().await, ["good", "apart"]);
    fleet.round().await;
    let goal = fleet.read_goal(&goal).await;
    assert_eq!(goal["state"], "failed");
    assert_eq!(
        goal["tasks"],
        json!({"total": 7, "open": 0, "done": 2, "failed": 1, "cancelled": 4})
    );
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_container_opens_holds_and_ends_with_its_children() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "first", "title": "t"},
            {"ref": "box", "title": "t", "needs": ["first"]},
            {"ref": "inner", "title": "t", "parent": "box"},
            {"ref": "a", "title": "t", "parent": "inner"},
            {"ref": "b", "title": "t", "parent": "inner", "needs": ["a"]},
            {"ref": "c", "title": "t", "parent": "box"},
            {"ref": "last", "title": "t", "needs": ["box"]},
        ]))
        .await;
    let first = agent.take().await;
    agent.find_nothing().await;
    agent.complete(&first).await;
    fleet
        .expect_states(
            &goal,
            "first:done box:running inner:running a:ready b:waiting c:ready last:waiting",
        )
        .await;
    verify(&fleet.pool).await;
    assert_eq!(agent.work_off().await, ["a", "b", "c", "last"]);
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    let boxes: i64 = sqlx::query_scalar(
        "select count(*) from attempts join tasks using (workspace_id, task_id) where container",
    )
    .fetch_one(&fleet.pool)
    .await
    .unwrap();
    assert_eq!(boxes, 0, "a container is never offered");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_container_fails_with_a_child_when_the_others_have_ended() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "box", "title": "t"},
            {"ref": "bad", "title": "t", "parent": "box", "priority": 9},
            {"ref": "good", "title": "t", "parent": "box"},
            {"ref": "after", "title": "t", "needs": ["box"]},
        ]))
        .await;
    agent.fail(&agent.take().await, "permanent").await;
    fleet.expect_states(&goal, "box:running bad:failed good:ready after:waiting").await;
    assert_eq!(agent.work_off().await, ["good"]);
    fleet.expect_states(&goal, "box:failed bad:failed good:done after:cancelled").await;
    assert_eq!(fleet.task(&goal, "box").await["failure_class"], "children_failed");
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_task_comes_back_with_what_became_of_its_subtasks() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({"priority": 3})).await;
    let held = agent.take().await;
    let subtasks = json!([
        {"ref": "good", "title": "t", "priority": 9},
        {"ref": "bad", "title": "t", "priority": 8},
        {"ref": "lost", "title": "t", "needs": ["bad"]},
        {"ref": "box", "title": "t"},
        {"ref": "inside", "title": "t", "parent": "box"},
    ]);
    let body = json!({"tasks": subtasks, "checkpoint": {"page": 7}});
    let answer = agent.write(&held, "subtasks", body).await.value(201);
    assert_eq!(
        (&answer["attempt_state"], answer["subtasks"].as_array().unwrap().len()),
        (&json!("parked"), 5)
    );
    fleet
        .expect_states(&goal, "a:parked good:ready bad:ready lost:waiting box:running inside:ready")
        .await;
    agent.complete(&agent.take().await).await;
    agent.fail(&agent.take().await, "permanent").await;
    fleet
        .expect_states(
            &goal,
            "a:parked good:done bad:failed lost:cancelled box:running inside:ready",
        )
        .await;
    verify(&fleet.pool).await;
    agent.complete(&agent.take().await).await;
    let back = agent.take().await;
    assert_eq!((back.task.as_str(), back.number), (held.task.as_str(), 2));
    assert_eq!(back.claim["checkpoint"], json!({"page": 7}));
    let children: Vec<(&Value, &Value)> = back.claim["children"]
        .as_array()
        .unwrap()
        .iter()
        .map(|child| (&child["ref"], &child["state"]))
        .collect();
    assert_eq!(
        json!(children),
        json!([["good", "done"], ["bad", "failed"], ["lost", "cancelled"], ["box", "done"]])
    );
    assert_eq!(back.claim["children"][0]["result"], json!({"by": "good"}));

    // And once more: the new ones count, not the old.
    agent.subtasks(&back, json!([{"ref": "more", "title": "t"}])).await;
    assert_eq!(agent.work_off().await, ["more", "a"]);
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed", "the task made up for its subtasks");
    assert_eq!(fleet.task(&goal, "a").await["attempts_used"], 0);
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn subtasks_that_do_not_fit_are_refused_as_a_whole() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    for (tasks, pointer) in [
        (json!([]), "/tasks"),
        (json!([{"ref": "a", "title": "taken"}]), "/tasks/0/ref"),
        (json!([{"ref": "s", "title": "t", "needs": ["a"]}]), "/tasks/0/needs/0"),
        (json!([{"ref": "s", "title": "t", "parent": "a"}]), "/tasks/0/parent"),
        (
            json!([{"ref": "s", "title": "t", "needs": ["t"]}, {"ref": "t", "title": "t",
                 "needs": ["s"]}]),
            "/tasks/",
        ),
    ] {
        let answer = agent.write(&held, "subtasks", json!({"tasks": tasks})).await;
        let pointers = answer.problem(422, "plan_invalid");
        assert!(pointers[0].starts_with(pointer), "{tasks}: {pointers:?}");
    }
    fleet.expect_states(&goal, "a:running").await;
    agent.complete(&held).await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn what_is_done_already_is_never_offered() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "ticked", "title": "t", "done": true},
            {"ref": "box", "title": "t"},
            {"ref": "x", "title": "t", "parent": "box", "done": true},
            {"ref": "open", "title": "t", "needs": ["ticked", "box"]},
        ]))
        .await;
    fleet.expect_states(&goal, "ticked:done box:done x:done open:ready").await;
    assert_eq!(agent.work_off().await, ["open"]);
    let all = fleet.goal(json!([{"ref": "a", "title": "t", "done": true}])).await;
    assert_eq!(fleet.goal_state(&all).await, "completed");
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// One huge result must not make a task that needs it unclaimable, nor its claims huge.
#[tokio::test]
async fn what_is_handed_over_is_bounded() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let mut tasks: Vec<Value> =
        (0..21).map(|n| json!({"ref": format!("r{n}"), "title": "t"})).collect();
    let needs: Vec<String> = (0..21).map(|n| format!("r{n}")).collect();
    tasks.push(json!({"ref": "join", "title": "t", "needs": needs}));
    fleet.goal(json!(tasks)).await;
    for n in 0..21 {
        let held = agent.take().await;
        // The first alone is too large; the others are, all together. They compress to nothing.
        let size = if n == 0 { 70_000 } else { 60_000 };
        let result = json!({"result": "x".repeat(size)});
        agent.write(&held, "complete", result).await.value(200);
    }
    let join = agent.take().await;
    let needs = join.claim["needs"].as_array().unwrap().clone();
    assert_eq!(needs.len(), 21);
    assert_eq!(needs[0]["result"], Value::Null, "larger than 64 KiB");
    let handed = needs.iter().filter(|need| !need["result"].is_null()).count();
    assert_eq!(handed, 17, "17 of 60,002 bytes are the most below 1 MiB");
}
