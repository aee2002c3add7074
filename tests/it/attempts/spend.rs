//! Spend: stored once, never lowered, and summed up exactly.

use futures_util::future::join_all;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::{Value, json};

use crate::support::{
    fleet::{Fleet, seed, text},
    invariants::verify,
};

/// The largest amount that one entry may have.
const MOST: i64 = 1_000_000_000_000_000;

async fn total(fleet: &Fleet, path: &str, id: &str) -> Value {
    fleet.admin.get(format!("/v1/{path}/{id}")).await.value(200)["spend"].clone()
}

/// Eight writers send every report three times, in an order of their own, as entries, as totals
/// and in heartbeats. What is stored is what was used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_sent_again_and_out_of_order_add_nothing() {
    let seed = seed();
    let fleet = Fleet::seeded(seed).await;
    let agent = fleet.worker().await;
    let tasks: Value = (0..4).map(|n| json!({"ref": n.to_string(), "title": "t"})).collect();
    let goal = fleet.post_goal(json!({"title": "g", "project": "p", "tasks": tasks})).await;
    let held = agent.claim(4).await;
    let mut random = StdRng::seed_from_u64(seed);
    let mut reports = Vec::new();
    let mut tokens = 0;
    for n in 0..48 {
        let amount = random.random_range(0..1000);
        tokens += amount;
        let entry = json!({"key": format!("call {n}"), "amounts": {"tokens": amount, "calls": 1}});
        // The totals of each attempt rise to a thousand by steps.
        let totals = json!({"gpu_ms": (n / 4 + 1) * 1000 / 12});
        reports.push((n % 4, entry, totals));
    }
    let base = fleet.listen().await;
    let writers = (0..8).map(|_| {
        let mut mine: Vec<_> = reports.iter().cycle().take(3 * reports.len()).cloned().collect();
        mine.shuffle(&mut random);
        let (agent, held) = (agent.at(&base), held.clone());
        tokio::spawn(async move {
            let mut highest = [0; 4];
            for (n, (which, entry, totals)) in mine.into_iter().enumerate() {
                let report = json!({"entries": [entry], "totals": totals});
                let answer = match n % 3 {
                    0 => agent.write(&held[which], "heartbeat", json!({"spend": report})).await,
                    _ => agent.write(&held[which], "spend", report).await,
                };
                let now = answer.value(200)["attempt_spend"]["gpu_ms"].as_i64().unwrap();
                assert!(now >= highest[which], "a total fell from {} to {now}", highest[which]);
                highest[which] = now;
            }
        })
    });
    for writer in join_all(writers.collect::<Vec<_>>()).await {
        writer.unwrap();
    }
    let want = json!({"tokens": tokens, "calls": 48, "gpu_ms": 4000});
    assert_eq!(total(&fleet, "goals", &goal).await, want);
    assert_eq!(total(&fleet, "agents", &agent.id).await, want);
    let project = text(&fleet.read_goal(&goal).await["project_id"]);
    assert_eq!(total(&fleet, "projects", &project).await, want);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_lower_total_and_a_known_key_add_nothing() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    for (report, want) in [
        (json!({"totals": {"x": 10}}), json!({"x": 10})),
        (json!({"totals": {"x": 7}}), json!({"x": 10})),
        (json!({"entries": [{"key": "k", "amounts": {"x": 5}}]}), json!({"x": 15})),
        (json!({"entries": [{"key": "k", "amounts": {"x": 9}}]}), json!({"x": 15})),
        (json!({"entries": [{"key": "k", "amounts": {"y": 9}}]}), json!({"x": 15, "y": 9})),
        (
            json!({"entries": [{"key": "l", "amounts": {"x": 1}}, {"key": "l", "amounts": {"x": 1}}]}),
            json!({"x": 16, "y": 9}),
        ),
        (json!({"totals": {"x": 12}}), json!({"x": 18, "y": 9})),
        (json!({"totals": {"z": 0}}), json!({"x": 18, "y": 9})),
    ] {
        let answer = agent.write(&held, "spend", report.clone()).await.value(200);
        let mut spent = answer["attempt_spend"].clone();
        spent.as_object_mut().unwrap().retain(|_, amount| *amount != 0);
        assert_eq!(spent, want, "after {report}");
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn spend_that_is_no_spend_is_refused() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    for (report, pointer) in [
        (json!({}), ""),
        (json!({"totals": {"x": -1}}), "/totals/x"),
        (json!({"totals": {"x": MOST + 1}}), "/totals/x"),
        (json!({"totals": {"X": 1}}), "/totals/X"),
        (json!({"totals": {"wall_ms": 1}}), "/totals/wall_ms"),
        (json!({"entries": [{"key": "", "amounts": {"x": 1}}]}), "/entries/0/key"),
        (json!({"entries": [{"key": "total:1", "amounts": {"x": 1}}]}), "/entries/0/key"),
        (json!({"entries": [{"key": "correction:1", "amounts": {"x": 1}}]}), "/entries/0/key"),
        (json!({"entries": [{"key": "k", "amounts": {}}]}), "/entries/0/amounts"),
        (json!({"entries": [{"key": "k", "amounts": {"x": -1}}]}), "/entries/0/amounts/x"),
    ] {
        let answer = agent.write(&held, "spend", report.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{report}");
    }
    let lines: i64 = sqlx::query_scalar("select count(*) from spend_entries")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    assert_eq!(lines, 0);
}
