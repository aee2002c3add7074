//! Who used what: groups, filters, days, and money to the last digit.

use serde_json::{Value, json};

use super::{GROUPS, correct, exact, report, set_fraction, spend, table};
use crate::support::{
    agent::Agent,
    fleet::{Fleet, text},
};

/// Two agents that used two models for three goals of two projects and none.
struct Place {
    fleet: Fleet,
    goals: Vec<String>,
    agents: Vec<Agent>,
}

impl Place {
    async fn new() -> Self {
        let fleet = Fleet::start().await;
        let agents =
            vec![fleet.agent("one", &["rust"], 10).await, fleet.agent("two", &["rust"], 10).await];
        let mut goals = Vec::new();
        for (n, project) in [Some("p"), Some("q"), None].into_iter().enumerate() {
            let tasks = json!([
                {"ref": "a", "title": "first", "capabilities": ["rust"]},
                {"ref": "b", "title": "second"},
            ]);
            let goal = json!({"title": format!("goal {n}"), "project": project, "tasks": tasks});
            goals.push(fleet.post_goal(goal).await);
            for (m, agent) in agents.iter().enumerate() {
                let held = agent.take().await;
                let key = format!("{n} {m}");
                let money = 1_000 * (n as i64 * 2 + m as i64 + 1);
                let amounts = json!({"usd_micros": money, "output_tokens": 7});
                spend(agent, &held, &key, Some(["x", "y"][m]), amounts).await;
                spend(agent, &held, &format!("{key} tool"), None, json!({"calls": 1})).await;
                set_fraction(&fleet, &key, 333_333 * m as i32 + n as i32).await;
            }
        }
        Self { fleet, goals, agents }
    }
}

#[tokio::test]
async fn every_grouping_adds_up_to_the_same() {
    let place = Place::new().await;
    let admin = &place.fleet.admin;
    // 21 thousand micro-dollars, and 3 * 333,333 + 2 * (0 + 1 + 2) millionths.
    let usd = exact("0.021000000000") + 999_999 + 6;
    for group in GROUPS {
        let report = report(admin, &format!("group_by={group}")).await;
        assert_eq!(report["group_by"], *group);
        assert_eq!(report["next_cursor"], Value::Null);
        let total = &report["total"];
        let want = json!({"usd_micros": 21_001, "output_tokens": 42, "calls": 6});
        assert_eq!(total["amounts"], want, "by {group}");
        assert_eq!(exact(total["usd"].as_str().unwrap()), usd, "by {group}");
        assert_eq!(total["attempts"], 6, "by {group}");
        let items = report["items"].as_array().unwrap();
        let sum: i128 = items.iter().map(|row| exact(row["usd"].as_str().unwrap())).sum();
        assert_eq!(sum, usd, "by {group}");
        let tokens: i64 =
            items.iter().filter_map(|row| row["amounts"]["output_tokens"].as_i64()).sum();
        assert_eq!(tokens, 42, "by {group}");
        let (_, rows) = table(admin, &format!("spend.csv?group_by={group}")).await;
        let sum: i128 = rows.iter().map(|row| exact(&row["usd"])).sum();
        assert_eq!((rows.len(), sum), (items.len(), usd), "by {group}");
    }
}

#[tokio::test]
async fn rows_have_names_and_the_dearest_comes_first() {
    let place = Place::new().await;
    let names = async |group: &str| -> Vec<(Value, Value)> {
        let report = report(&place.fleet.admin, &format!("group_by={group}")).await;
        let items = report["items"].as_array().unwrap();
        items.iter().map(|row| (row["key"].clone(), row["name"].clone())).collect()
    };
    let goals = place.goals.iter().zip(["goal 0", "goal 1", "goal 2"]).rev();
    let goals: Vec<_> = goals.map(|(id, title)| (json!(id), json!(title))).collect();
    assert_eq!(names("goal").await, goals);
    let agents = [(&place.agents[1].id, "two"), (&place.agents[0].id, "one")];
    assert_eq!(names("agent").await, agents.map(|(id, name)| (json!(id), json!(name))));
    // What belongs to no project and what named no model has a row too.
    let projects = names("project").await;
    assert_eq!(projects[0], (Value::Null, Value::Null));
    assert_eq!((&projects[1].1, &projects[2].1), (&json!("q"), &json!("p")));
    let models = [json!("y"), json!("x"), Value::Null];
    assert_eq!(names("model").await, models.map(|model| (model, Value::Null)));
    let capabilities: Vec<Value> = names("capability").await.into_iter().map(|row| row.0).collect();
    assert!(capabilities.contains(&json!("rust")) && capabilities.contains(&json!("")));
    assert_eq!(names("day").await, [(json!("2026-03-01"), Value::Null)]);
    assert_eq!(names("task").await.len(), 6);
}

