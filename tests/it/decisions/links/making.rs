//! Who may have a link, for what, and for how long.

use axum::http::Method;
use serde_json::{Value, json};

use super::{action, asked, count, links, make, nobody, page, path_for_alice, send};
use crate::support::{
    client::Client,
    dump::{dump, same},
    fleet::{Fleet, register, text},
};

const APPROVE: &[(&str, &str)] = &[("decision", "approve")];

async fn operator(fleet: &Fleet, person: &str) -> (Client, Value) {
    let new = json!({"name": person, "role": "operator", "person": person});
    let made = fleet.admin.post("/v1/keys", &new).await.value(201);
    (fleet.admin.with_key(text(&made["token"])), made["key"].clone())
}

#[tokio::test]
async fn a_link_is_made_read_and_revoked() {
    let (fleet, approval) = asked(action()).await;
    let body = json!({"person": "Alice@Example.com", "expires_in_seconds": 60});
    let call = || fleet.admin.post(links(&approval), &body).idempotency_key("once");
    let first = call().await.expect(201);
    let made: Value = first.json();
    let link = &made["link"];
    assert_eq!(link["person"], "alice@example.com");
    assert_eq!(link["payload_sha256"], approval["payload_sha256"]);
    assert_eq!((&link["state"], &link["verdict"]), (&json!("open"), &Value::Null));
    assert_eq!(made["path"], format!("/decide/{}", text(&made["token"])));
    let at = first.header("location").to_owned();
    assert_eq!(at, format!("{}/{}", links(&approval), text(&link["id"])));
    assert_eq!(call().await.value(201), made, "the same link again");
    assert_eq!(&fleet.admin.get(&at).await.value(200), link);
    let another = make(&fleet, &approval, "bob").await;
    let listed = fleet.admin.get(links(&approval)).await.value(200);
    let ids: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|l| &l["id"]).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&&link["id"]) && ids.contains(&&another["link"]["id"]));

    let path = text(&made["path"]);
    nobody(&fleet).get(&path).await.expect(200);
    let revoke = || fleet.admin.call(Method::POST, format!("{at}/revoke"));
    let revoked = revoke().await.value(200);
    assert_eq!(revoked["state"], "revoked");
    let before = dump(&fleet.pool).await;
    assert_eq!(revoke().await.value(200), revoked, "revoked before");
    for answer in
        [nobody(&fleet).get(&path).await, send(&nobody(&fleet), &path, &approval, APPROVE).await]
    {
        let gone = page(answer, 410);
        assert!(gone.contains("revoked") && !gone.contains("Drop the table"), "{gone}");
    }
    same("a revoked link", &before, &dump(&fleet.pool).await);
    assert_eq!(count(&fleet, "approval.link_created").await, 2);
    assert_eq!(count(&fleet, "approval.link_revoked").await, 1);
    // A link of this approval and of no other.
    let elsewhere = format!("/v1/approvals/{}/links/{}", fleet.no_id(), text(&link["id"]));
    fleet.admin.get(elsewhere).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_link_ends_when_its_time_is_over() {
    let (fleet, approval) = asked(action()).await;
    let path = path_for_alice(&fleet, &approval).await;
    let days = 24 * 3600;
    fleet.pass(3 * days - 1);
    nobody(&fleet).get(&path).await.expect(200);
    fleet.pass(1);
    let before = dump(&fleet.pool).await;
    for answer in
        [nobody(&fleet).get(&path).await, send(&nobody(&fleet), &path, &approval, APPROVE).await]
    {
        let gone = page(answer, 410);
        assert!(gone.contains("expired") && !gone.contains("Drop the table"), "{gone}");
    }
    same("an expired link", &before, &dump(&fleet.pool).await);
    let listed = fleet.admin.get(links(&approval)).await.value(200);
    assert_eq!(listed["items"][0]["state"], "expired");
    for (seconds, good) in [(0, false), (1, true), (30 * days, true), (30 * days + 1, false)] {
        let body = json!({"person": "a", "expires_in_seconds": seconds});
        let answer = fleet.admin.post(links(&approval), &body).await;
        if good {
            answer.expect(201);
        } else {
            assert_eq!(answer.problem(422, "invalid"), ["/expires_in_seconds"]);
        }
    }
}

#[tokio::test]
async fn a_link_ends_with_the_key_that_made_it() {
    let (fleet, approval) = asked(action()).await;
    let (olga, key) = operator(&fleet, "olga").await;
    let made = olga.post(links(&approval), &json!({"person": "alice"})).await.value(201);
    let path = text(&made["path"]);
    nobody(&fleet).get(&path).await.expect(200);
    let revoke = format!("/v1/keys/{}/revoke", text(&key["id"]));
    fleet.admin.call(Method::POST, revoke).await.expect(200);
    let before = dump(&fleet.pool).await;
    nobody(&fleet).get(&path).await.expect(410);
    send(&nobody(&fleet), &path, &approval, APPROVE).await.expect(410);
    same("a link of a revoked key", &before, &dump(&fleet.pool).await);
    let listed = fleet.admin.get(links(&approval)).await.value(200);
    assert_eq!(listed["items"][0]["state"], "revoked");
}

