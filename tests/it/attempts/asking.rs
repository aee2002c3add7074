//! Waiting for a person costs nothing, and the outcome reaches whoever asked: by long poll, by event
//! and with the next claim, also when a server restarts meanwhile.

use serde_json::{Value, json};

use crate::{
    promises::faults::server::{Server, Settings},
    support::{
        agent::{Agent, Held},
        client::Client,
        fleet::{Fleet, about, text},
        invariants::{verify, verify_rested},
    },
};

/// Two days.
const PARKED: u64 = 48 * 3600;

async fn ask(agent: &Agent, held: &Held, kind: &str) -> Value {
    let body = json!({"kind": kind, "title": "may I?", "payload": {"drop": "users"},
                      "checkpoint": {"step": 3}});
    agent.write(held, "approvals", body).await.value(201)
}

#[tokio::test]
async fn parked_for_two_days_a_task_of_an_hour_loses_nothing() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("single", &["one"], 1).await;
    let limit =
        json!({"node": "workspace", "budget": {"limits": [{"unit": "usd_micros", "amount": 120}]}});
    let budget = text(&fleet.admin.post("/v1/budgets", &limit).await.value(201)["id"]);
    let reserved = async || {
        let read = fleet.admin.get(format!("/v1/budgets/{budget}")).await.value(200);
        let window = &read["limits"][0]["window"];
        (window["settled"].as_i64().unwrap_or(0), window["reserved"].as_i64().unwrap_or(0))
    };
    let hour = json!({"ref": "a", "title": "a", "capabilities": ["one"], "max_attempts": 1,
                      "attempt_timeout_seconds": 3600, "finish_within_seconds": 3600,
                      "start_within_seconds": 3600, "estimate": {"usd_micros": 100}});
    let other = json!({"ref": "b", "title": "b", "capabilities": ["one"],
                       "estimate": {"usd_micros": 110}});
    let goal = fleet.goal(json!([hour])).await;

    let held = agent.claim_with(json!({"lease_seconds": 900})).await.remove(0);
    assert_eq!(reserved().await, (0, 100));
    let spend = json!({"entries": [{"key": "k", "amounts": {"usd_micros": 10}}]});
    agent.write(&held, "spend", json!({"entries": spend["entries"]})).await.expect(200);
    fleet.after(600).await;
    let question = ask(&agent, &held, "input").await;
    assert_eq!(reserved().await, (10, 0), "what was not used is free");

    // The slot and the money are there for others.
    let another = fleet.goal(json!([other])).await;
    assert_eq!(agent.work_off().await, ["b"]);
    for _ in 0..48 {
        fleet.after(PARKED / 48).await;
    }
    fleet.expect_states(&goal, "a:parked").await;
    fleet.expect_states(&another, "b:done").await;
    assert_eq!(fleet.task(&goal, "a").await["attempts_used"], 0);
    assert_eq!(fleet.question().await["id"], question["id"]);
    let timeouts: i64 = sqlx::query_scalar(
        "select count(*) from journal where task_id = $1::uuid
         and kind in ('attempt.expired', 'task.failed', 'task.ready')",
    )
    .bind(&held.task)
    .fetch_one(&fleet.pool)
    .await
    .unwrap();
    assert_eq!(timeouts, 1, "it was offered once, at the beginning");

    // What was left of the hour is left.
    fleet.decide(json!({"decision": "answer", "answer": "staging"})).await;
    fleet.after(2900).await;
    let again = agent.take().await;
    let told = &again.claim["decisions"][0];
    assert_eq!((&told["title"], &told["answer"]), (&json!("may I?"), &json!("staging")));
    assert_eq!((&told["payload"]["drop"], &told["state"]), (&json!("users"), &json!("answered")));
    assert_eq!(again.claim["checkpoint"], json!({"step": 3}));
    agent.complete(&again).await;
    fleet.expect_states(&goal, "a:done").await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// A server process on the fleet's database.
async fn server(fleet: &Fleet) -> Server {
    Server::start(Settings {
        database_url: fleet.database.url(),
        listen: "127.0.0.1:0".to_owned(),
        bootstrap_key: fleet.admin_key.clone(),
        more: Vec::new(),
    })
    .await
}

fn base(server: &Server) -> String {
    format!("http://{}", server.address())
}

/// What the events after `after` say of the decision on an approval.
async fn decided(client: &Client, after: i64, approval: &str) -> Vec<Value> {
    let path = format!("/v1/events?after={after}&limit=200&wait_seconds=30&kind=approval.decided");
    let read = client.get(path).await.value(200);
    let items = read["items"].as_array().unwrap().iter();
    items.filter(|event| event["approval_id"] == approval).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_outcome_reaches_the_asker_though_its_server_restarts() {
    let fleet = Fleet::on_time().await;
    let agent = fleet.worker().await;
    let mut asked_at = server(&fleet).await;
    // Somebody else decides somewhere else.
    let elsewhere = server(&fleet).await;
    let decider = Client::at(base(&elsewhere)).with_key(&fleet.admin_key);
    for restarts in [false, true] {
        for (kind, decision, state) in [
            ("action", json!({"decision": "approve"}), "approved"),
            ("action", json!({"decision": "reject", "reason": "no"}), "rejected"),
            ("input", json!({"decision": "answer", "answer": "b"}), "answered"),
            ("input", json!({"decision": "decline"}), "rejected"),
        ] {
            fleet.lone_task(json!({})).await;
            let here = agent.at(&base(&asked_at));
            let approval = ask(&agent, &here.take().await, kind).await;
            let id = text(&approval["id"]);
            let newest: i64 = sqlx::query_scalar("select max(number) from journal")
                .fetch_one(&fleet.pool)
                .await
                .unwrap();
            let poll = format!("/v1/approvals/{id}?wait_seconds=30");
            let decide =
                decider.post(format!("/v1/approvals/{id}/decide"), &about(&approval, decision));
            let read = if restarts {
                // Nobody hears it where it was asked.
                asked_at.kill();
                decide.await.expect(200);
                asked_at.restart().await;
                agent.at(&base(&asked_at)).client.get(&poll).await
            } else {
                let (read, answer) = tokio::join!(here.client.get(&poll), decide);
                answer.expect(200);
                read
            };
            assert_eq!(read.value(200)["state"], state);
            let here = agent.at(&base(&asked_at));
            let said = decided(&here.client, newest, &id).await;
            assert_eq!(said.len(), 1, "{said:#?}");
            assert_eq!(said[0]["data"]["state"], state);
            let held = here.take().await;
            assert_eq!(held.claim["decisions"][0]["state"], state);
            here.complete(&held).await;
        }
    }
    verify(&fleet.pool).await;
}
