//! Usage objects of all conventions.

use super::{any_rates, cost, gpt_4o};
use crate::domain::{
    check::Checks,
    price::{Convention, Cost, Price, Rates, StatedRates, Tokens, Usage},
    words::Words as _,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn usage(convention: Convention, tokens: Value) -> Usage {
    let Value::Object(tokens) = tokens else { panic!("not an object") };
    Usage { provider: None, model: "gpt-4o".into(), convention, tokens, at: None }
}

fn tokens(convention: Convention, object: Value) -> Tokens {
    usage(convention, object).tokens().unwrap()
}

fn pointers(convention: Convention, object: Value) -> Vec<String> {
    let refusal = usage(convention, object).tokens().unwrap_err();
    refusal.errors.into_iter().map(|error| error.pointer).collect()
}

#[test]
fn both_openai_objects_include_the_cached_and_the_reasoned() {
    let want = Tokens {
        input: 300,
        cache_read: 500,
        cache_write: 200,
        output: 90,
        reasoning: 10,
        ..Tokens::default()
    };
    let chat = json!({
        "prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
        "prompt_tokens_details":
            {"cached_tokens": 500, "cache_write_tokens": 200, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 10}
    });
    assert_eq!(tokens(Convention::Openai, chat), want);
    let responses = json!({
        "input_tokens": 1000, "output_tokens": 100,
        "input_tokens_details": {"cached_tokens": 500, "cache_write_tokens": 200},
        "output_tokens_details": {"reasoning_tokens": 10}
    });
    assert_eq!(tokens(Convention::Openai, responses), want);
    let bare = json!({"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": null});
    assert_eq!(
        tokens(Convention::Openai, bare),
        Tokens { input: 7, output: 2, ..Tokens::default() }
    );
}

#[test]
fn an_embedding_needs_no_output_when_the_total_tells() {
    let object = json!({"prompt_tokens": 8, "total_tokens": 8});
    assert_eq!(tokens(Convention::Openai, object), Tokens { input: 8, ..Tokens::default() });
    assert_eq!(
        pointers(Convention::Openai, json!({"prompt_tokens": 8})),
        ["/tokens/completion_tokens"]
    );
}

#[test]
fn reasoning_beside_the_output_shows_in_the_total() {
    let object = |total: i64| {
        json!({
            "prompt_tokens": 100, "completion_tokens": 5, "total_tokens": total,
            "completion_tokens_details": {"reasoning_tokens": 300}
        })
    };
    let found = tokens(Convention::Openai, object(405));
    assert_eq!((found.output, found.reasoning, found.output_total()), (5, 300, 305));
    assert_eq!(pointers(Convention::Openai, object(406)), ["/tokens"]);
}

#[test]
fn anthropic_counts_the_cached_beside_the_input() {
    let object = json!({
        "input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 300,
        "cache_creation_input_tokens": 500, "service_tier": "standard",
        "cache_creation": {"ephemeral_5m_input_tokens": 150, "ephemeral_1h_input_tokens": 250}
    });
    let found = tokens(Convention::Anthropic, object);
    let want = Tokens {
        input: 10,
        cache_read: 300,
        cache_write: 250,
        cache_write_1h: 250,
        output: 20,
        reasoning: 0,
    };
    assert_eq!((found, found.input_total(), found.prompt()), (want, 810, 810));
    let split = json!({
        "input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": null,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}
    });
    let found = tokens(Convention::Anthropic, split);
    assert_eq!((found.cache_write, found.cache_write_1h), (3, 4));
    let unsplit = json!({"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 9});
    assert_eq!(tokens(Convention::Anthropic, unsplit).cache_write, 9);
}

#[test]
fn otel_reads_old_and_new_names() {
    let new = json!({
        "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100,
        "gen_ai.usage.cache_read.input_tokens": 500,
        "gen_ai.usage.cache_write.input_tokens": 200,
        "gen_ai.usage.reasoning.output_tokens": 10
    });
    let old = json!({
        "gen_ai.usage.prompt_tokens": 1000, "gen_ai.usage.completion_tokens": 100,
        "gen_ai.usage.cache_read.input_tokens": 500,
        "gen_ai.usage.cache_creation.input_tokens": 200,
        "gen_ai.usage.reasoning.output_tokens": 10
    });
    let want = Tokens {
        input: 300,
        cache_read: 500,
        cache_write: 200,
        output: 90,
        reasoning: 10,
        ..Tokens::default()
    };
    assert_eq!(tokens(Convention::Otel, new), want);
    assert_eq!(tokens(Convention::Otel, old), want);
    let instrumented = json!({
        "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100,
        "gen_ai.usage.cache_read_input_tokens": 500,
        "gen_ai.usage.cache_creation_input_tokens": 200,
        "gen_ai.usage.reasoning_tokens": 10
    });
    assert_eq!(tokens(Convention::Otel, instrumented), want);
    let both = json!({
        "gen_ai.usage.input_tokens": 10, "gen_ai.usage.prompt_tokens": 11,
        "gen_ai.usage.output_tokens": 1
    });
    assert_eq!(pointers(Convention::Otel, both), ["/tokens/gen_ai.usage.prompt_tokens"]);
}

#[test]
fn impossible_counts_are_refused_with_their_places() {
    let openai = Convention::Openai;
    let with = |value: Value| json!({"prompt_tokens": value, "completion_tokens": 1});
    for bad in [
        json!(-1),
        json!(1.5),
        json!("3"),
        json!(true),
        json!([1]),
        json!(1_000_000_000_000_001_i64),
        json!(u64::MAX),
    ] {
        assert_eq!(pointers(openai, with(bad)), ["/tokens/prompt_tokens"]);
    }
    let cached = json!({
        "prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 11}
    });
    assert_eq!(pointers(openai, cached), ["/tokens"]);
    let broken = json!({
        "prompt_tokens": 10, "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": "x"},
        "completion_tokens_details": 3
    });
    let places =
        ["/tokens/prompt_tokens_details/cached_tokens", "/tokens/completion_tokens_details"];
    assert_eq!(pointers(openai, broken), places);
    let total = json!({"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 10});
    assert_eq!(pointers(openai, total), ["/tokens/total_tokens"]);
    let names = ["/tokens/input_tokens", "/tokens/output_tokens"];
    assert_eq!(pointers(Convention::Anthropic, json!({})), names);
    let split = json!({
        "input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 3,
        "cache_creation": {"ephemeral_1h_input_tokens": 4}
    });
    assert_eq!(pointers(Convention::Anthropic, split), ["/tokens"]);
    let huge = json!({
        "input_tokens": 1_000_000_000_000_000_i64, "output_tokens": 1, "cache_read_input_tokens": 1
    });
    assert_eq!(pointers(Convention::Anthropic, huge), ["/tokens"]);
    let otel = json!({"gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 1,
        "gen_ai.usage.reasoning.output_tokens": 2});
    assert_eq!(pointers(Convention::Otel, otel), ["/tokens"]);
}

#[test]
fn the_other_fields_are_checked_too() {
    let mut one = usage(Convention::Openai, json!({"prompt_tokens": 1, "completion_tokens": 1}));
    one.provider = Some(" ".into());
    one.model = "m".repeat(201);
    one.at = Some(super::instant("1999-12-31T00:00:00Z"));
    let mut checks = Checks::new();
    assert_eq!(one.read(&mut checks, "/calls/3"), None);
    let refusal = checks.finish().unwrap_err();
    let places: Vec<_> = refusal.errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(places, ["/calls/3/provider", "/calls/3/model", "/calls/3/at"]);
    let keys = |count| (0..count).map(|n| (format!("k{n}"), json!(1)));
    let mut many = usage(Convention::Openai, json!({"prompt_tokens": 1, "completion_tokens": 1}));
    many.tokens.extend(keys(98));
    assert!(many.tokens().is_ok());
    many.tokens.extend(keys(99));
    assert!(many.tokens().is_err());
    let large = json!({"prompt_tokens": 1, "completion_tokens": 1, "x": "x".repeat(9_000)});
    assert_eq!(pointers(Convention::Openai, large), ["/tokens"]);
}

#[test]
fn the_wire_form_knows_its_fields() {
    let text =
        json!({"model": "m", "convention": "openai", "tokens": {}, "at": "2025-01-02T03:04:05Z"});
    let read: Usage = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), text);
    let unknown = json!({"model": "m", "convention": "openai", "tokens": {}, "tier": "flex"});
    assert!(serde_json::from_value::<Usage>(unknown).is_err());
}

/// Cost of a call at dollars per million tokens: input, output, cache reads and cache writes.
fn micros(convention: Convention, object: Value, dollars: [f64; 4]) -> i64 {
    let [input, output, read, write] = dollars.map(|usd| (usd * 1e6) as i64);
    let stated = StatedRates {
        input,
        output,
        cache_read: Some(read),
        cache_write: Some(write),
        ..StatedRates::default()
    };
    let Cost { micros, .. } = cost(&Price::flat(stated.complete()), &tokens(convention, object));
    micros
}

#[test]
fn cache_writes_are_found_wherever_adapters_put_them() {
    let with = |mut object: Value, details: Value| {
        object["prompt_tokens"] = json!(98_805);
        object["completion_tokens"] = json!(5_120);
        object["total_tokens"] = json!(103_925);
        object["prompt_tokens_details"] = details;
        micros(Convention::Openai, object, [5.0, 25.0, 0.5, 6.25])
    };
    let read = json!({"cached_tokens": 66_360});
    let both = json!({"cached_tokens": 66_360, "cache_creation_tokens": 32_435, "text_tokens": 10});
    let beside = json!({"cache_creation_input_tokens": 32_435, "cache_read_input_tokens": 66_360});
    for cost in [
        with(json!({}), both.clone()),
        with(beside.clone(), both),
        with(beside.clone(), json!(null)),
        with(json!({"cache_creation_input_tokens": 32_435}), read.clone()),
        // An adapter that fills in a zero for what another key holds.
        with(beside, json!({"cached_tokens": 0, "cache_creation_tokens": 0})),
        with(json!({}), json!({"cached_tokens": 66_360, "cache_write_tokens": 32_435})),
    ] {
        assert_eq!(cost, 363_948);
    }
    let hour = json!({"cached_tokens": 1, "cache_creation_tokens": 7,
        "cache_creation_token_details": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 5}});
    let object =
        json!({"prompt_tokens": 10, "completion_tokens": 0, "prompt_tokens_details": hour});
    let found = tokens(Convention::Openai, object);
    assert_eq!((found.input, found.cache_write, found.cache_write_1h), (2, 2, 5));
    let unlike = json!({"prompt_tokens": 10, "completion_tokens": 0, "cached_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 4}});
    assert_eq!(pointers(Convention::Openai, unlike), ["/tokens/cached_tokens"]);
}

#[test]
fn hits_and_misses_of_a_cache_split_the_prompt() {
    let with = |mut object: Value| {
        object["prompt_tokens"] = json!(1_000_000);
        object["completion_tokens"] = json!(0);
        micros(Convention::Openai, object, [0.27, 1.10, 0.07, 0.27])
    };
    for object in [
        json!({"prompt_cache_hit_tokens": 900_000, "prompt_cache_miss_tokens": 100_000}),
        json!({"prompt_cache_hit_tokens": 900_000}),
        json!({"prompt_cache_miss_tokens": 100_000}),
        json!({"prompt_cache_miss_tokens": 100_000, "cached_tokens": 0}),
        json!({"prompt_cache_miss_tokens": 100_000, "prompt_tokens_details": {"cached_tokens": 0}}),
        json!({"cached_tokens": 900_000}),
        json!({"num_cached_tokens": 900_000, "cached_tokens": null}),
        json!({"prompt_cache_hit_tokens": 900_000, "prompt_tokens_details": {"cached_tokens": 900_000}}),
    ] {
        assert_eq!(with(object), 90_000);
    }
    // Zeros alone tell nothing.
    let zeros = json!({"prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": 0});
    assert_eq!(with(zeros), 270_000);
    let over = json!({"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 6,
        "prompt_cache_miss_tokens": 5});
    assert_eq!(pointers(Convention::Openai, over), ["/tokens"]);
    let missed =
        json!({"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_miss_tokens": 11});
    assert_eq!(pointers(Convention::Openai, missed), ["/tokens"]);
}

#[test]
fn gemini_counts_thoughts_beside_the_candidates() {
    let object = json!({
        "promptTokenCount": 1000, "cachedContentTokenCount": 400, "candidatesTokenCount": 50,
        "thoughtsTokenCount": 30, "toolUsePromptTokenCount": 20, "totalTokenCount": 1100,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1000}], "trafficType": "ON_DEMAND"
    });
    let want =
        Tokens { input: 620, cache_read: 400, output: 50, reasoning: 30, ..Tokens::default() };
    assert_eq!(tokens(Convention::Gemini, object.clone()), want);
    assert_eq!(tokens(Convention::Gemini, json!({"usageMetadata": object})), want);
    let snake = json!({
        "prompt_token_count": 1000, "cached_content_token_count": 400,
        "candidates_token_count": 50, "thoughts_token_count": 30, "tool_use_prompt_token_count": 20
    });
    assert_eq!(tokens(Convention::Gemini, snake), want);
    let included = json!({"promptTokenCount": 10, "candidatesTokenCount": 50, "thoughtsTokenCount": 30,
        "totalTokenCount": 60});
    let found = tokens(Convention::Gemini, included);
    assert_eq!((found.output, found.reasoning, found.output_total()), (20, 30, 50));
    // All of the answer was thought, and there are no candidates.
    let cut = json!({"promptTokenCount": 10, "thoughtsTokenCount": 30, "totalTokenCount": 40});
    let found = tokens(Convention::Gemini, cut);
    assert_eq!((found.output, found.reasoning), (0, 30));
    let names = ["/tokens/promptTokenCount", "/tokens/candidatesTokenCount"];
    assert_eq!(pointers(Convention::Gemini, json!({})), names);
    let less = json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 14});
    assert_eq!(pointers(Convention::Gemini, less), ["/tokens/totalTokenCount"]);
    let cached =
        json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "cachedContentTokenCount": 11});
    assert_eq!(pointers(Convention::Gemini, cached), ["/tokens"]);
}

