//! What the server checks itself, when an attempt completes: schemas, artifacts and numbers.

use serde_json::{Value, json};

use super::{complete, hold, verdicts};
use crate::support::{
    artifacts::{digest, put},
    fleet::Fleet,
    invariants::verify,
    statements::Statements,
};

fn schema(schema: Value) -> Value {
    json!([{"text": "the figures", "type": "json_schema", "json_schema": {"schema": schema, "at": "/figures"}}])
}

#[tokio::test]
async fn a_result_that_does_not_fit_its_schema_is_refused_with_pointers() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let wanted = json!({"type": "object", "required": ["total"], "properties": {
        "total": {"type": "integer", "minimum": 0}, "rows": {"items": {"type": "string"}}}});
    let (goal, held) = hold(&fleet, &worker, schema(wanted), json!({})).await;
    for (result, at) in [
        (
            json!({"figures": {"total": -1, "rows": ["a", 2]}}),
            vec!["/result/figures/rows/1", "/result/figures/total"],
        ),
        (json!({"figures": {}}), vec!["/result/figures"]),
        (json!({"other": 1}), vec!["/result/figures"]),
        (json!(null), vec!["/result/figures"]),
    ] {
        let refused = complete(&worker, &held, json!({"result": result})).await;
        let mut places = refused.problem(422, "invalid");
        places.sort();
        assert_eq!(places, at, "{result}");
    }
    // Evidence of the agent does not stand in for it.
    let claimed = json!({"result": {}, "evidence": [{"criterion": 1, "text": "it fits"}]});
    complete(&worker, &held, claimed).await.problem(422, "invalid");
    fleet.expect_states(&goal, "a:running").await;
    complete(&worker, &held, json!({"result": {"figures": {"total": 3}}})).await.expect(200);
    assert_eq!(verdicts(&fleet, &goal).await, ["1 met machine_checked"]);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_schema_that_could_do_harm_is_refused_when_the_task_is_posted() {
    let fleet = Fleet::start().await;
    for (bad, at) in [
        (json!({"$ref": "https://example.com/schema.json"}), "/schema/$ref"),
        (json!({"$ref": "file:///etc/passwd"}), "/schema/$ref"),
        (json!({"$ref": "#"}), "/schema/$ref"),
        (json!({"$id": "https://example.com/x"}), "/schema/$id"),
        (json!({"pattern": "(a+)+\\1"}), "/schema"),
        (json!({"type": "nothing"}), "/schema"),
        (json!([]), "/schema"),
    ] {
        let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a", "criteria": schema(bad.clone())}]});
        let refused = fleet.admin.post("/v1/goals", &goal).await;
        let place = format!("/tasks/0/criteria/0/json_schema{at}");
        assert_eq!(refused.problem(422, "plan_invalid"), [place], "{bad}");
    }
}

#[tokio::test]
async fn a_schema_of_a_criterion_that_is_not_required_refuses_nothing() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let mut criteria = schema(json!({"type": "integer"}));
    criteria[0]["required"] = json!(false);
    let (goal, held) = hold(&fleet, &worker, criteria, json!({})).await;
    complete(&worker, &held, json!({"result": {"figures": "many"}})).await.expect(200);
    assert_eq!(verdicts(&fleet, &goal).await, ["1 open -"]);
}

