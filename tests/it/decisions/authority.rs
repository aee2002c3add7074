//! Votes that cannot be made up, and exclusions that nobody gets round.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use super::links::{action, ask, links, make, nobody, page, send};
use crate::support::{
    agent::Agent,
    client::Client,
    dump::{dump, same},
    fleet::{Fleet, about, register, text},
    invariants::verify,
};

const APPROVE: &[(&str, &str)] = &[("decision", "approve")];

pub(super) async fn operator(fleet: &Fleet, person: &str) -> Client {
    key_by(&fleet.admin, "operator", Some(person)).await
}

/// A key that `maker` makes.
pub(super) async fn key_by(maker: &Client, role: &str, person: Option<&str>) -> Client {
    let mut new = json!({"name": role, "role": role});
    if let Some(person) = person {
        new["person"] = json!(person);
    }
    maker.with_key(text(&maker.post("/v1/keys", &new).await.value(201)["token"]))
}

pub(super) async fn policy(fleet: &Fleet, settings: Value) {
    let mut spec = json!({"name": "p", "match": {"kinds": ["action"]}, "stages": [{}]});
    for (name, value) in settings.as_object().unwrap() {
        spec[name] = value.clone();
    }
    fleet.admin.post("/v1/approval-policies", &spec).await.expect(201);
}

pub(super) fn decide_path(approval: &Value) -> String {
    format!("/v1/approvals/{}/decide", text(&approval["id"]))
}

pub(super) async fn approve(who: &Client, approval: &Value) -> crate::support::client::Answer {
    who.post(decide_path(approval), &about(approval, json!({"decision": "approve"}))).await
}

/// An agent's question about a task of a goal that `poster` posts.
pub(super) async fn asked_by(agent: &Agent, poster: &Client) -> Value {
    let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}]});
    poster.post("/v1/goals", &goal).await.expect(201);
    let held = agent.take().await;
    agent.write(&held, "approvals", action()).await.value(201)
}

#[tokio::test]
async fn an_operator_without_a_seat_makes_no_votes() {
    let fleet = Fleet::start().await;
    policy(&fleet, json!({"stages": [{"approvers": ["alice", "bob", "carol"], "quorum": 2}]}))
        .await;
    let approval = ask(&fleet, action()).await;
    let mallory = operator(&fleet, "mallory").await;
    let before = dump(&fleet.pool).await;
    for person in ["alice", "bob", "mallory"] {
        let answer = mallory.post(links(&approval), &json!({"person": person})).await;
        answer.problem(403, "not_an_approver");
        // Nor does anybody else where two must agree.
        for maker in [&fleet.admin, &operator(&fleet, "alice").await] {
            let answer = maker.post(links(&approval), &json!({"person": person})).await;
            answer.problem(403, "link_refused");
        }
    }
    let after = dump(&fleet.pool).await;
    let votes = |dump: &str| dump.matches("approval_link").count();
    assert_eq!(votes(&format!("{before:?}")), votes(&format!("{after:?}")));
}

#[tokio::test]
async fn a_link_is_refused_when_the_quorum_rises_after_it_was_made() {
    let fleet = Fleet::start().await;
    policy(&fleet, json!({"stages": [{"approvers": ["alice", "bob"]}]})).await;
    let approval = ask(&fleet, action()).await;
    let path = text(&make(&fleet, &approval, "alice").await["path"]);
    sqlx::query("update approvals set policy = jsonb_set(policy, '{stages,0,quorum}', '2')")
        .execute(&fleet.pool)
        .await
        .unwrap();
    let before = dump(&fleet.pool).await;
    let client = nobody(&fleet);
    for answer in [client.get(&path).await, send(&client, &path, &approval, APPROVE).await] {
        let shown = page(answer, 403);
        assert!(shown.contains("Nothing was decided.") && !shown.contains("<form"), "{shown}");
    }
    same("a link under a higher quorum", &before, &dump(&fleet.pool).await);
}

#[tokio::test]
async fn a_later_stage_or_round_of_several_takes_no_link_for_its_people() {
    for settings in [
        json!({"stages": [{"approvers": ["alice"]}, {"approvers": ["alice", "bob"], "quorum": 2}]}),
        json!({"stages": [{"approvers": ["alice"]}], "expires_after_seconds": 60,
               "on_expiry": "escalate", "escalation_ends": "reject", "escalation": [
                   {"approvers": ["alice", "bob"], "quorum": 2, "expires_after_seconds": 60}]}),
    ] {
        let fleet = Fleet::start().await;
        policy(&fleet, settings).await;
        let approval = ask(&fleet, action()).await;
        let answer = fleet.admin.post(links(&approval), &json!({"person": "alice"})).await;
        answer.problem(403, "link_refused");
    }
}

