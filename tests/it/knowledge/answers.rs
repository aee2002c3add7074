//! Already solved: finished tasks that are offered for others, and tasks that are closed with their results.

use muster::domain::access::role::Role;
use serde_json::{Value, json};

use super::{learning, titled};
use crate::support::{
    agent::Agent,
    client::{Answer, Client},
    dump::{Dump, dump, same},
    fleet::{Fleet, about, text},
    invariants::verify_rested,
};

const TITLE: &str = "Port the importer to local time zones";
const LIKE: &str = "Port an importer to the local time zone";

/// A done task with a title, what it used and what came out; returns its id and that of its digest.
async fn solved(fleet: &Fleet, agent: &Agent, result: Value) -> (String, String) {
    titled(fleet, TITLE).await;
    let held = agent.take().await;
    let spend =
        json!({"totals": {"usd_micros": 250_000, "output_tokens": 900, "input_tokens": 100}});
    let said = json!({"result": result, "spend": spend});
    agent.write(&held, "complete", said).await.expect(200);
    fleet.round().await;
    let digest =
        sqlx::query_scalar("select lesson_id::text from lessons where source_task = $1::uuid")
            .bind(&held.task)
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    (held.task, digest)
}

async fn answers(fleet: &Fleet, task: &str) -> Value {
    fleet.admin.get(format!("/v1/tasks/{task}/answers")).await.value(200)
}

async fn accept(client: &Client, task: &str, digest: &str) -> Answer {
    let body = json!({"lesson_id": digest, "reason": "it is the same importer"});
    client.post(format!("/v1/tasks/{task}/accept-answer"), &body).await
}

#[tokio::test]
async fn a_finished_task_is_offered_wherever_somebody_asks_for_the_same() {
    let fleet = learning().await;
    let agent = fleet.worker().await;
    let (task, digest) = solved(&fleet, &agent, json!({"commit": "4f2a91c"})).await;
    let offered = |answer: &Value| -> Vec<String> {
        let answers = answer["answers"].as_array().unwrap();
        answers.iter().map(|one| text(&one["lesson_id"])).collect()
    };
    for (asked, found) in [(LIKE, true), (TITLE, true), ("Write the handbook", false), ("", false)]
    {
        let answer =
            fleet.admin.post("/v1/knowledge/answers", &json!({"text": asked})).await.value(200);
        assert_eq!(!offered(&answer).is_empty(), found, "{asked}: {answer:#}");
    }
    let tasks = json!([{"ref": "a", "title": LIKE}, {"ref": "b", "title": "Write the handbook"}]);
    let goal = json!({"title": "again", "tasks": tasks});
    let preview = fleet.poster.post("/v1/plans/preview", &goal).await.value(200);
    let posted = fleet.poster.post("/v1/goals", &goal).await.value(201);
    for solved in [&preview["solved"], &posted["solved"]] {
        assert_eq!((&solved["looked_at"], &solved["of"]), (&json!(2), &json!(2)), "{solved:#}");
        assert_eq!(solved["tasks"][0]["ref"], "a");
        assert_eq!(offered(&solved["tasks"][0]), [digest.as_str()]);
        assert_eq!(solved["tasks"].as_array().unwrap().len(), 1);
    }
    let new = fleet.task_id(&text(&posted["id"]), "a").await;
    fleet.pass(3_600);
    let answer = answers(&fleet, &new).await;
    let one = &answer["answers"][0];
    assert_eq!((&one["task_id"], &one["lesson_id"]), (&json!(task), &json!(digest)));
    assert_eq!(
        (&one["used"]["usd_micros"], &one["used"]["attempts"]),
        (&json!(250_000), &json!(1))
    );
    assert_eq!((&one["age_seconds"], &one["trust"]), (&json!(3_600), &json!("unverified")));
    assert_eq!((&answer["accepted"], &one["tier"]), (&Value::Null, &Value::Null));
    assert!(offered(&answers(&fleet, &task).await).is_empty(), "no task answers itself");
    for held in agent.claim(2).await {
        let solved = &held.claim["solved"];
        let wanted = if held.name == "a" { json!(digest) } else { Value::Null };
        assert_eq!(solved[0]["lesson_id"], wanted, "{solved:#}");
    }
}

