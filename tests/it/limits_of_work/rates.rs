//! Rates of capabilities.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{
    fleet::{Fleet, router, text},
    invariants::verify,
};

async fn rate(fleet: &Fleet, capability: &str, starts: u32, burst: u32) -> Value {
    let new = json!({"capability": capability, "starts_per_minute": starts, "burst": burst});
    fleet.admin.post("/v1/rates", &new).await.value(201)
}

async fn tasks(fleet: &Fleet, count: usize, capabilities: &[&str]) -> String {
    let tasks: Vec<Value> = (0..count)
        .map(|n| {
            // A claim shows the labels and not what the task requires.
            json!({"ref": format!("t{n}"), "title": "t", "capabilities": capabilities,
                   "labels": capabilities})
        })
        .collect();
    fleet.goal(json!(tasks)).await
}

#[tokio::test]
async fn attempts_start_no_faster_than_the_rate() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("a", &["api", "other"], 100).await;
    rate(&fleet, "api", 60, 3).await;
    tasks(&fleet, 20, &["api"]).await;
    assert_eq!(agent.claim(10).await.len(), 3);
    agent.find_nothing().await;
    fleet.pass(1);
    assert_eq!(agent.claim(10).await.len(), 1);
    // What needs no start of the rate is given meanwhile, also if it stands behind.
    tasks(&fleet, 2, &["other"]).await;
    assert_eq!(agent.claim(10).await.len(), 2);
    fleet.pass(60);
    assert_eq!(agent.claim(10).await.len(), 3);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn claims_of_one_batch_get_other_work_when_the_rate_is_used_up() {
    let fleet = Fleet::start().await;
    rate(&fleet, "api", 1, 1).await;
    tasks(&fleet, 5, &["api"]).await;
    fleet.pass(1);
    tasks(&fleet, 5, &[]).await;
    let agents = [fleet.agent("a", &["api"], 1).await, fleet.agent("b", &["api"], 1).await];
    let (one, two) = tokio::join!(agents[0].take(), agents[1].take());
    let mut labels = [one, two].map(|held| held.claim["task"]["labels"].clone());
    labels.sort_by_key(|labels| labels.as_array().unwrap().len());
    assert_eq!(labels, [json!([]), json!(["api"])]);
}

#[tokio::test]
async fn a_task_with_two_rates_needs_a_start_of_both() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("a", &["api", "gpu"], 100).await;
    rate(&fleet, "api", 60, 10).await;
    rate(&fleet, "gpu", 60, 1).await;
    tasks(&fleet, 5, &["api", "gpu"]).await;
    assert_eq!(agent.claim(5).await.len(), 1);
    let page = fleet.admin.get("/v1/rates").await.value(200);
    let free = |capability: &str| {
        let items = page["items"].as_array().unwrap();
        items.iter().find(|rate| rate["capability"] == capability).unwrap()["free"].clone()
    };
    assert_eq!((free("api"), free("gpu")), (json!(9), json!(0)));
}

#[tokio::test]
async fn two_servers_share_a_rate() {
    let fleet = Fleet::start().await;
    rate(&fleet, "api", 600, 7).await;
    tasks(&fleet, 60, &["api"]).await;
    let other = router(&fleet.another_app().await);
    let mut agents = Vec::new();
    for n in 0..8 {
        let agent = fleet.agent(&format!("a{n}"), &["api"], 100).await;
        agents.push(agent.client.clone());
        agents.push(agent.client.to(other.clone()));
    }
    let mut most = 7;
    let mut sum = 0;
    for _ in 0..4 {
        let mut claims = JoinSet::new();
        for client in &agents {
            let client = client.clone();
            claims.spawn(async move {
                let answer = client.post("/v1/claims", &json!({"max": 3})).await;
                if answer.status == 204 {
                    return 0;
                }
                answer.value(200)["claims"].as_array().unwrap().len()
            });
        }
        sum += claims.join_all().await.into_iter().sum::<usize>();
        assert_eq!(sum, most, "all that is free is given, and no more");
        // Half a second: five more.
        fleet.clock.advance(Duration::from_millis(500));
        most += 5;
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_waiting_claim_is_called_when_a_start_is_free_again() {
    let fleet = Fleet::on_time().await;
    let agent = fleet.agent("a", &["api"], 100).await;
    rate(&fleet, "api", 120, 1).await;
    tasks(&fleet, 3, &["api"]).await;
    agent.take().await;
    let waited = agent.client.post("/v1/claims", &json!({"max": 1, "wait_seconds": 20})).await;
    assert_eq!(waited.value(200)["claims"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_rate_is_edited_and_deleted() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("a", &["api"], 100).await;
    let made = rate(&fleet, "api", 1, 2).await;
    let again = json!({"capability": "api", "starts_per_minute": 5});
    fleet.admin.post("/v1/rates", &again).await.problem(409, "already_exists");
    tasks(&fleet, 20, &["api"]).await;
    assert_eq!(agent.claim(10).await.len(), 2);
    let path = format!("/v1/rates/{}", text(&made["id"]));
    fleet.admin.patch(&path, &json!({"burst": 5})).if_match("\"v7\"").await.expect(412);
    let edited = fleet.admin.patch(&path, &json!({"burst": 5})).if_match("\"v1\"").await.value(200);
    assert_eq!((&edited["version"], &edited["free"]), (&json!(2), &json!(3)));
    assert_eq!(agent.claim(10).await.len(), 3);
    let bad = json!({"starts_per_minute": 0, "burst": 10_001});
    let bad = fleet.admin.patch(&path, &bad).if_match("*").await;
    assert_eq!(bad.problem(422, "invalid"), ["/starts_per_minute", "/burst"]);
    fleet.admin.call(axum::http::Method::DELETE, &path).await.expect(204);
    assert_eq!(agent.claim(10).await.len(), 10);
    verify(&fleet.pool).await;
}
