//! Rules as people make, read, edit and delete them.

use axum::http::Method;
use serde_json::{Value, json};

use super::{id, intervention, interventions, nudge, rule};
use crate::support::fleet::Fleet;

fn failures() -> Value {
    json!({"name": "failures", "when": {"failures": {"count": 1}}, "then": nudge()})
}

#[tokio::test]
async fn a_rule_is_made_once_per_key_and_edited_by_its_version() {
    let fleet = Fleet::start().await;
    let make = || fleet.admin.post("/v1/rules", &failures()).idempotency_key("a");
    let made = make().await.expect(201);
    assert_eq!(made.etag(), "\"v1\"");
    let made: Value = made.json();
    assert_eq!(make().await.value(201), made);
    assert_eq!((&made["enabled"], &made["cooldown_seconds"]), (&json!(true), &json!(3600)));
    fleet.admin.post("/v1/rules", &failures()).await.problem(409, "already_exists");
    let path = format!("/v1/rules/{}", id(&made));
    let patch = |body: Value, etag: &str| fleet.admin.patch(path.clone(), &body).if_match(etag);
    let off = patch(json!({"enabled": false}), "\"v1\"").await.value(200);
    assert_eq!(
        (&off["enabled"], &off["version"], &off["when"]),
        (&json!(false), &json!(2), &made["when"])
    );
    patch(json!({"enabled": true}), "\"v1\"").await.problem(412, "precondition_failed");
    fleet.admin.patch(path.clone(), &json!({})).await.problem(428, "precondition_required");
    // What changes nothing is no new version.
    assert_eq!(patch(json!({"name": "failures"}), "*").await.value(200), off);
    let other = rule(&fleet, json!({"looping": {}}), nudge()).await;
    let taken = patch(json!({"name": other["name"]}), "*").await;
    taken.problem(409, "already_exists");
    let list = |query: &str| fleet.admin.get(format!("/v1/rules?{query}"));
    let ids = |page: Value| -> Vec<Value> {
        page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect()
    };
    assert_eq!(ids(list("").await.value(200)), [other["id"].clone(), made["id"].clone()]);
    assert_eq!(ids(list("enabled=false").await.value(200)), [made["id"].clone()]);
    assert_eq!(ids(list("condition=looping&action=nudge").await.value(200)), [other["id"].clone()]);
    assert_eq!(ids(list("action=park").await.value(200)), [] as [Value; 0]);
    let delete = |etag: &str| fleet.admin.call(Method::DELETE, path.clone()).if_match(etag);
    delete("\"v1\"").await.problem(412, "precondition_failed");
    delete("\"v2\"").await.expect(204);
    delete("*").await.problem(404, "not_found");
    fleet.admin.get(path.clone()).await.problem(404, "not_found");
    // Its name is free again.
    fleet.admin.post("/v1/rules", &failures()).await.expect(201);
    let told: Vec<String> =
        sqlx::query_scalar("select kind from journal where kind ~ '^rule' order by number")
            .fetch_all(&fleet.pool)
            .await
            .unwrap();
    let want = ["rule.created", "rule.updated", "rule.created", "rule.deleted", "rule.created"];
    assert_eq!(told, want);
}

#[tokio::test]
async fn what_does_not_fit_together_is_refused_with_its_place() {
    let fleet = Fleet::start().await;
    let refused = async |when: Value, then: Value, scope: Value, places: &[&str]| {
        let mut body = json!({"name": "r", "when": when, "then": then, "scope": scope});
        let answer = fleet.admin.post("/v1/rules", &body).await;
        assert_eq!(answer.problem(422, "invalid"), places);
        body = json!({"rule": body});
        let places: Vec<String> = places.iter().map(|place| format!("/rule{place}")).collect();
        let answer = fleet.admin.post("/v1/rules/dry-run", &body).await;
        // That there is no such project is found when the rule is made.
        if places != ["/rule/scope/project_id"] {
            assert_eq!(answer.problem(422, "invalid"), places);
        }
    };
    let none = || json!({});
    let slack = || json!({"deadline_slack": {}});
    refused(json!({"failures": {"count": 0}}), nudge(), none(), &["/when/failures/count"]).await;
    refused(json!({"failures": {"counts": 1}}), nudge(), none(), &["/when/failures/counts"]).await;
    refused(json!({"failing": {}}), nudge(), none(), &["/when"]).await;
    refused(json!({"same_failure": {}, "looping": {}}), nudge(), none(), &["/when"]).await;
    refused(
        json!({"looping": {"patterns": ["x"]}}),
        nudge(),
        none(),
        &["/when/looping/patterns/0"],
    )
    .await;
    refused(slack(), json!({"park": {}}), none(), &["/then/park"]).await;
    refused(
        slack(),
        json!({"freeze": {"mode": "stop", "on": "task"}}),
        none(),
        &["/then/freeze/on"],
    )
    .await;
    refused(
        json!({"subtasks_over": {"count": 1}}),
        json!({"reassign": {}}),
        none(),
        &["/then/reassign"],
    )
    .await;
    refused(slack(), nudge(), json!({"capabilities": ["rust"]}), &["/scope/capabilities"]).await;
    refused(slack(), nudge(), json!({"project_id": fleet.no_id()}), &["/scope/project_id"]).await;
    refused(json!({"looping": {}}), json!({"nudge": {"text": ""}}), none(), &["/then/nudge/text"])
        .await;
    let dates = json!({"rule": failures(), "from": "2026-03-01T12:00:00Z",
                       "until": "2026-03-01T12:00:00Z"});
    let answer = fleet.admin.post("/v1/rules/dry-run", &dates).await;
    assert_eq!(answer.problem(422, "invalid"), ["/until"]);
    assert_eq!(interventions(&fleet, "").await, [] as [Value; 0]);
}

#[tokio::test]
async fn what_a_rule_did_outlives_it() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let asks = rule(&fleet, json!({"failures": {"count": 1}}), json!({"ask": {}})).await;
    let goal = fleet.lone_task(json!({"max_attempts": 5})).await;
    super::fail_with(&fleet, &agent, "no").await;
    fleet.round().await;
    let path = format!("/v1/rules/{}", id(&asks));
    assert_eq!(fleet.admin.get(path.clone()).await.value(200)["open_interventions"], 1);
    fleet.admin.call(Method::DELETE, path).if_match("*").await.expect(204);
    fleet.round().await;
    let open = intervention(&fleet).await;
    assert_eq!((&open["rule"], &open["rule_version"]), (&asks["name"], &json!(1)));
    let read = fleet.admin.get(format!("/v1/interventions/{}", id(&open))).await.value(200);
    assert_eq!(read, open);
    fleet.decide(json!({"decision": "answer", "answer": {"choice": "continue"}})).await;
    fleet.expect_states(&goal, "a:ready").await;
    assert_eq!(interventions(&fleet, "open=true").await, [] as [Value; 0]);
    fleet.admin.get(format!("/v1/interventions/{}", fleet.no_id())).await.problem(404, "not_found");
}
