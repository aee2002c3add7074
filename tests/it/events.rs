//! Events: one order without gaps, for whoever reads them.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{client::Client, service::Service};

fn seqs(batch: &Value) -> Vec<i64> {
    batch["items"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect()
}

async fn follow(client: &Client, filter: &str) -> Vec<i64> {
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let path = format!("/v1/events?limit=7&after={after}{filter}");
        let batch = client.get(path).await.value(200);
        seen.extend(seqs(&batch));
        after = batch["next_after"].as_i64().unwrap();
        if batch["more"] == false {
            return seen;
        }
    }
}

#[tokio::test]
async fn events_have_one_order_without_gaps_and_a_reader_misses_none() {
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
            seen.extend(seqs(&batch));
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
    assert_eq!(seqs(&batch.value(200)), [newest + 1]);

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
    assert_eq!(seqs(&service.admin.get(nothing).await.value(200)), [0_i64; 0]);
}
