//! What is wrong or doubtful in a plan: each code, its place, and what it does to the goal.

use std::collections::BTreeSet;

use muster::domain::{plan::finding::FindingCode, words::Words as _};
use serde_json::{Value, json};

use crate::support::fleet::{Fleet, text};

fn good(name: &str) -> Value {
    json!({"ref": name, "title": format!("Write the {name} chapter"), "criteria": [{"text": "it builds"}]})
}

fn with(mut task: Value, settings: Value) -> Value {
    for (name, value) in settings.as_object().unwrap() {
        task[name] = value.clone();
    }
    task
}

/// The findings of a preview: code and pointer.
async fn found(fleet: &Fleet, goal: Value) -> Vec<(String, String)> {
    let preview = fleet.admin.post("/v1/plans/preview", &goal).await.value(200);
    let findings = preview["findings"].as_array().unwrap();
    findings.iter().map(|one| (text(&one["code"]), text(&one["pointer"]))).collect()
}

fn one(code: &str, pointer: &str) -> Vec<(String, String)> {
    vec![(code.to_owned(), pointer.to_owned())]
}

/// Two people's worth of agents: a plan of [`good`] tasks has no findings.
async fn fleet() -> Fleet {
    let fleet = Fleet::start().await;
    for (name, capabilities) in [
        ("r1", vec!["rust"]),
        ("r2", vec!["rust"]),
        ("d1", vec!["docs"]),
        ("only", vec!["sql", "review"]),
    ] {
        fleet.agent(name, &capabilities, 2).await.find_nothing().await;
    }
    fleet
}

#[tokio::test]
async fn a_good_plan_has_no_findings() {
    let fleet = fleet().await;
    assert_eq!(found(&fleet, json!({"tasks": [good("a"), good("b")]})).await, []);
}

#[tokio::test]
async fn errors_of_the_plan_itself_refuse_it_and_carry_their_code() {
    let fleet = fleet().await;
    let nested: Vec<Value> = (0..23)
        .map(|depth: usize| {
            let parent = depth.checked_sub(1).map(|above| above.to_string());
            json!({"ref": depth.to_string(), "title": "Write it down", "parent": parent})
        })
        .collect();
    let many: Vec<Value> =
        (0..5_001).map(|number| json!({"ref": number.to_string(), "title": "t"})).collect();
    for (tasks, code, pointer) in [
        (json!([with(good("a"), json!({"needs": ["x"]}))]), "unknown_ref", "/tasks/0/needs/0"),
        (json!([good("a"), good("a")]), "duplicate_ref", "/tasks/1/ref"),
        (json!([with(good("a"), json!({"needs": ["a"]}))]), "cycle", "/tasks/0"),
        (json!([with(good("a"), json!({"priority": 10}))]), "bad_value", "/tasks/0/priority"),
        (json!(nested), "too_deep", "/tasks/21/parent"),
        (json!(many), "too_many", "/tasks"),
    ] {
        for path in ["/v1/plans/preview", "/v1/goals"] {
            let answer = fleet.admin.post(path, &json!({"title": "t", "tasks": tasks})).await;
            assert_eq!(answer.problem(422, "plan_invalid"), [pointer], "{code}");
            assert_eq!(answer.json::<Value>()["errors"][0]["code"], code);
        }
    }
}

#[tokio::test]
async fn a_plan_is_held_against_the_fleet() {
    let fleet = fleet().await;
    let needs =
        |name: &str, capabilities: Value| with(good(name), json!({"capabilities": capabilities}));
    let typo = json!({"tasks": [good("a"), needs("b", json!(["rsut"]))]});
    assert_eq!(
        found(&fleet, typo.clone()).await,
        one("unknown_capability", "/tasks/1/capabilities/0")
    );
    let preview = fleet.admin.post("/v1/plans/preview", &typo).await.value(200);
    let finding = &preview["findings"][0];
    assert!(text(&finding["detail"]).contains("`rust`"), "{finding}");
    assert_eq!((&finding["severity"], &finding["refs"]), (&json!("error"), &json!(["b"])));

    let both = json!({"tasks": [needs("a", json!(["rust", "docs"]))]});
    assert_eq!(found(&fleet, both).await, one("nobody_able", "/tasks/0/capabilities"));

    let review = with(needs("b", json!(["review"])), json!({"needs": ["a"]}));
    let own = json!({"tasks": [needs("a", json!(["sql"])), review]});
    let mut own = found(&fleet, own).await;
    own.sort();
    assert_eq!(
        own,
        [one("one_agent_for_all", "/tasks"), one("reviewer_is_author", "/tasks/1/capabilities")]
            .concat()
    );
    let others = json!({"tasks": [needs("a", json!(["rust"])), with(needs("b", json!(["review"])), json!({"needs": ["a"]}))]});
    assert_eq!(found(&fleet, others).await, []);
}

