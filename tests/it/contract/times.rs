//! Times that a caller asks for: every year is answered, and one that the database cannot hold is refused where it is.

use muster::http::docs;
use serde_json::{Value, json};

use crate::support::fleet::Fleet;

/// The first and the last time that is read at all, and some about the ends of what the database knows.
const FAR: [&str; 6] = [
    "-262143-01-01T00:00:00Z",
    "-4713-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "%2B10000-01-01T00:00:00Z",
    "%2B262142-12-31T23:59:59Z",
];
/// Those that are taken.
const NEAR: [&str; 2] = ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"];

/// The paths without a name in them that take times in their query: each with the names of these.
fn with_times() -> Vec<(String, Vec<String>)> {
    let document: Value = serde_json::from_str(&docs::document().unwrap()).unwrap();
    let times = |operation: &Value| -> Vec<String> {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let times = parameters
            .iter()
            .filter(|one| one["in"] == "query" && one["schema"]["format"] == "date-time");
        times.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .map(|(path, item)| (path.clone(), times(&item["get"])))
        .filter(|(path, times)| !path.contains('{') && !times.is_empty())
        .collect()
}

#[tokio::test]
async fn a_time_of_no_known_year_is_refused_where_it_is() {
    let fleet = Fleet::start().await;
    let found = with_times();
    let reports = found.iter().filter(|(path, _)| path.starts_with("/v1/reports/")).count();
    assert!(reports >= 5, "{found:?}");
    for (path, names) in found {
        // `find_price` needs a model.
        let model = if path == "/v1/prices/find" { "&model=gpt-4o" } else { "" };
        for name in &names {
            for far in FAR {
                let asked = format!("{path}?{name}={far}{model}");
                let pointers = fleet.admin.get(asked.clone()).await.problem(422, "invalid");
                assert!(pointers.contains(&format!("?{name}")), "{asked}: {pointers:?}");
            }
            for near in NEAR {
                let asked = format!("{path}?{name}={near}{model}");
                let answer = fleet.admin.get(asked.clone()).await;
                assert!(answer.status.as_u16() < 500, "{asked}: {}", answer.status);
            }
        }
    }
}

#[tokio::test]
async fn a_body_with_a_time_of_no_known_year_is_refused_where_it_is() {
    let fleet = Fleet::start().await;
    let rule = json!({"name": "slow", "when": {"failures": {"count": 3}}, "then": {"ask": {}}});
    for far in FAR.map(|far| far.replace("%2B", "+")) {
        for (end, other) in [("from", None), ("until", None), ("until", Some("from"))] {
            let mut body = json!({"rule": rule, end: far});
            if let Some(other) = other {
                body[other] = json!("2026-03-01T00:00:00Z");
            }
            let answer = fleet.admin.post("/v1/rules/dry-run", &body).await;
            let pointers = answer.problem(422, "invalid");
            assert!(pointers.contains(&format!("/{end}")), "{body}: {pointers:?}");
        }
        let simulate = format!("/v1/approval-policies/{}/simulate", fleet.no_id());
        let answer = fleet.admin.post(&simulate, &json!({"until": far})).await;
        assert_eq!(answer.problem(422, "invalid"), ["/until"], "{far}");
        let body = json!({"from": far, "to": "2026-03-01T00:00:00Z", "dry_run": true});
        let answer = fleet.admin.post("/v1/prices/rerate", &body).await;
        let pointers = answer.problem(422, "invalid");
        assert!(pointers.contains(&"/from".to_owned()), "{body}: {pointers:?}");
    }
}
