//! Reading attempts and their spend.

mod asking;
mod claim_oracle;
mod claims;
mod corrections;
mod leases;
mod releases;
mod spend;
pub mod takeover;

use serde_json::{Value, json};

use crate::{
    goals::all_pages,
    support::fleet::{Fleet, text},
};

/// Panics when an answer has anything of a lease but its end.
fn assert_no_lease(value: &Value, lease: &str) {
    let text = value.to_string();
    assert!(!text.contains(lease) && !text.contains("sha256"), "{text}");
}

#[tokio::test]
async fn an_attempt_is_read_with_what_it_left_and_never_with_its_lease() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = worker.take().await;
    let beat = json!({
        "progress": {"percent": 40, "message": "half way"},
        "checkpoint": {"page": 3},
        "spend": {
            "entries": [{"key": "c1", "amounts": {"usd_micros": 5}}],
            "totals": {"output_tokens": 7},
        },
    });
    worker.write(&held, "heartbeat", beat).await.expect(200);
    let path = format!("/v1/attempts/{}", held.attempt);
    let attempt = fleet.admin.get(&path).await.value(200);
    for (field, want) in [
        ("state", json!("running")),
        ("task_id", json!(held.task)),
        ("agent_id", json!(worker.id)),
        ("number", json!(1)),
        ("progress", json!({"percent": 40, "message": "half way"})),
        ("checkpoint", json!({"page": 3})),
        ("spend", json!({"usd_micros": 5, "output_tokens": 7})),
        ("evidence", json!([])),
        ("result", Value::Null),
        ("failure_class", Value::Null),
        ("ended_at", Value::Null),
    ] {
        assert_eq!(attempt[field], want, "{field}");
    }
    assert_no_lease(&attempt, &held.lease);

    let done = json!({"result": {"n": 1}, "evidence": [{"text": "it works"}]});
    worker.write(&held, "complete", done).await.expect(200);
    let attempt = fleet.admin.get(&path).await.value(200);
    assert_eq!((&attempt["state"], &attempt["result"]), (&json!("accepted"), &json!({"n": 1})));
    assert_eq!(attempt["evidence"][0]["text"], "it works");
    assert!(attempt["ended_at"].is_string());
    assert_no_lease(&attempt, &held.lease);
}

#[tokio::test]
async fn attempts_are_listed_latest_first_by_task_and_by_agent() {
    let fleet = Fleet::start().await;
    let (one, other) = (fleet.agent("one", &[], 9).await, fleet.agent("other", &[], 9).await);
    fleet.lone_task(json!({})).await;
    let mut attempts = Vec::new();
    let mut task = String::new();
    for agent in [&one, &other, &one] {
        fleet.pass(1);
        let held = agent.take().await;
        let release = json!({"message": "not today", "checkpoint": held.number});
        agent.write(&held, "release", release).await.expect(200);
        (task, _) = (held.task, attempts.insert(0, held.attempt));
    }
    fleet.pass(1);
    let held = other.take().await;
    attempts.insert(0, held.attempt.clone());

    let of_task = format!("/v1/tasks/{task}/attempts?limit=3");
    assert_eq!(all_pages(&fleet.admin, &of_task).await, attempts);
    let page = fleet.admin.get(&of_task).await.value(200);
    assert_eq!((&page["items"][0]["number"], &page["items"][1]["number"]), (&json!(4), &json!(3)));
    assert_eq!(page["items"][1]["message"], "not today");
    assert!(page["items"][1].get("result").is_none(), "lists are short");
    assert_no_lease(&page, &held.lease);

    let of_other = format!("/v1/agents/{}/attempts?limit=1", other.id);
    assert_eq!(all_pages(&fleet.admin, &of_other).await, [&*attempts[0], &*attempts[2]]);
    let running = format!("/v1/agents/{}/attempts?running=true", other.id);
    assert_eq!(all_pages(&fleet.admin, &running).await, [&*attempts[0]]);
    let idle = format!("/v1/agents/{}/attempts?running=true", one.id);
    assert!(all_pages(&fleet.admin, &idle).await.is_empty());
}

#[tokio::test]
async fn what_an_attempt_spent_is_listed_line_by_line() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = worker.take().await;
    let entries: Vec<Value> = (0..205)
        .map(|n| {
            let amounts = json!({"usd_micros": n, "input_tokens": 1});
            json!({"key": format!("call-{n:03}"), "amounts": amounts, "model": "m-1"})
        })
        .collect();
    worker.write(&held, "spend", json!({"entries": entries})).await.expect(200);
    worker.write(&held, "spend", json!({"entries": entries})).await.expect(200);
    let mut path = format!("/v1/attempts/{}/spend?limit=100", held.attempt);
    let mut lines: Vec<Value> = Vec::new();
    loop {
        let page = fleet.admin.get(&path).await.value(200);
        lines.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/attempts/{}/spend?limit=100&cursor={cursor}", held.attempt);
    }
    assert_eq!(lines.len(), 410);
    let order: Vec<_> = lines.iter().map(|l| (text(&l["key"]), text(&l["unit"]))).collect();
    assert!(order.is_sorted());
    let usd = lines.iter().filter(|line| line["unit"] == "usd_micros");
    let usd: i64 = usd.map(|line| line["amount"].as_i64().unwrap()).sum();
    let attempt = fleet.admin.get(format!("/v1/attempts/{}", held.attempt)).await.value(200);
    assert_eq!(attempt["spend"]["usd_micros"], usd);
    assert_eq!((&lines[0]["model"], &lines[0]["late"]), (&json!("m-1"), &json!(false)));
}

#[tokio::test]
async fn attempts_that_do_not_exist_are_404() {
    let fleet = Fleet::start().await;
    for id in ["0195a000-0000-7000-8000-000000000000", "nonsense"] {
        fleet.admin.get(format!("/v1/attempts/{id}")).await.problem(404, "not_found");
        fleet.admin.get(format!("/v1/attempts/{id}/spend")).await.problem(404, "not_found");
        fleet.admin.get(format!("/v1/agents/{id}/attempts")).await.problem(404, "not_found");
    }
}
