//! Each due time is fired once, whatever the servers do.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use muster::supervisor;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;

use super::{fires, path, read, schedule, told};
use crate::support::{
    fleet::{Fleet, seed, text},
    invariants::verify,
};

/// Two servers, 200 due times of one schedule that is due more and less often, with both changes of the clocks among
/// them: each is fired once, by one of them. The clock jumps by what a seed says, over several due times now and then.
#[tokio::test]
async fn two_servers_fire_each_due_time_once() {
    let fleet = Fleet::start().await;
    let mut random = StdRng::seed_from_u64(seed());
    // In Berlin clocks are put forward on 2026-03-29 and back on 2026-10-25: five due times a day, 40 days.
    let mut want = BTreeSet::new();
    for (name, from) in [("spring", "2026-03-10T00:00:00Z"), ("autumn", "2026-10-06T00:00:00Z")] {
        let start: DateTime<Utc> = from.parse().unwrap();
        let made = schedule(
            &fleet,
            json!({
                "name": name, "cron": "30 0,2,6,14,22 * * *", "time_zone": "Europe/Berlin",
                "starts_at": start, "ends_at": start + TimeDelta::days(20),
                "overlap": "cancel", "catch_up_seconds": 604_800,
            }),
        )
        .await;
        let asked = json!({"cron": made["cron"], "time_zone": made["time_zone"], "count": 100,
                           "starts_at": made["starts_at"], "ends_at": made["ends_at"]});
        let due = fleet.admin.post("/v1/schedules/preview", &asked).await.value(200);
        let due = due["next"].as_array().unwrap().clone();
        assert_eq!(due.len(), 100, "{name}");
        let due: Vec<DateTime<Utc>> =
            due.iter().map(|due| serde_json::from_value(due["at"].clone()).unwrap()).collect();
        want.extend(due.iter().map(|due| (text(&made["id"]), *due)));
        let other = fleet.another_app().await;
        let last = *due.last().unwrap();
        let away = (due[0] - fleet.now()).num_seconds() - 3_600;
        fleet.pass(u64::try_from(away).unwrap());
        while fleet.now() <= last {
            fleet.pass(random.random_range(60..80_000));
            for outcome in
                join_all([supervisor::round(&fleet.app), supervisor::round(&other)]).await
            {
                outcome.unwrap();
            }
        }
    }
    fleet.round().await;
    let found: Vec<(String, DateTime<Utc>, bool)> = sqlx::query_as(
        "select f.schedule_id::text, f.due_at,
                f.outcome = 'posted' and f.times = 1 and g.schedule_id = f.schedule_id
         from schedule_fires f join goals g on g.goal_id = f.goal_id",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    assert_eq!((found.len(), want.len()), (200, 200));
    assert!(found.iter().all(|(.., whole)| *whole));
    let found: BTreeSet<_> = found.into_iter().map(|(id, due, _)| (id, due)).collect();
    assert_eq!(found, want);
    let goals: i64 =
        sqlx::query_scalar("select count(*) from goals").fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(goals, 200, "no goal without a fire");
    verify(&fleet.pool).await;
}

/// A server stands still with its fire undone, and dies: nothing of it is seen, and the fire is made once.
#[tokio::test]
async fn a_server_that_stands_still_or_dies_between_leaves_no_half_fire() {
    let fleet = Fleet::start().await;
    let made = schedule(&fleet, json!({"cron": "*/5 * * * *", "overlap": "cancel"})).await;
    fleet.pass(300);
    // The first server has the schedule and stops at the journal, behind which its commit comes.
    let mut lock = fleet.pool.begin().await.unwrap();
    sqlx::query("select from journal_heads for update").execute(&mut *lock).await.unwrap();
    let other = fleet.another_app().await;
    let stuck = tokio::spawn({
        let app = fleet.app.clone();
        async move { supervisor::round(&app).await }
    });
    fleet.until_blocked(1).await;
    assert_eq!(told(&fleet, &made).await, [""; 0], "nothing is seen before the commit");
    // It dies: its connection ends in the middle.
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock'",
    )
    .execute(&fleet.pool)
    .await
    .unwrap();
    assert!(stuck.await.unwrap().is_err());
    assert_eq!(told(&fleet, &made).await, [""; 0]);
    lock.rollback().await.unwrap();
    supervisor::round(&other).await.unwrap();
    supervisor::round(&other).await.unwrap();
    assert_eq!(told(&fleet, &made).await, ["12:05 posted"]);
    let goals: i64 =
        sqlx::query_scalar("select count(*) from goals").fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(goals, 1);
    verify(&fleet.pool).await;
}

/// Should the next due time ever be wrong, the fire of before stands and no second goal is posted.
#[tokio::test]
async fn a_due_time_that_comes_again_is_not_fired_again() {
    let fleet = Fleet::start().await;
    let made = schedule(&fleet, json!({"cron": "*/5 * * * *", "overlap": "cancel"})).await;
    fleet.after(300).await;
    sqlx::query("update schedules set next_due = last_due").execute(&fleet.pool).await.unwrap();
    fleet.round().await;
    assert_eq!(told(&fleet, &made).await, ["12:05 posted"]);
    assert_eq!(text(&read(&fleet, &made).await["next"][0]["at"])[11..16], *"12:10");
    let again = sqlx::query(
        "insert into schedule_fires (workspace_id, fire_id, schedule_id, due_at, decided_at, outcome)
         select workspace_id, gen_random_uuid(), schedule_id, due_at, decided_at, 'skipped'
         from schedule_fires",
    );
    let refused = again.execute(&fleet.pool).await.unwrap_err().to_string();
    assert!(refused.contains("schedule_fires_once"), "{refused}");
}

/// Two requests with one key fire once; two without fire twice.
#[tokio::test]
async fn a_request_to_fire_is_repeatable() {
    let fleet = Fleet::start().await;
    let made = schedule(&fleet, json!({"overlap": "cancel"})).await;
    let fire = || fleet.poster.post(path(&made, "/fire"), &json!({}));
    let first = fire().idempotency_key("one").await.value(201);
    let again = fire().idempotency_key("one").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.value(201), first);
    assert_eq!(first["outcome"], "posted");
    fire().await.expect(201);
    let all = fires(&fleet, &made).await;
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|fire| fire["asked_by"].is_string() && fire["outcome"] == "posted"));
    assert_eq!(fleet.goal_state(&text(&first["goal_id"])).await, "cancelled");
}
