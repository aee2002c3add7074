//! Prices that operators send.

use super::{any_price, gpt_4o};
use crate::domain::price::{NewPrice, Price, Rates, absurdities};
use proptest::prelude::*;
use serde_json::{Value, json};

fn new(change: Value) -> NewPrice {
    let mut body = json!({
        "provider": "openai", "model": "gpt-4o",
        "usd_per_million": {"input": "2.50", "output": 10, "cache_read": 1.25}
    });
    for (key, value) in change.as_object().unwrap() {
        body[key] = value.clone();
    }
    serde_json::from_value(body).unwrap()
}

fn places(change: Value) -> Vec<String> {
    let refusal = new(change).price().unwrap_err();
    refusal.errors.into_iter().map(|error| error.pointer).collect()
}

#[test]
fn text_and_numbers_are_dollars_per_million_tokens() {
    assert_eq!(new(json!({})).price().unwrap(), gpt_4o());
    let price = new(json!({
        "usd_per_million": {"input": 0.1, "output": 3.75e-1, "cache_write": "0.000001"},
        "usd_per_request": "0.005",
        "tiers": [
            {"above": 500_000, "usd_per_million": {"output": "9"}},
            {"above": 200_000, "usd_per_million": {"input": "0.2"}}
        ]
    }));
    let price = price.price().unwrap();
    assert_eq!(
        (price.rates.input, price.rates.output, price.rates.cache_write),
        (100_000, 375_000, 1)
    );
    assert_eq!(price.per_request, 5_000_000_000);
    let tiers: Vec<_> =
        price.tiers.iter().map(|t| (t.above, t.rates.input, t.rates.output)).collect();
    assert_eq!(tiers, [(200_000, 200_000, 375_000), (500_000, 200_000, 9_000_000)]);
}

#[test]
fn what_is_no_price_is_refused_with_its_places() {
    let rates = |input: Value| json!({"usd_per_million": {"input": input, "output": "1"}});
    for bad in ["-1", "0.0000001", "x", "", "1000000.1"] {
        assert_eq!(places(rates(json!(bad))), ["/usd_per_million/input"], "{bad}");
    }
    assert_eq!(places(rates(json!(0.1 + 0.2))), ["/usd_per_million/input"]);
    let all = json!({
        "provider": "", "model": "a\nb", "effective_from": "1999-01-01T00:00:00Z",
        "note": "n".repeat(1001), "usd_per_request": "1001",
        "usd_per_million": {"input": "1", "output": "-1", "reasoning": "-1"},
        "tiers": [
            {"above": 0, "usd_per_million": {}},
            {"above": 9, "usd_per_million": {"cache_read": "-1"}},
            {"above": 9, "usd_per_million": {}}
        ]
    });
    let want = [
        "/provider",
        "/model",
        "/effective_from",
        "/note",
        "/usd_per_million/output",
        "/usd_per_million/reasoning",
        "/usd_per_request",
        "/tiers/0/above",
        "/tiers/1/usd_per_million/cache_read",
        "/tiers/2/above",
    ];
    assert_eq!(places(all), want);
    let tiers: Vec<_> = (1..=21).map(|n| json!({"above": n, "usd_per_million": {}})).collect();
    assert_eq!(places(json!({"tiers": tiers})), ["/tiers"]);
    for bad in [json!(null), json!(true), json!([]), json!({})] {
        let body = json!({
            "provider": "p", "model": "m", "usd_per_million": {"input": bad, "output": 1}
        });
        assert!(serde_json::from_value::<NewPrice>(body).is_err());
    }
}

#[test]
fn the_wire_form_comes_back_as_text() {
    let sent = serde_json::to_value(new(json!({"force": true}))).unwrap();
    let rates = json!({"input": "2.50", "output": "10", "cache_read": "1.25"});
    assert_eq!((&sent["usd_per_million"], &sent["force"]), (&rates, &json!(true)));
    let unknown = json!({"provider": "p", "model": "m", "usd": 1, "usd_per_million": rates});
    assert!(serde_json::from_value::<NewPrice>(unknown).is_err());
}

#[test]
fn slips_are_seen() {
    let none: [&str; 0] = [];
    let with = |rates: Rates| Price::flat(rates);
    let rates = gpt_4o().rates;
    assert_eq!(absurdities(&gpt_4o(), None), none);
    let limit = with(Rates { output: 1_000_000_000, ..rates });
    assert_eq!(absurdities(&limit, None), none);
    let above = with(Rates { output: 1_000_000_001, ..rates });
    assert_eq!(absurdities(&above, None), ["`output` is above $1,000 per million tokens"]);
    let tier = crate::domain::price::Tier { above: 5, rates: above.rates };
    let tiered = Price { tiers: vec![tier.clone(), tier], ..gpt_4o() };
    assert_eq!(absurdities(&tiered, None).len(), 1);
    let request = Price { per_request: 10_000_000_000_001, ..gpt_4o() };
    assert_eq!(absurdities(&request, None), ["a request costs more than $10"]);
    let nothing = Rates {
        input: 0,
        output: 0,
        cache_read: 0,
        cache_write: 0,
        cache_write_1h: 0,
        reasoning: 0,
    };
    assert_eq!(absurdities(&with(nothing), None), ["every rate and the request price are zero"]);
    let paid = Price { per_request: 1, ..with(nothing) };
    assert_eq!(absurdities(&paid, None), none);
}

#[test]
fn a_price_far_from_the_previous_is_a_slip() {
    let rates = gpt_4o().rates;
    let found = |input| absurdities(&Price::flat(Rates { input, ..rates }), Some(&gpt_4o())).len();
    assert_eq!((found(250_000_000), found(250_000_001)), (0, 1));
    assert_eq!((found(25_000), found(24_999), found(0)), (0, 1, 1));
}

proptest! {
    #[test]
    fn a_price_is_never_absurd_beside_itself(price in any_price()) {
        prop_assert_eq!(absurdities(&price, Some(&price)), absurdities(&price, None));
    }
}