#[test]
fn bedrock_counts_the_cached_beside_the_input() {
    let object = json!({
        "inputTokens": 3, "outputTokens": 392, "totalTokens": 2028,
        "cacheReadInputTokens": 0, "cacheWriteInputTokens": 1633
    });
    let want = Tokens { input: 3, cache_write: 1633, output: 392, ..Tokens::default() };
    assert_eq!(tokens(Convention::Bedrock, object), want);
    let split = json!({
        "inputTokens": 3, "outputTokens": 1, "cacheReadInputTokenCount": 9,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 5}, {"ttl": "5m", "inputTokens": 2}]
    });
    let found = tokens(Convention::Bedrock, split);
    assert_eq!((found.cache_read, found.cache_write, found.cache_write_1h), (9, 2, 5));
    let names = ["/tokens/inputTokens", "/tokens/outputTokens"];
    assert_eq!(pointers(Convention::Bedrock, json!({"inputTokenCount": 3})), names);
    let bad = json!({"inputTokens": 3, "outputTokens": 1, "cacheDetails": [{"inputTokens": "x"}]});
    assert_eq!(pointers(Convention::Bedrock, bad), ["/tokens/cacheDetails/0/inputTokens"]);
}

#[test]
fn integers_in_any_notation_are_counts() {
    for (text, want) in [("5.0", 5), ("1e3", 1_000), ("2.50e2", 250), ("-0.0", 0)] {
        let text = format!("{{\"prompt_tokens\": {text}, \"completion_tokens\": 1}}");
        let object = serde_json::from_str(&text).unwrap();
        assert_eq!(tokens(Convention::Openai, object).input, want, "{text}");
    }
}

