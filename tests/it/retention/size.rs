//! The size of the database: that of what is kept, whatever was pruned.
//!
//! Small by default. `MUSTER_PRUNE_GOALS=1000 MUSTER_PRUNE_TASKS=50 MUSTER_PRUNE_KEPT=100` makes it the size
//! of a year.

use serde_json::json;

use super::{DAY, keep, prune};
use crate::support::{agent::Agent, fleet::Fleet, invariants::verify};

fn given(name: &str, usually: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usually)
}

/// Goals that an agent has worked off.
async fn work(fleet: &Fleet, agent: &Agent, goals: usize, tasks: usize) {
    for _ in 0..goals {
        let task =
            |n| json!({"ref": format!("t{n}"), "title": "t", "description": "d".repeat(400)});
        fleet.goal((0..tasks).map(task).collect()).await;
        loop {
            let held = agent.claim(100).await;
            if held.is_empty() {
                break;
            }
            for held in &held {
                let spend =
                    json!({"entries": [{"key": "k", "model": "m", "amounts": {"usd_micros": 3}}]});
                let body = json!({"result": {"text": "r".repeat(1_000)}, "spend": spend});
                agent.write(held, "complete", body).await.expect(200);
            }
        }
    }
    fleet.round().await;
}

async fn bytes(fleet: &Fleet) -> i64 {
    sqlx::query("vacuum full analyze").execute(&fleet.pool).await.unwrap();
    super::count(
        fleet,
        "select sum(pg_total_relation_size(oid))::bigint from pg_class
                         where relnamespace = 'public'::regnamespace and relkind = 'r'",
    )
    .await
}

#[tokio::test]
async fn a_pruned_database_is_as_large_as_what_is_left() {
    let goals = given("MUSTER_PRUNE_GOALS", 16);
    let tasks = given("MUSTER_PRUNE_TASKS", 10);
    let kept = given("MUSTER_PRUNE_KEPT", 4);
    let small = Fleet::start().await;
    let agent = small.worker().await;
    work(&small, &agent, kept, tasks).await;
    let want = bytes(&small).await;

    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    work(&fleet, &agent, goals - kept, tasks).await;
    fleet.after(40 * DAY).await;
    work(&fleet, &agent, kept, tasks).await;
    let full = bytes(&fleet).await;
    keep(&fleet.admin, Some(30), Some(30)).await;
    let report = prune(&fleet).await;
    assert_eq!(report.goals, (goals - kept) as u64, "{report:#?}");
    let left = bytes(&fleet).await;
    println!("{full} bytes with {goals} goals, {left} after pruning, {want} with {kept} goals");
    assert!(left < full && left * 10 <= want * 12, "{left} of {full}, {want} wanted");
    verify(&fleet.pool).await;
    let total = fleet.admin.get("/v1/reports/spend").await.value(200)["total"].clone();
    let count = (goals * tasks) as i64;
    assert_eq!(
        (&total["attempts"], &total["amounts"]["usd_micros"]),
        (&json!(count), &json!(3 * count))
    );
}
