//! Events: one order, in which a reader misses none.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{client::Client, fleet::Fleet, service::Service};

fn numbers(batch: &Value) -> Vec<i64> {
    batch["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["number"].as_i64().unwrap())
        .collect()
}

async fn follow(client: &Client, filter: &str) -> Vec<i64> {
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let path = format!("/v1/events?limit=7&after={after}{filter}");
        let batch = client.get(path).await.value(200);
        seen.extend(numbers(&batch));
        after = batch["next_after"].as_i64().unwrap();
        if batch["more"] == false {
            return seen;
        }
    }
}

#[tokio::test]
async fn events_have_one_order_and_a_reader_misses_none() {
    let service = Service::start().await;
    let writers = join_all((0..20).map(|n| {
        let call = service.admin.post("/v1/projects", &json!({"name": format!("p{n}")}));
        async move { call.await.expect(201) }
    }));
    let reader = async {
        let (mut after, mut seen) = (0, Vec::new());
        while seen.len() < 21 {
            let path = format!("/v1/events?after={after}&wait_seconds=5");
            let batch = service.admin.get(path).await.value(200);
            seen.extend(numbers(&batch));
            after = batch["next_after"].as_i64().unwrap();
        }
        seen
    };
    let (_, seen) = tokio::join!(writers, reader);
    let expected: Vec<i64> = (1..=21).collect();
    assert_eq!(seen, expected);
    assert_eq!(follow(&service.admin, "").await, expected);
    assert_eq!(follow(&service.admin, "&kind=project.created").await, expected[1..]);
}

/// Rows that are no events take numbers: a reader passes over them and misses no event behind them.
#[tokio::test]
async fn numbers_skip_rows_that_are_not_public() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let newest = *follow(&fleet.admin, "").await.last().unwrap();
    let cost = json!({"key": "k", "amounts": {"usd_micros": 5}});
    agent.write(&held, "authorize", cost).await.expect(200);
    let path = format!("/v1/events?after={newest}&wait_seconds=0");
    let batch = fleet.admin.get(&path).await.value(200);
    assert_eq!(batch, json!({"items": [], "next_after": newest + 1, "more": false}));
    agent.complete(&held).await;
    let batch = fleet.admin.get(&path).await.value(200);
    assert_eq!(batch["items"][0]["kind"], "task.done");
    assert_eq!(numbers(&batch)[0], newest + 2);
    assert_eq!(follow(&fleet.admin, "").await.iter().filter(|n| **n > newest).count(), 2);
    let kind = "/v1/audit?kind=attempt.cost_authorized";
    let row = &fleet.admin.get(kind).await.value(200)["items"][0]["row"];
    assert_eq!((&row["number"], &row["public"]), (&json!(newest + 1), &json!(false)));
}

/// One row for each thing that happened, and all that a follower needs to see money move.
#[tokio::test]
async fn a_cycle_is_three_rows() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let newest = *follow(&fleet.admin, "").await.last().unwrap();
    let held = agent.take().await;
    agent.write(&held, "heartbeat", json!({})).await.expect(200);
    let entry = |key: &str| json!({"key": key, "amounts": {"usd_micros": 5}});
    let spend = json!({"entries": [entry("one"), entry("two")]});
    agent.write(&held, "spend", spend).await.expect(200);
    let beat = json!({"progress": {"percent": 50}, "spend": {"totals": {"output_tokens": 7}}});
    agent.write(&held, "heartbeat", beat).await.expect(200);
    let done = json!({"result": 1, "spend": {"entries": [entry("three")]}});
    agent.write(&held, "complete", done).await.expect(200);
    let path = format!("/v1/events?after={newest}");
    let batch = fleet.admin.get(path).await.value(200);
    let items = batch["items"].as_array().unwrap();
    let seen: Vec<(&Value, &Value)> =
        items.iter().map(|event| (&event["kind"], &event["data"]["attempt_spend"])).collect();
    assert_eq!(
        seen,
        [
            (&json!("task.running"), &json!(null)),
            (&json!("attempt.spend_reported"), &json!({"usd_micros": 10})),
            (&json!("attempt.progress_reported"), &json!({"usd_micros": 10, "output_tokens": 7})),
            (&json!("task.done"), &json!({"usd_micros": 15, "output_tokens": 7})),
        ]
    );
    assert_eq!(items[2]["data"]["percent"], 50);
    assert_eq!(items[3]["data"]["attempt_state"], "accepted");
    assert!(items.iter().all(|event| event["attempt_id"] == held.attempt.as_str()
        && event["agent_id"].is_string()
        && event["goal_id"].is_string()
        && event["task_id"] == held.task.as_str()));
}

#[tokio::test]
async fn agents_and_viewers_may_read_but_only_their_own_workspace() {
    let service = Service::start().await;
    for role in ["operator", "submitter", "viewer", "agent"] {
        let client = service.with_role(role).await;
        assert_ne!(follow(&client, "").await, [0_i64; 0]);
    }
    let stranger = service.other_workspace().await;
    assert_eq!(follow(&stranger, "").await, [0_i64; 0]);
    service.anybody.get("/v1/events").await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_wait_ends_when_something_happens_or_the_service_stops() {
    let service = Service::start().await;
    let newest = *follow(&service.admin, "").await.last().unwrap();
    let path = format!("/v1/events?after={newest}&wait_seconds=60");
    let (batch, _) = tokio::join!(service.admin.get(&path), async {
        service.admin.post("/v1/projects", &json!({"name": "late"})).await.expect(201)
    });
    assert_eq!(numbers(&batch.value(200)), [newest + 1]);

    let newest = newest + 1;
    let path = format!("/v1/events?after={newest}&wait_seconds=60");
    let stop = async {
        tokio::task::yield_now().await;
        service.app.wake().stop_waiting();
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        tokio::join!(service.admin.get(&path), stop).0
    });
    let batch = waited.await.expect("the wait ends with the service").value(200);
    assert_eq!(batch, json!({"items": [], "next_after": newest, "more": false}));
}

#[tokio::test]
async fn what_cannot_be_read_is_said() {
    let service = Service::start().await;
    for (query, pointer) in [
        ("after=99", "?after"),
        ("after=-1", "?after"),
        ("limit=0", "?limit"),
        ("limit=201", "?limit"),
        ("kind=task.eaten", "?kind"),
        ("wait_seconds=61", "?wait_seconds"),
        ("task_id=7", "?task_id"),
    ] {
        let answer = service.admin.get(format!("/v1/events?{query}")).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{query}");
    }
    let nothing = "/v1/events?task_id=0196f0c4-5f2e-7000-8000-000000000000";
    assert_eq!(numbers(&service.admin.get(nothing).await.value(200)), [0_i64; 0]);
}
