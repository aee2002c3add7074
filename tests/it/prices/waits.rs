//! Tasks that used a model without a price: they stop, wait for it, and go on by themselves.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::spent;
use crate::support::{
    agent::{Agent, Held},
    client::Client,
    fleet::{Fleet, seed, text},
    invariants::{verify, verify_rested},
};

/// A report of one call, worth 1,020 micro-dollars by [`price`].
fn call(key: &str, model: &str) -> Value {
    let usage = json!({"provider": "x", "model": model, "convention": "openai",
                       "tokens": {"prompt_tokens": 1000, "completion_tokens": 10}});
    json!({"entries": [{"key": key, "usage": usage}]})
}

fn price(model: &str) -> Value {
    json!({"provider": "x", "model": model, "usd_per_million": {"input": "1", "output": "2"}})
}

/// Posts a goal of one task under a limit of money.
async fn limited(fleet: &Fleet) -> String {
    let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}],
                      "budget": {"limits": [{"unit": "usd_micros", "amount": 900_000_000}]}});
    fleet.post_goal(goal).await
}

/// Micro-dollars and unpriced tokens of a goal.
async fn rated(fleet: &Fleet, goal: &str) -> (i64, i64) {
    let spend = spent(fleet, goal).await;
    let amount = |unit: &str| spend[unit].as_i64().unwrap_or_default();
    (amount("usd_micros"), amount("unpriced_tokens"))
}

async fn items(fleet: &Fleet) -> Vec<Value> {
    let page = fleet.admin.get("/v1/attention?kind=unpriced_model").await.value(200);
    let items = page["items"].as_array().unwrap().clone();
    assert_eq!(page["counts"]["unpriced_model"], items.len(), "{page:#}");
    items
}

/// An agent that uses the model and does as it is told; returns whether it got a task.
async fn obey(agent: &Agent, model: &str) -> Option<Held> {
    let held = agent.claim(1).await.pop()?;
    agent.write(&held, "spend", call("call", model)).await.expect(200);
    let told = agent.beat(&held).await;
    if told["directive"] == "stop" {
        let reason = text(&told["reason"]);
        assert!(reason.contains(&format!("x/{model} has none")), "{reason}");
        assert_eq!(agent.release(&held).await["task_state"], "parked");
    } else {
        assert_eq!((&told["directive"], &told["reason"]), (&json!("continue"), &Value::Null));
        agent.complete(&held).await;
    }
    Some(held)
}

