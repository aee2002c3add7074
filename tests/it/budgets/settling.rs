//! What was used: in which period it counts, what was overrun, and what an agent is told.

use serde_json::json;

use super::{change, events, holds, limit, of, tasks};
use crate::support::{fleet::Fleet, invariants::verify};

fn spend(key: &str, amount: i64) -> serde_json::Value {
    json!({"entries": [{"key": key, "amounts": {"usd_micros": amount}}]})
}

/// Reported spend is never refused: what no reservation covers is taken from what is left, and the
/// rest is overrun, told once for each report.
#[tokio::test]
async fn more_than_was_set_aside_is_extended_and_then_overrun() {
    let fleet = Fleet::start().await;
    let budget = limit(&fleet, "workspace", None, of("usd_micros", 100)).await;
    fleet.goal(tasks(1, &json!({"usd_micros": 40}))).await;
    let agent = fleet.worker().await;
    let held = agent.take().await;
    agent.write(&held, "spend", spend("a", 70)).await.expect(200);
    assert_eq!(holds(&fleet, &budget).await, (70, 0, 0));
    assert!(events(&fleet, "budget.overrun").await.is_empty());
    agent.write(&held, "spend", spend("b", 50)).await.expect(200);
    assert_eq!(holds(&fleet, &budget).await, (120, 0, 20));
    let overrun = events(&fleet, "budget.overrun").await;
    assert_eq!(overrun.len(), 1);
    assert_eq!(overrun[0]["overrun"], 20);
    // Sent again it adds nothing, and late spend counts like any other.
    agent.write(&held, "spend", spend("b", 50)).await.expect(200);
    agent.complete(&held).await;
    agent.write(&held, "spend", spend("late", 5)).await.expect(200);
    assert_eq!(holds(&fleet, &budget).await, (125, 0, 25));
    verify(&fleet.pool).await;
}