/// One maker, two stages with one approver each: the maker may be neither twice.
#[tokio::test]
async fn the_votes_of_a_maker_and_of_their_links_count_as_one_in_all_stages() {
    let fleet = Fleet::start().await;
    policy(&fleet, json!({"stages": [{"approvers": ["alice"]}, {"approvers": ["bob"]}]})).await;
    let approval = ask(&fleet, action()).await;
    let client = nobody(&fleet);
    let alices = text(&make(&fleet, &approval, "alice").await["path"]);
    // A second key of the same admin, without a person.
    let second = key_by(&fleet.admin, "admin", None).await;
    let bobs = second.post(links(&approval), &json!({"person": "bob"})).await.value(201);
    let bobs = text(&bobs["path"]);
    assert!(page(send(&client, &alices, &approval, APPROVE).await, 200).contains("Others must"));
    let before = dump(&fleet.pool).await;
    let shown = page(send(&client, &bobs, &approval, APPROVE).await, 409);
    assert!(shown.contains("Nothing was decided."), "{shown}");
    same("a second vote of one maker", &before, &dump(&fleet.pool).await);

    let decided = approve(&operator(&fleet, "bob").await, &approval).await.value(200);
    assert_eq!(decided["state"], "approved");
    assert_eq!(
        (&decided["by_link"], &decided["decided_by_person"]),
        (&json!(false), &json!("bob"))
    );
    let votes = decided["policy"]["votes"].as_array().unwrap();
    let by_link: Vec<&Value> = votes.iter().map(|vote| &vote["by_link"]).collect();
    assert_eq!(by_link, [true, false]);
    everything_is_traced(&fleet).await;
    verify(&fleet.pool).await;
}

/// Every vote and decision of the journal has a key or a link, and behind each a maker and a person.
async fn everything_is_traced(fleet: &Fleet) {
    /// Number; person, key, link and maker of the link.
    type Traced = (i64, Option<String>, Option<String>, Option<String>, Option<String>);
    let rows: Vec<Traced> = sqlx::query_as(
        "select j.number, j.actor_person, k.key_id::text, l.link_id::text, m.key_id::text
             from journal j
             left join keys k on k.workspace_id = j.workspace_id and k.key_id = j.actor_key_id
             left join approval_links l on l.workspace_id = j.workspace_id
               and l.link_id = j.link_id and l.person = j.actor_person
               and l.created_by = j.link_maker and l.used_at = j.at
             left join keys m on m.workspace_id = l.workspace_id and m.key_id = l.created_by
             where j.kind in ('approval.voted', 'approval.decided')
             order by j.number",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    assert!(rows.len() >= 2, "{rows:?}");
    for (number, person, key, link, maker) in rows {
        assert!(person.is_some(), "row {number} names no person");
        assert_eq!(key.is_none(), link.is_some(), "row {number}: a key, or else a link");
        assert_eq!(link.is_some(), maker.is_some(), "row {number}: a link has its maker");
    }
    let stored: i64 = sqlx::query_scalar(
        "select count(*) from approval_votes v
         where not exists (select from keys k where k.key_id = coalesce(v.key_id, v.link_maker))",
    )
    .fetch_one(&fleet.pool)
    .await
    .unwrap();
    assert_eq!(stored, 0, "votes of nobody's key");
}

#[tokio::test]
async fn who_decided_by_link_is_shown_so() {
    let fleet = Fleet::start().await;
    let approval = ask(&fleet, action()).await;
    let path = text(&make(&fleet, &approval, "alice").await["path"]);
    page(send(&nobody(&fleet), &path, &approval, APPROVE).await, 200);
    let read = super::links::read(&fleet, &approval).await;
    assert_eq!((&read["by_link"], &read["decided_by_person"]), (&json!(true), &json!("alice")));
}

#[tokio::test]
async fn a_second_key_is_nobody_else() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    // The admin posts, and decides with a key that its key made, or that one of those made.
    let second = key_by(&fleet.admin, "admin", None).await;
    let third = key_by(&second, "operator", None).await;
    let approval = asked_by(&agent, &fleet.admin).await;
    for who in [&fleet.admin, &second, &third] {
        approve(who, &approval).await.problem(403, "separation_of_duties");
    }
    // The key of a person counts as that person, whoever made it.
    let ada = key_by(&fleet.admin, "admin", Some("ada")).await;
    let adas = key_by(&ada, "operator", None).await;
    approve(&ada, &approval).await.expect(200);
    agent.work_off().await;
    let approval = asked_by(&agent, &ada).await;
    approve(&adas, &approval).await.problem(403, "separation_of_duties");
    // Whoever made the key that posted could have used it.
    approve(&fleet.admin, &approval).await.problem(403, "separation_of_duties");
    approve(&operator(&fleet, "dora").await, &approval).await.expect(200);
}

