//! Adding tasks to a running goal.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    client::Answer,
    fleet::{Fleet, text},
    invariants::{verify, verify_rested},
};

const TRIES: usize = 64;

async fn add(fleet: &Fleet, goal: &str, tasks: Value) -> Answer {
    fleet.admin.post(format!("/v1/goals/{goal}/tasks"), &json!({"tasks": tasks})).await
}

fn task(name: &str) -> Value {
    json!({"ref": name, "title": name})
}

fn needs(name: &str, needs: &[&str]) -> Value {
    json!({"ref": name, "title": name, "needs": needs})
}

fn inside(name: &str, parent: &str) -> Value {
    json!({"ref": name, "title": name, "parent": parent})
}

#[tokio::test]
async fn added_tasks_need_what_is_there_by_ref_and_by_id() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.goal(json!([task("a"), needs("b", &["a"])])).await;
    worker.complete(&worker.take().await).await;
    let b = fleet.task_id(&goal, "b").await;
    let tasks = json!([
        needs("c", &["a"]), needs("d", &[&b, "c"]), {"ref": "e", "title": "e", "done": true},
        needs("f", &["e"]), task("box"), inside("in", "box"),
    ]);
    let answer = add(&fleet, &goal, tasks).await.expect(201);
    assert_eq!(answer.header("location"), format!("/v1/tasks?goal_id={goal}"));
    let added: Value = answer.json();
    assert_eq!(added["goal_id"], json!(goal));
    let states: Vec<String> = added["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| format!("{}:{}", text(&task["ref"]), text(&task["state"])))
        .collect();
    assert_eq!(states.join(" "), "c:ready d:waiting e:done f:ready box:running in:ready");
    assert_eq!(added["tasks"][1]["task_id"], json!(fleet.task_id(&goal, "d").await));
    let all = "a:done b:ready c:ready d:waiting e:done f:ready box:running in:ready";
    fleet.expect_states(&goal, all).await;
    let d = fleet.task(&goal, "d").await;
    assert_eq!((&d["needs_unmet"], &d["needs"][0]["ref"]), (&json!(2), &json!("b")));
    assert_eq!(fleet.task(&goal, "c").await["needs_unmet"], 0);
    assert_eq!(fleet.read_goal(&goal).await["tasks"]["total"], 8);
    verify(&fleet.pool).await;
    worker.work_off().await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    let answer = add(&fleet, &goal, json!([task("late")])).await;
    answer.problem(409, "goal_ended");
    assert!(answer.describe().contains("/reopen"), "{}", answer.describe());
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// What is asked to stop will not be done, as what is cancelled already.
#[tokio::test]
async fn nothing_added_needs_what_is_being_cancelled() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.goal(json!([task("a"), task("b")])).await;
    let held = worker.take().await;
    let cancel = format!("/v1/tasks/{}/cancel", held.task);
    fleet.admin.post(cancel, &json!({})).await.expect(200);
    let refused = add(&fleet, &goal, json!([needs("c", &[&held.name])])).await;
    assert_eq!(refused.problem(422, "plan_invalid"), ["/tasks/0/needs/0"]);
    assert!(refused.describe().contains("being cancelled"), "{}", refused.describe());
    // It was done before it stopped.
    worker.complete(&held).await;
    add(&fleet, &goal, json!([needs("c", &[&held.name])])).await.expect(201);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_container_takes_more_while_it_is_open_and_when_it_waits() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let tasks = json!([
        {"ref": "open", "title": "open", "risk": "high"}, inside("one", "open"),
        needs("closed", &["open"]), inside("two", "closed"), task("leaf"),
    ]);
    let goal = fleet.goal(tasks).await;
    let tasks = json!([inside("three", "open"), inside("four", "closed"), inside("deep", "four")]);
    add(&fleet, &goal, tasks).await.expect(201);
    let states = "open:running one:ready closed:waiting two:waiting leaf:ready three:ready \
                  four:waiting deep:waiting";
    fleet.expect_states(&goal, states).await;
    let (open, closed) = (fleet.task(&goal, "open").await, fleet.task(&goal, "closed").await);
    assert_eq!((&open["children_open"], &closed["children_open"]), (&json!(2), &json!(2)));
    assert_eq!(fleet.task(&goal, "three").await["risk"], "high", "the floor of its container");
    verify(&fleet.pool).await;

    for (task, says) in [
        (inside("x", "leaf"), "no container"),
        (inside("x", "nobody"), "no task with the ref"),
        (json!({"ref": "x", "title": "x", "parent": "open", "needs": ["open"]}), "circle"),
        // What it needs waits for the container that it would be in.
        (json!({"ref": "x", "title": "x", "parent": "open", "needs": ["two"]}), "circle"),
        (json!({"ref": "one", "title": "x"}), "already has a task"),
        (needs("x", &["one", "one"]), "listed twice"),
    ] {
        let answer = add(&fleet, &goal, json!([task])).await;
        answer.problem(422, "plan_invalid");
        assert!(answer.describe().contains(says), "{says}: {}", answer.describe());
    }
    worker.work_off().await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_will_not_be_done_is_not_needed() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let tasks = json!([
        task("a"), {"ref": "b", "title": "b", "capabilities": ["nobody"]},
        task("box"), inside("in", "box"),
    ]);
    let goal = fleet.goal(tasks).await;
    for held in worker.claim(2).await {
        worker.fail(&held, "permanent").await;
    }
    let before = fleet.read_goal(&goal).await["tasks"].clone();
    let answer = add(&fleet, &goal, json!([needs("c", &["b", "a"]), inside("d", "box")])).await;
    let pointers = answer.problem(422, "plan_invalid");
    assert_eq!(pointers, ["/tasks/0/needs/1", "/tasks/1/parent"]);
    assert!(answer.describe().contains("replaces it"), "{}", answer.describe());
    assert_eq!(fleet.read_goal(&goal).await["tasks"], before);
    add(&fleet, &goal, json!([needs("c", &["b"])])).await.expect(201);
    let b = fleet.task_id(&goal, "b").await;
    fleet.admin.post(format!("/v1/tasks/{b}/cancel"), &json!({})).await.expect(200);
    assert_eq!(fleet.state(&goal, "c").await, "cancelled");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn the_defaults_of_the_goal_hold_and_may_be_edited() {
    let fleet = Fleet::start().await;
    let goal = fleet
        .post_goal(json!({
            "title": "g", "priority": 7, "tasks": [task("a")],
            "task_defaults": {"capabilities": ["rust"], "approval": {"result": true}, "max_attempts": 2},
        }))
        .await;
    let own = json!({"ref": "b", "title": "b", "capabilities": ["go"], "approval": {"start": true},
                     "budget": {"limits": [{"unit": "usd_micros", "amount": 5}]}});
    add(&fleet, &goal, json!([own, task("box"), inside("in", "box")])).await.expect(201);
    let b = fleet.task(&goal, "b").await;
    assert_eq!(b["capabilities"], json!(["go"]));
    assert_eq!(b["approval"], json!({"start": true, "result": true}));
    assert_eq!(
        (&b["max_attempts"], &b["priority"], &b["state"]),
        (&json!(2), &json!(7), &json!("parked"))
    );
    assert_eq!(fleet.questions().await.len(), 1);
    let id = text(&b["id"]);
    let budgets = fleet.admin.get(format!("/v1/budgets?node=task&node_id={id}")).await.value(200);
    assert_eq!(budgets["items"][0]["limits"][0]["amount"], 5);

    let path = format!("/v1/goals/{goal}");
    let change = json!({"task_defaults": {"max_rework": 9}});
    let edited = fleet.admin.patch(&path, &change).if_match("*").await.value(200);
    assert_eq!(edited["task_defaults"]["max_rework"], 9);
    add(&fleet, &goal, json!([task("c")])).await.expect(201);
    let c = fleet.task(&goal, "c").await;
    assert_eq!((&c["max_rework"], &c["max_attempts"]), (&json!(9), &json!(3)));
    assert_eq!((&c["capabilities"], &c["approval"]["result"]), (&json!([]), &json!(false)));
    let bad = json!({"task_defaults": {"max_attempts": 0}});
    let refused = fleet.admin.patch(&path, &bad).if_match("*").await;
    assert_eq!(refused.problem(422, "invalid"), ["/task_defaults/max_attempts"]);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn those_add_who_may_and_no_approval_is_got_around() {
    let fleet = Fleet::start().await;
    let submitter = fleet.client(&fleet.key("submitter").await);
    let body = json!({"title": "g", "tasks": [task("a")]});
    let own = text(&submitter.post("/v1/goals", &body).await.value(201)["id"]);
    let others = fleet.goal(json!([task("a")])).await;
    let more = json!({"tasks": [task("b")]});
    submitter.post(format!("/v1/goals/{own}/tasks"), &more).await.expect(201);
    let path = format!("/v1/goals/{others}/tasks");
    submitter.post(&path, &more).await.problem(403, "forbidden");
    fleet.worker().await.client.post(&path, &more).await.problem(403, "forbidden");
    let viewer = fleet.client(&fleet.key("viewer").await);
    viewer.post(&path, &more).await.problem(403, "forbidden");
    fleet.other_workspace().await.post(&path, &more).await.problem(404, "not_found");
    let nothing = format!("/v1/goals/{}/tasks", fleet.no_id());
    fleet.admin.post(nothing, &more).await.problem(404, "not_found");

    let planned = json!({"title": "g", "tasks": [task("a")], "approval": {"plan": true}});
    let planned = fleet.post_goal(planned).await;
    let path = format!("/v1/goals/{planned}/tasks");
    fleet.admin.post(&path, &more).await.problem(409, "wrong_state");
    fleet.decide(json!({"decision": "approve"})).await;
    fleet.poster.post(&path, &more).await.problem(403, "separation_of_duties");
    fleet.admin.post(&path, &more).await.expect(201);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn the_same_request_adds_once() {
    let fleet = Fleet::start().await;
    let goal = fleet.goal(json!([task("a")])).await;
    let path = format!("/v1/goals/{goal}/tasks");
    let body = json!({"tasks": [needs("b", &["a"])]});
    let first = fleet.admin.post(&path, &body).idempotency_key("k-1").await.expect(201);
    let again = fleet.admin.post(&path, &body).idempotency_key("k-1").await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json::<Value>(), first.json::<Value>());
    let other = fleet.admin.post(&path, &json!({"tasks": [task("c")]})).idempotency_key("k-1");
    other.await.problem(422, "idempotency_key_reused");
    assert_eq!(add(&fleet, &goal, json!([])).await.problem(422, "plan_invalid"), ["/tasks"]);
    assert_eq!(fleet.read_goal(&goal).await["tasks"]["total"], 2);
}

#[tokio::test]
async fn a_goal_grows_beyond_one_request_up_to_its_most() {
    let fleet = Fleet::start().await;
    let many = |from: usize, count: usize| -> Value {
        (from..from + count).map(|n| task(&format!("t{n}"))).collect()
    };
    let goal = fleet.goal(many(0, 5000)).await;
    let answer = add(&fleet, &goal, many(5000, 5001)).await;
    assert_eq!(answer.problem(422, "plan_invalid"), ["/tasks"]);
    add(&fleet, &goal, many(5000, 1000)).await.expect(201);
    assert_eq!(fleet.read_goal(&goal).await["tasks"]["total"], 6000);
    // As if it had grown before.
    sqlx::query(
        "update goals set tasks_total = tasks_total + 43999, tasks_done = tasks_done + 43999",
    )
    .execute(&fleet.pool)
    .await
    .unwrap();
    add(&fleet, &goal, many(6000, 1)).await.expect(201);
    let answer = add(&fleet, &goal, many(6001, 1)).await;
    assert_eq!(answer.problem(422, "plan_invalid"), ["/tasks"]);
    assert!(answer.describe().contains("50000"), "{}", answer.describe());
}

/// Tasks are added while what they need is claimed, while the last task completes, and while the goal is
/// cancelled: they are added as a whole and follow what they need, or refused.
#[tokio::test]
async fn adding_races_a_claim_a_completion_and_a_cancel() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let mut seen = BTreeSet::new();
    for n in 0..TRIES {
        let more = || json!([needs("x", &["a"]), needs("y", &["x"])]);
        let goal = fleet.goal(json!([task("a")])).await;
        // The path behind a task that gets dependents is longer: while that is written, it cannot be claimed.
        let claim = worker.claim_with(json!({"wait_seconds": 10}));
        let (added, mut held) = tokio::join!(add(&fleet, &goal, more()), claim);
        added.expect(201);
        let held = held.pop().expect("who waits is told");
        fleet.expect_states(&goal, "a:running x:waiting y:waiting").await;
        // The completion of the last task, unless there are more by then.
        let late = json!([needs("z", &["y"])]);
        worker.complete(&held).await;
        worker.complete(&worker.take().await).await;
        let held = worker.take().await;
        let (added, _) = if n % 2 == 0 {
            tokio::join!(add(&fleet, &goal, late), worker.complete(&held))
        } else {
            let (done, added) = tokio::join!(worker.complete(&held), add(&fleet, &goal, late));
            (added, done)
        };
        let first = added.status == 201;
        if first {
            assert_eq!(fleet.state(&goal, "z").await, "ready");
            worker.complete(&worker.take().await).await;
        } else {
            added.problem(409, "goal_ended");
        }
        assert_eq!(fleet.goal_state(&goal).await, "completed");
        seen.insert(("completion", first));
        // The cancel of the goal.
        let goal =
            fleet.goal(json!([{"ref": "a", "title": "a", "capabilities": ["nobody"]}])).await;
        let (path, reason) = (format!("/v1/goals/{goal}/cancel"), json!({}));
        let (added, cancelled) =
            tokio::join!(add(&fleet, &goal, more()), fleet.admin.post(&path, &reason));
        cancelled.expect(200);
        let first = added.status == 201;
        if !first {
            added.problem(409, "goal_ended");
        }
        let want = if first { "a:cancelled x:cancelled y:cancelled" } else { "a:cancelled" };
        fleet.expect_states(&goal, want).await;
        seen.insert(("cancel", first));
    }
    println!("whether the tasks came first: {seen:?}");
    verify(&fleet.pool).await;
}
