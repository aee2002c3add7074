//! Several processes look at the rules at once, while agents work and people decide.

use futures_util::future::join_all;
use muster::supervisor;
use serde_json::{Value, json};

use super::{interventions, nudge, rule, two_rounds};
use crate::support::{
    fleet::{Fleet, about, text},
    invariants::verify,
};

fn risky(count: usize) -> Value {
    let task = |n| json!({"ref": format!("t{n}"), "title": "t", "capabilities": ["deploy"]});
    (0..count).map(task).collect()
}

#[tokio::test]
async fn two_supervisors_open_one_intervention_per_rule_and_task() {
    let fleet = Fleet::start().await;
    let when = json!({"risky_capability": {"capabilities": ["deploy"]}});
    for then in [nudge(), json!({"freeze": {"mode": "drain", "on": "task"}}), json!({"ask": {}})] {
        rule(&fleet, when.clone(), then).await;
    }
    fleet.goal(risky(12)).await;
    let others = [fleet.another_app().await, fleet.another_app().await];
    let rounds = others.iter().chain([&fleet.app]).map(supervisor::round);
    for outcome in join_all(rounds).await {
        outcome.unwrap();
    }
    two_rounds(&fleet).await;
    let counts: (i64, i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from interventions where closed_at is null),
                (select count(distinct (rule_id, subject_id)) from interventions),
                (select count(*) from nudges), (select count(*) from approvals),
                (select count(*) from freezes)",
    )
    .fetch_one(&fleet.pool)
    .await
    .unwrap();
    assert_eq!(counts, (36, 36, 12, 12, 12));
    verify(&fleet.pool).await;
}

/// Questions are answered, attempts complete, and rules act, all at once: each task is taken from its
/// agent or was completed by it, and never both.
#[tokio::test]
async fn taking_a_task_races_its_completion() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("deployer", &["deploy"], 100).await;
    let when = json!({"risky_capability": {"capabilities": ["deploy"]}});
    let goal = fleet.goal(risky(30)).await;
    let held = agent.claim(30).await;
    rule(&fleet, when, json!({"ask": {}})).await;
    let completes = join_all(
        held.iter()
            .map(|held| async { agent.write(held, "complete", json!({})).await.status.as_u16() }),
    );
    let (done, ()) = tokio::join!(completes, two_rounds(&fleet));
    for (held, status) in held.iter().zip(done) {
        let state = fleet.state(&goal, &held.name).await;
        match status {
            200 => assert_eq!(state, "done"),
            409 => assert_eq!(state, "parked"),
            other => panic!("{other}"),
        }
    }
    let answers = fleet.questions().await;
    let answers = answers.iter().map(|question| {
        let answer = json!({"decision": "answer", "answer": {"choice": "continue"}});
        let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
        fleet.admin.post(path, &about(question, answer))
    });
    let (answers, ()) =
        tokio::join!(join_all(answers.map(IntoFuture::into_future)), two_rounds(&fleet));
    for answer in answers {
        answer.expect(200);
    }
    two_rounds(&fleet).await;
    assert_eq!(interventions(&fleet, "open=true").await, [] as [Value; 0]);
    agent.work_off().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify(&fleet.pool).await;
}

/// After the answer to a deletion a rule does nothing more.
#[tokio::test]
async fn a_deleted_rule_is_silent_from_the_answer_on() {
    let fleet = Fleet::start().await;
    let when = json!({"risky_capability": {"capabilities": ["deploy"]}});
    for _ in 0..5 {
        let made = rule(&fleet, when.clone(), nudge()).await;
        fleet.goal(risky(20)).await;
        let path = format!("/v1/rules/{}", text(&made["id"]));
        let round = tokio::spawn({
            let app = fleet.app.clone();
            async move { supervisor::round(&app).await.unwrap() }
        });
        fleet.admin.call(axum::http::Method::DELETE, path).if_match("*").await.expect(204);
        let did = interventions(&fleet, &format!("rule_id={}", text(&made["id"]))).await.len();
        round.await.unwrap();
        fleet.round().await;
        let more = interventions(&fleet, &format!("rule_id={}", text(&made["id"]))).await;
        assert_eq!(more.len(), did);
        assert!(more.iter().all(|one| one["closing"] == "withdrawn"), "{more:#?}");
    }
}
