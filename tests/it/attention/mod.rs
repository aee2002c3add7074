//! What waits for a person: each kind is listed when it should be, and sending its action exactly as it
//! is given clears it.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Client},
    fleet::{Fleet, text},
};

mod capacity;
mod order;
mod people;
mod sealing;
mod stops;

/// The whole first page, behind a sealer that has nothing in its way.
async fn page(fleet: &Fleet, query: &str) -> Value {
    let workspace = fleet.workspace;
    fleet.app.seal_journal(workspace).await.unwrap();
    fleet.admin.get(format!("/v1/attention?limit=200{query}")).await.value(200)
}

async fn items(fleet: &Fleet, query: &str) -> Vec<Value> {
    page(fleet, query).await["items"].as_array().unwrap().clone()
}

/// The only thing that waits; it is counted too.
async fn only(fleet: &Fleet, kind: &str) -> Value {
    let page = page(fleet, "").await;
    let [item] = page["items"].as_array().unwrap().as_slice() else {
        panic!("not one item: {page:#}");
    };
    assert_eq!(item["kind"], kind, "{item:#}");
    let counts = page["counts"].as_object().unwrap();
    for (name, count) in counts {
        assert_eq!(*count, json!(i64::from(name == kind)), "{name}: {page:#}");
    }
    item.clone()
}

#[track_caller]
fn nothing<'a>(fleet: &'a Fleet) -> impl Future<Output = ()> + 'a {
    let place = std::panic::Location::caller();
    async move {
        let page = page(fleet, "").await;
        assert_eq!(page["items"], json!([]), "at {place}");
        let counted: i64 =
            page["counts"].as_object().unwrap().values().filter_map(Value::as_i64).sum();
        assert_eq!(counted, 0, "at {place}");
    }
}

/// Somebody who may do everything and has asked for nothing.
async fn operator(fleet: &Fleet) -> Client {
    fleet.admin.clone()
}

/// Sends the action of an item exactly as it is given.
async fn send(operator: &Client, item: &Value) -> Answer {
    let action = &item["action"];
    let method = Method::from_bytes(text(&action["method"]).as_bytes()).unwrap();
    let mut call = operator.call(method, text(&action["path"]));
    for (name, value) in action["headers"].as_object().unwrap() {
        call = call.header(name, &text(value));
    }
    let answer = call.json(&action["body"]).await;
    assert!(answer.status.is_success(), "{item:#}\n{}", answer.describe());
    answer
}
