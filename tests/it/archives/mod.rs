//! Archiving goals, projects, agents and budgets: what is put away, what that changes, and what not.

mod races;

use axum::http::Method;
use serde_json::{Value, json};

use crate::{
    goals::all_pages,
    support::{
        client::{Answer, Client},
        dump::{dump, same},
        fleet::{Fleet, text},
        invariants::{verify, verify_rested},
    },
};

pub async fn put(client: &Client, noun: &str, id: &str, verb: &str) -> Answer {
    client.call(Method::POST, format!("/v1/{noun}s/{id}/{verb}")).await
}

/// Archives and finds it only where it is asked for; brings it back; and does both twice.
async fn comes_and_goes(fleet: &Fleet, noun: &str, id: &str, filter: &str) {
    let list = async |archived: &str| {
        let path = format!("/v1/{noun}s?{filter}{archived}");
        all_pages(&fleet.admin, &path).await.contains(&id.to_owned())
    };
    let path = format!("/v1/{noun}s/{id}");
    let before = fleet.admin.get(&path).await.value(200);
    assert_eq!(before["archived_at"], Value::Null);
    assert!(list("").await && list("archived=false").await && !list("archived=true").await);
    fleet.pass(1);
    let made = put(&fleet.admin, noun, id, "archive").await.expect(200);
    let archived: Value = made.json();
    assert!(archived["archived_at"].is_string(), "{archived}");
    assert_eq!(archived["version"], json!(before["version"].as_i64().unwrap() + 1));
    assert_eq!(made.etag(), format!("\"v{}\"", archived["version"]));
    assert!(!list("").await && !list("archived=false").await && list("archived=true").await);
    assert_eq!(fleet.admin.get(&path).await.value(200), archived);
    let stored = dump(&fleet.pool).await;
    assert_eq!(put(&fleet.admin, noun, id, "archive").await.value(200), archived);
    same("archiving twice", &stored, &dump(&fleet.pool).await);

    let mut back = put(&fleet.admin, noun, id, "unarchive").await.value(200);
    assert!(list("").await && !list("archived=true").await);
    let stored = dump(&fleet.pool).await;
    assert_eq!(put(&fleet.admin, noun, id, "unarchive").await.value(200), back);
    same("unarchiving twice", &stored, &dump(&fleet.pool).await);
    for field in ["version", "updated_at"] {
        back[field] = before[field].clone();
    }
    assert_eq!(back, before);
    for verb in ["archived", "unarchived"] {
        let events = fleet.admin.get(format!("/v1/events?kind={noun}.{verb}")).await.value(200);
        assert_eq!(events["items"].as_array().unwrap().len(), 1, "{noun}.{verb}");
    }
    let refused = fleet.admin.get(format!("/v1/{noun}s?archived=maybe")).await;
    assert_eq!(refused.problem(422, "invalid"), ["?archived"]);
}

async fn refused(fleet: &Fleet, noun: &str, id: &str, says: &str) {
    let before = dump(&fleet.pool).await;
    let answer = put(&fleet.admin, noun, id, "archive").await;
    answer.problem(409, "wrong_state");
    let detail = text(&answer.json::<Value>()["detail"]);
    assert!(detail.contains(says), "{detail}");
    same("a refused archiving", &before, &dump(&fleet.pool).await);
}

