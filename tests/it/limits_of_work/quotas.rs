//! Quota windows of accounts, and rate-limited agents.

use serde_json::{Value, json};

use crate::support::{
    agent::Agent,
    fleet::{Fleet, register, text},
    invariants::{verify, verify_rested},
};

async fn of_account(fleet: &Fleet, name: &str, account: &str) -> Agent {
    let body = json!({"name": name, "max_concurrent": 100, "account": account});
    register(&fleet.poster, body).await
}

async fn window(fleet: &Fleet, unit: &str, amount: i64, seconds: u32) -> Value {
    let new = json!({"account": "max", "unit": unit, "amount": amount, "window_seconds": seconds});
    fleet.admin.post("/v1/quota-windows", &new).await.value(201)
}

async fn tasks(fleet: &Fleet, count: usize, settings: Value) -> String {
    let task = |n| {
        let mut task = json!({"ref": format!("t{n}"), "title": "t"});
        for (name, value) in settings.as_object().unwrap() {
            task[name] = value.clone();
        }
        task
    };
    fleet.goal(json!((0..count).map(task).collect::<Vec<_>>())).await
}

async fn read(fleet: &Fleet, window: &Value) -> Value {
    fleet.admin.get(format!("/v1/quota-windows/{}", text(&window["id"]))).await.value(200)
}

