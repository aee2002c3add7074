//! Waiting for goals.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::support::fleet::Fleet;

#[tokio::test]
async fn a_reader_waits_until_the_goal_has_ended() {
    let fleet = Fleet::start().await;
    let goal = fleet.lone_task(json!({})).await;
    let path = format!("/v1/goals/{goal}");
    let began = Instant::now();
    let unchanged = fleet.admin.get(format!("{path}?wait_seconds=1")).await.value(200);
    assert_eq!(unchanged["state"], "active");
    assert!(began.elapsed() >= Duration::from_secs(1));

    let wait = format!("{path}?wait_seconds=30");
    let waiting = async { fleet.admin.get(&wait).await.value(200) };
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        fleet.admin.post(format!("{path}/cancel"), &json!({})).await.expect(200);
    };
    let began = Instant::now();
    let (seen, ()) = tokio::join!(waiting, cancel);
    assert_eq!(seen["state"], "cancelled");
    assert!(began.elapsed() < Duration::from_secs(5));
    let began = Instant::now();
    fleet.admin.get(&wait).await.expect(200);
    assert!(began.elapsed() < Duration::from_secs(1), "what has ended is not waited for");
    fleet.admin.get(format!("{path}?wait_seconds=61")).await.problem(422, "invalid");
}

#[tokio::test]
async fn a_reader_who_knows_a_version_waits_for_another() {
    let fleet = Fleet::start().await;
    let goal = fleet.lone_task(json!({})).await;
    let path = format!("/v1/goals/{goal}");
    let etag = fleet.admin.get(&path).await.expect(200).etag();
    fleet.admin.get(&path).if_none_match(&etag).await.expect(304);
    let same = fleet.admin.get(format!("{path}?wait_seconds=1")).if_none_match(&etag).await;
    assert_eq!(same.expect(304).etag(), etag);

    let waiting = async {
        let wait = fleet.admin.get(format!("{path}?wait_seconds=30")).if_none_match(&etag);
        wait.await.value(200)
    };
    let edit = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let edit = fleet.admin.patch(&path, &json!({"title": "new"})).if_match(&etag);
        edit.await.expect(200);
    };
    let (seen, ()) = tokio::join!(waiting, edit);
    assert_eq!((&seen["title"], &seen["state"]), (&json!("new"), &json!("active")));
}

#[tokio::test]
async fn readers_who_wait_hold_no_connections_and_leave_when_the_service_stops() {
    let fleet = Fleet::start().await;
    let goal = fleet.lone_task(json!({})).await;
    let wait = format!("/v1/goals/{goal}?wait_seconds=30");
    let began = Instant::now();
    let waiting = join_all((0..40).map(|_| async { fleet.admin.get(&wait).await.expect(200) }));
    let others = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let quick = Instant::now();
        for _ in 0..20 {
            fleet.admin.get(format!("/v1/goals/{goal}")).await.expect(200);
        }
        assert!(quick.elapsed() < Duration::from_secs(5), "{:?}", quick.elapsed());
        fleet.app.wake().stop_waiting();
    };
    tokio::join!(waiting, others);
    assert!(began.elapsed() < Duration::from_secs(10));
}
