//! Totals that cannot overflow, and operators who correct what agents reported.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    client::Answer,
    fleet::{Fleet, text},
    invariants::verify,
};

/// The largest amount that one entry may have.
const MOST: i64 = 1_000_000_000_000_000;
/// The largest total.
const TOTAL: i64 = 1_000 * MOST;

/// As much as one report can hold: half of the largest total.
fn half(key: &str) -> Value {
    let entry = |n| json!({"key": format!("{key} {n}"), "amounts": {"x": MOST}});
    json!({"entries": (0..500).map(entry).collect::<Vec<_>>()})
}

fn amount(key: &str, unit: &str, amount: i64) -> Value {
    json!({"entries": [{"key": key, "amounts": {unit: amount}}]})
}

async fn correct(fleet: &Fleet, held: &Held, unit: &str, amount: i64) -> Answer {
    let entries = json!([{"unit": unit, "amount": amount, "reason": "it never was"}]);
    let path = format!("/v1/attempts/{}/spend/corrections", held.attempt);
    fleet.admin.post(path, &json!({"entries": entries})).await
}

async fn total(fleet: &Fleet, path: &str, id: &str) -> Value {
    fleet.admin.get(format!("/v1/{path}/{id}")).await.value(200)["spend"].clone()
}

#[track_caller]
fn refused(answer: &Answer, fits: &str) {
    assert!(answer.problem(422, "invalid").is_empty());
    let problem: Value = answer.json();
    let detail = text(&problem["detail"]);
    assert!(detail.contains(fits), "{detail}");
}

async fn budget(fleet: &Fleet, unit: &str, amount: i64, then: &str) -> Answer {
    let limits = json!([{"unit": unit, "amount": amount}]);
    let body = json!({"node": "workspace", "budget": {"limits": limits, "on_exhausted": then}});
    fleet.admin.post("/v1/budgets", &body).await
}

/// Two tasks in goals of their own, each with an attempt of the same agent.
async fn two(fleet: &Fleet) -> (Agent, Held, Held) {
    let agent = fleet.worker().await;
    fleet
        .post_goal(json!({"title": "one", "project": "p", "tasks": [{"ref": "a", "title": "a"}]}))
        .await;
    fleet.post_goal(json!({"title": "two", "tasks": [{"ref": "b", "title": "b"}]})).await;
    let mut held = agent.claim(2).await;
    held.sort_by(|a, b| a.name.cmp(&b.name));
    let [one, two] = <[Held; 2]>::try_from(held).unwrap();
    (agent, one, two)
}

/// A total is filled to the last unit and no further. A report that does not fit is refused alone,
/// whatever comes with it, and what is corrected fits again.
#[tokio::test]
async fn a_total_stops_before_it_cannot_be_counted() {
    let fleet = Fleet::start().await;
    let (agent, full, other) = two(&fleet).await;
    agent.write(&full, "spend", half("a")).await.expect(200);
    let answer = agent.write(&full, "spend", half("b")).await.value(200);
    assert_eq!(answer["attempt_spend"]["x"], TOTAL);
    refused(
        &agent.write(&full, "spend", json!({"totals": {"x": 1}})).await,
        "at most 0 of it fits",
    );
    // The agent's own total is full too; other units and agents are not.
    let beat = json!({"spend": amount("c", "x", 1)});
    refused(&agent.write(&full, "heartbeat", beat.clone()).await, "at most 0 of it fits");
    refused(&agent.write(&full, "complete", beat.clone()).await, "at most 0 of it fits");
    let reports = (0..24).map(|n| {
        let (agent, full, other) = (&agent, &full, &other);
        async move {
            let unit = if n % 4 == 0 { "x" } else { "y" };
            let held = if n % 2 == 0 { full } else { other };
            let answer = agent.write(held, "spend", amount(&format!("n{n}"), unit, 1)).await;
            assert_eq!(answer.status, if n % 4 == 0 { 422 } else { 200 }, "{}", answer.describe());
        }
    });
    join_all(reports).await;
    verify(&fleet.pool).await;

    correct(&fleet, &full, "x", -10).await.expect(201);
    refused(&agent.write(&full, "spend", amount("d", "x", 11)).await, "at most 10 of it fits");
    agent.write(&full, "spend", amount("d", "x", 10)).await.expect(200);
    refused(&correct(&fleet, &full, "x", 1).await, "at most 0 of it fits");
    correct(&fleet, &full, "x", -TOTAL).await.expect(201);
    assert_eq!(total(&fleet, "agents", &agent.id).await["x"], 0);
    agent.complete(&full).await;
    agent.complete(&other).await;
    verify(&fleet.pool).await;
}

