//! Where work waits: for agents, people, budgets and time, and what one more agent would bring.

use muster::domain::access::role::Role;
use serde_json::{Value, json};

use crate::support::{
    fleet::{Fleet, about, text},
    invariants::verify,
};

async fn report(fleet: &Fleet) -> Value {
    fleet.admin.get("/v1/reports/bottlenecks").await.value(200)
}

fn named(name: &str, capabilities: &[&str]) -> Value {
    json!({"ref": name, "title": name, "capabilities": capabilities})
}

#[tokio::test]
async fn nothing_waits_in_an_idle_workspace() {
    let fleet = Fleet::start().await;
    let found = report(&fleet).await;
    let want = json!({
        "at": "2026-03-01T12:00:00Z", "capabilities": [], "people": [], "budgets": [], "at_risk": [],
        "open_work": {"tasks": 0, "complete": true, "tasks_doable": 0, "makespan_ms": 0, "one_more": []},
    });
    assert_eq!(found, want);
}

#[tokio::test]
async fn capabilities_are_short_when_more_is_ready_than_can_start() {
    let fleet = Fleet::start().await;
    let coder = fleet.agent("coder", &["rust"], 2).await;
    let writer = fleet.agent("writer", &["docs"], 5).await;
    let absent = fleet.agent("absent", &["review"], 5).await;
    let rust = (0..5).map(|n| named(&format!("r{n}"), &["rust"]));
    let review = (0..2).map(|n| named(&format!("v{n}"), &["review"]));
    fleet.goal(rust.chain(review).collect()).await;
    fleet.pass(60);
    assert_eq!(coder.claim(5).await.len(), 2);
    writer.find_nothing().await;
    fleet.goal(json!([named("d", &["docs"])])).await;
    let found = report(&fleet).await;
    let since = "2026-03-01T12:00:00Z";
    // Nobody is there who reviews. Three tasks take two rounds of two slots.
    let short = json!([
        {"capabilities": ["review"], "ready": 2, "since": since, "oldest_wait_ms": 60_000,
         "agents_online": 0, "slots": 0, "free_slots": 0, "usual_ms": 60_000, "drain_ms": null},
        {"capabilities": ["rust"], "ready": 3, "since": since, "oldest_wait_ms": 60_000,
         "agents_online": 1, "slots": 2, "free_slots": 0, "usual_ms": 60_000, "drain_ms": 120_000},
    ]);
    assert_eq!(found["capabilities"], short);
    // Five tasks of a minute each, two at once, take three minutes, and three at once two.
    let open = json!({
        "tasks": 8, "complete": true, "tasks_doable": 6, "makespan_ms": 180_000,
        "one_more": [
            {"capabilities": ["review"], "tasks_doable": 8, "makespan_ms": 180_000, "saved_ms": null},
            {"capabilities": ["rust"], "tasks_doable": 6, "makespan_ms": 120_000, "saved_ms": 60_000},
        ],
    });
    assert_eq!(found["open_work"], open);

    // Who comes online takes the rest, and nothing is short of reviewers any more.
    assert_eq!(absent.claim(1).await.len(), 1);
    let found = report(&fleet).await;
    assert_eq!(found["capabilities"].as_array().unwrap().len(), 1);
    assert_eq!(found["open_work"]["tasks_doable"], 8);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn usual_durations_and_estimates_count() {
    let fleet = Fleet::start().await;
    let coder = fleet.agent("coder", &["rust"], 1).await;
    coder.find_nothing().await;
    sqlx::query(
        "insert into measured_use (workspace_id, kind, name, unit, p10, p50, p90, tasks, computed_at)
         values ($1, 'set', 'rust', 'wall_ms', 1000, 10000, 20000, 9, now())",
    )
    .bind(fleet.workspace.0)
    .execute(&fleet.pool)
    .await
    .unwrap();
    let timed = json!({"ref": "c", "title": "c", "capabilities": ["rust"], "needs": ["a"],
                       "estimate": {"wall_ms": 300_000}});
    fleet.goal(json!([named("a", &["rust"]), named("b", &["rust"]), timed])).await;
    let found = report(&fleet).await;
    let short = &found["capabilities"][0];
    assert_eq!((&short["usual_ms"], &short["drain_ms"]), (&json!(10_000), &json!(20_000)));
    // 10 seconds of `a`, and behind it 300 of `c`; one more agent does `b` meanwhile.
    assert_eq!(found["open_work"]["makespan_ms"], 320_000);
    let more = &found["open_work"]["one_more"][0];
    assert_eq!((&more["makespan_ms"], &more["saved_ms"]), (&json!(310_000), &json!(10_000)));
    // What is left of a running task counts.
    let held = coder.take().await;
    assert_eq!(held.name, "a");
    fleet.pass(4);
    assert_eq!(report(&fleet).await["open_work"]["makespan_ms"], 316_000);
}

#[tokio::test]
async fn people_are_named_until_they_have_answered() {
    let fleet = Fleet::start().await;
    let stages = json!([{"approvers": ["alice", "bob"], "quorum": 2}]);
    let policy = json!({"name": "two", "match": {"kinds": ["action"]}, "stages": stages});
    fleet.admin.post("/v1/approval-policies", &policy).await.expect(201);
    let agent = fleet.worker().await;
    let chain = json!([
        {"ref": "a", "title": "a"},
        {"ref": "b", "title": "b", "needs": ["a"]},
        {"ref": "c", "title": "c", "needs": ["b"]},
    ]);
    fleet.goal(chain).await;
    let held = agent.take().await;
    let asked = agent.ask(&held, "action").await;
    fleet.pass(100);
    fleet.lone_task(json!({"approval": {"start": true}})).await;
    let goal = fleet
        .goal(
            json!([{"ref": "fails", "title": "t", "priority": 9}, {"ref": "other", "title": "t"}]),
        )
        .await;
    fleet.pass(100);
    let held = agent.take().await;
    assert_eq!(held.name, "fails");
    agent.fail(&held, "permanent").await;
    assert_eq!(fleet.goal_state(&goal).await, "active");

    let found = report(&fleet).await;
    let people = found["people"].as_array().unwrap();
    let first = |person: &str, alone: i64| {
        json!({
            "kind": "person", "person": person, "approvals": 1, "alone": alone, "failed_tasks": 0,
            "since": "2026-03-01T12:00:00Z", "oldest_wait_ms": 200_000, "approval_id": asked["id"],
            "goals": 1, "tasks_blocked": 3,
        })
    };
    assert_eq!(people[..2], [first("alice", 0), first("bob", 0)]);
    let operator = &people[2];
    assert_eq!((&operator["kind"], &operator["person"]), (&json!("operator"), &Value::Null));
    assert_eq!((&operator["approvals"], &operator["alone"]), (&json!(1), &json!(1)));
    assert_eq!(operator["failed_tasks"], 1);
    assert_eq!((&operator["goals"], &operator["tasks_blocked"]), (&json!(2), &json!(1)));
    assert_eq!(operator["since"], "2026-03-01T12:01:40Z");
    assert_eq!(people.len(), 3);

    let alice = fleet.client(&fleet.key_of(Role::Operator, Some("alice")).await);
    let path = format!("/v1/approvals/{}", text(&asked["id"]));
    let yes = about(&alice.get(&path).await.value(200), json!({"decision": "approve"}));
    assert_eq!(alice.post(format!("{path}/decide"), &yes).await.value(200)["state"], "pending");
    let found = report(&fleet).await;
    let people = found["people"].as_array().unwrap();
    assert_eq!(people[0], first("bob", 1));
    assert_eq!(people.len(), 2);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_short_limit_says_what_is_missing() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let limits = json!([{"unit": "usd_micros", "amount": 100}]);
    let budget = json!({"node": "workspace", "budget": {"limits": limits, "on_exhausted": "park"}});
    let budget = fleet.admin.post("/v1/budgets", &budget).await.value(201);
    let dear =
        |n: usize| json!({"ref": format!("t{n}"), "title": "t", "estimate": {"usd_micros": 80}});
    let mut tasks: Vec<Value> = (0..6).map(dear).collect();
    tasks.push(json!({"ref": "behind", "title": "t", "needs": ["t1"]}));
    fleet.goal(json!(tasks)).await;
    let held = agent.claim(6).await;
    assert_eq!(held.len(), 1);
    fleet.pass(60);
    let found = report(&fleet).await;
    let [short] = found["budgets"].as_array().unwrap().as_slice() else {
        panic!("not one limit: {found:#}");
    };
    let behind = if held[0].name == "t1" { 5 } else { 6 };
    let want = json!({
        "limit_id": budget["limits"][0]["id"], "budget_id": budget["id"], "node": "workspace",
        "node_id": fleet.workspace.to_string(), "unit": "usd_micros", "period": "lifetime",
        "ends_at": null, "limit": 100, "used": 0, "reserved": 80, "waiting": 5, "needed": 400,
        "missing": 380, "since": "2026-03-01T12:00:00Z", "oldest_wait_ms": 60_000,
        "approval_id": null, "tasks_blocked": behind,
    });
    assert_eq!(*short, want);
    let spend = json!({"entries": [{"key": "a", "amounts": {"usd_micros": 60}}]});
    agent.write(&held[0], "complete", json!({"spend": spend})).await.expect(200);
    let found = report(&fleet).await;
    let short = &found["budgets"][0];
    assert_eq!((&short["used"], &short["reserved"]), (&json!(60), &json!(0)));
    assert_eq!((&short["waiting"], &short["missing"]), (&json!(5), &json!(360)));
}

#[tokio::test]
async fn a_path_is_at_risk_before_it_is_late() {
    let fleet = Fleet::start().await;
    let half_hour = |name: &str, needs: &[&str]| json!({"ref": name, "title": name, "needs": needs, "estimate": {"wall_ms": 1_800_000}});
    let due = async |title: &str, deadline: &str| {
        let tasks = [half_hour("a", &[]), half_hour("b", &["a"])];
        fleet.post_goal(json!({"title": title, "deadline": deadline, "tasks": tasks})).await
    };
    let tight = due("tight", "2026-03-01T13:03:00Z").await;
    let late = due("late", "2026-03-01T12:50:00Z").await;
    due("calm", "2026-03-01T14:00:00Z").await;
    fleet.round().await;
    let found = report(&fleet).await;
    let at_risk = found["at_risk"].as_array().unwrap();
    let seen: Vec<_> =
        at_risk.iter().map(|one| (&one["goal_id"], &one["risk"], &one["slack_ms"])).collect();
    let want = [
        (json!(late), json!("late"), json!(-600_000)),
        (json!(tight), json!("tight"), json!(180_000)),
    ];
    assert_eq!(
        seen,
        want.iter().map(|(goal, risk, slack)| (goal, risk, slack)).collect::<Vec<_>>()
    );
    let first = &at_risk[0];
    assert_eq!(
        (&first["ends_at"], &first["path_ms"]),
        (&json!("2026-03-01T13:00:00Z"), &json!(3_600_000))
    );
    let path: Vec<_> = first["path"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (&step["ref"], &step["work_ms"]))
        .collect();
    assert_eq!(path, [(&json!("a"), &json!(1_800_000)), (&json!("b"), &json!(1_800_000))]);
}
