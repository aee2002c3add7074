//! Tasks that are too large: divided by their agent, by a person, or waiting for it.

use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    fleet::{Fleet, text},
    invariants::{verify, verify_rested},
};

fn parts() -> Value {
    json!([{"ref": "p", "title": "p"}, {"ref": "q", "title": "q", "needs": ["p"]}])
}

#[tokio::test]
async fn an_agent_divides_its_task_and_the_rest_stays() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "Whole", "priority": 9, "finish_within_seconds": 600},
            {"ref": "b", "title": "b", "needs": ["a"]},
            {"ref": "c", "title": "c"},
        ]))
        .await;
    let held = agent.take().await;
    let spend = json!({"entries": [{"key": "k", "amounts": {"usd_micros": 5}}]});
    let body = json!({"tasks": parts(), "message": "two services", "spend": spend});
    let answer = agent.write(&held, "split", body).await.value(201);
    assert_eq!(
        (&answer["attempt_state"], &answer["task_state"]),
        (&json!("released"), &json!("running"))
    );
    assert_eq!(answer["parts"].as_array().unwrap().len(), 2, "nothing is left to be checked");
    fleet.expect_states(&goal, "a:running b:waiting c:ready p:ready q:waiting").await;
    let whole = fleet.task(&goal, "a").await;
    assert_eq!((&whole["container"], &whole["attempts_used"]), (&json!(true), &json!(0)));
    assert_eq!((&whole["spend"]["usd_micros"], &whole["finish_by"]), (&json!(5), &Value::Null));
    assert!(whole["split_at"].is_string());
    verify(&fleet.pool).await;
    agent.write(&held, "complete", json!({})).await.problem(409, "lease_lost");
    fleet.after(3600).await;
    assert_eq!(agent.work_off().await.len(), 4);
    fleet.round().await;
    fleet.expect_states(&goal, "a:done b:done c:done p:done q:done").await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_the_whole_was_checked_by_its_last_part_is() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("able", &["rust"], 9).await;
    let goal = fleet
        .goal(json!([{"ref": "a", "title": "Whole", "capabilities": ["rust"], "approval": {"result": true},
                      "criteria": [{"text": "it works"}, {"text": "it is fast", "required": false}]}]))
        .await;
    let held = agent.take().await;
    let answer = agent.write(&held, "split", json!({"tasks": parts()})).await.value(201);
    assert_eq!(answer["parts"][2]["ref"], "a-check");
    let check = fleet.task(&goal, "a-check").await;
    assert_eq!(check["capabilities"], json!(["rust"]));
    assert_eq!(
        (&check["approval"]["result"], check["criteria"].as_array().unwrap().len()),
        (&json!(true), 2)
    );
    assert!(fleet.task(&goal, "a").await["criteria"].as_array().unwrap().is_empty());
    let worker = fleet.worker().await;
    assert_eq!(worker.work_off().await, ["p", "q"]);
    let held = agent.take().await;
    let evidence = json!([{"criterion": 1, "text": "214 passed"}]);
    agent.write(&held, "complete", json!({"evidence": evidence})).await.expect(200);
    fleet.expect_states(&goal, "a:running p:done q:done a-check:reviewing").await;
    fleet.decide(json!({"decision": "approve"})).await;
    fleet.expect_states(&goal, "a:done p:done q:done a-check:done").await;
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_task_that_is_too_large_twice_waits_to_be_divided() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([{"ref": "a", "title": "Whole"}, {"ref": "b", "title": "b", "needs": ["a"]}]))
        .await;
    let answer = agent.fail(&agent.take().await, "too_large").await;
    assert_eq!(answer["task_state"], "waiting", "once may be the agent's");
    fleet.after(5).await;
    let held = agent.take().await;
    let body = json!({"class": "too_large", "message": "it touches three services"});
    let answer = agent.write(&held, "fail", body).await.value(200);
    assert_eq!((&answer["task_state"], &answer["retry_at"]), (&json!("parked"), &Value::Null));
    fleet.after(7200).await;
    agent.find_nothing().await;
    fleet.expect_states(&goal, "a:parked b:waiting").await;
    verify_rested(&fleet.pool, fleet.now()).await;
    let page = fleet.admin.get("/v1/attention?kind=oversized_task").await.value(200);
    assert_eq!(page["counts"]["oversized_task"], 1);
    let item = &page["items"][0];
    assert_eq!(item["task_id"], json!(held.task));
    assert!(text(&item["detail"]).contains("three services"), "{item:#}");
    assert_eq!(page["counts"]["stalled_goal"], 0);
    let path = format!("/v1/tasks/{}/split", held.task);
    let divided = fleet.admin.post(&path, &json!({"tasks": parts()})).await.value(200);
    assert_eq!((&divided["state"], &divided["oversized_at"]), (&json!("running"), &Value::Null));
    let page = fleet.admin.get("/v1/attention").await.value(200);
    assert_eq!(page["counts"]["oversized_task"], 0);
    assert_eq!(agent.work_off().await, ["p", "q", "b"]);
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// The request of the attention list can be sent as it is.
#[tokio::test]
async fn another_agent_may_be_able_to_do_it_whole() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({"max_attempts": 1})).await;
    agent.fail(&agent.take().await, "too_large").await;
    fleet.expect_states(&goal, "a:parked").await;
    let page = fleet.admin.get("/v1/attention?kind=oversized_task").await.value(200);
    let action = &page["items"][0]["action"];
    fleet.admin.post(text(&action["path"]), &action["body"]).await.expect(200);
    agent.find_nothing().await;
    let other = fleet.agent("other", &[], 1).await;
    assert_eq!(other.work_off().await, ["a"]);
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn divisions_end() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({"max_attempts": 1})).await;
    for depth in 0..3 {
        let held = agent.take().await;
        let part = format!("part{depth}");
        let body = json!({"tasks": [{"ref": part, "title": part, "max_attempts": 1}]});
        agent.write(&held, "split", body).await.expect(201);
    }
    let held = agent.take().await;
    let body = json!({"tasks": [{"ref": "no", "title": "no"}]});
    agent.write(&held, "split", body).await.problem(409, "wrong_state");
    agent.fail(&held, "too_large").await;
    fleet.round().await;
    fleet.expect_states(&goal, "a:failed part0:failed part1:failed part2:failed").await;
    assert_eq!(fleet.task(&goal, "part2").await["failure_class"], "too_large");
    verify_rested(&fleet.pool, fleet.now()).await;
    // All of it comes back.
    fleet.admin.post(format!("/v1/goals/{goal}/retry"), &json!({})).await.expect(200);
    fleet.expect_states(&goal, "a:running part0:running part1:running part2:ready").await;
    agent.work_off().await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_would_lose_something_is_not_divided() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let budget = json!({"limits": [{"unit": "usd_micros", "amount": 100}]});
    let goal = fleet
        .goal(json!([
            {"ref": "budgeted", "title": "t", "priority": 9, "budget": budget},
            {"ref": "waits", "title": "t", "needs": ["budgeted"]},
            {"ref": "free", "title": "t", "capabilities": ["nobody"]},
        ]))
        .await;
    let held = agent.take().await;
    let body = json!({"tasks": parts()});
    agent.write(&held, "split", body.clone()).await.problem(409, "wrong_state");
    let split = |task: String, body: Value| {
        let admin = fleet.admin.clone();
        async move { admin.post(format!("/v1/tasks/{task}/split"), &body).await }
    };
    split(held.task.clone(), body.clone()).await.problem(409, "wrong_state");
    split(fleet.task_id(&goal, "waits").await, body.clone()).await.problem(409, "wrong_state");
    let free = fleet.task_id(&goal, "free").await;
    let done = json!({"tasks": [{"ref": "p", "title": "p", "done": true}]});
    assert_eq!(split(free.clone(), done).await.problem(422, "invalid"), ["/tasks/0/done"]);
    let circle = json!({"tasks": [{"ref": "p", "title": "p", "needs": ["q"]}, {"ref": "q", "title": "q", "needs": ["p"]}]});
    split(free.clone(), circle).await.problem(422, "plan_invalid");
    let other = json!({"tasks": [{"ref": "p", "title": "p", "needs": ["budgeted"]}]});
    assert_eq!(split(free.clone(), other).await.problem(422, "plan_invalid"), ["/tasks/0/needs/0"]);
    split(free.clone(), json!({"tasks": []})).await.problem(422, "invalid");
    fleet.expect_states(&goal, "budgeted:running waits:waiting free:ready").await;
    split(free.clone(), body.clone()).await.expect(200);
    split(free, body).await.problem(409, "wrong_state");
    verify(&fleet.pool).await;
}

