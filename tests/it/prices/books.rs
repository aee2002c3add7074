//! Price files with dates and quiet hours, prices by time of day, and books that disagree.

use serde_json::{Value, json};

use crate::support::{fleet::Fleet, invariants::verify};

async fn input(fleet: &Fleet, model: &str, at: &str) -> Value {
    let path = format!("/v1/prices/find?model={model}&at={at}");
    fleet.admin.get(path).await.value(200)["price"]["rates"]["input"].clone()
}

#[tokio::test]
async fn a_file_holds_by_its_dates_and_its_hours() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let rates = |usd: i64| json!({"input_mtok": usd, "output_mtok": usd});
    let file = json!({"format": "genai_prices", "document": [{"id": "p", "models": [
        {"id": "dated", "prices": [{"prices": rates(10)},
            {"constraint": {"start_date": "2026-03-13"}, "prices": rates(1)}]},
        {"id": "past", "prices": [{"prices": rates(10)},
            {"constraint": {"start_date": "2025-03-13"}, "prices": rates(1)}]},
        {"id": "hours", "prices": [{"prices": rates(2)},
            {"constraint": {"start_time": "16:30:00Z", "end_time": "00:30:00Z"}, "prices": rates(1)}]},
        {"id": "halves", "prices": [
            {"constraint": {"start_time": "00:30:00Z", "end_time": "16:30:00Z"}, "prices": rates(2)},
            {"constraint": {"start_time": "16:30:00Z", "end_time": "00:30:00Z"}, "prices": rates(1)}]},
    ]}]});
    let answer = fleet.admin.post("/v1/prices/import", &file).await.value(200);
    assert_eq!(answer["skipped"], 0, "{answer}");
    for (model, at, want) in [
        ("dated", "2026-03-12T23:59:59Z", 10_000_000),
        ("dated", "2026-03-13T00:00:00Z", 1_000_000),
        ("past", "2025-03-12T23:59:59Z", 10_000_000),
        ("past", "2026-03-01T12:00:00Z", 1_000_000),
    ] {
        assert_eq!(input(&fleet, model, at).await, want, "{model} at {at}");
    }
    let again = fleet.admin.post("/v1/prices/import", &file).await.value(200);
    assert_eq!(again["added"], 0, "{again}");

    // An operator states hours as well.
    let mut night = json!({"provider": "p", "model": "own", "effective_from": "2026-01-01T00:00:00Z",
        "usd_per_million": {"input": "2", "output": "2"}, "hours": [{
            "windows": [{"from": "16:30:00", "to": "00:30:00", "weekdays": [7],
                         "weekdays_in": "Europe/Vienna"}],
            "usd_per_million": {"input": "1", "output": "1"}, "usd_per_request": "0.000001"}]});
    let made = fleet.admin.post("/v1/prices", &night).await.value(201);
    assert_eq!(made["price"]["hours"][0]["rates"]["input"], 1_000_000, "{made}");
    night["hours"][0]["windows"][0] = json!({"from": "16:30:00", "to": "00:30:00",
        "weekdays": [8], "weekdays_in": "Mars"});
    night["hours"].as_array_mut().unwrap().push(json!({"windows": [],
        "usd_per_million": {"input": "1", "output": "1"}}));
    let refused = fleet.admin.post("/v1/prices", &night).await;
    assert_eq!(
        refused.problem(422, "invalid"),
        ["/hours/0/windows/0/weekdays/0", "/hours/0/windows/0/weekdays_in", "/hours/1/windows",]
    );
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    fleet.pass(9 * 3600);
    // The first of March 2026 is a Sunday.
    for (model, at, want) in [
        ("hours", "2026-03-01T16:00:00Z", 2000),
        ("hours", "2026-03-01T20:00:00Z", 1000),
        ("halves", "2026-03-01T16:00:00Z", 2000),
        ("halves", "2026-03-01T20:00:00Z", 1000),
        ("own", "2026-03-01T16:00:00Z", 2000),
        ("own", "2026-03-01T20:00:00Z", 1001),
        ("own", "2026-02-28T20:00:00Z", 2000),
    ] {
        let usage = json!({"model": model, "convention": "openai", "at": at,
                           "tokens": {"prompt_tokens": 1000, "completion_tokens": 0}});
        let key = format!("{model} {at}");
        let before = agent.write(&held, "spend", json!({"totals": {"x": 1}})).await.value(200);
        let report = json!({"entries": [{"key": key, "usage": usage}]});
        let after = agent.write(&held, "spend", report).await.value(200);
        let money = |answer: &Value| answer["attempt_spend"]["usd_micros"].as_i64().unwrap_or(0);
        assert_eq!(money(&after) - money(&before), want, "{key}");
    }
    verify(&fleet.pool).await;
}