#[tokio::test]
async fn a_plan_is_held_against_budgets_and_the_deadline() {
    let fleet = fleet().await;
    let costs =
        |name: &str, amount: i64| with(good(name), json!({"estimate": {"usd_micros": amount}}));
    let limit = |amount: i64| json!({"limits": [{"unit": "usd_micros", "amount": amount}]});
    let tasks = json!([costs("a", 60), costs("b", 50)]);
    let goal = |amount: i64| json!({"tasks": tasks, "budget": limit(amount)});
    assert_eq!(found(&fleet, goal(110)).await, []);
    assert_eq!(found(&fleet, goal(109)).await, one("over_budget", "/tasks"));
    // Of a day's limit there is a new one tomorrow.
    let day = json!({"limits": [{"unit": "usd_micros", "amount": 1, "period": "day"}]});
    assert_eq!(found(&fleet, json!({"tasks": tasks, "budget": day})).await, []);
    let workspace = json!({"node": "workspace", "budget": limit(109)});
    fleet.admin.post("/v1/budgets", &workspace).await.expect(201);
    assert_eq!(found(&fleet, json!({"tasks": tasks})).await, one("over_budget", "/tasks"));

    let takes = |name: &str, needs: Value| {
        with(good(name), json!({"needs": needs, "estimate": {"wall_ms": 60_000}}))
    };
    let chain = json!([takes("a", json!([])), takes("b", json!(["a"]))]);
    let by = |seconds: i64| {
        let deadline = fleet.now() + chrono::TimeDelta::seconds(seconds);
        json!({"tasks": chain, "deadline": deadline})
    };
    assert_eq!(found(&fleet, by(120)).await, []);
    assert_eq!(found(&fleet, by(119)).await, one("past_deadline", "/tasks"));
}

#[tokio::test]
async fn what_is_doubtful_is_a_warning() {
    let fleet = fleet().await;
    let chain = json!([
        good("a"),
        with(good("b"), json!({"needs": ["a"]})),
        with(good("c"), json!({"needs": ["b"]}))
    ]);
    assert_eq!(found(&fleet, json!({"tasks": chain})).await, one("serial_plan", "/tasks"));
    let vague = with(good("a"), json!({"title": "Fix it"}));
    assert_eq!(
        found(&fleet, json!({"tasks": [vague]})).await,
        one("vague_title", "/tasks/0/title")
    );
    let bare = json!({"ref": "a", "title": "Write the importer"});
    let codes = found(&fleet, json!({"tasks": [bare]})).await;
    assert_eq!(
        codes,
        [one("no_criterion", "/tasks/0/criteria"), one("no_verification", "/tasks")].concat()
    );
    let verified = json!({"tasks": [bare], "criteria": [{"text": "it imports"}]});
    assert_eq!(found(&fleet, verified).await, one("no_criterion", "/tasks/0/criteria"));
}

#[tokio::test]
async fn work_that_is_open_in_the_project_is_not_planned_twice() {
    let fleet = fleet().await;
    let goal =
        |project: &str| json!({"title": "t", "project": project, "tasks": [good("importer")]});
    let first = fleet.post_goal(goal("books")).await;
    assert_eq!(found(&fleet, goal("books")).await, one("probable_duplicate", "/tasks/0/title"));
    assert_eq!(found(&fleet, goal("other")).await, []);
    fleet
        .admin
        .post(format!("/v1/goals/{first}/cancel"), &json!({"reason": "no"}))
        .await
        .expect(200);
    assert_eq!(found(&fleet, goal("books")).await, []);
    let posted = fleet.admin.post("/v1/goals", &goal("books")).await.value(201);
    assert_eq!(posted["findings"], json!([]));
}

/// What a person said is done: findings against the fleet refuse nothing.
#[tokio::test]
async fn a_goal_with_findings_is_posted_and_its_plan_keeps_them() {
    let fleet = Fleet::start().await;
    let goal =
        json!({"title": "t", "tasks": [{"ref": "a", "title": "Fix", "capabilities": ["rust"]}]});
    let posted = fleet.admin.post("/v1/goals", &goal).await.value(201);
    let codes: BTreeSet<String> =
        posted["findings"].as_array().unwrap().iter().map(|one| text(&one["code"])).collect();
    let want = ["no_criterion", "no_verification", "unknown_capability", "vague_title"];
    assert_eq!(codes, want.map(str::to_owned).into());
    let plans =
        fleet.admin.get(format!("/v1/goals/{}/plans", text(&posted["id"]))).await.value(200);
    assert_eq!(plans["items"][0]["findings"], posted["findings"]);
}

/// The handbook explains every code.
#[test]
fn every_code_is_in_the_handbook() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/handbook/plans.md"));
    for code in FindingCode::ALL {
        assert!(page.contains(&format!("| `{code}` | {} |", code.severity())), "{code}");
    }
}
