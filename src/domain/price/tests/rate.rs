//! What calls cost.

use std::collections::BTreeMap;

use super::{any_price, any_tokens, cost, gpt_4o};
use crate::domain::price::{Cost, Price, Rates, StatedRates, TierRates, Tokens, builtin, dearest};
use proptest::prelude::*;

fn tokens(input: i64, output: i64) -> Tokens {
    Tokens { input, output, ..Tokens::default() }
}

#[test]
fn a_large_bill_is_exact_at_once_and_call_by_call() {
    let want = Cost { micros: 47_608_895, fraction: 0 };
    assert_eq!(cost(&gpt_4o(), &tokens(18_059_974, 245_896)), want);
    // Odd sizes, so that most calls have half a micro-dollar.
    let (calls, mut input, mut output) = (1_999, 18_059_974, 245_896);
    let mut costs = Vec::new();
    for _ in 1..calls {
        let (one, two) = (9_033 + costs.len() as i64 % 3, 121);
        (input, output) = (input - one, output - two);
        costs.push(cost(&gpt_4o(), &tokens(one, two)));
    }
    costs.push(cost(&gpt_4o(), &tokens(input, output)));
    assert!(input > 0 && output > 0 && costs.iter().any(|cost| cost.fraction != 0));
    assert_eq!(costs.iter().copied().sum::<Cost>(), want);
    let micros: i64 = costs.iter().map(|cost| cost.micros).sum();
    let fractions: i64 = costs.iter().map(|cost| cost.fraction).sum();
    assert_eq!((micros + fractions / 1_000_000, fractions % 1_000_000), (47_608_895, 0));
}

#[test]
fn every_kind_has_its_own_rate() {
    let rates = Rates {
        input: 1,
        output: 10,
        cache_read: 100,
        cache_write: 1_000,
        cache_write_1h: 10_000,
        reasoning: 100_000,
    };
    let all = Tokens {
        input: 1,
        output: 2,
        cache_read: 3,
        cache_write: 4,
        cache_write_1h: 5,
        reasoning: 6,
    };
    let price = Price { per_request: 7_000_000, ..Price::flat(rates) };
    assert_eq!(cost(&price, &all).picos(), 7_654_321);
    assert_eq!(cost(&price, &all), Cost { micros: 7, fraction: 654_321 });
}

#[test]
fn rates_that_are_left_out_follow_from_others() {
    let stated = StatedRates { input: 5, output: 7, ..StatedRates::default() };
    let all = |price: Rates| price.named().map(|(_, rate)| rate);
    assert_eq!(all(stated.complete()), [5, 7, 5, 5, 5, 7]);
    let stated = StatedRates { cache_write: Some(6), cache_read: Some(0), ..stated };
    assert_eq!(all(stated.complete()), [5, 7, 0, 6, 6, 7]);
    let low = TierRates { input: Some(50), ..TierRates::default() };
    let high = TierRates { output: Some(70), cache_read: Some(1), ..TierRates::default() };
    let price = Price::tiered(stated, BTreeMap::from([(20, high), (10, low)]));
    assert_eq!(all(price.rates_for(11)), [50, 7, 0, 6, 6, 7]);
    assert_eq!(all(price.rates_for(21)), [50, 70, 1, 6, 6, 70]);
}

#[test]
fn a_tier_holds_for_the_whole_call_once_the_prompt_is_larger() {
    let tier = |rate| TierRates { input: Some(rate), ..TierRates::default() };
    let tiers = BTreeMap::from([(100, tier(20)), (1_000, tier(30))]);
    let mut price = Price::tiered(StatedRates { input: 10, ..StatedRates::default() }, tiers);
    // The order of tiers says nothing.
    price.tiers.reverse();
    let costs = |input| cost(&price, &tokens(input, 0)).picos();
    assert_eq!((costs(100), costs(101)), (1_000, 2_020));
    assert_eq!((costs(1_000), costs(1_001)), (20_000, 30_030));
    let cached = Tokens { input: 1, cache_read: 100, ..Tokens::default() };
    assert_eq!(cost(&price, &cached).picos(), 2_020);
}

