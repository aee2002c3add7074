//! What becomes of due times: overlap, absences, refusals.

use serde_json::json;

use super::{fires, last_goal, path, read, schedule, told};
use crate::support::{
    fleet::{Fleet, text},
    invariants::verify,
};

async fn end(fleet: &Fleet, goal: &str) {
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
}

#[tokio::test]
async fn a_goal_says_which_schedule_posted_it() {
    let fleet = Fleet::start().await;
    let made = schedule(&fleet, json!({"deadline_seconds": 600})).await;
    assert_eq!((&made["state"], &made["next"].as_array().unwrap().len()), (&json!("active"), &5));
    fleet.after(3_600).await;
    let goal = fleet.read_goal(&last_goal(&fleet, &made).await).await;
    assert_eq!((&goal["schedule_id"], &goal["title"]), (&made["id"], &json!("again")));
    assert_eq!(goal["created_by"], made["created_by"]);
    assert_eq!(goal["deadline"], "2026-03-01T13:10:00Z");
    let agent = fleet.worker().await;
    agent.take().await;
    let events = fleet.admin.get("/v1/events?kind=schedule.fired").await.value(200);
    assert_eq!(events["items"][0]["goal_id"], goal["id"], "{events:#}");
    let other = fleet.goal(json!([{"ref": "a", "title": "a"}])).await;
    assert_eq!(fleet.read_goal(&other).await["schedule_id"], json!(null));
}

