//! Sequences with and without a loop.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{failed, print, step};
use crate::domain::{
    check::Checks,
    loops::{Fingerprint, Loop, Pattern, WINDOW, Window, detect},
};

fn done(n: usize) -> Fingerprint {
    print(json!({"tool": "edit", "path": format!("src/file_{n}.rs")}), json!("ok"))
}

/// Steps whose number is their fingerprint.
fn steps(numbers: &[usize]) -> Vec<Fingerprint> {
    numbers.iter().map(|n| done(*n)).collect()
}

fn pattern(steps: &[Fingerprint]) -> Option<Pattern> {
    detect(steps).map(|found| found.pattern)
}

#[test]
fn each_pattern_is_found_when_it_is_complete_and_not_before() {
    for (numbers, want) in [
        (vec![1, 1, 1, 1], Pattern::SameStep),
        (vec![1, 2, 1, 2, 1, 2], Pattern::Alternating),
        (vec![1, 2, 3, 1, 2, 3, 1, 2, 3], Pattern::Rotating),
        (vec![1, 1, 2, 1, 1, 2, 1, 1, 2], Pattern::Rotating),
    ] {
        let all = steps(&numbers);
        let found = detect(&all).unwrap();
        assert_eq!((found.pattern, found.steps, found.began), (want, all.len(), 0), "{numbers:?}");
        assert_eq!(found.times, want.least_times());
        assert!(found.is_new());
        for end in 0..all.len() {
            assert_eq!(detect(&all[..end]), None, "{numbers:?} {end}");
        }
    }
}

#[test]
fn the_same_error_is_found_whatever_was_done() {
    let error = |n: usize| failed(json!({"tool": "build", "try": n}), "cannot find crate `x`");
    assert_eq!(detect(&[error(1), error(2)]), None);
    let found = detect(&[done(1), error(1), error(2), error(3)]).unwrap();
    let want = Loop { pattern: Pattern::SameError, times: 3, steps: 3, began: 1 };
    assert_eq!(found, want);
    let broken = [error(1), error(2), done(1), error(3)];
    assert_eq!(detect(&broken), None);
    let other = [error(1), error(2), failed(json!("x"), "cannot find crate `y`")];
    assert_eq!(detect(&other), None);
    let same = [error(1), error(1), error(1)];
    assert_eq!(pattern(&same), Some(Pattern::SameError));
    assert_eq!(pattern(&[same[0]; 4]), Some(Pattern::SameStep));
}

#[test]
fn work_that_looks_alike_is_no_loop() {
    let edit_and_test: Vec<_> = (0..100)
        .flat_map(|n| [done(n), failed(json!("cargo test"), "1 test failed: adds_up")])
        .collect();
    for end in 0..=edit_and_test.len() {
        assert_eq!(detect(&edit_and_test[..end]), None, "{end}");
    }
    let waiting = |seen: usize| print(json!("read the build"), json!({"progress": seen}));
    assert_eq!(detect(&(0..9).map(waiting).collect::<Vec<_>>()), None);
}

#[test]
fn two_hundred_different_actions_are_no_loop() {
    type Make = fn(usize) -> Value;
    let makes: [Make; 8] = [
        |n| json!(format!("read src/file_{n}.rs")),
        |n| json!({"tool": "read", "path": format!("src/file_{n}.rs"), "lines": [1, 200]}),
        |n| json!({"tool": "read", "path": "src/long.rs", "offset": n * 100}),
        |n| json!({"tool": "get", "url": format!("https://example.com/items?page={n}")}),
        |n| json!({"tool": "get", "url": format!("/v1/goals/{:08x}-0000-7000-8000-000000000000", n)}),
        |n| json!({"tool": "query", "since": 1_700_000_000 + n}),
        |n| {
            json!(format!(
                "curl 'https://x.org/logs?from=2026-01-02T{:02}:{:02}:00Z'",
                n / 60,
                n % 60
            ))
        },
        |n| json!({"name": "seek", "arguments": format!("{{\"line\": {n}, \"wait\": \"{n} ms\"}}")}),
    ];
    for make in makes {
        let work: Vec<_> = (0..200).map(|n| print(make(n), json!("ok"))).collect();
        for end in 0..=work.len() {
            assert_eq!(detect(&work[..end]), None, "{}", make(end));
        }
        let distinct: std::collections::HashSet<_> = work.iter().collect();
        assert_eq!(distinct.len(), 200, "{}", make(0));
    }
}

#[test]
fn a_step_that_has_not_ended_is_not_counted() {
    for open in [
        json!({"action": "x"}),
        json!({"action": "x", "result": null}),
        json!({"action": "x", "error": " \n"}),
    ] {
        assert_eq!(step(open.clone()).fingerprint(), None, "{open}");
    }
    for ended in [json!({"action": "x", "result": ""}), json!({"action": "x", "error": "e"})] {
        assert!(step(ended.clone()).fingerprint().is_some(), "{ended}");
    }
}

