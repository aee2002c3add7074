//! The numbers of a plan: shown by the preview, kept with the plan, and learnt from finished work.

use serde_json::{Value, json};

use crate::support::{
    dump::{dump, same},
    fleet::{Fleet, text},
};

const MINUTE: i64 = 60_000;

/// A task of so many minutes.
fn task(name: &str, needs: &[&str], minutes: i64) -> Value {
    json!({
        "ref": name, "title": format!("Write chapter {name}"), "needs": needs,
        "estimate": {"wall_ms": minutes * MINUTE},
    })
}

/// Two roots, a fork and a join: the longest chain is schema, tests, ship.
fn small() -> Value {
    json!([
        task("schema", &[], 15),
        task("docs", &[], 5),
        task("api", &["schema"], 20),
        task("tests", &["schema"], 30),
        task("ship", &["api", "tests", "docs"], 10),
    ])
}

async fn preview(fleet: &Fleet, goal: &Value) -> Value {
    fleet.admin.post("/v1/plans/preview", goal).await.value(200)
}

#[tokio::test]
async fn the_numbers_of_a_small_plan_are_those_by_hand() {
    let fleet = Fleet::start().await;
    let agents = [fleet.agent("one", &[], 1).await, fleet.agent("two", &[], 1).await];
    let offline = preview(&fleet, &json!({"tasks": small()})).await["numbers"].clone();
    assert_eq!(offline["expected"]["ms"], json!(null));
    assert_eq!(offline["missing"], json!([{"capabilities": [], "tasks": 5, "offline": 2}]));
    for agent in &agents {
        agent.find_nothing().await;
    }
    let before = dump(&fleet.pool).await;
    let numbers = preview(&fleet, &json!({"tasks": small()})).await["numbers"].clone();
    same("a preview", &before, &dump(&fleet.pool).await);

    assert_eq!((&numbers["tasks"], &numbers["work_ms"]), (&json!(5), &json!(80 * MINUTE)));
    let path =
        json!({"ms": 55 * MINUTE, "least_ms": 55 * MINUTE, "refs": ["schema", "tests", "ship"]});
    assert_eq!(numbers["critical_path"], path);
    let waves = json!([
        {"width": 2, "refs": ["schema", "docs"]},
        {"width": 2, "refs": ["api", "tests"]},
        {"width": 1, "refs": ["ship"]},
    ]);
    assert_eq!((&numbers["waves"], &numbers["widest"]), (&waves, &json!(2)));
    let expected = json!({
        "ms": 55 * MINUTE, "slots": 2, "shortest_ms": 55 * MINUTE, "more_agents": 0,
    });
    assert_eq!(numbers["expected"], expected);
    assert_eq!(numbers["durations"], json!({"estimate": 5, "measured": 0, "default": 0}));
    assert_eq!(numbers["missing"], json!([]));
    let all = 80 * MINUTE;
    let cost = json!([{
        "unit": "wall_ms", "p10": all, "p50": all, "p90": all, "from_estimate": 5, "from_measured": 0, "unknown": 0,
    }]);
    assert_eq!(numbers["cost"], cost);
}

#[tokio::test]
async fn one_agent_takes_as_long_as_all_the_work() {
    let fleet = Fleet::start().await;
    fleet.agent("only", &[], 1).await.find_nothing().await;
    let numbers = preview(&fleet, &json!({"tasks": small()})).await["numbers"].clone();
    let expected = json!({
        "ms": 80 * MINUTE, "slots": 1, "shortest_ms": 55 * MINUTE, "more_agents": 1,
    });
    assert_eq!(numbers["expected"], expected);
}

#[tokio::test]
async fn what_holds_a_plan_up_are_the_agents_that_are_not_there() {
    let fleet = Fleet::start().await;
    let rust = fleet.agent("rust", &["rust"], 2).await;
    let go = fleet.agent("go", &["go"], 1).await;
    go.find_nothing().await;
    fleet.pass(700);
    rust.find_nothing().await;
    let mut tasks = json!([task("a", &[], 10), task("b", &[], 20), task("c", &["b"], 5)]);
    tasks[0]["capabilities"] = json!(["rust"]);
    tasks[1]["capabilities"] = json!(["go"]);
    let numbers = preview(&fleet, &json!({"tasks": tasks})).await["numbers"].clone();
    assert_eq!(numbers["missing"], json!([{"capabilities": ["go"], "tasks": 1, "offline": 1}]));
    assert_eq!(numbers["expected"]["ms"], json!(null));
    go.find_nothing().await;
    let numbers = preview(&fleet, &json!({"tasks": tasks})).await["numbers"].clone();
    assert_eq!(numbers["expected"]["ms"], 25 * MINUTE);
    // A paused agent is not counted on.
    let agents = fleet.admin.get("/v1/agents?name=go").await.expect(200);
    let id = text(&agents.json::<Value>()["items"][0]["id"]);
    let path = format!("/v1/agents/{id}");
    let etag = fleet.admin.get(&path).await.expect(200).etag();
    fleet.admin.patch(&path, &json!({"state": "paused"})).if_match(&etag).await.expect(200);
    let numbers = preview(&fleet, &json!({"tasks": tasks})).await["numbers"].clone();
    assert_eq!(numbers["missing"][0]["capabilities"], json!(["go"]));
}

/// A range counts with both ends, as do chains of which one is longer at its least.
#[tokio::test]
async fn a_range_gives_the_path_two_lengths() {
    let fleet = Fleet::start().await;
    let mut tasks = json!([task("a", &[], 10), task("b", &[], 8)]);
    tasks[0]["estimate"]["wall_ms"] = json!({"want": 10 * MINUTE, "min": 3 * MINUTE});
    let numbers = preview(&fleet, &json!({"tasks": tasks})).await["numbers"].clone();
    let path = json!({"ms": 10 * MINUTE, "least_ms": 8 * MINUTE, "refs": ["a"]});
    assert_eq!(numbers["critical_path"], path);
}

