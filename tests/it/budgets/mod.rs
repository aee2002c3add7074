//! Budgets: what is set aside, what is refused, and what becomes of what was refused.

use serde_json::{Value, json};

use crate::support::fleet::{Fleet, text};

mod admission;
mod exhaustion;
mod races;
mod settling;
mod what_is_left;

/// Gives a node a budget; returns its id.
async fn limit(fleet: &Fleet, node: &str, id: Option<&str>, budget: Value) -> String {
    let body = json!({"node": node, "node_id": id, "budget": budget});
    text(&fleet.admin.post("/v1/budgets", &body).await.value(201)["id"])
}

/// A budget of one limit.
fn of(unit: &str, amount: i64) -> Value {
    json!({"limits": [{"unit": unit, "amount": amount}]})
}

/// A budget's only limit, as it is at this moment: (settled, reserved, overrun).
async fn holds(fleet: &Fleet, budget: &str) -> (i64, i64, i64) {
    let budget = fleet.admin.get(format!("/v1/budgets/{budget}")).await.value(200);
    let [limit] = budget["limits"].as_array().unwrap().as_slice() else {
        panic!("not one limit: {budget}");
    };
    let amount = |name: &str| limit["window"][name].as_i64().unwrap_or_default();
    (amount("settled"), amount("reserved"), amount("overrun"))
}

/// Changes the limits of a budget, whatever its version.
async fn change(fleet: &Fleet, budget: &str, change: Value) -> Value {
    let path = format!("/v1/budgets/{budget}");
    let etag = fleet.admin.get(&path).await.expect(200).etag();
    fleet.admin.patch(&path, &change).if_match(&etag).await.value(200)
}

/// So many tasks with this estimate.
fn tasks(count: usize, estimate: &Value) -> Value {
    let task = |n| json!({"ref": format!("t{n}"), "title": "t", "estimate": estimate});
    (0..count).map(task).collect()
}

/// The events of a kind, oldest first.
async fn events(fleet: &Fleet, kind: &str) -> Vec<Value> {
    let rows: Vec<Value> =
        sqlx::query_scalar("select data from journal where kind = $1 order by number")
            .bind(kind)
            .fetch_all(&fleet.pool)
            .await
            .unwrap();
    rows
}
