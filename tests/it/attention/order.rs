//! The order of what waits, its pages, and who sees it.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::{Value, json};

use super::{items, operator, page, send};
use crate::support::fleet::{Fleet, seed, text};

/// The order as it is promised: (since less the head start, kind, id).
fn place(item: &Value) -> (DateTime<Utc>, usize, String) {
    let since: DateTime<Utc> = serde_json::from_value(item["since"].clone()).unwrap();
    let hours = match item["risk"].as_str().unwrap() {
        "critical" => 7 * 24,
        "high" => 24,
        "medium" => 4,
        "low" => 0,
        other => panic!("no risk: {other}"),
    };
    let kinds = [
        "approval",
        "quarantined_task",
        "unclaimable_task",
        "exhausted_budget",
        "freeze",
        "stalled_goal",
        "released_task",
        "unsealed_journal",
        "failed_goal",
        "failed_task",
        "unpriced_model",
        "unverified_goal",
        "unplanned_goal",
        "oversized_task",
        "paused_schedule",
        "quarantined_lesson",
    ];
    let kind = kinds.iter().position(|kind| item["kind"] == *kind).unwrap();
    (since - TimeDelta::hours(hours), kind, text(&item["id"]))
}

fn ids(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| format!("{} {}", text(&item["kind"]), text(&item["id"]))).collect()
}

