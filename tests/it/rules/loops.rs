//! Loops, through heartbeats: each pattern is found, told once, and work is not taken for one.

use muster::domain::loops::{Step, Window};
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::{failed, step, tell, told};
use crate::support::{
    fleet::{Fleet, seed, text},
    invariants::verify,
};

/// The steps of each pattern, without their numbers. They differ in what means nothing.
fn patterns() -> Vec<(&'static str, Vec<Value>)> {
    let run =
        |k: usize| step(0, "cargo  test", format!("1 failed in 0.{k}1s at 2026-03-01T12:00:0{k}Z"));
    let read = step(0, json!({"tool": "read", "path": "a"}), "fn a() {}");
    let write = step(0, json!({"path": "a", "tool": "write"}), "ok");
    let list = step(0, "ls", "a b");
    let wall =
        |k: usize| failed(0, format!("try {k}"), &format!("cannot find crate `x` (line {k})"));
    vec![
        ("same_step", (0..4).map(run).collect()),
        ("same_error", (0..3).map(wall).collect()),
        ("alternating", again(&[&read, &write])),
        ("rotating", again(&[&read, &write, &list])),
    ]
}

fn again(steps: &[&Value]) -> Vec<Value> {
    (0..3).flat_map(|_| steps.iter().map(|step| (*step).clone())).collect()
}

fn numbered(steps: &[Value]) -> Vec<Value> {
    let number = |(index, step): (usize, &Value)| {
        let mut step = step.clone();
        step["n"] = json!(index + 1);
        step
    };
    steps.iter().enumerate().map(number).collect()
}

#[tokio::test]
async fn each_pattern_is_told_when_it_is_complete_and_once() {
    for (pattern, steps) in patterns() {
        let fleet = Fleet::start().await;
        let agent = fleet.worker().await;
        fleet.lone_task(json!({})).await;
        let held = agent.take().await;
        let steps = numbered(&steps);
        let (last, before) = steps.split_last().unwrap();
        for step in before {
            let answer = tell(&agent, &held, step).await;
            assert_eq!(answer["nudges"], json!([]), "{pattern}: {step}");
        }
        assert_eq!(told(&fleet).await, []);
        let answer = tell(&agent, &held, last).await;
        let [nudge] = answer["nudges"].as_array().unwrap().as_slice() else {
            panic!("{pattern}: {answer}");
        };
        assert_eq!((&nudge["loop"]["pattern"], &nudge["rule_id"]), (&json!(pattern), &Value::Null));
        assert!(text(&nudge["text"]).contains("another way"), "{nudge}");
        let once = told(&fleet).await;
        assert_eq!(once.len(), 1, "{once:?}");
        assert_eq!(
            (once[0].0.as_str(), once[0].1),
            (pattern, nudge["loop"]["times"].as_i64().unwrap())
        );
        // It goes on: the agent is told again, and the event is not.
        let mut more = steps[steps.len() % 2].clone();
        if pattern == "rotating" {
            more = steps[0].clone();
        }
        more["n"] = json!(steps.len() + 1);
        let answer = tell(&agent, &held, &more).await;
        assert_eq!(answer["nudges"][0]["loop"]["pattern"], pattern, "{answer}");
        assert_eq!(agent.beat(&held).await["nudges"], json!([]));
        assert_eq!(told(&fleet).await, once);
        // What was shown before stays.
        let shown = fleet.admin.get(format!("/v1/attempts/{}", held.attempt)).await.value(200);
        assert_eq!(shown["progress"], Value::Null);
        verify(&fleet.pool).await;
    }
}

#[tokio::test]
async fn a_loop_that_was_left_is_told_anew() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let mut n = 0;
    let mut again = async |action: &str, result: &str, error: Option<&str>| {
        n += 1;
        let step = match error {
            Some(error) => failed(n, action, error),
            None => step(n, action, result),
        };
        tell(&agent, &held, &step).await
    };
    for _ in 0..6 {
        again("a", "same", None).await;
    }
    // Six equal steps are two in turn as well; that is nothing new.
    assert_eq!(told(&fleet).await, [("same_step".to_owned(), 4)]);
    assert_eq!(again("b", "other", None).await["nudges"], json!([]));
    for _ in 0..4 {
        again("a", "same", None).await;
    }
    assert_eq!(told(&fleet).await.len(), 2);
    // The wall is the same whatever is tried: also when one try is repeated, and then others again.
    for action in ["1", "2", "3", "3", "3", "3", "4", "5"] {
        again(action, "", Some("disk full")).await;
    }
    let all: Vec<String> = told(&fleet).await.into_iter().map(|(pattern, _)| pattern).collect();
    assert_eq!(all, ["same_step", "same_step", "same_error", "same_step"]);
    let open: Vec<String> =
        sqlx::query_scalar("select pattern from attempt_loops where left_at is null order by 1")
            .fetch_all(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(open, ["same_error"]);
}