#[test]
fn numbers_that_nobody_read_are_reported_back() {
    let unread = |convention, object| usage(convention, object).unread();
    let object = json!({
        "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "cost": 0.0021,
        "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 4, "image/tokens": 1},
        "completion_tokens_details": {"accepted_prediction_tokens": 1, "audio_tokens": 0},
        "queue": [{"ms": 7}], "name": "x", "flex": true
    });
    let want = [
        "/tokens/completion_tokens_details/audio_tokens",
        "/tokens/cost",
        "/tokens/prompt_tokens_details/audio_tokens",
        "/tokens/prompt_tokens_details/image~1tokens",
        "/tokens/queue/0/ms",
    ];
    let mut found = unread(Convention::Openai, object);
    found.sort();
    // A zero costs nothing at the provider either.
    assert_eq!(found, want[1..]);
    let searched = json!({"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"web_search_requests": 3}});
    assert_eq!(
        unread(Convention::Anthropic, searched),
        ["/tokens/server_tool_use/web_search_requests"]
    );
    let sound = json!({"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1, "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 2}, {"modality": "AUDIO", "tokenCount": 7}]}});
    assert_eq!(
        unread(Convention::Gemini, sound),
        ["/tokens/usageMetadata/promptTokensDetails/1/tokenCount"]
    );
    let whole = json!({"inputTokens": 1, "outputTokens": 1, "latencyMs": 40});
    assert_eq!(unread(Convention::Bedrock, whole), ["/tokens/latencyMs"]);
    let otel = json!({"gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 1,
        "gen_ai.usage.details.cache_read_tokens": 5});
    assert_eq!(unread(Convention::Otel, otel), ["/tokens/gen_ai.usage.details.cache_read_tokens"]);
}

