//! Prices by time of day.

use super::{gpt_4o, instant};
use crate::domain::price::{
    HourWindow, Hours, Price, Rates, Tokens, cost, dearest,
    hours::{cover_the_day, time_of_day},
    import::{genai_prices, litellm},
};
use chrono::{NaiveTime, TimeDelta};
use proptest::prelude::*;
use serde_json::json;

fn time(text: &str) -> NaiveTime {
    time_of_day(text).unwrap()
}

#[test]
fn times_of_day_are_read_in_utc() {
    for (text, want) in [
        ("16:30", "16:30:00"),
        ("16:30:00Z", "16:30:00"),
        ("00:30:00+08:00", "16:30:00"),
        ("20:00-05:30", "01:30:00"),
        ("24:00", "00:00:00"),
    ] {
        assert_eq!(time(text).to_string(), want, "{text}");
    }
    for text in ["", "25:00", "16", "16:30+", "16:30+99:00", "noon", "16:30:00 CET"] {
        assert_eq!(time_of_day(text), None, "{text}");
    }
}

#[test]
fn a_window_may_pass_midnight_and_keep_to_weekdays() {
    let night = HourWindow::daily(time("16:30"), time("00:30"));
    for (at, holds) in [
        ("2026-03-02T16:29:59Z", false),
        ("2026-03-02T16:30:00Z", true),
        ("2026-03-03T00:29:59Z", true),
        ("2026-03-03T00:30:00Z", false),
    ] {
        assert_eq!(night.holds(instant(at)), holds, "{at}");
    }
    let whole = HourWindow::daily(time("00:00"), time("00:00"));
    // 2026-03-07 is a Saturday; in Shanghai it begins eight hours earlier.
    let weekend = HourWindow { weekdays: vec![6, 7], ..whole };
    let shanghai = HourWindow { weekdays_in: Some("Asia/Shanghai".into()), ..weekend.clone() };
    let holds = |at| (weekend.holds(instant(at)), shanghai.holds(instant(at)));
    assert_eq!(holds("2026-03-06T15:59:59Z"), (false, false));
    assert_eq!(holds("2026-03-06T16:00:00Z"), (false, true));
    assert_eq!(holds("2026-03-08T15:59:59Z"), (true, true));
    assert_eq!(holds("2026-03-08T16:00:00Z"), (true, false));
}

#[test]
fn a_set_by_time_of_day_is_read_and_applied() {
    let rate = |input: i64| json!({"input_mtok": input, "output_mtok": 4});
    let night = json!({"start_time": "16:30:00Z", "end_time": "00:30:00Z"});
    let file = json!([{"id": "deepseek", "models": [
        {"id": "m", "prices": [{"prices": rate(2)}, {"constraint": night, "prices": rate(1)}]},
        {"id": "alone", "prices": [{"constraint": night, "prices": rate(1)}]},
        {"id": "hidden", "prices": [{"constraint": night, "prices": rate(1)}, {"prices": rate(2)}]},
        {"id": "dated", "prices": [
            {"prices": rate(3)},
            {"constraint": night, "prices": rate(1)},
            {"constraint": {"start_date": "2026-03-13"}, "prices": rate(2)}]}
    ]}]);
    let read = genai_prices::read(&file);
    let cost = |model: &str, dated: bool, at: &str| {
        let mut all = read.prices.iter();
        let price = all.find(|p| p.model == model && p.effective_from.is_some() == dated).unwrap();
        cost(&price.price, &Tokens { input: 1, ..Tokens::default() }, instant(at)).micros
    };
    let (noon, night) = ("2026-03-01T12:00:00Z", "2026-03-01T20:00:00Z");
    assert_eq!((cost("m", false, noon), cost("m", false, night)), (2, 1));
    // The dated set comes later and precedes the hours.
    assert_eq!((cost("dated", true, night), cost("dated", false, night)), (2, 1));
    assert_eq!(cost("hidden", false, night), 2);
    let skipped: Vec<_> =
        read.skipped.iter().map(|s| (s.name.as_str(), s.reason.as_str())).collect();
    let want = [("deepseek/alone", "time_of_day"), ("deepseek/hidden", "duplicate")];
    assert_eq!(skipped, want);
}

#[test]
fn sets_whose_times_cover_the_day_are_a_price() {
    let set = |from: &str, to: &str, input: i64| {
        json!({"constraint": {"start_time": from, "end_time": to},
               "prices": {"input_mtok": input, "output_mtok": 4}})
    };
    let dated = json!({"constraint": {"start_date": "2026-03-13"}, "prices": {"input_mtok": 9}});
    let (day, night) = (set("00:30:00Z", "16:30:00Z", 2), set("16:30:00Z", "00:30:00Z", 1));
    let early = set("00:00:00Z", "08:00:00Z", 3);
    let inputs = |sets: serde_json::Value| -> Vec<i64> {
        let file = json!([{"id": "deepseek", "models": [{"id": "m", "prices": sets}]}]);
        let read = genai_prices::read(&file);
        let price = read.prices.iter().find(|price| price.effective_from.is_none());
        let at = ["2026-03-14T00:29:59Z", "2026-03-14T07:00:00Z", "2026-03-14T16:29:59Z"];
        price.into_iter().flat_map(|p| at.map(|at| p.price.at(instant(at)).rates.input)).collect()
    };
    let million = |inputs: [i64; 3]| inputs.map(|input| input * 1_000_000).to_vec();
    for (sets, want) in [
        (json!([day, night]), million([1, 2, 2])),
        (json!([night, day]), million([1, 2, 2])),
        (json!([day, night, early]), million([3, 3, 2])),
        (json!([early, day, night]), million([1, 2, 2])),
        (json!([day, night, dated]), million([1, 2, 2])),
        (json!([dated, day, night]), million([1, 2, 2])),
        (json!([set("00:00", "24:00", 5)]), million([5, 5, 5])),
        (json!([day, early]), Vec::new()),
        (json!([day, set("16:30:00Z", "00:29:00Z", 1)]), Vec::new()),
        (json!([night]), Vec::new()),
    ] {
        assert_eq!(inputs(sets.clone()), want, "{sets}");
    }
    let file = json!([{"id": "p", "models": [{"id": "m", "prices": [day, night]}]}]);
    assert_eq!(genai_prices::read(&file).skipped, []);
}