/// A zero in a file is a price, though another book says something else; what is skipped is counted by
/// reason, and no frequent reason hides a rare one.
#[tokio::test]
async fn a_file_may_have_zeros_and_hides_no_reason() {
    let fleet = Fleet::start().await;
    let other = json!({"format": "genai_prices", "document": [{"id": "google", "models": [
        {"id": "gem-exp", "prices": {"input_mtok": 1.25, "output_mtok": 5}}]}]});
    fleet.admin.post("/v1/prices/import", &other).await.expect(200);
    fleet.pass(1);
    let entry = |mode: &str, usd: f64| {
        json!({"litellm_provider": "gemini", "mode": mode, "input_cost_per_token": usd,
               "output_cost_per_token": usd})
    };
    let mut document = json!({"gemini/gem-exp": entry("chat", 0.0), "dear": entry("chat", 0.0032)});
    for n in 0..120 {
        document[format!("image-{n}")] = entry("image_generation", 1e-6);
    }
    let file = json!({"format": "litellm", "document": document});
    let answer = fleet.admin.post("/v1/prices/import", &file).await.value(200);
    assert_eq!((&answer["added"], &answer["disagreements"]), (&json!(1), &json!(1)), "{answer}");
    let want = json!([{"reason": "absurd", "count": 1}, {"reason": "not_text", "count": 120}]);
    assert_eq!((&answer["skipped"], &answer["skipped_by_reason"]), (&json!(121), &want));
    assert_eq!(answer["examples"][0]["name"], "dear");
    let found = fleet.admin.get("/v1/prices/find?model=gem-exp").await.value(200);
    assert_eq!(
        (&found["source"], &found["price"]["rates"]["input"]),
        (&json!("litellm"), &json!(0))
    );
}

#[tokio::test]
async fn books_that_disagree_are_told_by_the_import_and_by_find() {
    let fleet = Fleet::start().await;
    let chat = |usd: f64| {
        json!({"litellm_provider": "openai", "mode": "chat",
        "input_cost_per_token": usd, "output_cost_per_token": 1e-5, "cache_read_input_token_cost": 1.25e-6})
    };
    let file = json!({"format": "litellm", "document": {"gpt-4o": chat(3e-6), "mine": chat(3e-6)}});
    let answer = fleet.admin.post("/v1/prices/import", &file).await.value(200);
    assert_eq!(answer["disagreements"], 1, "{answer}");
    let told = &answer["disagreeing"][0];
    assert_eq!((&told["model"], &told["source"]), (&json!("gpt-4o"), &Value::Null));
    assert_eq!(told["differs"], json!(["input", "cache_write", "cache_write_1h"]));
    fleet.pass(1);
    let own = json!({"provider": "openai", "model": "mine",
                     "usd_per_million": {"input": "4", "output": "10", "cache_read": "1.25"}});
    fleet.admin.post("/v1/prices", &own).await.expect(201);
    let found = fleet.admin.get("/v1/prices/find?model=mine").await.value(200);
    assert_eq!(
        (&found["source"], &found["price"]["rates"]["input"]),
        (&json!("operator"), &json!(4_000_000))
    );
    assert_eq!(found["disagreements"][0]["source"], "litellm", "{found}");
    let found = fleet.admin.get("/v1/prices/find?model=gpt-4o").await.value(200);
    assert_eq!(found["disagreements"][0]["source"], Value::Null, "{found}");
}
