//! Goals with criteria of their own: verified when their tasks are done, reworked when one is not met, completed when
//! all are satisfied.

use serde_json::{Value, json};

use crate::{
    goals::all_pages,
    support::{
        agent::{Agent, Held},
        client::Answer,
        fleet::{Fleet, text},
        invariants::{verify, verify_rested},
    },
};

/// Posts a goal of one task `a` and these criteria, with more settings.
async fn post(fleet: &Fleet, criteria: Value, more: Value) -> String {
    let tasks = json!([{"ref": "a", "title": "a"}]);
    let mut body = json!({"title": "Ship it", "tasks": tasks, "criteria": criteria});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    fleet.post_goal(body).await
}

/// A goal with these criteria, whose only task is done.
async fn verifying(fleet: &Fleet, worker: &Agent, criteria: Value, more: Value) -> String {
    let goal = post(fleet, criteria, more).await;
    worker.complete(&worker.take().await).await;
    assert_eq!(fleet.goal_state(&goal).await, "verifying");
    goal
}

/// Evidence for the criteria of a task, each met or not.
pub fn evidence(found: &[bool]) -> Value {
    let piece = |(met, number): (&bool, usize)| json!({"criterion": number, "text": format!("seen: {met}"), "met": met});
    let pieces: Vec<Value> = found.iter().zip(1..).map(piece).collect();
    json!({"evidence": pieces})
}

/// Does the verification of a goal, with this evidence.
pub async fn check(worker: &Agent, found: &[bool]) -> Held {
    let held = worker.take().await;
    assert!(held.name.starts_with("verify-"), "{}", held.name);
    worker.write(&held, "complete", evidence(found)).await.expect(200);
    held
}

async fn mend(worker: &Agent) -> Held {
    let held = worker.take().await;
    assert!(held.name.starts_with("rework-"), "{}", held.name);
    worker.write(&held, "complete", evidence(&[true])).await.expect(200);
    held
}

async fn decide(fleet: &Fleet, goal: &str, number: i64, decision: Value) -> Answer {
    fleet.admin.post(format!("/v1/goals/{goal}/criteria/{number}/decide"), &decision).await
}

fn approve() -> Value {
    json!({"decision": "approve"})
}

fn reject(reason: &str) -> Value {
    json!({"decision": "reject", "reason": reason})
}

async fn criteria(fleet: &Fleet, goal: &str) -> Vec<Value> {
    fleet.read_goal(goal).await["criteria"].as_array().unwrap().clone()
}

async fn states(fleet: &Fleet, goal: &str) -> Vec<String> {
    criteria(fleet, goal).await.iter().map(|criterion| text(&criterion["state"])).collect()
}

/// The kinds of the events about a goal itself, in order.
async fn told(fleet: &Fleet, goal: &str) -> Vec<String> {
    let kinds =
        "select kind from journal where goal_id = $1::uuid and kind like 'goal.%' order by number";
    sqlx::query_scalar(kinds).bind(goal).fetch_all(&fleet.pool).await.unwrap()
}