#[tokio::test]
async fn the_plan_keeps_the_numbers_it_was_made_with() {
    let fleet = Fleet::start().await;
    fleet.agent("only", &[], 1).await.find_nothing().await;
    let body = json!({"title": "Book", "tasks": small()});
    let before = preview(&fleet, &body).await;
    let posted = fleet.admin.post("/v1/goals", &body).await.value(201);
    for field in ["numbers", "findings"] {
        assert_eq!(posted[field], before[field], "{field}");
    }
    let short = &fleet.read_goal(&text(&posted["id"])).await["plan"];
    assert_eq!((&short["errors"], &short["warnings"]), (&json!(5), &json!(1)));
    assert_eq!((&short["number"], &short["expected_ms"]), (&json!(1), &json!(80 * MINUTE)));
    assert_eq!(
        (&short["critical_path_ms"], &short["cost"]),
        (&json!(55 * MINUTE), &before["numbers"]["cost"])
    );
    fleet.agent("late", &[], 5).await.claim(1).await;
    let plans =
        fleet.admin.get(format!("/v1/goals/{}/plans", text(&posted["id"]))).await.value(200);
    for field in ["numbers", "findings"] {
        assert_eq!(plans["items"][0][field], before[field], "{field}");
    }
}

#[tokio::test]
async fn an_approver_reads_what_the_plan_takes() {
    let fleet = Fleet::start().await;
    fleet.agent("only", &[], 1).await.find_nothing().await;
    let mut tasks = small();
    tasks[0]["estimate"]["usd_micros"] = json!(250_000);
    fleet.post_goal(json!({"title": "Book", "tasks": tasks, "approval": {"plan": true}})).await;
    let id = text(&fleet.question().await["id"]);
    let question = fleet.admin.get(format!("/v1/approvals/{id}")).await.value(200);
    let body = text(&question["body"]);
    for part in [
        "5 tasks in 3 waves",
        "`usd_micros`: 250000",
        "about 1 h 20 min",
        "Longest chain: 55 min (`schema`, `tests`, `ship`)",
        "`no_criterion`",
    ] {
        assert!(body.contains(part), "{part}: {body}");
    }
    // An edited plan is judged anew.
    tasks.as_array_mut().unwrap().pop();
    let path = format!("/v1/approvals/{id}/revise");
    let revision = json!({"payload_sha256": question["payload_sha256"], "payload": tasks});
    fleet.admin.post(path, &revision).await.expect(200);
    let goals = fleet.admin.get("/v1/goals").await.value(200);
    let goal = text(&goals["items"][0]["id"]);
    let plans = fleet.admin.get(format!("/v1/goals/{goal}/plans")).await.value(200);
    let lengths: Vec<&Value> = plans["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plan| &plan["numbers"]["critical_path"]["ms"])
        .collect();
    assert_eq!(lengths, [&json!(45 * MINUTE), &json!(55 * MINUTE)]);
}

#[tokio::test]
async fn finished_work_tells_what_the_next_will_take() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("rust", &["rust"], 1).await;
    let plain = |name: &str| json!({"ref": name, "title": format!("Write {name}"), "capabilities": ["rust"]});
    let goal = json!({"tasks": [plain("next")]});
    let before = preview(&fleet, &goal).await["numbers"].clone();
    assert_eq!(before["durations"], json!({"estimate": 0, "measured": 0, "default": 1}));
    assert_eq!(before["critical_path"]["ms"], 10 * MINUTE);
    assert_eq!(before["cost"], json!([]));

    fleet.goal(json!([plain("a"), plain("b"), plain("c")])).await;
    for (minutes, dollars) in [(1, "0.1"), (2, "0.2"), (30, "3")] {
        fleet.round().await;
        let early = preview(&fleet, &goal).await["numbers"].clone();
        assert_eq!(early["durations"], before["durations"], "fewer than three say nothing");
        let held = agent.take().await;
        agent.write(&held, "spend", json!({"totals": {"usd": dollars}})).await.expect(200);
        // Longer than a lease lasts: the agent stays heard of.
        for _ in 0..minutes * 2 {
            fleet.pass(30);
            agent.beat(&held).await;
        }
        agent.complete(&held).await;
    }
    fleet.round().await;
    let after = preview(&fleet, &goal).await["numbers"].clone();
    assert_eq!(after["durations"], json!({"estimate": 0, "measured": 1, "default": 0}));
    assert_eq!(after["critical_path"]["ms"], 2 * MINUTE);
    let money =
        after["cost"].as_array().unwrap().iter().find(|band| band["unit"] == "usd_micros").unwrap();
    let band = json!({
        "unit": "usd_micros", "p10": 100_000, "p50": 200_000, "p90": 3_000_000,
        "from_estimate": 0, "from_measured": 1, "unknown": 0,
    });
    assert_eq!(money, &band);
    // Other capabilities: the time of any task, but nobody's money.
    let other = json!({"tasks": [{"ref": "x", "title": "Write x"}]});
    let other = preview(&fleet, &other).await["numbers"].clone();
    assert_eq!((&other["critical_path"]["ms"], &other["cost"]), (&json!(2 * MINUTE), &json!([])));
    let outcomes: (i32, i32) = sqlx::query_as(
        "select succeeded, failed from capability_outcomes where capability = 'rust'",
    )
    .fetch_one(&fleet.pool)
    .await
    .unwrap();
    assert_eq!(outcomes, (3, 0));
}
