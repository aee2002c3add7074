//! Equal and different steps.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{failed, print};
use crate::domain::loops::{canonical, noise::Rules};

fn result(text: &str) -> Value {
    canonical::result(&json!(text))
}

#[test]
fn every_rule_can_be_compiled() {
    assert_eq!(Rules::broken(), 0);
}

#[test]
fn volatile_noise_in_results_makes_no_difference() {
    for (one, other) in [
        ("built at 2026-01-02T03:04:05.678Z", "built at 2026-11-12 13:14:15+01:00"),
        ("[03:04:05] ok", "[13:14:15.5] ok"),
        ("ts=1700000000", "ts=1712345678"),
        ("ts=1700000000123", "ts=1712345678901"),
        ("took 3.2s", "took 415 ms"),
        ("finished in 1m 30s", "finished in 2m 4s"),
        ("waited 2 minutes", "waited 15 minutes"),
        ("id 8f14e45f-ceea-467f-a0e6-b2c3d4e5f601", "id 00000000-0000-7000-8000-ABCDEFABCDEF"),
        ("at 0x7ffe12ab34cd", "at 0x55d0c0ffee00"),
        ("wrote /tmp/tmp.aB3dE5fG7h/out.txt", "wrote /tmp/tmp.Zz9yX8wV7u/out.txt"),
        ("in /tmp/.tmpAb12Cd", "in /tmp/.tmpZz99Yy"),
        ("in /tmp/tmpab12cd34/x", "in /tmp/tmp_x9y8z7w/x"),
        ("/tmp/pytest-of-mona/pytest-17/a", "/tmp/pytest-of-mona/pytest-18/a"),
        ("\u{1b}[31mred\u{1b}[0m  text\n", "red text"),
        ("[1;31mred[0m", "\\u001b[32mred\\x1b[m"),
        ("a \t b\r\nc", "a b\nc"),
    ] {
        assert_eq!(result(one), result(other), "{one} | {other}");
        assert_eq!(canonical::error(one), canonical::error(other), "{one} | {other}");
    }
    assert_eq!(result("{\"b\": 1, \"a\": 2.0}"), result("{\"a\":2,\"b\":1}"));
    let one = json!({"status": "pending", "elapsed_ms": 5, "request_id": "a1", "at": 1700000000});
    let other =
        json!({"at": 1712345678, "request_id": "b2", "elapsed_ms": 7.5, "status": "pending"});
    assert_eq!(canonical::result(&one), canonical::result(&other));
    assert_eq!(canonical::result(&json!(one.to_string())), canonical::result(&other));
}

#[test]
fn what_results_say_makes_a_difference() {
    for (one, other) in [
        ("7 of 9 passed", "8 of 9 passed"),
        ("page 3", "page 4"),
        ("HTTP 404", "HTTP 500"),
        ("HEAD is now at 1a2b3c4d5e6f7a8b9c0d", "HEAD is now at 2b3c4d5e6f7a8b9c0d1e"),
        ("released 2026-01-02", "released 2026-01-03"),
        ("src/main.rs:12: fn a", "src/main.rs:13: fn a"),
        ("/tmp/out/file_17.rs", "/tmp/out/file_18.rs"),
        ("README.md", "readme.md"),
        ("version 1.2.3", "version 1.2.4"),
    ] {
        assert_ne!(result(one), result(other), "{one} | {other}");
    }
    assert_ne!(
        canonical::result(&json!({"progress": 1})),
        canonical::result(&json!({"progress": 2}))
    );
}

#[test]
fn errors_are_the_same_wherever_in_the_file_they_are() {
    for (one, other) in [
        (
            "error[E0308]: mismatched\n --> src/main.rs:12:5",
            "error[E0308]: mismatched\n --> src/main.rs:40:9",
        ),
        ("  File \"a.py\", line 12, in f", "  File \"a.py\", line 7, in f"),
        ("a.ts(12,5): error TS2304", "a.ts(13,15): error TS2304"),
        ("unexpected token at line 3 column 9", "unexpected token at line 4 column 1"),
        ("Connection refused", "connection refused"),
        ("connect 127.0.0.1:43121 refused", "connect 127.0.0.1:40007 refused"),
        ("thread 'main' (4711) panicked", "thread 'main' (815) panicked"),
        ("attempt 3: timed out", "attempt 4: timed out"),
        ("request id: req_01aB", "request id: req_77zZ"),
        ("blob 0123456789abcdef0123 is missing", "blob ffff456789abcdef0123 is missing"),
    ] {
        assert_eq!(canonical::error(one), canonical::error(other), "{one} | {other}");
    }
    for (one, other) in [
        ("HTTP 404", "HTTP 500"),
        ("status:404", "status:500"),
        ("error[E0308]", "error[E0277]"),
        ("cannot find file_17.rs", "cannot find file_18.rs"),
        ("exit code 1", "exit code 101"),
        ("3 tests failed", "2 tests failed"),
        ("no such column: a", "no such column: b"),
    ] {
        assert_ne!(canonical::error(one), canonical::error(other), "{one} | {other}");
    }
}

