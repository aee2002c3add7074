//! The order inside a goal: priority with ageing, slack, and the longest rest of a plan; and the routing `fifo`.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use muster::domain::{
    routing::policy::Policy,
    routing::rank::{Place, rank},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::{
    fleet::{Fleet, seed},
    invariants::verify,
};

fn timed(name: &str, needs: &[&str], seconds: i64) -> Value {
    json!({"ref": name, "title": name, "needs": needs, "estimate": {"wall_ms": seconds * 1_000}})
}

/// The upward ranks of a goal's open tasks in seconds, by ref.
async fn upward(fleet: &Fleet, goal: &str) -> HashMap<String, i64> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select ref, upward_ms / 1000 from tasks
         where goal_id::text = $1 and ended_at is null and not container",
    )
    .bind(goal)
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    rows.into_iter().collect()
}

fn ranks<const N: usize>(ranks: [(&str, i64); N]) -> HashMap<String, i64> {
    ranks.into_iter().map(|(name, rank)| (name.to_owned(), rank)).collect()
}

#[tokio::test]
async fn upward_ranks_follow_the_plan_and_what_changes_it() {
    let fleet = Fleet::start().await;
    let goal = fleet
        .goal(json!([
            timed("a", &[], 10), timed("b", &["a"], 20), timed("c", &["a"], 5),
            {"ref": "box", "title": "box", "needs": ["c"]},
            {"ref": "in", "title": "in", "parent": "box", "estimate": {"wall_ms": 7_000}},
            {"ref": "unknown", "title": "unknown", "needs": ["box"]},
        ]))
        .await;
    let planned = [("a", 82), ("b", 20), ("c", 72), ("in", 67), ("unknown", 60)];
    assert_eq!(upward(&fleet, &goal).await, ranks(planned));

    // An addition behind `b`, and one into the box.
    let mut inside = timed("more", &[], 30);
    inside["parent"] = json!("box");
    let body = json!({"tasks": [timed("d", &["b"], 100), inside]});
    fleet.admin.post(format!("/v1/goals/{goal}/tasks"), &body).await.expect(201);
    let added =
        [("a", 130), ("b", 120), ("c", 95), ("in", 67), ("unknown", 60), ("d", 100), ("more", 90)];
    assert_eq!(upward(&fleet, &goal).await, ranks(added));

    // An edit of an estimate, and one of needs.
    let path = format!("/v1/tasks/{}", fleet.task_id(&goal, "d").await);
    let patch = |change: Value| fleet.admin.patch(&path, &change).if_match("*");
    patch(json!({"estimate": {"wall_ms": 1_000}})).await.expect(200);
    let ranked = upward(&fleet, &goal).await;
    assert_eq!((ranked["a"], ranked["b"], ranked["d"]), (105, 21, 1));
    patch(json!({"needs": ["unknown"]})).await.expect(200);
    let ranked = upward(&fleet, &goal).await;
    assert_eq!((ranked["a"], ranked["b"], ranked["unknown"]), (106, 20, 61));

    // Subtasks have the rest of their parent behind them.
    let worker = fleet.worker().await;
    let held = worker.take().await;
    worker.subtasks(&held, json!([timed("s", &[], 3), timed("t", &["s"], 4)])).await;
    let ranked = upward(&fleet, &goal).await;
    assert_eq!((ranked["s"], ranked["t"]), (113, 110));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn the_longest_rest_of_a_plan_goes_first() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let tasks = json!([
        timed("short", &[], 50),
        timed("long", &[], 10),
        timed("middle", &["long"], 30),
        timed("last", &["middle"], 20),
    ]);
    fleet.goal(tasks.clone()).await;
    // 60 and 50 seconds, then 50 and 50: what was ready first.
    assert_eq!(worker.work_off().await, ["long", "short", "middle", "last"]);

    let path = "/v1/workspace";
    let patch = |change: Value| fleet.admin.patch(path, &change).if_match("*");
    patch(json!({"routing": "fifo"})).await.expect(200);
    fleet.goal(tasks).await;
    assert_eq!(worker.work_off().await, ["short", "long", "middle", "last"]);
}

#[tokio::test]
async fn the_least_slack_goes_first_and_an_edit_of_the_deadline_counts() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let pressing = json!({"ref": "pressing", "title": "t", "finish_within_seconds": 600});
    fleet.goal(json!([{"ref": "calm", "title": "t"}, pressing])).await;
    assert_eq!(worker.take().await.name, "pressing");
    assert_eq!(worker.take().await.name, "calm");
    let goal_of = async |name: &str| fleet.goal(json!([{"ref": name, "title": "t"}])).await;
    let (one, two) = (goal_of("one").await, goal_of("two").await);
    let key = async |goal: &str| -> DateTime<Utc> {
        sqlx::query_scalar("select claim_rank from tasks where goal_id::text = $1")
            .bind(goal)
            .fetch_one(&fleet.pool)
            .await
            .unwrap()
    };
    assert_eq!(key(&one).await, key(&two).await);
    let deadline = fleet.now() + TimeDelta::hours(1);
    let change = json!({"deadline": deadline});
    let path = format!("/v1/goals/{two}");
    fleet.admin.patch(&path, &change).if_match("*").await.expect(200);
    // A day and the minute that it takes, less the hour that is left.
    let earlier = TimeDelta::seconds(3 * (23 * 3_600 + 60));
    assert_eq!(key(&one).await - key(&two).await, earlier);
}