#[test]
fn a_call_lies_in_the_past() {
    let now = super::instant("2026-11-29T12:00:00Z");
    let places = |at: Option<&str>| -> Vec<String> {
        let mut one = usage(Convention::Openai, json!({}));
        one.at = at.map(super::instant);
        let mut checks = Checks::new();
        one.check_time(&mut checks, "/entries/0/usage", now);
        checks.finish().err().into_iter().flat_map(|r| r.errors).map(|e| e.pointer).collect()
    };
    for fine in [None, Some("2001-01-01T00:00:00Z"), Some("2026-11-29T12:01:00Z")] {
        assert_eq!(places(fine), [""; 0]);
    }
    for ahead in ["2026-11-29T12:01:01Z", "2026-11-30T12:00:00Z", "2999-01-01T00:00:00Z"] {
        assert_eq!(places(Some(ahead)), ["/entries/0/usage/at"]);
    }
}

/// One call in each convention.
fn shapes(parts: Tokens) -> [Tokens; 5] {
    let Tokens { input, cache_read, cache_write, cache_write_1h: _, output, reasoning } = parts;
    let (all, out) = (input + cache_read + cache_write, output + reasoning);
    [
        tokens(
            Convention::Openai,
            json!({
                "prompt_tokens": all, "completion_tokens": out, "total_tokens": all + out,
                "prompt_tokens_details":
                    {"cached_tokens": cache_read, "cache_write_tokens": cache_write},
                "completion_tokens_details": {"reasoning_tokens": reasoning}
            }),
        ),
        tokens(
            Convention::Openai,
            json!({
                "input_tokens": all, "output_tokens": out,
                "input_tokens_details":
                    {"cached_tokens": cache_read, "cache_write_tokens": cache_write},
                "output_tokens_details": {"reasoning_tokens": reasoning}
            }),
        ),
        tokens(
            Convention::Otel,
            json!({
                "gen_ai.usage.input_tokens": all, "gen_ai.usage.output_tokens": out,
                "gen_ai.usage.cache_read.input_tokens": cache_read,
                "gen_ai.usage.cache_creation.input_tokens": cache_write,
                "gen_ai.usage.reasoning.output_tokens": reasoning
            }),
        ),
        tokens(
            Convention::Anthropic,
            json!({
                "input_tokens": input, "output_tokens": out,
                "cache_read_input_tokens": cache_read, "cache_creation_input_tokens": cache_write
            }),
        ),
        tokens(
            Convention::Bedrock,
            json!({
                "inputTokens": input, "outputTokens": out, "totalTokens": all + out,
                "cacheReadInputTokens": cache_read, "cacheWriteInputTokens": cache_write
            }),
        ),
    ]
}

