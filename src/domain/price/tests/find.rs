//! Which price is found.

use super::{gpt_4o, instant};
use proptest::prelude::*;

use crate::domain::price::{
    BookPrice, Lack, Price, Rates, canonical, charged, choose, disagreeing, names, provider::maker,
    wait::reason,
};

const NOW: &str = "2025-06-01T00:00:00Z";

/// A row whose input rate tells which it is.
fn row(number: i64, provider: &str, model: &str, from: &str, input: i64) -> BookPrice {
    let price = Price::flat(Rates { input, ..gpt_4o().rates });
    let (provider, model) = (provider.into(), model.into());
    BookPrice { number, provider, model, effective_from: instant(from), price, source: None }
}

fn old(number: i64, provider: &str, model: &str, input: i64) -> BookPrice {
    row(number, provider, model, "2024-01-01T00:00:00Z", input)
}

fn found(rows: &[BookPrice], provider: Option<&str>, model: &str) -> Option<i64> {
    choose(&[rows], provider, model, instant(NOW)).map(|row| row.number)
}

#[test]
fn the_newest_price_in_effect_holds() {
    let mut rows = vec![
        row(1, "openai", "gpt-4o", "2024-01-01T00:00:00Z", 1),
        row(2, "openai", "gpt-4o", "2025-06-01T00:00:00Z", 2),
        row(3, "openai", "gpt-4o", "2025-06-01T00:00:01Z", 3),
    ];
    rows.push(row(7, "openai", "gpt-4o", "2024-06-01T00:00:00Z", 7));
    assert_eq!(found(&rows, Some("openai"), "gpt-4o"), Some(2));
    let early = instant("2025-05-31T23:59:59Z");
    assert_eq!(choose(&[&rows], Some("openai"), "gpt-4o", early).map(|row| row.number), Some(7));
    let before = instant("2023-01-01T00:00:00Z");
    assert_eq!(choose(&[&rows], Some("openai"), "gpt-4o", before), None);
    rows.push(row(9, "openai", "gpt-4o", NOW, 9));
    rows.push(row(4, "openai", "gpt-4o", NOW, 4));
    assert_eq!(found(&rows, Some("openai"), "gpt-4o"), Some(9));
    assert_eq!(found(&rows, None, "gpt-4o"), Some(9));
}

#[test]
fn a_call_before_every_price_is_charged_at_the_first_that_has_begun_since() {
    let rows = [
        row(1, "openai", "gpt-4o", "2025-03-01T00:00:00Z", 1),
        row(2, "openai", "gpt-4o", "2025-02-01T00:00:00Z", 2),
        row(3, "azure", "gpt-4o", "2025-01-15T00:00:00Z", 3),
        row(4, "openai", "other", "2025-01-01T00:00:00Z", 4),
    ];
    let found = |at: &str, now: &str| {
        let found = charged(&[&rows], Some("openai"), "gpt-4o", instant(at), instant(now));
        found.map(|row| row.number)
    };
    let (early, between) = ("2025-01-01T00:00:00Z", "2025-02-15T00:00:00Z");
    assert_eq!(found(early, NOW), Some(2));
    assert_eq!(found(early, between), Some(2));
    assert_eq!(found(early, "2025-01-31T23:59:59Z"), None);
    assert_eq!(found(between, NOW), Some(2));
    assert_eq!(found(NOW, NOW), Some(1));
}

proptest! {
    /// A price that holds now rates every call up to now, and a price that held at the time of a call
    /// goes before all later ones.
    #[test]
    fn what_has_a_price_now_rates_every_call_before(
        starts in prop::collection::vec((1u32..28, 0usize..4, 0usize..3), 0..8),
        at in 1u32..28,
        now in 1u32..28,
        provider in prop::option::of(0usize..4),
    ) {
        const MADE: [&str; 4] = ["openai", "azure", "x", "unknown"];
        const NAMED: [&str; 3] = ["m", "m-latest", "n"];
        let day = |day: u32| format!("2025-05-{day:02}T00:00:00Z");
        let rows = starts.iter().zip(1..).map(|((from, provider, model), number)| {
            row(number, MADE[*provider], NAMED[*model], &day(*from), number)
        });
        let rows: Vec<BookPrice> = rows.collect();
        let provider = provider.map(|index| MADE[index]);
        let (at, now) = (instant(&day(at.min(now))), instant(&day(now)));
        let found = charged(&[&rows], provider, "m", at, now);
        if let Some(then) = choose(&[&rows], provider, "m", at) {
            prop_assert_eq!(found, Some(then));
        } else if choose(&[&rows], provider, "m", now).is_some() {
            prop_assert!(found.is_some_and(|row| at < row.effective_from && row.effective_from <= now));
        }
    }
}

