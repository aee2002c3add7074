//! Listing, reading, editing and cancelling tasks.

mod cancels;
mod deadlines;
mod edits;
mod finding;
mod reopen;
pub mod retry;

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    goals::all_pages,
    support::fleet::{Fleet, text},
};

fn refs(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|task| text(&task["ref"])).collect()
}

async fn listed(fleet: &Fleet, query: &str) -> Vec<String> {
    refs(&fleet.admin.get(format!("/v1/tasks?{query}")).await.value(200))
}

#[tokio::test]
async fn the_tasks_of_a_goal_are_listed_in_the_order_of_its_plan() {
    let fleet = Fleet::start().await;
    let names: Vec<String> = (0..230).map(|n| format!("t{n}")).collect();
    let tasks: Vec<Value> = names.iter().map(|n| json!({"ref": n, "title": n})).collect();
    let goal = fleet.goal(json!(tasks)).await;
    fleet.lone_task(json!({})).await;
    let mut found = Vec::new();
    for id in all_pages(&fleet.admin, &format!("/v1/tasks?goal_id={goal}&limit=64")).await {
        let task = fleet.admin.get(format!("/v1/tasks/{id}")).await.value(200);
        found.push(text(&task["ref"]));
    }
    assert_eq!(found, names);
    assert_eq!(all_pages(&fleet.admin, "/v1/tasks?limit=200").await.len(), 231);
}

#[tokio::test]
async fn subtasks_come_after_what_was_planned() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let task = |name: &str| json!({"ref": name, "title": name});
    let goal = fleet.goal(json!([task("a"), task("b")])).await;
    let held = worker.take().await;
    worker.subtasks(&held, json!([task("z"), task("y")])).await;
    assert_eq!(listed(&fleet, &format!("goal_id={goal}")).await, ["a", "b", "z", "y"]);
    let children = format!("parent_id={}", held.task);
    assert_eq!(listed(&fleet, &children).await, ["z", "y"]);
    let first = fleet.admin.get(format!("/v1/tasks?{children}&limit=1")).await.value(200);
    let cursor = text(&first["next_cursor"]);
    assert_eq!(listed(&fleet, &format!("{children}&limit=1&cursor={cursor}")).await, ["y"]);

    let parent = fleet.task(&goal, &held.name).await;
    assert_eq!((&parent["state"], &parent["children_open"]), (&json!("parked"), &json!(2)));
    assert_eq!(parent["children_count"], 2);
    assert_eq!(parent["children"][0]["ref"], "z");
    assert_eq!(fleet.task(&goal, "z").await["parent_id"], json!(held.task));
}

#[tokio::test]
async fn tasks_of_all_goals_are_listed_newest_first_by_state_and_capability() {
    let fleet = Fleet::start().await;
    let worker = fleet.agent("worker", &["rust"], 9).await;
    for n in 0..3 {
        fleet.pass(1);
        fleet
            .goal(json!([
                {"ref": format!("r{n}"), "title": "r", "capabilities": ["rust"]},
                {"ref": format!("w{n}"), "title": "w", "needs": [format!("r{n}")]},
                {"ref": format!("p{n}"), "title": "p", "capabilities": ["python", "rust"]},
            ]))
            .await;
    }
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(listed(&fleet, "").await[..3], names(&["p2", "w2", "r2"]));
    assert_eq!(listed(&fleet, "state=waiting").await, names(&["w2", "w1", "w0"]));
    let python = "capability=python&state=ready";
    assert_eq!(listed(&fleet, python).await, names(&["p2", "p1", "p0"]));
    let first = fleet.admin.get(format!("/v1/tasks?{python}&limit=2")).await.value(200);
    let cursor = text(&first["next_cursor"]);
    assert_eq!(listed(&fleet, &format!("{python}&limit=2&cursor={cursor}")).await, names(&["p0"]));
    assert_eq!(listed(&fleet, "capability=cobol&state=ready").await, names(&[]));

    let held = worker.claim(2).await;
    worker.complete(&held[0]).await;
    worker.fail(&held[1], "permanent").await;
    let (done, failed) = (&held[0].name, &held[1].name);
    assert_eq!(listed(&fleet, "state=done").await, names(&[done]));
    assert_eq!(listed(&fleet, "state=failed").await, names(&[failed]));
    let ended = listed(&fleet, "state=done&state=failed&state=cancelled").await;
    assert_eq!(ended.len(), 3, "what needs the failed one is cancelled: {ended:?}");
    assert!(ended.is_sorted_by(|a, b| a[1..] >= b[1..]), "{ended:?}");

    assert_eq!(listed(&fleet, "capability=python&limit=2").await, names(&["p2", "p1"]));
    let rust = listed(&fleet, "capability=rust&state=done").await;
    assert_eq!(rust, names(&[done]));
    let goal = text(&first["items"][0]["goal_id"]);
    let of_goal = listed(&fleet, &format!("goal_id={goal}&capability=rust")).await;
    assert_eq!(of_goal, names(&["r2", "p2"]));
}

