//! Many who vote at once at two processes, and decisions that race the end of the time.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, future::join_all, stream};
use serde_json::{Value, json};

use super::{Crowd, key_of, mails, policy, read, told};
use crate::support::{
    client::Client,
    fleet::{Fleet, about, router, text},
    invariants::verify,
};

/// So many votes at once, of three people with several keys each.
const VOTES: usize = 20;

async fn count(fleet: &Fleet, query: &'static str, id: &str) -> i64 {
    sqlx::query_scalar(query).bind(id).fetch_one(&fleet.pool).await.unwrap()
}

/// Twenty votes of three people arrive at two processes at once: two of them decide, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_votes_at_once_two_decide_once() {
    let crowd = Crowd::of(&[]).await;
    let fleet = &crowd.fleet;
    let stages = json!([{"approvers": mails(&["ann", "bob", "cid"]), "quorum": 2}]);
    policy(fleet, json!({"stages": stages})).await;
    let bases = [
        fleet.listen().await,
        crate::support::fleet::serve(router(&fleet.another_app().await)).await,
    ];
    let mut voters = Vec::new();
    for n in 0..VOTES {
        // Several of the same person come before the first of another.
        let key = key_of(fleet, ["ann", "bob", "cid"][n / 7]).await;
        voters.push(Client::at(&bases[n % 2]).with_key(&key));
    }
    for round in 0..10 {
        let (asked, _, goal) = crowd.ask("action").await;
        let id = text(&asked["id"]);
        let path = format!("/v1/approvals/{id}/decide");
        let body = about(&asked, json!({"decision": "approve"}));
        let votes = voters.iter().map(|voter| {
            let call = voter.post(&path, &body);
            tokio::spawn(async move { call.await })
        });
        let mut answers: BTreeMap<String, usize> = BTreeMap::new();
        for answer in join_all(votes).await {
            let answer = answer.unwrap();
            let said = match answer.status.as_u16() {
                200 => text(&answer.json::<Value>()["state"]),
                _ => {
                    answer.problem(409, "already_decided");
                    "too late".to_owned()
                }
            };
            *answers.entry(said).or_default() += 1;
        }
        // The two who decided get the same answer with every key; the third person comes too late with all.
        let third = answers.get("too late").copied().unwrap_or_default();
        assert!([VOTES / 3, VOTES / 3 + 1].contains(&third), "round {round}: {answers:?}");
        assert!(answers.contains_key("approved"), "round {round}: {answers:?}");
        let events = told(fleet, &asked).await;
        assert_eq!(events, ["approval.requested", "approval.voted", "approval.decided"]);
        let votes = "select count(*) from approval_votes where approval_id = $1::uuid";
        assert_eq!(count(fleet, votes, &id).await, 2);
        let resumed =
            "select count(*) from journal where kind = 'task.ready' and goal_id = $1::uuid";
        assert_eq!(
            count(fleet, resumed, &goal).await,
            2,
            "offered when it was made, and resumed once"
        );
        let held = crowd.agent.take().await;
        assert_eq!(held.claim["decisions"].as_array().unwrap().len(), 1);
        crowd.agent.complete(&held).await;
    }
    verify(&fleet.pool).await;
}

/// How often a decision races the end of the time: `MUSTER_TEST_RACES`, else 300 times.
fn races() -> usize {
    let given = std::env::var("MUSTER_TEST_RACES").ok().and_then(|races| races.parse().ok());
    given.unwrap_or(300)
}

/// A decision and the end of the time come at the same moment, at two processes, again and again: each
/// time exactly one of them happens, and its effect is the only one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_and_the_end_of_the_time_never_both_happen() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    policy(&fleet, json!({"expires_after_seconds": 60, "on_expiry": "cancel_task"})).await;
    let other = fleet.another_app().await;
    let at_once = 50;
    let (mut decided, mut expired) = (0, 0);
    for round in 0..races().div_ceil(at_once) {
        let tasks = |n| json!({"ref": format!("t{n}"), "title": "t"});
        let goal = fleet.goal((0..at_once).map(tasks).collect()).await;
        let mut asked = Vec::new();
        for held in agent.claim(100).await {
            asked.push(agent.ask(&held, "action").await);
        }
        assert_eq!(asked.len(), at_once);
        fleet.pass(60);
        let expiry = tokio::spawn({
            let (app, workspace) = (other.clone(), other.workspaces().await.unwrap()[0]);
            async move { app.expire_approvals(workspace).await }
        });
        let decide = async |approval: &Value| {
            let id = text(&approval["id"]);
            let body = about(approval, json!({"decision": "approve"}));
            let answer = fleet.admin.post(format!("/v1/approvals/{id}/decide"), &body).await;
            if answer.status != 200 {
                answer.problem(409, "already_decided");
            }
            (id, answer.status == 200)
        };
        // Both go through them side by side, or meet somewhere in between, or all at once.
        let won: BTreeMap<String, bool> = match round % 3 {
            0 => stream::iter(&asked).then(decide).collect().await,
            1 => stream::iter(asked.iter().rev()).then(decide).collect().await,
            _ => join_all(asked.iter().map(decide)).await.into_iter().collect(),
        };
        let report = expiry.await.unwrap().unwrap();
        assert!(report.failure.is_none(), "{:?}", report.failure);
        for approval in &asked {
            let won = won[&text(&approval["id"])];
            let (state, last) = if won {
                ("approved", "approval.decided")
            } else {
                ("expired", "approval.expired")
            };
            assert_eq!(read(&fleet, approval).await["state"], state);
            assert_eq!(told(&fleet, approval).await, ["approval.requested", last]);
            let task = text(&approval["task_id"]);
            let task = fleet.admin.get(format!("/v1/tasks/{task}")).await.value(200);
            assert_eq!(task["state"], if won { "ready" } else { "cancelled" });
            if won { decided += 1 } else { expired += 1 }
        }
        fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    }
    println!("{decided} were decided, {expired} expired");
    assert!(decided > 0 && expired > 0, "nothing raced: {decided} decided, {expired} expired");
    verify(&fleet.pool).await;
}
