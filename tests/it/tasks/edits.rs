//! Editing tasks: what may change when, what it does to their state, and the races of it.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Call},
    fleet::{Fleet, text},
    invariants::{verify, verify_rested},
};

const TRIES: usize = 64;

async fn patch(fleet: &Fleet, goal: &str, name: &str, change: Value) -> Answer {
    let path = format!("/v1/tasks/{}", fleet.task_id(goal, name).await);
    edit(fleet, &path, &change).await
}

fn edit(fleet: &Fleet, path: &str, change: &Value) -> Call {
    fleet.admin.patch(path, change).if_match("*")
}

fn task(name: &str) -> Value {
    json!({"ref": name, "title": name})
}

fn needs(name: &str, needs: &[&str]) -> Value {
    json!({"ref": name, "title": name, "needs": needs})
}

#[tokio::test]
async fn all_values_of_a_task_that_nobody_works_on_change_and_null_sets_them_back() {
    let fleet = Fleet::start().await;
    let goal = fleet.goal(json!([task("a"), needs("b", &["a"])])).await;
    let change = json!({
        "title": "better", "description": "Do it.", "input": {"path": "src"}, "labels": ["US1"],
        "capabilities": ["rust", "api"], "needs": [], "estimate": {"usd_micros": 500},
        "criteria": [{"text": "green"}, {"text": "read", "satisfied": true}], "priority": 8,
        "not_before": "2026-03-01T13:00:00Z", "max_attempts": 5, "max_rework": 7,
        "lease_seconds": 30, "attempt_timeout_seconds": 600, "start_within_seconds": 60,
        "finish_within_seconds": 900,
    });
    let edited = patch(&fleet, &goal, "b", change).await.value(200);
    for (field, want) in [
        ("state", json!("waiting")),
        ("title", json!("better")),
        ("description", json!("Do it.")),
        ("input", json!({"path": "src"})),
        ("labels", json!(["US1"])),
        ("capabilities", json!(["api", "rust"])),
        ("needs", json!([])),
        ("needs_unmet", json!(0)),
        ("estimate", json!({"usd_micros": 500})),
        ("priority", json!(8)),
        ("ready_from", json!("2026-03-01T13:00:00Z")),
        ("max_attempts", json!(5)),
        ("max_rework", json!(7)),
        ("lease_seconds", json!(30)),
        ("attempt_timeout_seconds", json!(600)),
        ("start_within_seconds", json!(60)),
        ("finish_within_seconds", json!(900)),
        ("version", json!(2)),
    ] {
        assert_eq!(edited[field], want, "{field}");
    }
    assert_eq!(edited["criteria"][1]["required"], false);
    let again = patch(&fleet, &goal, "b", json!({"title": "better", "needs": null})).await;
    assert_eq!(again.value(200)["version"], 2, "an edit that changes nothing is no edit");

    let cleared = json!({
        "description": null, "input": null, "labels": null, "capabilities": null, "estimate": null,
        "criteria": null, "priority": null, "not_before": null, "max_attempts": null,
        "max_rework": null, "lease_seconds": null, "attempt_timeout_seconds": null,
        "start_within_seconds": null, "finish_within_seconds": null,
    });
    let edited = patch(&fleet, &goal, "b", cleared).await.value(200);
    for (field, want) in [
        ("state", json!("ready")),
        ("description", json!("")),
        ("input", Value::Null),
        ("labels", json!([])),
        ("capabilities", json!([])),
        ("estimate", json!({})),
        ("criteria", json!([])),
        ("priority", json!(5)),
        ("max_attempts", json!(3)),
        ("max_rework", json!(3)),
        ("lease_seconds", json!(60)),
        ("attempt_timeout_seconds", json!(14400)),
        ("start_within_seconds", Value::Null),
        ("finish_within_seconds", Value::Null),
        ("title", json!("better")),
    ] {
        assert_eq!(edited[field], want, "{field}");
    }
    let bad = json!({"title": null, "priority": 10, "max_attempts": 0, "labels": [" "]});
    assert_eq!(patch(&fleet, &goal, "b", bad).await.problem(422, "invalid"), ["/title"]);
    let bad =
        json!({"priority": 10, "max_attempts": 0, "labels": [" "], "criteria": [{"text": ""}]});
    let pointers = patch(&fleet, &goal, "b", bad).await.problem(422, "invalid");
    assert_eq!(pointers, ["/priority", "/criteria/0/text", "/labels/0", "/max_attempts"]);

    let rows: Vec<(Value, bool)> = sqlx::query_as(
        "select data, before_sha256 <> after_sha256 from journal where kind = 'task.updated'
         order by number",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|(_, differ)| *differ));
    assert_eq!((&rows[0].0["priority_before"], &rows[0].0["priority"]), (&json!(5), &json!(8)));
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn new_needs_make_a_ready_task_wait_and_their_end_offers_it() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let hands = fleet.agent("hands", &["hands"], 9).await;
    let tasks = json!([
        {"ref": "a", "title": "a", "capabilities": ["hands"]},
        {"ref": "b", "title": "b", "capabilities": ["hands"]},
        task("c"), needs("d", &["c"]),
        {"ref": "box", "title": "box", "needs": ["c"]}, {"ref": "in", "title": "in", "parent": "box"},
    ]);
    let goal = fleet.goal(tasks).await;
    let by_id = fleet.task_id(&goal, "b").await;
    let edited = patch(&fleet, &goal, "c", json!({"needs": ["a", by_id]})).await.value(200);
    assert_eq!((&edited["state"], &edited["needs_unmet"]), (&json!("waiting"), &json!(2)));
    assert_eq!(edited["needs"][1]["ref"], "b");
    worker.find_nothing().await;
    verify(&fleet.pool).await;

    for (name, change, says) in [
        ("c", json!(["c"]), "circle"),
        ("c", json!(["d"]), "circle"),
        // It is in a container that waits for it.
        ("c", json!(["in"]), "circle"),
        ("c", json!(["nobody"]), "no task with the ref"),
        ("c", json!(["a", "a"]), "listed twice"),
        (
            "c",
            json!(["a", "a", fleet.task_id(&goal, "a").await]),
            "2 errors; the first is at /needs/1: is listed",
        ),
    ] {
        let answer = patch(&fleet, &goal, name, json!({"needs": change})).await;
        assert!(answer.problem(422, "plan_invalid")[0].starts_with("/needs"), "{change}");
        assert!(answer.describe().contains(says), "{change}: {}", answer.describe());
    }
    let held = hands.claim(2).await;
    hands.complete(&held[0]).await;
    assert_eq!(fleet.state(&goal, "c").await, "waiting");
    // The other need falls away, and the one that is done counts as met.
    let edited = patch(&fleet, &goal, "c", json!({"needs": ["a"]})).await.value(200);
    let want = if held[0].name == "a" { "ready" } else { "waiting" };
    assert_eq!(edited["state"], want);
    let edited = patch(&fleet, &goal, "c", json!({"needs": [held[0].name]})).await.value(200);
    assert_eq!((&edited["state"], &edited["needs_unmet"]), (&json!("ready"), &json!(0)));
    // A need that failed is refused, with what to do.
    let other = &held[1];
    hands.fail(other, "permanent").await;
    let answer = patch(&fleet, &goal, "c", json!({"needs": [other.name]})).await;
    assert_eq!(answer.problem(422, "plan_invalid"), ["/needs/0"]);
    assert!(answer.describe().contains("replaces it"), "{}", answer.describe());

    let edited = patch(&fleet, &goal, "d", json!({"needs": null})).await.value(200);
    assert_eq!(edited["state"], "ready");
    let edited = patch(&fleet, &goal, "box", json!({"needs": null})).await.value(200);
    assert_eq!(edited["state"], "running", "a container opens");
    assert_eq!(fleet.state(&goal, "in").await, "ready");
    let pointers = patch(&fleet, &goal, "box", json!({"needs": ["c"], "title": "crate"})).await;
    assert_eq!(pointers.problem(409, "wrong_state"), ["/needs"]);
    patch(&fleet, &goal, "box", json!({"title": "crate"})).await.expect(200);
    let refused = patch(&fleet, &goal, "box", json!({"criteria": [{"text": "x"}]})).await;
    assert_eq!(refused.problem(422, "invalid"), ["/criteria"]);
    worker.work_off().await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "failed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_start_time_holds_a_task_back_and_its_end_offers_it() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.lone_task(json!({"start_within_seconds": 60})).await;
    let later = json!({"not_before": "2026-03-01T12:10:00Z"});
    let edited = patch(&fleet, &goal, "a", later).await.value(200);
    assert_eq!((&edited["state"], &edited["start_by"]), (&json!("waiting"), &Value::Null));
    worker.find_nothing().await;
    fleet.after(599).await;
    assert_eq!(fleet.state(&goal, "a").await, "waiting");
    fleet.after(1).await;
    let ready = fleet.task(&goal, "a").await;
    assert_eq!(
        (&ready["state"], &ready["start_by"]),
        (&json!("ready"), &json!("2026-03-01T12:11:00Z"))
    );
    let edited = patch(&fleet, &goal, "a", json!({"start_within_seconds": 90})).await.value(200);
    assert_eq!(edited["start_by"], "2026-03-01T12:11:30Z");
    let past = json!({"not_before": "2026-03-01T12:00:00Z"});
    let same = patch(&fleet, &goal, "a", past).await.value(200);
    assert_eq!(
        (&same["version"], &same["ready_from"]),
        (&edited["version"], &edited["ready_from"])
    );
    // The end of a backoff.
    worker.fail(&worker.take().await, "transient").await;
    assert_eq!(fleet.state(&goal, "a").await, "waiting");
    let edited = patch(&fleet, &goal, "a", json!({"not_before": null})).await.value(200);
    assert_eq!(edited["state"], "ready");
    let low = patch(&fleet, &goal, "a", json!({"max_attempts": 1})).await;
    assert_eq!(low.problem(422, "invalid"), ["/max_attempts"]);
    patch(&fleet, &goal, "a", json!({"max_attempts": 2})).await.expect(200);
    worker.fail(&worker.take().await, "transient").await;
    assert_eq!(fleet.state(&goal, "a").await, "failed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_is_worked_on_says_what_may_change() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.lone_task(json!({"approval": {"result": true}})).await;
    let held = worker.take().await;
    let all = json!({"title": "x", "needs": ["y"], "labels": ["l"], "criteria": [{"text": "c"}]});
    let refused = patch(&fleet, &goal, "a", all).await;
    assert_eq!(refused.problem(409, "wrong_state"), ["/title", "/needs", "/criteria"]);
    let detail = text(&refused.json::<Value>()["detail"]);
    for free in ["priority", "labels", "max_attempts", "max_rework", "lease_seconds"] {
        assert!(detail.contains(&format!("`{free}`")), "{detail}");
    }
    let free = json!({"labels": ["l"], "priority": 1, "max_rework": 9, "lease_seconds": 5,
                      "title": "a"});
    let edited = patch(&fleet, &goal, "a", free).await.value(200);
    assert_eq!((&edited["state"], &edited["max_rework"]), (&json!("running"), &json!(9)));
    worker.complete(&held).await;
    let refused = patch(&fleet, &goal, "a", json!({"max_rework": 8, "labels": []})).await;
    assert_eq!(refused.problem(409, "wrong_state"), ["/max_rework"]);
    fleet.decide(json!({"decision": "approve"})).await;
    patch(&fleet, &goal, "a", json!({"labels": []})).await.problem(409, "task_ended");

    // Parked by its attempt: the next one gets the new text, and it cannot wait for another task.
    let goal =
        fleet.goal(json!([task("a"), {"ref": "b", "title": "b", "capabilities": ["x"]}])).await;
    let held = worker.take().await;
    worker.ask(&held, "input").await;
    let refused =
        patch(&fleet, &goal, "a", json!({"needs": ["b"], "not_before": "2026-04-01T00:00:00Z"}));
    assert_eq!(refused.await.problem(409, "wrong_state"), ["/needs", "/not_before"]);
    let criteria = json!({"title": "new", "criteria": [{"text": "green"}]});
    let edited = patch(&fleet, &goal, "a", criteria).await.value(200);
    assert_eq!(edited["state"], "parked");
    fleet.decide(json!({"decision": "answer", "answer": "yes"})).await;
    let held = worker.take().await;
    assert_eq!(held.claim["task"]["title"], "new");
    worker.write(&held, "complete", json!({})).await.problem(422, "evidence_missing");
    let shown = json!({"evidence": [{"criterion": 1, "text": "57 passed"}]});
    worker.write(&held, "complete", shown).await.expect(200);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_failed_task_is_mended_before_its_retry() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            task("first"), {"ref": "a", "title": "a", "approval": {"start": true}, "needs": ["first"]},
            {"ref": "box", "title": "box"}, {"ref": "in", "title": "in", "parent": "box"},
            {"ref": "more", "title": "more", "parent": "box", "capabilities": ["hands"]},
            {"ref": "after", "title": "after", "needs": ["box"]},
        ]))
        .await;
    for held in worker.claim(2).await {
        match held.name.as_str() {
            "in" => worker.fail(&held, "permanent").await,
            _ => worker.complete(&held).await,
        };
    }
    // Its container needs it, once it is retried.
    for need in ["box", "after"] {
        let circle = patch(&fleet, &goal, "in", json!({"needs": [need]})).await;
        assert_eq!(circle.problem(422, "plan_invalid"), ["/needs"], "{need}");
    }
    fleet.decide(json!({"decision": "approve"})).await;
    worker.fail(&worker.take().await, "permanent").await;
    let hands = fleet.agent("hands", &["hands"], 9).await;
    hands.complete(&hands.take().await).await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "failed");
    let path = format!("/v1/goals/{goal}");
    let added = fleet.admin.post(format!("{path}/tasks"), &json!({"tasks": [task("n")]})).await;
    added.problem(409, "goal_ended");
    assert!(added.describe().contains("/retry"), "{}", added.describe());

    let refused = patch(&fleet, &goal, "a", json!({"max_attempts": 9, "title": "b"})).await;
    assert_eq!(refused.problem(409, "wrong_state"), ["/max_attempts"]);
    let change = json!({"title": "b", "description": "Mind the gap.", "labels": ["l"],
                        "needs": ["first", "more"], "criteria": [{"text": "green"}],
                        "not_before": "2026-03-01T12:10:00Z"});
    let edited = patch(&fleet, &goal, "a", change).await.value(200);
    assert_eq!(
        (&edited["state"], &edited["title"], &edited["needs_unmet"]),
        (&json!("failed"), &json!("b"), &json!(0))
    );
    verify_rested(&fleet.pool, fleet.now()).await;

    fleet.admin.post(format!("{path}/retry"), &json!({})).await.expect(200);
    assert_eq!(fleet.state(&goal, "a").await, "waiting", "its new time lies ahead");
    verify(&fleet.pool).await;
    fleet.after(600).await;
    // The start was approved with another text.
    assert_eq!(fleet.state(&goal, "a").await, "parked");
    fleet.decide(json!({"decision": "approve"})).await;
    let mended = worker.claim(9).await.into_iter().find(|held| held.name == "a").unwrap();
    assert_eq!(mended.claim["task"]["title"], "b");
    worker.write(&mended, "complete", json!({})).await.problem(422, "evidence_missing");
    let shown = json!({"evidence": [{"criterion": 1, "text": "seen"}]});
    worker.write(&mended, "complete", shown).await.expect(200);
    let done = patch(&fleet, &goal, "a", json!({"title": "c"})).await;
    done.problem(409, "task_ended");
    assert!(done.describe().contains("/reopen"), "{}", done.describe());
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_person_is_asked_about_the_text_that_holds() {
    let fleet = Fleet::start().await;
    let tasks = json!([
        {"ref": "a", "title": "a", "approval": {"start": true}},
        {"ref": "b", "title": "b", "capabilities": ["nobody"]},
    ]);
    let goal = fleet.goal(tasks).await;
    let first = fleet.question().await;
    patch(&fleet, &goal, "a", json!({"labels": ["l"]})).await.expect(200);
    assert_eq!(fleet.question().await["id"], first["id"], "the labels are not asked about");
    patch(&fleet, &goal, "a", json!({"description": "Drop the table."})).await.expect(200);
    let second = fleet.question().await;
    assert_ne!(second["id"], first["id"]);
    let read = fleet.admin.get(format!("/v1/approvals/{}", text(&second["id"]))).await.value(200);
    assert_eq!(read["payload"]["description"], "Drop the table.");
    verify(&fleet.pool).await;

    let edited = patch(&fleet, &goal, "a", json!({"needs": ["b"]})).await.value(200);
    assert_eq!(edited["state"], "waiting");
    assert!(fleet.questions().await.is_empty(), "nobody is asked about what cannot start");
    verify(&fleet.pool).await;
    let edited = patch(&fleet, &goal, "a", json!({"needs": null})).await.value(200);
    assert_eq!(edited["state"], "parked");
    fleet.decide(json!({"decision": "approve"})).await;
    assert_eq!(fleet.state(&goal, "a").await, "ready");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_task_that_waits_for_a_budget_is_offered_when_it_asks_for_less() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = json!({
        "title": "g", "budget": {"limits": [{"unit": "usd_micros", "amount": 100}]},
        "tasks": [{"ref": "a", "title": "a", "estimate": {"usd_micros": 500}},
                  {"ref": "b", "title": "b", "capabilities": ["nobody"]}],
    });
    let goal = fleet.post_goal(goal).await;
    worker.find_nothing().await;
    assert_eq!(fleet.state(&goal, "a").await, "parked");
    assert_eq!(fleet.questions().await.len(), 1);
    let edited = patch(&fleet, &goal, "a", json!({"needs": ["b"]})).await.value(200);
    assert_eq!(edited["state"], "waiting");
    assert!(fleet.questions().await.is_empty());
    patch(&fleet, &goal, "a", json!({"needs": []})).await.expect(200);
    worker.find_nothing().await;
    assert_eq!(fleet.state(&goal, "a").await, "parked");
    verify(&fleet.pool).await;
    let edited =
        patch(&fleet, &goal, "a", json!({"estimate": {"usd_micros": 50}})).await.value(200);
    assert_eq!((&edited["state"], &edited["waits_for_budget"]), (&json!("ready"), &Value::Null));
    assert_eq!(worker.take().await.name, "a");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_ready_task_is_found_by_those_who_can_do_it_now() {
    let fleet = Fleet::start().await;
    let (rust, go) = (fleet.agent("r", &["rust"], 9).await, fleet.agent("g", &["go"], 9).await);
    let goal = fleet.lone_task(json!({"capabilities": ["rust"]})).await;
    let waits = go.client.post("/v1/claims", &json!({"wait_seconds": 30}));
    let change = async {
        // Whether the claim waits already or comes later, it gets the task.
        patch(&fleet, &goal, "a", json!({"capabilities": ["go"]})).await.expect(200)
    };
    let (claimed, _) = tokio::join!(waits, change);
    assert_eq!(claimed.value(200)["claims"][0]["task"]["ref"], "a");
    rust.find_nothing().await;
}

/// What a reopened task had offered keeps its need met. Its edit neither counts that need twice nor closes a
/// circle with it.
#[tokio::test]
async fn needs_that_were_met_by_a_reopened_task_are_counted_once() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    for change in [json!({"needs": []}), json!({"needs": ["a", "c"]})] {
        let goal = fleet
            .goal(json!([
                {"ref": "a", "title": "a", "priority": 9}, needs("b", &["a"]),
                {"ref": "c", "title": "c", "capabilities": ["nobody"]},
            ]))
            .await;
        worker.complete(&worker.take().await).await;
        worker.fail(&worker.take().await, "transient").await;
        fleet.after(10).await;
        let path = format!("/v1/tasks/{}/reopen", fleet.task_id(&goal, "a").await);
        fleet.admin.post(path, &json!({"reason": "look again"})).await.expect(200);
        let circle = patch(&fleet, &goal, "a", json!({"needs": ["b"]})).await;
        assert_eq!(circle.problem(422, "plan_invalid"), ["/needs"]);
        let edited = patch(&fleet, &goal, "b", change.clone()).await.value(200);
        let (state, unmet) =
            if change["needs"] == json!([]) { ("ready", 0) } else { ("waiting", 1) };
        assert_eq!((&edited["state"], &edited["needs_unmet"]), (&json!(state), &json!(unmet)));
        verify(&fleet.pool).await;
        fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn the_time_of_a_task_that_waits_again_begins_anew() {
    let fleet = Fleet::start().await;
    let goal = fleet.lone_task(json!({"finish_within_seconds": 100})).await;
    let later = json!({"not_before": "2026-03-01T12:10:00Z"});
    let edited = patch(&fleet, &goal, "a", later).await.value(200);
    assert_eq!((&edited["state"], &edited["finish_by"]), (&json!("waiting"), &Value::Null));
    fleet.after(600).await;
    let task = fleet.task(&goal, "a").await;
    assert_eq!(
        (&task["state"], &task["finish_by"]),
        (&json!("ready"), &json!("2026-03-01T12:11:40Z"))
    );
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn an_edit_does_not_get_around_an_approval() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = json!({"title": "g", "tasks": [task("a")], "approval": {"plan": true}});
    let goal = fleet.post_goal(goal).await;
    fleet.decide(json!({"decision": "approve"})).await;
    let path = format!("/v1/tasks/{}", fleet.task_id(&goal, "a").await);
    for change in [json!({"title": "x"}), json!({"criteria": [{"text": "x"}]})] {
        let own = fleet.poster.patch(&path, &change).if_match("*").await;
        own.problem(403, "separation_of_duties");
    }
    fleet.poster.patch(&path, &json!({"priority": 9})).if_match("*").await.expect(200);
    let defaults = json!({"task_defaults": {"max_attempts": 9}});
    let own = fleet.poster.patch(format!("/v1/goals/{goal}"), &defaults).if_match("*").await;
    own.problem(403, "separation_of_duties");
    edit(&fleet, &path, &json!({"title": "x"})).await.expect(200);
    worker.work_off().await;

    // The start was approved with another text.
    let goal = fleet.lone_task(json!({"approval": {"start": true}})).await;
    fleet.decide(json!({"decision": "approve"})).await;
    assert_eq!(fleet.state(&goal, "a").await, "ready");
    let edited = patch(&fleet, &goal, "a", json!({"labels": ["l"]})).await.value(200);
    assert_eq!(edited["state"], "ready");
    let edited = patch(&fleet, &goal, "a", json!({"description": "Drop the table."})).await;
    assert_eq!(edited.value(200)["state"], "parked");
    worker.find_nothing().await;
    verify(&fleet.pool).await;
    fleet.decide(json!({"decision": "approve"})).await;
    assert_eq!(worker.take().await.name, "a");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn only_operators_of_the_workspace_edit() {
    let fleet = Fleet::start().await;
    let goal = fleet.lone_task(json!({})).await;
    let path = format!("/v1/tasks/{}", fleet.task_id(&goal, "a").await);
    let change = json!({"title": "mine", "needs": []});
    for role in ["submitter", "viewer"] {
        let client = fleet.client(&fleet.key(role).await);
        client.patch(&path, &change).if_match("*").await.problem(403, "forbidden");
    }
    let client = fleet.client(&fleet.key("operator").await);
    let other = fleet.other_workspace().await;
    other.patch(&path, &change).if_match("*").await.problem(404, "not_found");
    client.patch(&path, &change).await.problem(428, "precondition_required");
    client.patch(&path, &change).if_match("\"v9\"").await.problem(412, "precondition_failed");
    client.patch(&path, &change).if_match("\"v1\"").await.expect(200);
}

/// A task gets a need while it is claimed, while the need completes, and while the need is cancelled:
/// whichever comes first, the edit is seen as a whole or refused, and nothing is stuck.
#[tokio::test]
async fn an_edit_races_a_claim_a_completion_and_a_cancel() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let hands = fleet.agent("hands", &["hands"], 1000).await;
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..TRIES {
        let tasks = json!([task("a"), {"ref": "z", "title": "z", "capabilities": ["hands"]}]);
        let goal = fleet.goal(tasks).await;
        let a = fleet.task_id(&goal, "a").await;
        let path = format!("/v1/tasks/{a}");
        let change = json!({"title": "new", "needs": ["z"]});
        let edit_a = async { edit(&fleet, &path, &change).await };
        // A claim.
        let (edited, held) = if n % 2 == 0 {
            tokio::join!(edit_a, worker.claim(1))
        } else {
            let (held, edited) = tokio::join!(worker.claim(1), edit_a);
            (edited, held)
        };
        match held.as_slice() {
            [] => assert_eq!(edited.value(200)["state"], "waiting"),
            [held] => {
                edited.problem(409, "wrong_state");
                assert_eq!((&held.task, &held.claim["task"]["title"]), (&a, &json!("a")));
                worker.complete(held).await;
            }
            more => panic!("one task was claimed {} times", more.len()),
        }
        seen.insert(("claim", held.len()));
        // The completion of a need.
        let goal = fleet.goal(json!([
            {"ref": "z", "title": "z", "priority": 9, "capabilities": ["hands"]},
            {"ref": "c", "title": "c", "capabilities": ["later"]},
        ]));
        let goal = goal.await;
        let path = format!("/v1/tasks/{}", fleet.task_id(&goal, "c").await);
        let held = hands
            .claim(100)
            .await
            .into_iter()
            .find(|held| held.claim["task"]["goal_id"] == json!(goal));
        let held = held.unwrap();
        let need = json!({"needs": ["z"]});
        let (edited, _) = tokio::join!(edit(&fleet, &path, &need), hands.complete(&held));
        let state = text(&edited.value(200)["state"]);
        assert_eq!(fleet.state(&goal, "c").await, "ready");
        seen.insert(("completion", usize::from(state == "ready")));
        // The cancel of a need.
        let goal = fleet.goal(json!([
            {"ref": "x", "title": "x", "capabilities": ["never"]},
            {"ref": "c", "title": "c", "capabilities": ["later"]},
        ]));
        let goal = goal.await;
        let path = format!("/v1/tasks/{}", fleet.task_id(&goal, "c").await);
        let cancel = format!("/v1/tasks/{}/cancel", fleet.task_id(&goal, "x").await);
        let need = json!({"needs": ["x"]});
        let reason = json!({});
        let (edited, cancelled) =
            tokio::join!(edit(&fleet, &path, &need), fleet.admin.post(&cancel, &reason));
        cancelled.expect(200);
        let first = edited.status == 200;
        if !first {
            edited.problem(422, "plan_invalid");
        }
        let want = if first { "cancelled" } else { "ready" };
        assert_eq!(fleet.state(&goal, "c").await, want);
        seen.insert(("cancel", usize::from(first)));
    }
    println!("what came first: {seen:?}");
    verify(&fleet.pool).await;
}

/// Edits of one task with one version: exactly one is stored.
#[tokio::test]
async fn edits_at_once_with_one_version_are_one_edit() {
    let fleet = Fleet::start().await;
    let goal = fleet.lone_task(json!({})).await;
    let path = format!("/v1/tasks/{}", fleet.task_id(&goal, "a").await);
    let edits = (0..8).map(|n| {
        let change = json!({"title": format!("title {n}")});
        let (path, fleet) = (&path, &fleet);
        async move { fleet.admin.patch(path, &change).if_match("\"v1\"").await.status.as_u16() }
    });
    let mut statuses = join_all(edits).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
}
