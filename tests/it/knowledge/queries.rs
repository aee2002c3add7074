//! Any text is a query.

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use serde_json::json;

use crate::support::fleet::Fleet;

/// Random texts of the test.
const TEXTS: usize = 300;

/// Texts that mean something elsewhere, or nothing at all.
fn notable() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "\n\t",
        "\0",
        "\u{1}\u{7f}\u{85}",
        "'",
        "''",
        "\"",
        "\\",
        "%",
        "_",
        ";",
        "--",
        "/*",
        "$1",
        ":*",
        "&",
        "|",
        "!",
        "<->",
        "(",
        "a & ",
        "!a",
        "a <-> b",
        "'; drop table lessons; --",
        "the and of to",
        "the",
        "日本語のテキスト",
        "ภาษาไทย",
        "русский текст",
        "نص عربي",
        "🦀🦀🦀",
        "\u{202e}abc\u{200b}",
        "e\u{301}",
        "\u{fffd}\u{ffff}\u{10ffff}",
        "http://[",
        "user@",
        "1e309",
        "-",
        "..",
        "a/b/c/../..",
        "::",
        "<!--",
        "<a href=",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("a".repeat(10_000));
    texts.push("zebra ".repeat(1_666));
    texts.push("é".repeat(10_000));
    texts.push("語".repeat(10_000));
    texts.push(
        (0..2_000)
            .map(|number| format!("w{number} "))
            .collect::<String>()
            .chars()
            .take(10_000)
            .collect(),
    );
    texts.push("'\"\\%_&|!:*()<->".repeat(600));
    texts.push("a_b.c::d/e-".repeat(900));
    texts
}

#[tokio::test]
async fn any_text_is_a_query() {
    let fleet = Fleet::start().await;
    let new = json!({"kind": "howto", "title": "The zebra", "body": "Stripes, 日本語 and parseDate() in src/a.rs."});
    fleet.poster.post("/v1/lessons", &new).await.expect(201);
    let strategy = prop_oneof![
        any::<String>(),
        "[ -~]{0,200}",
        "[\\PC\n\t]{0,300}",
        "(zebra|the|[&|!()':*\\\\\"<> -]){0,60}",
        "(\\w|[./:_-]){0,400}",
    ];
    let mut runner = TestRunner::new(Config::default());
    let random = (0..TEXTS).map(|_| strategy.new_tree(&mut runner).unwrap().current());
    for query in notable().into_iter().chain(random) {
        let request = json!({"query": query, "explain": true, "limit": 3});
        let answer = fleet.poster.post("/v1/knowledge/search", &request).await;
        assert_eq!(answer.status.as_u16(), 200, "{query:?}: {}", answer.describe());
        let answer = answer.value(200);
        assert_eq!(answer["documents"], 1, "{query:?}");
        if query.split_whitespace().any(|word| word == "zebra") {
            assert_eq!(answer["results"].as_array().unwrap().len(), 1, "{query:?}");
        }
    }
    let long = json!({"query": "a".repeat(10_001)});
    let refused = fleet.poster.post("/v1/knowledge/search", &long).await.problem(422, "invalid");
    assert_eq!(refused, ["/query"]);
}

#[tokio::test]
async fn words_are_alternatives_and_stop_words_find_nothing() {
    let fleet = Fleet::start().await;
    for (title, body) in [("Zebras run", "in herds"), ("Lions", "sleep, and zebras wake")] {
        let new = json!({"kind": "howto", "title": title, "body": body});
        fleet.poster.post("/v1/lessons", &new).await.expect(201);
    }
    let titles = async |query: &str| {
        let request = json!({"query": query});
        let answer = fleet.poster.post("/v1/knowledge/search", &request).await.value(200);
        let results = answer["results"].as_array().unwrap().clone();
        results.iter().map(|one| one["lesson"]["title"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(titles("running zebra").await, ["Zebras run", "Lions"]);
    assert_eq!(titles("sleeping giraffes").await, ["Lions"]);
    assert_eq!(titles("the and of").await, Vec::<serde_json::Value>::new());
    assert_eq!(titles("").await, Vec::<serde_json::Value>::new());
}