#[tokio::test]
async fn a_task_shows_everything_that_is_known_of_it() {
    let fleet = Fleet::start().await;
    let goal = fleet
        .goal(json!([
            {"ref": "schema", "title": "Schema"},
            {
                "ref": "api", "title": "API", "description": "Write it.", "needs": ["schema"],
                "capabilities": ["rust"], "labels": ["US1"], "section": "Core", "priority": 8,
                "criteria": [{"text": "tests pass"}, {"text": "fast", "required": false}],
                "estimate": {"usd_micros": 500}, "input": {"path": "src"},
                "approval": {"result": true}, "max_attempts": 5, "lease_seconds": 30,
                "start_within_seconds": 600,
            },
            {"ref": "docs", "title": "Docs", "needs": ["api"]},
        ]))
        .await;
    let answer = fleet
        .admin
        .get(format!("/v1/tasks/{}", fleet.task_id(&goal, "api").await))
        .await
        .expect(200);
    assert_eq!(answer.etag(), "\"v1\"");
    let task: Value = answer.json();
    for (field, want) in [
        ("state", json!("waiting")),
        ("goal_id", json!(goal)),
        ("description", json!("Write it.")),
        ("capabilities", json!(["rust"])),
        ("labels", json!(["US1"])),
        ("section", json!("Core")),
        ("priority", json!(8)),
        ("estimate", json!({"usd_micros": 500})),
        ("input", json!({"path": "src"})),
        ("approval", json!({"start": false, "result": true})),
        ("max_attempts", json!(5)),
        ("attempts_used", json!(0)),
        ("lease_seconds", json!(30)),
        ("attempt_timeout_seconds", json!(4 * 3600)),
        ("start_within_seconds", json!(600)),
        ("finish_within_seconds", Value::Null),
        ("needs_unmet", json!(1)),
        ("attempt_id", Value::Null),
        ("agent_id", Value::Null),
        ("quarantined", json!(false)),
        ("result", Value::Null),
        ("spend", json!({})),
        ("dependents_count", json!(1)),
    ] {
        assert_eq!(task[field], want, "{field}");
    }
    assert_eq!(task["needs"][0]["ref"], "schema");
    assert_eq!(task["needs"][0]["state"], "ready");
    assert_eq!(task["dependents"][0]["title"], "Docs");
    let criterion = json!({
        "number": 2, "text": "fast", "required": false, "satisfied": false, "evidence_count": 0,
        "type": "text", "min_tier": "claimed", "tier": null, "verdict": "open",
    });
    assert_eq!(task["criteria"][1], criterion);
}

#[tokio::test]
async fn a_task_shows_who_works_on_it_and_then_what_came_of_it() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.lone_task(json!({"criteria": [{"text": "green"}]})).await;
    let held = worker.take().await;
    let running = fleet.task(&goal, "a").await;
    assert_eq!(
        (&running["attempt_id"], &running["agent_id"]),
        (&json!(held.attempt), &json!(worker.id))
    );
    let done = json!({
        "result": {"commit": "4f2a91c"},
        "evidence": [{"criterion": 1, "text": "57 passed"}, {"text": "see", "uri": "https://ci"}],
        "spend": {"totals": {"output_tokens": 12}},
    });
    worker.write(&held, "complete", done).await.expect(200);
    let task = fleet.task(&goal, "a").await;
    assert_eq!((&task["state"], &task["agent_id"]), (&json!("done"), &Value::Null));
    assert_eq!(task["result"], json!({"commit": "4f2a91c"}));
    assert_eq!(task["spend"], json!({"output_tokens": 12}));
    assert_eq!(task["criteria"][0]["evidence_count"], 1);
    assert_eq!(task["evidence"][1]["uri"], "https://ci");
    assert!(task["version"].as_i64() > running["version"].as_i64());
}

#[tokio::test]
async fn an_agent_that_falls_silent_three_times_leaves_a_task_in_quarantine() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.lone_task(json!({"max_attempts": 9})).await;
    for _ in 0..3 {
        worker.take().await;
        fleet.after(120).await;
        fleet.after(120).await;
    }
    let task = fleet.task(&goal, "a").await;
    assert_eq!((&task["state"], &task["failure_class"]), (&json!("failed"), &json!("lost")));
    assert_eq!(task["quarantined"], true);
}

