//! Reading price files.

use super::instant;
use crate::domain::price::{
    Imported, ImportedPrice, Price, Rates, SkipReason, absurd_rates,
    import::{genai_prices, litellm},
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn one<'a>(read: &'a Imported, provider: &str, model: &str) -> &'a ImportedPrice {
    let mut all = read.prices.iter().filter(|p| p.provider == provider && p.model == model);
    let first = all.next().unwrap();
    assert!(all.next().is_none());
    first
}

fn skipped(read: &Imported) -> Vec<(&str, SkipReason)> {
    read.skipped.iter().map(|skip| (skip.name.as_str(), skip.reason)).collect()
}

fn rates(price: &Price) -> [i64; 6] {
    price.rates.named().map(|(_, rate)| rate)
}

#[test]
fn litellm_entries_become_prices() {
    let file = json!({
        "gpt-4o": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2.5e-06,
            "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-06,
            "input_cost_per_token_batches": 1.25e-06},
        "azure/eu/gpt-4o": {"litellm_provider": "azure", "mode": "chat",
            "input_cost_per_token": 3.75e-08, "output_cost_per_token": 0.000011},
        "claude-x": {"litellm_provider": "anthropic", "input_cost_per_token": 3e-06,
            "output_cost_per_token": 1.5e-05, "cache_creation_input_token_cost": 3.75e-06,
            "cache_creation_input_token_cost_above_1hr": 6e-06,
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05,
            "cache_read_input_token_cost": 3e-07, "output_cost_per_reasoning_token": 2e-05,
            "input_cost_per_token_above_200k_tokens": 6e-06,
            "output_cost_per_token_above_200k_tokens": 2.25e-05,
            "input_cost_per_token_above_200k_tokens_priority": 1.0},
        "deepseek/deepseek-chat": {"litellm_provider": "deepseek", "mode": "chat",
            "input_cost_per_token": 2.8e-07, "output_cost_per_token": "4.2e-07",
            "input_cost_per_token_cache_hit": 2.8e-08, "cache_creation_input_token_cost": 0.0,
            "off_peak_pricing": {}},
        "vertex_ai/claude-x": {"litellm_provider": "vertex_ai-anthropic_models", "mode": "chat",
            "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05},
        "embed": {"litellm_provider": "openai", "mode": "embedding", "input_cost_per_token": 2e-08,
            "input_cost_per_request": 0.005}
    });
    let read = litellm::read(&file);
    assert_eq!(skipped(&read), []);
    let gpt = one(&read, "openai", "gpt-4o");
    assert_eq!((&gpt.price, gpt.notes.len(), gpt.effective_from), (&super::gpt_4o(), 0, None));
    assert_eq!(rates(&one(&read, "azure", "eu/gpt-4o").price)[..2], [37_500, 11_000_000]);
    let claude = &one(&read, "anthropic", "claude-x").price;
    assert_eq!(rates(claude), [3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000, 20_000_000]);
    assert_eq!(claude.tiers.len(), 1);
    let tier = claude.tiers[0].rates.named().map(|(_, rate)| rate);
    assert_eq!(claude.tiers[0].above, 200_000);
    assert_eq!(tier, [6_000_000, 22_500_000, 300_000, 3_750_000, 12_000_000, 20_000_000]);
    let deepseek = one(&read, "deepseek", "deepseek-chat");
    assert_eq!(rates(&deepseek.price), [280_000, 420_000, 28_000, 280_000, 280_000, 420_000]);
    assert_eq!(deepseek.notes, ["`off_peak_pricing` is left out"]);
    one(&read, "vertex_ai", "claude-x");
    let embed = &one(&read, "openai", "embed").price;
    assert_eq!((rates(embed)[..2].to_vec(), embed.per_request), (vec![20_000, 0], 5_000_000_000));
}

#[test]
fn litellm_ranges_are_tiers() {
    let file = json!({"dashscope/q": {"litellm_provider": "dashscope", "mode": "chat",
    "tiered_pricing": [
        {"range": [32000.0, 128000.0], "input_cost_per_token": 2.4e-06,
         "output_cost_per_token": 1.2e-05},
        {"range": [0, 32000.0], "input_cost_per_token": 1.2e-06,
         "output_cost_per_token": 6e-06},
        {"max_results_range": [0, 5], "input_cost_per_query": 1}
    ]}});
    let read = litellm::read(&file);
    let price = &one(&read, "dashscope", "q").price;
    assert_eq!(rates(price)[..2], [1_200_000, 6_000_000]);
    let above = (price.tiers.len(), price.tiers[0].above, price.tiers[0].rates.input);
    assert_eq!(above, (1, 32_000, 2_400_000));
    assert_eq!(price.rates_for(32_000).output, 6_000_000);
}

