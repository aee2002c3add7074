//! A dry run says of the history what the same rule caught while it happened.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::{go_round, id, interventions, nudge, rule, spend};
use crate::support::{
    agent::{Agent, Held},
    fleet::{Fleet, seed, text},
};

/// Conditions of which the history tells exactly what a rule at work finds.
fn conditions() -> Vec<Value> {
    vec![
        json!({"failures": {"count": 2}}),
        json!({"same_failure": {}}),
        json!({"cost_over_estimate": {"percent": 150}}),
        json!({"rework_over": {"count": 0}}),
        json!({"subtasks_over": {"count": 2}}),
        json!({"risky_capability": {"capabilities": ["deploy"]}}),
        json!({"looping": {}}),
        json!({"budget_used": {"of": "task", "percent": 50}}),
    ]
}

async fn dry_run(fleet: &Fleet, when: &Value, rest: Value) -> Value {
    let mut body = rest;
    body["rule"] = json!({"name": "dry", "when": when, "then": nudge()});
    fleet.admin.post("/v1/rules/dry-run", &body).await.value(200)
}

fn task(n: usize, random: &mut StdRng) -> Value {
    let mut task = json!({"ref": format!("t{n}"), "title": "t", "max_attempts": 4,
                          "approval": {"result": random.random_bool(0.3)}});
    if random.random_bool(0.5) {
        task["estimate"] = json!({"usd_micros": 100});
    }
    if random.random_bool(0.3) {
        task["capabilities"] = json!(["deploy"]);
    }
    if random.random_bool(0.3) {
        task["budget"] = json!({"limits": [{"unit": "usd_micros", "amount": 300}],
                                "on_exhausted": "notify"});
    }
    task
}

/// Something that an agent does with an attempt; the rules are looked at after each.
async fn act(fleet: &Fleet, agent: &Agent, held: &Held, random: &mut StdRng, n: u64) {
    let choice = random.random_range(0..8);
    match choice {
        0 => {
            spend(agent, held, random.random_range(1..400)).await;
            fleet.round().await;
            agent.release(held).await;
        }
        1 => {
            go_round(agent, held, 1).await;
            fleet.round().await;
            agent.release(held).await;
        }
        2 => {
            let count = random.random_range(1..5);
            let sub = |k: u64| json!({"ref": format!("s{n}-{k}"), "title": "s"});
            agent.subtasks(held, (0..count).map(sub).collect()).await;
        }
        3 => {
            agent.complete(held).await;
            for question in fleet.questions().await {
                let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
                let mut verdict = json!({"decision": "reject", "reason": "no"});
                // A task that was sent back as often as it may be asks how it goes on.
                if question["choices"] != json!([]) {
                    verdict["choice"] = json!({"action": "cancel"});
                }
                let verdict = crate::support::fleet::about(&question, verdict);
                fleet.admin.post(path, &verdict).await.expect(200);
            }
        }
        _ => {
            let message = ["no crate `x`", "no crate `y`"][random.random_range(0..2)];
            let body = json!({"class": "transient", "message": message});
            agent.write(held, "fail", body).await.expect(200);
        }
    }
    fleet.round().await;
}

#[tokio::test]
async fn a_dry_run_finds_what_the_rule_has_caught() {
    let seed = seed();
    let fleet = Fleet::seeded(seed).await;
    let mut random = StdRng::seed_from_u64(seed);
    let agent = fleet.agent("worker", &["deploy"], 50).await;
    let mut rules = Vec::new();
    for when in conditions() {
        rules.push((when.clone(), rule(&fleet, when, nudge()).await));
    }
    fleet.goal((0..12).map(|n| task(n, &mut random)).collect()).await;
    fleet.round().await;
    for n in 0..60 {
        fleet.pass(700);
        fleet.round().await;
        let Some(held) = agent.claim(1).await.pop() else { continue };
        fleet.round().await;
        act(&fleet, &agent, &held, &mut random, n).await;
    }
    let claimed: BTreeSet<String> =
        sqlx::query_scalar("select distinct task_id::text from attempts")
            .fetch_all(&fleet.pool)
            .await
            .unwrap()
            .into_iter()
            .collect();
    for (when, rule) in rules {
        let caught = interventions(&fleet, &format!("rule_id={}", id(&rule))).await;
        let caught: BTreeSet<String> = caught
            .iter()
            .map(|one| text(&one["task_id"]))
            .filter(|id| claimed.contains(id))
            .collect();
        let dry = dry_run(&fleet, &when, json!({})).await;
        assert_eq!(dry["caught"], json!(caught.len()), "{when}: {dry:#} {caught:#?}");
        assert_eq!((&dry["looked_at"], &dry["cut"]), (&json!(claimed.len()), &json!(false)));
        for example in dry["examples"].as_array().unwrap() {
            assert!(caught.contains(&text(&example["task_id"])), "{when}: {example}");
        }
    }
    // A dry run changes nothing, and the rule itself finds no more afterwards.
    let before = crate::support::dump::dump(&fleet.pool).await;
    dry_run(&fleet, &json!({"failures": {"count": 1}}), json!({})).await;
    crate::support::dump::same("dry run", &before, &crate::support::dump::dump(&fleet.pool).await);
}

