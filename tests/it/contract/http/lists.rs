//! Queries, paths and pages.

use super::fixture::{fetch, fixture};
use axum::Router;
use data_encoding::BASE64URL_NOPAD;
use muster::http::state::Limits;
use serde_json::json;

fn router() -> Router {
    fixture(Limits::default())
}

#[tokio::test]
async fn pages_follow_one_another_to_the_end() {
    let mut path = "/numbers?limit=3&state=a+b&state=c%26d".to_owned();
    let mut pages = Vec::new();
    loop {
        let seen = fetch(&router(), &path).await;
        assert_eq!(seen.status, 200, "{path}");
        let page = seen.json();
        pages.push(page["items"].as_array().unwrap().len());
        let link = seen.header("link");
        let Some(cursor) = page["next_cursor"].as_str() else {
            assert_eq!(link, "");
            break;
        };
        let next = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
        let expected = format!("/numbers?limit=3&state=a+b&state=c%26d&cursor={cursor}");
        assert_eq!(next, expected, "the link keeps the other parameters");
        path = next.to_owned();
    }
    assert_eq!(pages, [3, 3, 1]);
}

#[tokio::test]
async fn a_full_last_page_has_no_next() {
    let seen = fetch(&router(), "/numbers?limit=7").await;
    assert_eq!(seen.json()["items"].as_array().unwrap().len(), 7);
    assert_eq!(seen.json()["next_cursor"], json!(null));
}

#[tokio::test]
async fn limits_are_1_to_200() {
    for good in ["1", "200", "5.0", "1e1", "2.0E2"] {
        assert_eq!(fetch(&router(), &format!("/numbers?limit={good}")).await.status, 200);
    }
    for bad in ["0", "201", "-1", "many", "4294967296", "5.5", "1e", "2.01e2"] {
        let seen = fetch(&router(), &format!("/numbers?limit={bad}")).await;
        assert_eq!(seen.problem(422, "invalid"), ["?limit"], "{bad}");
        let detail = seen.json()["errors"][0]["detail"].to_string();
        assert!(detail.contains("1 to 200"), "{bad}: {detail}");
    }
}

#[tokio::test]
async fn only_cursors_of_the_same_list_are_taken() {
    let seen = fetch(&router(), "/numbers?limit=1").await.json();
    let own = seen["next_cursor"].as_str().unwrap();
    assert_eq!(fetch(&router(), &format!("/numbers?cursor={own}")).await.status, 200);
    let encode = |value: serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    for (path, cursor) in [
        ("/others", own.to_owned()),
        ("/numbers", encode(json!({ "v": 2, "l": "/numbers", "k": { "n": 1 } }))),
        ("/numbers", encode(json!({ "v": 1, "l": "/numbers", "k": { "n": "1" } }))),
        ("/numbers", encode(json!({ "v": 1, "l": "/numbers", "k": { "n": -1 } }))),
        ("/numbers", encode(json!([]))),
        ("/numbers", "!!!".to_owned()),
        ("/numbers", String::new()),
        ("/numbers", "A".repeat(5000)),
        ("/numbers", BASE64URL_NOPAD.encode("[".repeat(900).as_bytes())),
    ] {
        let seen = fetch(&router(), &format!("{path}?cursor={cursor}")).await;
        assert_eq!(seen.problem(422, "invalid"), ["?cursor"], "{cursor}");
    }
}

#[tokio::test]
async fn unknown_and_wrong_parameters_are_refused_by_name() {
    for (query, pointer) in [
        ("colour=red", "?colour"),
        ("min=x", "?min"),
        ("min=1&min=2", "?min"),
        ("limit=1&limit=2", "?limit"),
        ("state=%00", "?state"),
        ("state=%ff", "?state"),
        ("%ff=1", "?\u{fffd}"),
    ] {
        let seen = fetch(&router(), &format!("/numbers?{query}")).await;
        assert_eq!(seen.problem(422, "invalid"), [pointer], "{query}");
    }
}

#[tokio::test]
async fn waiting_has_a_longest() {
    assert_eq!(fetch(&router(), "/wait").await.json(), 0);
    assert_eq!(fetch(&router(), "/wait?wait_seconds=60").await.json(), 60);
    for bad in ["61", "-1", "1.5", "4294967296"] {
        let seen = fetch(&router(), &format!("/wait?wait_seconds={bad}")).await;
        assert_eq!(seen.problem(422, "invalid"), ["?wait_seconds"], "{bad}");
        let detail = seen.json()["errors"][0]["detail"].to_string();
        assert!(detail.contains("0 to 60"), "{bad}: {detail}");
    }
}

#[tokio::test]
async fn what_is_no_id_is_not_found() {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    assert_eq!(fetch(&router(), &format!("/goals/{id}")).await.json(), id);
    for bad in ["1", "%00", "%ff", "%zz", "%", "%2e%2e", "01890a5d", "a%2Fb"] {
        fetch(&router(), &format!("/goals/{bad}")).await.problem(404, "not_found");
    }
}
