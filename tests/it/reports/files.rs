//! Files: what is in them is safe, can be read back, and is all there is.

use serde_json::{Value, json};

use super::{correct, report, set_fraction, spend, table};
use crate::support::fleet::Fleet;

/// A file that is opened in a spreadsheet runs nothing, and says what was meant.
#[tokio::test]
async fn no_cell_is_a_formula() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("=cmd()", &[], 10).await;
    let title = "say \"hi\", or =1+1";
    let goal =
        fleet.post_goal(json!({"title": title, "tasks": [{"ref": "a", "title": "-x"}]})).await;
    let held = agent.take().await;
    spend(&agent, &held, "k", Some("@SUM(A1)"), json!({"usd_micros": 5})).await;
    let name = async |group: &str, column: &str| {
        let (_, rows) = table(&fleet.admin, &format!("spend.csv?group_by={group}")).await;
        rows[0][column].clone()
    };
    assert_eq!(name("agent", "name").await, "'=cmd()");
    assert_eq!(name("goal", "name").await, title);
    assert_eq!(name("task", "name").await, "'-x");
    assert_eq!(name("model", "key").await, "'@SUM(A1)");
    for (stored, want) in [("two\r\nlines, \"one\" title", None), ("\t=1", Some("'\t=1"))] {
        sqlx::query("update goals set title = $2 where goal_id = $1::uuid")
            .bind(&goal)
            .bind(stored)
            .execute(&fleet.pool)
            .await
            .unwrap();
        assert_eq!(name("goal", "name").await, want.unwrap_or(stored));
    }
    correct(&fleet, "k", -9, 0).await;
    let (header, rows) = table(&fleet.admin, "spend.csv").await;
    assert_eq!(header, ["key", "name", "usd", "attempts", "amount_usd_micros"]);
    // A number below zero is no formula.
    assert_eq!(rows[0]["usd"], "-0.000004");
    assert_eq!(rows[0]["amount_usd_micros"], "-4");
}

#[tokio::test]
async fn billing_tools_get_what_they_know() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = json!({"title": "g", "project": "p", "tasks": [{"ref": "a", "title": "a"}]});
    let goal = fleet.post_goal(goal).await;
    let held = agent.take().await;
    let amounts = json!({"usd_micros": 1_000, "output_tokens": 320});
    spend(&agent, &held, "k", Some("claude-sonnet-4-5"), amounts).await;
    set_fraction(&fleet, "k", 250_000).await;
    correct(&fleet, "k", -100, 0).await;
    let time = "from=2026-03-01T06:00:00Z&to=2026-04-01T00:00:00Z";
    let (header, rows) = table(&fleet.admin, &format!("focus.csv?{time}")).await;
    assert_eq!(header.len(), 30);
    let by = |unit: &str, class: &str| {
        let found =
            rows.iter().find(|row| row["PricingUnit"] == unit && row["ChargeClass"] == class);
        found.unwrap_or_else(|| panic!("no row of {unit} {class}: {rows:#?}"))
    };
    assert_eq!(rows.len(), 3);
    let (money, tokens) = (by("USD", ""), by("output_tokens", ""));
    for cost in ["BilledCost", "EffectiveCost", "ListCost", "ContractedCost"] {
        assert_eq!(money[cost], "0.00100025");
        assert_eq!(tokens[cost], "0.00");
        assert_eq!(by("USD", "Correction")[cost], "-0.0001");
    }
    assert_eq!(
        (money["ConsumedUnit"].as_str(), money["PricingQuantity"].as_str()),
        ("", "0.00100025")
    );
    let consumed = (tokens["ConsumedQuantity"].as_str(), tokens["ConsumedUnit"].as_str());
    assert_eq!(consumed, ("320", "output_tokens"));
    for (column, want) in [
        ("BillingCurrency", "USD"),
        ("BillingPeriodStart", "2026-03-01T00:00:00Z"),
        ("BillingPeriodEnd", "2026-04-01T00:00:00Z"),
        // The first day is cut to the time that was asked for.
        ("ChargePeriodStart", "2026-03-01T06:00:00Z"),
        ("ChargePeriodEnd", "2026-03-02T00:00:00Z"),
        ("ChargeCategory", "Usage"),
        ("ProviderName", "anthropic"),
        ("PublisherName", "anthropic"),
        ("ServiceCategory", "AI and Machine Learning"),
        ("ServiceName", "claude-sonnet-4-5"),
        ("SubAccountName", "p"),
        ("ResourceId", agent.id.as_str()),
        ("ResourceName", "worker"),
        ("ResourceType", "agent"),
    ] {
        assert_eq!(money[column], want, "{column}");
    }
    let tags: Value = serde_json::from_str(&money["Tags"]).unwrap();
    let want = json!({"goal": goal, "goal_title": "g", "task": held.task, "capability": ""});
    assert_eq!(tags, want);
    let (_, none) =
        table(&fleet.admin, "focus.csv?from=2026-04-01T00:00:00Z&to=2026-05-01T00:00:00Z").await;
    assert!(none.is_empty());
}

/// Half a report would look like a whole one.
#[tokio::test]
async fn what_is_too_much_for_a_file_is_refused() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    spend(&agent, &held, "k", Some("m"), json!({"x": 1})).await;
    let more = async |from: i32, to: i32| {
        sqlx::query(
            "insert into spend_entries (workspace_id, attempt_id, entry_key, unit, amount, late,
                                        model, recorded_at)
             select workspace_id, attempt_id, 'more' || n, unit, 1, false, 'm' || n, recorded_at
             from spend_entries, generate_series($1, $2) n where entry_key = 'k'",
        )
        .bind(from)
        .bind(to)
        .execute(&fleet.pool)
        .await
        .unwrap();
    };
    let time = "from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z";
    more(2, 10_000).await;
    assert_eq!(table(&fleet.admin, "spend.csv?group_by=model").await.1.len(), 10_000);
    more(10_001, 50_000).await;
    let refused = fleet.admin.get("/v1/reports/spend.csv?group_by=model").await;
    assert_eq!(refused.problem(422, "invalid"), ["?from"]);
    assert_eq!(table(&fleet.admin, "spend.csv?group_by=model&model=m7").await.1.len(), 1);
    assert_eq!(table(&fleet.admin, &format!("focus.csv?{time}")).await.1.len(), 50_000);
    more(50_001, 50_001).await;
    let refused = fleet.admin.get(format!("/v1/reports/focus.csv?{time}")).await;
    assert_eq!(refused.problem(422, "invalid"), ["?from"]);
    // A page of it can be had all the same.
    let page = report(&fleet.admin, "group_by=model&limit=200").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 200);
    assert_eq!(page["total"]["amounts"]["x"], 50_001);
}
