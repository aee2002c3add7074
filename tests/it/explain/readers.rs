//! Who reads explanations, and that they cost the claim nothing.

use serde_json::{Value, json};

use crate::support::{
    client::Client,
    fleet::{Fleet, text},
    invariants::verify,
};

#[tokio::test]
async fn what_belongs_to_another_workspace_is_not_found() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let task = fleet.task_id(&goal, "a").await;
    let other = fleet.other_workspace().await;
    let paths = [format!("/v1/tasks/{task}/explain"), format!("/v1/agents/{}/explain", agent.id)];
    for path in &paths {
        other.get(path).await.problem(404, "not_found");
        agent.client.get(path).await.expect(200);
        fleet.client(&fleet.key("viewer").await).get(path).await.expect(200);
    }
    for path in ["/v1/tasks/no/explain".to_owned(), format!("/v1/agents/{}/explain", fleet.no_id())]
    {
        fleet.admin.get(path).await.problem(404, "not_found");
    }
}

/// A key of one project sees its tasks, and of those ahead only the number.
#[tokio::test]
async fn a_key_of_a_project_learns_nothing_of_others() {
    let fleet = Fleet::start().await;
    fleet.worker().await;
    let in_project = |name: &str| {
        json!({"title": format!("secret of {name}"), "project": name,
        "tasks": [{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}]})
    };
    let own = fleet.post_goal(in_project("own")).await;
    fleet.pass(1);
    let other = fleet.post_goal(in_project("other")).await;
    let project = text(&fleet.read_goal(&own).await["project_id"]);
    let key = json!({"name": "k", "role": "viewer", "scope": {"projects": [project]}});
    let key = fleet.admin.post("/v1/keys", &key).await.value(201);
    let client = fleet.client(&text(&key["token"]));
    let path = |task: String| format!("/v1/tasks/{task}/explain");
    let found = client.get(path(fleet.task_id(&own, "b").await)).await.value(200);
    assert!(!found.to_string().contains("secret of other"), "{found:#}");
    client.get(path(fleet.task_id(&other, "a").await)).await.problem(404, "not_found");
}

/// A claim that runs at the same time finds everything: nothing is locked.
#[tokio::test]
async fn explaining_changes_nothing() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let task = fleet.task_id(&goal, "b").await;
    let rows = "select (select count(*) from journal) + (select count(*) from goal_turns)";
    let before: i64 = sqlx::query_scalar(rows).fetch_one(&fleet.pool).await.unwrap();
    let path = format!("/v1/tasks/{task}/explain");
    let first = fleet.admin.get(&path).await.value(200);
    assert_eq!(fleet.admin.get(&path).await.value(200), first);
    let after: i64 = sqlx::query_scalar(rows).fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(after, before);
    let (claimed, _) = tokio::join!(agent.claim(2), fleet.admin.get(&path).into_future());
    assert_eq!(claimed.len(), 2);
    verify(&fleet.pool).await;
}

/// A client with a key for the project of a goal.
async fn of_project(fleet: &Fleet, goal: &str, role: &str) -> Client {
    let project = text(&fleet.read_goal(goal).await["project_id"]);
    let key = json!({"name": "k", "role": role, "scope": {"projects": [project]}});
    let key = fleet.admin.post("/v1/keys", &key).await.value(201);
    fleet.client(&text(&key["token"]))
}

fn lone_in(project: &str, mut task: Value) -> Value {
    task["ref"] = json!("a");
    task["title"] = json!(format!("task of {project}"));
    json!({"title": format!("goal of {project}"), "project": project, "tasks": [task]})
}

/// A concurrency key is one of the workspace: who holds it in another project is counted, and not named.
#[tokio::test]
async fn a_key_of_a_project_is_not_told_who_holds_a_concurrency_key_in_others() {
    let fleet = Fleet::start().await;
    let key = json!({"name": "deploy", "most": 2});
    fleet.admin.post("/v1/concurrency-keys", &key).await.expect(201);
    let gated = || json!({"concurrency_keys": ["deploy"]});
    let holder = fleet.agent("holder", &[], 2).await;
    let long = json!({"lease_seconds": 3600});
    fleet.post_goal(lone_in("other", gated())).await;
    let unseen = holder.claim_with(long.clone()).await.pop().unwrap();
    fleet.pass(1);
    fleet.post_goal(lone_in("third", gated())).await;
    let also_unseen = holder.claim_with(long).await.pop().unwrap();
    let own = fleet.post_goal(lone_in("own", gated())).await;
    let path = format!("/v1/tasks/{}/explain", fleet.task_id(&own, "a").await);

    let all = fleet.admin.get(&path).await.value(200);
    assert_eq!(all["causes"][0]["facts"]["holders"].as_array().unwrap().len(), 2, "{all:#}");
    let client = of_project(&fleet, &own, "operator").await;
    let found = client.get(&path).await.value(200);
    let first = &found["causes"][0];
    assert_eq!(first["cause"], "concurrency_key", "{found:#}");
    assert_eq!(first["facts"]["holders_count"], 2, "{found:#}");
    assert_eq!((&found["request"], &found["acts"]["id"]), (&Value::Null, &Value::Null));
    for held in [&unseen, &also_unseen] {
        for secret in [&held.attempt, &held.task] {
            assert!(!found.to_string().contains(secret.as_str()), "{found:#}");
        }
    }
    // Of two holders the one in sight can be asked.
    let third = fleet.admin.get(format!("/v1/tasks/{}", also_unseen.task)).await.value(200);
    let both = [&own, &text(&third["goal_id"])];
    let mut projects = Vec::new();
    for goal in both {
        projects.push(fleet.read_goal(goal).await["project_id"].clone());
    }
    let key = json!({"name": "both", "role": "viewer", "scope": {"projects": projects}});
    let key = fleet.admin.post("/v1/keys", &key).await.value(201);
    let found = fleet.client(&text(&key["token"])).get(&path).await.value(200);
    let complete = format!("/v1/attempts/{}/complete", also_unseen.attempt);
    assert_eq!(found["request"]["path"], complete.as_str(), "{found:#}");
    assert!(!found.to_string().contains(&unseen.attempt), "{found:#}");
}

