//! Editing goals, and moving them to another project.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    client::Answer,
    fleet::{Fleet, text},
    invariants::{verify, verify_rested},
};

const TRIES: usize = 64;

async fn patch(fleet: &Fleet, goal: &str, change: Value) -> Answer {
    fleet.admin.patch(format!("/v1/goals/{goal}"), &change).if_match("*").await
}

fn limits(limits: &[(&str, &str, i64)]) -> Value {
    let limit = |(unit, period, amount): &(&str, &str, i64)| json!({"unit": unit, "period": period, "amount": amount});
    json!({"limits": limits.iter().map(limit).collect::<Vec<_>>()})
}

/// A project with limits; returns the ids of both.
async fn project(fleet: &Fleet, name: &str, budget: Value) -> (String, String) {
    let project = fleet.admin.post("/v1/projects", &json!({"name": name})).await.value(201);
    let project = text(&project["id"]);
    let body = json!({"node": "project", "node_id": project, "budget": budget});
    let budget = fleet.admin.post("/v1/budgets", &body).await.value(201);
    (project, text(&budget["id"]))
}

/// What each limit of a budget has settled, by unit and period.
async fn settled(fleet: &Fleet, budget: &str) -> Vec<i64> {
    let budget = fleet.admin.get(format!("/v1/budgets/{budget}")).await.value(200);
    let limits = budget["limits"].as_array().unwrap();
    limits.iter().map(|limit| limit["window"]["settled"].as_i64().unwrap_or_default()).collect()
}

async fn spend(fleet: &Fleet, project: &str) -> i64 {
    let project = fleet.admin.get(format!("/v1/projects/{project}")).await.value(200);
    project["spend"]["usd_micros"].as_i64().unwrap_or_default()
}

