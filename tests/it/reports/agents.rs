//! How well agents work: every number from attempts that the test made.

use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    client::Client,
    fleet::Fleet,
    invariants::verify,
};

const PERIOD: &str = "from=2026-03-01T11:00:00Z&to=2026-03-01T15:00:00Z";

async fn report(client: &Client, query: &str) -> Value {
    client.get(format!("/v1/reports/agents?{query}")).await.value(200)
}

fn rows(report: &Value) -> &Vec<Value> {
    report["items"].as_array().unwrap()
}

fn row<'a>(report: &'a Value, capability: &str, version: &str) -> &'a Value {
    let found: Vec<&Value> = rows(report)
        .iter()
        .filter(|row| row["capability"] == capability && row["version"] == version)
        .collect();
    let [row] = found.as_slice() else { panic!("not one row: {report:#}") };
    row
}

fn share(row: &Value, name: &str) -> (i64, i64) {
    let share = &row["shares"][name];
    (share["count"].as_i64().unwrap(), share["of"].as_i64().unwrap())
}

fn near(found: &Value, want: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - want).abs() < 1e-6, "{found} is not {want}");
}

async fn complete(agent: &Agent, held: &Held, usd_micros: i64) {
    let spend = json!({"totals": {"usd_micros": usd_micros}});
    agent.write(held, "complete", json!({"result": {}, "spend": spend})).await.expect(200);
}

async fn fail(agent: &Agent, held: &Held, class: &str, usd_micros: i64) {
    let spend = json!({"totals": {"usd_micros": usd_micros}});
    agent.write(held, "fail", json!({"class": class, "spend": spend})).await.expect(200);
}

fn task(name: &str) -> Value {
    json!({"ref": name, "title": name, "capabilities": ["rust"]})
}

/// One agent that does seven attempts at `rust`: two accepted at once, one after a failure, one with an input that is
/// wrong, one that is lost, and one that is released.
async fn work(fleet: &Fleet) -> Agent {
    let agent = fleet.agent("one", &["rust", "docs"], 10).await;
    let path = format!("/v1/agents/{}", agent.id);
    let said = json!({"model": "m", "agent_version": "1"});
    fleet.poster.patch(&path, &said).if_match("*").await.expect(200);
    fleet.goal(json!([task("a"), task("b"), task("c")])).await;
    fleet.goal(json!([task("d")])).await;
    let held = agent.claim(4).await;
    let of = |name: &str| held.iter().find(|held| held.name == name).unwrap();
    fleet.pass(10);
    complete(&agent, of("a"), 1_000).await;
    fleet.pass(10);
    complete(&agent, of("b"), 2_000).await;
    fail(&agent, of("c"), "transient", 600).await;
    fail(&agent, of("d"), "invalid_input", 0).await;
    fleet.after(600).await;
    let again = agent.take().await;
    assert_eq!((again.name.as_str(), again.number), ("c", 2));
    fleet.pass(30);
    complete(&agent, &again, 300).await;
    fleet.goal(json!([task("x")])).await;
    let lost = agent.claim_with(json!({"max": 1, "lease_seconds": 10})).await;
    assert_eq!(lost.len(), 1);
    fleet.after(300).await;
    fleet.after(3_000).await;
    let back = agent.take().await;
    assert_eq!((back.name.as_str(), back.number), ("x", 2));
    agent.hand_back(&back).await;
    fleet.round().await;
    agent
}