#[tokio::test]
async fn evidence_of_a_check_completes_the_goal() {
    let fleet = Fleet::start().await;
    let worker = fleet.agent("worker", &["rust"], 9).await;
    let wanted = json!([
        {"text": "it is green"},
        {"text": "it was discussed", "satisfied": true},
        {"text": "it is fast", "required": false},
    ]);
    let more = json!({"priority": 8, "task_defaults": {"capabilities": ["rust"]}, "deadline": "2026-03-02T00:00:00Z"});
    let goal = post(&fleet, wanted, more).await;
    assert_eq!(states(&fleet, &goal).await, ["open", "satisfied", "open"]);
    let refused = decide(&fleet, &goal, 1, approve()).await;
    refused.problem(409, "wrong_state");
    let held = worker.take().await;
    worker.find_nothing().await;
    worker.complete(&held).await;

    let shown = fleet.read_goal(&goal).await;
    assert_eq!((&shown["state"], &shown["ended_at"]), (&json!("verifying"), &json!(null)));
    assert_eq!(
        all_pages(&fleet.admin, "/v1/goals?state=verifying").await,
        std::slice::from_ref(&goal)
    );
    assert_eq!(all_pages(&fleet.admin, "/v1/goals?state=active").await, [""; 0]);
    let held = worker.take().await;
    let task = &held.claim["task"];
    assert_eq!((&task["title"], &task["labels"]), (&json!("Verify: Ship it"), &json!(["verify"])));
    let read = fleet.admin.get(format!("/v1/tasks/{}", held.task)).await.value(200);
    assert_eq!((&read["priority"], &read["capabilities"]), (&json!(8), &json!(["rust"])));
    assert_eq!(
        task["criteria"],
        json!([
            {"number": 1, "text": "it is green", "required": true, "satisfied": false,
             "type": "text", "min_tier": "claimed"},
            {"number": 2, "text": "it is fast", "required": false, "satisfied": false,
             "type": "text", "min_tier": "claimed"},
        ])
    );
    worker.write(&held, "complete", json!({})).await.problem(422, "evidence_missing");
    let asked = worker.ask(&held, "input").await;
    fleet.admin.post(
        format!("/v1/approvals/{}/decide", text(&asked["id"])),
        &json!({"decision": "decline", "reason": "decide yourself", "payload_sha256": asked["payload_sha256"]}),
    ).await.expect(200);
    let held = check(&worker, &[true]).await;

    let shown = fleet.read_goal(&goal).await;
    assert_eq!(shown["state"], "completed");
    let first = &shown["criteria"][0];
    assert_eq!(
        (&first["state"], &first["attempt_id"]),
        (&json!("satisfied"), &json!(held.attempt))
    );
    assert_eq!((&first["task_id"], &first["decided_by"]), (&json!(held.task), &json!(null)));
    assert_eq!(shown["criteria"][2]["state"], "open");
    let attempt = fleet.admin.get(format!("/v1/attempts/{}", held.attempt)).await.value(200);
    assert_eq!(attempt["evidence"][0]["met"], true);
    assert_eq!(
        told(&fleet, &goal).await,
        [
            "goal.created",
            "goal.active",
            "goal.verifying",
            "goal.criterion_satisfied",
            "goal.completed"
        ]
    );
    decide(&fleet, &goal, 1, approve()).await.problem(409, "goal_ended");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_a_check_rejects_is_reworked_and_checked_again() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let wanted = json!([{"text": "it is\ngreen"}, {"text": "it is fast"}]);
    let goal = verifying(&fleet, &worker, wanted, json!({})).await;
    check(&worker, &[false, true]).await;
    assert_eq!(states(&fleet, &goal).await, ["rejected", "satisfied"]);
    let first = criteria(&fleet, &goal).await.remove(0);
    assert_eq!((&first["note"], &first["reworks"]), (&json!("seen: false"), &json!(1)));
    fleet.expect_states(&goal, "a:done verify-1:done rework-1-1:ready").await;
    decide(&fleet, &goal, 1, reject("still not")).await.problem(409, "wrong_state");

    let before = fleet.read_goal(&goal).await["version"].clone();
    let held = mend(&worker).await;
    let task = &held.claim["task"];
    assert_eq!(task["title"], "Rework: it is green");
    assert!(text(&task["description"]).contains("seen: false"), "{task}");
    assert_eq!(fleet.goal_state(&goal).await, "verifying", "what is mended is checked");
    assert_eq!(states(&fleet, &goal).await, ["open", "satisfied"]);
    assert_ne!(fleet.read_goal(&goal).await["version"], before, "readers who wait are told");
    assert_eq!(told(&fleet, &goal).await.last().unwrap(), "goal.criterion_opened");
    let held = check(&worker, &[true]).await;
    assert!(text(&held.claim["task"]["description"]).contains("not met before: seen: false"));
    assert_eq!(held.claim["task"]["criteria"].as_array().unwrap().len(), 1);
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn only_a_check_reports_that_a_criterion_is_not_met() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = verifying(&fleet, &worker, json!([{"text": "green"}]), json!({})).await;
    let held = worker.take().await;
    let general = json!({"evidence": [{"text": "x", "met": false}]});
    let answer = worker.write(&held, "complete", general).await;
    assert_eq!(answer.problem(422, "invalid"), ["/evidence/0/met"]);
    worker.write(&held, "complete", evidence(&[false])).await.expect(200);
    let held = worker.take().await;
    let answer = worker.write(&held, "complete", evidence(&[false])).await;
    assert_eq!(answer.problem(422, "invalid"), ["/evidence/0/met"], "a rework mends, or fails");
    assert_eq!(fleet.goal_state(&goal).await, "verifying");
}

