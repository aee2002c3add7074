//! The rules of budgets under random operations.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    BudgetNode, OnExhausted, Period, Range,
    ask::{Estimate, Estimates, Known, ask},
    ledger::{Asker, Ledger, Reservation, Used, WindowKey, WindowState},
};
use crate::domain::{
    ids::LimitId,
    spend::{FRACTIONS, UnitSpend, amount::Exact},
};

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
    let fresh =
        Known { estimates: &none, usual: None, policy: None, tightest: 1000, used: 0, left: 1000 };
    let known = Known { estimates: &estimates, usual: Some(5), policy, ..fresh };
    let got = |unit: &str, known| ask(unit, known);
    assert_eq!(got("a", known), Range { want: 7, min: 7 });
    assert_eq!(got("b", known), Range { want: 5, min: 5 });
    assert_eq!(got("b", Known { usual: None, ..known }), Range { want: 9, min: 3 });
    let nothing = fresh;
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
                    let sum = attempt.used.entry(unit).or_default();
                    *sum = (sum.0 + amount, sum.1 + fraction);
                    let spent = UnitSpend { entries: sum.0, fraction: sum.1, ..UnitSpend::default() };
                    let drawn = spent.drawn(Exact { amount, fraction: fraction as i32 });
                    let used = Used { amount, fraction, drawn, authorized: 0 };
                    let free = *own;
                    let overruns = ledger.settle(&attempt.path, unit, own, used);
                    if drawn <= free.held {
                        prop_assert!(overruns.is_empty(), "what was set aside was overrun");
                    }
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
                let spent = settled + (fraction + FRACTIONS - 1) / FRACTIONS;
                prop_assert_eq!(window.exceeded(), (spent - window.amount).max(0));
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
    let other = Used { amount: 50, drawn: 50, ..Used::default() };
    assert_eq!(ledger.settle(&path, "money", &mut own, other)[0].amount, 30);
    assert_eq!((own.held, own.authorized), (80, 80));
    let this = Used { amount: 70, drawn: 70, authorized: 80, ..Used::default() };
    assert!(ledger.settle(&path, "money", &mut own, this).is_empty());
    assert_eq!((own.held, own.authorized), (10, 0));
}

fn estimate(range: Range) -> Estimates {
    Estimates::from([("money".to_owned(), Estimate::Range(range))])
}

/// The ask of a task's next attempt under one limit.
fn next(ledger: &Ledger, estimates: &Estimates, usual: Option<i64>, used: i64) -> Range {
    let window = ledger.window(&key(0)).unwrap();
    let (tightest, left) = (window.amount, window.room());
    ask("money", Known { estimates, usual, policy: None, tightest, used, left })
}

fn one_limit(amount: i64) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.open(key(0), window("money", amount, true));
    ledger
}

fn reserve(ledger: &mut Ledger, range: Range) -> Result<i64, Vec<super::ledger::Shortage>> {
    let asks = BTreeMap::from([("money".to_owned(), range)]);
    Ok(ledger.reserve(&[key(0)], &asks)?["money"])
}

/// An attempt spends and ends.
fn spend(ledger: &mut Ledger, granted: i64, amount: i64) {
    let mut own = Reservation { granted, held: granted, authorized: 0 };
    let used = Used { amount, drawn: amount, ..Used::default() };
    ledger.settle(&[key(0)], "money", &mut own, used);
    ledger.release(&[key(0)], "money", &mut own);
}

#[test]
fn a_later_attempt_asks_for_what_is_left_of_the_task() {
    let mut ledger = one_limit(1000);
    let estimates = Estimates::from([("money".to_owned(), Estimate::Exact(1000))]);
    let first = next(&ledger, &estimates, None, 0);
    let granted = reserve(&mut ledger, first).unwrap();
    spend(&mut ledger, granted, 1);
    let ask = next(&ledger, &estimates, None, 1);
    assert_eq!(ask, Range { want: 999, min: 999 });
    let granted = reserve(&mut ledger, ask).unwrap();
    assert_eq!(granted, 999);
    // Used up, like the limit: the task waits, and the question says the true numbers.
    spend(&mut ledger, granted, 999);
    let over = next(&ledger, &estimates, None, 1000);
    let short = reserve(&mut ledger, over).unwrap_err();
    let short = &short[0];
    assert_eq!((short.limit, short.settled, short.reserved, short.requested), (1000, 1000, 0, 1));
    assert_eq!((short.left, short.fits, short.is_exhausted()), (0, 0, true));
    // What was learnt, and what a budget expects, are about the task too.
    let range = Range { want: 10, min: 4 };
    let known = Known {
        estimates: &Estimates::new(),
        usual: Some(7),
        policy: Some(range),
        tightest: 100,
        used: 5,
        left: 50,
    };
    assert_eq!(ask_of(known), Range { want: 2, min: 2 });
    assert_eq!(ask_of(Known { usual: None, ..known }), Range { want: 5, min: 0 });
    assert_eq!(ask_of(Known { used: 12, ..known }), Range { want: 0, min: 0 });
    assert_eq!(ask_of(Known { used: 12, left: 0, ..known }), Range { want: 1, min: 1 });
    // A task that needs none of a unit runs when none is left.
    let none = estimate(Range { want: 0, min: 0 });
    let free = Known { estimates: &none, left: 0, ..known };
    assert_eq!(ask_of(free), Range { want: 0, min: 0 });
}

fn ask_of(known: Known<'_>) -> Range {
    ask("money", known)
}