#[test]
fn names_are_tried_from_the_exact_to_the_bare() {
    let mut rows = vec![
        old(1, "openai", "gpt-4o", 1),
        old(2, "openai", "gpt-4o-2024-05-13", 2),
        old(3, "mistral", "mistral-large-latest", 3),
        old(4, "anthropic", "claude-sonnet-4", 4),
    ];
    for (model, want) in [
        ("gpt-4o", Some(1)),
        ("GPT-4o", Some(1)),
        (" gpt-4o ", Some(1)),
        ("gpt-4o-2024-05-13", Some(2)),
        ("gpt-4o-2024-08-06", Some(1)),
        ("openai/gpt-4o", Some(1)),
        ("openai/gpt-4o-2024-08-06", Some(1)),
        ("openai/gpt-4o-2024-05-13", Some(2)),
        ("mistral-large", None),
        ("mistral-large-latest", Some(3)),
        ("mistral-large-20251201", Some(3)),
        ("claude-sonnet-4-20250514", Some(4)),
        ("claude-sonnet-4@20250514", Some(4)),
        ("claude-sonnet-4-latest", Some(4)),
        ("gpt-4o-1999-05-06", None),
        ("gpt-4o-2024-13-06", None),
        ("gpt-4o-2024-08-32", None),
        ("gpt-4o-12345678", None),
        ("gpt-4o-2024x08x06", None),
        ("gpt-4o-mini", None),
        ("azure/gpt-4o", None),
        ("-latest", None),
        ("-20250514", None),
        ("é20250514", None),
        ("", None),
    ] {
        assert_eq!(found(&rows, None, model), want, "{model}");
    }
    rows.push(old(5, "openrouter", "openai/gpt-4o", 5));
    assert_eq!(found(&rows, None, "openai/gpt-4o"), Some(5));
    assert_eq!(found(&rows, Some("openrouter"), "openai/gpt-4o-2024-08-06"), Some(5));
    assert_eq!(found(&rows, Some("openai"), "openai/gpt-4o"), Some(1));
}

#[test]
fn a_named_provider_is_binding_by_any_of_its_names() {
    let rows = [old(1, "openai", "gpt-4o", 1), old(2, "gemini", "gemini-2.5-pro", 2)];
    assert_eq!(found(&rows, Some("azure"), "gpt-4o"), None);
    assert_eq!(found(&rows, Some("azure"), "openai/gpt-4o"), None);
    assert_eq!(found(&rows, Some("OpenAI"), "gpt-4o"), Some(1));
    assert_eq!(found(&rows, Some("gcp.gemini"), "gemini-2.5-pro"), Some(2));
    assert_eq!(found(&rows, None, "google/gemini-2.5-pro"), Some(2));
}

#[test]
fn without_a_provider_all_agree_or_the_maker_decides() {
    let agree = [old(1, "groq", "llama-4", 7), old(2, "azure", "llama-4", 7)];
    assert_eq!(found(&agree, None, "llama-4"), Some(2));
    let differ = [old(1, "groq", "llama-4", 7), old(2, "azure", "llama-4", 8)];
    assert_eq!(found(&differ, None, "llama-4"), None);
    // Only the newest of each provider counts.
    let renewed = [
        old(1, "groq", "llama-4", 7),
        old(2, "azure", "llama-4", 8),
        row(3, "groq", "llama-4", "2025-01-01T00:00:00Z", 8),
    ];
    assert_eq!(found(&renewed, None, "llama-4"), Some(2));
    let made = [old(1, "azure", "gpt-4o", 7), old(2, "openai", "gpt-4o", 8)];
    assert_eq!(found(&made, None, "gpt-4o"), Some(2));
    let resold = [old(1, "azure", "gpt-4o", 7), old(2, "kyma", "gpt-4o", 8)];
    assert_eq!(found(&resold, None, "gpt-4o"), None);
    // A name that has prices decides, though a shorter one would be clear.
    let dated = [
        old(1, "groq", "llama-4-2025-01-01", 7),
        old(2, "azure", "llama-4-2025-01-01", 8),
        old(3, "groq", "llama-4", 9),
    ];
    assert_eq!(found(&dated, Some("groq"), "llama-4-2025-01-01"), Some(1));
}

