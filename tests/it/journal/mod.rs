//! The journal: what is recorded, how it is sealed beside running writers, and which changes in the
//! database are found.

use std::time::{Duration, Instant};

use muster::{
    app::{App, journal::verify::AuditVerification},
    clock::Clock,
    domain::{ids::WorkspaceId, journal::Head},
    entropy::Entropy,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::support::{
    fleet::{Fleet, text},
    process::PATIENCE,
};

mod bounded;
mod coverage;
mod events;
mod export;
mod removal;
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

/// Seals until nothing is left; another sealer may have the chain for a moment.
pub async fn seal_all(app: &App) -> AuditVerification {
    let began = Instant::now();
    let workspace = workspace(app).await;
    loop {
        app.seal_journal(workspace).await.unwrap();
        let found = check(app, None).await;
        if found.unsealed == 0 {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "not sealed in time: {found:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A fleet that has done a few things, all of them sealed in several segments.
pub async fn sealed_fleet() -> (Fleet, AuditVerification) {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    for title in ["one", "two", "three"] {
        fleet.goal(json!([{"ref": "a", "title": title}, {"ref": "b", "title": "b"}])).await;
        seal_all(&fleet.app).await;
    }
    let held = agent.take().await;
    let beat = json!({"progress": {"percent": 10}, "spend": {"totals": {"usd_micros": 5}}});
    agent.write(&held, "heartbeat", beat).await.expect(200);
    agent.complete(&held).await;
    let found = seal_all(&fleet.app).await;
    assert!(found.holds && found.head.number > 20, "{found:#?}");
    (fleet, found)
}

pub async fn execute(pool: &PgPool, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The segments, first and last number each, in their order.
pub async fn segments(pool: &PgPool) -> Vec<(i64, i64)> {
    let sql = "select first, last from journal_seals order by first";
    sqlx::query_as(sql).fetch_all(pool).await.unwrap()
}

/// The rows of a request, oldest first.
pub async fn of_request(fleet: &Fleet, request: &str) -> Vec<Value> {
    let page = fleet.admin.get(format!("/v1/audit?request={request}&limit=200")).await;
    let mut items = page.value(200)["items"].as_array().unwrap().clone();
    items.reverse();
    items.into_iter().map(|item| item["row"].clone()).collect()
}

/// The kinds of rows.
pub fn kinds(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|row| text(&row["kind"])).collect()
}