/// A division is within the approved plan for its agent, and a change of it for a person who could not have
/// approved it.
#[tokio::test]
async fn an_approved_plan_is_divided_by_its_approvers() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal =
        json!({"title": "g", "approval": {"plan": true}, "tasks": [{"ref": "a", "title": "a"}]});
    let goal = fleet.post_goal(goal).await;
    fleet.decide(json!({"decision": "approve"})).await;
    let path = format!("/v1/tasks/{}/split", fleet.task_id(&goal, "a").await);
    let body = json!({"tasks": parts()});
    fleet.poster.post(&path, &body).await.problem(403, "separation_of_duties");
    let held = agent.take().await;
    agent.write(&held, "split", body).await.expect(201);
    agent.work_off().await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_divided_task_ends_with_its_parts() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([{"ref": "a", "title": "a", "priority": 9}, {"ref": "b", "title": "b", "needs": ["a"]}]))
        .await;
    let held = agent.take().await;
    agent.write(&held, "split", json!({"tasks": parts()})).await.expect(201);
    agent.fail(&agent.take().await, "permanent").await;
    fleet.round().await;
    fleet.expect_states(&goal, "a:failed b:cancelled p:failed q:cancelled").await;
    assert_eq!(fleet.task(&goal, "a").await["failure_class"], "children_failed");
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// The states of planning runs for parts: `agent:running`.
async fn turns(fleet: &Fleet, goal: &str) -> String {
    let page = fleet.admin.get(format!("/v1/goals/{goal}/planning?limit=200")).await.value(200);
    let runs =
        page["items"].as_array().unwrap().iter().rev().filter(|run| run["target"] == "parts");
    let turn = |run: &Value| format!("{}:{}", text(&run["planner"]), text(&run["state"]));
    runs.map(turn).collect::<Vec<_>>().join(" ")
}

