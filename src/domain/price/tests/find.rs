//! Which price is found.

use super::{gpt_4o, instant};
use crate::domain::price::{BookPrice, Price, Rates, canonical, choose, names, provider::maker};

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
