//! Who decides, when keys are rotated, have a scope, or end with their makers.

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    authority::{approve, asked_by, decide_path, key_by, operator, policy},
    links::{action, ask, links, nobody, page, send},
};
use crate::support::{
    client::Client,
    dump::{dump, same},
    fleet::{Fleet, about, text},
    invariants::verify,
};

async fn id(key: &Client) -> String {
    text(&key.get("/v1/whoami").await.value(200)["key_id"])
}

/// The successor of a key, which rotates itself.
async fn rotated(key: &Client) -> Client {
    let issued = key.post("/v1/keys/rotate", &json!({"overlap_seconds": 60})).await.value(201);
    key.with_key(text(&issued["token"]))
}

/// The successor of a key, which `admin` rotates.
async fn rotated_by(admin: &Client, key: &Client) -> Client {
    let path = format!("/v1/keys/{}/rotate", id(key).await);
    let issued = admin.post(path, &json!({"overlap_seconds": 60})).await.value(201);
    key.with_key(text(&issued["token"]))
}

async fn revoke(fleet: &Fleet, key: &Client) {
    let path = format!("/v1/keys/{}/revoke", id(key).await);
    fleet.admin.call(Method::POST, path).await.expect(200);
}

/// A key from the command line, without a maker and without a person: it counts as itself.
async fn of_nobody(fleet: &Fleet, role: &str) -> Client {
    fleet.client(&fleet.key(role).await)
}

#[tokio::test]
async fn the_keys_of_a_rotation_have_one_vote() {
    let fleet = Fleet::start().await;
    policy(&fleet, json!({"stages": [{"quorum": 2}]})).await;
    let agent = fleet.worker().await;
    for first in [of_nobody(&fleet, "operator").await, operator(&fleet, "alice").await] {
        let approval = asked_by(&agent, &fleet.poster).await;
        let second = rotated(&first).await;
        let third = rotated_by(&fleet.admin, &second).await;
        assert_eq!(approve(&first, &approval).await.value(200)["state"], "pending");
        // The vote again is the answer again, and another vote is refused; neither counts.
        for again in [&first, &second, &third] {
            let answer = approve(again, &approval).await;
            if answer.status.as_u16() == 200 {
                assert_eq!(answer.value(200)["state"], "pending");
            } else {
                answer.problem(409, "already_voted");
            }
        }
        let decided = approve(&operator(&fleet, "bob").await, &approval).await.value(200);
        assert_eq!(decided["state"], "approved");
        agent.work_off().await;
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_rotation_lifts_no_exclusion() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    for poster in [of_nobody(&fleet, "operator").await, operator(&fleet, "alice").await] {
        let approval = asked_by(&agent, &poster).await;
        let second = rotated(&poster).await;
        let third = rotated_by(&fleet.admin, &second).await;
        for key in [&second, &third] {
            approve(key, &approval).await.problem(403, "separation_of_duties");
        }
        approve(&operator(&fleet, "bob").await, &approval).await.expect(200);
        agent.work_off().await;
        // What the new key asks, the old one does not decide either.
        let approval = asked_by(&agent, &third).await;
        for key in [&poster, &second] {
            approve(key, &approval).await.problem(403, "separation_of_duties");
        }
        approve(&operator(&fleet, "bob").await, &approval).await.expect(200);
        agent.work_off().await;
    }
}

/// Whoever saw the secret of a key could have used it, and could have rotated it.
#[tokio::test]
async fn the_maker_of_a_key_does_not_decide_what_its_successor_asks() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let [carol, dave] =
        [("carol"), ("dave")].map(|person| key_by(&fleet.admin, "admin", Some(person)));
    let (carol, dave) = (carol.await, dave.await);
    let ci = key_by(&carol, "submitter", Some("ci")).await;
    let second = rotated(&ci).await;
    let approval = asked_by(&agent, &second).await;
    approve(&carol, &approval).await.problem(403, "separation_of_duties");
    approve(&dave, &approval).await.expect(200);
    agent.work_off().await;
    let third = rotated_by(&dave, &second).await;
    let approval = asked_by(&agent, &third).await;
    approve(&dave, &approval).await.problem(403, "separation_of_duties");
    approve(&carol, &approval).await.expect(200);
    agent.work_off().await;

    // An admin's key that rotates itself like any other key keeps its maker, too.
    let erin = key_by(&carol, "admin", Some("erin")).await;
    let erins = rotated_by(&erin, &erin).await;
    let approval = asked_by(&agent, &erins).await;
    approve(&carol, &approval).await.problem(403, "separation_of_duties");
    approve(&dave, &approval).await.expect(200);
}