#[test]
fn quiet_hours_of_litellm_are_read_and_applied() {
    let file = |windows: serde_json::Value| {
        json!({"deepseek/v": {"litellm_provider": "deepseek", "input_cost_per_token": 3e-07,
            "output_cost_per_token": 1.2e-06, "cache_read_input_token_cost": 6e-09,
            "off_peak_pricing": {"input_cost_per_token": 1.5e-07, "windows": windows}}})
    };
    let windows = json!([
        {"hours_utc": ["00:00-01:00", "10:00-00:00"], "weekdays": [1, 2, 3, 4, 5]},
        {"hours_utc": "00:00-00:00", "weekdays": [6, 7]}]);
    let read = litellm::read(&file(windows));
    let price = &read.prices[0].price;
    let rates = |at| price.at(instant(at)).rates.named().map(|(_, rate)| rate)[..3].to_vec();
    // A Monday and a Sunday.
    assert_eq!(rates("2026-03-02T09:59:59Z"), [300_000, 1_200_000, 6_000]);
    assert_eq!(rates("2026-03-02T10:00:00Z"), [150_000, 1_200_000, 6_000]);
    assert_eq!(rates("2026-03-01T09:59:59Z"), [150_000, 1_200_000, 6_000]);
    assert_eq!(read.prices[0].notes, [""; 0]);
    for unread in [
        json!([]),
        json!([{"hours_utc": "noon"}]),
        json!([{"hours_utc": "1-2"}]),
        json!([{"hours_utc": "00:00-01:00", "weekdays": [0]}]),
    ] {
        let read = litellm::read(&file(unread));
        assert_eq!(read.prices[0].notes, ["`off_peak_pricing` is left out"]);
        assert_eq!(read.prices[0].price.hours, []);
    }
}

#[test]
fn a_price_with_hours_is_stored_and_one_without_is_as_before() {
    let windows = vec![HourWindow::daily(time("16:30"), time("00:30"))];
    let hours = Hours { windows, rates: gpt_4o().rates, tiers: Vec::new(), per_request: 0 };
    let price = Price { hours: vec![hours], ..gpt_4o() };
    let text = serde_json::to_string(&price).unwrap();
    assert_eq!(serde_json::from_str::<Price>(&text).unwrap(), price);
    assert!(serde_json::to_value(gpt_4o()).unwrap().get("hours").is_none());
}

proptest! {
    /// Every instant is in a window or in the one that begins where it ends.
    #[test]
    fn a_window_and_the_rest_of_the_day_are_a_day(a in 0..86_400u32, b in 0..86_400u32, at in 0..86_400i64) {
        prop_assume!(a != b);
        let time = |s| NaiveTime::from_num_seconds_from_midnight_opt(s, 0).unwrap();
        let at = instant("2026-03-01T00:00:00Z") + TimeDelta::seconds(at);
        let (one, other) = (HourWindow::daily(time(a), time(b)), HourWindow::daily(time(b), time(a)));
        prop_assert!(one.holds(at) != other.holds(at));
    }

    /// Windows cover the day exactly if one of them holds at every minute.
    #[test]
    fn windows_that_cover_the_day_hold_at_every_minute(
        ends in prop::collection::vec((0..8u32, 0..8u32), 0..5),
    ) {
        let time = |step| NaiveTime::from_hms_opt(step * 3, 0, 0).unwrap();
        let windows: Vec<_> = ends.iter().map(|(a, b)| HourWindow::daily(time(*a), time(*b))).collect();
        let windows: Vec<&HourWindow> = windows.iter().collect();
        let start = instant("2026-03-01T00:00:00Z");
        let mut hours = (0..24).map(|hour| start + TimeDelta::hours(hour));
        let all = hours.all(|at| windows.iter().any(|window| window.holds(at)));
        prop_assert_eq!(cover_the_day(&windows), all);
    }

    #[test]
    fn the_dearest_hour_bounds_every_hour(rate in 0..9_000_000i64, at in 0..86_400i64, count in 0..9_000i64) {
        let at = instant("2026-03-01T00:00:00Z") + TimeDelta::seconds(at);
        let windows = vec![HourWindow::daily(time("16:30"), time("00:30"))];
        let rates = Rates { input: rate, ..gpt_4o().rates };
        let hours = Hours { windows, rates, tiers: Vec::new(), per_request: rate };
        let price = Price { hours: vec![hours], ..gpt_4o() };
        let tokens = Tokens { input: count, output: 3, ..Tokens::default() };
        prop_assert!(cost(&price, &tokens, at) <= dearest([&price], &tokens).unwrap());
    }
}
