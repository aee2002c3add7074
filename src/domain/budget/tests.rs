//! The rules of budgets under random operations.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    BudgetNode, OnExhausted, Period, Range,
    ask::{Estimate, Estimates, Known, ask},
    ledger::{Ledger, Reservation, Used, WindowKey, WindowState},
};
use crate::domain::ids::LimitId;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn a_window_holds_the_instant_that_it_is_of() {
    let zones = ["UTC", "America/New_York", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Apia"];
    // Days without midnight, a skipped day, and ordinary days.
    for hours in (0..24 * 900).step_by(5) {
        let instant = at("2011-01-01T00:30:00Z") + TimeDelta::hours(hours);
        for zone in zones.map(|zone| zone.parse().unwrap()) {
            for period in [Period::Day, Period::Week, Period::Month, Period::Lifetime] {
                let window = period.window(zone, instant);
                assert!(window.starts_at <= instant, "{period} {zone} {instant}: {window:?}");
                let Some(ends_at) = window.ends_at else {
                    assert_eq!(period, Period::Lifetime);
                    continue;
                };
                assert!(instant < ends_at, "{period} {zone} {instant}: {window:?}");
                // The next window starts at the end of this one.
                assert_eq!(period.window(zone, ends_at).starts_at, ends_at, "{period} {zone}");
            }
        }
    }
}

#[test]
fn days_begin_at_midnight_where_the_budget_is() {
    let vienna = "Europe/Vienna".parse().unwrap();
    let day = Period::Day.window(vienna, at("2026-03-29T10:00:00Z"));
    // Daylight saving time starts that day.
    assert_eq!(day.starts_at, at("2026-03-28T23:00:00Z"));
    assert_eq!(day.ends_at, Some(at("2026-03-29T22:00:00Z")));
    let week = Period::Week.window(vienna, at("2026-11-22T22:59:59Z"));
    assert_eq!(week.starts_at, at("2026-11-15T23:00:00Z"));
    let month = Period::Month.window(vienna, at("2026-11-30T23:00:00Z"));
    assert_eq!(month.starts_at, at("2026-11-30T23:00:00Z"));
}

#[test]
fn what_is_known_is_asked_for_in_its_order() {
    let estimates = Estimates::from([("a".to_owned(), Estimate::Exact(7))]);
    let none = Estimates::new();
    let policy = Some(Range { want: 9, min: 3 });
    let known = Known { estimates: &estimates, usual: Some(5), policy, tightest: 1000 };
    let got = |unit: &str, known| ask(unit, known);
    assert_eq!(got("a", known), Range { want: 7, min: 7 });
    assert_eq!(got("b", known), Range { want: 5, min: 5 });
    assert_eq!(got("b", Known { usual: None, ..known }), Range { want: 9, min: 3 });
    let nothing = Known { estimates: &none, usual: None, policy: None, tightest: 1000 };
    assert_eq!(got("b", nothing), Range { want: 50, min: 1 });
    assert_eq!(got("b", Known { tightest: 0, ..nothing }), Range { want: 0, min: 0 });
    assert_eq!(got("attempts", known), Range { want: 1, min: 1 });
}

const UNITS: [&str; 2] = ["money", "tokens"];

fn key(n: u128) -> WindowKey {
    WindowKey {
        depth: n as i16,
        limit: LimitId(Uuid::from_u128(n)),
        starts_at: DateTime::UNIX_EPOCH,
    }
}

fn window(unit: &str, amount: i64, enforced: bool) -> WindowState {
    WindowState {
        node: BudgetNode::Goal,
        node_id: Uuid::nil(),
        unit: unit.to_owned(),
        period: Period::Lifetime,
        on_exhausted: if enforced { OnExhausted::Park } else { OnExhausted::Notify },
        ends_at: None,
        amount,
        settled: 0,
        fraction: 0,
        reserved: 0,
        overrun: 0,
        warned: 0,
    }
}

#[derive(Debug, Clone)]
enum Step {
    Reserve { path: u8, want: [i64; 2], least: [i64; 2] },
    Spend { which: usize, unit: usize, amount: i64, fraction: i64 },
    Close { which: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reserve = (any::<u8>(), [0..60i64, 0..60i64], [0..60i64, 0..60i64])
        .prop_map(|(path, want, least)| Step::Reserve { path, want, least });
    let spend = (0..10usize, 0..2usize, 0..80i64, prop_oneof![Just(0), 0..1_000_000i64])
        .prop_map(|(which, unit, amount, fraction)| Step::Spend { which, unit, amount, fraction });
    let close = (0..10usize).prop_map(|which| Step::Close { which });
    prop::collection::vec(prop_oneof![reserve, spend, close], 0..60)
}

/// An attempt of the test: its path, its reservation, its spend.
struct Attempt {
    path: Vec<WindowKey>,
    own: BTreeMap<&'static str, Reservation>,
    used: BTreeMap<&'static str, (i64, i64)>,
}

proptest! {
    /// Reserved and settled amounts exceed an enforced limit by its overrun at most,
    /// every window is the sum of its attempts, and a refusal changes nothing.
    #[test]
    fn windows_are_the_sum_of_their_attempts(
        amounts in prop::collection::vec((0..2usize, 0..200i64, prop::bool::weighted(0.9)), 1..7),
        steps in steps(),
    ) {
        let mut ledger = Ledger::default();
        let keys: Vec<WindowKey> = (0..amounts.len() as u128).map(key).collect();
        for (key, (unit, amount, enforced)) in keys.iter().zip(&amounts) {
            ledger.open(*key, window(UNITS[*unit], *amount, *enforced));
        }
        let mut attempts: Vec<Attempt> = Vec::new();
        for step in steps {
            match step {
                Step::Reserve { path, want, least } => {
                    let path: Vec<WindowKey> = keys.iter().enumerate()
                        .filter(|(n, _)| path >> n & 1 == 1).map(|(_, key)| *key).collect();
                    let asks = (0..2).map(|n| (UNITS[n].to_owned(), Range {
                        want: want[n].max(least[n]), min: least[n],
                    })).collect();
                    let before: Vec<WindowState> =
                        ledger.windows().map(|(_, window)| window.clone()).collect();
                    match ledger.reserve(&path, &asks) {
                        Ok(granted) => {
                            for (unit, grant) in &granted {
                                prop_assert!(*grant >= asks[unit].min && *grant <= asks[unit].want);
                            }
                            let own = UNITS.map(|unit| (unit, Reservation {
                                granted: granted[unit], held: granted[unit], authorized: 0,
                            }));
                            attempts.push(Attempt { path, own: own.into(), used: BTreeMap::new() });
                            for (_, window) in ledger.windows().filter(|(_, w)| w.enforced()) {
                                let fits = window.used() + window.reserved <= window.amount;
                                prop_assert!(fits || window.overrun > 0, "{:?}", window);
                            }
                        }
                        Err(short) => {
                            prop_assert!(!short.is_empty());
                            for short in &short {
                                let left = short.limit - short.settled - short.reserved;
                                prop_assert!(left < short.requested || left < 0);
                            }
                            let after = ledger.windows().map(|(_, window)| window.clone());
                            prop_assert_eq!(before, after.collect::<Vec<_>>());
                        }
                    }
                }
                Step::Spend { which, unit, amount, fraction } => {
                    let Some(attempt) = attempts.get_mut(which) else { continue };
                    let unit = UNITS[unit];
                    let own = attempt.own.entry(unit).or_default();
                    let used = Used { amount, fraction, authorized: 0 };
                    let free = *own;
                    let overruns = ledger.settle(&attempt.path, unit, own, used);
                    if amount < free.held {
                        prop_assert!(overruns.is_empty(), "what was set aside was overrun");
                    }
                    let sum = attempt.used.entry(unit).or_default();
                    *sum = (sum.0 + amount, sum.1 + fraction);
                }
                Step::Close { which } => {
                    let Some(attempt) = attempts.get_mut(which) else { continue };
                    for (unit, own) in &mut attempt.own {
                        ledger.release(&attempt.path, unit, own);
                    }
                }
            }
            for (key, window) in ledger.windows() {
                let below = || attempts.iter().filter(|attempt| attempt.path.contains(key));
                let unit = window.unit.as_str();
                let held: i64 = below().filter_map(|a| a.own.get(unit)).map(|own| own.held).sum();
                prop_assert_eq!(window.reserved, held);
                let used = below().filter_map(|a| a.used.get(unit));
                let (settled, fraction) = used.fold((0, 0), |s, u| (s.0 + u.0, s.1 + u.1));
                prop_assert_eq!((window.settled, window.fraction), (settled, fraction));
            }
        }
    }
}

/// A cost within its authorized amount overruns nothing, after any other spend.
#[test]
fn what_is_authorised_is_not_touched_by_other_costs() {
    let mut ledger = Ledger::default();
    ledger.open(key(0), window("money", 100, true));
    let path = [key(0)];
    let all = BTreeMap::from([("money".to_owned(), Range { want: 100, min: 100 })]);
    ledger.reserve(&path, &all).unwrap();
    let mut own = Reservation { granted: 100, held: 100, authorized: 80 };
    let other = Used { amount: 50, ..Used::default() };
    assert_eq!(ledger.settle(&path, "money", &mut own, other)[0].amount, 30);
    assert_eq!((own.held, own.authorized), (80, 80));
    let this = Used { amount: 70, authorized: 80, ..Used::default() };
    assert!(ledger.settle(&path, "money", &mut own, this).is_empty());
    assert_eq!((own.held, own.authorized), (10, 0));
}