/// Writers that fill the last part of a total at once: each report is stored whole or refused whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_at_the_end_of_a_total_store_what_fits() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let tasks: Value = (0..4).map(|n| json!({"ref": n.to_string(), "title": "t"})).collect();
    let goal = fleet.goal(tasks).await;
    let held = agent.claim(4).await;
    agent.write(&held[0], "spend", half("a")).await.expect(200);
    let mut rest = half("b");
    rest["entries"][0]["amounts"]["x"] = json!(MOST - 1_000);
    agent.write(&held[0], "spend", rest).await.expect(200);
    let base = fleet.listen().await;
    let writers = (0..8).map(|writer| {
        let (agent, held) = (agent.at(&base), held.clone());
        tokio::spawn(async move {
            let mut stored = 0;
            for n in 0..6 {
                let report = amount(&format!("{writer} {n}"), "x", 45);
                let answer = agent.write(&held[(writer + n) % 4], "spend", report).await;
                match answer.status.as_u16() {
                    200 => stored += 45,
                    422 => {}
                    _ => panic!("{}", answer.describe()),
                }
            }
            stored
        })
    });
    let stored: i64 =
        join_all(writers.collect::<Vec<_>>()).await.into_iter().map(|stored| stored.unwrap()).sum();
    assert_eq!(stored, 22 * 45, "22 of 48 reports fit");
    assert_eq!(total(&fleet, "goals", &goal).await, json!({"x": TOTAL - 1_000 + stored}));
    verify(&fleet.pool).await;
}

/// The limit above two goals is full before they are: it refuses what its window could not count, and
/// a limit that could not count what is there is not made.
#[tokio::test]
async fn a_window_stops_before_it_cannot_be_counted() {
    let fleet = Fleet::start().await;
    let (agent, one, two) = two(&fleet).await;
    let limited = budget(&fleet, "x", 5, "notify").await.value(201);
    for key in ["a", "b"] {
        agent.write(&one, "spend", half(key)).await.expect(200);
    }
    refused(&agent.write(&two, "spend", amount("a", "x", 1)).await, "at most 0 of it fits");
    verify(&fleet.pool).await;
    let id = text(&limited["id"]);
    let etag = fleet.admin.get(format!("/v1/budgets/{id}")).await.expect(200).etag();
    let none = json!({"limits": [{"unit": "z", "amount": 5}]});
    fleet.admin.patch(format!("/v1/budgets/{id}"), &none).if_match(&etag).await.expect(200);
    // Another agent, because the agent's own total is full.
    agent.write(&two, "spend", json!({"totals": {"y": 1}})).await.expect(200);
    let other = fleet.agent("other", &[], 5).await;
    fleet.lone_task(json!({})).await;
    let third = other.take().await;
    other.write(&third, "spend", amount("a", "x", 1)).await.expect(200);
    let etag = fleet.admin.get(format!("/v1/budgets/{id}")).await.expect(200).etag();
    let again = json!({"limits": [{"unit": "x", "amount": 5}]});
    let path = format!("/v1/budgets/{id}");
    refused(&fleet.admin.patch(&path, &again).if_match(&etag).await, "at most 0 of it fits");
    correct(&fleet, &one, "x", -1).await.expect(201);
    fleet.admin.patch(&path, &again).if_match(&etag).await.expect(200);
    verify(&fleet.pool).await;
}

