//! Work that agents discover: who decides about it, what bounds it, and what it never does.

use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    client::Answer,
    fleet::{Fleet, about, text},
    invariants::{verify, verify_rested},
};

fn approve() -> Value {
    json!({"decision": "approve"})
}

fn reject() -> Value {
    json!({"decision": "reject", "reason": "not now"})
}

async fn report(agent: &Agent, held: &Held, tasks: Value) -> Value {
    agent.write(held, "discovered", json!({"tasks": tasks})).await.value(201)
}

/// A goal of the tasks `a` and `b`, with these settings; the agent holds `a`.
async fn goal(fleet: &Fleet, settings: Value) -> (Agent, String, Held) {
    let agent = fleet.worker().await;
    let mut goal = json!({"title": "goal", "tasks": [
        {"ref": "a", "title": "First", "priority": 9},
        {"ref": "b", "title": "Second", "needs": ["a"]},
    ]});
    for (name, value) in settings.as_object().unwrap() {
        goal[name] = value.clone();
    }
    let goal = fleet.post_goal(goal).await;
    let held = agent.take().await;
    (agent, goal, held)
}

fn outcomes(answer: &Value) -> Vec<String> {
    let tasks = answer["tasks"].as_array().unwrap();
    tasks.iter().map(|task| format!("{}:{}", text(&task["ref"]), text(&task["outcome"]))).collect()
}