#[tokio::test]
async fn a_person_decides_whatever_was_found() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let wanted = json!([{"text": "green"}, {"text": "fast"}]);
    let goal = verifying(&fleet, &worker, wanted, json!({})).await;
    decide(&fleet, &goal, 3, approve()).await.problem(404, "not_found");
    decide(&fleet, &goal, 1, json!({"decision": "reject"})).await.problem(422, "invalid");
    let before = fleet.read_goal(&goal).await["version"].clone();
    fleet.pass(1);
    let decided = decide(&fleet, &goal, 1, reject("two files are missing")).await.value(200);
    assert_ne!(decided["version"], before);
    let first = &decided["criteria"][0];
    assert_eq!(
        (&first["state"], &first["note"]),
        (&json!("rejected"), &json!("two files are missing"))
    );
    assert!(first["decided_by"].is_string());
    // The check goes on without it, and the rework beside it.
    let checked = worker.take().await;
    assert_eq!(checked.claim["task"]["criteria"][0]["required"], false);
    let fast = json!({"evidence": [{"criterion": 2, "text": "not fast", "met": false}]});
    fleet.pass(1);
    worker.write(&checked, "complete", fast).await.expect(200);
    assert_eq!(states(&fleet, &goal).await, ["rejected", "rejected"]);
    fleet.expect_states(&goal, "a:done verify-1:done rework-1-1:ready rework-2-1:ready").await;

    // A rework that runs when a person finds it needless is asked to stop; the goal waits for its end.
    let mending = worker.take().await;
    assert_eq!(mending.name, "rework-1-1");
    decide(&fleet, &goal, 1, approve()).await.expect(200);
    let decided = decide(&fleet, &goal, 2, approve()).await.value(200);
    assert_eq!((&decided["state"], &decided["tasks"]["open"]), (&json!("verifying"), &json!(1)));
    assert_eq!(worker.beat(&mending).await["directive"], "stop");
    worker.release(&mending).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;

    // Before anybody has claimed the check, the person alone completes the goal.
    let goal = verifying(&fleet, &worker, json!([{"text": "green"}]), json!({})).await;
    let same = decide(&fleet, &goal, 1, json!({"decision": "approve", "reason": "seen"})).await;
    assert_eq!(same.value(200)["state"], "completed");
    fleet.expect_states(&goal, "a:done verify-1:cancelled").await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Agents alone go round a bounded number of times. Then the goal waits for a person, who sees it and can go on.
