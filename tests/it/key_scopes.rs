//! Scopes: what a key may do and see below its role.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{
    client::Client,
    fleet::{Fleet, register, text},
};

/// A workspace with two projects, a goal and a question in each.
struct Two {
    fleet: Fleet,
    mine: Place,
    theirs: Place,
}

struct Place {
    project: String,
    goal: String,
    task: String,
    approval: String,
}

async fn place(fleet: &Fleet, name: &str) -> Place {
    let goal = fleet
        .post_goal(json!({"title": name, "project": name, "approval": {"plan": true},
                          "tasks": [{"ref": "a", "title": "a"}]}))
        .await;
    let plan = fleet.admin.get(format!("/v1/approvals?goal_id={goal}")).await.value(200);
    let worked = fleet
        .post_goal(json!({"title": name, "project": name, "tasks": [{"ref": "a", "title": "a"}]}))
        .await;
    Place {
        project: text(&fleet.read_goal(&goal).await["project_id"]),
        task: fleet.task_id(&worked, "a").await,
        goal,
        approval: text(&plan["items"][0]["id"]),
    }
}

impl Two {
    async fn new() -> Self {
        let fleet = Fleet::start().await;
        let (mine, theirs) = (place(&fleet, "mine").await, place(&fleet, "theirs").await);
        Self { fleet, mine, theirs }
    }

    async fn key(&self, role: &str, scope: Value) -> Client {
        let body = json!({"name": "scoped", "role": role, "scope": scope});
        let issued = self.fleet.admin.post("/v1/keys", &body).await.value(201);
        self.fleet.client(issued["token"].as_str().unwrap())
    }

    async fn of_mine(&self, role: &str) -> Client {
        self.key(role, json!({"projects": [self.mine.project]})).await
    }
}

#[tokio::test]
async fn a_key_of_a_project_finds_nothing_of_another() {
    let two = Two::new().await;
    let client = two.of_mine("operator").await;
    for (place, status) in [(&two.mine, 200), (&two.theirs, 404)] {
        let Place { project, goal, task, approval } = place;
        for path in [
            format!("/v1/goals/{goal}"),
            format!("/v1/goals/{goal}/plans"),
            format!("/v1/tasks/{task}"),
            format!("/v1/tasks/{task}/attempts"),
            format!("/v1/approvals/{approval}"),
            format!("/v1/approvals/{approval}/revisions"),
            format!("/v1/projects/{project}"),
        ] {
            client.get(path).await.expect(status);
        }
    }
    let before = crate::support::dump::dump(&two.fleet.pool).await;
    let Place { goal, task, approval, .. } = &two.theirs;
    let cancel = json!({});
    client.post(format!("/v1/goals/{goal}/cancel"), &cancel).await.problem(404, "not_found");
    client.post(format!("/v1/tasks/{task}/cancel"), &cancel).await.problem(404, "not_found");
    let edit = client.patch(format!("/v1/goals/{goal}"), &json!({"priority": 9})).if_match("*");
    edit.await.problem(404, "not_found");
    let edit = client.patch(format!("/v1/tasks/{task}"), &json!({"priority": 9})).if_match("*");
    edit.await.problem(404, "not_found");
    for verb in ["acknowledge", "reassign"] {
        let path = format!("/v1/tasks/{task}/{verb}");
        client.post(path, &json!({})).await.problem(404, "not_found");
    }
    let asked = two.fleet.admin.get(format!("/v1/approvals/{approval}")).await.value(200);
    let decision = json!({"decision": "approve", "payload_sha256": asked["payload_sha256"]});
    let decide = client.post(format!("/v1/approvals/{approval}/decide"), &decision).await;
    decide.problem(404, "not_found");
    let after = crate::support::dump::dump(&two.fleet.pool).await;
    crate::support::dump::same("a key of another project", &before, &after);

    let Place { goal, task, approval, .. } = &two.mine;
    for path in [format!("/v1/goals/{goal}"), format!("/v1/tasks/{task}")] {
        let edit = client.patch(path, &json!({"priority": 9})).if_match("*");
        assert_eq!(edit.await.value(200)["priority"], 9);
    }
    client.post(format!("/v1/tasks/{task}/reassign"), &json!({})).await.expect(200);
    let path = format!("/v1/tasks/{task}/acknowledge");
    client.post(path, &json!({})).await.problem(409, "wrong_state");
    let asked = client.get(format!("/v1/approvals/{approval}")).await.value(200);
    let decision = json!({"decision": "reject", "reason": "no",
                          "payload_sha256": asked["payload_sha256"]});
    client.post(format!("/v1/approvals/{approval}/decide"), &decision).await.expect(200);
}

