//! Who may call what: every route of the document, with every role, and from another workspace.
//!
//! The table is the whole truth. A route that is not in it fails the test, so nobody adds one
//! without deciding who may call it.

mod scopes;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    artifacts,
    client::{Answer, Client},
    fleet::{Fleet, text},
};

pub use table::ROUTES;

const ROLES: &[(char, &str)] =
    &[('a', "admin"), ('o', "operator"), ('s', "submitter"), ('g', "agent"), ('v', "viewer")];

/// What an agent may write: its own work and its own key, and nothing that decides or administers.
const WORK: &[&str] = &[
    "POST /v1/claims",
    "POST /v1/attempts/",
    "POST /v1/heartbeats",
    "POST /v1/keys/rotate",
    "POST /v1/goals/{goal_id}/comments",
    "POST /v1/tasks/{task_id}/comments",
    "PUT /v1/artifacts/{sha256}",
    "POST /v1/knowledge/",
];

/// Routes without an id in their path that still show only what is the workspace's own.
fn list(answer: &Value) -> Option<&Vec<Value>> {
    answer.get("items")?.as_array()
}

fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let document: Value = serde_json::from_str(&muster::http::docs::document().unwrap()).unwrap();
    let mut routes = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let roles = operation["x-roles"].as_array().into_iter().flatten().map(text).collect();
            routes.insert(format!("{} {path}", method.to_uppercase()), roles);
        }
    }
    routes
}

#[test]
fn the_table_has_every_route_with_the_documented_roles() {
    let table: BTreeMap<String, BTreeSet<String>> = ROUTES
        .iter()
        .map(|(route, who, _)| {
            let roles = ROLES.iter().filter(|(letter, _)| who.contains(*letter));
            (route.to_string(), roles.map(|(_, role)| role.to_string()).collect())
        })
        .collect();
    assert_eq!(table, documented());
}

#[test]
fn an_agent_writes_only_its_own_work() {
    for (route, who, _) in ROUTES {
        if !route.starts_with("GET") && who.contains('g') {
            assert!(WORK.iter().any(|work| route.starts_with(work)), "an agent may {route}");
        }
    }
}

/// Routes that are not there without an identity provider.
fn is_sign_in(route: &str) -> bool {
    route.starts_with("GET /v1/sign-in/")
}

/// An identity, as a sign-in makes one.
async fn identity(fleet: &Fleet) -> String {
    let key = json!({"name": "identity", "role": "viewer", "person": "eve"});
    let key = text(&fleet.admin.post("/v1/keys", &key).await.value(201)["key"]["id"]);
    sqlx::query_scalar(
        "insert into identities (workspace_id, identity_id, issuer, subject, person, role, key_id,
                                 created_at, updated_at, last_signed_in_at)
         select workspace_id, gen_random_uuid(), 'https://id.example.com', 'eve-1', 'eve', 'viewer',
                key_id, created_at, created_at, created_at
         from keys where key_id = $1::uuid returning identity_id::text",
    )
    .bind(key)
    .fetch_one(&fleet.pool)
    .await
    .unwrap()
}

/// A workspace with one of everything.
pub struct Place {
    pub fleet: Fleet,
    pub agent: Agent,
    pub held: Held,
    pub hash: String,
    /// Another lesson than that of the paths.
    pub lesson: String,
    pub ids: BTreeMap<&'static str, String>,
}

