//! Retrying what failed of a goal.

use axum::http::Method;
use serde_json::{Value, json};

use crate::{
    support::{
        dump::{dump, same},
        fleet::{Fleet, text},
        invariants::verify_rested,
    },
    tasks::retry::{names, on_task, race_all, work},
};

async fn retry(fleet: &Fleet, goal: &str, body: Value) -> Value {
    fleet.admin.post(format!("/v1/goals/{goal}/retry"), &body).await.value(200)
}

#[tokio::test]
async fn everything_that_failed_is_tried_again() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "done", "title": "t"},
            {"ref": "a", "title": "t", "max_attempts": 1},
            {"ref": "b", "title": "t"},
            {"ref": "both", "title": "t", "needs": ["a", "b"]},
            {"ref": "unwanted", "title": "t"},
            {"ref": "never", "title": "t", "needs": ["unwanted", "b"]},
            {"ref": "box", "title": "t", "needs": ["both"]},
            {"ref": "inside", "title": "t", "parent": "box"},
        ]))
        .await;
    on_task(&fleet, &goal, "unwanted", "cancel", json!({})).await.expect(200);
    work(&agent, &["a", "b"]).await;
    let states = "done:done a:failed b:failed both:cancelled unwanted:cancelled never:cancelled \
                  box:cancelled inside:cancelled";
    fleet.expect_states(&goal, states).await;
    let before = fleet.read_goal(&goal).await;
    assert_eq!(before["state"], "failed");

    let answer = retry(&fleet, &goal, json!({"attempts": 5, "reason": "once more"})).await;
    assert_eq!(
        (names(&answer["retried"]), &answer["retried_count"]),
        (vec!["a".into(), "b".into()], &json!(2))
    );
    assert_eq!(names(&answer["restored"]), ["both", "box", "inside"]);
    assert_eq!((&answer["state"], &answer["restored_count"]), (&json!("active"), &json!(3)));
    assert_eq!(answer["version"], json!(before["version"].as_i64().unwrap() + 1));
    let states = "done:done a:ready b:ready both:waiting unwanted:cancelled never:cancelled \
                  box:waiting inside:waiting";
    fleet.expect_states(&goal, states).await;
    assert_eq!(fleet.task(&goal, "a").await["max_attempts"], 6);
    verify_rested(&fleet.pool, fleet.now()).await;
    agent.work_off().await;
    assert_eq!(fleet.goal_state(&goal).await, "cancelled", "one task was not wanted");
    verify_rested(&fleet.pool, fleet.now()).await;
    let path = format!("/v1/goals/{goal}/retry");
    fleet.admin.post(path, &json!({})).await.problem(409, "goal_ended");
}

#[tokio::test]
async fn a_goal_without_a_failure_is_refused() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let active = fleet.goal(json!([{"ref": "a", "title": "t", "capabilities": ["nobody"]}])).await;
    let plan =
        json!({"title": "g", "approval": {"plan": true}, "tasks": [{"ref": "a", "title": "a"}]});
    let proposed = fleet.post_goal(plan).await;
    let completed = fleet.lone_task(json!({})).await;
    agent.work_off().await;
    let cancelled = fleet.lone_task(json!({})).await;
    fleet.admin.post(format!("/v1/goals/{cancelled}/cancel"), &json!({})).await.expect(200);
    let before = dump(&fleet.pool).await;
    for (goal, code) in [
        (&active, "wrong_state"),
        (&proposed, "wrong_state"),
        (&completed, "wrong_state"),
        (&cancelled, "goal_ended"),
    ] {
        let path = format!("/v1/goals/{goal}/retry");
        fleet.admin.post(path, &json!({})).await.problem(409, code);
        let path = format!("/v1/goals/{goal}/acknowledge");
        fleet.admin.post(path, &json!({})).await.problem(409, "wrong_state");
    }
    same("refused retries", &before, &dump(&fleet.pool).await);
    let path = format!("/v1/goals/{}/retry", fleet.no_id());
    fleet.admin.post(path, &json!({})).await.problem(404, "not_found");
    let stranger = fleet.other_workspace().await;
    stranger.post(format!("/v1/goals/{active}/retry"), &json!({})).await.problem(404, "not_found");
}

/// Work does not come back into a project that lists leave out.
#[tokio::test]
async fn an_ended_goal_stays_ended_in_an_archived_project() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = json!({"title": "g", "project": "old", "tasks": [
        {"ref": "good", "title": "t"}, {"ref": "bad", "title": "t"}]});
    let goal = fleet.post_goal(goal).await;
    work(&agent, &["bad"]).await;
    let project = text(&fleet.read_goal(&goal).await["project_id"]);
    let put = async |verb: &str| {
        let path = format!("/v1/projects/{project}/{verb}");
        fleet.admin.call(Method::POST, path).await.expect(200);
    };
    put("archive").await;
    let before = dump(&fleet.pool).await;
    for refused in [
        fleet.admin.post(format!("/v1/goals/{goal}/retry"), &json!({})).await,
        on_task(&fleet, &goal, "bad", "retry", json!({})).await,
        on_task(&fleet, &goal, "good", "reopen", json!({})).await,
    ] {
        refused.problem(409, "wrong_state");
        let way = format!("/v1/projects/{project}/unarchive");
        assert!(refused.describe().contains(&way), "{}", refused.describe());
    }
    same("refused returns", &before, &dump(&fleet.pool).await);
    put("unarchive").await;
    retry(&fleet, &goal, json!({})).await;
    assert_eq!(fleet.goal_state(&goal).await, "active");
}

#[tokio::test]
async fn a_retry_of_a_goal_races_with_everything() {
    let fleet = Fleet::start().await;
    race_all(&fleet, async |goal| format!("/v1/goals/{goal}/retry")).await;
}