#[tokio::test]
async fn reworks_of_agents_are_bounded_and_people_go_on() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let more = json!({"max_rework": 1});
    let goal = verifying(&fleet, &worker, json!([{"text": "green"}]), more).await;
    check(&worker, &[false]).await;
    mend(&worker).await;
    check(&worker, &[false]).await;
    worker.find_nothing().await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "verifying");
    verify_rested(&fleet.pool, fleet.now()).await;

    let page = fleet.admin.get("/v1/attention?kind=unverified_goal").await.value(200);
    assert_eq!(page["counts"]["unverified_goal"], 1);
    let item = &page["items"][0];
    assert_eq!((&item["goal_id"], &item["kind"]), (&json!(goal), &json!("unverified_goal")));
    assert!(text(&item["detail"]).contains("green"), "{item}");
    let action = &item["action"];
    fleet.admin.post(text(&action["path"]), &action["body"]).await.expect(200);
    let page = fleet.admin.get("/v1/attention").await.value(200);
    assert_eq!(page["counts"]["unverified_goal"], 0);
    mend(&worker).await;
    check(&worker, &[true]).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    assert_eq!(criteria(&fleet, &goal).await[0]["reworks"], 2);

    for wrong in [-1, 21] {
        let tasks = json!([{"ref": "a", "title": "a"}]);
        let body = json!({"title": "g", "tasks": tasks, "max_rework": wrong});
        let answer = fleet.poster.post("/v1/goals", &body).await;
        assert_eq!(answer.problem(422, "invalid"), ["/max_rework"]);
    }
}

/// A check that fails fails no goal: a person decides then.
#[tokio::test]
async fn a_failed_check_or_rework_leaves_the_goal_to_a_person() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = verifying(&fleet, &worker, json!([{"text": "green"}]), json!({})).await;
    worker.fail(&worker.take().await, "permanent").await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "verifying");
    worker.find_nothing().await;
    decide(&fleet, &goal, 1, reject("look at the log")).await.expect(200);
    worker.fail(&worker.take().await, "permanent").await;
    let page = fleet.admin.get(format!("/v1/attention?goal_id={goal}")).await.value(200);
    assert_eq!(page["counts"]["unverified_goal"], 1);
    verify_rested(&fleet.pool, fleet.now()).await;
    decide(&fleet, &goal, 1, approve()).await.expect(200);
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// A failed check is tried again and decides; work of the plan makes the goal active, and everything that evidence
/// showed is shown again.
#[tokio::test]
async fn what_comes_back_is_checked_anew() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal =
        verifying(&fleet, &worker, json!([{"text": "green"}, {"text": "fast"}]), json!({})).await;
    worker.fail(&worker.take().await, "permanent").await;
    let again = |task: String, verb: &'static str| {
        let path = format!("/v1/tasks/{task}/{verb}");
        fleet.admin.post(path, &json!({}))
    };
    again(fleet.task_id(&goal, "verify-1").await, "retry").await.expect(200);
    assert_eq!(fleet.goal_state(&goal).await, "verifying");
    check(&worker, &[true, false]).await;
    assert_eq!(states(&fleet, &goal).await, ["satisfied", "rejected"]);
    again(fleet.task_id(&goal, "verify-1").await, "reopen").await.expect(200);
    assert_eq!(fleet.goal_state(&goal).await, "verifying");
    assert_eq!(states(&fleet, &goal).await[0], "open", "its evidence was taken back");
    assert_eq!(told(&fleet, &goal).await.last().unwrap(), "goal.criterion_opened");
    verify(&fleet.pool).await;

    again(fleet.task_id(&goal, "a").await, "reopen").await.expect(200);
    assert_eq!(fleet.goal_state(&goal).await, "active");
    assert_eq!(fleet.state(&goal, "verify-1").await, "cancelled");
    assert_eq!(states(&fleet, &goal).await, ["open", "open"]);
    verify(&fleet.pool).await;
    while fleet.goal_state(&goal).await == "active" {
        let held = worker.take().await;
        assert!(!held.name.starts_with("verify"), "nothing is checked before the work is done");
        let shown = if held.name == "a" { json!({}) } else { evidence(&[true]) };
        worker.write(&held, "complete", shown).await.expect(200);
    }
    let more = json!({"tasks": [{"ref": "more", "title": "more"}]});
    fleet.poster.post(format!("/v1/goals/{goal}/tasks"), &more).await.expect(201);
    assert_eq!(fleet.goal_state(&goal).await, "active");
    let held = worker.take().await;
    assert_eq!(held.name, "more");
    worker.complete(&held).await;
    let path = format!("/v1/tasks/{}", fleet.task_id(&goal, "verify-3").await);
    let edit = fleet.admin.patch(path, &json!({"criteria": [{"text": "anything"}]})).if_match("*");
    edit.await.problem(409, "wrong_state");
    check(&worker, &[true, true]).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;

    // A completed goal whose work comes back is verified again too.
    again(fleet.task_id(&goal, "a").await, "reopen").await.expect(200);
    worker.complete(&worker.take().await).await;
    assert_eq!(fleet.goal_state(&goal).await, "verifying");
    check(&worker, &[true, true]).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_goal_is_cancelled_while_it_is_verifying() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = verifying(&fleet, &worker, json!([{"text": "green"}]), json!({})).await;
    let held = worker.take().await;
    let path = format!("/v1/goals/{goal}/cancel");
    let cancelled = fleet.admin.post(path, &json!({})).await.value(200);
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(worker.beat(&held).await["directive"], "stop");
    worker.write(&held, "complete", evidence(&[true])).await.expect(200);
    assert_eq!(fleet.goal_state(&goal).await, "cancelled");
    assert_eq!(states(&fleet, &goal).await, ["open"], "what comes after the end decides nothing");
    decide(&fleet, &goal, 1, approve()).await.problem(409, "goal_ended");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Approvals of results are as the goal's defaults say; a waiver of the reviewer is their decision.