#[test]
fn what_cannot_be_held_stays_at_the_largest() {
    let most = Rates {
        input: i64::MAX,
        output: i64::MAX,
        cache_read: i64::MAX,
        cache_write: i64::MAX,
        cache_write_1h: i64::MAX,
        reasoning: i64::MAX,
    };
    let all = Tokens {
        input: i64::MAX,
        output: i64::MAX,
        cache_read: i64::MAX,
        cache_write: i64::MAX,
        cache_write_1h: i64::MAX,
        reasoning: i64::MAX,
    };
    let price = Price { per_request: i64::MAX, ..Price::flat(most) };
    assert_eq!(cost(&price, &all), Cost::MAX);
    assert_eq!(Cost::MAX.plus(Cost { micros: 0, fraction: 1 }), Cost::MAX);
    assert_eq!(Cost::from_picos(Cost::MAX.picos()), Cost::MAX);
    assert_eq!(all.input_total(), i64::MAX);
    let negative = Price { per_request: -5, ..Price::flat(Rates { input: -9, ..gpt_4o().rates }) };
    let mixed = Tokens { input: 1, output: 1, cache_read: -1, ..Tokens::default() };
    assert_eq!(cost(&negative, &mixed).picos(), 10_000_000);
    assert_eq!(Cost::from_picos(-1), Cost::default());
}

#[test]
fn a_stored_price_comes_back_the_same() {
    for row in builtin() {
        let text = serde_json::to_string(&row.price).unwrap();
        assert_eq!(serde_json::from_str::<Price>(&text).unwrap(), row.price);
    }
}

#[test]
fn the_prices_that_come_along_are_sound() {
    let rows = builtin();
    assert!((15..=30).contains(&rows.len()));
    let gpt = rows.iter().find(|row| row.model == "gpt-4o").unwrap();
    assert_eq!((gpt.provider.as_str(), &gpt.price), ("openai", &gpt_4o()));
    let mut names: Vec<_> = rows.iter().map(|row| (&row.provider, &row.model)).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), rows.len());
    for row in rows {
        assert_eq!(crate::domain::price::absurdities(&row.price, None), [""; 0], "{}", row.model);
        assert!(row.number < 0 && row.effective_from == super::instant("2024-01-01T00:00:00Z"));
        let rates = row.price.rates;
        assert!(rates.cache_read <= rates.input && rates.input < rates.output, "{}", row.model);
    }
    let pro = rows.iter().find(|row| row.model == "gemini-2.5-pro").unwrap();
    assert_eq!(cost(&pro.price, &tokens(200_001, 10)).picos(), 200_001 * 2_500_000 + 150_000_000);
    let claude = rows.iter().find(|row| row.model == "claude-sonnet-4-5").unwrap().price.rates;
    assert_eq!((claude.cache_write, claude.cache_write_1h), (3_750_000, 6_000_000));
}

proptest! {
    #[test]
    fn the_dearest_is_never_less_than_any(
        prices in prop::collection::vec(any_price(), 1..5),
        tokens in any_tokens(),
    ) {
        let most = dearest(&prices, &tokens).unwrap();
        prop_assert!(prices.iter().all(|price| cost(price, &tokens) <= most));
        prop_assert_eq!(dearest(&prices[..1], &tokens), Some(cost(&prices[0], &tokens)));
        prop_assert_eq!(dearest(&prices[..0], &tokens), None);
    }

    #[test]
    fn the_dearest_takes_the_highest_rate_of_each_kind(
        prices in prop::collection::vec(any_price(), 1..5),
        count in 0_i64..5_000,
    ) {
        let highest = |pick: fn(&Price, i64) -> i64, prompt| {
            prices.iter().map(|price| pick(price, prompt)).max().unwrap()
        };
        let request = highest(|price, _| price.per_request, 0);
        let input = highest(|price, prompt| price.rates_for(prompt).input, count);
        let output = highest(|price, prompt| price.rates_for(prompt).output, count);
        let most = dearest(&prices, &tokens(count, 7)).unwrap();
        prop_assert_eq!(most.picos(), i128::from(input * count + output * 7 + request));
    }

    #[test]
    fn sums_do_not_depend_on_how_they_are_cut(parts in prop::collection::vec(any_tokens(), 0..20)) {
        let price = gpt_4o();
        let sum: Cost = parts.iter().map(|tokens| cost(&price, tokens)).sum();
        let picos: i128 = parts.iter().map(|tokens| cost(&price, tokens).picos()).sum();
        prop_assert_eq!(sum.picos(), picos);
        prop_assert!((0..1_000_000).contains(&sum.fraction));
    }
}
