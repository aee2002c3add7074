//! Claims that wait while something is frozen.

use std::time::{Duration, Instant};

use super::{freeze, freeze_all, lift};
use crate::support::{
    client::Client,
    fleet::{Fleet, router, text},
    process::PATIENCE,
};
use muster::domain::access::token::Token;
use serde_json::json;

/// How many claims wait in line.
fn waiting(fleet: &Fleet) -> usize {
    fleet.app.wake().waiting(Token::parse(&fleet.admin_key).unwrap().workspace())
}

/// Waits until one claim has waited in line for a while. The first look of a watcher calls everybody
/// once, and that is over then.
async fn until_one_waits(fleet: &Fleet) {
    let deadline = Instant::now() + PATIENCE;
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_millis(200) {
        assert!(Instant::now() < deadline, "there is never one claim waiting");
        if waiting(fleet) != 1 {
            since = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Who is called leaves the line to look, so whoever is not called is found in it again and again. The
/// head of the events that each look compares moves meanwhile.
async fn is_never_called(fleet: &Fleet) {
    let before: i64 = head(fleet).await;
    for n in 0..20 {
        let project = json!({"name": format!("{before} {n}")});
        fleet.admin.post("/v1/projects", &project).await.expect(201);
        for _ in 0..50 {
            assert_eq!(waiting(fleet), 1, "the claim was called, and there is nothing for it");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(head(fleet).await, before + 20);
}

async fn head(fleet: &Fleet) -> i64 {
    sqlx::query_scalar("select max(number) from journal").fetch_one(&fleet.pool).await.unwrap()
}

#[tokio::test]
async fn a_claim_that_waits_sleeps_until_the_lift() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let other = Client::of(router(&fleet.another_app().await)).with_key(&fleet.admin_key);
    for scope in ["workspace", "goal"] {
        for lifter in [&fleet.admin, &other] {
            let goal = fleet.goal(json!([{"ref": "a", "title": "a"}])).await;
            let body = match scope {
                "workspace" => json!({"scope": scope, "mode": "pause"}),
                _ => json!({"scope": scope, "scope_id": goal, "mode": "drain"}),
            };
            let set = freeze(&fleet, body).await;
            let claim = agent.claim_with(json!({"wait_seconds": 60}));
            let rest = async {
                until_one_waits(&fleet).await;
                is_never_called(&fleet).await;
                let path = format!("/v1/freezes/{}/lift", text(&set["id"]));
                lifter.post(path, &json!({})).await.expect(200);
                Instant::now()
            };
            let (held, lifted) = tokio::join!(claim, rest);
            assert_eq!(held.len(), 1);
            let took = lifted.elapsed();
            assert!(took < Duration::from_secs(20), "the lift was noticed after {took:?}");
            agent.complete(&held[0]).await;
        }
    }
}

/// What becomes ready under a freeze calls nobody either.
#[tokio::test]
async fn what_becomes_ready_under_a_freeze_waits_for_the_lift() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let set = freeze_all(&fleet, "drain").await;
    let claim = agent.claim_with(json!({"wait_seconds": 60}));
    let rest = async {
        until_one_waits(&fleet).await;
        fleet.goal(json!([{"ref": "a", "title": "a"}])).await;
        is_never_called(&fleet).await;
        lift(&fleet, &set).await;
    };
    let (held, ()) = tokio::join!(claim, rest);
    assert_eq!(held.len(), 1);
}
