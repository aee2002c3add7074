//! Reports: every grouping adds up to the same, to the last digit, and no file is a trap.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    client::Client,
    fleet::{Fleet, text},
};

mod agents;
mod bottlenecks;
mod files;
mod forecasts;
mod sums;

const GROUPS: &[&str] = &["agent", "model", "goal", "task", "project", "capability", "day"];

async fn report(client: &Client, query: &str) -> Value {
    client.get(format!("/v1/reports/spend?{query}")).await.value(200)
}

/// A table: the header, and the rows by the names of their columns.
async fn table(client: &Client, path: &str) -> (Vec<String>, Vec<BTreeMap<String, String>>) {
    let answer = client.get(format!("/v1/reports/{path}")).await.expect(200);
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
    let disposition = answer.header("content-disposition");
    assert!(disposition.starts_with("attachment; filename=\""), "{disposition}");
    let mut lines = parse(std::str::from_utf8(&answer.body).unwrap()).into_iter();
    let header = lines.next().unwrap();
    let mut rows = Vec::new();
    for line in lines {
        assert_eq!(line.len(), header.len(), "{line:?}");
        rows.push(header.iter().cloned().zip(line).collect());
    }
    (header, rows)
}

/// Reads RFC 4180 strictly: nothing but CR LF ends a line.
fn parse(text: &str) -> Vec<Vec<String>> {
    let (mut lines, mut line, mut rest) = (Vec::new(), Vec::new(), text);
    while !rest.is_empty() {
        let (cell, after) = cell(rest);
        line.push(cell);
        if let Some(more) = after.strip_prefix(',') {
            rest = more;
        } else {
            rest = after.strip_prefix("\r\n").expect("a line ends with CR LF");
            lines.push(std::mem::take(&mut line));
        }
    }
    assert!(line.is_empty(), "the last line has no end");
    lines
}

fn cell(text: &str) -> (String, &str) {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find([',', '\r', '\n']).unwrap_or(text.len());
        assert!(!text[..end].contains('"'), "a quote in a cell without quotes");
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut cell = String::new();
    loop {
        let (part, after) = rest.split_once('"').expect("the quotes are closed");
        cell.push_str(part);
        let Some(more) = after.strip_prefix('"') else { return (cell, after) };
        cell.push('"');
        rest = more;
    }
}

/// A decimal of dollars as a number of millionths of a millionth.
fn exact(usd: &str) -> i128 {
    let (whole, part) = usd.split_once('.').unwrap();
    assert!(part.len() >= 2 && part.len() <= 12, "{usd}");
    format!("{whole}{part:0<12}").parse().unwrap()
}

async fn spend(agent: &Agent, held: &Held, key: &str, model: Option<&str>, amounts: Value) {
    let mut entry = json!({"key": key, "amounts": amounts});
    if let Some(model) = model {
        entry["model"] = json!(model);
    }
    agent.write(held, "spend", json!({"entries": [entry]})).await.expect(200);
}

/// What the price of a token leaves beside whole micro-dollars.
async fn set_fraction(fleet: &Fleet, key: &str, fraction: i32) {
    sqlx::query(
        "update spend_entries set fraction = $2 where entry_key = $1 and unit = 'usd_micros'",
    )
    .bind(key)
    .bind(fraction)
    .execute(&fleet.pool)
    .await
    .unwrap();
}

