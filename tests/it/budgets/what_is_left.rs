//! The end of a budget: later attempts reserve what is left of their task, ranges take what is left of
//! the limit, and what people are told about it is true.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{change, holds, limit, of, tasks};
use crate::support::{
    fleet::{Fleet, text},
    invariants::verify,
};

fn used(key: &str, amount: i64) -> Value {
    json!({"entries": [{"key": key, "amounts": {"usd_micros": amount}}]})
}

async fn read(fleet: &Fleet, budget: &str) -> Value {
    fleet.admin.get(format!("/v1/budgets/{budget}")).await.value(200)["limits"][0].clone()
}

/// A task that gave back all but what it used starts again; one that used everything waits, and the
/// question has the true numbers.
#[tokio::test]
async fn a_later_attempt_needs_only_the_rest_of_its_task() {
    let fleet = Fleet::start().await;
    let budget = limit(&fleet, "workspace", None, of("usd_micros", 1000)).await;
    assert_eq!(read(&fleet, &budget).await["reported"], false);
    let goal = fleet.goal(tasks(1, &json!({"usd_micros": 1000}))).await;
    let agent = fleet.worker().await;
    let held = agent.take().await;
    agent.write(&held, "spend", used("a", 1)).await.expect(200);
    agent.hand_back(&held).await;
    let held = agent.take().await;
    assert_eq!(holds(&fleet, &budget).await, (1, 999, 0));
    assert_eq!(read(&fleet, &budget).await["reported"], true);
    agent.write(&held, "spend", used("b", 999)).await.expect(200);
    agent.hand_back(&held).await;
    agent.find_nothing().await;
    fleet.expect_states(&goal, "t0:parked").await;
    let path = format!("/v1/approvals/{}", text(&fleet.question().await["id"]));
    let question = fleet.admin.get(path).await.value(200);
    let short = &question["payload"]["short"];
    assert_eq!(
        (&short["limit"], &short["settled"], &short["reserved"]),
        (&json!(1000), &json!(1000), &json!(0))
    );
    assert_eq!(short["requested"], fleet.task(&goal, "t0").await["waits_for_budget"]["requested"]);
    change(&fleet, &budget, json!({"limits": [{"unit": "usd_micros", "amount": 1100}]})).await;
    agent.complete(&agent.take().await).await;
    verify(&fleet.pool).await;
}

/// What is learnt of similar tasks is more than is left: a task with a range of its own takes what is
/// left, and one that waits says what would fit.
#[tokio::test]
async fn the_end_of_a_budget_is_used_by_what_needs_little() {
    let fleet = Fleet::start().await;
    let budget = limit(&fleet, "workspace", None, of("usd_micros", 100)).await;
    let goal = fleet.goal(json!([
        {"ref": "whole", "title": "t", "priority": 9, "estimate": {"usd_micros": 70}},
        {"ref": "fixed", "title": "t", "priority": 8, "estimate": {"usd_micros": 70}},
        {"ref": "range", "title": "t", "priority": 7,
         "estimate": {"usd_micros": {"want": 70, "min": 20}}},
    ]));
    let goal = goal.await;
    let agent = fleet.worker().await;
    let names: Vec<String> = agent.claim(3).await.into_iter().map(|held| held.name).collect();
    assert_eq!(names, ["whole", "range"]);
    assert_eq!(holds(&fleet, &budget).await, (0, 100, 0));
    let waits = fleet.task(&goal, "fixed").await["waits_for_budget"].clone();
    assert_eq!((&waits["requested"], &waits["remaining"]), (&json!(70), &json!(0)));
    verify(&fleet.pool).await;
}

/// Four agents at once spend more than they reserved: the overrun is what the limit is exceeded by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_overrun_of_four_agents_is_what_the_limit_is_exceeded_by() {
    let fleet = Fleet::start().await;
    let budget = limit(&fleet, "workspace", None, of("usd_micros", 1000)).await;
    fleet.goal(tasks(4, &json!({"usd_micros": 250}))).await;
    let base = fleet.listen().await;
    let mut started = Vec::new();
    for n in 0..4 {
        let agent = fleet.agent(&format!("agent{n}"), &[], 1).await.at(&base);
        started.push((agent.take().await, agent));
    }
    let writers = started.into_iter().enumerate().map(|(n, (held, agent))| {
        tokio::spawn(async move {
            for call in 0..10 {
                // 100, 200, 300 and 700 of 250 each.
                let amount = [10, 20, 30, 70][n];
                agent.write(&held, "spend", used(&call.to_string(), amount)).await.expect(200);
            }
            agent.complete(&held).await;
        })
    });
    for writer in join_all(writers.collect::<Vec<_>>()).await {
        writer.unwrap();
    }
    assert_eq!(holds(&fleet, &budget).await, (1300, 0, 300));
    verify(&fleet.pool).await;
}

