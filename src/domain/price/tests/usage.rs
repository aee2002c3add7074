//! Usage objects of all conventions.

use super::{any_rates, gpt_4o};
use crate::domain::{
    check::Checks,
    price::{Convention, Price, Rates, Tokens, Usage, cost},
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
        json!(2.0),
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

/// One call in each convention.
fn shapes(parts: Tokens) -> [Tokens; 4] {
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
    ]
}

proptest! {
    #[test]
    fn a_call_costs_the_same_in_every_convention(
        parts in super::any_tokens(),
        rates in any_rates(),
    ) {
        // Anthropic's object does not set reasoning apart, so it costs as output here.
        let price = Price::flat(Rates { reasoning: rates.output, ..rates });
        let parts = Tokens { cache_write_1h: 0, ..parts };
        for found in shapes(parts) {
            prop_assert_eq!(found.input_total(), parts.input_total());
            prop_assert_eq!(found.output_total(), parts.output_total());
            prop_assert_eq!(cost(&price, &found), cost(&price, &parts));
        }
        let [chat, responses, otel, _] = shapes(parts);
        prop_assert_eq!([chat, responses, otel], [parts; 3]);
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