#[tokio::test]
async fn a_key_of_a_project_lists_only_its_own() {
    let two = Two::new().await;
    two.fleet.goal(json!([{"ref": "a", "title": "of no project"}])).await;
    let client = two.of_mine("viewer").await;
    let (mine, theirs) = (&two.mine, &two.theirs);
    for (path, items) in [
        ("/v1/goals".to_owned(), 2),
        ("/v1/goals?state=active".to_owned(), 1),
        (format!("/v1/goals?project_id={}", mine.project), 2),
        (format!("/v1/goals?project_id={}", theirs.project), 0),
        ("/v1/tasks".to_owned(), 1),
        ("/v1/tasks?state=ready".to_owned(), 1),
        (format!("/v1/tasks?goal_id={}", theirs.goal), 0),
        (format!("/v1/tasks?parent_id={}", theirs.task), 0),
        ("/v1/approvals".to_owned(), 1),
        ("/v1/approvals?state=pending".to_owned(), 1),
        (format!("/v1/approvals?goal_id={}", theirs.goal), 0),
        (format!("/v1/approvals?goal_id={}", mine.goal), 1),
        ("/v1/projects".to_owned(), 1),
    ] {
        let page = client.get(&path).await.value(200);
        assert_eq!(page["items"].as_array().unwrap().len(), items, "{path}: {page}");
        assert!(!page.to_string().contains(&theirs.project), "{path}: {page}");
    }
    // What is about the workspace as a whole.
    for path in ["/v1/events", "/v1/agents", "/v1/attention", "/v1/reports/spend", "/v1/audit"] {
        client.get(path).await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn a_key_of_a_project_posts_only_there() {
    let two = Two::new().await;
    let client = two.of_mine("submitter").await;
    let post = async |project: Value| {
        let goal = json!({"title": "g", "project": project, "tasks": [{"ref": "a", "title": "a"}]});
        client.post("/v1/goals", &goal).await
    };
    post(json!("mine")).await.expect(201);
    let before = crate::support::dump::dump(&two.fleet.pool).await;
    for project in [json!("theirs"), json!("new"), Value::Null] {
        assert_eq!(post(project).await.problem(422, "invalid"), ["/project"]);
    }
    let after = crate::support::dump::dump(&two.fleet.pool).await;
    crate::support::dump::same("a goal of another project", &before, &after);
}

#[tokio::test]
async fn a_key_that_only_reads_changes_nothing() {
    let two = Two::new().await;
    let client = two.key("admin", json!({"access": "read_only"})).await;
    client.get("/v1/goals").await.expect(200);
    client.get("/v1/audit").await.expect(200);
    // Keys are no reading matter, and a key with a scope makes no key without one.
    client.get("/v1/keys").await.problem(403, "forbidden");
    let more = json!({"name": "more", "role": "admin"});
    client.post("/v1/keys", &more).await.problem(403, "forbidden");
    client.post("/v1/agents", &json!({"name": "a"})).await.problem(403, "forbidden");
    let path = format!("/v1/goals/{}/cancel", two.mine.goal);
    client.post(path, &json!({})).await.problem(403, "forbidden");

    let client = two.key("viewer", json!({"access": "reports"})).await;
    client.get("/v1/reports/spend").await.expect(200);
    client.get(format!("/v1/goals/{}/estimate", two.mine.goal)).await.expect(200);
    client.get("/v1/goals").await.problem(403, "forbidden");
    client.get("/v1/audit").await.problem(403, "forbidden");
    assert_eq!(client.get("/v1/whoami").await.value(200)["scope"]["access"], "reports");
}

#[tokio::test]
async fn an_agent_with_its_own_attempts_reads_nothing_else() {
    let two = Two::new().await;
    let scope = json!({"access": "own_attempts"});
    let narrow = json!({"name": "narrow", "scope": scope, "max_concurrent": 1});
    let narrow = register(&two.fleet.admin, narrow).await;
    let other = two.fleet.worker().await;
    let (own, foreign) = (narrow.take().await, other.take().await);
    let client = &narrow.client;
    client.get(format!("/v1/attempts/{}", own.attempt)).await.expect(200);
    client.get(format!("/v1/attempts/{}/spend", own.attempt)).await.expect(200);
    client.get(format!("/v1/agents/{}/attempts", narrow.id)).await.expect(200);
    for path in [
        format!("/v1/attempts/{}", foreign.attempt),
        format!("/v1/attempts/{}/spend", foreign.attempt),
        format!("/v1/agents/{}/attempts", other.id),
    ] {
        client.get(path).await.problem(404, "not_found");
    }
    for path in ["/v1/goals", "/v1/tasks", "/v1/events", "/v1/agents"] {
        client.get(path).await.problem(403, "forbidden");
    }
    narrow.complete(&own).await;
}

#[tokio::test]
async fn a_scope_that_does_not_fit_is_refused() {
    let two = Two::new().await;
    let unknown = two.fleet.no_id();
    for (role, scope, pointer) in [
        ("viewer", json!({"access": "own_attempts"}), "/scope/access"),
        ("viewer", json!({"projects": []}), "/scope/projects"),
        ("viewer", json!({"access": "reports", "projects": [two.mine.project]}), "/scope/projects"),
        ("viewer", json!({"projects": [two.mine.project, unknown]}), "/scope/projects/1"),
    ] {
        let body = json!({"name": "n", "role": role, "scope": scope});
        let answer = two.fleet.admin.post("/v1/keys", &body).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer]);
    }
    let agent = json!({"name": "n", "scope": {"access": "read_only"}});
    let answer = two.fleet.admin.post("/v1/agents", &agent).await;
    assert_eq!(answer.problem(422, "invalid"), ["/scope/access"]);
    // The project of another workspace is no project.
    let stranger = two.fleet.other_workspace().await;
    let body = json!({"name": "n", "role": "viewer", "scope": {"projects": [two.mine.project]}});
    let answer = stranger.call(Method::POST, "/v1/keys").json(&body).await;
    assert_eq!(answer.problem(422, "invalid"), ["/scope/projects/0"]);
}