/// The same call of Gemini, whose object has no cache writes.
fn gemini(parts: Tokens) -> Tokens {
    let Tokens { input, cache_read, output, reasoning, .. } = parts;
    tokens(
        Convention::Gemini,
        json!({
            "promptTokenCount": input + cache_read, "cachedContentTokenCount": cache_read,
            "candidatesTokenCount": output, "thoughtsTokenCount": reasoning,
            "totalTokenCount": input + cache_read + output + reasoning
        }),
    )
}

proptest! {
    #[test]
    fn a_call_costs_the_same_in_every_convention(
        parts in super::any_tokens(),
        rates in any_rates(),
    ) {
        // Anthropic's and Bedrock's objects do not set reasoning apart, so it costs as output here.
        let price = Price::flat(Rates { reasoning: rates.output, ..rates });
        let parts = Tokens { cache_write_1h: 0, ..parts };
        for found in shapes(parts) {
            prop_assert_eq!(found.input_total(), parts.input_total());
            prop_assert_eq!(found.output_total(), parts.output_total());
            prop_assert_eq!(cost(&price, &found), cost(&price, &parts));
        }
        let [chat, responses, otel, ..] = shapes(parts);
        prop_assert_eq!([chat, responses, otel], [parts; 3]);
        let unwritten = Tokens { cache_write: 0, ..parts };
        prop_assert_eq!(gemini(unwritten), unwritten);
    }

    #[test]
    fn what_is_read_is_never_negative(
        counts in prop::array::uniform6(-3_i64..40),
        convention in prop::sample::select(Convention::ALL),
    ) {
        let [a, b, c, d, e, f] = counts;
        let object = json!({
            "input_tokens": a, "output_tokens": b, "cache_read_input_tokens": c,
            "cache_creation_input_tokens": d, "total_tokens": e,
            "cache_creation": {"ephemeral_1h_input_tokens": f},
            "input_tokens_details": {"cached_tokens": c, "cache_write_tokens": d},
            "output_tokens_details": {"reasoning_tokens": f},
            "gen_ai.usage.input_tokens": a, "gen_ai.usage.output_tokens": b,
            "gen_ai.usage.cache_read.input_tokens": c, "gen_ai.usage.reasoning.output_tokens": f,
        });
        if let Ok(tokens) = usage(convention, object).tokens() {
            let Tokens { input, cache_read, cache_write, cache_write_1h, output, .. } = tokens;
            let parts = [input, cache_read, cache_write, cache_write_1h, output, tokens.reasoning];
            prop_assert!(parts.iter().all(|part| *part >= 0), "{:?}", tokens);
            prop_assert!(cost(&gpt_4o(), &tokens).micros >= 0);
        }
    }
}