#[tokio::test]
async fn a_criterion_pinned_to_an_artifact_is_not_satisfied_by_another() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    put(&worker.client, b"wanted").await.expect(201);
    put(&worker.client, b"other").await.expect(201);
    let wanted = json!([{"text": "the release", "type": "artifact", "artifact": {"digest": digest(b"wanted")}}]);
    let (goal, held) = hold(&fleet, &worker, wanted, json!({})).await;
    let evidence = |bytes: Option<&[u8]>| {
        let mut piece = json!({"criterion": 1, "text": "here"});
        if let Some(bytes) = bytes {
            piece["artifact"] = json!(digest(bytes));
        }
        json!({"evidence": [piece]})
    };
    for bad in [Some(&b"other"[..]), Some(b"nowhere"), None] {
        let refused = complete(&worker, &held, evidence(bad)).await;
        assert_eq!(refused.problem(422, "invalid"), ["/evidence/0/artifact"], "{bad:?}");
    }
    // The artifact in the result, or in evidence about something else, is none for the criterion.
    let beside = json!({"artifacts": [digest(b"wanted")],
                        "evidence": [{"text": "in general", "artifact": digest(b"wanted")}]});
    complete(&worker, &held, beside).await.problem(422, "evidence_missing");
    fleet.expect_states(&goal, "a:running").await;
    complete(&worker, &held, evidence(Some(b"wanted"))).await.expect(200);
    assert_eq!(verdicts(&fleet, &goal).await, ["1 met machine_checked"]);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn size_and_media_type_of_an_artifact_are_those_that_are_stored() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    put(&worker.client, b"12345").await.expect(201);
    for (terms, good) in [
        (json!({}), true),
        (json!({"min_bytes": 5, "max_bytes": 5}), true),
        (json!({"media_type": "text/*"}), true),
        (json!({"media_type": "text/plain"}), true),
        (json!({"min_bytes": 6}), false),
        (json!({"max_bytes": 4}), false),
        (json!({"media_type": "image/*"}), false),
    ] {
        let criteria = json!([{"text": "a file", "type": "artifact", "artifact": terms}]);
        let (_, held) = hold(&fleet, &worker, criteria, json!({})).await;
        let body =
            json!({"evidence": [{"criterion": 1, "text": "x", "artifact": digest(b"12345")}]});
        let answer = complete(&worker, &held, body).await;
        if good {
            answer.expect(200);
        } else {
            assert_eq!(answer.problem(422, "invalid"), ["/evidence/0/artifact"], "{terms}");
            worker.release(&held).await;
            let cancel = format!("/v1/tasks/{}/cancel", held.task);
            fleet.admin.post(cancel, &json!({"reason": "enough"})).await.expect(200);
        }
    }
}

#[tokio::test]
async fn the_server_compares_the_number_of_a_metric_exactly() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let metric = json!({"name": "coverage", "comparison": "at_least", "value": "0.3"});
    let criteria = json!([{"text": "well covered", "type": "metric", "metric": metric}]);
    let (goal, held) = hold(&fleet, &worker, criteria, json!({})).await;
    let evidence =
        |value: Value| json!({"evidence": [{"criterion": 1, "text": "run 7", "value": value}]});
    for bad in [
        json!("0.299999999999999999"),
        json!(0.1),
        json!("-1"),
        json!("many"),
        json!(1e300),
        json!(null),
    ] {
        let refused = complete(&worker, &held, evidence(bad.clone())).await;
        assert_eq!(refused.problem(422, "invalid"), ["/evidence/0/value"], "{bad}");
    }
    let without = json!({"evidence": [{"criterion": 1, "text": "high enough"}]});
    assert_eq!(
        complete(&worker, &held, without).await.problem(422, "invalid"),
        ["/evidence/0/value"]
    );
    complete(&worker, &held, json!({})).await.problem(422, "evidence_missing");
    complete(&worker, &held, evidence(json!(0.3))).await.expect(200);
    // The number is what the agent says: the comparison does not make it a measurement.
    assert_eq!(verdicts(&fleet, &goal).await, ["1 met claimed"]);
    let task = fleet.task(&goal, "a").await;
    assert_eq!(task["evidence"][0]["value"], "0.3");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn texts_cost_no_statement_that_they_did_not_cost() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let statements = Statements::record();
    let mut seen = Vec::new();
    for criteria in [json!([]), json!([]), json!(["it works", {"text": "it is fast"}])] {
        let given = criteria.as_array().unwrap().len();
        let (_, held) = hold(&fleet, &worker, criteria, json!({})).await;
        let pieces: Vec<Value> =
            (1..=given).map(|n| json!({"criterion": n, "text": "seen"})).collect();
        statements.take();
        complete(&worker, &held, json!({"evidence": pieces})).await.expect(200);
        seen.push(statements.take());
    }
    // The first one warms up what is read once.
    let (plain, texts) = (&seen[1], &seen[2]);
    let more: Vec<_> = texts.iter().filter(|name| !plain.contains(name)).collect();
    assert_eq!(more, [&"attempts.results.insert_evidence"]);
    assert_eq!(texts.len(), plain.len() + 1);
}