/// What an attempt uses belongs to the month in which it was started.
#[tokio::test]
async fn a_month_that_ends_meanwhile_changes_nothing_for_what_runs() {
    let fleet = Fleet::start().await;
    let monthly = json!({
        "limits": [{"unit": "usd_micros", "amount": 100, "period": "month"}],
        "time_zone": "America/New_York",
    });
    let budget = limit(&fleet, "workspace", None, monthly).await;
    let goal = fleet.goal(tasks(2, &json!({"usd_micros": 60}))).await;
    let agent = fleet.worker().await;
    // It is the first of March at noon; the first of April in New York begins at 04:00 UTC.
    fleet.pass(31 * 86400 - 8 * 3600 - 60);
    let held = agent.claim_with(json!({"lease_seconds": 600})).await.remove(0);
    assert!(agent.claim(1).await.is_empty());
    fleet.expect_states(&goal, "t0:running t1:parked").await;
    fleet.pass(61);
    fleet.round().await;
    let beat = agent.write(&held, "heartbeat", json!({"spend": spend("a", 60)})).await.value(200);
    assert_eq!(beat["directive"], "continue");
    let second = agent.take().await;
    assert_eq!(holds(&fleet, &budget).await, (0, 60, 0));
    agent.complete(&held).await;
    agent.write(&second, "complete", json!({"spend": spend("a", 10)})).await.expect(200);
    assert_eq!(holds(&fleet, &budget).await, (10, 0, 0));
    let windows: Vec<(i64, i64)> =
        sqlx::query_as("select settled, reserved from budget_windows order by starts_at")
            .fetch_all(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(windows, [(60, 0), (10, 0)]);
    verify(&fleet.pool).await;
}

/// Two goals of one project: when one of them uses the project's limit up, both hear of it with
/// their next heartbeat.
#[tokio::test]
async fn everybody_below_a_limit_that_is_used_up_is_told_to_stop() {
    let fleet = Fleet::start().await;
    let project = fleet.admin.post("/v1/projects", &json!({"name": "p"})).await.value(201);
    let id = project["id"].as_str().unwrap().to_owned();
    let budget = limit(&fleet, "project", Some(&id), of("usd_micros", 100)).await;
    let agent = fleet.worker().await;
    let mut held = Vec::new();
    for name in ["one", "two"] {
        let tasks = tasks(1, &json!({"usd_micros": 50}));
        fleet.post_goal(json!({"title": name, "project": "p", "tasks": tasks})).await;
        held.push(agent.take().await);
    }
    fleet.lone_task(json!({})).await;
    held.push(agent.take().await);
    agent.write(&held[0], "spend", spend("a", 50)).await.expect(200);
    let beat = agent.beat(&held[0]).await;
    assert_eq!(beat["directive"], "wrap_up", "{beat}");
    assert_eq!(beat["budget"][0]["state"], "used_up");
    assert_eq!(agent.beat(&held[1]).await["directive"], "continue");
    agent.write(&held[0], "spend", spend("b", 53)).await.expect(200);
    agent.write(&held[1], "spend", spend("a", 20)).await.expect(200);
    for (held, want) in held.iter().zip(["stop", "stop", "continue"]) {
        assert_eq!(agent.beat(held).await["directive"], want);
    }
    let (settled, _, overrun) = holds(&fleet, &budget).await;
    assert_eq!((settled, overrun), (123, 23));
    verify(&fleet.pool).await;
}

/// The service measures how long attempts took and how many there were; nobody reports that.
#[tokio::test]
async fn time_and_attempts_are_measured() {
    let fleet = Fleet::start().await;
    let time = limit(&fleet, "workspace", None, of("wall_ms", 100_000)).await;
    let goal = fleet.post_goal(json!({
        "title": "g", "tasks": tasks(3, &json!({"wall_ms": 20_000})),
        "budget": {"limits": [{"unit": "attempts", "amount": 2}], "on_exhausted": "stop"},
    }));
    let goal = goal.await;
    let agent = fleet.worker().await;
    let held = agent.take().await;
    assert_eq!(holds(&fleet, &time).await, (0, 20_000, 0));
    fleet.pass(7);
    agent.complete(&held).await;
    assert_eq!(holds(&fleet, &time).await, (7_000, 0, 0));
    let held = agent.take().await;
    assert!(agent.claim(1).await.is_empty());
    fleet.round().await;
    fleet.expect_states(&goal, "t0:done t1:running t2:parked").await;
    agent.complete(&held).await;
    fleet.round().await;
    fleet.expect_states(&goal, "t0:done t1:done t2:cancelled").await;
    verify(&fleet.pool).await;
}

/// A threshold is told once for each version of a limit.
#[tokio::test]
async fn thresholds_are_told_once() {
    let fleet = Fleet::start().await;
    let budget = limit(&fleet, "workspace", None, of("usd_micros", 100)).await;
    fleet.goal(tasks(1, &json!({"usd_micros": 100}))).await;
    let agent = fleet.worker().await;
    let held = agent.take().await;
    for (n, amount) in [49, 1, 10, 25, 15].into_iter().enumerate() {
        agent.write(&held, "spend", spend(&format!("k{n}"), amount)).await.expect(200);
    }
    let told = |events: Vec<serde_json::Value>| -> Vec<i64> {
        events.iter().map(|data| data["percent"].as_i64().unwrap()).collect()
    };
    assert_eq!(told(events(&fleet, "budget.threshold").await), [50, 80, 100]);
    change(&fleet, &budget, json!({"limits": [{"unit": "usd_micros", "amount": 150}]})).await;
    agent.write(&held, "spend", spend("more", 1)).await.expect(200);
    assert_eq!(told(events(&fleet, "budget.threshold").await), [50, 80, 100, 50]);
    verify(&fleet.pool).await;
}

/// A cost that was authorised cannot overrun anything; one that was not may.
#[tokio::test]
async fn an_authorised_cost_is_kept_free_for_it() {
    let fleet = Fleet::start().await;
    let budget = limit(&fleet, "workspace", None, of("usd_micros", 100)).await;
    fleet.goal(tasks(1, &json!({"usd_micros": 10}))).await;
    let agent = fleet.worker().await;
    let held = agent.take().await;
    let ask = json!({"key": "call", "amounts": {"usd_micros": 60}});
    for _ in 0..2 {
        agent.write(&held, "authorize", ask.clone()).await.expect(200);
        assert_eq!(holds(&fleet, &budget).await, (0, 60, 0));
    }
    let more = json!({"key": "second", "amounts": {"usd_micros": 41, "input_tokens": 1}});
    let refused = agent.write(&held, "authorize", more).await;
    assert_eq!(refused.problem(409, "budget_exhausted"), ["/usd_micros"]);
    let other = json!({"key": "call", "amounts": {"usd_micros": 61}});
    assert_eq!(agent.write(&held, "authorize", other).await.problem(422, "invalid"), ["/key"]);
    // Not authorised: it takes more than is left.
    agent.write(&held, "spend", spend("other", 50)).await.expect(200);
    assert_eq!(holds(&fleet, &budget).await, (50, 60, 0));
    // Authorised: it does not, though nothing is left.
    agent.write(&held, "spend", spend("call", 60)).await.expect(200);
    assert_eq!(holds(&fleet, &budget).await, (110, 0, 10));
    agent.complete(&held).await;
    verify(&fleet.pool).await;
}

/// A limit that is set while something runs counts what was used and is set aside already.
#[tokio::test]
async fn a_new_limit_begins_with_what_there_is() {
    let fleet = Fleet::start().await;
    limit(&fleet, "workspace", None, of("usd_micros", 1000)).await;
    let goal = fleet.goal(tasks(2, &json!({"usd_micros": 50}))).await;
    let agent = fleet.worker().await;
    let held = agent.claim(2).await;
    agent.write(&held[0], "spend", spend("a", 20)).await.expect(200);
    let late = limit(&fleet, "goal", Some(&goal), of("usd_micros", 200)).await;
    assert_eq!(holds(&fleet, &late).await, (20, 80, 0));
    agent.complete(&held[0]).await;
    fleet.after(3600).await;
    assert_eq!(holds(&fleet, &late).await, (20, 0, 0));
    verify(&fleet.pool).await;
}