impl Place {
    pub async fn new() -> Self {
        let fleet = Fleet::start().await;
        let agent = fleet.worker().await;
        fleet.agent("relay", &["relay"], 1).await;
        let goal = fleet
            .post_goal(json!({"title": "g", "project": "p", "tasks": [
                {"ref": "a", "title": "a"},
                {"ref": "b", "title": "b", "approval": {"start": true}},
            ]}))
            .await;
        let held = agent.take().await;
        let comment = json!({"text": "well"});
        let comment =
            fleet.admin.post(format!("/v1/goals/{goal}/comments"), &comment).await.value(201);
        let project = text(&fleet.read_goal(&goal).await["project_id"]);
        let spare = fleet.admin.post("/v1/keys", &json!({"name": "spare", "role": "viewer"})).await;
        let budget = json!({"node": "goal", "node_id": goal, "budget": {"limits": []}});
        let budget = fleet.admin.post("/v1/budgets", &budget).await.value(201);
        let freeze = json!({"scope": "capability", "capability": "c", "mode": "drain"});
        let freeze = fleet.admin.post("/v1/freezes", &freeze).await.value(201);
        let policy = json!({"name": "none", "match": {"kinds": ["budget"]}, "stages": [{}]});
        let policy = fleet.admin.post("/v1/approval-policies", &policy).await.value(201);
        let floor = json!({"name": "plans", "risk": "high", "kind": "plan"});
        let floor = fleet.admin.post("/v1/risk-floors", &floor).await.value(201);
        let rate = json!({"capability": "c", "starts_per_minute": 60});
        let rate = fleet.admin.post("/v1/rates", &rate).await.value(201);
        let window = json!({"account": "a", "unit": "attempts", "amount": 9, "window_seconds": 60});
        let window = fleet.admin.post("/v1/quota-windows", &window).await.value(201);
        let key = json!({"name": "deploy", "most": 2});
        let key = fleet.admin.post("/v1/concurrency-keys", &key).await.value(201);
        let planner = fleet.admin.call(Method::PUT, "/v1/planner").if_match("*");
        planner
            .bytes("application/json", r#"{"api": "anthropic", "model": "m"}"#)
            .await
            .expect(200);
        let question = fleet.question().await;
        let links = format!("/v1/approvals/{}/links", text(&question["id"]));
        let link = fleet.admin.post(links, &json!({"person": "bob"})).await.value(201);
        let rule = json!({"name": "silent", "when": {"no_progress": {"seconds": 1}},
                          "then": {"nudge": {"text": "speak"}}});
        let rule = fleet.admin.post("/v1/rules", &rule).await.value(201);
        let playbook = json!({"name": "mine", "title": "t", "tasks": [{"ref": "a", "title": "a"}]});
        fleet.admin.post("/v1/playbooks", &json!({"document": playbook})).await.expect(201);
        let schedule = json!({"name": "yearly", "cron": "0 0 1 1 *",
                              "goal": {"title": "g", "tasks": [{"ref": "a", "title": "a"}]}});
        let schedule = fleet.admin.post("/v1/schedules", &schedule).await.value(201);
        let lesson = |title: &str| json!({"kind": "howto", "title": title, "body": "b", "project_id": project});
        let other = fleet.admin.post("/v1/lessons", &lesson("other")).await.value(201);
        let lesson = fleet.admin.post("/v1/lessons", &lesson("dates")).await.value(201);
        fleet.after(2).await;
        let intervention = fleet.admin.get("/v1/interventions").await.value(200);
        let session = fleet.admin.post("/v1/sessions", &json!({})).await.value(201);
        // Last, so that the same bytes sent again change nothing.
        let artifact = artifacts::put(&fleet.admin, b"{}").await.value(201);
        let ids = BTreeMap::from([
            ("{sha256}", text(&artifact["digest"]).replace("sha256:", "")),
            ("{identity_id}", identity(&fleet).await),
            ("{session_id}", text(&session["id"])),
            ("{comment_id}", text(&comment["id"])),
            ("{policy_id}", text(&policy["id"])),
            ("{concurrency_key_id}", text(&key["id"])),
            ("{floor_id}", text(&floor["id"])),
            ("{rate_id}", text(&rate["id"])),
            ("{window_id}", text(&window["id"])),
            ("{link_id}", text(&link["link"]["id"])),
            ("{token}", text(&link["token"])),
            ("{rule_id}", text(&rule["id"])),
            ("{schedule_id}", text(&schedule["id"])),
            ("{lesson_id}", text(&lesson["id"])),
            ("{intervention_id}", text(&intervention["items"][0]["id"])),
            ("{freeze_id}", text(&freeze["id"])),
            ("{budget_id}", text(&budget["id"])),
            ("{goal_id}", goal.clone()),
            ("{task_id}", fleet.task_id(&goal, "a").await),
            ("{attempt_id}", held.attempt.clone()),
            ("{agent_id}", agent.id.clone()),
            ("{approval_id}", text(&question["id"])),
            ("{project_id}", project),
            ("{key_id}", text(&spare.value(201)["key"]["id"])),
            ("{code}", "lease_lost".to_owned()),
            ("{number}", "1".to_owned()),
            ("{name}", "mine".to_owned()),
        ]);
        let hash = text(&question["payload_sha256"]);
        let lesson = text(&other["id"]);
        Self { fleet, agent, held, hash, lesson, ids }
    }

    pub async fn key(&self, role: &str) -> String {
        match role {
            "agent" => self.agent.key.clone(),
            "admin" => self.fleet.admin_key.clone(),
            role => self.fleet.key(role).await,
        }
    }

    pub async fn call(&self, client: &Client, route: &str, body: &str) -> Answer {
        let (method, path) = route.split_once(' ').unwrap();
        // What begins with a question mark is asked in the path.
        let (query, body) = if body.starts_with('?') { (body, "") } else { ("", body) };
        let mut path = format!("{path}{query}");
        for (name, id) in &self.ids {
            path = path.replace(name, id);
        }
        assert!(!path.contains('{'), "{route}: there is no id for the path");
        let mut call = client.call(Method::from_bytes(method.as_bytes()).unwrap(), path);
        if matches!(method, "PATCH" | "PUT" | "DELETE") {
            call = call.if_match("*");
        }
        if !body.is_empty() {
            let form = !body.starts_with('{');
            let kind = if form { "application/x-www-form-urlencoded" } else { "application/json" };
            let body = body.replace("LEASE", &self.held.lease).replace("HASH", &self.hash);
            let body = body.replace("LESSON", &self.lesson);
            call = call.bytes(kind, body);
        }
        call.await
    }
}

/// Whether only who holds the attempt may call it: then it takes the lease.
fn is_of_holder(route: &str, body: &str) -> bool {
    route.starts_with("POST /v1/attempts/") && body.contains("LEASE")
}

#[tokio::test]
async fn each_role_may_call_what_the_table_says() {
    for (letter, role) in ROLES {
        // What one role did would stand in the way of the next.
        let mut place = Place::new().await;
        let client = place.fleet.client(&place.key(role).await);
        if *role != "agent" {
            let session = client.post("/v1/sessions", &json!({})).await.value(201);
            place.ids.insert("{session_id}", text(&session["id"]));
        }
        let before = crate::support::dump::dump(&place.fleet.pool).await;
        for (route, _, body) in ROUTES.iter().filter(|(_, who, _)| !who.contains([*letter, '-'])) {
            place.call(&client, route, body).await.problem(403, "forbidden");
        }
        let after = crate::support::dump::dump(&place.fleet.pool).await;
        crate::support::dump::same(role, &before, &after);
        for (route, _, body) in ROUTES.iter().filter(|(_, who, _)| who.contains([*letter, '-'])) {
            let answer = place.call(&client, route, body).await;
            // By the time its turn comes, another call may have ended what it is about. A person's
            // key opens the routes of attempts, and the attempt of an agent is none of its own.
            if is_of_holder(route, body) && *letter != 'g' {
                answer.problem(403, "not_your_attempt");
                continue;
            }
            // The goal is another's: a submitter changes and comments on only their own.
            let verbs =
                ["/cancel", "/retry", "/replan", "/reopen", "/goals/{goal_id}/tasks", "/comments"];
            let of_poster =
                route.starts_with("POST ") && verbs.iter().any(|verb| route.ends_with(verb));
            if of_poster && *letter == 's' {
                answer.problem(403, "forbidden");
                continue;
            }
            // No earlier task has solved this one: the lesson is refused as an answer.
            let known = answer.status.is_success()
                || (route.ends_with("/accept-answer") && answer.status == 422)
                || answer.status == 409
                || (is_sign_in(route) && answer.status == 404);
            assert!(known, "{role}: {}", answer.describe());
        }
    }
}

/// To the attempt that it took over a person's key writes what an agent writes to its own, and no
/// other key does: neither the agent's that had the task, nor another person's.
#[tokio::test]
async fn a_person_writes_only_what_they_took_over() {
    for role in ["admin", "operator"] {
        let mut place = Place::new().await;
        let key = place.key(role).await;
        let client = place.fleet.client(&key);
        let stranger = place.fleet.client(&place.fleet.key("operator").await);
        let others = [stranger, place.agent.client.clone()];
        for (route, _, body) in ROUTES.iter().filter(|(route, _, body)| is_of_holder(route, body)) {
            let path = format!("/v1/tasks/{}/takeover", place.held.task);
            let taken = client.post(path, &json!({})).await;
            if taken.status == 409 {
                // The call before ended or parked it: another task for this one.
                let goal = place.fleet.goal(json!([{"ref": "a", "title": "a"}])).await;
                place.held.task = place.fleet.task_id(&goal, "a").await;
                continue;
            }
            let claim = taken.value(201);
            place.held.lease = text(&claim["lease"]);
            place.ids.insert("{attempt_id}", text(&claim["attempt_id"]));
            for other in &others {
                place.call(other, route, body).await.problem(403, "not_your_attempt");
            }
            let answer = place.call(&client, route, body).await;
            assert!(answer.status.is_success(), "{role}: {}", answer.describe());
        }
    }
}

#[tokio::test]
async fn without_a_key_only_what_is_public_answers() {
    let place = Place::new().await;
    let nobody = Client::of(crate::support::fleet::router(&place.fleet.app));
    for (route, who, body) in ROUTES {
        let answer = place.call(&nobody, route, body).await;
        if is_sign_in(route) {
            answer.problem(404, "not_found");
        } else if *who == "-" {
            answer.expect(200);
        } else {
            answer.problem(401, "unauthenticated");
        }
    }
}

#[tokio::test]
async fn another_workspace_is_not_there() {
    let place = Place::new().await;
    let admin = place.fleet.other_workspace().await;
    let agent = crate::support::fleet::register(&admin, json!({"name": "stranger"})).await;
    let before = crate::support::dump::dump(&place.fleet.pool).await;
    for (route, who, body) in ROUTES {
        let client = if who.contains('a') { &admin } else { &agent.client };
        if route.contains("_id}") || body.contains("_id}") {
            place.call(client, route, body).await.problem(404, "not_found");
        }
    }
    let after = crate::support::dump::dump(&place.fleet.pool).await;
    crate::support::dump::same("another workspace", &before, &after);
    agent.find_nothing().await;

    let ids = place.ids.iter().filter(|(name, _)| name.ends_with("_id}"));
    let ids: BTreeSet<&String> = ids.map(|(_, id)| id).collect();
    for (route, _, query) in ROUTES.iter().filter(|(route, ..)| route.starts_with("GET /v1/")) {
        if route.contains('{') || query.contains('{') || is_sign_in(route) {
            continue;
        }
        let answer = place.call(&admin, route, query).await.expect(200);
        let shown = String::from_utf8_lossy(&answer.body).into_owned();
        let foreign = ids.iter().find(|id| shown.contains(id.as_str()));
        assert!(foreign.is_none(), "{route} shows {foreign:?}: {shown}");
        // A table is no JSON.
        let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let items = list(&answer).map_or(0, Vec::len);
        assert!(items < 5, "{route} shows {items} items of a workspace with next to nothing");
    }
    for (name, filter) in [("goal_id", "{goal_id}"), ("task_id", "{task_id}")] {
        let id = &place.ids[filter];
        let answer = admin.get(format!("/v1/events?{name}={id}")).await;
        let none = answer.status == 404 || list(&answer.json()).is_some_and(Vec::is_empty);
        assert!(none, "{}", answer.describe());
    }
}

/// A revoked key and the key of a retired agent are keys no more, at once.
#[tokio::test]
async fn a_key_that_is_revoked_opens_nothing() {
    let place = Place::new().await;
    let key = place.fleet.key("viewer").await;
    let client = place.fleet.client(&key);
    let id = text(&client.get("/v1/whoami").await.value(200)["key_id"]);
    place.fleet.admin.call(Method::POST, format!("/v1/keys/{id}/revoke")).await.expect(200);
    client.get("/v1/whoami").await.problem(401, "unauthenticated");

    let path = format!("/v1/agents/{}", place.agent.id);
    let retire = place.fleet.admin.patch(path, &json!({"state": "retired"})).if_match("*");
    retire.await.expect(200);
    let answer = place.agent.client.get("/v1/whoami").await;
    assert!(matches!(answer.status.as_u16(), 401 | 403), "{}", answer.describe());
}
