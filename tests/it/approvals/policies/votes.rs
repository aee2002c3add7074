//! Quorum, veto, delegation: what a vote is worth.

use serde_json::{Value, json};

use super::{Crowd, mail, mails, policy, read, told};
use crate::support::{
    dump::{dump, same},
    fleet::{about, text},
    invariants::verify,
};

fn two_of_three() -> Value {
    json!([{"approvers": mails(&["ann", "bob", "cid"]), "quorum": 2}])
}

#[tokio::test]
async fn the_vote_that_completes_the_quorum_decides() {
    let crowd = Crowd::of(&["ann", "bob", "cid", "eve"]).await;
    let fleet = &crowd.fleet;
    policy(fleet, json!({"stages": two_of_three()})).await;
    let (asked, _, goal) = crowd.ask("action").await;
    assert_eq!((&asked["policy"]["quorum"], &asked["policy"]["able"]), (&json!(2), &json!(3)));
    let first = crowd.yes("ann", &asked).await.value(200);
    assert_eq!((&first["state"], &first["policy"]["agree"]), (&json!("pending"), &json!(1)));
    assert_eq!(first["policy"]["votes"][0]["person"], json!(mail("ann")));
    fleet.expect_states(&goal, "a:parked").await;
    let listed = fleet.question().await;
    assert_eq!(listed["policy"], first["policy"], "in lists too");
    let before = dump(&fleet.pool).await;
    assert_eq!(crowd.yes("ann", &asked).await.value(200), first, "the same vote again");
    crowd.no("ann", &asked).await.problem(409, "already_voted");
    crowd.yes("eve", &asked).await.problem(403, "not_an_approver");
    let answer =
        crowd.vote("bob", &asked, json!({"decision": "approve", "in_place_of": mail("ann")}));
    answer.await.problem(403, "not_an_approver");
    let path = format!("/v1/approvals/{}/decide", text(&asked["id"]));
    let yes = about(&asked, json!({"decision": "approve"}));
    fleet.admin.post(&path, &yes).await.problem(403, "not_an_approver");
    same("refused votes", &before, &dump(&fleet.pool).await);
    let second = crowd.yes("cid", &asked).await.value(200);
    assert_eq!((&second["state"], &second["policy"]["agree"]), (&json!("approved"), &json!(2)));
    crowd.yes("bob", &asked).await.problem(409, "already_decided");
    let events = ["approval.requested", "approval.voted", "approval.decided"];
    assert_eq!(told(fleet, &asked).await, events);
    let held = crowd.agent.take().await;
    assert_eq!(held.claim["decisions"][0]["state"], "approved");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn without_a_veto_it_is_rejected_when_the_quorum_is_out_of_reach() {
    let crowd = Crowd::of(&["ann", "bob", "cid"]).await;
    let fleet = &crowd.fleet;
    policy(fleet, json!({"stages": two_of_three()})).await;
    let (asked, ..) = crowd.ask("action").await;
    assert_eq!(crowd.no("ann", &asked).await.value(200)["state"], "pending");
    let over = crowd.no("cid", &asked).await.value(200);
    assert_eq!((&over["state"], &over["verdict"]), (&json!("rejected"), &json!("reject")));
    assert_eq!(over["reason"], "ann says no\ncid says no");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_veto_ends_it() {
    let crowd = Crowd::of(&["ann", "bob", "cid"]).await;
    let fleet = &crowd.fleet;
    policy(fleet, json!({"stages": two_of_three(), "veto": true})).await;
    let (asked, ..) = crowd.ask("action").await;
    crowd.yes("ann", &asked).await.expect(200);
    assert_eq!(crowd.no("bob", &asked).await.value(200)["state"], "rejected");
    let held = crowd.agent.take().await;
    assert_eq!(held.claim["decisions"][0]["reason"], "bob says no");
    verify(&fleet.pool).await;
}

/// Any operator may vote, but nobody twice, whichever key is used.
#[tokio::test]
async fn where_any_operator_votes_a_person_counts_once() {
    let crowd = Crowd::of(&["ann", "bob"]).await;
    let fleet = &crowd.fleet;
    policy(fleet, json!({"stages": [{"quorum": 2}]})).await;
    let (asked, ..) = crowd.ask("action").await;
    assert_eq!(asked["policy"]["able"], Value::Null);
    crowd.yes("ann", &asked).await.expect(200);
    let another = fleet.client(&super::key_of(fleet, "ann").await);
    let path = format!("/v1/approvals/{}/decide", text(&asked["id"]));
    let yes = about(&asked, json!({"decision": "approve"}));
    assert_eq!(another.post(&path, &yes).await.value(200)["state"], "pending");
    // A key of nobody is somebody of its own.
    assert_eq!(fleet.admin.post(&path, &yes).await.value(200)["state"], "approved");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_question_is_answered_when_enough_give_the_same_answer() {
    let crowd = Crowd::of(&["ann", "bob", "cid"]).await;
    let fleet = &crowd.fleet;
    policy(fleet, json!({"stages": two_of_three()})).await;
    let answer = |value: Value| json!({"decision": "answer", "answer": value});
    let (asked, ..) = crowd.ask("input").await;
    crowd.vote("ann", &asked, answer(json!({"a": 1, "b": 2}))).await.expect(200);
    let other = crowd.vote("bob", &asked, answer(json!({"a": 2}))).await.value(200);
    assert_eq!((&other["state"], &other["policy"]["agree"]), (&json!("pending"), &json!(1)));
    let last = crowd.vote("cid", &asked, answer(json!({"b": 2, "a": 1}))).await.value(200);
    assert_eq!((&last["state"], &last["answer"]), (&json!("answered"), &json!({"a": 1, "b": 2})));
    let (asked, ..) = crowd.ask("input").await;
    for (who, value) in [("ann", 1), ("bob", 2), ("cid", 3)] {
        crowd.vote(who, &asked, answer(json!(value))).await.expect(200);
    }
    let over = read(fleet, &asked).await;
    assert_eq!((&over["state"], &over["answer"]), (&json!("rejected"), &Value::Null));
    assert!(text(&over["reason"]).contains("can no longer agree"), "{over}");
    verify(&fleet.pool).await;
}

/// What was voted was about exactly what was read: another payload needs votes of its own.
#[tokio::test]
async fn a_revision_makes_earlier_votes_void() {
    let crowd = Crowd::of(&["ann", "bob", "cid"]).await;
    let fleet = &crowd.fleet;
    policy(fleet, json!({"stages": two_of_three()})).await;
    let (asked, ..) = crowd.ask("action").await;
    crowd.yes("ann", &asked).await.expect(200);
    let path = format!("/v1/approvals/{}/revise", text(&asked["id"]));
    let body = about(&asked, json!({"payload": {"run": "this"}}));
    let revised = crowd.people["cid"].post(path, &body).await.value(200);
    assert_eq!(revised["policy"]["agree"], 0);
    assert_eq!(revised["policy"]["votes"].as_array().unwrap().len(), 1, "it is kept");
    let path = format!("/v1/approvals/{}/decide", text(&asked["id"]));
    let stale = about(&asked, json!({"decision": "approve"}));
    crowd.people["bob"].post(path, &stale).await.problem(409, "payload_changed");
    // An approval with edits is a revision with one vote.
    let edits = json!({"decision": "approve", "payload": {"run": "that"}});
    let edited = crowd.vote("bob", &asked, edits).await.value(200);
    assert_eq!((&edited["state"], &edited["policy"]["agree"]), (&json!("pending"), &json!(1)));
    assert_eq!(edited["revision"], 3);
    let done = crowd.yes("ann", &asked).await.value(200);
    assert_eq!((&done["state"], &done["payload"]), (&json!("approved"), &json!({"run": "that"})));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn an_approver_may_be_stood_in_for() {
    let crowd = Crowd::of(&["ann", "bob", "dan"]).await;
    let fleet = &crowd.fleet;
    let settings = json!({
        "stages": [{"approvers": mails(&["ann", "bob"]), "quorum": 2}],
        "delegations": [
            {"delegator": mail("ann"), "delegate": mail("dan"),
             "from": "2026-03-01T12:10:00Z", "until": "2026-03-01T12:20:00Z"},
            {"delegator": mail("bob"), "delegate": mail("dan"), "until": "2026-03-01T12:15:00Z"},
        ],
    });
    policy(fleet, settings).await;
    let (asked, ..) = crowd.ask("action").await;
    let (other, ..) = crowd.ask("action").await;
    let for_ann = json!({"decision": "approve", "in_place_of": mail("ann")});
    crowd.vote("dan", &asked, for_ann.clone()).await.problem(403, "not_an_approver");
    fleet.pass(600);
    let unsaid = crowd.yes("dan", &asked).await;
    assert_eq!(unsaid.problem(422, "invalid"), ["/in_place_of"]);
    let voted = crowd.vote("dan", &asked, for_ann.clone()).await.value(200);
    assert_eq!(voted["policy"]["votes"][0]["in_place_of"], json!(mail("ann")));
    let for_bob = json!({"decision": "approve", "in_place_of": mail("bob")});
    crowd.vote("dan", &asked, for_bob).await.problem(409, "already_voted");
    crowd.no("ann", &asked).await.problem(409, "already_voted");
    assert_eq!(crowd.yes("bob", &asked).await.value(200)["state"], "approved");
    fleet.pass(300);
    let voted = crowd.yes("dan", &other).await.value(200);
    assert_eq!(voted["policy"]["votes"][0]["in_place_of"], json!(mail("ann")), "only she is left");
    verify(&fleet.pool).await;
}

/// The owner of the asking agent decides nothing, not even through somebody else, unless the policy
/// says so.
#[tokio::test]
async fn who_is_excluded_gets_round_it_only_by_the_policy() {
    for allow_self in [false, true] {
        let crowd = Crowd::of(&["ann", "bob", "dan"]).await;
        let fleet = &crowd.fleet;
        let settings = json!({
            "stages": [{"approvers": mails(&["ann", "bob"])}], "allow_self": allow_self,
            "delegations": [{"delegator": mail("ann"), "delegate": mail("dan")}],
        });
        policy(fleet, settings).await;
        let body = json!({"name": "owned", "max_concurrent": 9, "owner": mail("ann")});
        let agent = crate::support::fleet::register(&fleet.admin, body).await;
        fleet.lone_task(json!({})).await;
        let asked = agent.ask(&agent.take().await, "action").await;
        assert_eq!(asked["policy"]["able"], if allow_self { 2 } else { 1 });
        assert_eq!(asked["policy"]["allow_self"], allow_self);
        if allow_self {
            assert_eq!(crowd.yes("ann", &asked).await.value(200)["state"], "approved");
        } else {
            crowd.yes("ann", &asked).await.problem(403, "separation_of_duties");
            crowd.yes("dan", &asked).await.problem(403, "not_an_approver");
            assert_eq!(crowd.yes("bob", &asked).await.value(200)["state"], "approved");
        }
        verify(&fleet.pool).await;
    }
}
