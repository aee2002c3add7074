//! Who made a result, and so does not check it.

use muster::domain::access::role::Role;
use serde_json::{Value, json};

use super::{complete, hold, is_check};
use crate::support::{
    fleet::{Fleet, register, text},
    invariants::{verify, verify_rested},
};

fn review() -> Value {
    json!([{"text": "it reads well", "type": "review"}])
}

#[tokio::test]
async fn who_did_a_subtask_does_not_review_the_whole() {
    let fleet = Fleet::start().await;
    let first = fleet.agent("first", &["lead"], 3).await;
    let second = fleet.agent("second", &["part"], 3).await;
    let (goal, held) = hold(&fleet, &first, review(), json!({})).await;
    let part = json!([{"ref": "p", "title": "p", "capabilities": ["part"]}]);
    first.subtasks(&held, part).await;
    second.complete(&second.take().await).await;
    let held = first.take().await;
    complete(&first, &held, json!({})).await.expect(200);
    first.find_nothing().await;
    second.find_nothing().await;
    let third = fleet.agent("third", &[], 3).await;
    let check = third.take().await;
    assert!(is_check(&check));
    let seen = json!({"evidence": [{"criterion": 1, "text": "it does"}]});
    complete(&third, &check, seen).await.expect(200);
    assert_eq!(fleet.state(&goal, "a").await, "done");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn who_did_a_part_does_not_review_the_divided_whole() {
    let fleet = Fleet::start().await;
    let first = fleet.agent("first", &["lead"], 3).await;
    let second = fleet.agent("second", &["part"], 3).await;
    let (_, held) = hold(&fleet, &first, review(), json!({})).await;
    let parts = json!([{"ref": "p", "title": "p", "capabilities": ["part"]},
                       {"ref": "q", "title": "q", "capabilities": ["part"], "needs": ["p"]}]);
    first.write(&held, "split", json!({"tasks": parts})).await.expect(201);
    second.complete(&second.take().await).await;
    second.complete(&second.take().await).await;
    let third = fleet.agent("third", &[], 3).await;
    let whole = third.take().await;
    assert_eq!(whole.name, "a-check");
    complete(&third, &whole, json!({})).await.expect(200);
    for author in [&first, &second, &third] {
        author.find_nothing().await;
    }
    let fourth = fleet.agent("fourth", &[], 3).await;
    let check = fourth.take().await;
    assert_eq!(check.claim["task"]["input"]["task_id"], json!(whole.task));
    verify(&fleet.pool).await;
}

/// Or a small fleet could check nothing.
#[tokio::test]
async fn who_did_another_part_reviews_a_part() {
    let fleet = Fleet::start().await;
    let first = fleet.agent("first", &["lead"], 3).await;
    let second = fleet.agent("second", &["part"], 3).await;
    let third = fleet.agent("third", &["other"], 3).await;
    let (_, held) = hold(&fleet, &first, json!([]), json!({})).await;
    let parts = json!([
        {"ref": "p", "title": "p", "capabilities": ["part"], "criteria": review()},
        {"ref": "q", "title": "q", "capabilities": ["other"]},
        {"ref": "r", "title": "r", "capabilities": ["other"]},
    ]);
    first.write(&held, "split", json!({"tasks": parts})).await.expect(201);
    for _ in 0..2 {
        third.complete(&third.take().await).await;
    }
    complete(&second, &second.take().await, json!({})).await.expect(200);
    second.find_nothing().await;
    assert!(is_check(&third.take().await));
}

#[tokio::test]
async fn an_agent_of_the_person_who_did_it_by_hand_has_no_other_owner() {
    let fleet = Fleet::start().await;
    let alice = fleet.client(&fleet.key_of(Role::Operator, Some("alice@example.com")).await);
    let criteria = json!([{"text": "sound", "type": "review", "review": {"other_owner": true}}]);
    let goal = fleet.lone_task(json!({"criteria": criteria})).await;
    let task = fleet.task_id(&goal, "a").await;
    let take = json!({"reason": "by hand"});
    let taken = alice.post(format!("/v1/tasks/{task}/takeover"), &take).await.value(201);
    let path = format!("/v1/attempts/{}/complete", text(&taken["attempt_id"]));
    alice.post(path, &json!({"lease": taken["lease"]})).await.expect(200);
    assert_eq!(fleet.state(&goal, "a").await, "reviewing");
    let agent = async |name: &str, owner: &str| {
        register(&fleet.admin, json!({"name": name, "owner": owner})).await
    };
    agent("hers", "alice@example.com").await.find_nothing().await;
    assert!(is_check(&agent("his", "bob@example.com").await.take().await));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_check_stays_what_it_is_made_for() {
    let fleet = Fleet::start().await;
    let author = fleet.worker().await;
    let criteria = json!([{"text": "tests pass", "type": "command", "command": {"program": ["cargo", "test"]}}]);
    let (_, held) = hold(&fleet, &author, criteria, json!({})).await;
    complete(&author, &held, json!({})).await.expect(200);
    let check: String =
        sqlx::query_scalar("select task_id::text from tasks where purpose = 'check'")
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    let path = format!("/v1/tasks/{check}");
    let edit = |change: Value| fleet.admin.patch(&path, &change).if_match("*");
    for (change, at) in [
        (json!({"criteria": ["it compiles"]}), "/criteria"),
        (json!({"criteria": []}), "/criteria"),
        (json!({"capabilities": []}), "/capabilities"),
        (json!({"capabilities": ["rust"]}), "/capabilities"),
    ] {
        assert_eq!(edit(change.clone()).await.problem(409, "wrong_state"), [at], "{change}");
    }
    edit(json!({"capabilities": ["verify:command", "gpu"], "priority": 9})).await.expect(200);
    verify(&fleet.pool).await;
}