/// An allocated goal whose spend does not fit above ends all the same; its spend is settled above as
/// soon as it fits.
#[tokio::test]
async fn a_goal_ends_although_the_limit_above_is_full() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    budget(&fleet, "x", 100, "notify").await.expect(201);
    let goal = fleet
        .post_goal(json!({
            "title": "g", "tasks": [{"ref": "a", "title": "a"}],
            "budget": {"limits": [{"unit": "x", "amount": 60}], "allocated": true},
        }))
        .await;
    let allocated = agent.take().await;
    let other = fleet.agent("other", &[], 5).await;
    fleet.lone_task(json!({})).await;
    let full = other.take().await;
    for key in ["a", "b"] {
        other.write(&full, "spend", half(key)).await.expect(200);
    }
    let report = json!({"spend": amount("a", "x", 7)});
    agent.write(&allocated, "complete", report).await.expect(200);
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify(&fleet.pool).await;
    let open = "select count(*) from allocations where closed_at is null";
    let count: i64 = sqlx::query_scalar(open).fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(count, 1);
    correct(&fleet, &full, "x", -7).await.expect(201);
    fleet.round().await;
    let count: i64 = sqlx::query_scalar(open).fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(count, 0);
    verify(&fleet.pool).await;
}

/// What is wrong in a correction is told at its place, and nothing is stored.
#[tokio::test]
async fn a_correction_that_makes_no_sense_is_refused() {
    let fleet = Fleet::start().await;
    let (agent, held, other) = two(&fleet).await;
    agent.write(&held, "spend", amount("a", "x", 10)).await.expect(200);
    agent.write(&other, "spend", amount("a", "x", 90)).await.expect(200);
    let path = format!("/v1/attempts/{}/spend/corrections", held.attempt);
    let entry = |unit: &str, amount: i64, reason: &str| json!({"unit": unit, "amount": amount, "reason": reason});
    for (entries, pointer) in [
        (json!([]), "/entries"),
        (json!([entry("x", 0, "r")]), "/entries/0/amount"),
        (json!([entry("x", -11, "r")]), "/entries/0/amount"),
        (json!([entry("y", -1, "r")]), "/entries/0/amount"),
        (json!([entry("x", -6, "r"), entry("x", -5, "r")]), "/entries/1/amount"),
        (json!([entry("x", i64::MIN, "r")]), "/entries/0/amount"),
        (json!([entry("x", -1, " ")]), "/entries/0/reason"),
        (json!([entry("x", -1, &"r".repeat(1_001))]), "/entries/0/reason"),
        (json!([entry("wall_ms", -1, "r")]), "/entries/0/unit"),
        (json!([entry("X", -1, "r")]), "/entries/0/unit"),
    ] {
        let answer = fleet.admin.post(&path, &json!({"entries": entries})).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{entries}");
    }
    let nobody = format!("/v1/attempts/{}/spend/corrections", fleet.no_id());
    let one = json!({"entries": [entry("x", -1, "r")]});
    fleet.admin.post(nobody, &one).await.problem(404, "not_found");
    agent.client.post(&path, &one).await.problem(403, "forbidden");
    let corrections = "select count(*) from spend_entries where entry_key like 'correction:%'";
    let count: i64 = sqlx::query_scalar(corrections).fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(count, 0);
    verify(&fleet.pool).await;
}