#[tokio::test]
async fn the_result_of_a_check_is_reviewed_if_the_defaults_say_so() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let more = json!({"task_defaults": {"approval": {"result": true}}});
    let goal = post(&fleet, json!([{"text": "green"}, {"text": "fast"}]), more).await;
    worker.complete(&worker.take().await).await;
    fleet.decide(approve()).await;
    assert_eq!(fleet.goal_state(&goal).await, "verifying");
    check(&worker, &[true]).await;
    assert_eq!(states(&fleet, &goal).await, ["open", "open"], "nobody has accepted it yet");
    let waive = json!([{"criterion": 2, "reason": "measured by hand"}]);
    fleet.decide(json!({"decision": "approve", "waive": waive})).await;
    let found = criteria(&fleet, &goal).await;
    assert_eq!(
        (&found[1]["state"], &found[1]["note"]),
        (&json!("satisfied"), &json!("measured by hand"))
    );
    assert!(found[1]["decided_by"].is_string() && found[0]["decided_by"].is_null());
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Nobody decides about their own goal, unless everybody is excluded; and no other workspace sees it.
#[tokio::test]
async fn people_decide_about_the_work_of_others() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let criteria = json!([{"text": "green"}]);
    let goal = verifying(&fleet, &worker, criteria.clone(), json!({})).await;
    let path = format!("/v1/goals/{goal}/criteria/1/decide");
    fleet.poster.post(&path, &approve()).await.problem(403, "separation_of_duties");
    let submitter = fleet.client(&fleet.key("submitter").await);
    submitter.post(&path, &approve()).await.problem(403, "forbidden");
    worker.client.post(&path, &approve()).await.problem(403, "forbidden");
    let stranger = fleet.other_workspace().await;
    stranger.post(&path, &approve()).await.problem(404, "not_found");
    let alone = json!({"decision": "approve", "nobody_else": true});
    fleet.admin.post(&path, &alone).await.problem(403, "separation_of_duties");
    fleet.poster.post(&path, &alone).await.problem(403, "forbidden");
    fleet.admin.post(&path, &approve()).await.expect(200);

    // The admin posts, and the only other operator registered the agent that checked.
    let tasks = json!([{"ref": "a", "title": "a", "done": true}]);
    let body = json!({"title": "g", "tasks": tasks, "criteria": criteria, "max_rework": 0});
    let goal = fleet.admin.post("/v1/goals", &body).await.value(201);
    assert_eq!(goal["state"], "verifying", "its tasks were done when it was posted");
    check(&worker, &[false]).await;
    let path = format!("/v1/goals/{}/criteria/1/decide", text(&goal["id"]));
    fleet.admin.post(&path, &approve()).await.problem(403, "separation_of_duties");
    fleet.poster.post(&path, &approve()).await.problem(403, "separation_of_duties");
    assert_eq!(fleet.admin.post(&path, &alone).await.value(200)["state"], "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// More criteria than a task may have are checked by several tasks, and bad defaults are refused at the post.
#[tokio::test]
async fn many_criteria_are_checked_by_several_tasks() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let many: Vec<Value> = (0..201).map(|n| json!({"text": format!("criterion {n}")})).collect();
    let goal = verifying(&fleet, &worker, json!(many), json!({})).await;
    fleet.expect_states(&goal, "a:done verify-1:ready verify-2:ready").await;
    check(&worker, &[true; 200]).await;
    check(&worker, &[true]).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;

    let tasks = json!([{"ref": "verify-1", "title": "a", "done": true, "max_attempts": 1}]);
    let post = |criteria: Value, defaults: Value| {
        let body =
            json!({"title": "g", "tasks": tasks, "criteria": criteria, "task_defaults": defaults});
        fleet.poster.post("/v1/goals", &body)
    };
    let answer = post(json!([{"text": "x"}]), json!({"max_attempts": 0})).await;
    assert_eq!(answer.problem(422, "invalid"), ["/task_defaults/max_attempts"]);
    let answer = post(json!([{"text": " "}]), json!({})).await;
    assert_eq!(answer.problem(422, "invalid"), ["/criteria/0/text"]);
    let answer = post(json!(vec![json!({"text": "x"}); 1_001]), json!({})).await;
    assert_eq!(answer.problem(422, "invalid"), ["/criteria"]);
    // A ref that the plan has taken stands in nobody's way.
    let goal = text(&post(json!([{"text": "x"}]), json!({})).await.value(201)["id"]);
    check(&worker, &[true]).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
}