#[tokio::test]
async fn the_obedient_loop_stops_after_one_attempt_and_goes_on_when_the_price_comes() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = limited(&fleet).await;
    let mut tried = Vec::new();
    for _ in 0..3 {
        tried.extend(obey(&agent, "new").await);
        fleet.after(2).await;
    }
    let [first] = tried.as_slice() else { panic!("{tried:#?}") };
    let task = fleet.task(&goal, "a").await;
    assert_eq!(
        (&task["state"], &task["waits_for_prices"][0]["model"]),
        (&json!("parked"), &json!("new"))
    );
    let named: (String, String, String) = sqlx::query_as(
        "select goal_id::text, task_id::text, attempt_id::text from journal where kind = 'price.unknown'",
    )
    .fetch_one(&fleet.pool)
    .await
    .unwrap();
    assert_eq!(named, (goal.clone(), first.task.clone(), first.attempt.clone()));
    verify_rested(&fleet.pool, fleet.now()).await;

    // Neither a price of other people nor one that begins tomorrow is a price.
    let other = fleet.other_workspace().await;
    other.post("/v1/prices", &price("new")).await.expect(201);
    let mut tomorrow = price("new");
    tomorrow["effective_from"] = json!(fleet.now() + chrono::TimeDelta::days(1));
    fleet.admin.post("/v1/prices", &tomorrow).await.expect(201);
    fleet.after(2).await;
    assert_eq!(fleet.state(&goal, "a").await, "parked");

    let listed = items(&fleet).await;
    let [item] = listed.as_slice() else { panic!("{listed:#?}") };
    assert_eq!((&item["model"], &item["waiting_tasks"]), (&json!("new"), &json!(1)));
    assert_eq!((&item["task_id"], &item["goal_id"]), (&json!(first.task), &json!(goal)));
    let (path, mut body) = (text(&item["action"]["path"]), item["action"]["body"].clone());
    let invented = fleet.admin.post(&path, &body).await;
    let rates = ["/usd_per_million/input", "/usd_per_million/output"];
    assert_eq!(invented.problem(422, "invalid"), rates);
    body["usd_per_million"] = price("new")["usd_per_million"].clone();
    fleet.admin.post(&path, &body).await.expect(201);
    fleet.after(2).await;
    assert!(items(&fleet).await.is_empty());
    assert_eq!(rated(&fleet, &goal).await, (1020, 0));
    assert!(obey(&agent, "new").await.is_some());
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    assert_eq!(rated(&fleet, &goal).await, (2040, 0));
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Without a stated provider, prices that differ are none: the heartbeat and attention say so, and the
/// request in attention ends the wait, for this call and for later ones.
#[tokio::test]
async fn a_disagreement_of_providers_is_told_and_cleared_by_its_request() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let of = |provider: &str, usd: &str| {
        json!({"provider": provider, "model": "mmx",
               "usd_per_million": {"input": usd, "output": usd}})
    };
    for (provider, usd) in [("pq1", "1"), ("pq2", "2")] {
        fleet.admin.post("/v1/prices", &of(provider, usd)).await.expect(201);
    }
    let call = |key: &str| {
        let mut report = call(key, "mmx");
        report["entries"][0]["usage"].as_object_mut().unwrap().remove("provider");
        report
    };
    let goal = limited(&fleet).await;
    let held = agent.take().await;
    let told = agent.write(&held, "heartbeat", json!({"spend": call("a")})).await.value(200);
    for told in [told, agent.beat(&held).await] {
        let reason = text(&told["reason"]);
        let differ = "no provider was stated for mmx, whose prices differ (pq1, pq2)";
        assert!(told["directive"] == "stop" && reason.contains(differ), "{reason}");
        assert!(!reason.contains("has none"), "{reason}");
    }
    assert_eq!(agent.release(&held).await["task_state"], "parked");
    let listed = items(&fleet).await;
    let [item] = listed.as_slice() else { panic!("{listed:#?}") };
    assert_eq!(item["title"], "Providers disagree about the price of the model mmx");
    assert!(text(&item["detail"]).contains("their prices differ (pq1, pq2)"), "{item:#}");
    let (path, mut body) = (text(&item["action"]["path"]), item["action"]["body"].clone());
    assert_eq!(body["provider"], "unknown");
    body["usd_per_million"] = json!({"input": "3", "output": "3"});
    fleet.admin.post(&path, &body).await.expect(201);
    fleet.after(2).await;
    assert!(items(&fleet).await.is_empty());
    assert_eq!(rated(&fleet, &goal).await, (3030, 0));
    let held = agent.take().await;
    agent.write(&held, "spend", call("b")).await.expect(200);
    assert_eq!(agent.beat(&held).await["directive"], "continue");
    agent.complete(&held).await;
    assert_eq!(rated(&fleet, &goal).await, (6060, 0));
    // A stated provider keeps its price.
    let found = fleet.admin.get("/v1/prices/find?model=mmx&provider=pq2").await.value(200);
    assert_eq!(found["price"]["rates"]["input"], 2_000_000);
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// The request in attention clears the wait for every name that a call can have.
#[tokio::test]
async fn the_request_in_attention_clears_odd_names() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let odd = [" spaced ", "a/b/c", "gpt-99-2026-01-01", "ÉLAN", "UPPER"];
    for model in odd {
        limited(&fleet).await;
        let held = agent.take().await;
        agent.write(&held, "spend", call("call", model)).await.expect(200);
        agent.release(&held).await;
    }
    let listed = items(&fleet).await;
    assert_eq!(listed.len(), odd.len(), "{listed:#?}");
    for item in &listed {
        let mut body = item["action"]["body"].clone();
        body["usd_per_million"] = json!({"input": "1", "output": "2"});
        fleet.admin.post(text(&item["action"]["path"]), &body).await.expect(201);
    }
    fleet.after(2).await;
    assert_eq!(items(&fleet).await, Vec::<Value>::new());
    assert_eq!(agent.work_off().await.len(), odd.len());
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// However the attempt ends, and whether its spend comes before, with or after the end: the task is
/// parked, and a price of zero in a file brings it back.
#[tokio::test]
async fn every_way_back_is_parked_until_a_file_has_the_price() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let spend = || call("call", "llama");
    let mut goals = Vec::new();
    for way in ["release", "with the release", "late", "fail", "expire", "reassign", "ask"] {
        let goal = limited(&fleet).await;
        let held = agent.take().await;
        if !["with the release", "late"].contains(&way) {
            agent.write(&held, "spend", spend()).await.expect(200);
        }
        match way {
            "release" => {
                agent.release(&held).await;
            }
            "with the release" => {
                agent.write(&held, "release", json!({"spend": spend()})).await.expect(200);
            }
            "late" => {
                agent.release(&held).await;
                agent.write(&held, "spend", spend()).await.expect(200);
            }
            "fail" => {
                agent.fail(&held, "transient").await;
            }
            "expire" => {
                fleet.after(3600).await;
            }
            "reassign" => {
                let path = format!("/v1/tasks/{}/reassign", held.task);
                fleet.admin.post(path, &json!({"agent_id": agent.id})).await.expect(200);
            }
            _ => {
                agent.ask(&held, "action").await;
                fleet.decide(json!({"decision": "approve"})).await;
            }
        }
        agent.find_nothing().await;
        fleet.after(2).await;
        assert_eq!(fleet.state(&goal, "a").await, "parked", "{way}");
        agent.find_nothing().await;
        goals.push(goal);
    }
    assert_eq!(items(&fleet).await[0]["waiting_tasks"], goals.len());
    verify(&fleet.pool).await;
    let file = json!({"format": "litellm", "document": {"llama": {"litellm_provider": "x",
        "mode": "chat", "input_cost_per_token": 0, "output_cost_per_token": 0}}});
    fleet.admin.post("/v1/prices/import", &file).await.expect(200);
    fleet.after(2).await;
    for goal in &goals {
        assert_eq!(fleet.state(goal, "a").await, "ready");
        assert_eq!(rated(&fleet, goal).await, (0, 0));
    }
    assert_eq!(agent.work_off().await.len(), goals.len());
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// A task waits for all its models, for nothing after a budget lets them pass, and not at all once it
/// is done, cancelled or in a person's hands.
#[tokio::test]
async fn a_wait_ends_with_the_last_price_the_budget_or_the_task() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let mut goals = Vec::new();
    for n in 0..5 {
        goals.push(limited(&fleet).await);
        let held = agent.take().await;
        for model in ["one", "two"] {
            agent.write(&held, "spend", call(model, &format!("{model}{n}"))).await.expect(200);
        }
        if n == 4 {
            // A result that comes first counts.
            agent.complete(&held).await;
        } else {
            agent.release(&held).await;
        }
    }
    fleet.round().await;
    assert_eq!(items(&fleet).await.len(), 10);
    let [both, passed, cancelled, taken, done] = goals.as_slice() else { unreachable!() };
    for (model, state) in [("one0", "parked"), ("two0", "ready")] {
        fleet.admin.post("/v1/prices", &price(model)).await.expect(201);
        fleet.after(2).await;
        assert_eq!(fleet.state(both, "a").await, state, "{model}");
    }
    let page = fleet.admin.get(format!("/v1/budgets?node=goal&node_id={passed}")).await.value(200);
    let path = format!("/v1/budgets/{}", text(&page["items"][0]["id"]));
    let change = json!({"unknown_model": "zero"});
    fleet.admin.patch(path, &change).if_match("*").await.expect(200);
    fleet.admin.post(format!("/v1/goals/{cancelled}/cancel"), &json!({})).await.expect(200);
    let path = format!("/v1/tasks/{}/takeover", fleet.task_id(taken, "a").await);
    let claim = fleet.admin.post(path, &json!({})).await.value(201);
    fleet.after(2).await;
    assert_eq!(fleet.state(passed, "a").await, "ready");
    assert_eq!(fleet.goal_state(cancelled).await, "cancelled");
    assert_eq!(fleet.goal_state(done).await, "completed");
    // The spend of ended tasks waits without them.
    let late = items(&fleet).await;
    let is_late = |item: &Value| {
        item["waiting_tasks"] == 0 && item["detail"].as_str().unwrap().contains("1 ended task")
    };
    assert!(late.len() == 4 && late.iter().all(is_late), "{late:#?}");
    let path = format!("/v1/attempts/{}/complete", text(&claim["attempt_id"]));
    fleet.admin.post(path, &json!({"lease": claim["lease"], "result": 1})).await.expect(200);
    // The task is done, and its spend waits alone.
    assert_eq!(rated(&fleet, done).await, (0, 2020));
    for model in ["one4", "two4"] {
        fleet.admin.post("/v1/prices", &price(model)).await.expect(201);
    }
    fleet.after(61).await;
    assert_eq!(rated(&fleet, done).await, (2040, 0));
    assert_eq!(items(&fleet).await.len(), 2, "those of the cancelled goal");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// The price comes beside the spend or beside the release: nothing is left waiting or unrated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_price_that_meets_a_release_is_not_missed() {
    const TRIES: usize = 64;
    let fleet = Fleet::seeded(seed()).await;
    let agent = fleet.worker().await;
    let tasks: Value = (0..TRIES).map(|n| json!({"ref": format!("t{n}"), "title": "t"})).collect();
    let goal = fleet.post_goal(json!({"title": "g", "tasks": tasks,
        "budget": {"limits": [{"unit": "usd_micros", "amount": 900_000_000}],
                   "reserve": {"usd_micros": {"want": 1, "min": 1}}}}));
    let goal = goal.await;
    let held = agent.claim(100).await;
    assert_eq!(held.len(), TRIES);
    let base = fleet.listen().await;
    let (agent, admin) = (agent.at(&base), Client::at(&base).with_key(&fleet.admin_key));
    for (n, pair) in held.chunks(8).enumerate() {
        let tries = pair.iter().map(|held| {
            let (agent, admin, held) = (agent.clone(), admin.clone(), held.clone());
            tokio::spawn(async move {
                let model = format!("m-{}", held.name);
                let report = || agent.write(&held, "spend", call("call", &model));
                if n % 2 == 0 {
                    report().await.expect(200);
                }
                let priced = admin.post("/v1/prices", &price(&model)).into_future();
                let worked = async {
                    if n % 2 == 1 {
                        report().await.expect(200);
                    }
                    agent.release(&held).await
                };
                let (priced, _) = tokio::join!(priced, worked);
                priced.expect(201);
            })
        });
        for done in join_all(tries.collect::<Vec<_>>()).await {
            done.unwrap();
        }
    }
    fleet.after(2).await;
    let ready: i64 = sqlx::query_scalar("select count(*) from tasks where state = 'ready'")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    assert_eq!(ready, TRIES as i64);
    assert_eq!(rated(&fleet, &goal).await, (1020 * TRIES as i64, 0));
    assert!(items(&fleet).await.is_empty());
    verify_rested(&fleet.pool, fleet.now()).await;
}
