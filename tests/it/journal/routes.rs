//! Reading the journal over HTTP.

use serde_json::{Value, json};

use super::{of_request, seal_all, sealed_fleet, workspace};
use crate::support::fleet::{Fleet, text};

async fn list(fleet: &Fleet, query: &str) -> Vec<Value> {
    let page = fleet.admin.get(format!("/v1/audit?limit=200&{query}")).await.value(200);
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn rows_are_found_by_what_they_are_about() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let before = fleet.now();
    fleet.pass(60);
    let goal = fleet.lone_task(json!({})).await;
    fleet.pass(1);
    let held = agent.take().await;
    let key = text(&agent.client.get("/v1/whoami").await.value(200)["key_id"]);

    let all = list(&fleet, "").await;
    let numbers: Vec<i64> =
        all.iter().map(|item| item["row"]["number"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=all.len() as i64).rev().collect::<Vec<_>>());
    let about = list(&fleet, &format!("subject_id={goal}")).await;
    assert!(about.iter().any(|item| item["row"]["kind"] == "goal.created"));
    assert!(about.iter().all(|item| item["row"]["subject_id"] == goal.as_str()));
    let tasks = list(&fleet, &format!("subject=task&subject_id={}", held.task)).await;
    assert_eq!(tasks[0]["row"]["kind"], "task.running");
    assert_eq!(tasks[0]["row"]["actor_key_id"], key.as_str());
    assert_eq!(tasks[0]["sealed"], false);
    assert!(list(&fleet, &format!("subject=goal&subject_id={}", held.task)).await.is_empty());
    let within = list(&fleet, &format!("goal_id={goal}")).await;
    assert!(within.len() > about.len() + tasks.len() - 1, "{within:#?}");
    assert!(within.iter().all(|item| item["row"]["goal_id"] == goal.as_str()));
    let beat = json!({"progress": {"percent": 1}});
    agent.write(&held, "heartbeat", beat).await.expect(200);
    let attempt = list(&fleet, &format!("subject_id={}", held.attempt)).await;
    assert_eq!(attempt[0]["row"]["kind"], "attempt.progress_reported");
    // Things of no goal, and ids of nothing.
    let by_subject = list(&fleet, &format!("subject_id={key}")).await;
    assert_eq!(by_subject[0]["row"]["kind"], "key.created");
    assert!(list(&fleet, "subject_id=01890a5d-ac96-774b-bcce-b302099a8057").await.is_empty());
    let all = list(&fleet, "").await;
    let by_key = list(&fleet, &format!("actor_key_id={key}&kind=task.running")).await;
    assert_eq!(by_key.len(), 1);
    let at = before.to_rfc3339().replace('+', "%2B");
    let later = fleet.now().to_rfc3339().replace('+', "%2B");
    let early = list(&fleet, &format!("until={later}")).await;
    let late = list(&fleet, &format!("from={later}")).await;
    assert_eq!(early.len() + late.len(), all.len());
    assert!(!early.is_empty() && !late.is_empty());
    assert!(list(&fleet, &format!("until={at}")).await.is_empty());
    assert_eq!(list(&fleet, "actor_person=nobody%40example.com").await, Vec::<Value>::new());
    assert_eq!(list(&fleet, "on_behalf_of=nobody%40example.com").await, Vec::<Value>::new());

    seal_all(&fleet.app).await;
    let sealed = list(&fleet, "").await;
    assert!(sealed.iter().all(|item| item["sealed"] == true), "{sealed:#?}");
}

#[tokio::test]
async fn the_request_is_the_one_that_was_answered() {
    let fleet = Fleet::start().await;
    let new = json!({"name": "p"});
    let call = fleet.admin.post("/v1/projects", &new).header("x-request-id", "my-own.id:1");
    let made = call.idempotency_key("k").await.expect(201);
    assert_eq!(made.header("x-request-id"), "my-own.id:1");
    let entries = of_request(&fleet, "my-own.id:1").await;
    assert_eq!(super::kinds(&entries), ["project.created"]);
    assert_eq!(entries[0]["subject_id"], made.json::<Value>()["id"]);
    assert!(entries[0].get("before_sha256").is_none());

    // A replay and a refusal do nothing.
    let again = fleet.admin.post("/v1/projects", &new).idempotency_key("k").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(of_request(&fleet, again.header("x-request-id")).await, Vec::<Value>::new());
    let refused = fleet.admin.post("/v1/projects", &new).await;
    refused.problem(409, "already_exists");
    assert_eq!(of_request(&fleet, refused.header("x-request-id")).await, Vec::<Value>::new());
}

/// Paging with a cursor shows each once, whatever is written meanwhile.
#[tokio::test]
async fn pages_follow_each_other() {
    let (fleet, found) = sealed_fleet().await;
    let mut seen = Vec::new();
    let mut path = "/v1/audit?limit=7".to_owned();
    loop {
        let page = fleet.admin.get(&path).await.value(200);
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["row"]["number"].as_i64()),
        );
        fleet.lone_task(json!({})).await;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/audit?limit=7&cursor={cursor}");
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=found.head.number).map(Some).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_kept_head_is_given_whole() {
    let (fleet, found) = sealed_fleet().await;
    let answer = fleet.admin.get("/v1/audit/verify").await.value(200);
    assert_eq!((&answer["holds"], &answer["break_count"]), (&json!(true), &json!(0)));
    assert_eq!(answer["head"], json!(found.head));
    assert_eq!(answer["workspace_id"], json!(workspace(&fleet.app).await));
    for (query, place) in [
        ("number=1", "?head"),
        ("head=00", "?number"),
        ("number=1&head=00", "?head"),
        (&format!("number=0&head={}", "0".repeat(64)), "?number"),
    ] {
        let answer = fleet.admin.get(format!("/v1/audit/verify?{query}")).await;
        assert_eq!(answer.problem(422, "invalid"), [place], "{query}");
    }
    let beyond = format!("/v1/audit/verify?number=100000&head={}", "0".repeat(64));
    let answer = fleet.admin.get(beyond).await.value(200);
    assert_eq!(answer["breaks"][0]["kind"], "missing");
    assert_eq!(answer["breaks"][0]["number"], found.head.number + 1);
}

/// A workspace sees its own journal and no other.
#[tokio::test]
async fn a_workspace_has_its_own_journal() {
    let fleet = Fleet::start().await;
    let stranger = fleet.other_workspace().await;
    fleet.lone_task(json!({})).await;
    fleet.round().await;
    let page = stranger.get("/v1/audit?limit=200").await.value(200);
    let entries = page["items"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{page:#}");
    assert_eq!(entries[0]["row"]["kind"], "key.created");
    let export = stranger.get("/v1/audit/export").await.expect(200);
    assert!(!String::from_utf8(export.body).unwrap().contains("goal.created"));
}
