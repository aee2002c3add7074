//! One approves exactly what one saw: payloads have a hash, and whoever saw another decides nothing.

use futures_util::future::join;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{
    agent::{Agent, Held},
    dump::{dump, same},
    fleet::{Fleet, about, text},
    invariants::verify,
};

fn approve() -> Value {
    json!({"decision": "approve"})
}

async fn start() -> (Fleet, Agent) {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    (fleet, agent)
}

async fn ask(agent: &Agent, held: &Held, payload: Value) -> Value {
    let body = json!({"kind": "action", "title": "may I?", "payload": payload, "risk": "high"});
    agent.write(held, "approvals", body).await.value(201)
}

fn path(approval: &Value) -> String {
    format!("/v1/approvals/{}", text(&approval["id"]))
}

async fn revise(fleet: &Fleet, approval: &Value, payload: Value) -> Value {
    let body = about(approval, json!({"payload": payload}));
    fleet.admin.post(format!("{}/revise", path(approval)), &body).await.value(200)
}

#[tokio::test]
async fn the_hash_is_that_of_the_canonical_form() {
    let (fleet, agent) = start().await;
    fleet.lone_task(json!({})).await;
    let asked = ask(&agent, &agent.take().await, json!({"b": [1.0, -0.0, 1e3], "a": "é\n"})).await;
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(r#"{"a":"é\n","b":[1,0,1000]}"#));
    assert_eq!((&asked["payload_sha256"], &asked["risk"]), (&json!(hash), &json!("high")));
    assert_eq!(fleet.question().await["payload_sha256"], json!(hash), "lists show it, too");
    assert_eq!((&asked["revision"], &asked["verdict"]), (&json!(1), &Value::Null));
}

#[tokio::test]
async fn whoever_saw_another_payload_decides_nothing() {
    let (fleet, agent) = start().await;
    let goal = fleet.lone_task(json!({})).await;
    let seen = ask(&agent, &agent.take().await, json!({"to": "staging"})).await;
    let now = revise(&fleet, &seen, json!({"to": "production"})).await;
    assert_eq!((&now["revision"], &now["payload"]["to"]), (&json!(2), &json!("production")));
    assert_ne!(now["payload_sha256"], seen["payload_sha256"]);
    let before = dump(&fleet.pool).await;
    let decide = format!("{}/decide", path(&seen));
    for decision in [approve(), json!({"decision": "reject", "reason": "no"})] {
        let answer = fleet.admin.post(&decide, &about(&seen, decision)).await;
        answer.problem(409, "payload_changed");
    }
    let again = about(&seen, json!({"payload": 1}));
    let answer = fleet.admin.post(format!("{}/revise", path(&seen)), &again).await;
    answer.problem(409, "payload_changed");
    let short = json!({"decision": "approve", "payload_sha256": "abc"});
    fleet.admin.post(&decide, &short).await.problem(422, "invalid");
    same("decisions about what was seen before", &before, &dump(&fleet.pool).await);
    fleet.expect_states(&goal, "a:parked").await;

    let earlier = fleet.admin.get(format!("{}/revisions", path(&seen))).await.value(200);
    let [first] = earlier["items"].as_array().unwrap().as_slice() else { panic!("{earlier}") };
    assert_eq!((&first["revision"], &first["payload"]), (&json!(1), &json!({"to": "staging"})));
    assert_eq!(first["payload_sha256"], seen["payload_sha256"]);

    fleet.decide(approve()).await;
    let told = &agent.take().await.claim["decisions"][0];
    assert_eq!(
        (&told["verdict"], &told["payload"]["to"]),
        (&json!("approve"), &json!("production"))
    );
    assert_eq!(told["payload_sha256"], now["payload_sha256"]);
    let late = about(&now, json!({"payload": 1}));
    let answer = fleet.admin.post(format!("{}/revise", path(&seen)), &late).await;
    answer.problem(409, "already_decided");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_revision_and_a_decision_that_race_never_both_count() {
    let (fleet, agent) = start().await;
    for round in 0..20 {
        fleet.lone_task(json!({})).await;
        let seen = ask(&agent, &agent.take().await, json!({"n": round})).await;
        let (revise, yes) = (about(&seen, json!({"payload": "other"})), about(&seen, approve()));
        let (revised, decided) = join(
            async { fleet.admin.post(format!("{}/revise", path(&seen)), &revise).await },
            async { fleet.admin.post(format!("{}/decide", path(&seen)), &yes).await },
        )
        .await;
        if decided.status == 200 {
            revised.problem(409, "already_decided");
        } else {
            decided.problem(409, "payload_changed");
            revised.expect(200);
            fleet.decide(approve()).await;
        }
        let held = agent.take().await;
        let did = &held.claim["decisions"][0]["payload"];
        let wanted = if decided.status == 200 { json!({"n": round}) } else { json!("other") };
        assert_eq!(*did, wanted);
        agent.complete(&held).await;
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_plan_is_approved_in_the_form_that_a_person_gave_it() {
    let (fleet, agent) = start().await;
    let plan = json!({"title": "g", "approval": {"plan": true},
                      "tasks": [{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}]});
    let goal = fleet.post_goal(plan).await;
    let question = fleet.question().await;
    let decide = format!("{}/decide", path(&question));
    let before = dump(&fleet.pool).await;
    for (tasks, code) in [
        (json!([{"ref": "a", "title": "a", "needs": ["x"]}]), "plan_invalid"),
        (json!([{"ref": "a"}]), "invalid"),
        (json!("do it"), "invalid"),
    ] {
        let decision = about(&question, json!({"decision": "approve", "payload": tasks}));
        let answer = fleet.admin.post(&decide, &decision).await;
        answer.problem(422, code);
    }
    same("plans that are not sound", &before, &dump(&fleet.pool).await);
    let tasks = json!([{"ref": "b", "title": "b"}, {"ref": "c", "title": "c", "needs": ["b"]}]);
    let decided = fleet.decide(json!({"decision": "approve", "payload": tasks})).await;
    assert_eq!((&decided["revision"], &decided["payload"][1]["ref"]), (&json!(2), &json!("c")));
    assert_eq!(agent.work_off().await, ["b", "c"]);
    let plans = fleet.admin.get(format!("/v1/goals/{goal}/plans")).await.value(200);
    let mut states: Vec<String> =
        plans["items"].as_array().unwrap().iter().map(|plan| text(&plan["state"])).collect();
    states.sort();
    assert_eq!(states, ["applied", "superseded"]);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_plan_may_be_edited_however_large_it_is() {
    let (fleet, _) = start().await;
    let tasks: Vec<Value> = (0..1000)
        .map(|n| json!({"ref": format!("t{n}"), "title": "t", "description": "x".repeat(400)}))
        .collect();
    fleet.post_goal(json!({"title": "g", "approval": {"plan": true}, "tasks": tasks})).await;
    let decided = fleet.decide(json!({"decision": "approve", "payload": tasks[..900]})).await;
    assert_eq!(decided["payload"].as_array().unwrap().len(), 900);
}

#[tokio::test]
async fn people_decline_to_answer_and_results_stay_as_they_are() {
    let (fleet, agent) = start().await;
    let goal = fleet.lone_task(json!({"approval": {"result": true}})).await;
    let held = agent.take().await;
    let body = json!({"kind": "input", "title": "which?", "payload": {"of": [1, 2]}});
    agent.write(&held, "approvals", body).await.expect(201);
    let declined = fleet.decide(json!({"decision": "decline"})).await;
    assert_eq!((&declined["state"], &declined["verdict"]), (&json!("rejected"), &json!("decline")));
    let held = agent.take().await;
    let told = &held.claim["decisions"][0];
    assert_eq!((&told["verdict"], &told["answer"]), (&json!("decline"), &Value::Null));

    // What an agent handed in is accepted or not, and not put in its mouth.
    agent.complete(&held).await;
    let result = fleet.question().await;
    let edit = about(&result, json!({"decision": "approve", "payload": {"result": "better"}}));
    let answer = fleet.admin.post(format!("{}/decide", path(&result)), &edit).await;
    assert_eq!(answer.problem(422, "invalid"), ["/payload"]);
    let decline = about(&result, json!({"decision": "decline"}));
    let answer = fleet.admin.post(format!("{}/decide", path(&result)), &decline).await;
    assert_eq!(answer.problem(422, "invalid"), ["/decision"]);
    let revise = about(&result, json!({"payload": 1}));
    let answer = fleet.admin.post(format!("{}/revise", path(&result)), &revise).await;
    assert_eq!(answer.problem(422, "invalid"), ["/payload"]);
    fleet.expect_states(&goal, "a:reviewing").await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn an_answer_fits_the_form_that_was_asked_for() {
    let (fleet, agent) = start().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let ask = |more: Value| {
        let mut body = json!({"kind": "input", "title": "where to?"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let before = dump(&fleet.pool).await;
    let form = |name: &str| json!({"answer_schema": {"type": "object", "properties": {name: {"type": "string"}}}});
    for (body, pointer) in [
        (ask(form("api_key")), "/answer_schema/properties/api_key"),
        (ask(json!({"options": ["a", "a"]})), "/options/1"),
        (ask(json!({"options": ["a", "b"], "kind": "action"})), "/options"),
        (
            ask(json!({"answer_schema": {"type": "object", "properties": {}}})),
            "/answer_schema/properties",
        ),
    ] {
        let answer = agent.write(&held, "approvals", body.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{body}");
    }
    same("forms that are refused", &before, &dump(&fleet.pool).await);

    let schema = json!({"type": "object", "required": ["account"], "properties": {
        "account": {"type": "string", "enum": ["staging", "production"]},
        "from": {"type": "string", "format": "date"}}});
    let asked = agent.write(&held, "approvals", ask(json!({"answer_schema": schema}))).await;
    let asked: Value = asked.value(201);
    assert_eq!(asked["answer_schema"], schema);
    let before = dump(&fleet.pool).await;
    for (answer, pointer) in [
        (json!("staging"), "/answer"),
        (json!({}), "/answer/account"),
        (json!({"account": "other"}), "/answer/account"),
        (json!({"account": "staging", "from": "2026-02-30"}), "/answer/from"),
    ] {
        let decision = about(&asked, json!({"decision": "answer", "answer": answer}));
        let answer = fleet.admin.post(format!("{}/decide", path(&asked)), &decision).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{decision}");
    }
    same("answers that do not fit", &before, &dump(&fleet.pool).await);
    let answer = json!({"account": "staging", "from": "2026-02-28"});
    fleet.decide(json!({"decision": "answer", "answer": answer})).await;
    let held = agent.take().await;
    assert_eq!(held.claim["decisions"][0]["answer"], answer);

    agent.write(&held, "approvals", ask(json!({"options": ["go", "stay"]}))).await.expect(201);
    fleet.decide(json!({"decision": "answer", "answer": {"choice": "stay"}})).await;
    assert_eq!(agent.take().await.claim["decisions"][0]["answer"]["choice"], "stay");
    verify(&fleet.pool).await;
}