#[test]
fn a_step_says_what_was_done_and_is_not_large() {
    let places = |body: Value| {
        let mut checks = Checks::new();
        step(body).check(&mut checks, "/progress/step");
        let errors = checks.finish().map_err(|refusal| refusal.errors).err().unwrap_or_default();
        errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>()
    };
    assert!(places(json!({"action": "x", "result": 1, "error": "e"})).is_empty());
    for nothing in [json!(null), json!(" "), json!({}), json!([])] {
        assert_eq!(places(json!({"action": nothing})), ["/progress/step/action"]);
    }
    let large = "x".repeat(16 * 1024 + 1);
    assert_eq!(
        places(json!({"action": large, "result": [large], "error": large})),
        ["/progress/step/action", "/progress/step/result", "/progress/step/error"]
    );
    assert!(
        serde_json::from_value::<super::Step>(json!({"n": 1, "action": "x", "outcome": 1}))
            .is_err()
    );
    assert!(serde_json::from_value::<super::Step>(json!({"action": "x"})).is_err());
}

#[test]
fn a_loop_is_new_once() {
    let mut window = Window::default();
    let mut push = |n| {
        window.push(n, done(1));
        window.loops().into_iter().next()
    };
    let loops: Vec<_> = (1..=30).filter_map(&mut push).collect();
    assert_eq!(loops.len(), 27);
    assert_eq!(loops.iter().filter(|found| found.is_new()).count(), 1);
    assert_eq!(loops.iter().map(|found| found.times).max(), Some(WINDOW));
    assert_eq!(window.to_bytes().len(), 40 * WINDOW);
    assert_eq!(Window::from_bytes(&[0; 41]), Window::default());
}

/// Steps before a pattern, which must not matter.
fn any_past() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0_usize..4, 0..40)
}

fn any_pattern() -> impl Strategy<Value = Vec<usize>> {
    prop::sample::select(vec![
        vec![10; 4],
        [10, 11].repeat(3),
        [10, 11, 12].repeat(3),
        [10, 10, 11].repeat(3),
    ])
}

proptest! {
    #[test]
    fn a_pattern_is_found_whatever_came_before(past in any_past(), tail in any_pattern()) {
        let all = steps(&[past.clone(), tail.clone()].concat());
        let found = detect(&all).unwrap();
        prop_assert_eq!((found.began, found.steps), (past.len(), tail.len()));
        prop_assert_eq!(Some(found.pattern), pattern(&steps(&tail)));
        prop_assert!(found.is_new());
    }

    #[test]
    fn three_equal_errors_are_found_whatever_came_before(past in any_past(), actions in any::<[u8; 3]>()) {
        let mut all = steps(&past);
        all.extend(actions.map(|action| failed(json!(action), "disk full")));
        prop_assert_eq!(pattern(&all), Some(Pattern::SameError));
    }

    /// A new step anywhere in a pattern breaks it.
    #[test]
    fn a_productive_step_breaks_the_pattern(tail in any_pattern(), at in any::<prop::sample::Index>()) {
        let mut broken = tail.clone();
        broken.insert(1 + at.index(tail.len()), 99);
        prop_assert_eq!(detect(&steps(&broken)), None);
    }

    /// Different steps are no loop, in any order.
    #[test]
    fn different_steps_are_no_loop(order in Just((0..200).collect::<Vec<_>>()).prop_shuffle()) {
        prop_assert_eq!(detect(&steps(&order)), None);
    }

    /// A window finds what the whole history would show, and survives storage.
    #[test]
    fn the_window_is_all_that_is_needed(past in prop::collection::vec(0_usize..3, 0..40)) {
        let mut window = Window::default();
        let all = steps(&past);
        for (index, one) in all.iter().enumerate() {
            window = Window::from_bytes(&window.to_bytes());
            window.push(index as u64 + 1, *one);
            // A repeated report is not counted again.
            window.push(index as u64 / 2, done(99));
            let found = window.loops().into_iter().next();
            let whole = detect(&all[..=index]);
            prop_assert_eq!(found.map(|l| (l.pattern, l.is_new())), whole.map(|l| (l.pattern, l.is_new())));
            prop_assert_eq!(found.map(|l| l.times), whole.map(|l| l.times.min(WINDOW / l.pattern.period())));
        }
    }

    /// Against the definition: the last n * p steps are n times the same p.
    #[test]
    fn a_loop_is_what_its_definition_says(past in prop::collection::vec(0_usize..3, 0..20)) {
        let says = |period: usize, times: usize| {
            let from = past.len().checked_sub(period * times);
            from.is_some_and(|from| {
                let tail = &past[from..];
                tail.chunks(period).all(|chunk| chunk == &tail[..period])
            })
        };
        let want = if says(1, 4) {
            Some(Pattern::SameStep)
        } else if says(2, 3) {
            Some(Pattern::Alternating)
        } else if says(3, 3) {
            Some(Pattern::Rotating)
        } else {
            None
        };
        prop_assert_eq!(pattern(&steps(&past)), want);
    }
}