#[tokio::test]
async fn skip_posts_nothing_while_the_goal_before_is_open() {
    let fleet = Fleet::start().await;
    let made = schedule(&fleet, json!({})).await;
    fleet.after(3_600).await;
    fleet.after(3_600).await;
    end(&fleet, &last_goal(&fleet, &made).await).await;
    fleet.after(3_600).await;
    assert_eq!(told(&fleet, &made).await, ["13:00 posted", "14:00 skipped", "15:00 posted"]);
    let refused = fleet.poster.post(path(&made, "/fire"), &json!({})).await;
    refused.problem(409, "wrong_state");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn queue_posts_one_after_the_other() {
    let fleet = Fleet::start().await;
    let made = schedule(&fleet, json!({"overlap": "queue"})).await;
    for _ in 0..3 {
        fleet.after(3_600).await;
    }
    assert_eq!(told(&fleet, &made).await, ["13:00 posted", "14:00 queued", "15:00 queued"]);
    assert_eq!(read(&fleet, &made).await["queued"], 2);
    for left in [1, 0] {
        let before = last_goal(&fleet, &made).await;
        end(&fleet, &before).await;
        fleet.round().await;
        assert_ne!(last_goal(&fleet, &made).await, before);
        assert_eq!(read(&fleet, &made).await["queued"], left);
    }
    assert_eq!(told(&fleet, &made).await, ["13:00 posted", "14:00 posted", "15:00 posted"]);
    fleet.round().await;
    assert_eq!(fires(&fleet, &made).await.len(), 3);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_full_queue_skips_and_a_deleted_schedule_drops_its_queue() {
    let fleet = Fleet::start().await;
    let made = schedule(&fleet, json!({"overlap": "queue", "cron": "* * * * *"})).await;
    for _ in 0..103 {
        fleet.after(60).await;
    }
    let outcomes = |outcome: &str| format!("/fires?outcome={outcome}&limit=200");
    for (outcome, count) in [("posted", 1), ("queued", 100), ("skipped", 2)] {
        let page = fleet.admin.get(path(&made, &outcomes(outcome))).await.value(200);
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{outcome}");
    }
    let call = fleet.admin.call(axum::http::Method::DELETE, path(&made, "")).if_match("*");
    call.await.expect(204);
    end(&fleet, &posted(&fleet).await).await;
    fleet.after(3_600).await;
    let left: i64 =
        sqlx::query_scalar("select count(*) from schedule_fires where outcome = 'queued'")
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(left, 0);
    fleet.admin.get(path(&made, "/fires")).await.problem(404, "not_found");
    verify(&fleet.pool).await;
}

/// The only goal.
async fn posted(fleet: &Fleet) -> String {
    sqlx::query_scalar("select goal_id::text from goals").fetch_one(&fleet.pool).await.unwrap()
}

#[tokio::test]
async fn cancel_ends_the_goal_before() {
    let fleet = Fleet::start().await;
    let made = schedule(&fleet, json!({"overlap": "cancel"})).await;
    fleet.after(3_600).await;
    let first = last_goal(&fleet, &made).await;
    fleet.after(3_600).await;
    let second = last_goal(&fleet, &made).await;
    assert_eq!(fleet.goal_state(&first).await, "cancelled");
    assert_eq!(fleet.goal_state(&second).await, "active");
    assert!(text(&fleet.read_goal(&first).await["end_reason"]).contains("the schedule `s`"));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn after_an_absence_what_is_in_the_window_is_fired_and_the_rest_is_counted() {
    let fleet = Fleet::start().await;
    let made = schedule(&fleet, json!({"overlap": "cancel", "catch_up_seconds": 2 * 3_600})).await;
    // Away from 12:00 to 20:30: 13:00 to 18:00 are too old.
    fleet.after(8 * 3_600 + 1_800).await;
    assert_eq!(told(&fleet, &made).await, ["18:00 missed", "19:00 posted", "20:00 posted"]);
    assert_eq!(fires(&fleet, &made).await[0]["times"], 6);
    assert_eq!(read(&fleet, &made).await["last_due"], "2026-03-01T20:00:00Z");
    // At most a hundred are caught up.
    let often = schedule(
        &fleet,
        json!({"name": "often", "cron": "* * * * *", "overlap": "skip", "catch_up_seconds": 604_800}),
    )
    .await;
    fleet.after(5 * 3_600).await;
    let all = fires(&fleet, &often).await;
    assert_eq!((all.len(), &all[0]["times"]), (101, &json!(200)));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_refused_goal_is_told_and_three_in_a_row_pause_the_schedule() {
    let fleet = Fleet::start().await;
    let goal = json!({"title": "g", "project": "p", "tasks": [{"ref": "a", "title": "a"}]});
    let made = schedule(&fleet, json!({"goal": goal, "overlap": "cancel"})).await;
    fleet.after(3_600).await;
    let project = text(&fleet.read_goal(&last_goal(&fleet, &made).await).await["project_id"]);
    end(&fleet, &last_goal(&fleet, &made).await).await;
    fleet.admin.post(format!("/v1/projects/{project}/archive"), &json!({})).await.expect(200);
    for _ in 0..3 {
        fleet.after(3_600).await;
    }
    let told = told(&fleet, &made).await;
    assert_eq!(told, ["13:00 posted", "14:00 refused", "15:00 refused", "16:00 refused"]);
    assert_eq!(fires(&fleet, &made).await[1]["code"], "invalid");
    let paused = read(&fleet, &made).await;
    assert_eq!((&paused["state"], &paused["pause"]), (&json!("paused"), &json!("refused")));
    assert_eq!(paused["next"], json!([]));
    let page = fleet.admin.get("/v1/attention?kind=paused_schedule").await.value(200);
    assert_eq!(page["counts"]["paused_schedule"], 1);
    let item = &page["items"][0];
    fleet.admin.post(format!("/v1/projects/{project}/unarchive"), &json!({})).await.expect(200);
    fleet.admin.post(text(&item["action"]["path"]), &item["action"]["body"]).await.expect(200);
    let page = fleet.admin.get("/v1/attention?kind=paused_schedule").await.value(200);
    assert_eq!(page["items"], json!([]));
    fleet.after(3_600).await;
    assert_eq!(super::told(&fleet, &made).await.last().unwrap(), "17:00 posted");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn old_fires_go_by_age_and_the_others_with_their_goals() {
    let fleet = Fleet::start().await;
    let made = schedule(&fleet, json!({"cron": "0 12 * * *"})).await;
    fleet.after(86_400).await;
    fleet.after(86_400).await;
    assert_eq!(told(&fleet, &made).await, ["12:00 posted", "12:00 skipped"]);
    let goal = last_goal(&fleet, &made).await;
    end(&fleet, &goal).await;
    let call = fleet.admin.call(axum::http::Method::DELETE, format!("/v1/goals/{goal}"));
    call.if_match("*").await.expect(204);
    assert_eq!(told(&fleet, &made).await, ["12:00 skipped"]);
    fleet.after(91 * 86_400).await;
    let outcomes = told(&fleet, &made).await;
    assert_eq!(outcomes, ["12:00 missed", "12:00 posted"], "{outcomes:?}");
    verify(&fleet.pool).await;
}

/// A schedule that was stored when templates could have a dedup key.
async fn with_key(fleet: &Fleet, overlap: &str, dedup: &serde_json::Value) -> serde_json::Value {
    let made = schedule(fleet, json!({"name": overlap, "overlap": overlap})).await;
    sqlx::query(
        "update schedules set goal = jsonb_set(goal, '{dedup}', $1::jsonb)
         where schedule_id::text = $2",
    )
    .bind(dedup.to_string())
    .bind(text(&made["id"]))
    .execute(&fleet.pool)
    .await
    .unwrap();
    made
}

#[tokio::test]
async fn the_goal_of_somebody_else_is_neither_taken_over_nor_cancelled() {
    let fleet = Fleet::start().await;
    let key = json!({"key": "nightly"});
    let made = with_key(&fleet, "cancel", &key).await;
    let task = json!([{"ref": "a", "title": "a"}]);
    let new = json!({"title": "of a person", "dedup": key, "tasks": task});
    let other = text(&fleet.poster.post("/v1/goals", &new).await.value(201)["id"]);
    fleet.after(3_600).await;
    fleet.after(3_600).await;
    assert_eq!(told(&fleet, &made).await, ["13:00 skipped", "14:00 skipped"]);
    let reason = text(&fires(&fleet, &made).await[0]["detail"]);
    assert!(reason.contains("dedup key"), "{reason}");
    assert_eq!(read(&fleet, &made).await["last_goal_id"], json!(null));
    assert_eq!(fleet.read_goal(&other).await["schedule_id"], json!(null));
    assert_eq!(fleet.goal_state(&other).await, "active");
    fleet.poster.post(path(&made, "/fire"), &json!({})).await.problem(409, "already_exists");
    // Skips are no refusals in a row: it goes on when the key is free.
    fleet.after(3_600).await;
    end(&fleet, &other).await;
    fleet.after(3_600).await;
    assert_eq!(told(&fleet, &made).await.last().unwrap(), "16:00 posted");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_fire_that_posts_nothing_cancels_nothing() {
    let fleet = Fleet::start().await;
    let key = json!({"key": "daily", "for_seconds": 7_200});
    let made = with_key(&fleet, "cancel", &key).await;
    let queue = with_key(&fleet, "queue", &json!({"key": "other", "for_seconds": 7_200})).await;
    fleet.after(3_600).await;
    let goal = last_goal(&fleet, &made).await;
    fleet.after(3_600).await;
    assert_eq!(told(&fleet, &made).await, ["13:00 posted", "14:00 skipped"]);
    assert_eq!(fleet.goal_state(&goal).await, "active");
    assert_eq!(told(&fleet, &queue).await, ["13:00 posted", "14:00 queued"]);
    end(&fleet, &last_goal(&fleet, &queue).await).await;
    fleet.round().await;
    assert_eq!(told(&fleet, &queue).await, ["13:00 posted", "14:00 skipped"]);
    assert_eq!(read(&fleet, &queue).await["queued"], 0);
    verify(&fleet.pool).await;
}