#[tokio::test]
async fn a_dry_run_is_about_a_time_and_a_scope() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("worker", &["rust"], 50).await;
    let when = json!({"failures": {"count": 1}});
    let begun = fleet.now();
    for (project, capabilities) in
        [("ours", json!(["rust"])), ("ours", json!([])), ("theirs", json!([]))]
    {
        let tasks = json!([{"ref": "a", "title": "a", "capabilities": capabilities}]);
        fleet.post_goal(json!({"title": "g", "project": project, "tasks": tasks})).await;
        fleet.pass(3_600);
        agent.fail(&agent.take().await, "permanent").await;
    }
    // The last failure of each ended its task: nobody could have stepped in.
    assert_eq!(dry_run(&fleet, &when, json!({})).await["caught"], 0);
    for _ in 0..2 {
        fleet.lone_task(json!({"capabilities": ["rust"], "max_attempts": 9})).await;
        fleet.pass(3_600);
        agent.fail(&agent.take().await, "transient").await;
    }
    let all = dry_run(&fleet, &when, json!({})).await;
    assert_eq!((&all["caught"], &all["looked_at"]), (&json!(2), &json!(5)));
    let at =
        |example: &Value| text(&example["at"]).parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert_eq!(at(&all["examples"][0]), begun + TimeDelta::hours(5));
    assert_eq!(at(&all["examples"][1]), begun + TimeDelta::hours(4));
    let until = json!({"from": begun, "until": begun + TimeDelta::minutes(270)});
    let part = dry_run(&fleet, &when, until).await;
    assert_eq!((&part["caught"], &part["looked_at"]), (&json!(1), &json!(4)));
    let body = json!({"rule": {"name": "dry", "when": when, "then": nudge(),
                               "scope": {"capabilities": ["go"]}}});
    let scoped = fleet.admin.post("/v1/rules/dry-run", &body).await.value(200);
    assert_eq!((&scoped["caught"], &scoped["looked_at"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn silences_deadlines_and_budgets_are_told_as_far_as_they_are_known() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let deadline = fleet.now() + TimeDelta::hours(1);
    let tasks = json!([{"ref": "a", "title": "a"}]);
    let budget =
        json!({"limits": [{"unit": "usd_micros", "amount": 100}], "on_exhausted": "notify"});
    let late = fleet
        .post_goal(json!({"title": "late", "tasks": tasks, "deadline": deadline,
                                      "budget": budget}))
        .await;
    let held = agent.claim_with(json!({"lease_seconds": 3600})).await.remove(0);
    spend(&agent, &held, 60).await;
    fleet.pass(3_000);
    let silent = json!({"no_progress": {"seconds": 3000}});
    let caught = async |when: &Value| dry_run(&fleet, when, json!({})).await["caught"].clone();
    assert_eq!(caught(&silent).await, 1);
    assert_eq!(caught(&json!({"no_progress": {"seconds": 3001}})).await, 0);
    let slack = json!({"deadline_slack": {}});
    assert_eq!(caught(&slack).await, 0);
    assert_eq!(caught(&json!({"deadline_slack": {"below_seconds": 601}})).await, 1);
    fleet.pass(601);
    agent.complete(&held).await;
    assert_eq!(fleet.goal_state(&late).await, "completed");
    fleet.pass(9_000);
    let found = dry_run(&fleet, &slack, json!({})).await;
    assert_eq!((&found["caught"], &found["subject"]), (&json!(1), &json!("goal")));
    assert_eq!(found["examples"][0]["goal_id"], json!(late));
    assert_eq!(caught(&json!({"budget_used": {"percent": 60}})).await, 1);
    assert_eq!(caught(&json!({"budget_used": {"percent": 61}})).await, 0);
}