#[test]
fn actions_differ_by_all_that_somebody_can_mean() {
    for (one, other) in [
        (json!("read file_17.rs"), json!("read file_18.rs")),
        (json!("page=3"), json!("page=4")),
        (json!("sleep 5s"), json!("sleep 10s")),
        (json!("rate(x[5m])"), json!("rate(x[10m])")),
        (json!("cat README"), json!("cat readme")),
        (
            json!("get 8f14e45f-ceea-467f-a0e6-b2c3d4e5f601"),
            json!("get 8f14e45f-ceea-467f-a0e6-b2c3d4e5f602"),
        ),
        (json!({"since": "2026-01-02T03:04:05Z"}), json!({"since": "2026-01-02T03:04:06Z"})),
        (json!({"at": 1700000000}), json!({"at": 1700000001})),
        (json!({"trace_id": "a"}), json!({"trace_id": "b"})),
        (json!({"timeout_ms": 5}), json!({"timeout_ms": 6})),
        (json!("open src/main.rs:12:5"), json!("open src/main.rs:40:9")),
        (json!({"old": "  x", "new": "    x"}), json!({"old": "  x", "new": "      x"})),
        (json!("grep 'a  b'"), json!("grep 'a b'")),
        (json!("a\n  b"), json!("a\n b")),
        (json!("peek 0x7ffe12ab34cd"), json!("peek 0x7ffe12ab34ce")),
        (json!("cat /tmp/tmpreport_1"), json!("cat /tmp/tmpreport_2")),
        (json!("cat /tmp/tmpfile_17"), json!("cat /tmp/tmpfile_18")),
        (json!({"content": "{\"a\":1,\"b\":2}"}), json!({"content": "{\"b\":2,\"a\":1}"})),
        (json!({"edit": {"call_id": "a"}}), json!({"edit": {"call_id": "b"}})),
        (json!(["a", "b"]), json!(["b", "a"])),
        (json!(9007199254740992_i64), json!(9007199254740993_i64)),
    ] {
        assert_ne!(
            print(one.clone(), json!("ok")),
            print(other.clone(), json!("ok")),
            "{one} | {other}"
        );
    }
}

#[test]
fn actions_are_the_same_but_for_what_nobody_means() {
    for (one, other) in [
        (json!({"tool": "a", "path": "b"}), json!({"path": "b", "tool": "a"})),
        (json!("cargo   test "), json!("cargo test")),
        (json!({"n": 1.0}), json!({"n": 1})),
        (json!({"name": "f", "tool_call_id": "1"}), json!({"name": "f", "tool_call_id": "2"})),
        (
            json!({"name": "f", "arguments": "{\"a\": 1, \"b\": 2}"}),
            json!({"name": "f", "arguments": "{\"b\":2,\"a\":1}"}),
        ),
        (json!("{\"b\": 1, \"a\": 2}"), json!({"a": 2, "b": 1})),
        (
            json!({"id": "call_abcdefghijkl0123456789AB"}),
            json!({"id": "call_0123456789ABabcdefghijkl"}),
        ),
        (json!("cat /tmp/tmp.aB3dE5fG7h/a"), json!("cat /tmp/tmp.Zz9yX8wV7u/a")),
        (json!({"a": "x\r\ny"}), json!({"a": "x\ny"})),
    ] {
        assert_eq!(
            print(one.clone(), json!("ok")),
            print(other.clone(), json!("ok")),
            "{one} | {other}"
        );
    }
}

