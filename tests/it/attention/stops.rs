//! Limits that are used up, freezes with tasks under them, and goals in which nothing changes.

use serde_json::{Value, json};

use super::{items, nothing, only, operator, send};
use crate::support::{
    fleet::{Fleet, text},
    invariants::verify,
};

const DAY: u64 = 24 * 3600;

async fn budget(fleet: &Fleet, node: Value, limits: Value, then: &str) -> Value {
    let mut body = node;
    body["budget"] = json!({"limits": limits, "on_exhausted": then});
    fleet.admin.post("/v1/budgets", &body).await.value(201)
}

fn tasks(count: usize, amount: i64) -> Value {
    let task =
        |n| json!({"ref": format!("t{n}"), "title": "t", "estimate": {"usd_micros": amount}});
    (0..count).map(task).collect()
}

#[tokio::test]
async fn an_exhausted_limit_is_raised_for_all_that_wait() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    let agent = fleet.worker().await;
    let limits = json!([{"unit": "input_tokens", "period": "day", "amount": 1000},
                        {"unit": "usd_micros", "amount": 100}]);
    let budget = budget(&fleet, json!({"node": "workspace"}), limits, "park").await;
    let goal = fleet.goal(tasks(6, 80)).await;
    let held = agent.claim(6).await;
    assert_eq!(held.len(), 1);
    fleet.round().await;
    // What is set aside may come back by itself: nobody has to do anything.
    nothing(&fleet).await;
    fleet.pass(60);
    let spend = json!({"entries": [{"key": "a", "amounts": {"usd_micros": 60}}]});
    agent.write(&held[0], "complete", json!({"spend": spend})).await.expect(200);
    fleet.round().await;
    agent.find_nothing().await;
    let item = only(&fleet, "exhausted_budget").await;
    assert_eq!((&item["budget_id"], &item["waiting_tasks"]), (&budget["id"], &json!(5)));
    assert_eq!((&item["risk"], &item["id"]), (&json!("high"), &item["limit_id"]));
    assert!(text(&item["detail"]).contains("60 of 100 are used and 0 set aside"), "{item:#}");
    assert_eq!(items(&fleet, &format!("&goal_id={goal}")).await.len(), 1);
    assert!(items(&fleet, &format!("&goal_id={}", fleet.no_id())).await.is_empty());

    let raised = send(&operator, &item).await.value(200);
    let amounts: Vec<_> =
        raised["limits"].as_array().unwrap().iter().map(|limit| &limit["amount"]).collect();
    assert_eq!(amounts, [&json!(1000), &json!(60 + 5 * 80)]);
    fleet.expect_states(&goal, "t0:done t1:ready t2:ready t3:ready t4:ready t5:ready").await;
    nothing(&fleet).await;
    assert_eq!(agent.claim(6).await.len(), 5);
    nothing(&fleet).await;
    verify(&fleet.pool).await;
}

/// It is edited in the version that was seen: whoever was first has cleared it already.
#[tokio::test]
async fn an_exhausted_limit_is_cleared_by_whoever_is_first_or_by_time() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let limits = |amount| json!([{"unit": "usd_micros", "period": "day", "amount": amount}]);
    let budget = budget(&fleet, json!({"node": "workspace"}), limits(100), "park").await;
    fleet.goal(tasks(3, 80)).await;
    let spend = json!({"entries": [{"key": "a", "amounts": {"usd_micros": 80}}]});
    agent.write(&agent.take().await, "complete", json!({"spend": spend})).await.expect(200);
    agent.find_nothing().await;
    let item = only(&fleet, "exhausted_budget").await;
    assert_eq!(item["risk"], "medium");
    assert!(text(&item["detail"]).contains("It has room again on 2026-03-02T00:00:00"), "{item:#}");
    let path = format!("/v1/budgets/{}", text(&budget["id"]));
    let change = json!({"limits": limits(300)});
    fleet.admin.patch(&path, &change).if_match("*").await.expect(200);
    nothing(&fleet).await;
    let action = &item["action"];
    let late = fleet.admin.patch(text(&action["path"]), &action["body"]);
    let late = late.if_match(&text(&action["headers"]["If-Match"])).await;
    late.problem(412, "precondition_failed");

    fleet.admin.patch(&path, &json!({"limits": limits(85)})).if_match("*").await.expect(200);
    agent.find_nothing().await;
    only(&fleet, "exhausted_budget").await;
    fleet.after(DAY / 2).await;
    agent.claim(3).await;
    assert!(items(&fleet, "&kind=exhausted_budget").await.is_empty());
}

/// Every scope: the item is there when tasks wait under the freeze, counts what the gate itself says is
/// under it, and goes when it is lifted.
#[tokio::test]
async fn a_freeze_with_tasks_under_it_is_lifted() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    fleet.agent("able", &["rust", "gpu"], 9).await;
    let goal = json!({"title": "g", "project": "p", "tasks": [
        {"ref": "box", "title": "b"},
        {"ref": "a", "title": "a", "parent": "box", "capabilities": ["rust"]},
        {"ref": "b", "title": "b", "parent": "box", "capabilities": ["gpu", "rust"]},
        {"ref": "c", "title": "c", "capabilities": ["gpu"]}]});
    let goal = fleet.post_goal(goal).await;
    fleet.goal(json!([{"ref": "d", "title": "d"}])).await;
    let project = text(&fleet.read_goal(&goal).await["project_id"]);
    let container = fleet.task_id(&goal, "box").await;
    nothing(&fleet).await;
    for (body, under) in [
        (json!({"scope": "workspace"}), 4),
        (json!({"scope": "project", "scope_id": project}), 3),
        (json!({"scope": "goal", "scope_id": goal}), 3),
        (json!({"scope": "task", "scope_id": container}), 2),
        (json!({"scope": "capability", "capability": "gpu"}), 2),
    ] {
        let mut body = body;
        (body["mode"], body["reason"]) = (json!("drain"), json!("a drill"));
        let freeze = fleet.admin.post("/v1/freezes", &body).await.value(201);
        let counted: i64 = sqlx::query_scalar(
            "select count(*) from tasks t
             cross join lateral freezes_over(t.workspace_id, t.task_id, null)
             where t.state = 'ready'",
        )
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
        let item = only(&fleet, "freeze").await;
        assert_eq!((&item["waiting_tasks"], counted), (&json!(under), under), "{body}");
        assert_eq!((&item["id"], &item["since"]), (&freeze["id"], &freeze["set_at"]));
        assert!(text(&item["detail"]).contains("(a drill)"), "{item:#}");
        assert_eq!(items(&fleet, &format!("&goal_id={goal}")).await.len(), 1, "{body}");
        send(&operator, &item).await;
        nothing(&fleet).await;
    }
    let idle = json!({"scope": "capability", "capability": "nobody", "mode": "stop"});
    fleet.admin.post("/v1/freezes", &idle).await.expect(201);
    nothing(&fleet).await;
}