#[tokio::test]
async fn keys_of_one_maker_fill_no_quorum() {
    let fleet = Fleet::start().await;
    policy(&fleet, json!({"stages": [{"quorum": 2}]})).await;
    let approval = ask(&fleet, action()).await;
    let twins = [
        key_by(&fleet.admin, "operator", None).await,
        key_by(&fleet.admin, "operator", None).await,
    ];
    for who in twins.iter().chain([&fleet.admin]) {
        let voted = approve(who, &super::links::read(&fleet, &approval).await).await.value(200);
        assert_eq!((&voted["state"], &voted["policy"]["agree"]), (&json!("pending"), &json!(1)));
    }
    let dora = operator(&fleet, "dora").await;
    let decided = approve(&dora, &approval).await.value(200);
    assert_eq!(decided["state"], "approved");
}

#[tokio::test]
async fn an_agent_is_not_moved_out_of_the_exclusion() {
    let fleet = Fleet::start().await;
    let [alice, bob] = [operator(&fleet, "alice").await, operator(&fleet, "bob").await];
    // A made-up owner excludes nobody real; whoever registered the agent is excluded in any case.
    let agent =
        register(&alice, json!({"name": "bot", "owner": "ghost", "max_concurrent": 9})).await;
    let again = bob.post("/v1/agents", &json!({"name": "bot"})).await;
    again.problem(403, "forbidden");
    alice.post("/v1/agents", &json!({"name": "bot"})).await.expect(200);
    let path = format!("/v1/agents/{}", agent.id);
    let etag = fleet.admin.get(&path).await.etag();
    for who in [&alice, &bob] {
        let edit = who.patch(&path, &json!({"owner": "carol"})).if_match(&etag).await;
        edit.problem(403, "forbidden");
        let again = who.post("/v1/agents", &json!({"name": "bot", "owner": "carol"})).await;
        again.problem(403, "forbidden");
    }
    let own = |owner: &'static str| {
        let (admin, path) = (fleet.admin.clone(), path.clone());
        async move { admin.patch(path, &json!({"owner": owner})).if_match("*").await.expect(200) }
    };
    own("bob").await;
    fleet
        .poster
        .post("/v1/goals", &json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}]}))
        .await;
    fleet.pass(10);
    let held = agent.take().await;
    fleet.pass(10);
    own("carol").await;
    fleet.pass(10);
    own("dora").await;
    let approval = agent.write(&held, "approvals", action()).await.value(201);
    let [carol, dora] = [operator(&fleet, "carol").await, operator(&fleet, "dora").await];
    for (who, name) in [(&alice, "registrant"), (&bob, "then"), (&carol, "since"), (&dora, "now")] {
        let answer = approve(who, &approval).await;
        assert_eq!(answer.status, 403, "{name}: {}", answer.describe());
    }
    // The owner before the work began is free.
    approve(&operator(&fleet, "ghost").await, &approval).await.expect(200);
}

#[tokio::test]
async fn a_submitter_cancels_only_what_they_posted() {
    let fleet = Fleet::start().await;
    let ci = key_by(&fleet.admin, "submitter", Some("ci")).await;
    let other = key_by(&fleet.admin, "submitter", Some("other")).await;
    let cis = key_by(&fleet.admin, "submitter", Some("ci")).await;
    let post = || async {
        let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}]});
        text(&ci.post("/v1/goals", &goal).await.value(201)["id"])
    };
    let goal = post().await;
    let paths = [
        format!("/v1/tasks/{}/cancel", fleet.task_id(&goal, "a").await),
        format!("/v1/goals/{goal}/cancel"),
    ];
    for path in &paths {
        let before = dump(&fleet.pool).await;
        other.post(path, &json!({})).await.problem(403, "forbidden");
        same("a refused cancellation", &before, &dump(&fleet.pool).await);
        cis.post(path, &json!({})).await.expect(200);
    }
    fleet.admin.post(format!("/v1/goals/{}/cancel", post().await), &json!({})).await.expect(200);
}