#[test]
fn a_text_never_passes_from_one_part_to_the_next() {
    let base = print(json!("a"), json!("b"));
    assert_ne!(base, print(json!("b"), json!("a")));
    assert_ne!(base, failed(json!("a"), "b"));
    assert_ne!(base, print(json!("a\",\"b"), json!("")));
    assert_ne!(print(json!("a"), json!("1")), print(json!("a"), json!(1)));
    assert_ne!(base.error(), failed(json!("a"), "b").error());
}

/// Pieces of noise, so that random texts match the rules.
fn any_text() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        "[ -~]{0,6}",
        "[0-9:.]{1,8}",
        "\\PC{0,3}",
        prop::sample::select(vec![
            "\u{1b}",
            "\u{1b}[",
            "[31m",
            "[0m",
            "0x",
            "12:34:56",
            "2026-01-02T03:04:05Z",
            "1700000000",
            "/tmp/",
            "/.tmp",
            "/tmp.aB3dE5fG7h",
            "s",
            " ms",
            "line ",
            ":12",
            ".rs:12:3",
            "{",
            "}",
            "[",
            "]",
            "\"",
            "8f14e45f-ceea-467f-a0e6-b2c3d4e5f601",
            "\\u001b",
            "call_",
            "<time>",
            "\r\n",
            "\u{7}",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any_text().prop_map(Value::String),
        any::<i64>().prop_map(Value::from),
        (1_600_000_000_u64..1_700_000_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof![
            "[a-c]{1,2}",
            Just("elapsed_ms".into()),
            Just("arguments".into()),
            Just("call_id".into())
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(key, inner.clone(), 0..4).prop_map(|map| json!(map)),
            inner.prop_map(|value| Value::String(value.to_string())),
        ]
    })
}

/// The same JSON, with the members of every object in the other order, as text.
fn reversed(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members = members.iter().rev();
            let members: Vec<_> = members
                .map(|(key, inner)| format!("{} :{}", json!(key), reversed(inner)))
                .collect();
            format!("{{ {} }}", members.join(" , "))
        }
        Value::Array(list) => {
            format!("[{}]", list.iter().map(reversed).collect::<Vec<_>>().join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[test]
fn what_is_left_by_one_rule_is_found_by_another() {
    assert_eq!(result("[[0m31mred"), json!("red"));
    assert_eq!(canonical::error("[[0m31mred"), "red");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn reading_twice_changes_nothing(value in any_json(), text in any_text()) {
        let once = canonical::action(&value);
        prop_assert_eq!(canonical::action(&once), once);
        let once = canonical::result(&value);
        prop_assert_eq!(canonical::result(&once), once);
        let once = canonical::error(&text);
        prop_assert_eq!(canonical::error(&once), once);
    }

    #[test]
    fn the_order_of_keys_makes_no_difference(value in any_json()) {
        let value = json!([value]);
        let other = json!(reversed(&value));
        prop_assert_eq!(canonical::action(&value), canonical::action(&other));
        prop_assert_eq!(canonical::result(&value), canonical::result(&other));
    }

    /// Two different numbers in an action are two actions, at every depth.
    #[test]
    fn numbers_in_actions_count(
        before in "[a-z/_= ]{0,6}", after in "( [a-z]{1,4})?(s|ms|m\\]|:1|\\.rs)?", a in 0_u64..3_000_000_000, b in 0_u64..3_000_000_000,
    ) {
        prop_assume!(a != b);
        let with = |n: u64| print(json!(format!("{before}{n}{after}")), json!("ok"));
        prop_assert_ne!(with(a), with(b));
    }

    /// Noise between the words of a result is ignored.
    #[test]
    fn noise_makes_no_difference(
        words in prop::collection::vec("[a-z]{1,6}", 1..5), time in 1_000_000_000_u64..2_000_000_000,
        tenths in 0_u32..10_000, id in any::<u128>(), colour in 30_u8..38,
    ) {
        let id = uuid::Uuid::from_u128(id);
        let seconds = f64::from(tenths) / 10.0;
        let noisy = |time: u64, seconds: f64, id: uuid::Uuid, colour: u8| {
            let line = words.join("  ");
            format!("\u{1b}[{colour}m{line}\u{1b}[0m {time} in {seconds}s as {id} at 0x{time:08x}\n")
        };
        let (one, other) = (noisy(time, seconds, id, colour), noisy(1_234_567_890, 0.5, uuid::Uuid::nil(), 30));
        prop_assert_eq!(result(&one), result(&other));
        prop_assert_eq!(canonical::error(&one), canonical::error(&other));
    }
}