/// Takes something of an entry back.
async fn correct(fleet: &Fleet, key: &str, amount: i64, fraction: i32) {
    sqlx::query(
        "insert into spend_entries (workspace_id, attempt_id, entry_key, unit, amount, fraction,
                                    late, model, recorded_at)
         select workspace_id, attempt_id, 'rerate:' || entry_key, unit, $2, $3, true, model,
                recorded_at
         from spend_entries where entry_key = $1 and unit = 'usd_micros'",
    )
    .bind(key)
    .bind(amount)
    .bind(fraction)
    .execute(&fleet.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn what_cannot_be_reported_is_refused_where_it_is_wrong() {
    let fleet = Fleet::start().await;
    for (path, pointers) in [
        ("spend?group_by=weather", ["?group_by"].as_slice()),
        ("spend?from=yesterday", &["?from"]),
        ("spend?time_zone=Mars", &["?time_zone"]),
        ("spend?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", &["?to"]),
        ("spend?from=2026-03-02T00:00:00Z&to=2026-03-02T00:00:00Z", &["?to"]),
        ("spend?goal_id=1", &["?goal_id"]),
        ("spend?limit=0", &["?limit"]),
        ("spend?limit=201", &["?limit"]),
        ("spend?cursor=x", &["?cursor"]),
        ("spend?colour=red", &["?colour"]),
        ("spend.csv?limit=5", &["?limit"]),
        ("spend.csv?time_zone=vienna", &["?time_zone"]),
        ("focus.csv", &["?from", "?to"]),
        ("focus.csv?from=2026-03-01T00:00:00Z", &["?to"]),
        ("focus.csv?from=2026-01-01T00:00:00Z&to=2026-06-01T00:00:00Z", &["?to"]),
        ("focus.csv?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", &["?to"]),
        ("agents?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", &["?to"]),
        ("agents?from=2025-10-01T00:00:00Z&to=2026-03-01T00:00:00Z", &["?from"]),
        ("agents?from=2026-03-01T13:00:00Z", &["?from"]),
        ("agents?agent_id=1", &["?agent_id"]),
        ("routing?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", &["?to"]),
        ("routing?from=2026-03-01T13:00:00Z", &["?from"]),
        ("agents?cursor=x", &["?cursor"]),
        ("agents?colour=red", &["?colour"]),
        ("forecast", &["?budget_id"]),
        ("forecast?budget_id=x", &["?budget_id"]),
    ] {
        let answer = fleet.admin.get(format!("/v1/reports/{path}")).await;
        assert_eq!(answer.problem(422, "invalid"), pointers, "{path}");
    }
    let nothing = fleet.no_id();
    for path in
        [format!("reports/forecast?budget_id={nothing}"), format!("goals/{nothing}/estimate")]
    {
        fleet.admin.get(format!("/v1/{path}")).await.problem(404, "not_found");
    }
    // Nothing was used: there is a report all the same.
    let empty = report(&fleet.admin, "").await;
    let total = json!({"amounts": {}, "usd": "0.00", "attempts": 0});
    assert_eq!((&empty["items"], &empty["total"]), (&json!([]), &total));
    assert!(table(&fleet.admin, "spend.csv").await.1.is_empty());
}

#[tokio::test]
async fn reports_are_for_those_who_watch() {
    let fleet = Fleet::start().await;
    let goal = fleet.lone_task(json!({})).await;
    let limit = json!({"node": "goal", "node_id": goal, "budget": {"limits": []}});
    let budget = text(&fleet.admin.post("/v1/budgets", &limit).await.value(201)["id"]);
    let agent = fleet.worker().await;
    let submitter = fleet.client(&fleet.key("submitter").await);
    let viewer = fleet.client(&fleet.key("viewer").await);
    let stranger = fleet.other_workspace().await;
    for path in [
        "reports/spend".to_owned(),
        "reports/spend.csv".to_owned(),
        "reports/focus.csv?from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z".to_owned(),
        "reports/agents".to_owned(),
        "reports/bottlenecks".to_owned(),
        format!("reports/forecast?budget_id={budget}"),
        format!("goals/{goal}/estimate"),
    ] {
        let path = format!("/v1/{path}");
        agent.client.get(&path).await.problem(403, "forbidden");
        submitter.get(&path).await.problem(403, "forbidden");
        viewer.get(&path).await.expect(200);
        if path.contains(&budget) || path.contains(&goal) {
            stranger.get(&path).await.problem(404, "not_found");
        }
    }
    // Another workspace sees nothing of what was used here.
    let held = agent.take().await;
    spend(&agent, &held, "k", None, json!({"x": 1})).await;
    for group in GROUPS {
        let theirs = report(&stranger, &format!("group_by={group}")).await;
        assert_eq!(theirs["total"]["amounts"], json!({}), "by {group}");
    }
}