#[tokio::test]
async fn an_approval_that_nobody_may_decide_is_decided_by_an_admin() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let alice = operator(&fleet, "alice").await;
    let goal = json!({"title": "g", "on_behalf_of": ["alice"], "tasks": [
        {"ref": "a", "title": "a", "approval": {"start": true}}]});
    // The admin's own goal: with alice everybody is excluded but the poster's key, which is revoked.
    let keys = fleet.admin.get("/v1/keys?role=operator").await.value(200);
    let poster = keys["items"].as_array().unwrap().iter().find(|key| key["person"] == "poster");
    let revoke = format!("/v1/keys/{}/revoke", text(&poster.unwrap()["id"]));
    fleet.admin.call(Method::POST, revoke).await.expect(200);
    let before = dump(&fleet.pool).await;
    let refused = fleet.admin.post("/v1/goals", &goal).await;
    assert_eq!(refused.problem(422, "invalid"), ["/on_behalf_of"]);
    same("a goal that nobody could decide", &before, &dump(&fleet.pool).await);

    let approval = asked_by(&agent, &fleet.admin).await;
    let mut last = about(&approval, json!({"decision": "approve"}));
    last["nobody_else"] = json!(true);
    let path = decide_path(&approval);
    // While alice can, nobody does it in her place.
    fleet.admin.post(&path, &last).await.problem(403, "separation_of_duties");
    alice.post(&path, &last).await.problem(403, "forbidden");
    let key = text(&alice.get("/v1/whoami").await.value(200)["key_id"]);
    fleet.admin.call(Method::POST, format!("/v1/keys/{key}/revoke")).await.expect(200);
    approve(&fleet.admin, &approval).await.problem(403, "separation_of_duties");
    let items = fleet.admin.get("/v1/attention?kind=approval").await.value(200);
    let item = &items["items"][0];
    assert!(text(&item["detail"]).contains("Nobody may decide it"), "{item}");
    let sent = fleet.admin.post(text(&item["action"]["path"]), &item["action"]["body"]).await;
    let decided = sent.value(200);
    assert_eq!((&decided["state"], &decided["nobody_else"]), (&json!("approved"), &json!(true)));
    let shown: bool = sqlx::query_scalar(
        "select (data ->> 'nobody_else')::bool from journal where kind = 'approval.decided'",
    )
    .fetch_one(&fleet.pool)
    .await
    .unwrap();
    assert!(shown);
    verify(&fleet.pool).await;
}

/// Goal, approval and events: a key that ends during the wait reads nothing.
#[tokio::test]
async fn a_revocation_ends_waiting_reads() {
    let fleet = Fleet::start().await;
    let approval = ask(&fleet, action()).await;
    let newest = fleet.admin.get("/v1/audit?limit=1").await.value(200);
    let newest = newest["items"][0]["row"]["number"].as_i64().unwrap();
    let goal = text(&approval["goal_id"]);
    for path in [
        format!("/v1/goals/{goal}?wait_seconds=3"),
        format!("/v1/approvals/{}?wait_seconds=3", text(&approval["id"])),
        format!("/v1/events?after={}&kind=price.created&wait_seconds=3", newest),
    ] {
        for expires in [false, true] {
            let mut new = json!({"name": "v", "role": "viewer"});
            if expires {
                new["expires_in_seconds"] = json!(60);
            }
            let made = fleet.admin.post("/v1/keys", &new).await.value(201);
            let viewer = fleet.client(&text(&made["token"]));
            let waiting = viewer.get(&path);
            let ending = async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                if expires {
                    fleet.pass(61);
                } else {
                    let at = format!("/v1/keys/{}/revoke", text(&made["key"]["id"]));
                    fleet.admin.call(Method::POST, at).await.expect(200);
                }
            };
            let (answer, ()) = tokio::join!(waiting.into_future(), ending);
            answer.problem(401, "unauthenticated");
        }
    }
}