#[test]
fn a_price_for_calls_without_a_provider_ends_a_disagreement() {
    let told = |rows: &[BookPrice], provider, model| {
        disagreeing(&[&[], rows], provider, model, instant(NOW)).join(" ")
    };
    let mut rows = vec![
        old(1, "groq", "llama-4", 7),
        old(2, "Azure_OpenAI", "LLAMA-4", 8),
        row(3, "later", "llama-4", "2025-06-01T00:00:01Z", 9),
        old(4, "azure", "gpt-4o", 7),
        old(5, "kyma", "gpt-4o", 8),
        old(6, "groq", "qwen", 7),
    ];
    for (provider, model, want) in [
        (None, "llama-4", "azure groq"),
        (None, "llama-4-2025-01-01", "azure groq"),
        (None, "gpt-4o", "azure kyma"),
        (None, "qwen", ""),
        (None, "nobody", ""),
        (Some("groq"), "llama-4", ""),
        (Some("x"), "llama-4", ""),
        (None, "x/llama-4", ""),
    ] {
        assert_eq!(told(&rows, provider, model), want, "{provider:?} {model}");
    }
    rows.extend([old(7, "unknown", "llama-4", 9), old(8, "Unknown", "gpt-4o", 9)]);
    rows.push(old(9, "openai", "gpt-4o", 10));
    for (provider, model, want) in [
        (None, "llama-4", Some(7)),
        (None, "llama-4-2025-01-01", Some(7)),
        (Some("groq"), "llama-4", Some(1)),
        (Some("x"), "llama-4", None),
        (None, "gpt-4o", Some(8)),
        (Some("openai"), "gpt-4o", Some(9)),
    ] {
        assert_eq!(found(&rows, provider, model), want, "{provider:?} {model}");
        assert_eq!(told(&rows, provider, model), "");
    }
}

#[test]
fn the_holder_hears_whether_nobody_has_a_price_or_several_differ() {
    let lack = |provider: Option<&str>, model: &str, sellers: &[&str]| Lack {
        provider: provider.map(str::to_owned),
        model: model.to_owned(),
        disagreeing: sellers.iter().map(|name| (*name).to_owned()).collect(),
    };
    for (lacks, want) in [
        (vec![lack(Some("x"), "new", &[])], "x/new has none"),
        (vec![lack(Some("x"), "new", &[]), lack(None, "m", &[])], "x/new, m have none"),
        (
            vec![lack(None, "m", &["a", "b"])],
            "no provider was stated for m, whose prices differ (a, b)",
        ),
        (
            vec![lack(None, "m", &["a", "b", "c", "d", "e"]), lack(Some("x"), "new", &[])],
            "x/new has none, and no provider was stated for m, whose prices differ (a, b, c and 2 others)",
        ),
    ] {
        let text = reason(&lacks);
        let start = "the budget refuses models without a price, and ";
        assert!(text.starts_with(&format!("{start}{want}: send a checkpoint")), "{text}");
    }
    assert_eq!(lack(None, "m", &["a", "b", "c", "d"]).sellers().unwrap(), "a, b, c and 1 other");
    assert_eq!(lack(None, "m", &[]).sellers(), None);
}

#[test]
fn every_name_that_is_tried_is_told() {
    let all = [
        "gpt-4o",
        "gpt-4o-2024-08-06",
        "gpt-4o-latest",
        "openai/gpt-4o",
        "openai/gpt-4o-2024-08-06",
        "openai/gpt-4o-latest",
    ];
    assert_eq!(names("openai/GPT-4o-2024-08-06"), all);
    assert_eq!(names("gpt-4o"), ["gpt-4o"]);
    assert_eq!(names("Élan"), ["Élan".to_ascii_lowercase(), "élan".to_owned()]);
    assert_eq!(names("gpt-4o-latest"), ["gpt-4o", "gpt-4o-latest"]);
}

#[test]
fn providers_have_one_name() {
    for (name, want) in [
        ("gcp.gemini", "google"),
        ("Gemini", "google"),
        ("mistral_ai", "mistral"),
        ("azure.ai.openai", "azure"),
        ("vertex_ai-anthropic_models", "vertex_ai"),
        ("bedrock_converse", "bedrock"),
        ("x_ai", "xai"),
        ("somebody", "somebody"),
    ] {
        assert_eq!(canonical(name), want);
        assert_eq!(canonical(&canonical(name)), want);
    }
    assert_eq!(maker("Claude-opus-4-5"), Some("anthropic"));
    assert_eq!(maker("llama-4"), None);
}

#[test]
fn a_name_goes_before_a_book() {
    let own = [old(1, "mistral", "mistral-small", 1)];
    let built_in =
        [old(2, "mistral", "mistral-small-latest", 2), old(3, "mistral", "mistral-small", 3)];
    let found = |model| {
        choose(&[&own, &built_in], Some("mistral"), model, instant(NOW)).map(|row| row.number)
    };
    assert_eq!(found("mistral-small-latest"), Some(2));
    assert_eq!(found("mistral-small"), Some(1));
    assert_eq!(found("mistral-small-2506"), None);
    assert_eq!(found("mistral-small-20250601"), Some(1));
}