/// A page after the other.
async fn walk(fleet: &Fleet, limit: usize, query: &str) -> Vec<Value> {
    let mut path = format!("/v1/attention?limit={limit}{query}");
    let mut found = Vec::new();
    loop {
        let answer = fleet.admin.get(path.clone()).await.expect(200);
        let page: Value = answer.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        found.extend(items.iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else {
            assert_eq!(answer.header("link"), "");
            return found;
        };
        assert!(answer.header("link").contains("rel=\"next\""));
        path = format!("/v1/attention?limit={limit}{query}&cursor={cursor}");
    }
}

/// A workspace with many things that wait, most of them since the same instants.
async fn crowd(fleet: &Fleet, seed: u64) -> String {
    let mut random = StdRng::seed_from_u64(seed);
    let agent = fleet.agent("asker", &[], 100).await;
    let mut goals = Vec::new();
    for round in 0..4 {
        let task = |n| json!({"ref": format!("t{n}"), "title": "t", "max_attempts": 3});
        goals.push(fleet.goal((0..6).map(task).collect()).await);
        let mut held = agent.claim(6).await;
        held.shuffle(&mut random);
        for held in &held {
            let risk = ["low", "medium", "high", "critical"][random.random_range(0..4)];
            let body = json!({"kind": "action", "title": "may I?", "risk": risk});
            agent.write(held, "approvals", body).await.expect(201);
        }
        let set = json!({"capabilities": [format!("c{round}")]});
        fleet.lone_task(set).await;
        let frozen = json!({"capabilities": [format!("f{round}")]});
        fleet.lone_task(frozen).await;
        let freeze =
            json!({"scope": "capability", "capability": format!("f{round}"), "mode": "stop"});
        fleet.admin.post("/v1/freezes", &freeze).await.expect(201);
        fleet.pass(3600 * random.random_range(0..30));
    }
    let agent = fleet.agent("dying", &[], 100).await;
    let task = |n| json!({"ref": format!("t{n}"), "title": "t"});
    fleet.goal((0..3).map(task).collect()).await;
    for _ in 0..3 {
        agent.claim_with(json!({"max": 3, "lease_seconds": 10})).await;
        fleet.after(11).await;
        fleet.after(60).await;
    }
    goals.remove(0)
}

#[tokio::test]
async fn pages_have_everything_once_and_in_order() {
    let fleet = Fleet::start().await;
    let seed = seed();
    let goal = crowd(&fleet, seed).await;
    let page = page(&fleet, "").await;
    let whole = page["items"].as_array().unwrap().clone();
    assert!(whole.is_sorted_by_key(place), "{:#?}", whole.iter().map(place).collect::<Vec<_>>());
    let kinds = |kind: &str| whole.iter().filter(|item| item["kind"] == kind).count();
    let want = json!({"approval": 24, "quarantined_task": 3, "unclaimable_task": 4,
        "exhausted_budget": 0, "freeze": 4, "stalled_goal": 0, "released_task": 0, "unsealed_journal": 0,
        "failed_goal": 0, "failed_task": 0, "unpriced_model": 0, "unverified_goal": 0,
        "unplanned_goal": 0, "oversized_task": 0, "paused_schedule": 0,
        "quarantined_lesson": 0});
    assert_eq!(page["counts"], want);
    for (kind, count) in want.as_object().unwrap() {
        assert_eq!(json!(kinds(kind)), *count, "{kind}");
    }
    for limit in [1, 2, 3, 7, 34, 35, 200] {
        assert_eq!(walk(&fleet, limit, "").await, whole, "pages of {limit}");
    }
    for query in ["&kind=approval", "&kind=freeze&kind=quarantined_task"] {
        let some: Vec<Value> = whole
            .iter()
            .filter(|item| query.contains(item["kind"].as_str().unwrap()))
            .cloned()
            .collect();
        assert_eq!(walk(&fleet, 3, query).await, some, "{query}");
    }
    let of_goal = format!("&goal_id={goal}");
    let some: Vec<Value> = whole.iter().filter(|item| item["goal_id"] == *goal).cloned().collect();
    assert_eq!(some.len(), 6);
    assert_eq!(walk(&fleet, 4, &of_goal).await, some);
}

/// What is cleared while somebody reads is gone, what begins to wait may be missed or not, and the rest
/// is there exactly once.
#[tokio::test]
async fn what_changes_between_two_pages_hides_nothing_else() {
    let fleet = Fleet::start().await;
    let seed = seed();
    crowd(&fleet, seed).await;
    let operator = operator(&fleet).await;
    let whole = items(&fleet, "").await;
    let mut random = StdRng::seed_from_u64(seed);
    let (mut found, mut cleared) = (Vec::new(), Vec::new());
    let mut path = "/v1/attention?limit=5".to_owned();
    loop {
        let page = fleet.admin.get(path.clone()).await.value(200);
        let items = page["items"].as_array().unwrap();
        found.extend(ids(items));
        let approvals: Vec<&Value> =
            whole.iter().filter(|item| item["kind"] == "approval").collect();
        let one = approvals[random.random_range(0..approvals.len())];
        if !cleared.contains(&ids(std::slice::from_ref(one))[0]) {
            send(&operator, one).await;
            cleared.extend(ids(std::slice::from_ref(one)));
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/attention?limit=5&cursor={cursor}");
    }
    let mut once = found.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), found.len(), "something is there twice");
    let missing: Vec<String> =
        ids(&whole).into_iter().filter(|id| !found.contains(id) && !cleared.contains(id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn others_see_nothing_of_it() {
    let fleet = Fleet::start().await;
    let goal = crowd(&fleet, seed()).await;
    let other = fleet.other_workspace().await;
    for query in ["", &format!("?goal_id={goal}")] {
        let page = other.get(format!("/v1/attention{query}")).await.value(200);
        assert_eq!(page["items"], json!([]));
        assert!(page["counts"].as_object().unwrap().values().all(|count| *count == 0));
    }
    for query in ["kind=webhook", "cursor=abc", "limit=0", "goal=1", "goal_id=1"] {
        fleet.admin.get(format!("/v1/attention?{query}")).await.problem(422, "invalid");
    }
}

/// A cursor comes back from outside as it likes.
#[tokio::test]
async fn a_cursor_of_another_time_is_read_as_one() {
    let fleet = Fleet::start().await;
    crowd(&fleet, seed()).await;
    for (rank, most) in [("-262143-01-01T00:00:00Z", 200), ("+262142-12-31T23:59:59Z", 0)] {
        let key = json!({"rank": rank, "kind": "approval", "id": fleet.no_id()});
        let cursor = json!({"v": 1, "l": "/v1/attention", "k": key}).to_string();
        let cursor = data_encoding::BASE64URL_NOPAD.encode(cursor.as_bytes());
        let page = fleet.admin.get(format!("/v1/attention?limit=200&cursor={cursor}")).await;
        let page = page.value(200);
        assert_eq!(page["items"].as_array().unwrap().is_empty(), most == 0, "{rank}");
    }
}