#[tokio::test]
async fn the_values_of_a_goal_change_and_null_sets_them_back() {
    let fleet = Fleet::start().await;
    let goal = fleet
        .post_goal(json!({
            "title": "g", "brief": "old", "metadata": {"a": 1}, "priority": 7, "project": "p",
            "tasks": [{"ref": "a", "title": "a"}], "deadline": "2026-05-01T00:00:00Z",
        }))
        .await;
    let change = json!({
        "title": "better", "brief": "new\u{7}", "metadata": {"b": {"c": 2}}, "priority": 8,
        "task_defaults": {"capabilities": ["rust"]}, "project": "q",
    });
    let edited = patch(&fleet, &goal, change).await.value(200);
    let q = fleet.admin.get("/v1/projects?name=q").await.value(200);
    for (field, want) in [
        ("title", json!("better")),
        ("brief", json!("new")),
        ("metadata", json!({"b": {"c": 2}})),
        ("priority", json!(8)),
        ("deadline", json!("2026-05-01T00:00:00Z")),
        ("project_id", q["items"][0]["id"].clone()),
        ("version", json!(2)),
    ] {
        assert_eq!(edited[field], want, "{field}");
    }
    assert_eq!(edited["task_defaults"]["capabilities"], json!(["rust"]));
    assert_eq!(fleet.task(&goal, "a").await["priority"], 8);
    let same = patch(&fleet, &goal, json!({"title": "better", "project": "q"})).await;
    assert_eq!(same.value(200)["version"], 2, "an edit that changes nothing is no edit");
    let cleared = json!({"brief": null, "metadata": null, "priority": null, "deadline": null,
                         "task_defaults": null, "project": null});
    let edited = patch(&fleet, &goal, cleared).await.value(200);
    for (field, want) in [
        ("brief", json!("")),
        ("metadata", json!({})),
        ("priority", json!(5)),
        ("deadline", Value::Null),
        ("project_id", Value::Null),
        ("title", json!("better")),
    ] {
        assert_eq!(edited[field], want, "{field}");
    }
    assert_eq!(edited["task_defaults"]["capabilities"], json!([]));
    let bad = json!({"title": null, "project": " ", "brief": "x".repeat(256 * 1024 + 1)});
    let pointers = patch(&fleet, &goal, bad).await.problem(422, "invalid");
    assert_eq!(pointers, ["/title", "/brief", "/project"]);
    let digests: Vec<bool> = sqlx::query_scalar(
        "select before_sha256 <> after_sha256 from journal where kind = 'goal.updated'",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    assert_eq!(digests, [true, true]);
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn the_spend_of_a_goal_moves_with_it() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let all =
        [("usd_micros", "lifetime", 1000), ("usd_micros", "day", 800), ("attempts", "lifetime", 9)];
    let (p, of_p) = project(&fleet, "p", limits(&all)).await;
    let (q, of_q) = project(&fleet, "q", limits(&all)).await;
    let (small, of_small) =
        project(&fleet, "small", limits(&[("usd_micros", "lifetime", 10)])).await;
    let task = |name: &str| json!({"ref": name, "title": name, "estimate": {"usd_micros": 10}});
    let body = json!({"title": "g", "project": "p", "tasks": [task("a"), task("b")]});
    let goal = fleet.post_goal(body).await;
    let held = worker.take().await;
    let refused = patch(&fleet, &goal, json!({"project": "q"})).await;
    refused.problem(409, "wrong_state");
    assert!(refused.describe().contains("drain"), "{}", refused.describe());
    // Other values may change meanwhile.
    patch(&fleet, &goal, json!({"metadata": {"x": 1}, "project": "p"})).await.expect(200);
    let spent = json!({"spend": {"totals": {"usd_micros": 300}}});
    worker.write(&held, "complete", spent).await.expect(200);
    assert_eq!((settled(&fleet, &of_p).await, spend(&fleet, &p).await), (vec![1, 300, 300], 300));

    let refused = patch(&fleet, &goal, json!({"project": "small"})).await;
    refused.problem(409, "budget_exhausted");
    let says =
        "limit 10, settled 0, reserved 0, left 10, requested 300; a goal that has spent at most 10";
    assert!(refused.describe().contains(says), "{}", refused.describe());
    assert_eq!((settled(&fleet, &of_small).await, spend(&fleet, &small).await), (vec![0], 0));
    assert_eq!(settled(&fleet, &of_p).await, [1, 300, 300]);

    let moved = patch(&fleet, &goal, json!({"project": "q"})).await.value(200);
    assert_eq!(moved["project_id"], json!(q));
    assert_eq!((settled(&fleet, &of_p).await, spend(&fleet, &p).await), (vec![0, 0, 0], 0));
    assert_eq!((settled(&fleet, &of_q).await, spend(&fleet, &q).await), (vec![1, 300, 300], 300));
    verify(&fleet.pool).await;
    // Late spend and later attempts count where the goal is now.
    let late = json!({"totals": {"usd_micros": 307}});
    worker.write(&held, "spend", late).await.expect(200);
    worker.complete(&worker.take().await).await;
    assert_eq!(settled(&fleet, &of_q).await, [2, 307, 307]);
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    patch(&fleet, &goal, json!({"project": "p"})).await.problem(409, "goal_ended");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_waits_for_a_limit_of_the_old_project_is_offered_in_the_new_one() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    project(&fleet, "p", limits(&[("usd_micros", "lifetime", 10)])).await;
    let body = json!({"title": "g", "project": "p", "tasks": [
        {"ref": "a", "title": "a", "estimate": {"usd_micros": 50}}]});
    let goal = fleet.post_goal(body).await;
    worker.find_nothing().await;
    assert_eq!(fleet.state(&goal, "a").await, "parked");
    patch(&fleet, &goal, json!({"project": null})).await.expect(200);
    assert_eq!(fleet.state(&goal, "a").await, "ready");
    assert!(fleet.questions().await.is_empty(), "nobody is asked to raise a limit for nothing");
    worker.work_off().await;
    verify_rested(&fleet.pool, fleet.now()).await;

    let allocated = json!({"title": "g", "project": "p", "tasks": [{"ref": "a", "title": "a"}],
        "budget": {"limits": [{"unit": "usd_micros", "amount": 5}], "allocated": true}});
    let goal = fleet.post_goal(allocated).await;
    let refused = patch(&fleet, &goal, json!({"project": "q"})).await;
    refused.problem(409, "wrong_state");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_key_of_one_project_moves_goals_only_between_its_own() {
    let fleet = Fleet::start().await;
    let (p, _) = project(&fleet, "p", limits(&[])).await;
    let (q, _) = project(&fleet, "q", limits(&[])).await;
    project(&fleet, "r", limits(&[])).await;
    let scoped = json!({"name": "k", "role": "operator", "person": "dora",
                        "scope": {"projects": [p, q]}});
    let key = fleet.admin.post("/v1/keys", &scoped).await.value(201);
    let client = fleet.client(&text(&key["token"]));
    let body = json!({"title": "g", "project": "p", "tasks": [{"ref": "a", "title": "a"}]});
    let goal = fleet.post_goal(body).await;
    let path = format!("/v1/goals/{goal}");
    let change = |to: Value| client.patch(&path, &json!({"project": to})).if_match("*");
    for to in [json!("r"), json!("new"), Value::Null] {
        assert_eq!(change(to).await.problem(422, "invalid"), ["/project"]);
    }
    assert_eq!(change(json!("q")).await.value(200)["project_id"], json!(q));
    patch(&fleet, &goal, json!({"project": "r"})).await.expect(200);
    change(json!("q")).await.problem(404, "not_found");

    for role in ["submitter", "viewer"] {
        let client = fleet.client(&fleet.key(role).await);
        client.patch(&path, &json!({"title": "x"})).if_match("*").await.problem(403, "forbidden");
    }
    let other = fleet.other_workspace().await;
    other.patch(&path, &json!({"project": "p"})).if_match("*").await.problem(404, "not_found");
}

/// A goal moves between two projects with limits while it is claimed, while it completes with spend,
/// and while it is cancelled: the sums of both stay true.
#[tokio::test]
async fn a_move_races_a_claim_a_completion_and_a_cancel() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let all = [("usd_micros", "lifetime", 1_000_000), ("attempts", "day", 100_000)];
    let (p, of_p) = project(&fleet, "p", limits(&all)).await;
    let (q, of_q) = project(&fleet, "q", limits(&all)).await;
    let mut seen = BTreeSet::new();
    let mut spent = 0;
    for n in 0..TRIES {
        let body = json!({"title": "g", "project": "p", "tasks": [
            {"ref": "a", "title": "a", "estimate": {"usd_micros": 5}},
            {"ref": "z", "title": "z", "capabilities": ["nobody"]}]});
        let goal = fleet.post_goal(body).await;
        let to = |name: &str| patch(&fleet, &goal, json!({"project": name, "title": name}));
        let expect = |moved: &Answer| {
            let first = moved.status == 200;
            if !first {
                moved.problem(409, "wrong_state");
            }
            first
        };
        // A claim: before the move it holds the goal where it is.
        let (moved, mut held) = if n % 2 == 0 {
            tokio::join!(to("q"), worker.claim(1))
        } else {
            let (held, moved) = tokio::join!(worker.claim(1), to("q"));
            (moved, held)
        };
        seen.insert(("claim", expect(&moved)));
        let held = match held.pop() {
            Some(held) => held,
            None => worker.take().await,
        };
        // A completion with spend.
        let amount = 1 + n as i64;
        let done = json!({"spend": {"totals": {"usd_micros": amount}}});
        let (moved, done) = tokio::join!(to("p"), worker.write(&held, "complete", done));
        done.expect(200);
        spent += amount;
        seen.insert(("completion", expect(&moved)));
        // A cancel.
        let (path, reason) = (format!("/v1/goals/{goal}/cancel"), json!({}));
        let (moved, cancelled) = tokio::join!(to("q"), fleet.admin.post(&path, &reason));
        cancelled.expect(200);
        let first = moved.status == 200;
        if !first {
            moved.problem(409, "goal_ended");
        }
        seen.insert(("cancel", first));
    }
    println!("whether the move came through: {seen:?}");
    let (of_p, of_q) = (settled(&fleet, &of_p).await, settled(&fleet, &of_q).await);
    assert_eq!(of_p[0] + of_q[0], TRIES as i64);
    assert_eq!(of_p[1] + of_q[1], spent);
    assert_eq!(spend(&fleet, &p).await + spend(&fleet, &q).await, spent);
    verify(&fleet.pool).await;
}