#[tokio::test]
async fn a_higher_priority_is_claimed_first() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let path = format!("/v1/tasks/{}", fleet.task_id(&goal, "b").await);
    let patch = |body: Value| fleet.admin.patch(&path, &body);
    patch(json!({"priority": 9})).await.problem(428, "precondition_required");
    patch(json!({"priority": 9})).if_match("\"v7\"").await.problem(412, "precondition_failed");
    let refused = patch(json!({"priority": 10})).if_match("*").await;
    assert_eq!(refused.problem(422, "invalid"), ["/priority"]);
    patch(json!({"tittle": "no"})).if_match("*").await.problem(422, "invalid");

    let answer = patch(json!({"priority": 9})).if_match("\"v1\"").await.expect(200);
    assert_eq!(answer.etag(), "\"v2\"");
    assert_eq!(answer.json::<Value>()["priority"], 9);
    let same = patch(json!({"priority": 9})).if_match("\"v2\"").await.expect(200);
    assert_eq!(same.etag(), "\"v2\"", "an edit that changes nothing is no edit");
    assert_eq!(worker.work_off().await, ["b", "a"]);
    patch(json!({"priority": 1})).if_match("*").await.problem(409, "task_ended");
}

#[tokio::test]
async fn a_lower_priority_is_claimed_when_it_has_waited_long_enough() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let old = fleet.lone_task(json!({"priority": 5})).await;
    let path = format!("/v1/tasks/{}", fleet.task_id(&old, "a").await);
    fleet.admin.patch(&path, &json!({"priority": 0})).if_match("*").await.expect(200);
    fleet.pass(5 * 300 - 1);
    fleet.lone_task(json!({"priority": 5})).await;
    assert_ne!(worker.take().await.task, fleet.task_id(&old, "a").await);
    fleet.pass(2);
    fleet.lone_task(json!({"priority": 5})).await;
    assert_eq!(worker.take().await.task, fleet.task_id(&old, "a").await);
}

#[tokio::test]
async fn a_cancelled_task_takes_along_what_cannot_be_done_without_it() {
    let fleet = Fleet::start().await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "a"},
            {"ref": "b", "title": "b", "needs": ["a"]},
            {"ref": "box", "title": "box", "needs": ["b"]},
            {"ref": "in", "title": "in", "parent": "box"},
            {"ref": "free", "title": "free"},
        ]))
        .await;
    let path = format!("/v1/tasks/{}/cancel", fleet.task_id(&goal, "a").await);
    let task = fleet.admin.post(&path, &json!({"reason": "not wanted"})).await.value(200);
    assert_eq!((&task["state"], &task["end_reason"]), (&json!("cancelled"), &json!("not wanted")));
    let states = "a:cancelled b:cancelled box:cancelled in:cancelled free:ready";
    fleet.expect_states(&goal, states).await;
    let again = fleet.admin.post(&path, &json!({})).await.value(200);
    assert_eq!((&again["end_reason"], &again["version"]), (&json!("not wanted"), &task["version"]));

    fleet.worker().await.work_off().await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "cancelled");
    let done = format!("/v1/tasks/{}/cancel", fleet.task_id(&goal, "free").await);
    fleet.admin.post(&done, &json!({})).await.problem(409, "task_ended");
}

#[tokio::test]
async fn a_running_task_is_asked_to_stop_and_a_result_that_comes_first_counts() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let path = format!("/v1/tasks/{}/cancel", fleet.task_id(&goal, "a").await);
    let held = worker.take().await;
    let task = fleet.admin.post(&path, &json!({})).await.value(200);
    assert_eq!(task["state"], "running");
    assert!(task["cancel_requested_at"].is_string() && task["cancel_by"].is_string(), "{task}");
    fleet.pass(10);
    let again = fleet.admin.post(&path, &json!({})).await.value(200);
    assert_eq!(again["cancel_by"], task["cancel_by"], "the grace is not given twice");
    assert_eq!(worker.beat(&held).await["directive"], "stop");
    worker.complete(&held).await;
    assert_eq!(fleet.state(&goal, "a").await, "done");
}

#[tokio::test]
async fn a_running_task_that_does_not_stop_is_cut_off() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.lone_task(json!({"lease_seconds": 3600})).await;
    let held = worker.take().await;
    let path = format!("/v1/tasks/{}/cancel", held.task);
    fleet.admin.post(&path, &json!({})).await.expect(200);
    fleet.after(61).await;
    assert_eq!(fleet.state(&goal, "a").await, "cancelled");
    worker.write(&held, "complete", json!({})).await.problem(409, "lease_lost");
}