#[tokio::test]
async fn attempts_add_up_to_what_was_done() {
    let fleet = Fleet::start().await;
    let agent = work(&fleet).await;
    let found = report(&fleet.admin, PERIOD).await;
    let period = json!({"from": "2026-03-01T11:00:00Z", "to": "2026-03-01T15:00:00Z",
                        "shortened": false, "bucket_seconds": 3_600});
    assert_eq!(found["period"], period);
    assert_eq!(rows(&found).len(), 1);
    let rust = row(&found, "rust", "m 1");
    assert_eq!(
        (&rust["agent_id"], &rust["agent_name"], &rust["current"]),
        (&json!(agent.id), &json!("one"), &json!(true))
    );
    assert_eq!(rust["attempts"], 7);
    let outcomes = json!({
        "accepted": 3, "rejected": 0, "failed": {"transient": 1, "invalid_input": 1, "lost": 1},
        "released": 1, "cancelled": 0, "parked": 0, "open": 0,
    });
    assert_eq!(rust["outcomes"], outcomes);
    // A wrong input and a release say nothing of the agent; the retry of `c` is no first try.
    assert_eq!(share(rust, "accepted"), (3, 5));
    assert_eq!(share(rust, "first_try"), (2, 4));
    assert_eq!(share(rust, "rework"), (0, 3));
    assert_eq!(share(rust, "failed"), (2, 5));
    assert_eq!(share(rust, "lost"), (1, 5));
    let share = &rust["shares"]["accepted"]["share"];
    near(&share["estimate"], 0.6);
    near(&share["low"], 0.230_724);
    near(&share["high"], 0.882_379);
    // 10, 20 and 30 seconds.
    assert_eq!(rust["duration_ms"], json!({"p50": 20_000, "p95": 30_000}));
    let cost = json!({
        "amounts": {"usd_micros": 3_900}, "usd": "0.0039",
        "amounts_per_accepted": {"usd_micros": 1_300}, "usd_per_accepted": "0.0013",
    });
    assert_eq!(rust["cost"], cost);
    // Six attempts in the first hour. The second is the one that was handed back.
    let trend = json!([
        {"at": "2026-03-01T12:00:00Z", "attempts": 6, "accepted": 3, "rejected": 0, "failed": 2,
         "lost": 1, "duration_p50_ms": 20_000},
        {"at": "2026-03-01T13:00:00Z", "attempts": 1, "accepted": 0, "rejected": 0, "failed": 0,
         "lost": 0, "duration_p50_ms": null},
    ]);
    assert_eq!(rust["trend"], trend);
    // The router has learned from the judged ones.
    let belief = &rust["belief"];
    assert_eq!((&belief["attempts"], &belief["canary"]), (&json!(5), &json!(false)));
    let weight = belief["weight"].as_f64().unwrap();
    assert!((4.0..5.0).contains(&weight), "{weight}");
    let success = |end: &str| belief["success"][end].as_f64().unwrap();
    assert!(0.0 <= success("low") && success("low") < success("estimate"));
    assert!(success("estimate") < success("high") && success("high") <= 1.0);
    assert!(belief["usd_micros"].as_f64().unwrap() > 0.0);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn rework_is_counted_and_so_is_each_capability() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("one", &["docs", "rust"], 10).await;
    let both = json!({"capabilities": ["rust", "docs"], "approval": {"result": true}});
    fleet.lone_task(both).await;
    for decision in [json!({"decision": "reject", "reason": "no"}), json!({"decision": "approve"})]
    {
        let held = agent.take().await;
        fleet.pass(5);
        complete(&agent, &held, 100).await;
        fleet.decide(decision).await;
        fleet.after(60).await;
    }
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    fleet.pass(1);
    let found = report(&fleet.admin, PERIOD).await;
    assert_eq!(rows(&found).len(), 3);
    for capability in ["docs", "rust"] {
        let row = row(&found, capability, "");
        assert_eq!(
            (&row["outcomes"]["accepted"], &row["outcomes"]["rejected"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(share(row, "rework"), (1, 2));
        assert_eq!(share(row, "first_try"), (0, 1), "the second try was accepted");
        // Both attempts were paid for, and one result was accepted.
        assert_eq!(row["cost"]["amounts_per_accepted"], json!({"usd_micros": 200}));
    }
    let none = row(&found, "", "");
    assert_eq!((&none["attempts"], &none["outcomes"]["open"]), (&json!(1), &json!(1)));
    assert_eq!(none["shares"]["accepted"], json!({"count": 0, "of": 0, "share": null}));
    assert_eq!(
        (&none["duration_ms"], &none["cost"]["usd_per_accepted"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(none["cost"]["amounts"], json!({}));
    agent.release(&held).await;
}

#[tokio::test]
async fn filters_pages_and_versions() {
    let fleet = Fleet::start().await;
    let one = fleet.agent("one", &["rust"], 10).await;
    let other = fleet.agent("other", &["rust"], 10).await;
    let say = async |version: &str| {
        let body = json!({"agent_version": version});
        let path = format!("/v1/agents/{}", one.id);
        fleet.poster.patch(&path, &body).if_match("*").await.expect(200);
    };
    say("1").await;
    for (version, agents) in [("1", vec![&one, &other]), ("2", vec![&one])] {
        say(version).await;
        fleet.pass(60);
        for agent in agents {
            fleet.lone_task(json!({"capabilities": ["rust"]})).await;
            let held = agent.take().await;
            fleet.pass(1);
            complete(agent, &held, 10).await;
        }
    }
    fleet.pass(1);
    let found = report(&fleet.admin, "").await;
    assert_eq!(rows(&found).len(), 3);
    assert_eq!(found["period"]["bucket_seconds"], 6 * 3_600);
    let (old, new) = (row(&found, "rust", "1"), row(&found, "rust", "2"));
    assert_eq!((&old["current"], &new["current"]), (&json!(false), &json!(true)));
    assert_eq!((&old["attempts"], &new["attempts"]), (&json!(1), &json!(1)));
    assert_eq!(old["belief"], Value::Null);

    // Page by page it is the same.
    let mut paged = Vec::new();
    let mut query = "limit=1".to_owned();
    loop {
        let page = report(&fleet.admin, &query).await;
        paged.extend(rows(&page).clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        query = format!("limit=1&cursor={next}");
    }
    assert_eq!(&paged, rows(&found));

    let of = async |query: String| rows(&report(&fleet.admin, &query).await).len();
    assert_eq!(of(format!("agent_id={}", one.id)).await, 2);
    assert_eq!(of(format!("agent_id={}", other.id)).await, 1);
    assert_eq!(of(format!("agent_id={}", fleet.no_id())).await, 0);
    assert_eq!(of("capability=rust".to_owned()).await, 3);
    assert_eq!(of("capability=docs".to_owned()).await, 0);
    assert_eq!(of("to=2026-03-01T12:00:30Z".to_owned()).await, 0);
    assert_eq!(of("from=2026-03-01T12:01:30Z".to_owned()).await, 1);
    assert_eq!(rows(&report(&fleet.other_workspace().await, "").await).len(), 0);
}
