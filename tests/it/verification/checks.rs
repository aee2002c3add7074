//! Checks by other agents and by people.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{complete, hold, is_check, verdicts};
use crate::support::{
    agent::{Agent, Held},
    fleet::{Fleet, about, register, text},
    invariants::verify_rested,
};
use muster::domain::settings::REF_CHARS;

fn command() -> Value {
    json!([{"text": "tests pass", "type": "command", "command": {"program": ["cargo", "test"]}}])
}

fn review() -> Value {
    json!([{"text": "it reads well", "type": "review"}])
}

async fn runner(fleet: &Fleet) -> Agent {
    fleet.agent("runner", &["verify:command"], 3).await
}

/// Completes a check with one piece of evidence for its only criterion.
async fn find(agent: &Agent, held: &Held, mut piece: Value) {
    piece["criterion"] = json!(1);
    agent.write(held, "complete", json!({"evidence": [piece]})).await.expect(200);
}

#[tokio::test]
async fn a_program_is_run_by_another_agent_and_its_exit_code_decides() {
    let fleet = Fleet::start().await;
    let (author, runner) = (fleet.worker().await, runner(&fleet).await);
    let (goal, held) = hold(&fleet, &author, command(), json!({})).await;
    let answer = complete(&author, &held, json!({"result": {"commit": "4f2a"}})).await.value(200);
    assert_eq!(
        (&answer["attempt_state"], &answer["task_state"]),
        (&json!("submitted"), &json!("reviewing"))
    );
    // Not before it is checked, and by nobody without the capability.
    author.find_nothing().await;
    let check = runner.take().await;
    assert!(is_check(&check));
    let criterion = &check.claim["task"]["criteria"][0];
    assert_eq!(criterion["command"]["program"], json!(["cargo", "test"]));
    assert_eq!(check.claim["task"]["input"]["result"], json!({"commit": "4f2a"}));
    // An exit code must be given.
    let without = json!({"evidence": [{"criterion": 1, "text": "fine"}]});
    let refused = runner.write(&check, "complete", without).await;
    assert_eq!(refused.problem(422, "invalid"), ["/evidence/0/exit_code"]);
    // The checker reads what it checks, and no other attempt.
    runner.client.get(format!("/v1/attempts/{}", held.attempt)).await.expect(200);
    find(&runner, &check, json!({"text": "214 passed", "exit_code": 0})).await;
    assert_eq!(fleet.state(&goal, "a").await, "done");
    assert_eq!(verdicts(&fleet, &goal).await, ["1 met machine_checked"]);
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    let task = fleet.task(&goal, "a").await;
    assert_eq!(task["evidence"][0]["by_attempt_id"], json!(check.attempt));
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_failed_check_is_rework_with_feedback_and_has_an_end() {
    let fleet = Fleet::start().await;
    let (author, runner) = (fleet.worker().await, runner(&fleet).await);
    let (goal, mut held) = hold(&fleet, &author, command(), json!({"max_rework": 2})).await;
    for round in 1..=2 {
        complete(&author, &held, json!({"result": round})).await.expect(200);
        let check = runner.take().await;
        // That it says `met` does not matter: the exit code decides.
        find(
            &runner,
            &check,
            json!({"text": format!("{round} failed"), "exit_code": 101, "met": true}),
        )
        .await;
        if round == 1 {
            assert_eq!(fleet.state(&goal, "a").await, "ready");
            held = author.take().await;
            let earlier = &held.claim["earlier_attempts"][0];
            assert_eq!(earlier["state"], "rejected");
            assert_eq!(
                earlier["feedback_points"],
                json!([{"criterion": 1, "text": "1 failed", "must": true}])
            );
        }
    }
    // A person chooses how it goes on.
    assert_eq!(fleet.state(&goal, "a").await, "reviewing");
    assert_eq!(verdicts(&fleet, &goal).await, ["1 unmet -"]);
    let question = fleet.question().await;
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    let accept = json!({"decision": "approve", "choice": {"action": "accept"}});
    let refused = fleet.admin.post(&path, &about(&question, accept)).await;
    refused.problem(422, "evidence_missing");
    let waived = json!({"decision": "approve", "choice": {"action": "accept"},
                        "waive": [{"criterion": 1, "reason": "the machine is broken"}]});
    fleet.admin.post(&path, &about(&question, waived)).await.expect(200);
    assert_eq!(verdicts(&fleet, &goal).await, ["1 waived -"]);
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_review_never_goes_to_the_author() {
    let fleet = Fleet::start().await;
    let author = fleet.agent("author", &["rust", "verify:command"], 5).await;
    let criteria = json!([review()[0], command()[0]]);
    let (goal, held) = hold(&fleet, &author, criteria, json!({})).await;
    complete(&author, &held, json!({})).await.expect(200);
    author.find_nothing().await;
    // Not even an operator gives it to them.
    let checks: Vec<String> =
        sqlx::query_scalar("select task_id::text from tasks where purpose = 'check'")
            .fetch_all(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(checks.len(), 2);
    for check in &checks {
        let to = json!({"agent_id": author.id, "reason": "you know it best"});
        let refused = fleet.admin.post(format!("/v1/tasks/{check}/reassign"), &to).await;
        assert_eq!(refused.problem(422, "invalid"), ["/agent_id"]);
        author.find_nothing().await;
    }
    let other = fleet.agent("other", &["rust", "verify:command"], 5).await;
    for check in other.claim(5).await {
        let piece = match check.claim["task"]["criteria"][0]["type"].as_str() {
            Some("command") => json!({"text": "ran", "exit_code": 0}),
            _ => json!({"text": "read"}),
        };
        find(&other, &check, piece).await;
    }
    assert_eq!(verdicts(&fleet, &goal).await, ["1 met reviewed", "2 met machine_checked"]);
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn authors_of_earlier_attempts_are_authors() {
    let fleet = Fleet::start().await;
    let (first, second) = (fleet.worker().await, fleet.agent("second", &["rust"], 3).await);
    let (_, held) = hold(&fleet, &first, review(), json!({})).await;
    first.hand_back(&held).await;
    let held = second.take().await;
    complete(&second, &held, json!({})).await.expect(200);
    first.find_nothing().await;
    second.find_nothing().await;
    let third = fleet.agent("third", &["rust"], 3).await;
    assert!(is_check(&third.take().await));
}

#[tokio::test]
async fn another_owner_means_another_owner() {
    let fleet = Fleet::start().await;
    let agent = async |name: &str, owner: Option<&str>| {
        let mut new = json!({"name": name, "capabilities": ["rust"], "max_concurrent": 3});
        if let Some(owner) = owner {
            new["owner"] = json!(owner);
        }
        register(&fleet.admin, new).await
    };
    let author = agent("author", Some("alice@example.com")).await;
    let criteria = json!([{"text": "sound", "type": "review", "review": {"other_owner": true}}]);
    let (goal, held) = hold(&fleet, &author, criteria, json!({})).await;
    complete(&author, &held, json!({})).await.expect(200);
    // Registered after the check was made, too.
    agent("sister", Some("alice@example.com")).await.find_nothing().await;
    agent("nobodys", None).await.find_nothing().await;
    let other = agent("other", Some("bob@example.com")).await;
    let check = other.take().await;
    find(&other, &check, json!({"text": "sound"})).await;
    assert_eq!(fleet.state(&goal, "a").await, "done");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_person_does_not_check_their_own_work_by_hand() {
    let fleet = Fleet::start().await;
    let goal = fleet.lone_task(json!({"criteria": review()})).await;
    let task = fleet.task_id(&goal, "a").await;
    let take = json!({"reason": "by hand"});
    let taken = fleet.admin.post(format!("/v1/tasks/{task}/takeover"), &take).await.value(201);
    let body = |taken: &Value, mut body: Value| {
        body["lease"] = taken["lease"].clone();
        body
    };
    let path = |taken: &Value| format!("/v1/attempts/{}/complete", text(&taken["attempt_id"]));
    fleet.admin.post(path(&taken), &body(&taken, json!({}))).await.expect(200);
    let check: String =
        sqlx::query_scalar("select task_id::text from tasks where purpose = 'check'")
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    let refused = fleet.admin.post(format!("/v1/tasks/{check}/takeover"), &take).await;
    refused.problem(403, "separation_of_duties");
    assert_eq!(fleet.state(&goal, "a").await, "reviewing");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Whoever holds a check and must not do it hands it to nobody who must not either.
#[tokio::test]
async fn a_check_is_handed_over_to_no_author() {
    let fleet = Fleet::start().await;
    let author = fleet.agent("author", &["rust", "alone"], 5).await;
    let other = fleet.agent("other", &["rust"], 5).await;
    let (goal, held) = hold(&fleet, &author, review(), json!({"capabilities": ["rust"]})).await;
    complete(&author, &held, json!({})).await.expect(200);
    let check = other.take().await;
    assert!(is_check(&check));
    for (to, place) in [
        (json!({"agent_id": author.id}), "/to/agent_id"),
        // Only the author has it.
        (json!({"capability": "alone"}), "/to/capability"),
    ] {
        let refused = other.write(&check, "hand-off", json!({"to": to, "note": "n"})).await;
        assert_eq!(refused.problem(422, "invalid"), [place]);
    }
    find(&other, &check, json!({"text": "read"})).await;
    assert_eq!(fleet.state(&goal, "a").await, "done");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// An agent of the same owner is named for no check that demands another one.
#[tokio::test]
async fn a_check_is_given_to_no_agent_of_the_same_owner() {
    let fleet = Fleet::start().await;
    let agent = async |name: &str, owner: &str| {
        register(&fleet.admin, json!({"name": name, "capabilities": ["rust"], "owner": owner}))
            .await
    };
    let author = agent("author", "alice@example.com").await;
    let sister = agent("sister", "alice@example.com").await;
    let other = agent("other", "bob@example.com").await;
    let criteria = json!([{"text": "sound", "type": "review", "review": {"other_owner": true}}]);
    let (_, held) = hold(&fleet, &author, criteria, json!({})).await;
    complete(&author, &held, json!({})).await.expect(200);
    let check: String =
        sqlx::query_scalar("select task_id::text from tasks where purpose = 'check'")
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    let path = format!("/v1/tasks/{check}/reassign");
    let to = |agent: &Agent| json!({"agent_id": agent.id, "reason": "r"});
    let refused = fleet.admin.post(&path, &to(&sister)).await;
    assert_eq!(refused.problem(422, "invalid"), ["/agent_id"]);
    fleet.admin.post(&path, &to(&other)).await.expect(200);
    assert!(is_check(&other.take().await));
}

#[tokio::test]
async fn one_approval_satisfies_a_person_and_the_approval_of_the_result() {
    let fleet = Fleet::start().await;
    let author = fleet.worker().await;
    let criteria = json!([{"text": "the customer likes it", "type": "person"}, "it works"]);
    let more = json!({"approval": {"result": true}});
    let (goal, held) = hold(&fleet, &author, criteria, more).await;
    let evidence = json!({"evidence": [{"criterion": 2, "text": "it does"}]});
    complete(&author, &held, evidence).await.expect(200);
    assert_eq!(fleet.questions().await.len(), 1);
    // The approval itself is the evidence: nothing is waived.
    fleet.decide(json!({"decision": "approve", "reason": "they do"})).await;
    assert_eq!(fleet.state(&goal, "a").await, "done");
    assert_eq!(verdicts(&fleet, &goal).await, ["1 met person", "2 met claimed"]);
    assert!(fleet.questions().await.is_empty());
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_person_criterion_alone_asks_a_person() {
    let fleet = Fleet::start().await;
    let author = fleet.worker().await;
    let criteria = json!([{"text": "the customer likes it", "type": "person"}]);
    let (goal, held) = hold(&fleet, &author, criteria, json!({})).await;
    complete(&author, &held, json!({"result": 1})).await.expect(200);
    assert_eq!(fleet.state(&goal, "a").await, "reviewing");
    fleet.decide(json!({"decision": "reject", "reason": "they do not"})).await;
    assert_eq!(fleet.state(&goal, "a").await, "ready");
    let held = author.take().await;
    complete(&author, &held, json!({"result": 2})).await.expect(200);
    fleet.decide(json!({"decision": "approve"})).await;
    assert_eq!(verdicts(&fleet, &goal).await, ["1 met person"]);
}

#[tokio::test]
async fn a_person_is_asked_after_the_checks_and_sees_them() {
    let fleet = Fleet::start().await;
    let (author, runner) = (fleet.worker().await, runner(&fleet).await);
    let criteria = json!([command()[0], {"text": "nice", "type": "person"}]);
    let (goal, held) = hold(&fleet, &author, criteria, json!({})).await;
    complete(&author, &held, json!({"result": 1})).await.expect(200);
    assert!(fleet.questions().await.is_empty());
    let check = runner.take().await;
    find(&runner, &check, json!({"text": "ok", "exit_code": 0})).await;
    let question = fleet.question().await;
    let read = fleet.admin.get(format!("/v1/approvals/{}", text(&question["id"]))).await.value(200);
    assert_eq!(read["payload"]["evidence"][0]["tier"], "machine_checked");
    assert_eq!(read["payload"]["result"], 1);
    fleet.decide(json!({"decision": "approve"})).await;
    assert_eq!(verdicts(&fleet, &goal).await, ["1 met machine_checked", "2 met person"]);
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_check_that_ends_without_a_word_leaves_it_to_a_person() {
    let fleet = Fleet::start().await;
    let (author, runner) = (fleet.worker().await, runner(&fleet).await);
    let (goal, held) = hold(&fleet, &author, command(), json!({})).await;
    complete(&author, &held, json!({})).await.expect(200);
    let check = runner.take().await;
    runner.fail(&check, "permanent").await;
    let question = fleet.question().await;
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    let plain = about(&question, json!({"decision": "approve"}));
    fleet.admin.post(&path, &plain).await.problem(422, "evidence_missing");
    let waive =
        json!({"decision": "approve", "waive": [{"criterion": 1, "reason": "ran it myself"}]});
    fleet.admin.post(&path, &about(&question, waive)).await.expect(200);
    assert_eq!(fleet.state(&goal, "a").await, "done");
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_task_that_is_cancelled_takes_its_checks_along() {
    let fleet = Fleet::start().await;
    let (author, other) = (fleet.worker().await, fleet.agent("other", &["rust"], 3).await);
    let (goal, held) = hold(&fleet, &author, review(), json!({})).await;
    complete(&author, &held, json!({})).await.expect(200);
    let cancel = format!("/v1/tasks/{}/cancel", held.task);
    fleet.admin.post(cancel, &json!({"reason": "not needed"})).await.expect(200);
    assert_eq!(fleet.state(&goal, "a").await, "cancelled");
    other.find_nothing().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// The checks of results that were completed at once are made together: each checks its own result, and none takes the
/// name or the place of another.
#[tokio::test]
async fn checks_of_many_results_at_once_are_told_apart() {
    let fleet = Fleet::start().await;
    let author = fleet.agent("author", &[], 8).await;
    let criteria = json!([command()[0], review()[0]]);
    let task = |n: usize| {
        // The names of their checks are cut behind the same beginning.
        let name = format!("{}{n}", "x".repeat(REF_CHARS - 1));
        json!({"ref": name, "title": "t", "criteria": criteria, "priority": n})
    };
    fleet.goal((0..8).map(task).collect()).await;
    let held = author.claim(8).await;
    let done = held.iter().map(|held| {
        let body = json!({"result": {"of": held.attempt}});
        async { complete(&author, held, body).await.expect(200) }
    });
    futures_util::future::join_all(done).await;
    let checks: Vec<(String, i32, i16, String, String, String)> = sqlx::query_as(
        "select t.ref, t.position, t.priority, t.checks_attempt_id::text, x.input ->> 'attempt_id',
                x.input -> 'result' ->> 'of'
         from tasks t
         join task_texts x using (workspace_id, task_id)
         where t.checks_attempt_id is not null",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    assert_eq!(checks.len(), 16);
    let places: HashSet<i32> = checks.iter().map(|(_, position, ..)| *position).collect();
    assert_eq!(places.len(), 16);
    for (name, _, priority, attempt, told, result) in &checks {
        assert_eq!((attempt, attempt), (told, result), "{name}");
        let of = held.iter().find(|held| held.attempt == *attempt).unwrap();
        assert_eq!(of.name.chars().last().unwrap().to_string(), priority.to_string());
    }
    verify_rested(&fleet.pool, fleet.now()).await;
}
