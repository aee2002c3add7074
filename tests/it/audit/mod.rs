//! The audit: what is written down, how it is sealed beside running writers, and what a hand in the
//! database cannot do unseen.

use std::time::{Duration, Instant};

use muster::{
    app::{App, audits::AuditVerification},
    clock::Clock,
    domain::{audit::Head, ids::WorkspaceId},
    entropy::Entropy,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::support::{
    fleet::{Fleet, text},
    process::PATIENCE,
};

mod coverage;
mod export;
mod routes;
mod sealing;
mod tampering;

/// The only workspace.
pub async fn workspace(app: &App) -> WorkspaceId {
    let all = app.workspaces().await.unwrap();
    let [only] = all.as_slice() else { panic!("not one workspace: {all:?}") };
    *only
}

/// What a check finds.
pub async fn check(app: &App, kept: Option<Head>) -> AuditVerification {
    let local = app.local_admin(Some(workspace(app).await)).await.unwrap();
    local.verify_audit(kept).await.unwrap()
}

/// What a check of another database finds.
pub async fn check_in(pool: &PgPool, kept: Option<Head>) -> AuditVerification {
    check(&App::new(pool.clone(), Clock::Database, Entropy::system()), kept).await
}

/// Seals until nothing is left. Whatever writes on the same server meanwhile, in tests beside this one
/// too, holds the horizon for a moment.
pub async fn seal_all(app: &App) -> AuditVerification {
    let began = Instant::now();
    let workspace = workspace(app).await;
    loop {
        app.seal_audit(workspace).await.unwrap();
        let found = check(app, None).await;
        if found.unsealed == 0 {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "not sealed in time: {found:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A fleet that has done a few things, all of them sealed.
pub async fn sealed_fleet() -> (Fleet, AuditVerification) {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    for title in ["one", "two", "three"] {
        fleet.goal(json!([{"ref": "a", "title": title}, {"ref": "b", "title": "b"}])).await;
    }
    let held = agent.take().await;
    let beat = json!({"progress": {"percent": 10}, "spend": {"totals": {"usd_micros": 5}}});
    agent.write(&held, "heartbeat", beat).await.expect(200);
    agent.complete(&held).await;
    let found = seal_all(&fleet.app).await;
    assert!(found.holds && found.head.seq > 20, "{found:#?}");
    (fleet, found)
}

pub async fn execute(pool: &PgPool, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The entries of a request, oldest first.
pub async fn of_request(fleet: &Fleet, request: &str) -> Vec<Value> {
    let page = fleet.admin.get(format!("/v1/audit?request_id={request}&limit=200")).await;
    let mut items = page.value(200)["items"].as_array().unwrap().clone();
    items.reverse();
    items.into_iter().map(|item| item["entry"].clone()).collect()
}

/// What was done by a request, as `action subject`.
pub fn actions(entries: &[Value]) -> Vec<String> {
    let words = |entry: &Value| format!("{} {}", text(&entry["action"]), text(&entry["subject"]));
    entries.iter().map(words).collect()
}