/// The last completion, a cancellation and a decision at the same moment: whatever comes first, the goal and its
/// criteria agree, and no task is left behind.
#[tokio::test]
async fn in_any_order_the_goal_and_its_criteria_agree() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    for round in 0..64 {
        let last = round % 4 < 2;
        let goal = if last {
            post(&fleet, json!([{"text": "green"}]), json!({})).await
        } else {
            verifying(&fleet, &worker, json!([{"text": "green"}]), json!({})).await
        };
        let held = worker.take().await;
        let found = if last { json!({}) } else { evidence(&[round % 8 < 4]) };
        let complete = async { worker.write(&held, "complete", found).await };
        let cancel =
            async { fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await };
        let decision = if round % 3 == 0 { reject("no") } else { approve() };
        let judge = async { decide(&fleet, &goal, 1, decision).await };
        let second = async { if round % 2 == 0 { cancel.await } else { judge.await } };
        let (completed, second) = tokio::join!(complete, second);
        for answer in [completed, second] {
            assert!(matches!(answer.status.as_u16(), 200 | 409), "{}", answer.describe());
        }
        // What is left is worked off, so that the next round claims its own task.
        while let Some(held) = worker.claim(1).await.pop() {
            worker.write(&held, "complete", evidence(&[true])).await.expect(200);
        }
        let ended = fleet.goal_state(&goal).await;
        assert!(matches!(ended.as_str(), "completed" | "cancelled"), "round {round}: {ended}");
    }
    verify(&fleet.pool).await;
    verify_rested(&fleet.pool, fleet.now()).await;
}