#[tokio::test]
async fn nobody_gets_round_the_separation_of_duties_with_a_link() {
    let fleet = Fleet::start().await;
    let (pat, _) = operator(&fleet, "pat").await;
    let (olga, _) = operator(&fleet, "olga").await;
    let (carol, _) = operator(&fleet, "carol").await;
    let agent = register(&fleet.poster, json!({"name": "agent", "owner": "olga"})).await;
    let goal = json!({"title": "g", "on_behalf_of": ["bella"],
                      "tasks": [{"ref": "a", "title": "a"}]});
    pat.post("/v1/goals", &goal).await.expect(201);
    let held = agent.take().await;
    let approval = agent.write(&held, "approvals", action()).await.value(201);
    let before = dump(&fleet.pool).await;
    // Those who are excluded make none, also for others: the token would be in their hands.
    for who in [&pat, &olga] {
        let answer = who.post(links(&approval), &json!({"person": "dora"})).await;
        answer.problem(403, "separation_of_duties");
    }
    for excluded in ["pat", "Olga", "bella"] {
        let answer = carol.post(links(&approval), &json!({"person": excluded})).await;
        answer.problem(403, "separation_of_duties");
    }
    same("links that are refused", &before, &dump(&fleet.pool).await);

    // Whatever became of the link since it was made, it is looked at again when it is used.
    let made = carol.post(links(&approval), &json!({"person": "dora"})).await.value(201);
    let path = text(&made["path"]);
    sqlx::query("update approval_links set person = 'bella'").execute(&fleet.pool).await.unwrap();
    let before = dump(&fleet.pool).await;
    let client = nobody(&fleet);
    for answer in [client.get(&path).await, send(&client, &path, &approval, APPROVE).await] {
        let shown = page(answer, 403);
        assert!(!shown.contains("<form") && shown.contains("Nothing was decided."), "{shown}");
    }
    same("a link of somebody excluded", &before, &dump(&fleet.pool).await);
    // Where a policy allows it, a link does too.
    sqlx::query("update approvals set allow_self = true").execute(&fleet.pool).await.unwrap();
    assert!(page(send(&client, &path, &approval, APPROVE).await, 200).contains("bella"));
}

#[tokio::test]
async fn high_risk_takes_a_key() {
    for risk in ["high", "critical"] {
        let mut question = action();
        question["risk"] = json!(risk);
        let (fleet, approval) = asked(question).await;
        let before = dump(&fleet.pool).await;
        let answer = fleet.admin.post(links(&approval), &json!({"person": "alice"})).await;
        answer.problem(403, "link_refused");
        same("a link for high risk", &before, &dump(&fleet.pool).await);
    }
    // When the risk rises after the link was made.
    let (fleet, approval) = asked(action()).await;
    let path = path_for_alice(&fleet, &approval).await;
    sqlx::query("update approvals set risk = 'high'").execute(&fleet.pool).await.unwrap();
    let before = dump(&fleet.pool).await;
    let client = nobody(&fleet);
    for answer in [client.get(&path).await, send(&client, &path, &approval, APPROVE).await] {
        let shown = page(answer, 403);
        assert!(
            shown.contains("not permitted with a link") && !shown.contains("drop table"),
            "{shown}"
        );
    }
    same("a link for risen risk", &before, &dump(&fleet.pool).await);
    fleet.decide(json!({"decision": "approve"})).await;
}

#[tokio::test]
async fn what_cannot_be_shown_whole_or_is_decided_takes_no_link() {
    let mut question = action();
    question["payload"] = json!("x".repeat(65 * 1024));
    let (fleet, approval) = asked(question).await;
    let answer = fleet.admin.post(links(&approval), &json!({"person": "alice"})).await;
    answer.problem(403, "link_refused");
    fleet.decide(json!({"decision": "approve"})).await;
    let answer = fleet.admin.post(links(&approval), &json!({"person": "alice"})).await;
    answer.problem(409, "already_decided");
    for person in ["", "no body", "\u{430}lice"] {
        let answer = fleet.admin.post(links(&approval), &json!({"person": person})).await;
        assert_eq!(answer.problem(422, "invalid"), ["/person"]);
    }
    let missing = format!("/v1/approvals/{}/links", fleet.no_id());
    fleet.admin.post(&missing, &json!({"person": "alice"})).await.problem(404, "not_found");
    fleet.admin.get(&missing).await.problem(404, "not_found");
}

#[tokio::test]
async fn votes_by_link_count_as_votes() {
    let fleet = Fleet::start().await;
    let policy = json!({"name": "one after the other", "match": {"kinds": ["action"]},
                        "stages": [{"approvers": ["alice"]}, {"approvers": ["bob"]}]});
    fleet.admin.post("/v1/approval-policies", &policy).await.expect(201);
    let approval = super::ask(&fleet, action()).await;
    let client = nobody(&fleet);
    let stranger = text(&make(&fleet, &approval, "dora").await["path"]);
    let before = dump(&fleet.pool).await;
    let shown = page(send(&client, &stranger, &approval, APPROVE).await, 403);
    assert!(shown.contains("Nothing was decided."), "{shown}");
    same("a link of nobody who decides", &before, &dump(&fleet.pool).await);

    let alice = text(&make(&fleet, &approval, "alice").await["path"]);
    let shown = page(send(&client, &alice, &approval, APPROVE).await, 200);
    assert!(shown.contains("Others must also decide"), "{shown}");
    let before = dump(&fleet.pool).await;
    let reject = &[("decision", "reject"), ("reason", "after all not")];
    for answer in [client.get(&alice).await, send(&client, &alice, &approval, reject).await] {
        let shown = page(answer, 200);
        assert!(shown.contains("Others must also decide") && !shown.contains("<form"));
    }
    same("a vote sent again", &before, &dump(&fleet.pool).await);
    // Another admin's link: those of one maker count as one.
    let other = fleet.client(&fleet.key("admin").await);
    let bob = other.post(links(&approval), &json!({"person": "bob"})).await.value(201);
    let bob = text(&bob["path"]);
    assert!(page(send(&client, &bob, &approval, APPROVE).await, 200).contains("was approved"));
    assert!(page(client.get(&alice).await, 200).contains("This was approved."));
    assert_eq!(count(&fleet, "approval.decided").await, 1);
}