#[tokio::test]
async fn a_goal_is_archived_when_it_has_ended() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let new = json!({"title": "g", "project": "p", "tasks": [{"ref": "a", "title": "a"}]});
    let goal = fleet.post_goal(new).await;
    refused(&fleet, "goal", &goal, "active").await;
    let held = worker.take().await;
    refused(&fleet, "goal", &goal, "active").await;
    worker.complete(&held).await;
    fleet.round().await;
    let project = text(&fleet.read_goal(&goal).await["project_id"]);
    for filter in ["", "state=completed&state=failed&", &format!("project_id={project}&")] {
        let fleet = &fleet;
        let listed = async |archived: &str| {
            all_pages(&fleet.admin, &format!("/v1/goals?{filter}{archived}")).await
        };
        assert_eq!(listed("").await, std::slice::from_ref(&goal), "{filter}");
        put(&fleet.admin, "goal", &goal, "archive").await.expect(200);
        assert!(listed("").await.is_empty(), "{filter}");
        assert_eq!(listed("archived=true").await, std::slice::from_ref(&goal), "{filter}");
        put(&fleet.admin, "goal", &goal, "unarchive").await.expect(200);
    }
    put(&fleet.admin, "goal", &goal, "archive").await.expect(200);
    // A list of one project, and one of states that it is not in.
    let query = format!("/v1/goals?project_id={project}&archived=true&state=active");
    assert!(all_pages(&fleet.admin, &query).await.is_empty());
    let tasks = all_pages(&fleet.admin, &format!("/v1/tasks?goal_id={goal}")).await;
    assert_eq!(tasks.len(), 1, "its tasks stay where they are");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_is_archived_is_found_where_it_is_asked_for() {
    let fleet = Fleet::start().await;
    let new = json!({"title": "g", "project": "p", "budget": {"limits": [{"unit": "x", "amount": 9}]},
                     "tasks": [{"ref": "a", "title": "a"}]});
    let goal = fleet.post_goal(new).await;
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    let project = text(&fleet.read_goal(&goal).await["project_id"]);
    let worker = fleet.worker().await;
    let budget = fleet.admin.get(format!("/v1/budgets?node_id={goal}")).await.value(200);
    let budget = text(&budget["items"][0]["id"]);
    comes_and_goes(&fleet, "goal", &goal, "").await;
    comes_and_goes(&fleet, "project", &project, "name=p&").await;
    comes_and_goes(&fleet, "agent", &worker.id, "state=active&").await;
    comes_and_goes(&fleet, "budget", &budget, &format!("node=goal&node_id={goal}&")).await;

    let other = fleet.other_workspace().await;
    for (noun, id) in
        [("goal", &goal), ("project", &project), ("agent", &worker.id), ("budget", &budget)]
    {
        for verb in ["archive", "unarchive"] {
            put(&other, noun, id, verb).await.problem(404, "not_found");
            put(&fleet.admin, noun, &fleet.no_id(), verb).await.problem(404, "not_found");
        }
        put(&fleet.admin, noun, id, "archive").await.expect(200);
        let found = all_pages(&other, &format!("/v1/{noun}s?archived=true")).await;
        assert!(found.is_empty(), "{noun}: {found:?}");
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn an_archived_project_has_no_open_goals_and_gets_none() {
    let fleet = Fleet::start().await;
    let new = json!({"title": "g", "project": "p", "tasks": [{"ref": "a", "title": "a"}]});
    let goal = fleet.post_goal(new.clone()).await;
    let project = text(&fleet.read_goal(&goal).await["project_id"]);
    refused(&fleet, "project", &project, "1 goal").await;
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    put(&fleet.admin, "project", &project, "archive").await.expect(200);

    let before = dump(&fleet.pool).await;
    let answer = fleet.admin.post("/v1/goals", &new).await;
    assert_eq!(answer.problem(422, "invalid"), ["/project"]);
    let taken = fleet.admin.post("/v1/projects", &json!({"name": "p"})).await;
    taken.problem(409, "already_exists");
    same("a goal in an archived project", &before, &dump(&fleet.pool).await);
    put(&fleet.admin, "project", &project, "unarchive").await.expect(200);
    fleet.post_goal(new).await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn an_archived_agent_runs_nothing_and_claims_nothing() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let held = worker.take().await;
    refused(&fleet, "agent", &worker.id, "1 attempt").await;
    worker.complete(&held).await;
    let other = if held.name == "a" { "b" } else { "a" };
    let kept = format!("/v1/tasks/{}", fleet.task_id(&goal, other).await);
    let keep = json!({"agent_id": worker.id});
    let reassign = format!("{kept}/reassign");
    assert_eq!(
        fleet.admin.post(&reassign, &keep).await.value(200)["assigned_agent_id"],
        json!(worker.id)
    );
    put(&fleet.admin, "agent", &worker.id, "archive").await.expect(200);

    let task = fleet.admin.get(&kept).await.value(200);
    assert_eq!(task["assigned_agent_id"], Value::Null, "nothing waits for it");
    for request in [json!({}), json!({"wait_seconds": 1})] {
        worker.client.post("/v1/claims", &request).await.problem(409, "agent_not_active");
    }
    let again = fleet.poster.post("/v1/agents", &json!({"name": "worker"})).await;
    again.problem(409, "agent_not_active");
    let refused = fleet.admin.post(&reassign, &keep).await;
    assert_eq!(refused.problem(422, "invalid"), ["/agent_id"]);
    worker.client.get("/v1/whoami").await.expect(200);

    put(&fleet.admin, "agent", &worker.id, "unarchive").await.expect(200);
    worker.complete(&worker.take().await).await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn an_archived_budget_bounds_nothing_open_and_stays_in_force() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let new = json!({"title": "g", "project": "p", "tasks": [{"ref": "a", "title": "a"}]});
    let goal = fleet.post_goal(new.clone()).await;
    let task = fleet.task_id(&goal, "a").await;
    let project = text(&fleet.read_goal(&goal).await["project_id"]);
    let limits = json!({"limits": [{"unit": "attempts", "amount": 1}], "on_exhausted": "park"});
    let mut budgets = Vec::new();
    for (node, id) in [
        ("workspace", Value::Null),
        ("project", json!(project)),
        ("goal", json!(goal)),
        ("task", json!(task)),
        ("agent", json!(worker.id)),
    ] {
        let mut new = json!({"node": node, "budget": limits});
        if !id.is_null() {
            new["node_id"] = id;
        }
        budgets.push(text(&fleet.admin.post("/v1/budgets", &new).await.value(201)["id"]));
    }
    let held = worker.take().await;
    for budget in &budgets {
        refused(&fleet, "budget", budget, "1 goal, task or attempt").await;
    }
    worker.complete(&held).await;
    fleet.round().await;
    for budget in &budgets {
        put(&fleet.admin, "budget", budget, "archive").await.expect(200);
    }
    assert!(all_pages(&fleet.admin, "/v1/budgets").await.is_empty());
    assert_eq!(all_pages(&fleet.admin, "/v1/budgets?archived=true").await.len(), 5);
    let again = json!({"node": "project", "node_id": project, "budget": limits});
    fleet.admin.post("/v1/budgets", &again).await.problem(409, "already_exists");

    // One attempt was all that it allows, listed or not.
    fleet.post_goal(new).await;
    worker.find_nothing().await;
    put(&fleet.admin, "budget", &budgets[1], "unarchive").await.expect(200);
    refused(&fleet, "budget", &budgets[1], "1 goal").await;
    let path = format!("/v1/budgets/{}", budgets[1]);
    fleet.admin.patch(&path, &json!({"limits": []})).if_match("*").await.expect(200);
    put(&fleet.admin, "budget", &budgets[1], "archive").await.expect(200);
    verify(&fleet.pool).await;
}