#[tokio::test]
async fn pages_are_the_report_in_parts() {
    let place = Place::new().await;
    for group in GROUPS {
        let whole = report(&place.fleet.admin, &format!("group_by={group}&limit=200")).await;
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page =
                report(&place.fleet.admin, &format!("group_by={group}&limit=1{cursor}")).await;
            assert_eq!(page["total"], whole["total"], "by {group}");
            items.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(json!(items), whole["items"], "by {group}");
    }
}

#[tokio::test]
async fn filters_leave_the_rest_out() {
    let place = Place::new().await;
    let goal = &place.goals[0];
    let project = text(&place.fleet.read_goal(goal).await["project_id"]);
    let task = place.fleet.task_id(goal, "b").await;
    let agent = &place.agents[0].id;
    for (filter, usd) in [
        (format!("goal_id={goal}"), "0.003000333333"),
        (format!("project_id={project}"), "0.003000333333"),
        (format!("agent_id={agent}"), "0.009000000003"),
        (format!("agent_id={agent}&goal_id={goal}"), "0.001"),
        ("model=y".to_owned(), "0.012001000002"),
        ("model=z".to_owned(), "0.00"),
        (format!("agent_id={}", place.fleet.no_id()), "0.00"),
    ] {
        let total = report(&place.fleet.admin, &filter).await["total"].clone();
        assert_eq!(exact(total["usd"].as_str().unwrap()), exact(usd), "{filter}");
    }
    let of_task = report(&place.fleet.admin, &format!("task_id={task}&group_by=task")).await;
    assert_eq!(of_task["items"].as_array().unwrap().len(), 1);
    assert_eq!(of_task["items"][0]["key"], task.as_str());
    assert_eq!(of_task["items"][0]["name"], "second");
}

/// It is noon in London. What is used half an hour before midnight there is of the next day in
/// Vienna.
#[tokio::test]
async fn a_day_begins_where_the_report_says() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    spend(&agent, &held, "noon", None, json!({"x": 1})).await;
    fleet.pass(11 * 3600 + 1800);
    spend(&agent, &held, "night", None, json!({"x": 10})).await;
    let days = async |query: &str| -> Vec<(String, i64)> {
        let report = report(&fleet.admin, &format!("group_by=day{query}")).await;
        let items = report["items"].as_array().unwrap();
        let day = |row: &Value| (text(&row["key"]), row["amounts"]["x"].as_i64().unwrap());
        items.iter().map(day).collect()
    };
    let day = |day: &str, amount| (day.to_owned(), amount);
    assert_eq!(days("").await, [day("2026-03-01", 11)]);
    let vienna = days("&time_zone=Europe/Vienna").await;
    assert_eq!(vienna, [day("2026-03-01", 1), day("2026-03-02", 10)]);
    // From an instant on, and before another.
    assert_eq!(days("&to=2026-03-01T23:30:00Z").await, [day("2026-03-01", 1)]);
    assert_eq!(days("&from=2026-03-01T23:30:00Z").await, [day("2026-03-01", 10)]);
    assert_eq!(days("&from=2026-03-01T12:00:00Z&to=2026-03-01T12:00:01Z").await.len(), 1);
    assert!(days("&from=2026-03-02T00:00:00Z").await.is_empty());
}

/// Fractions of micro-dollars are summed before anything is rounded, and what is taken back is.
#[tokio::test]
async fn money_is_exact() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    for (key, amount, fraction) in [("a", 47_608_891, 999_999), ("b", 1, 999_999), ("c", 1, 2)] {
        spend(&agent, &held, key, None, json!({"usd_micros": amount})).await;
        set_fraction(&fleet, key, fraction).await;
    }
    let total = report(&fleet.admin, "").await["total"].clone();
    assert_eq!(
        (&total["usd"], &total["amounts"]["usd_micros"]),
        (&json!("47.608895"), &json!(47_608_895))
    );
    // Minus 0.5 micro-dollars: an amount of minus one and half a micro-dollar.
    correct(&fleet, "a", -1, 500_000).await;
    let total = report(&fleet.admin, "").await["total"].clone();
    assert_eq!(total["usd"], "47.6088945");
    assert_eq!(total["amounts"]["usd_micros"], 47_608_894);
    correct(&fleet, "b", -50_000_000, 0).await;
    let total = report(&fleet.admin, "").await["total"].clone();
    assert_eq!(total["usd"], "-2.3911055");
    assert_eq!(total["amounts"]["usd_micros"], -2_391_106);
}
