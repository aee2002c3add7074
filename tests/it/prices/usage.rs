//! Usage as providers and adapters send it, and money as fine as it is billed.

use serde_json::{Value, json};

use super::spent;
use crate::support::{
    fleet::{Fleet, text},
    invariants::verify,
};

/// Each object of tokens costs what its provider bills, at prices that tell the kinds of tokens apart.
#[tokio::test]
async fn usage_of_every_adapter_costs_what_its_provider_bills() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    for (model, rates) in [
        ("opus", json!({"input": "5", "output": "25", "cache_read": "0.5", "cache_write": "6.25"})),
        ("deep", json!({"input": "0.27", "output": "1.10", "cache_read": "0.07"})),
    ] {
        let price = json!({"provider": "p", "model": model, "usd_per_million": rates});
        fleet.admin.post("/v1/prices", &price).await.expect(201);
    }
    let million = |rest: Value| {
        let mut tokens = json!({"prompt_tokens": 1_000_000, "completion_tokens": 0});
        tokens.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        tokens
    };
    let goal = fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let mut before = 0;
    for (n, (model, convention, tokens, micros)) in [
        (
            "opus",
            "openai",
            json!({"prompt_tokens": 98_805, "completion_tokens": 5_120,
            "prompt_tokens_details": {"cached_tokens": 66_360, "cache_creation_tokens": 32_435}}),
            363_948,
        ),
        (
            "opus",
            "openai",
            json!({"prompt_tokens": 98_805, "completion_tokens": 5_120,
            "cache_creation_input_tokens": 32_435, "cache_read_input_tokens": 66_360}),
            363_948,
        ),
        (
            "deep",
            "openai",
            million(json!({"prompt_cache_hit_tokens": 900_000,
            "prompt_cache_miss_tokens": 100_000})),
            90_000,
        ),
        ("deep", "openai", million(json!({"cached_tokens": 900_000})), 90_000),
        (
            "deep",
            "openai",
            million(json!({"cached_tokens": 0, "prompt_cache_miss_tokens": 100_000})),
            90_000,
        ),
        (
            "opus",
            "otel",
            json!({"gen_ai.usage.input_tokens": 98_805, "gen_ai.usage.output_tokens": 5_120,
            "gen_ai.usage.cache_read_input_tokens": 66_360,
            "gen_ai.usage.cache_creation_input_tokens": 32_435}),
            363_948,
        ),
        (
            "opus",
            "gemini",
            json!({"usageMetadata": {"promptTokenCount": 1000,
            "cachedContentTokenCount": 400, "candidatesTokenCount": 50, "thoughtsTokenCount": 30,
            "totalTokenCount": 1080}}),
            600 * 5 + 200 + 80 * 25,
        ),
        (
            "opus",
            "bedrock",
            json!({"inputTokens": 100, "outputTokens": 10,
            "cacheReadInputTokens": 200, "cacheWriteInputTokens": 400, "totalTokens": 710}),
            500 + 100 + 2500 + 250,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let usage =
            json!({"provider": "p", "model": model, "convention": convention, "tokens": tokens});
        let report = json!({"entries": [{"key": n.to_string(), "usage": usage}]});
        let answer = agent.write(&held, "spend", report).await.value(200);
        assert_eq!(answer.get("unread"), None, "{usage}");
        let after = answer["attempt_spend"]["usd_micros"].as_i64().unwrap();
        // Each call of 363,948 leaves 0.75 of a micro-dollar, which add up.
        assert_eq!(after - before, micros + i64::from([1, 5].contains(&n)), "{usage}");
        before = after;
    }
    let tokens = json!({"prompt_tokens": 9, "completion_tokens": 3, "cost": 0.0021,
        "prompt_tokens_details": {"audio_tokens": 4}, "queue": [{"ms": 7}]});
    let usage = json!({"provider": "p", "model": "opus", "convention": "openai", "tokens": tokens});
    let report = json!({"entries": [{"key": "odd", "usage": usage}]});
    let answer = agent.write(&held, "spend", report).await.value(200);
    assert_eq!(answer["unread"][0]["key"], "odd");
    let mut unread: Vec<String> =
        answer["unread"][0]["numbers"].as_array().unwrap().iter().map(text).collect();
    unread.sort();
    assert_eq!(
        unread,
        ["/tokens/cost", "/tokens/prompt_tokens_details/audio_tokens", "/tokens/queue/0/ms",]
    );
    let ahead = json!({"entries": [{"key": "ahead", "usage": {"model": "opus", "convention": "openai",
        "at": fleet.now() + chrono::TimeDelta::hours(1),
        "tokens": {"prompt_tokens": 1, "completion_tokens": 1}}}]});
    let refused = agent.write(&held, "spend", ahead.clone()).await;
    assert_eq!(refused.problem(422, "invalid"), ["/entries/0/usage/at"]);
    let refused = agent.write(&held, "heartbeat", json!({"spend": ahead})).await;
    assert_eq!(refused.problem(422, "invalid"), ["/spend/entries/0/usage/at"]);
    assert_eq!(spent(&fleet, &goal).await["usd_micros"], before + 9 * 5 + 3 * 25);
    verify(&fleet.pool).await;
}

/// Money finer than a micro-dollar adds up exactly, as entries and as a total.
#[tokio::test]
async fn decimal_dollars_are_kept_to_the_last_place() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let dollars =
        |picos: i128| format!("{}.{:012}", picos / 1_000_000_000_000, picos % 1_000_000_000_000);
    let mut sum = 0i128;
    for batch in 0..5i128 {
        let entries: Value = (0..500i128)
            .map(|n| {
                // From less than a micro-dollar to a few dollars, each with twelve places.
                let picos = (438_500 + 7 * n) * (1 + (n % 5) * 1_000_003) + batch;
                sum += picos;
                json!({"key": format!("{batch}-{n}"), "amounts": {"usd": dollars(picos)}})
            })
            .collect();
        agent.write(&held, "spend", json!({"entries": entries})).await.expect(200);
    }
    let exact: (i64, i64) = sqlx::query_as(
        "select sum(amount)::bigint, sum(fraction)::bigint from spend_entries where unit = 'usd_micros'",
    )
    .fetch_one(&fleet.pool)
    .await
    .unwrap();
    assert_eq!(i128::from(exact.0) * 1_000_000 + i128::from(exact.1), sum);
    assert_eq!(
        i128::from(spent(&fleet, &goal).await["usd_micros"].as_i64().unwrap()),
        sum / 1_000_000
    );
    // A total counts beside the entries, and to the same place.
    let total = json!({"totals": {"usd": dollars(1_999_999_999_999)}});
    agent.write(&held, "spend", total).await.expect(200);
    let want = (sum + 1_999_999_999_999) / 1_000_000;
    assert_eq!(i128::from(spent(&fleet, &goal).await["usd_micros"].as_i64().unwrap()), want);
    for wrong in ["0.0000000000001", "-1", "1,5", "1 USD"] {
        let report = json!({"entries": [{"key": "wrong", "amounts": {"usd": wrong}}]});
        let refused = agent.write(&held, "spend", report).await;
        assert_eq!(refused.problem(422, "invalid"), ["/entries/0/amounts/usd"], "{wrong}");
    }
    verify(&fleet.pool).await;
}