#[tokio::test]
async fn a_window_that_is_nearly_used_up_stops_all_agents_of_the_account() {
    let fleet = Fleet::start().await;
    let (one, two) =
        (of_account(&fleet, "one", "max").await, of_account(&fleet, "two", "max").await);
    let free = fleet.worker().await;
    let made = window(&fleet, "output_tokens", 1000, 600).await;
    tasks(&fleet, 10, json!({})).await;
    let held = one.take().await;
    fleet.pass(10);
    let spend = json!({"entries": [{"key": "1", "amounts": {"output_tokens": 900}}]});
    one.write(&held, "spend", spend).await.expect(200);
    let second = two.take().await;
    let spend = json!({"entries": [{"key": "1", "amounts": {"output_tokens": 50}}]});
    two.write(&second, "spend", spend.clone()).await.expect(200);
    // The same report again counts once.
    two.write(&second, "spend", spend).await.expect(200);
    let now = read(&fleet, &made).await;
    assert_eq!((&now["used"], &now["nearly_used_up"]), (&json!(950), &json!(true)));
    one.find_nothing().await;
    two.find_nothing().await;
    free.take().await;
    // It began with its first use, ten seconds after the claim.
    fleet.pass(599);
    one.find_nothing().await;
    fleet.pass(1);
    one.take().await;
    let now = read(&fleet, &made).await;
    assert_eq!((&now["used"], &now["ends_at"]), (&json!(0), &Value::Null));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn started_attempts_count_exactly_also_over_two_servers() {
    let fleet = Fleet::start().await;
    let new = json!({"account": "max", "unit": "attempts", "amount": 10, "window_seconds": 600,
                     "stop_percent": 100});
    let made = fleet.admin.post("/v1/quota-windows", &new).await.value(201);
    tasks(&fleet, 60, json!({})).await;
    let other = crate::support::fleet::router(&fleet.another_app().await);
    let mut claims = tokio::task::JoinSet::new();
    for n in 0..8 {
        let agent = of_account(&fleet, &format!("a{n}"), "max").await;
        let client = if n % 2 == 0 { agent.client.clone() } else { agent.client.to(other.clone()) };
        claims.spawn(async move {
            let answer = client.post("/v1/claims", &json!({"max": 3})).await;
            if answer.status == 204 {
                return 0;
            }
            answer.value(200)["claims"].as_array().unwrap().len()
        });
    }
    assert_eq!(claims.join_all().await.into_iter().sum::<usize>(), 10);
    assert_eq!(read(&fleet, &made).await["used"], 10);
}

#[tokio::test]
async fn a_task_whose_estimate_does_not_fit_is_left_to_others() {
    let fleet = Fleet::start().await;
    let agent = of_account(&fleet, "one", "max").await;
    window(&fleet, "output_tokens", 1000, 600).await;
    let large = tasks(&fleet, 2, json!({"estimate": {"output_tokens": 600}})).await;
    fleet.pass(1);
    tasks(&fleet, 1, json!({"estimate": {"output_tokens": 300}})).await;
    // Of the two large ones only one fits; the small one stands behind both.
    let held = agent.claim(3).await;
    assert_eq!(held.len(), 2);
    fleet.worker().await.take().await;
    assert_eq!(fleet.state(&large, "t1").await, "running");
}

#[tokio::test]
async fn the_provider_knows_better() {
    let fleet = Fleet::start().await;
    let agent = of_account(&fleet, "one", "max").await;
    let made = window(&fleet, "output_tokens", 1000, 600).await;
    let path = format!("/v1/quota-windows/{}", text(&made["id"]));
    tasks(&fleet, 3, json!({})).await;
    let now = fleet.now();
    let resets = now + chrono::TimeDelta::seconds(30);
    let said = json!({"used": 960, "resets_at": resets});
    let edited = fleet.admin.patch(&path, &said).if_match("*").await.value(200);
    assert_eq!((&edited["used"], &edited["nearly_used_up"]), (&json!(960), &json!(true)));
    agent.find_nothing().await;
    fleet.pass(30);
    agent.take().await;
    let again =
        json!({"account": "max", "unit": "output_tokens", "amount": 1, "window_seconds": 600});
    fleet.admin.post("/v1/quota-windows", &again).await.problem(409, "already_exists");
    let bad = json!({"account": "max", "unit": "usd", "amount": 0, "window_seconds": 1});
    let bad = fleet.admin.post("/v1/quota-windows", &bad).await;
    assert_eq!(bad.problem(422, "invalid"), ["/unit", "/amount", "/window_seconds"]);
}

#[tokio::test]
async fn a_rate_limit_uses_up_no_try_and_holds_the_account() {
    let fleet = Fleet::start().await;
    let (one, two) =
        (of_account(&fleet, "one", "max").await, of_account(&fleet, "two", "max").await);
    let free = fleet.worker().await;
    let goal = tasks(&fleet, 1, json!({"max_attempts": 1})).await;
    for round in 0..5 {
        let held = one.take().await;
        let body = json!({"class": "rate_limited", "retry_after_seconds": 900});
        let answer = one.write(&held, "fail", body).await.value(200);
        assert_eq!(answer["task_state"], "waiting", "{round}");
        let other = fleet.lone_task(json!({})).await;
        one.find_nothing().await;
        two.find_nothing().await;
        free.complete(&free.take().await).await;
        fleet.expect_states(&other, "a:done").await;
        let agent = fleet.admin.get(format!("/v1/agents/{}", two.id)).await.value(200);
        let until = fleet.now() + chrono::TimeDelta::seconds(900);
        assert_eq!(text(&agent["limited_until"]).parse(), Ok(until));
        fleet.after(900).await;
    }
    let task = fleet.task(&goal, "t0").await;
    assert_eq!(task["attempts_used"], 0);
    let attempts = fleet.admin.get(format!("/v1/tasks/{}/attempts", text(&task["id"]))).await;
    assert_eq!(attempts.value(200)["items"].as_array().unwrap().len(), 5);
    let held = one.take().await;
    let body = json!({"class": "rate_limited", "retryable": false});
    one.write(&held, "fail", body).await.expect(200);
    assert_eq!(fleet.state(&goal, "t0").await, "failed");
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// An agent that gives every attempt back for a rate limit of a second tries its task rarely, and a person is told.
#[tokio::test]
async fn rate_limits_in_a_row_are_bounded_and_told() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let limited = json!({"class": "rate_limited", "retry_after_seconds": 1});
    let told = async || fleet.admin.get("/v1/attention?kind=released_task").await.value(200);
    for _ in 0..5 {
        assert_eq!(told().await["items"], json!([]));
        agent.write(&agent.take().await, "fail", limited.clone()).await.expect(200);
        // The fifth waits two seconds at least.
        fleet.after(4).await;
    }
    agent.write(&agent.take().await, "fail", limited).await.expect(200);
    fleet.after(3).await;
    agent.find_nothing().await;
    assert_eq!(told().await["items"][0]["agent_id"], agent.id.as_str());
    fleet.after(5).await;
    agent.complete(&agent.take().await).await;
    verify(&fleet.pool).await;
}

/// A task that is expected to use more than the whole window is given when nothing of it is used, and explained until then.
#[tokio::test]
async fn a_task_larger_than_its_window_is_given_when_it_is_unused() {
    let fleet = Fleet::start().await;
    let agent = of_account(&fleet, "one", "max").await;
    window(&fleet, "output_tokens", 1000, 600).await;
    let small = tasks(&fleet, 1, json!({"estimate": {"output_tokens": 10}})).await;
    let held = agent.take().await;
    let large = tasks(&fleet, 2, json!({"estimate": {"output_tokens": 2000}})).await;
    let used = json!({"entries": [{"key": "1", "amounts": {"output_tokens": 10}}]});
    agent.write(&held, "spend", used).await.expect(200);
    agent.find_nothing().await;
    let task = text(&fleet.task(&large, "t0").await["id"]);
    let explained = async || fleet.admin.get(format!("/v1/tasks/{task}/explain")).await.value(200);
    assert!(explained().await.to_string().contains("agents_quota"));
    agent.complete(&held).await;
    fleet.expect_states(&small, "t0:done").await;
    fleet.pass(600);
    assert!(!explained().await.to_string().contains("agents_quota"));
    assert_eq!(agent.claim(5).await.len(), 1, "one at a time");
}