/// A correction is an entry with a reason: listed, summed up, settled and audited, once for each
/// `Idempotency-Key`. What it takes back can be spent by the tasks that wait.
#[tokio::test]
async fn a_correction_gives_back_what_was_never_spent() {
    let fleet = Fleet::start().await;
    budget(&fleet, "usd_micros", 100, "park").await.expect(201);
    let task = |name: &str| json!({"ref": name, "title": "t", "estimate": {"usd_micros": 30}});
    let goal = fleet.goal(json!([task("a"), task("b")])).await;
    let agent = fleet.worker().await;
    let held = agent.take().await;
    agent.write(&held, "spend", amount("wrong", "usd_micros", 95)).await.expect(200);
    agent.complete(&held).await;
    agent.find_nothing().await;
    fleet.expect_states(&goal, "a:done b:parked").await;
    let body = json!({"entries": [
        {"unit": "usd_micros", "amount": -90, "reason": "billed to another team"},
        {"unit": "calls", "amount": 2, "reason": "counted by the provider"},
    ]});
    let path = format!("/v1/attempts/{}/spend/corrections", held.attempt);
    let first = fleet.admin.post(&path, &body).idempotency_key("one").await;
    let again = fleet.admin.post(&path, &body).idempotency_key("one").await;
    assert_eq!(first.header("location"), format!("/v1/attempts/{}/spend", held.attempt));
    let (first, again) = (first.value(201), again.value(201));
    assert_eq!(first, again);
    assert_eq!(first["attempt_spend"]["usd_micros"], 5);
    assert_eq!(total(&fleet, "goals", &goal).await, json!({"usd_micros": 5, "calls": 2}));
    fleet.expect_states(&goal, "a:done b:ready").await;
    let lines = fleet.admin.get(format!("/v1/attempts/{}/spend", held.attempt)).await.value(200);
    let lines = lines["items"].as_array().unwrap();
    let key = format!("correction:{}:1", text(&first["id"]));
    let line = lines.iter().find(|line| line["key"] == key).unwrap();
    assert_eq!((&line["amount"], &line["note"]), (&json!(-90), &json!("billed to another team")));
    let audit = fleet.admin.get("/v1/audit?kind=spend.corrected").await.value(200);
    let [row] = audit["items"].as_array().unwrap().as_slice() else { panic!("{audit:#}") };
    let row = &row["row"];
    assert_eq!(row["attempt_id"], held.attempt);
    assert!(row["actor_key_id"].is_string(), "{row:#}");
    assert_eq!(row["data"]["entries"][0]["reason"], "billed to another team");
    verify(&fleet.pool).await;
}

/// What an operator took back, the price book does not take back again.
#[tokio::test]
async fn rating_anew_does_not_take_back_what_a_correction_took() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let price = |input: &str| {
        json!({"provider": "p", "model": "m", "effective_from": "2026-01-01T00:00:00Z",
               "usd_per_million": {"input": input, "output": "1"}})
    };
    fleet.admin.post("/v1/prices", &price("2")).await.expect(201);
    let goal = fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let usage = json!({"provider": "p", "model": "m", "convention": "openai",
                       "tokens": {"prompt_tokens": 1000, "completion_tokens": 0}});
    let call = json!({"entries": [{"key": "call", "usage": usage}]});
    agent.write(&held, "spend", call).await.expect(200);
    correct(&fleet, &held, "usd_micros", -1_500).await.expect(201);
    fleet.pass(1);
    fleet.admin.post("/v1/prices", &price("1")).await.expect(201);
    let all = json!({"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"});
    let answer = fleet.admin.post("/v1/prices/rerate", &all).await.value(200);
    assert_eq!((&answer["calls"], &answer["corrected"]), (&json!(1), &json!(0)));
    assert_eq!(total(&fleet, "goals", &goal).await["usd_micros"], 500);
    verify(&fleet.pool).await;
    fleet.pass(1);
    fleet.admin.post("/v1/prices", &price("1.6")).await.expect(201);
    let answer = fleet.admin.post("/v1/prices/rerate", &all).await.value(200);
    assert_eq!(answer["corrected"], 1);
    assert_eq!(total(&fleet, "goals", &goal).await["usd_micros"], 100);
    verify(&fleet.pool).await;
}
