//! Ended goals that stay because something of them is alive or recent.

use muster::{
    domain::retention::PruningHold::{self, Freeze, OpenTask, RecentAttempt},
    supervisor,
};
use serde_json::json;

use super::{DAY, id, keep, prunable, prune, worked_off};
use crate::support::{fleet::Fleet, invariants::verify};

async fn held(fleet: &Fleet) -> Vec<(PruningHold, i64)> {
    prunable(fleet).await.held.into_iter().collect()
}

#[tokio::test]
async fn a_goal_stays_while_something_of_it_is_alive() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let (frozen, _) = worked_off(&fleet, &agent, "frozen").await;
    let (late, spent) = worked_off(&fleet, &agent, "late").await;
    let stop = json!({"scope": "goal", "scope_id": frozen, "mode": "pause", "reason": "look"});
    let freeze = fleet.admin.post("/v1/freezes", &stop).await.value(201);
    fleet.pass(31 * DAY);
    // Asked to stop, and not yet stopped.
    let stopping = fleet.goal(json!([{"ref": "a", "title": "a"}])).await;
    agent.take().await;
    fleet.admin.post(format!("/v1/goals/{stopping}/cancel"), &json!({})).await.expect(200);
    sqlx::query(
        "update goals set ended_at = created_at - interval '40 days' where goal_id = $1::uuid",
    )
    .bind(&stopping)
    .execute(&fleet.pool)
    .await
    .unwrap();
    super::spend(&agent, &spent, "late", "x", json!({"usd_micros": 5})).await;
    keep(&fleet.admin, Some(30), None).await;
    let three = [(OpenTask, 1), (Freeze, 1), (RecentAttempt, 1)];
    assert_eq!(held(&fleet).await, three);
    let report = prune(&fleet).await;
    assert_eq!((report.goals, report.held.len()), (0, 3), "{report:#?}");
    for goal in [&frozen, &late, &stopping] {
        fleet.read_goal(goal).await;
    }

    let lift = format!("/v1/freezes/{}/lift", id(&freeze));
    fleet.admin.post(lift, &json!({"reason": "seen"})).await.expect(200);
    assert_eq!(prune(&fleet).await.goals, 1);
    // The agent never stops: it is forced to, and a day later everything is over.
    fleet.after(120).await;
    fleet.after(2 * DAY).await;
    prune(&fleet).await;
    assert_eq!(super::count(&fleet, "select count(*) from goals").await, 0);
    verify(&fleet.pool).await;
}

/// The oldest goal cannot be pruned: somebody has a row of it locked, for longer than the duty waits.
#[tokio::test]
async fn a_goal_that_cannot_be_pruned_holds_up_no_other() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let (old, _) = worked_off(&fleet, &agent, "old").await;
    fleet.pass(60);
    let (young, _) = worked_off(&fleet, &agent, "young").await;
    keep(&fleet.admin, Some(30), None).await;
    fleet.pass(31 * DAY);
    let mut lock = fleet.pool.begin().await.unwrap();
    sqlx::query("select from tasks where goal_id = $1::uuid for update")
        .bind(&old)
        .execute(&mut *lock)
        .await
        .unwrap();
    // Together, at the end, the old one by itself, the young one.
    for _ in 0..4 {
        let _ = supervisor::round(&fleet.app).await;
    }
    fleet.admin.get(format!("/v1/goals/{young}")).await.problem(404, "not_found");
    fleet.read_goal(&old).await;
    lock.rollback().await.unwrap();
    // The command tries what the duty passes over.
    assert_eq!(prune(&fleet).await.goals, 1);
    verify(&fleet.pool).await;
}