#[tokio::test]
async fn a_low_priority_starts_under_a_stream_of_high_ones() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.goal(json!([{"ref": "low", "title": "t", "priority": 0}])).await;
    let path = format!("/v1/goals/{goal}/tasks");
    let mut minutes = 0;
    loop {
        let high = json!({"ref": format!("high{minutes}"), "title": "t", "priority": 9});
        fleet.admin.post(&path, &json!({"tasks": [high]})).await.expect(201);
        let held = worker.take().await;
        worker.complete(&held).await;
        if held.name == "low" {
            break;
        }
        minutes += 1;
        assert!(minutes <= 45, "it does not start");
        fleet.pass(60);
    }
    assert_eq!(minutes, 45, "nine points of five minutes");
}

#[tokio::test]
async fn a_low_goal_starts_under_a_stream_of_high_ones() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let one = |priority: i16| json!({"title": "g", "priority": priority, "tasks": [{"ref": "a", "title": "a"}]});
    let low = fleet.post_goal(one(0)).await;
    let mut minutes = 0;
    while fleet.goal_state(&low).await == "active" {
        fleet.post_goal(one(9)).await;
        let held = worker.take().await;
        worker.complete(&held).await;
        minutes += 1;
        assert!(minutes <= 47, "it does not start");
        fleet.pass(60);
    }
}

#[tokio::test]
async fn fifo_takes_no_turns_and_a_change_ranks_again() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let task =
        |name: String, priority: i16| json!({"ref": name, "title": "t", "priority": priority});
    let all = |name: &str, priority: i16| -> Value {
        (0..10).map(|n| task(format!("{name}{n}"), priority)).collect()
    };
    fleet.goal(all("low", 4)).await;
    fleet.goal(all("high", 8)).await;
    let patch = |change: Value| fleet.admin.patch("/v1/workspace", &change).if_match("*");
    let bad = json!({"max_deferral_ms": 600_001, "control_percent": 21});
    let refused = patch(bad).await.problem(422, "invalid");
    assert_eq!(refused, ["/max_deferral_ms", "/control_percent"]);
    patch(json!({"routing": "lifo"})).await.problem(422, "invalid");

    let set = patch(json!({"routing": "fifo"})).await.value(200);
    assert_eq!((&set["routing"], &set["control_percent"]), (&json!("fifo"), &json!(2)));
    // The tasks are ranked again behind the change.
    verify(&fleet.pool).await;
    fleet.round().await;
    verify(&fleet.pool).await;
    let held = worker.claim(6).await;
    assert!(held.iter().all(|held| held.name.starts_with("high")), "goals took turns");
    let set = patch(json!({"routing": null})).await.value(200);
    assert_eq!(set["routing"], "balanced");
    fleet.round().await;
    let held = worker.claim(6).await;
    let high = held.iter().filter(|held| held.name.starts_with("high")).count();
    assert_eq!(high, 3, "goals take turns");
    verify(&fleet.pool).await;
}

/// A large workspace is ranked again in several transactions. Killed in between, the duty goes on where it was; claims
/// take tasks of both orders meanwhile.
#[tokio::test]
async fn ranking_again_goes_on_where_it_was() {
    let fleet = Fleet::start().await;
    let worker = fleet.agent("many", &[], 100).await;
    let mut goals = Vec::new();
    for _ in 0..4 {
        goals.push(
            fleet.goal(json!([{"ref": "a", "title": "t"}, {"ref": "b", "title": "t"}])).await,
        );
    }
    let fifo = json!({"routing": "fifo"});
    fleet.admin.patch("/v1/workspace", &fifo).if_match("*").await.expect(200);
    let old = "select count(*) from tasks where state = 'ready' and turn_of = goal_id";
    let old = async || sqlx::query_scalar::<_, i64>(old).fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(old().await, 8, "the change ranked tasks itself");

    // The duty was killed after the second goal.
    goals.sort_unstable();
    sqlx::query("update rank_cursors set after_goal_id = $1::uuid")
        .bind(&goals[1])
        .execute(&fleet.pool)
        .await
        .unwrap();
    fleet.round().await;
    assert_eq!(old().await, 4, "it did not go on where it was");
    assert_eq!(worker.claim(100).await.len(), 8, "a claim takes tasks of one order only");
    let left: i64 = sqlx::query_scalar("select count(*) from rank_cursors")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    assert_eq!(left, 0);
    verify(&fleet.pool).await;
}

/// The key of the order is written in SQL once more; here are both.
#[tokio::test]
async fn the_database_ranks_as_the_rule_says() {
    let fleet = Fleet::start().await;
    let mut random = StdRng::seed_from_u64(seed());
    for _ in 0..500 {
        let since = fleet.now() + TimeDelta::microseconds(random.random_range(-1 << 50..1 << 50));
        let near = TimeDelta::microseconds(random.random_range(-300_000_000_000..300_000_000_000));
        let far = TimeDelta::days(random.random_range(-40_000..40_000));
        let due = match random.random_range(0..3) {
            0 => None,
            1 => Some(since + near),
            _ => Some(since + far),
        };
        let priority = random.random_range(0..10);
        let upward_ms = random.random_range(0..=2_592_000_000);
        let place = Place { since, priority, upward_ms, due };
        for routing in [Policy::Fifo, Policy::Balanced] {
            let stored: DateTime<Utc> =
                sqlx::query_scalar("select claim_rank_of($1, $2, $3, $4, $5)")
                    .bind(since)
                    .bind(priority)
                    .bind(upward_ms)
                    .bind(due)
                    .bind(routing == Policy::Fifo)
                    .fetch_one(&fleet.pool)
                    .await
                    .unwrap();
            assert_eq!(stored, rank(&place, routing), "{place:?}");
        }
    }
}