#[test]
fn the_overrun_of_a_limit_is_what_it_was_exceeded_by() {
    // Four agents at once, each with its reservation, each spending another amount.
    for (spends, want) in [
        ([40, 40, 40, 40], 60),
        ([90, 0, 0, 0], 0),
        ([25, 25, 25, 25], 0),
        ([0, 0, 0, 101], 1),
        ([130, 5, 0, 0], 35),
    ] {
        let mut ledger = one_limit(100);
        let range = Range { want: 25, min: 25 };
        let mut own: Vec<Reservation> = (0..4)
            .map(|_| reserve(&mut ledger, range).unwrap())
            .map(|granted| Reservation { granted, held: granted, authorized: 0 })
            .collect();
        for (own, amount) in own.iter_mut().zip(spends) {
            let used = Used { amount, drawn: amount, ..Used::default() };
            ledger.settle(&[key(0)], "money", own, used);
        }
        for own in &mut own {
            ledger.release(&[key(0)], "money", own);
        }
        assert_eq!(ledger.window(&key(0)).unwrap().exceeded(), want, "{spends:?}");
        ledger.take(&key(0), -10, 0);
        assert_eq!(ledger.window(&key(0)).unwrap().exceeded(), (want - 10).max(0), "{spends:?}");
    }
}

#[test]
fn a_small_estimate_starts_where_what_was_learnt_does_not() {
    let mut ledger = one_limit(1000);
    ledger.take(&key(0), 700, 0);
    let learnt = next(&ledger, &Estimates::new(), Some(500), 0);
    let short = reserve(&mut ledger, learnt).unwrap_err();
    assert_eq!((short[0].left, short[0].fits, short[0].requested), (300, 300, 500));
    let text = short[0].to_string();
    assert!(text.ends_with("left 300, requested 500; a task that needs at most 300 would start"));
    for (asker, says) in [
        (Asker::Allocation, "at most 300 can be set aside for the goal"),
        (Asker::Return { own: 70 }, "70 of what is settled was spent by the goal itself"),
        (Asker::Move, "a goal that has spent at most 300 would fit"),
    ] {
        let text = short[0].clone().of_asker(asker).to_string();
        assert!(text.contains(&format!("requested 500; {says}")), "{text}");
    }
    let own = estimate(Range { want: 200, min: 200 });
    let ask = next(&ledger, &own, Some(500), 0);
    assert_eq!(reserve(&mut ledger, ask), Ok(200));
    let range = estimate(Range { want: 500, min: 50 });
    let ask = next(&ledger, &range, Some(500), 0);
    assert_eq!(reserve(&mut ledger, ask), Ok(100));
}

proptest! {
    /// A task whose estimate fits its limit never waits for what it has spent itself, whatever ends
    /// its attempts; its reservations and its spend never pass the estimate while it keeps to it.
    #[test]
    fn a_task_does_not_wait_for_its_own_spend(
        want in 1..1_000i64, min in 0..1_000i64, more in 0..500i64,
        spends in prop::collection::vec(0..400i64, 1..12),
    ) {
        let mut ledger = one_limit(want + more);
        let estimates = estimate(Range { want, min: min.min(want) });
        let mut used = 0;
        for amount in spends {
            if used >= want {
                break;
            }
            let ask = next(&ledger, &estimates, None, used);
            prop_assert_eq!(ask.want, want - used);
            prop_assert_eq!(ask.min, (min.min(want) - used).max(0));
            let granted = reserve(&mut ledger, ask);
            prop_assert!(granted.is_ok(), "{:?}", granted);
            let amount = amount.min(want - used);
            spend(&mut ledger, granted.unwrap(), amount);
            used += amount;
        }
    }

    /// An agent that does as it is told does not loop: where nothing is left of a limit, no attempt of
    /// a task that needs something starts.
    #[test]
    fn nothing_starts_where_nothing_is_left(
        limit in 0..500i64, over in 0..50i64, want in 1..500i64, used in 0..600i64, usual: bool,
    ) {
        let mut ledger = one_limit(limit);
        ledger.take(&key(0), limit + over, 0);
        let (own, none) = (estimate(Range { want, min: want }), Estimates::new());
        let (estimates, usual) = if usual { (&none, Some(want)) } else { (&own, None) };
        let ask = next(&ledger, estimates, usual, used);
        prop_assert!(reserve(&mut ledger, ask).is_err());
    }

    /// A task's own estimate decides, whatever was learnt; less starts wherever more does; and what a
    /// refusal says would fit is what starts.
    #[test]
    fn what_would_fit_starts(
        limit in 1..1_000i64, spent in 0..1_000i64, want in 1..1_000i64, less in 0..1_000i64,
        usual in prop::option::of(0..1_000i64),
    ) {
        let mut ledger = one_limit(limit);
        ledger.take(&key(0), spent.min(limit), 0);
        let exact = |amount| estimate(Range { want: amount, min: amount });
        let asks = |amount| next(&ledger, &exact(amount), usual, 0);
        prop_assert_eq!(asks(want), next(&ledger, &exact(want), None, 0));
        let (large, small) = (asks(want), asks(less.min(want)));
        match reserve(&mut ledger.clone(), large) {
            Ok(_) => prop_assert!(reserve(&mut ledger.clone(), small).is_ok()),
            Err(short) => {
                let fits = short[0].fits;
                prop_assert!(fits < want && fits == short[0].left);
                let (fitting, over) = (asks(fits), asks(fits + 1));
                prop_assert!(fits == 0 || reserve(&mut ledger.clone(), fitting).is_ok());
                prop_assert!(reserve(&mut ledger.clone(), over).is_err());
            }
        }
    }
}