#[tokio::test]
async fn a_person_decides_and_the_work_stands_beside_the_task_that_found_it() {
    let fleet = Fleet::start().await;
    let (agent, goal, held) = goal(&fleet, json!({})).await;
    let found = json!([
        {"ref": "index", "title": "Add the index", "needs": ["a"]},
        {"ref": "docs", "title": "Write it down", "needs": ["index", "b"]},
    ]);
    let body = json!({"tasks": found, "reason": "orders are slow"});
    let answer = agent.write(&held, "discovered", body).await.value(201);
    assert_eq!(outcomes(&answer), ["index:asked", "docs:asked"]);
    fleet.expect_states(&goal, "a:running b:waiting").await;
    let question = fleet.question().await;
    assert_eq!((&question["kind"], &question["id"]), (&json!("plan"), &answer["approval_id"]));
    let path = format!("/v1/approvals/{}", text(&question["id"]));
    let shown = fleet.admin.get(path).await.value(200);
    assert!(text(&shown["body"]).contains("orders are slow"), "{shown:#}");
    assert!(text(&shown["body"]).contains("First"), "{shown:#}");
    assert_eq!(shown["payload"][1]["ref"], "docs");
    verify(&fleet.pool).await;
    // The agent goes on meanwhile.
    agent.complete(&held).await;
    fleet.decide(approve()).await;
    fleet.expect_states(&goal, "a:done b:ready index:ready docs:waiting").await;
    let index = fleet.task(&goal, "index").await;
    assert_eq!(index["discovered_from"], json!(held.task));
    assert_eq!(index["parent_id"], Value::Null);
    let plans = fleet.admin.get(format!("/v1/goals/{goal}/plans")).await.value(200);
    let plan = &plans["items"][0];
    assert_eq!((&plan["id"], &plan["state"]), (&answer["plan_id"], &json!("applied")));
    assert_eq!((&plan["discovered_by"], &plan["planner"]), (&json!(held.attempt), &json!("agent")));
    agent.work_off().await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_is_rejected_changes_nothing() {
    let fleet = Fleet::start().await;
    let (agent, goal, held) = goal(&fleet, json!({})).await;
    report(&agent, &held, json!([{"ref": "x", "title": "More"}])).await;
    fleet.decide(reject()).await;
    fleet.expect_states(&goal, "a:running b:waiting").await;
    assert_eq!(fleet.goal_state(&goal).await, "active", "only what was discovered is rejected");
    agent.complete(&held).await;
    agent.work_off().await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn the_policy_takes_or_refuses_it() {
    let fleet = Fleet::start().await;
    let (agent, goal, held) = goal(&fleet, json!({"discovered": "accept"})).await;
    let answer =
        report(&agent, &held, json!([{"ref": "x", "title": "More", "needs": ["b"]}])).await;
    assert_eq!(outcomes(&answer), ["x:taken"]);
    assert_eq!(answer["tasks"][0]["task_id"], json!(fleet.task_id(&goal, "x").await));
    assert!(fleet.questions().await.is_empty());
    fleet.expect_states(&goal, "a:running b:waiting x:waiting").await;
    let path = format!("/v1/goals/{goal}");
    let refuse = json!({"discovered": "refuse"});
    let read = fleet.admin.patch(&path, &refuse).if_match("*").await.value(200);
    assert_eq!(read["discovered"], "refuse");
    let body = json!({"tasks": [{"ref": "y", "title": "Yet more"}]});
    agent.write(&held, "discovered", body.clone()).await.problem(409, "wrong_state");
    let default = fleet.admin.patch(&path, &json!({"discovered": null})).if_match("*").await;
    assert_eq!(default.value(200)["discovered"], "ask");
    verify(&fleet.pool).await;
}

/// Whoever approved the plan approved no more than that.
#[tokio::test]
async fn an_approved_plan_is_never_got_around() {
    let fleet = Fleet::start().await;
    let both = json!({"title": "g", "approval": {"plan": true}, "discovered": "accept",
                      "tasks": [{"ref": "a", "title": "a"}]});
    let refused = fleet.poster.post("/v1/goals", &both).await;
    assert_eq!(refused.problem(422, "invalid"), ["/discovered"]);
    let agent = fleet.worker().await;
    let goal =
        json!({"title": "g", "approval": {"plan": true}, "tasks": [{"ref": "a", "title": "a"}]});
    let goal = fleet.post_goal(goal).await;
    fleet.decide(approve()).await;
    let change = fleet.admin.patch(format!("/v1/goals/{goal}"), &json!({"discovered": "accept"}));
    assert_eq!(change.if_match("*").await.problem(422, "invalid"), ["/discovered"]);
    let held = agent.take().await;
    let answer = report(&agent, &held, json!([{"ref": "x", "title": "More"}])).await;
    assert_eq!(outcomes(&answer), ["x:asked"]);
    let question = fleet.question().await;
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    let own = fleet.poster.post(&path, &about(&question, approve())).await;
    own.problem(403, "separation_of_duties");
    fleet.decide(approve()).await;
    fleet.expect_states(&goal, "a:running x:ready").await;
    verify(&fleet.pool).await;
}

/// What exists waits for nothing new without a person.
#[tokio::test]
async fn what_would_delay_others_or_cost_too_much_is_asked_about() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .post_goal(json!({"title": "g", "discovered": "accept",
        "budget": {"limits": [{"unit": "usd_micros", "amount": 1000}]},
        "tasks": [
            {"ref": "a", "title": "a", "priority": 9, "estimate": {"usd_micros": 300}},
            {"ref": "box", "title": "box"},
            {"ref": "in", "title": "in", "parent": "box"},
            {"ref": "after", "title": "after", "needs": ["box"]},
        ]}))
        .await;
    let held = agent.take().await;
    let priced = |name: &str, amount: i64| json!({"ref": name, "title": name, "estimate": {"usd_micros": amount}});
    let answer = report(&agent, &held, json!([priced("cheap", 700)])).await;
    assert_eq!(outcomes(&answer), ["cheap:taken"]);
    let answer = report(&agent, &held, json!([priced("dear", 701)])).await;
    assert_eq!(outcomes(&answer), ["dear:asked"]);
    let path = format!("/v1/approvals/{}", text(&answer["approval_id"]));
    let shown = fleet.admin.get(path).await.value(200);
    assert!(text(&shown["body"]).contains("701 usd_micros, and 700 are left"), "{shown:#}");
    fleet.decide(reject()).await;
    let inside = json!([{"ref": "late", "title": "late", "parent": "box"}]);
    assert_eq!(outcomes(&report(&agent, &held, inside).await), ["late:asked"]);
    fleet.decide(approve()).await;
    assert_eq!(
        fleet.task(&goal, "late").await["parent_id"],
        json!(fleet.task_id(&goal, "box").await)
    );
    verify(&fleet.pool).await;
}

/// It stops no task, so it is no reason to ask.
#[tokio::test]
async fn a_limit_that_only_notifies_asks_nobody() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let limits = json!([{"unit": "usd_micros", "amount": 1000}]);
    fleet
        .post_goal(json!({"title": "g", "discovered": "accept",
            "budget": {"limits": limits, "on_exhausted": "notify"},
            "tasks": [{"ref": "a", "title": "a"}]}))
        .await;
    let held = agent.take().await;
    let dear = json!([{"ref": "dear", "title": "dear", "estimate": {"usd_micros": 5000}}]);
    assert_eq!(outcomes(&report(&agent, &held, dear).await), ["dear:taken"]);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn what_is_known_is_answered_with_what_is_there() {
    let fleet = Fleet::start().await;
    let (agent, goal, held) = goal(&fleet, json!({})).await;
    let first = report(&agent, &held, json!([{"ref": "x", "title": "Add  the Index"}])).await;
    let again = json!([
        {"ref": "y", "title": "add the index"},
        {"ref": "z", "title": "second"},
        {"ref": "w", "title": "Something else", "needs": ["z"]},
    ]);
    let answer = report(&agent, &held, again).await;
    assert_eq!(outcomes(&answer), ["x:duplicate", "b:duplicate", "w:asked"]);
    assert_eq!(answer["tasks"][0]["approval_id"], first["approval_id"]);
    assert_eq!(answer["tasks"][1]["task_id"], json!(fleet.task_id(&goal, "b").await));
    let waiting =
        json!([{"ref": "p", "title": "Add the index"}, {"ref": "q", "title": "q", "needs": ["p"]}]);
    let refused = agent.write(&held, "discovered", json!({"tasks": waiting})).await;
    assert_eq!(refused.problem(422, "plan_invalid"), ["/tasks/1/needs/0"]);
    let known = report(&agent, &held, json!([{"ref": "n", "title": "SECOND"}])).await;
    assert_eq!(
        (outcomes(&known), &known["plan_id"]),
        (vec!["b:duplicate".to_owned()], &Value::Null)
    );
    let questions = fleet.questions().await;
    let asked = questions.iter().find(|question| question["id"] == answer["approval_id"]).unwrap();
    let path = format!("/v1/approvals/{}/decide", text(&asked["id"]));
    fleet.admin.post(path, &about(asked, approve())).await.expect(200);
    assert_eq!(fleet.task(&goal, "w").await["needs"][0]["ref"], "b");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn discoveries_from_discoveries_end() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .post_goal(
            json!({"title": "g", "discovered": "accept", "tasks": [{"ref": "a0", "title": "a0"}]}),
        )
        .await;
    for depth in 0..3 {
        let held = agent.take().await;
        let next = format!("a{}", depth + 1);
        report(&agent, &held, json!([{"ref": next, "title": next}])).await;
        agent.complete(&held).await;
    }
    let held = agent.take().await;
    let body = json!({"tasks": [{"ref": "a4", "title": "a4"}]});
    agent.write(&held, "discovered", body.clone()).await.problem(409, "wrong_state");
    // Nor from its subtasks.
    agent.subtasks(&held, json!([{"ref": "s", "title": "s"}])).await;
    let held = agent.take().await;
    agent.write(&held, "discovered", body).await.problem(409, "wrong_state");
    verify(&fleet.pool).await;
    assert_eq!(fleet.read_goal(&goal).await["tasks"]["total"], 5);
}

#[tokio::test]
async fn one_attempt_reports_so_much_and_no_more() {
    let fleet = Fleet::start().await;
    let (agent, goal, held) = goal(&fleet, json!({"discovered": "accept"})).await;
    let many = |from: usize, count: usize| -> Value {
        (from..from + count)
            .map(|n| json!({"ref": format!("d{n}"), "title": format!("d{n}")}))
            .collect()
    };
    let too_many = agent.write(&held, "discovered", json!({"tasks": many(0, 21)})).await;
    assert_eq!(too_many.problem(422, "invalid"), ["/tasks"]);
    report(&agent, &held, many(0, 20)).await;
    report(&agent, &held, many(20, 20)).await;
    let body = json!({"tasks": many(40, 11)});
    agent.write(&held, "discovered", body).await.problem(409, "wrong_state");
    report(&agent, &held, many(40, 10)).await;
    assert_eq!(fleet.read_goal(&goal).await["tasks"]["total"], 52);
}

/// What is found in the last task is not lost with the end of the goal.
#[tokio::test]
async fn it_outlives_the_goal_and_brings_a_completed_one_back() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    report(&agent, &held, json!([{"ref": "x", "title": "More", "needs": ["a"]}])).await;
    agent.complete(&held).await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed", "nobody said that it has to wait");
    verify_rested(&fleet.pool, fleet.now()).await;
    fleet.decide(approve()).await;
    fleet.expect_states(&goal, "a:done x:ready").await;
    assert_eq!(fleet.goal_state(&goal).await, "active");
    agent.work_off().await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_goal_waits_for_what_is_required() {
    for approved in [true, false] {
        let fleet = Fleet::start().await;
        let agent = fleet.worker().await;
        let goal = fleet.lone_task(json!({})).await;
        let held = agent.take().await;
        let body = json!({"tasks": [{"ref": "x", "title": "More"}], "required": true});
        agent.write(&held, "discovered", body).await.expect(201);
        agent.complete(&held).await;
        fleet.after(120).await;
        assert_eq!(fleet.goal_state(&goal).await, "active");
        verify_rested(&fleet.pool, fleet.now()).await;
        fleet.decide(if approved { approve() } else { reject() }).await;
        if approved {
            fleet.expect_states(&goal, "a:done x:ready").await;
            agent.work_off().await;
        }
        fleet.round().await;
        assert_eq!(fleet.goal_state(&goal).await, "completed");
        verify_rested(&fleet.pool, fleet.now()).await;
    }
}

#[tokio::test]
async fn a_failed_goal_is_retried_first_and_a_cancelled_one_asks_nobody() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    report(&agent, &held, json!([{"ref": "x", "title": "More"}])).await;
    agent.fail(&held, "permanent").await;
    fleet.round().await;
    let question = fleet.question().await;
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    let decided: Answer = fleet.admin.post(&path, &about(&question, approve())).await;
    decided.problem(409, "goal_ended");
    fleet.admin.post(format!("/v1/goals/{goal}/retry"), &json!({})).await.expect(200);
    fleet.decide(approve()).await;
    fleet.expect_states(&goal, "a:ready x:ready").await;
    let held = agent.take().await;
    report(&agent, &held, json!([{"ref": "y", "title": "Yet more"}])).await;
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    assert!(fleet.questions().await.is_empty());
    fleet.after(120).await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// It is edited like any plan, and still names tasks of the goal.
#[tokio::test]
async fn what_no_longer_fits_is_approved_with_an_edit() {
    let fleet = Fleet::start().await;
    let (agent, goal, held) = goal(&fleet, json!({})).await;
    let found =
        json!([{"ref": "x", "title": "More", "needs": ["b"]}, {"ref": "y", "title": "Yet more"}]);
    report(&agent, &held, found).await;
    let more = json!({"tasks": [{"ref": "x", "title": "Taken meanwhile"}]});
    fleet.admin.post(format!("/v1/goals/{goal}/tasks"), &more).await.expect(201);
    let question = fleet.question().await;
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    let refused = fleet.admin.post(&path, &about(&question, approve())).await;
    assert_eq!(refused.problem(422, "plan_invalid"), ["/payload/0/ref"]);
    let edited = json!([{"ref": "x2", "title": "More", "needs": ["b"]}]);
    let decision = json!({"decision": "approve", "payload": edited});
    fleet.admin.post(&path, &about(&question, decision)).await.expect(200);
    fleet.expect_states(&goal, "a:running b:waiting x:ready x2:waiting").await;
    assert_eq!(fleet.task(&goal, "x2").await["discovered_from"], json!(held.task));
    verify(&fleet.pool).await;
}

/// A floor is not left by what is discovered under it, and the defaults of the goal hold.
#[tokio::test]
async fn it_has_the_risk_of_its_task_and_the_defaults_of_the_goal() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .post_goal(json!({"title": "g", "discovered": "accept",
            "task_defaults": {"approval": {"result": true}},
            "tasks": [{"ref": "a", "title": "a", "risk": "high"}]}))
        .await;
    let held = agent.take().await;
    report(&agent, &held, json!([{"ref": "x", "title": "More"}])).await;
    let x = fleet.task(&goal, "x").await;
    assert_eq!((&x["risk"], &x["approval"]["result"]), (&json!("high"), &json!(true)));
    // Neither without the lease, nor once it is over.
    let body = json!({"lease": "lse_x", "tasks": [{"ref": "y", "title": "y"}]});
    let path = format!("/v1/attempts/{}/discovered", held.attempt);
    agent.client.post(&path, &body).await.problem(409, "lease_lost");
    agent.release(&held).await;
    let late =
        agent.write(&held, "discovered", json!({"tasks": [{"ref": "y", "title": "y"}]})).await;
    late.problem(409, "lease_lost");
}

#[tokio::test]
async fn the_same_report_with_a_key_is_one() {
    let fleet = Fleet::start().await;
    let (agent, goal, held) = goal(&fleet, json!({"discovered": "accept"})).await;
    let body = json!({"tasks": [{"ref": "x", "title": "More"}]});
    let first =
        agent.write(&held, "discovered", body.clone()).idempotency_key("k").await.value(201);
    let again = agent.write(&held, "discovered", body).idempotency_key("k").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.value(201), first);
    assert_eq!(fleet.read_goal(&goal).await["tasks"]["total"], 3);
}