/// What is frozen is not unclaimable too, and of two freezes each is lifted by itself.
#[tokio::test]
async fn a_cause_is_listed_once() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    let goal = fleet.lone_task(json!({"capabilities": ["gpu"]})).await;
    only(&fleet, "unclaimable_task").await;
    for body in [json!({"scope": "goal", "scope_id": goal}), json!({"scope": "workspace"})] {
        let mut body = body;
        body["mode"] = json!("pause");
        fleet.admin.post("/v1/freezes", &body).await.expect(201);
    }
    fleet.pass(2 * DAY);
    let found = items(&fleet, "").await;
    let kinds: Vec<_> = found.iter().map(|item| text(&item["kind"])).collect();
    assert_eq!(kinds, ["freeze", "freeze"]);
    send(&operator, &found[1]).await;
    assert_eq!(only(&fleet, "freeze").await["id"], found[0]["id"]);
    send(&operator, &found[0]).await;
    only(&fleet, "unclaimable_task").await;
}

#[tokio::test]
async fn a_goal_in_which_nothing_changes_is_put_first_and_then_cancelled() {
    let fleet = Fleet::start().await;
    let operator = operator(&fleet).await;
    let agent = fleet.agent("idle", &[], 1).await;
    // Somebody sees to it that the agent is counted on, but it claims nothing.
    let alive = async |most: u32| {
        let path = format!("/v1/agents/{}", agent.id);
        let change = json!({"max_concurrent": most});
        fleet.admin.patch(path, &change).if_match("*").await.expect(200);
    };
    let goal = fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let begun = fleet.now();
    fleet.pass(DAY);
    alive(2).await;
    nothing(&fleet).await;
    fleet.pass(60);
    let item = only(&fleet, "stalled_goal").await;
    assert_eq!((&item["goal_id"], &item["waiting_tasks"]), (&json!(goal), &json!(2)));
    assert_eq!(item["since"], serde_json::to_value(begun).unwrap());
    assert!(text(&item["detail"]).contains("of 2 open tasks 2 are ready and 0 running"));
    let put = send(&operator, &item).await.value(200);
    assert_eq!(put["priority"], 9);
    nothing(&fleet).await;
    fleet.pass(DAY + 60);
    alive(3).await;
    let item = only(&fleet, "stalled_goal").await;
    send(&operator, &item).await;
    assert_eq!(fleet.goal_state(&goal).await, "cancelled");
    nothing(&fleet).await;
}

/// An attempt that beats for ever and reports nothing is no progress; one that reports is.
#[tokio::test]
async fn an_attempt_that_reports_progress_is_a_change() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let long = json!({"attempt_timeout_seconds": 10 * DAY});
    let goal = fleet.lone_task(long).await;
    let held = agent.claim_with(json!({"lease_seconds": 3600})).await.remove(0);
    for _ in 0..25 {
        fleet.after(3500).await;
        agent.beat(&held).await;
    }
    let item = only(&fleet, "stalled_goal").await;
    assert!(text(&item["detail"]).contains("0 are ready and 1 running"), "{item:#}");
    let progress = json!({"progress": {"percent": 50}});
    agent.write(&held, "heartbeat", progress).await.expect(200);
    nothing(&fleet).await;
    for _ in 0..25 {
        fleet.after(3500).await;
        agent.beat(&held).await;
    }
    let item = only(&fleet, "stalled_goal").await;
    send(&operator(&fleet).await, &item).await;
    assert_eq!(fleet.goal_state(&goal).await, "cancelled");
    nothing(&fleet).await;
}

/// What is known to wait for something else is not stalled too.
#[tokio::test]
async fn a_goal_that_waits_for_something_known_is_not_stalled() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let later = fleet.now() + chrono::TimeDelta::days(30);
    fleet.lone_task(json!({"not_before": later})).await;
    fleet.lone_task(json!({"approval": {"start": true}})).await;
    fleet.lone_task(json!({"capabilities": ["gpu"]})).await;
    let limits = json!([{"unit": "usd_micros", "amount": 1}]);
    let short = fleet.goal(tasks(1, 50)).await;
    budget(&fleet, json!({"node": "goal", "node_id": short}), limits, "park").await;
    agent.find_nothing().await;
    fleet.expect_states(&short, "t0:parked").await;
    fleet.pass(3 * DAY);
    let mut kinds: Vec<_> =
        items(&fleet, "").await.iter().map(|item| text(&item["kind"])).collect();
    kinds.sort();
    assert_eq!(kinds, ["approval", "exhausted_budget", "unclaimable_task"]);
    verify(&fleet.pool).await;
}