#[tokio::test]
async fn two_hundred_different_actions_are_no_loop() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let held = agent.claim(2).await;
    for n in 0..200_u64 {
        let work = match n % 5 {
            0 => step(n + 1, json!({"tool": "read", "path": format!("src/file_{n}.rs")}), "ok"),
            1 => step(n + 1, format!("curl 'https://example.com/items?page={n}'"), json!([])),
            // The tests fail again and again while the code is being written.
            2 => failed(n + 1, "cargo test", "1 test failed: adds_up"),
            3 => step(n + 1, json!({"tool": "edit", "path": "src/lib.rs", "line": n}), "ok"),
            _ => step(n + 1, json!({"tool": "query", "since": 1_700_000_000 + n}), "ok"),
        };
        assert_eq!(tell(&agent, &held[0], &work).await["nudges"], json!([]), "{work}");
    }
    // And several at a time.
    for chunk in 0..2 {
        let steps: Vec<Value> =
            (1..=100).map(|n| step(chunk * 100 + n, format!("touch {chunk}-{n}"), "ok")).collect();
        let body = json!({"progress": {"steps": steps}});
        let answer = agent.write(&held[1], "heartbeat", body).await.value(200);
        assert_eq!(answer["nudges"], json!([]));
    }
    assert_eq!(told(&fleet).await, []);
}

#[tokio::test]
async fn a_heartbeat_that_is_sent_again_counts_no_step_twice() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    for n in 1..=3 {
        for _ in 0..5 {
            let answer = tell(&agent, &held, &step(n, "cargo test", "failed")).await;
            assert_eq!(answer["nudges"], json!([]));
        }
    }
    // Both at once, as when the first answer is slow; and one that comes too late.
    let last = step(4, "cargo test", "failed");
    let beats = (0..8).map(|_| tell(&agent, &held, &last));
    for answer in futures_util::future::join_all(beats).await {
        assert_eq!(answer["nudges"][0]["loop"]["times"], 4);
    }
    tell(&agent, &held, &step(2, "something", "else")).await;
    assert_eq!(told(&fleet).await, [("same_step".to_owned(), 4)]);
    // With spend and in the list of many it is the same.
    let more = json!({"progress": {"steps": [last, step(5, "cargo test", "failed")]},
                      "spend": {"totals": {"usd_micros": 7}}});
    for _ in 0..2 {
        let answer = agent.write(&held, "heartbeat", more.clone()).await.value(200);
        assert_eq!(answer["nudges"][0]["loop"]["times"], 5);
    }
    let mut many = held.with(json!({"progress": {"step": step(5, "cargo test", "failed")}}));
    many["attempt_id"] = json!(held.attempt);
    let answer =
        agent.client.post("/v1/heartbeats", &json!({"heartbeats": [many]})).await.value(200);
    assert_eq!(answer["outcomes"][0]["answer"]["nudges"][0]["loop"]["times"], 5);
    assert_eq!(told(&fleet).await.len(), 1);
}

#[tokio::test]
async fn steps_belong_to_their_attempt_and_are_judged_with_it() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    for n in 1..=3 {
        tell(&agent, &held, &step(n, "cargo test", "failed")).await;
    }
    agent.release(&held).await;
    let late = json!({"progress": {"step": step(4, "cargo test", "failed")}});
    agent.write(&held, "heartbeat", late).await.problem(409, "lease_lost");
    let next = agent.take().await;
    assert_eq!(tell(&agent, &next, &step(1, "cargo test", "failed")).await["nudges"], json!([]));
    assert_eq!(told(&fleet).await, []);
}

#[tokio::test]
async fn what_is_no_step_is_refused_with_its_place() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let refused = async |progress: Value, places: &[&str]| {
        let body = json!({"progress": progress});
        let found = agent.write(&held, "heartbeat", body).await.problem(422, "invalid");
        assert_eq!(found, places);
    };
    refused(json!({"step": {"n": 1, "action": ""}}), &["/progress/step/action"]).await;
    refused(json!({"step": {"n": 0, "action": "a"}}), &["/progress/step/n"]).await;
    refused(json!({"step": {"action": "a"}}), &["/progress/step"]).await;
    refused(json!({"steps": [step(2, "a", "b"), step(2, "c", "d")]}), &["/progress/steps/1/n"])
        .await;
    refused(json!({"step": step(1, "a", "b"), "steps": [step(2, "a", "b")]}), &["/progress/steps"])
        .await;
    let many: Vec<Value> = (1..=101).map(|n| step(n, n, "x")).collect();
    refused(json!({"steps": many}), &["/progress/steps"]).await;
    // What goes on has not ended: it is not counted, and its number stays free.
    for _ in 0..9 {
        tell(&agent, &held, &json!({"n": 1, "action": "cargo build"})).await;
    }
    let stored: i64 =
        sqlx::query_scalar("select count(*) from attempt_progress where steps is not null")
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(stored, 0);
}

/// The database adds to windows by the rule of the domain.
#[tokio::test]
async fn windows_grow_in_the_database_as_in_the_domain() {
    let fleet = Fleet::start().await;
    let mut random = rand::rngs::StdRng::seed_from_u64(seed());
    let mut window = Window::default();
    let mut stored = Vec::new();
    for _ in 0..200 {
        let from = random.random_range(0..1_000_000_u64);
        let count = random.random_range(0..20_u64);
        let steps: Vec<Step> = (0..count)
            .map(|k| serde_json::from_value(step(from + k * 300, k, "x")).unwrap())
            .collect();
        let more = Window::of(&steps);
        window.extend(&more);
        stored = sqlx::query_scalar::<_, Vec<u8>>("select steps_after($1, $2)")
            .bind(&stored)
            .bind(more.to_bytes())
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
        assert_eq!(stored, window.to_bytes());
        if random.random_bool(0.1) {
            (window, stored) = (Window::default(), Vec::new());
        }
    }
}