/// An agent that is busy for another project is full; its attempt there is nobody's business.
#[tokio::test]
async fn a_key_of_a_project_is_not_told_what_a_full_agent_does_for_others() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("busy", &[], 1).await;
    fleet.post_goal(lone_in("other", json!({}))).await;
    let held = agent.claim_with(json!({"lease_seconds": 3600})).await.pop().unwrap();
    let own = fleet.post_goal(lone_in("own", json!({}))).await;
    let path = format!("/v1/tasks/{}/explain", fleet.task_id(&own, "a").await);
    let all = fleet.admin.get(&path).await.value(200);
    assert!(text(&all["request"]["path"]).contains(&held.attempt), "{all:#}");
    let found = of_project(&fleet, &own, "operator").await.get(&path).await.value(200);
    assert_eq!(found["causes"][0]["cause"], "agents_full", "{found:#}");
    assert_eq!((&found["acts"]["name"], &found["request"]), (&json!("busy"), &Value::Null));
    assert!(!found.to_string().contains(&held.attempt), "{found:#}");
}

/// A limit of the workspace is asked about once, for the goal that met it first; its approval belongs to that goal.
#[tokio::test]
async fn a_key_of_a_project_is_not_offered_a_decision_of_another() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let budget =
        json!({"limits": [{"unit": "usd_micros", "amount": 10}], "on_exhausted": "park_and_ask"});
    let budget = json!({"node": "workspace", "budget": budget});
    fleet.admin.post("/v1/budgets", &budget).await.expect(201);
    let paid = || json!({"estimate": {"usd_micros": 60}});
    fleet.post_goal(lone_in("other", paid())).await;
    agent.find_nothing().await;
    let own = fleet.post_goal(lone_in("own", paid())).await;
    agent.find_nothing().await;
    let path = format!("/v1/tasks/{}/explain", fleet.task_id(&own, "a").await);
    let all = fleet.admin.get(&path).await.value(200);
    let approval = text(&all["causes"][0]["facts"]["approval"]["approval_id"]);
    let client = of_project(&fleet, &own, "operator").await;
    client.get(format!("/v1/approvals/{approval}")).await.problem(404, "not_found");
    let found = client.get(&path).await.value(200);
    assert_eq!(found["causes"][0]["cause"], "budget", "{found:#}");
    assert!(!found.to_string().contains(&approval), "{found:#}");
}

/// What tells of tasks and goals of the whole workspace admits no key of single projects.
#[tokio::test]
async fn reports_and_assignments_are_not_for_keys_of_projects() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let own = fleet.post_goal(lone_in("own", json!({}))).await;
    let client = of_project(&fleet, &own, "operator").await;
    let explain = format!("/v1/agents/{}/explain", agent.id);
    let reports = ["/v1/reports/agents", "/v1/reports/bottlenecks", "/v1/reports/routing"];
    for path in reports.into_iter().chain([explain.as_str(), "/v1/assignments"]) {
        client.get(path).await.problem(403, "forbidden");
    }
}

/// The request that raises a limit has all limits of its budget: who cannot read these is told only who can help.
#[tokio::test]
async fn a_request_tells_nothing_that_its_reader_could_not_read() {
    let fleet = Fleet::start().await;
    fleet.agent("able", &["rust"], 1).await;
    let budget = json!({"limits": [{"unit": "usd_micros", "amount": 10},
                                   {"unit": "input_tokens", "amount": 77_777}], "on_exhausted": "park"});
    let budget = json!({"node": "workspace", "budget": budget});
    fleet.admin.post("/v1/budgets", &budget).await.expect(201);
    let dear = json!({"capabilities": ["rust"], "estimate": {"usd_micros": 60}});
    let goal = fleet.post_goal(lone_in("own", dear)).await;
    let path = format!("/v1/tasks/{}/explain", fleet.task_id(&goal, "a").await);
    let raised = fleet.admin.get(&path).await.value(200);
    assert!(raised["request"].to_string().contains("77777"), "{raised:#}");
    let found = of_project(&fleet, &goal, "operator").await.get(&path).await.value(200);
    assert_eq!(found["causes"][0]["cause"], "budget", "{found:#}");
    assert_eq!((&found["acts"]["kind"], &found["request"]), (&json!("operator"), &Value::Null));
    assert!(!found.to_string().contains("77777"), "{found:#}");
}