#[test]
fn litellm_entries_without_a_price_are_listed() {
    let entry = |mode: &str, input: Value, output: Value| {
        json!({"litellm_provider": "p", "mode": mode, "input_cost_per_token": input,
            "output_cost_per_token": output})
    };
    let file = json!({
        "sample_spec": entry("chat", json!(1e-6), json!(1e-6)),
        "a-list": [], "b-nobody": {"input_cost_per_token": 1e-6},
        "c-pictures": entry("image_generation", json!(1e-6), json!(1e-6)),
        "d-half": entry("chat", json!(null), json!(1e-6)),
        "e-bad": entry("chat", json!("much"), json!(1e-6)),
        "f-negative": entry("chat", json!(-1e-6), json!(1e-6)),
        "g-free": entry("chat", json!(0), json!(0.0)),
        "h-dear": entry("chat", json!(0.0032), json!(1e-6)),
        "i-same": entry("chat", json!(1e-6), json!(1e-6)),
        "i-SAME": entry("chat", json!(1e-6), json!(1e-6)),
        "p/I-Same": entry("chat", json!(2e-6), json!(1e-6)),
        "j-range": {"litellm_provider": "p", "tiered_pricing": [{"range": ["x"]}]},
    });
    let read = litellm::read(&file);
    let models: Vec<_> = read.prices.iter().map(|price| price.model.as_str()).collect();
    assert_eq!(models, ["g-free", "i-SAME"]);
    let want = [
        ("a-list", SkipReason::Malformed),
        ("b-nobody", SkipReason::NoProvider),
        ("c-pictures", SkipReason::NotText),
        ("d-half", SkipReason::NoTokenPrice),
        ("e-bad", SkipReason::BadRate),
        ("f-negative", SkipReason::BadRate),
        ("h-dear", SkipReason::Absurd),
        ("i-same", SkipReason::Duplicate),
        ("j-range", SkipReason::Malformed),
        ("p/I-Same", SkipReason::Duplicate),
        ("sample_spec", SkipReason::Sample),
    ];
    assert_eq!(skipped(&read), want);
    let details = ["p/I-Same", "i-same"].map(|name| {
        read.skipped.iter().find(|skip| skip.name == name).map(|skip| skip.detail.as_str())
    });
    assert_eq!(details, [Some("with another price"), Some("with the same price")]);
    assert_eq!(skipped(&litellm::read(&json!([]))), [("", SkipReason::Malformed)]);
}