/// A limit in a name that nothing is reported under is refused with the right one; a name of one's own is
/// not, and says that nothing was reported.
#[tokio::test]
async fn a_near_miss_of_a_unit_is_told_the_right_name() {
    let fleet = Fleet::start().await;
    for (unit, right) in [
        ("usd", "`usd_micros`"),
        ("usd_micro", "`usd_micros`"),
        ("tokens", "`input_tokens` or `output_tokens`"),
        ("tool_call", "`tool_calls`"),
        ("tokens_total", "`input_tokens` or `output_tokens`"),
        ("microdollars", "`usd_micros`"),
        ("max_usd", "`usd_micros`"),
        ("in_tokens", "`input_tokens`"),
        ("wall_time_ms", "`wall_ms`"),
    ] {
        let body = json!({"node": "workspace", "budget": of(unit, 1)});
        let refused = fleet.admin.post("/v1/budgets", &body).await;
        assert_eq!(refused.problem(422, "invalid"), ["/budget/limits/0/unit"], "{unit}");
        let problem: Value = refused.json();
        assert!(
            text(&problem["errors"][0]["detail"]).ends_with(&format!("use {right}")),
            "{problem}"
        );
    }
    let task = json!([{"ref": "a", "title": "a", "estimate": {"tokens": 5}}]);
    let refused = fleet.poster.post("/v1/goals", &json!({"title": "g", "tasks": task})).await;
    assert_eq!(refused.problem(422, "plan_invalid"), ["/tasks/0/estimate/tokens"]);
    let budget = limit(&fleet, "workspace", None, of("story_points", 5)).await;
    fleet.goal(tasks(1, &json!({}))).await;
    let agent = fleet.worker().await;
    let held = agent.take().await;
    agent.write(&held, "complete", json!({"spend": used("a", 3)})).await.expect(200);
    assert_eq!(read(&fleet, &budget).await["reported"], false);
    verify(&fleet.pool).await;
}

/// A wrong name of money in a report is refused by every request that reports; another near miss counts
/// as a unit of the fleet's own, and the answer says so.
#[tokio::test]
async fn a_reported_near_miss_of_a_unit_is_no_silent_unit() {
    let fleet = Fleet::start().await;
    let goal = fleet.goal(tasks(1, &json!({}))).await;
    let agent = fleet.worker().await;
    let held = agent.take().await;
    for unit in ["usd_micro", "cost_usd"] {
        let totals = json!({"totals": {unit: 5000}});
        let refused = agent.write(&held, "spend", totals.clone()).await;
        assert_eq!(refused.problem(422, "invalid"), [format!("/totals/{unit}")]);
        let problem: Value = refused.json();
        assert!(text(&problem["errors"][0]["detail"]).contains("use `usd_micros`"), "{problem}");
        for verb in ["heartbeat", "complete"] {
            let refused = agent.write(&held, verb, json!({"spend": totals})).await;
            assert_eq!(
                refused.problem(422, "invalid"),
                [format!("/spend/totals/{unit}")],
                "{verb}"
            );
        }
    }
    let report = json!({"totals": {"tokens": 7, "emails": 2, "usd": "0.5"}});
    let answer = agent.write(&held, "spend", report).await.value(200);
    let want = json!([{"unit": "tokens", "meant": ["input_tokens", "output_tokens"]}]);
    assert_eq!(answer["unit_hints"], want, "{answer}");
    let spend = fleet.read_goal(&goal).await["spend"].clone();
    assert_eq!((&spend["tokens"], &spend["usd_micros"]), (&json!(7), &json!(500_000)));
    let report = json!({"totals": {"emails": 3}});
    let answer = agent.write(&held, "spend", report).await.value(200);
    assert_eq!(answer.get("unit_hints"), None, "{answer}");
    verify(&fleet.pool).await;
}