#[tokio::test]
async fn cancellations_of_one_goal_at_once_do_not_meet() {
    let fleet = Fleet::start().await;
    let tasks: Vec<Value> = (0..12)
        .map(|n: i32| {
            let needs: Vec<String> = (0..n).map(|m| format!("t{m}")).collect();
            json!({"ref": format!("t{n}"), "title": "t", "needs": needs})
        })
        .collect();
    let goal = fleet.goal(json!(tasks)).await;
    let mut cancels = Vec::new();
    for n in (0..12).rev() {
        let path = format!("/v1/tasks/{}/cancel", fleet.task_id(&goal, &format!("t{n}")).await);
        let admin = fleet.admin.clone();
        cancels.push(async move { admin.post(&path, &json!({})).await.expect(200) });
    }
    futures_util::future::join_all(cancels).await;
    let counts = fleet.read_goal(&goal).await["tasks"].clone();
    assert_eq!(counts["cancelled"], 12);
}

#[tokio::test]
async fn agents_read_and_do_not_edit() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let task = fleet.task_id(&goal, "a").await;
    worker.client.get(format!("/v1/tasks/{task}")).await.expect(200);
    worker.client.get(format!("/v1/goals/{goal}")).await.expect(200);
    worker.client.get("/v1/approvals").await.expect(200);
    let edit = worker.client.patch(format!("/v1/tasks/{task}"), &json!({"priority": 9}));
    edit.if_match("*").await.problem(403, "forbidden");
    let cancel = worker.client.post(format!("/v1/tasks/{task}/cancel"), &json!({}));
    cancel.await.problem(403, "forbidden");
    let post = worker.client.post("/v1/goals", &json!({"title": "mine", "brief": "- [ ] a"}));
    post.await.problem(403, "forbidden");
}

#[tokio::test]
async fn what_belongs_to_another_workspace_does_not_exist() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let held = worker.take().await;
    let approval = text(&worker.ask(&held, "action").await["id"]);
    let other = fleet.other_workspace().await;
    let (task, attempt, agent) = (&held.task, &held.attempt, &worker.id);
    for path in [
        format!("/v1/goals/{goal}"),
        format!("/v1/goals/{goal}/plans"),
        format!("/v1/tasks/{task}"),
        format!("/v1/tasks/{task}/attempts"),
        format!("/v1/attempts/{attempt}"),
        format!("/v1/attempts/{attempt}/spend"),
        format!("/v1/agents/{agent}/attempts"),
        format!("/v1/approvals/{approval}"),
    ] {
        fleet.admin.get(&path).await.expect(200);
        other.get(&path).await.problem(404, "not_found");
    }
    for path in [
        "/v1/goals".to_owned(),
        format!("/v1/tasks?goal_id={goal}"),
        format!("/v1/tasks?parent_id={task}"),
        "/v1/tasks".to_owned(),
        "/v1/approvals".to_owned(),
        format!("/v1/approvals?goal_id={goal}"),
    ] {
        assert!(all_pages(&other, &path).await.is_empty(), "{path}");
    }
    for path in [format!("/v1/goals/{goal}/cancel"), format!("/v1/tasks/{task}/cancel")] {
        other.post(&path, &json!({})).await.problem(404, "not_found");
    }
    let edit = other.patch(format!("/v1/tasks/{task}"), &json!({"priority": 1})).if_match("*");
    edit.await.problem(404, "not_found");
}

#[tokio::test]
async fn what_does_not_exist_is_404_and_filters_by_it_find_nothing() {
    let fleet = Fleet::start().await;
    fleet.lone_task(json!({})).await;
    fleet.clock.advance(Duration::from_secs(1));
    let nobody = "0195a000-0000-7000-8000-000000000000";
    for id in [nobody, "nonsense"] {
        let path = format!("/v1/tasks/{id}");
        fleet.admin.get(&path).await.problem(404, "not_found");
        fleet.admin.get(format!("{path}/attempts")).await.problem(404, "not_found");
        let edit = fleet.admin.patch(&path, &json!({})).if_match("*");
        edit.await.problem(404, "not_found");
        let cancel = fleet.admin.post(format!("{path}/cancel"), &json!({}));
        cancel.await.problem(404, "not_found");
    }
    assert!(listed(&fleet, &format!("goal_id={nobody}")).await.is_empty());
    assert!(listed(&fleet, &format!("parent_id={nobody}")).await.is_empty());
}