#[tokio::test]
async fn a_submitter_cancels_with_a_new_key_what_they_posted_with_the_old_one() {
    let fleet = Fleet::start().await;
    let other = of_nobody(&fleet, "submitter").await;
    let old = of_nobody(&fleet, "submitter").await;
    let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}]});
    let goal = text(&old.post("/v1/goals", &goal).await.value(201)["id"]);
    let (new, others) = (rotated(&old).await, rotated(&other).await);
    let path = format!("/v1/goals/{goal}/cancel");
    others.post(&path, &json!({})).await.problem(403, "forbidden");
    new.post(&path, &json!({})).await.expect(200);
}

/// A key that may not decide here is nobody for whom an approval waits.
#[tokio::test]
async fn keys_whose_scope_leaves_no_decision_are_nobody() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let scoped = async |name: &str, scope: Value| {
        let new = json!({"name": name, "role": "operator", "person": name, "scope": scope});
        fleet.client(&text(&fleet.admin.post("/v1/keys", &new).await.value(201)["token"]))
    };
    let project = async |name: &str| {
        let made = fleet.admin.post("/v1/projects", &json!({"name": name})).await.value(201);
        text(&made["id"])
    };
    let (mine, other) = (project("mine").await, project("other").await);
    let goal = json!({"title": "g", "project": "mine", "tasks": [{"ref": "a", "title": "a"}]});
    fleet.admin.post("/v1/goals", &goal).await.expect(201);
    let held = agent.take().await;
    let approval = agent.write(&held, "approvals", action()).await.value(201);
    revoke(&fleet, &fleet.poster).await;

    let reads = scoped("reads", json!({"access": "read_only"})).await;
    approve(&reads, &approval).await.problem(403, "forbidden");
    let elsewhere = scoped("elsewhere", json!({"projects": [other]})).await;
    approve(&elsewhere, &approval).await.problem(404, "not_found");
    let ends =
        json!({"name": "ends", "role": "operator", "person": "ends", "dies_with_maker": true});
    let maker = key_by(&fleet.admin, "admin", Some("maker")).await;
    maker.post("/v1/keys", &ends).await.expect(201);
    revoke(&fleet, &maker).await;

    let mut last = about(&approval, json!({"decision": "approve"}));
    last["nobody_else"] = json!(true);
    let shown = async || {
        let items = fleet.admin.get("/v1/attention?kind=approval").await.value(200);
        text(&items["items"][0]["detail"]).contains("Nobody may decide it")
    };
    assert!(shown().await);
    let here = scoped("here", json!({"projects": [mine]})).await;
    assert!(!shown().await);
    let path = decide_path(&approval);
    fleet.admin.post(&path, &last).await.problem(403, "separation_of_duties");
    revoke(&fleet, &here).await;
    assert!(shown().await);
    fleet.admin.post(&path, &last).await.expect(200);
    verify(&fleet.pool).await;
}

/// A link is revoked with its maker, and with the key that the maker dies with.
#[tokio::test]
async fn a_link_ends_with_the_maker_of_its_maker() {
    let fleet = Fleet::start().await;
    let approval = ask(&fleet, action()).await;
    let first = key_by(&fleet.admin, "admin", Some("first")).await;
    let mortal = json!({"name": "m", "role": "operator", "person": "m", "dies_with_maker": true});
    let second = first.post("/v1/keys", &mortal).await.value(201);
    let second = fleet.client(&text(&second["token"]));
    let link = second.post(links(&approval), &json!({"person": "bob"})).await.value(201);
    let path = text(&link["path"]);
    let client = nobody(&fleet);
    page(client.get(&path).await, 200);
    revoke(&fleet, &first).await;
    let before = dump(&fleet.pool).await;
    let used = send(&client, &path, &approval, &[("decision", "approve")]).await;
    assert!(!used.status.is_success(), "{}", used.describe());
    same("a link of a key that ended", &before, &dump(&fleet.pool).await);
    let shown = format!("{}/{}", links(&approval), text(&link["link"]["id"]));
    assert_eq!(fleet.admin.get(shown).await.value(200)["state"], "revoked");
}

#[tokio::test]
async fn both_keys_of_a_rotation_decide_until_the_overlap_is_over() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let old = operator(&fleet, "alice").await;
    let new = rotated(&old).await;
    for key in [&old, &new] {
        approve(key, &asked_by(&agent, &fleet.poster).await).await.expect(200);
        agent.work_off().await;
    }
    let approval = asked_by(&agent, &fleet.poster).await;
    fleet.pass(60);
    approve(&old, &approval).await.problem(401, "unauthenticated");
    approve(&new, &approval).await.expect(200);
}