#[test]
fn only_tiers_that_can_be_and_change_something_are_kept() {
    let file = |keys: &[&str]| {
        let mut entry = json!({"litellm_provider": "p", "input_cost_per_token": 1e-6,
            "output_cost_per_token": 1e-6});
        for key in keys {
            entry[format!("input_cost_per_token_above_{key}_tokens")] = json!(2e-6);
        }
        litellm::read(&json!({"m": entry}))
    };
    let bounds = |read: &Imported| -> Vec<i64> {
        read.prices[0].price.tiers.iter().map(|tier| tier.above).collect()
    };
    // The second tier is as the first.
    assert_eq!(bounds(&file(&["200k", "400k"])), [200_000]);
    assert_eq!(bounds(&file(&["9999999999999999k", "+5k", "0k", "k", "5m"])), [0; 0]);
    let many: Vec<_> = (1..=21).map(|bound| format!("{bound}k")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(skipped(&file(&many)), [("m", SkipReason::Malformed)]);
    assert_eq!(bounds(&file(&many[..20])), [1_000]);
}

#[test]
fn rates_finer_than_a_pico_dollar_are_rounded_and_noted() {
    let file = json!({"m": {"litellm_provider": "p", "input_cost_per_token": 1.418125e-07,
        "output_cost_per_token": 2.9999900000000002e-06, "cache_read_input_token_cost": 1.5e-12}});
    let read = litellm::read(&file);
    let price = one(&read, "p", "m");
    assert_eq!(rates(&price.price)[..3], [141_812, 2_999_990, 2]);
    assert_eq!(price.notes.len(), 3);
}

#[test]
fn genai_prices_become_prices() {
    let file = json!([{"id": "google", "models": [
        {"id": "gem", "match": {"or": [{"equals": "gem-1"}, {"starts_with": "gem-pro"},
            {"contains": "x"}, {"equals": "flat"}]},
         "prices": {"input_mtok": {"base": 1.25, "tiers": [{"start": 200_000, "price": 2.5}]},
            "output_mtok": {"base": "10", "tiers": [{"start": 300_000, "price": 15}]},
            "cache_read_mtok": 0.125, "cache_write_5m_mtok": 2, "cache_write_1h_mtok": 3,
            "output_reasoning_mtok": 11, "requests_kcount": 14, "input_audio_mtok": 1}},
        {"id": "flat", "match": {"equals": "flat"}, "prices": [
            {"prices": {"input_mtok": 3, "output_mtok": 15}},
            {"constraint": {"start_date": "2026-03-13"},
             "prices": {"input_mtok": 2, "output_mtok": 9}},
            {"constraint": {"start_date": "2026-03-13"},
             "prices": {"input_mtok": 1, "output_mtok": 9}}]}
    ]}]);
    let read = genai_prices::read(&file);
    assert_eq!(skipped(&read), [("google/flat", SkipReason::Duplicate)]);
    let gem = &one(&read, "google", "gem").price;
    assert_eq!(rates(gem), [1_250_000, 10_000_000, 125_000, 2_000_000, 3_000_000, 11_000_000]);
    let tiers: Vec<_> =
        gem.tiers.iter().map(|t| (t.above, t.rates.input, t.rates.output)).collect();
    assert_eq!(tiers, [(200_000, 2_500_000, 10_000_000), (300_000, 2_500_000, 15_000_000)]);
    assert_eq!(gem.per_request, 14_000_000_000);
    for name in ["gem-1", "gem-pro"] {
        assert_eq!(&one(&read, "google", name).price, gem);
    }
    let flat: Vec<_> = read.prices.iter().filter(|price| price.model == "flat").collect();
    let found: Vec<_> = flat.iter().map(|p| (p.effective_from, p.price.rates.input)).collect();
    let later = Some(instant("2026-03-13T00:00:00Z"));
    assert_eq!(found, [(later, 1_000_000), (None, 3_000_000)]);
    let whole = json!({"providers": file});
    assert_eq!(genai_prices::read(&whole), read);
}

#[test]
fn a_name_of_a_rule_yields_to_the_model_of_that_name() {
    let rate = |input: i64| json!({"input_mtok": input, "output_mtok": 1});
    let file = json!([{"id": "p", "models": [
        {"id": "a", "match": {"starts_with": "b"}, "prices": [
            {"prices": rate(1)},
            {"constraint": {"start_date": "2026-01-01"}, "prices": rate(2)}]},
        {"id": "b", "match": {"equals": "b"}, "prices": rate(3)}
    ]}]);
    let read = genai_prices::read(&file);
    assert_eq!(one(&read, "p", "b").price.rates.input, 3_000_000);
}

#[test]
fn genai_prices_without_a_price_are_listed() {
    let file = json!([
        3, {"id": "empty"},
        {"id": "p", "models": [
            7, {"id": "none"}, {"id": "sound", "prices": {"input_audio_mtok": 1}},
            {"id": "bad", "prices": {"input_mtok": -1}},
            {"id": "tier", "prices": {"input_mtok": {"base": 1, "tiers": [{"start": 0}]}}},
            {"id": "when", "prices": [{"constraint": {"moon": 1}, "prices": {"input_mtok": 1}}]}
        ]}
    ]);
    let read = genai_prices::read(&file);
    assert_eq!(read.prices, []);
    let want = [
        ("", SkipReason::NoProvider),
        ("empty", SkipReason::Malformed),
        ("p", SkipReason::Malformed),
        ("p/none", SkipReason::Malformed),
        ("p/sound", SkipReason::NoTokenPrice),
        ("p/bad", SkipReason::BadRate),
        ("p/tier", SkipReason::Malformed),
        ("p/when", SkipReason::Malformed),
    ];
    assert_eq!(skipped(&read), want);
    assert_eq!(skipped(&genai_prices::read(&json!({}))), [("", SkipReason::Malformed)]);
}

#[test]
fn no_more_than_a_bounded_number_is_read() {
    let entry = json!({"litellm_provider": "p", "input_cost_per_token": 1e-6,
        "output_cost_per_token": 1e-6});
    let file: serde_json::Map<_, _> =
        (0..20_003).map(|n| (format!("m{n}"), entry.clone())).collect();
    let read = litellm::read(&Value::Object(file));
    assert_eq!((read.prices.len(), read.skipped.len()), (20_000, 3));
    assert!(read.skipped.iter().all(|skip| skip.reason == SkipReason::TooMany));
    let file: serde_json::Map<_, _> = (0..20_003).map(|n| (format!("m{n}"), json!(1))).collect();
    let read = litellm::read(&Value::Object(file));
    let last = read.skipped.last().unwrap();
    assert_eq!(
        (read.skipped.len(), last.detail.as_str()),
        (20_001, "3 more entries are not listed")
    );
}

#[test]
fn one_model_cannot_flood_the_book() {
    let rate = json!({"input_mtok": 1, "output_mtok": 1});
    let day = |n: i64| instant("2000-01-01T00:00:00Z") + chrono::TimeDelta::days(n);
    let sets: Vec<_> = (0..101)
        .map(|n| {
            let date = day(n).format("%Y-%m-%d").to_string();
            json!({"constraint": {"start_date": date}, "prices": rate})
        })
        .collect();
    let model = |id: &str, rule: Value, prices: Value| {
        let model = json!({"id": id, "match": rule, "prices": prices});
        genai_prices::read(&json!([{"id": "p", "models": [model]}]))
    };
    let read = model("m", json!({}), json!(sets));
    assert_eq!(read.prices.len(), 100);
    assert_eq!(read.prices[99].effective_from, Some(day(1)));
    let names: Vec<_> = (0..51).map(|n| json!({"equals": format!("n{n}")})).collect();
    assert_eq!(model("m", json!({"or": names}), rate.clone()).prices.len(), 51);
    let nested = |depth| (0..depth).fold(json!({"equals": "n"}), |rule, _| json!({"or": [rule]}));
    assert_eq!(model("m", nested(4), rate.clone()).prices.len(), 2);
    assert_eq!(model("m", nested(5), rate.clone()).prices.len(), 1);
    for name in ["", " ", "a\nb", &"n".repeat(201)] {
        let read = model(name, json!({}), rate.clone());
        assert_eq!((read.prices.len(), read.skipped[0].reason), (0, SkipReason::Malformed));
        assert!(read.skipped[0].name.chars().count() <= 200);
    }
}

/// JSON that looks like a price file in places.
fn hostile() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "litellm_provider",
        "mode",
        "input_cost_per_token",
        "output_cost_per_token",
        "cache_creation_input_token_cost",
        "input_cost_per_token_above_200k_tokens",
        "input_cost_per_token_above_99999999999999999999k_tokens",
        "tiered_pricing",
        "range",
        "output_cost_per_token_above_k_tokens",
        "id",
        "models",
        "prices",
        "match",
        "or",
        "equals",
        "input_mtok",
        "output_mtok",
        "base",
        "tiers",
        "start",
        "price",
        "constraint",
        "start_date",
        "start_time",
        "providers",
        "requests_kcount",
        "m",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-20.0_f64..0.0).prop_map(|power| Value::from(10_f64.powf(power))),
        prop::sample::select(vec!["chat", "openai", "2.5", "1e-999999999", "2026-02-30", "é", ""])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 80, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..8).prop_map(|pairs| {
                Value::Object(
                    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_read_without_harm(file in hostile(), rate in hostile()) {
        let entry = json!({"m": {"litellm_provider": "p", "input_cost_per_token": rate,
            "output_cost_per_token": 1e-6, "tiered_pricing": file}});
        let model = json!([{"id": "p", "models": [{"id": "m", "match": file, "prices": rate},
            {"id": "n", "prices": [{"prices": {"input_mtok": rate}, "constraint": file}]}]}]);
        for read in [
            litellm::read(&file), genai_prices::read(&file), litellm::read(&entry),
            genai_prices::read(&model),
        ] {
            for ImportedPrice { price, .. } in &read.prices {
                prop_assert!(absurd_rates(price, None).is_empty());
                let all = std::iter::once(price.rates).chain(price.tiers.iter().map(|t| t.rates));
                let good = |rates: Rates| rates.named().iter().all(|(_, rate)| *rate >= 0);
                prop_assert!(all.into_iter().all(good));
            }
            prop_assert!(!(read.prices.is_empty() && read.skipped.is_empty())
                || file.as_object().is_some_and(serde_json::Map::is_empty)
                || file.as_array().is_some_and(Vec::is_empty)
                || file.get("providers").is_some());
        }
    }
}
