//! Turns between goals: shares by weight and priority, whatever the number of servers.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    agent::Agent,
    fleet::{Fleet, router},
    invariants::verify,
};

/// Tasks without needs.
fn tasks(count: usize) -> Value {
    (0..count).map(|n| json!({"ref": n.to_string(), "title": "t"})).collect()
}

async fn weighted(fleet: &Fleet, weight: i32, count: usize) -> String {
    fleet.post_goal(json!({"title": "g", "weight": weight, "tasks": tasks(count)})).await
}

/// Whether each claim so far was of this goal, in the order in which they were committed.
async fn claimed(fleet: &Fleet, goal: &str) -> Vec<bool> {
    sqlx::query_scalar(
        "select goal_id::text = $1 from journal
         where kind = 'task.running' and attempt_id is not null order by number",
    )
    .bind(goal)
    .fetch_all(&fleet.pool)
    .await
    .unwrap()
}

/// Each agent claims one task after the other, so often.
async fn work(agents: &[Agent], each: usize) {
    join_all(agents.iter().map(async |agent| {
        for _ in 0..each {
            let held = agent.take().await;
            agent.complete(&held).await;
        }
    }))
    .await;
}

/// Four agents, the second half at another server if there are two.
async fn agents(fleet: &Fleet, servers: usize) -> Vec<Agent> {
    let mut agents = Vec::new();
    for number in 0..4 {
        agents.push(fleet.agent(&number.to_string(), &[], 1).await);
    }
    if servers == 2 {
        let other = router(&fleet.another_app().await);
        for agent in &mut agents[2..] {
            agent.client = agent.client.to(other.clone());
        }
    }
    agents
}

/// How many tasks each of the four agents claims: `MUSTER_TURN_CLAIMS`, else 250.
fn each() -> usize {
    let given = std::env::var("MUSTER_TURN_CLAIMS").ok().and_then(|claims| claims.parse().ok());
    given.unwrap_or(250)
}

async fn shares(servers: usize) {
    let fleet = Fleet::start().await;
    let three = weighted(&fleet, 3, 3 * each()).await;
    weighted(&fleet, 1, each()).await;
    let agents = agents(&fleet, servers).await;
    work(&agents, each()).await;
    let claimed = claimed(&fleet, &three).await;
    assert_eq!(claimed.len(), 4 * each());
    for (first, window) in claimed.windows(400).enumerate() {
        let more = window.iter().filter(|is_three| **is_three).count();
        let ratio = more as f64 / (400 - more) as f64;
        assert!((ratio - 3.0).abs() <= 0.1, "{ratio:.3} from claim {first} on");
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn weights_hold_in_every_stretch_of_claims() {
    shares(1).await;
}

#[tokio::test]
async fn weights_hold_with_two_servers() {
    shares(2).await;
}

#[tokio::test]
async fn a_late_goal_gets_its_share_at_once_and_no_more() {
    let fleet = Fleet::start().await;
    weighted(&fleet, 1, 700).await;
    let agents = agents(&fleet, 1).await;
    work(&agents, 100).await;
    let late = weighted(&fleet, 1, 300).await;
    work(&agents, 50).await;
    let claimed = claimed(&fleet, &late).await;
    for end in 401..=600 {
        let got = claimed[400..end].iter().filter(|is_late| **is_late).count();
        let fair = (end - 400) / 2;
        assert!(got.abs_diff(fair) <= 3, "{got} of {}", end - 400);
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_goal_that_had_nothing_to_do_has_saved_nothing_up() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    weighted(&fleet, 1, 200).await;
    let idle = weighted(&fleet, 1, 2).await;
    // Both take turns until the second has nothing left.
    worker.claim(60).await;
    let path = format!("/v1/goals/{idle}/tasks");
    let more: Value = (10..60).map(|n| json!({"ref": n.to_string(), "title": "t"})).collect();
    fleet.admin.post(path, &json!({"tasks": more})).await.expect(201);
    let next = worker.claim(20).await;
    let of_idle = next.iter().filter(|held| held.claim["task"]["goal_id"] == json!(idle)).count();
    assert!((9..=11).contains(&of_idle), "{of_idle} of 20");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn each_point_of_priority_doubles_the_share() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let post = |priority: i16| json!({"title": "g", "priority": priority, "tasks": tasks(100)});
    let high = fleet.post_goal(post(6)).await;
    fleet.post_goal(post(5)).await;
    let held = worker.claim(60).await;
    let of_high = held.iter().filter(|held| held.claim["task"]["goal_id"] == json!(high)).count();
    assert!((39..=41).contains(&of_high), "{of_high} of 60");

    // An edit holds from the next claim on.
    let path = format!("/v1/goals/{high}");
    let change = json!({"priority": 5, "weight": 3});
    let edited = fleet.admin.patch(&path, &change).if_match("*").await.value(200);
    assert_eq!(edited["weight"], 3);
    let held = worker.claim(40).await;
    let of_high = held.iter().filter(|held| held.claim["task"]["goal_id"] == json!(high)).count();
    assert!((29..=31).contains(&of_high), "{of_high} of 40");
}

#[tokio::test]
async fn more_goals_than_one_claim_looks_at_all_get_their_turn() {
    let fleet = Fleet::start().await;
    for _ in 0..300 {
        fleet.goal(tasks(2)).await;
    }
    let worker = fleet.agent("w", &[], 10_000).await;
    let mut goals = std::collections::HashSet::new();
    // Few at a time: a search for many takes runs of one goal.
    for _ in 0..63 {
        for held in worker.claim(8).await {
            goals.insert(held.claim["task"]["goal_id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(goals.len(), 300, "a goal had no turn");
    assert_eq!(worker.claim(100).await.len(), 96);
    worker.find_nothing().await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_weight_is_checked_and_shown() {
    let fleet = Fleet::start().await;
    for weight in [0, 1_001] {
        let goal = json!({"title": "g", "weight": weight, "tasks": tasks(1)});
        let refused = fleet.poster.post("/v1/goals", &goal).await;
        assert_eq!(refused.problem(422, "invalid"), ["/weight"]);
    }
    let goal = weighted(&fleet, 7, 1).await;
    assert_eq!(fleet.read_goal(&goal).await["weight"], 7);
    let listed = fleet.admin.get("/v1/goals").await.value(200);
    assert_eq!(listed["items"][0]["weight"], 7);
    let path = format!("/v1/goals/{goal}");
    let patch = |weight: Value| fleet.admin.patch(&path, &json!({"weight": weight})).if_match("*");
    assert_eq!(patch(json!(1_001)).await.problem(422, "invalid"), ["/weight"]);
    assert_eq!(patch(Value::Null).await.value(200)["weight"], 1);
}
