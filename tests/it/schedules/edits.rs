//! Making, trying, editing, pausing and deleting schedules.

use axum::http::Method;
use serde_json::{Value, json};

use super::{path, read, schedule, told};
use crate::support::fleet::{Fleet, text};

fn times(due: &Value) -> Vec<String> {
    due["next"].as_array().unwrap().iter().map(|due| text(&due["local"])).collect()
}

#[tokio::test]
async fn a_preview_shows_both_changes_of_the_clocks() {
    let fleet = Fleet::start().await;
    let preview = |cron: &str, from: &str, count: u32| {
        let asked =
            json!({"cron": cron, "time_zone": "Europe/Berlin", "from": from, "count": count});
        fleet.admin.post("/v1/schedules/preview", &asked)
    };
    let spring = preview("30 2 * * *", "2026-03-27T12:00:00Z", 3).await.value(200);
    assert_eq!(
        times(&spring),
        ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    );
    let autumn = preview("0,30 2 * * *", "2026-10-24T23:00:00Z", 3).await.value(200);
    assert_eq!(
        times(&autumn),
        ["2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:00:00+01:00"]
    );
    let never = preview("0 0 30 2 *", "2026-01-01T00:00:00Z", 3).await.value(200);
    assert_eq!(times(&never), [""; 0]);
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_place() {
    let fleet = Fleet::start().await;
    let task = json!([{"ref": "a", "title": "a"}]);
    let goal = json!({"title": "g", "tasks": task});
    for (settings, places) in [
        (json!({"cron": "61 * * * *"}), vec!["/cron"]),
        (json!({"cron": "* * * *", "time_zone": "Mars"}), vec!["/cron", "/time_zone"]),
        (json!({"cron": "0 0 30 2 *"}), vec!["/cron"]),
        (json!({"ends_at": "2026-01-01T00:00:00Z"}), vec!["/cron"]),
        (
            json!({"starts_at": "2027-01-01T00:00:00Z", "ends_at": "2026-04-01T00:00:00Z"}),
            vec!["/ends_at"],
        ),
        (json!({"starts_at": "9999-01-01T00:00:00Z"}), vec!["/starts_at"]),
        (json!({"name": " ", "catch_up_seconds": 604_801}), vec!["/name", "/catch_up_seconds"]),
        (json!({"deadline_seconds": 1}), vec!["/deadline_seconds"]),
        (
            json!({"goal": {"title": "g", "tasks": task, "deadline": "2026-04-01T00:00:00Z"}}),
            vec!["/goal/deadline"],
        ),
        (
            json!({"deadline_seconds": 600,
                   "goal": {"title": "g", "tasks": task, "start_at": "2026-04-01T00:00:00Z",
                            "dedup": {"key": "k"}}}),
            vec!["/goal/start_at", "/goal/dedup"],
        ),
        (json!({"goal": {"title": "", "tasks": task}}), vec!["/goal/title"]),
        (json!({"goal": {"title": "g", "planner": "llm"}}), vec!["/goal/planner"]),
    ] {
        let mut new = json!({"name": "s", "cron": "0 * * * *", "goal": goal});
        for (name, value) in settings.as_object().unwrap() {
            new[name] = value.clone();
        }
        let refused = fleet.poster.post("/v1/schedules", &new).await;
        assert_eq!(refused.problem(422, "invalid"), places, "{settings}");
    }
    let circle = json!([{"ref": "a", "title": "a", "needs": ["b"]}]);
    let new = json!({"name": "s", "cron": "0 * * * *", "goal": {"title": "g", "tasks": circle}});
    let refused = fleet.poster.post("/v1/schedules", &new).await;
    let places = refused.problem(422, "plan_invalid");
    assert!(places.iter().all(|place| place.starts_with("/goal/tasks/")), "{places:?}");
    for body in [json!({"cron": "@daily", "count": 101}), json!({"cron": "@daily", "count": 0})] {
        let refused = fleet.admin.post("/v1/schedules/preview", &body).await;
        assert_eq!(refused.problem(422, "invalid"), ["/count"]);
    }
}

#[tokio::test]
async fn edits_are_versioned_and_count_from_now_on() {
    let fleet = Fleet::start().await;
    let made = schedule(&fleet, json!({})).await;
    let patch = |change: Value| fleet.poster.patch(path(&made, ""), &change);
    patch(json!({"cron": "@daily"})).await.problem(428, "precondition_required");
    patch(json!({"cron": "@daily"})).if_match("\"v9\"").await.problem(412, "precondition_failed");
    let same = patch(json!({"cron": "0 * * * *"})).if_match("\"v1\"").await.value(200);
    assert_eq!(same["version"], 1);
    fleet.pass(1_800);
    let change = json!({"cron": "45 * * * *", "ends_at": "2026-03-01T14:00:00Z"});
    let edited = patch(change).if_match("\"v1\"").await.value(200);
    assert_eq!(times(&edited), ["2026-03-01T12:45:00+00:00", "2026-03-01T13:45:00+00:00"]);
    fleet.after(900).await;
    fleet.after(3_600).await;
    let ended = read(&fleet, &made).await;
    assert_eq!((&ended["state"], &ended["next"]), (&json!("ended"), &json!([])));
    assert_eq!(told(&fleet, &made).await, ["12:45 posted", "13:45 skipped"]);
    let edited = patch(json!({"ends_at": null})).if_match("*").await.value(200);
    assert_eq!(edited["state"], "active");
    let other = json!({"name": "other", "cron": "@daily", "goal": edited["goal"]});
    fleet.poster.post("/v1/schedules", &other).await.expect(201);
    patch(json!({"name": "other"})).if_match("*").await.problem(409, "already_exists");
    let found = fleet.admin.get("/v1/schedules?name=other").await.value(200);
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(found["items"][0]["goal"], json!(null));
}

#[tokio::test]
async fn a_pause_drops_what_was_due_in_it() {
    let fleet = Fleet::start().await;
    let made = schedule(&fleet, json!({"overlap": "cancel"})).await;
    let paused =
        fleet.poster.post(path(&made, "/pause"), &json!({"reason": "quiet"})).await.value(200);
    assert_eq!((&paused["pause"], &paused["pause_detail"]), (&json!("asked"), &json!("quiet")));
    let again = fleet.poster.post(path(&made, "/pause"), &json!({})).await.value(200);
    assert_eq!(again["version"], paused["version"]);
    let page = fleet.admin.get("/v1/attention?kind=paused_schedule").await.value(200);
    assert_eq!(page["items"], json!([]), "a person paused it");
    fleet.after(2 * 3_600).await;
    fleet.poster.post(path(&made, "/fire"), &json!({})).await.expect(201);
    let resumed = fleet.poster.post(path(&made, "/resume"), &json!({})).await.value(200);
    assert_eq!(times(&resumed)[0], "2026-03-01T15:00:00+00:00");
    fleet.after(3_600).await;
    assert_eq!(told(&fleet, &made).await, ["14:00 posted", "15:00 posted"]);
    let call = fleet.poster.call(Method::DELETE, path(&made, "")).if_match("*");
    call.await.expect(204);
    fleet.admin.get(path(&made, "")).await.problem(404, "not_found");
    fleet.poster.post(path(&made, "/fire"), &json!({})).await.problem(404, "not_found");
    fleet.after(3_600).await;
    schedule(&fleet, json!({})).await;
}