#[tokio::test]
async fn an_operator_closes_a_task_with_an_earlier_result() {
    let fleet = learning().await;
    let agent = fleet.worker().await;
    let result = json!({"commit": "4f2a91c"});
    let (task, digest) = solved(&fleet, &agent, result.clone()).await;
    let tasks = json!([{"ref": "a", "title": LIKE, "criteria": [{"text": "it imports", "required": true}]},
                       {"ref": "b", "title": "Release it", "needs": ["a"]}]);
    let goal = fleet.goal(tasks).await;
    let new = fleet.task_id(&goal, "a").await;
    let path = format!("/v1/tasks/{new}/accept-answer");
    let body = json!({"lesson_id": digest});
    let once = || fleet.admin.post(&path, &body).idempotency_key("once");
    let closed = once().await.value(200);
    assert_eq!((&closed["task_state"], &closed["answered_by"]), (&json!("done"), &json!(task)));
    assert_eq!(
        (&closed["saved_usd_micros"], &closed["saved_tokens"]),
        (&json!(250_000), &json!(1_000))
    );
    assert_eq!(once().await.value(200), closed, "the same request again");
    fleet.expect_states(&goal, "a:done b:ready").await;
    let shown = fleet.task(&goal, "a").await;
    assert_eq!(shown["result"], result);
    assert!(text(&shown["evidence"][0]["text"]).contains(&task), "{shown:#}");
    let accepted = answers(&fleet, &new).await["accepted"].clone();
    assert_eq!((&accepted["task_id"], &accepted["agent_id"]), (&json!(task), &Value::Null));
    let told: Value = sqlx::query_scalar("select data from journal where kind = 'task.answered'")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    assert_eq!((&told["lesson_id"], &told["saved_usd_micros"]), (&json!(digest), &json!(250_000)));
    let held = agent.take().await;
    assert_eq!(held.claim["needs"][0]["result"], result, "{:#}", held.claim["needs"]);
    agent.complete(&held).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    accept(&fleet.admin, &new, &digest).await.problem(409, "task_ended");
    let uplift = fleet.admin.get("/v1/knowledge/uplift").await.value(200);
    assert_eq!(
        (&uplift["saved"]["answers"], &uplift["saved"]["tokens"]),
        (&json!(1), &json!(1_000))
    );
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn the_holder_of_an_attempt_completes_it_with_an_earlier_result() {
    let fleet = learning().await;
    let agent = fleet.worker().await;
    let (task, digest) = solved(&fleet, &agent, json!({"commit": "4f2a91c"})).await;
    let criteria = json!([{"text": "it imports", "required": true}]);
    let goal = fleet.lone_task(json!({"title": LIKE, "criteria": criteria})).await;
    let held = agent.take().await;
    let before = dump(&fleet.pool).await;
    let unknown = json!({"lesson_id": fleet.no_id()});
    let places = agent.write(&held, "accept-answer", unknown).await.problem(422, "invalid");
    assert_eq!(places, ["/lesson_id"]);
    let stranger = fleet.agent("other", &[], 1).await;
    let body = json!({"lesson_id": digest});
    stranger.write(&held, "accept-answer", body.clone()).await.problem(403, "not_your_attempt");
    accept(&fleet.admin, &held.task, &digest).await.problem(409, "wrong_state");
    let after = dump(&fleet.pool).await;
    for table in ["tasks", "attempts", "attempt_results", "accepted_answers", "evidence"] {
        let only = |of: &Dump| Dump::from([(table.to_owned(), of[table].clone())]);
        same("refused answers", &only(&before), &only(&after));
    }
    let done = agent.write(&held, "accept-answer", body.clone()).await.value(200);
    assert_eq!((&done["task_state"], &done["answered_by"]), (&json!("done"), &json!(task)));
    assert_eq!(agent.write(&held, "accept-answer", body).await.value(200), done, "the same answer");
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    assert_eq!(fleet.task(&goal, "a").await["result"], json!({"commit": "4f2a91c"}));
    let accepted = answers(&fleet, &held.task).await["accepted"].clone();
    assert_eq!(accepted["agent_id"], json!(agent.id));
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn where_evidence_is_demanded_only_an_operator_accepts() {
    let fleet = learning().await;
    let agent = fleet.worker().await;
    let (_, digest) = solved(&fleet, &agent, json!({"commit": "4f2a91c"})).await;
    let criteria = json!([{"text": "it imports", "required": true, "min_tier": "attached"}]);
    let goal = fleet.lone_task(json!({"title": LIKE, "criteria": criteria})).await;
    let held = agent.take().await;
    let body = json!({"lesson_id": digest});
    let places = agent.write(&held, "accept-answer", body).await.problem(422, "evidence_missing");
    assert_eq!(places, ["/lesson_id"]);
    agent.hand_back(&held).await;
    accept(&fleet.poster, &held.task, &digest).await.problem(403, "separation_of_duties");
    assert_eq!(fleet.state(&goal, "a").await, "ready");
    let closed = accept(&fleet.admin, &held.task, &digest).await.value(200);
    assert_eq!(closed["task_state"], "done");
    let shown = fleet.task(&goal, "a").await;
    assert_eq!(shown["waived"][0]["criterion"], 1, "{shown:#}");
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_result_that_needs_an_approval_gets_it() {
    let fleet = learning().await;
    let agent = fleet.worker().await;
    let (_, digest) = solved(&fleet, &agent, json!({"commit": "4f2a91c"})).await;
    let goal = fleet.lone_task(json!({"title": LIKE, "approval": {"result": true}})).await;
    let task = fleet.task_id(&goal, "a").await;
    let closed = accept(&fleet.admin, &task, &digest).await.value(200);
    assert_eq!(closed["task_state"], "reviewing");
    let question = fleet.question().await;
    assert_eq!(question["kind"], "result");
    let decision = about(&question, json!({"decision": "approve"}));
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    fleet.admin.post(&path, &decision).await.problem(403, "separation_of_duties");
    let other = fleet.admin.with_key(fleet.key_of(Role::Operator, Some("erin@example.com")).await);
    other.post(&path, &decision).await.expect(200);
    assert_eq!(fleet.state(&goal, "a").await, "done");
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn tasks_that_wait_are_closed_unless_others_come_first() {
    let fleet = learning().await;
    let agent = fleet.worker().await;
    // Without a result the digest stands in.
    let (_, digest) = solved(&fleet, &agent, Value::Null).await;
    let tasks = json!([
        {"ref": "a", "title": "First"},
        {"ref": "b", "title": LIKE, "needs": ["a"]},
        {"ref": "c", "title": LIKE, "approval": {"start": true}},
        {"ref": "d", "title": LIKE, "not_before": "2026-04-01T00:00:00Z"},
    ]);
    let goal = fleet.goal(tasks).await;
    fleet.expect_states(&goal, "a:ready b:waiting c:parked d:waiting").await;
    for (name, status) in [("b", 409), ("c", 200), ("d", 200)] {
        let task = fleet.task_id(&goal, name).await;
        let answer = accept(&fleet.admin, &task, &digest).await;
        assert_eq!(answer.status, status, "{}", answer.describe());
    }
    fleet.expect_states(&goal, "a:ready b:waiting c:done d:done").await;
    assert!(fleet.questions().await.is_empty(), "the start of c needs no approval any more");
    let stands_in = &fleet.task(&goal, "c").await["result"];
    assert!(text(&stands_in["digest"]).len() > 10, "{stands_in:#}");
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_task_without_an_estimate_is_expected_to_use_what_those_like_it_did() {
    let fleet = learning().await;
    let agent = fleet.worker().await;
    let (task, _) = solved(&fleet, &agent, json!(1)).await;
    let tasks = json!([{"ref": "a", "title": LIKE}, {"ref": "b", "title": "Write the handbook"},
                       {"ref": "c", "title": LIKE, "estimate": {"usd_micros": 7}}]);
    let goal = fleet.goal(tasks).await;
    let estimate = fleet.admin.get(format!("/v1/goals/{goal}/estimate")).await.value(200);
    let units = estimate["units"].as_array().unwrap();
    let money = units.iter().find(|unit| unit["unit"] == "usd_micros").unwrap();
    assert_eq!(money["expected_rest"], 250_007, "{money:#}");
    let basis = &money["basis"];
    assert_eq!(
        (&basis["from_nearest"], &basis["from_estimate"], &basis["unknown"]),
        (&json!(1), &json!(1), &json!(1))
    );
    let nearest = &estimate["nearest"][0];
    assert_eq!(nearest["task_id"], json!(fleet.task_id(&goal, "a").await));
    assert_eq!(
        (&nearest["from"], &nearest["mean"]["usd_micros"]),
        (&json!([task]), &json!(250_000))
    );
}
