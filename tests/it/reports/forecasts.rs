//! What is to come: when a limit is used up, and what a goal costs in the end.

use serde_json::{Value, json};

use super::spend;
use crate::support::fleet::{Fleet, text};

/// A day and a lifetime of the workspace, and a goal that is over its limit.
#[tokio::test]
async fn a_forecast_says_when_nothing_will_be_left() {
    let fleet = Fleet::start().await;
    let limits = json!([
        {"unit": "usd_micros", "amount": 1_000},
        {"unit": "usd_micros", "amount": 1_000, "period": "day"},
        {"unit": "attempts", "amount": 25},
    ]);
    let of_all = json!({"node": "workspace", "budget": {"limits": limits}});
    let of_all = text(&fleet.admin.post("/v1/budgets", &of_all).await.value(201)["id"]);
    let goal = fleet.lone_task(json!({})).await;
    let agent = fleet.worker().await;
    let held = agent.take().await;
    spend(&agent, &held, "k", None, json!({"usd_micros": 240})).await;
    agent.complete(&held).await;
    let forecast = async |budget: &str| -> Value {
        fleet.admin.get(format!("/v1/reports/forecast?budget_id={budget}")).await.value(200)
    };
    let line = |forecast: &Value, unit: &str, period: &str| -> Value {
        let limits = forecast["limits"].as_array().unwrap();
        limits.iter().find(|l| l["unit"] == unit && l["period"] == period).unwrap().clone()
    };
    let found = forecast(&of_all).await;
    assert_eq!(found["at"], "2026-03-01T12:00:00Z");
    // Ten in an hour: 760 last for 76 hours, and a day ends before that.
    let lifetime = line(&found, "usd_micros", "lifetime");
    assert_eq!((&lifetime["used"], &lifetime["limit"]), (&json!(240), &json!(1_000)));
    assert_eq!(lifetime["burn_per_hour"], 10);
    assert_eq!(lifetime["exhausted_at"], "2026-03-04T16:00:00Z");
    assert_eq!(lifetime["ends_at"], Value::Null);
    let day = line(&found, "usd_micros", "day");
    assert_eq!(
        (&day["starts_at"], &day["ends_at"]),
        (&json!("2026-03-01T00:00:00Z"), &json!("2026-03-02T00:00:00Z"))
    );
    assert_eq!((&day["used"], &day["exhausted_at"]), (&json!(240), &Value::Null));
    // One attempt in a day: 24 more take 24 days.
    let attempts = line(&found, "attempts", "lifetime");
    assert_eq!((&attempts["used"], &attempts["burn_per_hour"]), (&json!(1), &json!(0)));
    assert_eq!(attempts["exhausted_at"], "2026-03-25T12:00:00Z");

    let limit = json!({"limits": [{"unit": "usd_micros", "amount": 100}]});
    let of_goal = json!({"node": "goal", "node_id": goal, "budget": limit});
    let of_goal = text(&fleet.admin.post("/v1/budgets", &of_goal).await.value(201)["id"]);
    let over = forecast(&of_goal).await;
    assert_eq!(over["limits"][0]["exhausted_at"], over["at"]);

    // A day later nothing was used lately, and there is another day.
    fleet.pass(24 * 3600 + 1);
    let later = forecast(&of_all).await;
    let lifetime = line(&later, "usd_micros", "lifetime");
    assert_eq!((&lifetime["burn_per_hour"], &lifetime["exhausted_at"]), (&json!(0), &Value::Null));
    assert_eq!(line(&later, "usd_micros", "day")["used"], 0);
    assert_eq!(line(&later, "usd_micros", "day")["starts_at"], "2026-03-02T00:00:00Z");
    assert_eq!(forecast(&of_goal).await["limits"][0]["exhausted_at"], "2026-03-02T12:00:01Z");
}

#[tokio::test]
async fn a_goal_is_estimated_at_its_completion() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "t"},
            {"ref": "b", "title": "t", "estimate": {"usd_micros": 9_000}},
            {"ref": "c", "title": "t", "estimate": {"usd_micros": {"want": 50, "min": 5}}},
            {"ref": "d", "title": "t"},
            {"ref": "e", "title": "t", "estimate": {"usd_micros": 20}},
            {"ref": "f", "title": "t", "estimate": {"usd_micros": 8}},
        ]))
        .await;
    let path = format!("/v1/goals/{goal}/estimate");
    let held = agent.claim(6).await;
    let of = |name: &str| held.iter().find(|held| held.name == name).unwrap();
    fleet.pass(10);
    for (name, amount) in [("a", 30), ("b", 41), ("d", 6), ("f", 11)] {
        spend(&agent, of(name), "k", None, json!({"usd_micros": amount})).await;
    }
    agent.complete(of("a")).await;
    agent.complete(of("b")).await;
    sqlx::query(
        "insert into usual_spend (workspace_id, capability_key, unit, p90, tasks, computed_at)
         select workspace_id, capability_key, 'calls', 5, 10, now() from tasks limit 1",
    )
    .execute(&fleet.pool)
    .await
    .unwrap();
    let estimate = fleet.admin.get(&path).await.value(200);
    assert_eq!((&estimate["tasks_done"], &estimate["tasks_open"]), (&json!(2), &json!(4)));
    let line = |unit: &str| -> Value {
        let units = estimate["units"].as_array().unwrap();
        units.iter().find(|line| line["unit"] == unit).unwrap().clone()
    };
    // 50, and the mean of 30 and 41 less 6, and 20; the last used more than was thought.
    let want = json!({
        "unit": "usd_micros", "spent": 88, "expected_rest": 50 + 30 + 20, "at_completion": 188,
        "basis": {"from_estimate": 3, "from_nearest": 0, "from_usual": 0, "from_mean": 1, "unknown": 0},
    });
    assert_eq!(line("usd_micros"), want);
    let want = json!({
        "unit": "calls", "spent": 0, "expected_rest": 20, "at_completion": 20,
        "basis": {"from_estimate": 0, "from_nearest": 0, "from_usual": 4, "from_mean": 0, "unknown": 0},
    });
    assert_eq!(line("calls"), want);
    // What the service measures counts too.
    assert_eq!(
        (&line("attempts")["spent"], &line("attempts")["at_completion"]),
        (&json!(2), &json!(6))
    );
    assert_eq!(line("wall_ms")["spent"], 20_000);
    assert_eq!(line("wall_ms")["at_completion"], 60_000);

    // What is done costs what it has cost.
    for name in ["c", "d", "e", "f"] {
        agent.complete(of(name)).await;
    }
    let estimate = fleet.admin.get(&path).await.value(200);
    assert_eq!(estimate["tasks_open"], 0);
    for line in estimate["units"].as_array().unwrap() {
        assert_eq!(line["spent"], line["at_completion"], "{line}");
    }
}