/// A goal that an agent planned, and whose only task was too large; with its id and the task.
async fn too_large(fleet: &Fleet, planner: &Agent, worker: &Agent) -> (String, String) {
    let body = json!({"title": "Big", "brief": "Make it.", "planner": "agent"});
    let goal = text(&fleet.poster.post("/v1/goals", &body).await.value(201)["id"]);
    fleet.round().await;
    let whole = json!({"tasks": [{"ref": "whole", "title": "Write everything", "description": "All of it.",
                                  "criteria": [{"text": "it works", "required": false}]}], "notes": []});
    hand_in(fleet, planner, &planner.take().await, &whole).await;
    worker.fail(&worker.take().await, "too_large").await;
    fleet.after(5).await;
    let held = worker.take().await;
    let answer = worker.fail(&held, "too_large").await;
    assert_eq!(answer["task_state"], "parked");
    assert_eq!(turns(fleet, &goal).await, "agent:waiting");
    fleet.round().await;
    (goal, held.task)
}

async fn hand_in(fleet: &Fleet, agent: &Agent, held: &Held, plan: &Value) {
    agent.write(held, "complete", json!({"result": plan})).await.expect(200);
    fleet.round().await;
}

fn planned_parts() -> Value {
    let part = |name: &str, needs: Value| json!({"ref": name, "title": format!("Write part {name}"), "needs": needs, "criteria": [{"text": "it works", "required": false}]});
    json!({"tasks": [part("p", json!([])), part("q", json!(["p"]))], "notes": []})
}

async fn oversized(fleet: &Fleet) -> Value {
    fleet.admin.get("/v1/attention?kind=oversized_task").await.value(200)["counts"]["oversized_task"].clone()
}

#[tokio::test]
async fn the_planner_of_a_goal_divides_what_is_too_large() {
    let fleet = Fleet::start().await;
    let (planner, worker) = (fleet.agent("planner", &["plan"], 9).await, fleet.worker().await);
    let (goal, _) = too_large(&fleet, &planner, &worker).await;
    assert_eq!(oversized(&fleet).await, 0, "nobody has to see it while it is planned");
    let held = planner.take().await;
    let task = &held.claim["task"];
    assert_eq!(task["title"], "Divide: Write everything");
    let brief = text(&task["input"]["brief"]);
    assert!(brief.contains("All of it.") && brief.contains("it works"), "{brief}");
    // One part is as large as the whole: it comes back.
    let mut one = planned_parts();
    one["tasks"].as_array_mut().unwrap().truncate(1);
    hand_in(&fleet, &planner, &held, &one).await;
    assert_eq!(turns(&fleet, &goal).await, "agent:running");
    hand_in(&fleet, &planner, &planner.take().await, &planned_parts()).await;
    assert_eq!(turns(&fleet, &goal).await, "agent:planned");
    assert_eq!(fleet.state(&goal, "whole").await, "running");
    assert_eq!(fleet.state(&goal, "p").await, "ready");
    assert_eq!(fleet.state(&goal, "whole-check").await, "waiting");
    verify(&fleet.pool).await;
    assert_eq!(worker.work_off().await[..2], ["p", "q"]);
    let _ = fleet.round().await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn what_no_planner_divides_waits_for_a_person() {
    let fleet = Fleet::start().await;
    let (planner, worker) = (fleet.agent("planner", &["plan"], 9).await, fleet.worker().await);
    let (goal, task) = too_large(&fleet, &planner, &worker).await;
    planner.fail(&planner.take().await, "permanent").await;
    fleet.round().await;
    assert_eq!(turns(&fleet, &goal).await, "agent:failed");
    assert_eq!(oversized(&fleet).await, 1);
    verify_rested(&fleet.pool, fleet.now()).await;
    fleet
        .admin
        .post(format!("/v1/tasks/{task}/split"), &json!({"tasks": parts()}))
        .await
        .expect(200);
    assert_eq!(oversized(&fleet).await, 0);
    verify(&fleet.pool).await;
}

/// A person is faster: the planning task ends, and its plan does not count.
#[tokio::test]
async fn a_person_divides_what_a_planner_was_asked_to_divide() {
    let fleet = Fleet::start().await;
    let (planner, worker) = (fleet.agent("planner", &["plan"], 9).await, fleet.worker().await);
    let (goal, task) = too_large(&fleet, &planner, &worker).await;
    let held = planner.take().await;
    fleet
        .admin
        .post(format!("/v1/tasks/{task}/split"), &json!({"tasks": parts()}))
        .await
        .expect(200);
    fleet.round().await;
    assert_eq!(turns(&fleet, &goal).await, "agent:cancelled");
    assert_eq!(planner.beat(&held).await["directive"], "stop");
    planner.release(&held).await;
    fleet.round().await;
    verify(&fleet.pool).await;
    assert_eq!(fleet.state(&goal, "p").await, "ready");
}
