//! Every change is recorded: every route that writes is called, and its rows are found under the id of
//! its request.
//!
//! The routes come from the table of [`crate::contract::roles`], which has every route of the document, so
//! whoever adds one that writes finds it here without having written it down.

use axum::http::Method;
use serde_json::{Value, json};

use super::{kinds, of_request};
use crate::{
    contract::roles::{Place, ROUTES},
    support::{
        client::{Answer, Call, Client},
        dump::{dump, same},
        fleet::{Fleet, about, router, text},
    },
};

/// Routes that change nothing when they are called as the table says, and why that is so. Nothing may
/// be stored then.
const QUIET: &[(&str, &str)] = &[
    ("POST /v1/plans/preview", "it only shows what would be"),
    ("POST /v1/playbooks/try", "it only shows what would be"),
    ("POST /v1/playbooks/{name}/try", "it only shows what would be"),
    ("POST /v1/approval-policies/{policy_id}/simulate", "it only shows what would have been"),
    ("POST /v1/claims", "there is nothing to be claimed"),
    ("POST /v1/heartbeats", "there is no heartbeat among the heartbeats"),
    (
        "POST /v1/attempts/{attempt_id}/heartbeat",
        "a heartbeat that says nothing only keeps a lease",
    ),
    ("POST /v1/rules/dry-run", "it only shows what would have been"),
    ("PUT /v1/artifacts/{sha256}", "the bytes are there"),
    ("POST /v1/prices/rerate", "there is no spend to be computed anew"),
    ("POST /v1/agents/{agent_id}/unarchive", "it is not archived"),
    ("POST /v1/playbooks/{name}/unarchive", "it is not archived"),
    ("POST /v1/budgets/{budget_id}/unarchive", "it is not archived"),
    ("POST /v1/goals/{goal_id}/unarchive", "it is not archived"),
    ("POST /v1/projects/{project_id}/unarchive", "it is not archived"),
    ("POST /v1/schedules/preview", "it only shows what would be"),
    ("POST /v1/knowledge/search", "it only reads"),
    ("POST /v1/knowledge/context", "it only reads"),
    ("POST /v1/knowledge/answers", "it only reads"),
    ("POST /v1/schedules/{schedule_id}/resume", "it is not paused"),
];

/// Routes that are refused when they are called as the table says: [`staged`] has a call that is not.
const STAGED: &[&str] = &[
    "POST /v1/approvals/{approval_id}/decide",
    "POST /v1/approvals/{approval_id}/revise",
    "POST /v1/goals/{goal_id}/acknowledge",
    "POST /v1/goals/{goal_id}/criteria/{number}/decide",
    "POST /v1/goals/{goal_id}/plan",
    "POST /v1/goals/{goal_id}/retry",
    "POST /v1/tasks/{task_id}/acknowledge",
    "POST /v1/tasks/{task_id}/reopen",
    "POST /v1/tasks/{task_id}/retry",
    "POST /v1/tasks/{task_id}/split",
    "POST /v1/tasks/{task_id}/accept-answer",
    "POST /v1/attempts/{attempt_id}/accept-answer",
    "POST /v1/lessons/{lesson_id}/restore",
    "POST /v1/agents/{agent_id}/archive",
    "POST /v1/goals/{goal_id}/archive",
    "DELETE /v1/goals/{goal_id}",
    "POST /v1/projects/{project_id}/archive",
];

/// Who calls a route, if they may: the agent first, who has the attempt.
const ROLES: &[(char, &str)] =
    &[('g', "agent"), ('a', "admin"), ('o', "operator"), ('s', "submitter"), ('-', "nobody")];

/// Kinds of rows of things that people make and edit: these have the hash of the thing.
const EDITS: &[&str] = &[
    "agent.archived",
    "agent.registered",
    "agent.unarchived",
    "agent.updated",
    "approval.decided",
    "approval.requested",
    "approval.revised",
    "budget.archived",
    "budget.created",
    "budget.unarchived",
    "budget.updated",
    "comment.created",
    "concurrency_key.created",
    "concurrency_key.deleted",
    "concurrency_key.updated",
    "freeze.lifted",
    "freeze.set",
    "goal.archived",
    "goal.created",
    "goal.criterion_rejected",
    "goal.criterion_satisfied",
    "goal.deleted",
    "goal.unarchived",
    "goal.updated",
    "identity.created",
    "identity.updated",
    "key.created",
    "key.revoked",
    "key.rotated",
    "lesson.activated",
    "lesson.archived",
    "lesson.confirmed",
    "lesson.created",
    "lesson.linked",
    "lesson.superseded",
    "lesson.updated",
    "plan.proposed",
    "planner.removed",
    "planner.set",
    "playbook.archived",
    "playbook.stored",
    "playbook.unarchived",
    "policy.created",
    "policy.retired",
    "policy.updated",
    "price.created",
    "project.archived",
    "project.created",
    "project.unarchived",
    "project.updated",
    "quota_window.created",
    "quota_window.deleted",
    "quota_window.updated",
    "rate.created",
    "rate.deleted",
    "rate.updated",
    "risk_floor.created",
    "risk_floor.deleted",
    "rule.created",
    "rule.deleted",
    "rule.updated",
    "schedule.created",
    "schedule.deleted",
    "schedule.paused",
    "schedule.resumed",
    "schedule.updated",
    "session.begun",
    "task.created",
    "task.updated",
    "workspace.updated",
];

/// Panics unless the request left rows, of the caller that sent it; returns their kinds.
async fn is_recorded(place: &Place, answer: Answer, key: &str) -> Vec<String> {
    assert!(answer.status.is_success(), "{}", answer.describe());
    let entries = of_request(&place.fleet, answer.header("x-request-id")).await;
    assert!(!entries.is_empty(), "no row of the journal tells of {}", answer.describe());
    let whoami = match key {
        "" => json!({}),
        key => place.fleet.client(key).get("/v1/whoami").await.value(200),
    };
    for entry in &entries {
        assert_eq!(entry["actor_key_id"], whoami["key_id"], "{}: {entry:#}", answer.call);
        let known = entry["actor_key_id"].is_string() || entry["actor_person"].is_string();
        assert!(known, "{}: by nobody: {entry:#}", answer.call);
        let hash = entry["before_sha256"].is_string() || entry["after_sha256"].is_string();
        let edit = EDITS.contains(&entry["kind"].as_str().unwrap());
        assert_eq!(hash, edit, "{}: before or after: {entry:#}", answer.call);
        let shown = entry.to_string();
        let secret = text(&answer.body_or_null()["token"].as_str().unwrap_or("-").into());
        assert!(secret == "-" || !shown.contains(&secret), "{}: a secret: {entry:#}", answer.call);
    }
    kinds(&entries)
}

impl Answer {
    fn body_or_null(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[tokio::test]
async fn every_route_that_writes_is_recorded() {
    let mut kept: Option<Place> = None;
    for (route, who, body) in ROUTES.iter().filter(|(route, ..)| !route.starts_with("GET ")) {
        // What is refused has changed nothing, so the next route finds the place as new.
        let place = match kept.take() {
            Some(place) => place,
            None => Place::new().await,
        };
        let (_, role) = ROLES.iter().find(|(letter, _)| who.contains(*letter)).unwrap();
        let key = if *role == "nobody" { String::new() } else { place.key(role).await };
        let nobody = Client::of(router(&place.fleet.app));
        let client = if key.is_empty() { nobody } else { place.fleet.client(&key) };
        if route.ends_with("/heartbeat") {
            // What a rule had to say has been told then.
            place.call(&client, route, body).await.expect(200);
        }
        let before = dump(&place.fleet.pool).await;
        let answer = place.call(&client, route, body).await;
        if STAGED.contains(route) {
            assert!(answer.status.is_client_error(), "{route} needs no stage");
            kept = Some(place);
        } else if let Some((_, why)) = QUIET.iter().find(|(quiet, _)| quiet == route) {
            assert!(answer.status.is_success(), "{}", answer.describe());
            let mut after = dump(&place.fleet.pool).await;
            if route.ends_with("/heartbeat") {
                // That a lease is kept is no mutation, nor how often a comment was sent.
                for table in ["attempts", "comment_deliveries"] {
                    after.insert(table.to_owned(), before[table].clone());
                }
            }
            same(&format!("{route}, of which it is said that {why},"), &before, &after);
        } else {
            let kinds = is_recorded(&place, answer, &key).await;
            println!("{route}: {}", kinds.join(", "));
        }
    }
}

/// Calls for what the table's own does not show.
async fn staged(place: &Place) -> Vec<(Call, &'static str)> {
    let (fleet, agent, held) = (&place.fleet, &place.agent, &place.held);
    let question = fleet.question().await;
    let path = |verb: &str| format!("/v1/approvals/{}/{verb}", text(&question["id"]));
    let decision = about(&question, json!({"decision": "approve"}));
    let beat = json!({"attempt_id": held.attempt, "lease": held.lease, "checkpoint": {"at": 1}});
    let usage = json!({"entries": [{"key": "k", "usage": {
        "provider": "p", "model": "my-model", "convention": "openai",
        "tokens": {"prompt_tokens": 1000000, "completion_tokens": 1}}}]});
    let rerate = json!({"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"});
    let price = json!({"provider": "p", "model": "my-model", "effective_from": "2026-01-01T00:00:00Z",
        "usd_per_million": {"input": "1", "output": "2"}});
    vec![
        (
            agent.write(held, "heartbeat", json!({"progress": {"percent": 5}})),
            "attempt.progress_reported",
        ),
        (
            agent.client.post("/v1/heartbeats", &json!({"heartbeats": [beat]})),
            "attempt.progress_reported",
        ),
        (agent.write(held, "spend", usage), "attempt.spend_reported"),
        (fleet.admin.post("/v1/prices", &price), "price.created"),
        (fleet.admin.post("/v1/prices/rerate", &rerate), "spend.rerated"),
        (fleet.admin.post(path("decide"), &decision), "approval.decided"),
        (agent.client.post("/v1/claims", &json!({"max": 1})), "task.running"),
        (
            agent.write(held, "approvals", json!({"kind": "action", "title": "t", "payload": 1})),
            "approval.requested",
        ),
    ]
}

#[tokio::test]
async fn what_needs_a_stage_is_recorded_too() {
    let place = Place::new().await;
    for (call, kind) in staged(&place).await {
        let answer = call.await;
        let key = if answer.call.contains("/v1/attempts/")
            || answer.call.contains("/v1/heartbeats")
            || answer.call.contains("/v1/claims")
        {
            place.agent.key.clone()
        } else {
            place.fleet.admin_key.clone()
        };
        let call = answer.call.clone();
        let kinds = is_recorded(&place, answer, &key).await;
        assert!(kinds.contains(&kind.to_owned()), "{call}: {kinds:?}");
    }
    let question = place.fleet.question().await;
    let path = format!("/v1/approvals/{}/revise", text(&question["id"]));
    let revision = about(&question, json!({"payload": 2}));
    let revised = place.fleet.admin.post(path, &revision).await;
    let kinds = is_recorded(&place, revised, &place.fleet.admin_key).await;
    assert_eq!(kinds, ["approval.revised"]);
    let goal = place.fleet.lone_task(json!({"capabilities": ["quiet"]})).await;
    let quiet = place.fleet.agent("quiet", &["quiet"], 9).await;
    for _ in 0..3 {
        assert!(
            quiet.claim(9).await.iter().any(|held| held.claim["task"]["goal_id"] == goal.as_str())
        );
        place.fleet.after(3600).await;
        place.fleet.after(3600).await;
    }
    let path = format!("/v1/tasks/{}/acknowledge", place.fleet.task_id(&goal, "a").await);
    let seen = place.fleet.admin.post(path, &json!({})).await;
    let kinds = is_recorded(&place, seen, &place.fleet.admin_key).await;
    assert_eq!(kinds, ["task.acknowledged"]);
    let whole = place.fleet.lone_task(json!({"capabilities": ["nobody"]})).await;
    let path = format!("/v1/tasks/{}/split", place.fleet.task_id(&whole, "a").await);
    let parts = json!({"tasks": [{"ref": "p", "title": "p"}]});
    let divided = place.fleet.admin.post(path, &parts).await;
    let kinds = is_recorded(&place, divided, &place.fleet.admin_key).await;
    assert!(kinds.contains(&"task.split".to_owned()), "{kinds:?}");
    let met = json!({"title": "g", "tasks": [{"ref": "a", "title": "a", "done": true}],
                     "criteria": [{"text": "it works"}]});
    let verified = place.fleet.post_goal(met).await;
    let path = format!("/v1/goals/{verified}/criteria/1/decide");
    let decided = place.fleet.admin.post(path, &json!({"decision": "approve"})).await;
    let kinds = is_recorded(&place, decided, &place.fleet.admin_key).await;
    assert!(kinds.contains(&"goal.criterion_satisfied".to_owned()), "{kinds:?}");
    let wish = json!({"title": "g", "brief": "Make it fast.", "planner": "agent"});
    let planning = place.fleet.post_goal(wish).await;
    let path = format!("/v1/goals/{planning}/plan");
    let given = json!({"tasks": [{"ref": "a", "title": "a", "capabilities": ["nobody"]}]});
    let planned = place.fleet.admin.post(path, &given).await;
    let kinds = is_recorded(&place, planned, &place.fleet.admin_key).await;
    assert!(kinds.contains(&"plan.applied".to_owned()), "{kinds:?}");
    what_comes_back_is_recorded(&place.fleet, &place, &goal).await;
    let cancel = format!("/v1/goals/{}/cancel", place.ids["{goal_id}"]);
    place.fleet.admin.post(cancel, &json!({})).await.expect(200);
    place.fleet.after(120).await;
    for noun in ["goal", "project", "agent"] {
        let id = &place.ids[format!("{{{noun}_id}}").as_str()];
        for verb in ["archive", "unarchive"] {
            let path = format!("/v1/{noun}s/{id}/{verb}");
            let answer = place.fleet.admin.call(Method::POST, path).await;
            let kinds = is_recorded(&place, answer, &place.fleet.admin_key).await;
            assert_eq!(kinds, [format!("{noun}.{verb}d")]);
        }
    }
    let goal = format!("/v1/goals/{}", place.ids["{goal_id}"]);
    place.fleet.after(1).await;
    let deleted = place.fleet.admin.call(Method::DELETE, goal).if_match("*").await;
    let kinds = is_recorded(&place, deleted, &place.fleet.admin_key).await;
    assert_eq!(kinds, ["goal.deleted"]);
    // By the book, what is listed as quiet is what it is.
    let known = |route: &str| ROUTES.iter().any(|(known, ..)| *known == route);
    assert!(QUIET.iter().all(|(route, _)| known(route)) && STAGED.iter().all(|route| known(route)));
}

/// The failed goal of one task `a` is acknowledged and retried, and its task is done and reopened.
async fn what_comes_back_is_recorded(fleet: &Fleet, place: &Place, goal: &str) {
    let task = fleet.task_id(goal, "a").await;
    let agent = fleet.agent("quiet and good", &["quiet"], 9).await;
    for (path, wanted) in [
        (format!("/v1/goals/{goal}/acknowledge"), vec!["goal.acknowledged"]),
        (
            format!("/v1/goals/{goal}/retry"),
            vec!["goal.active", "task.retried", "task.waiting", "task.ready"],
        ),
        (
            format!("/v1/tasks/{task}/retry"),
            vec!["goal.active", "task.retried", "task.waiting", "task.ready"],
        ),
        (
            format!("/v1/tasks/{task}/reopen"),
            vec!["goal.active", "task.reopened", "task.waiting", "task.ready"],
        ),
    ] {
        let held = agent.claim(9).await;
        let held = held.iter().find(|held| held.task == task);
        match (held, path.ends_with("/reopen")) {
            (Some(held), true) => drop(agent.complete(held).await),
            (Some(held), false) => drop(agent.fail(held, "permanent").await),
            (None, _) => {}
        }
        let answer = fleet.admin.post(path, &json!({"reason": "r"})).await;
        let mut kinds = is_recorded(place, answer, &fleet.admin_key).await;
        let mut wanted: Vec<String> = wanted.into_iter().map(ToOwned::to_owned).collect();
        kinds.sort();
        wanted.sort();
        assert_eq!(kinds, wanted);
    }
}

/// Who, and for whom: the person of a key, the owner of an agent, and whoever a goal is for.
#[tokio::test]
async fn it_says_for_whom_something_was_done() {
    let place = Place::new().await;
    let fleet = &place.fleet;
    let new = json!({"name": "alice", "role": "operator", "person": "alice@example.com"});
    let key = text(&fleet.admin.post("/v1/keys", &new).await.value(201)["token"]);
    let alice = fleet.client(&key);
    let goal = json!({"title": "g", "tasks": [{"ref": "x", "title": "x", "priority": 9}],
                      "on_behalf_of": ["carol@example.com"]});
    let posted = alice.post("/v1/goals", &goal).await.expect(201);
    let entries = of_request(fleet, posted.header("x-request-id")).await;
    assert!(entries.len() > 2, "{entries:#?}");
    assert!(entries.iter().all(|entry| entry["actor_person"] == "alice@example.com"));

    let new = json!({"name": "bobs", "max_concurrent": 2, "owner": "bob@example.com"});
    let agent = crate::support::fleet::register(&fleet.admin, new).await;
    let claimed = agent.client.post("/v1/claims", &json!({"max": 1})).await.expect(200);
    let entries = of_request(fleet, claimed.header("x-request-id")).await;
    assert_eq!(entries[0]["on_behalf_of"], json!(["bob@example.com"]));
    assert!(entries[0].get("actor_person").is_none());
    let held = &crate::support::agent::claims(&claimed)[0];
    let done = agent.write(held, "complete", json!({})).await.expect(200);
    let entries = of_request(fleet, done.header("x-request-id")).await;
    let wanted = json!(["bob@example.com", "carol@example.com"]);
    assert!(entries.iter().all(|entry| entry["on_behalf_of"] == wanted), "{entries:#?}");
    assert_eq!(kinds(&entries), ["task.done"]);
    let page = fleet.admin.get("/v1/audit?on_behalf_of=carol%40example.com").await.value(200);
    assert!(!page["items"].as_array().unwrap().is_empty());
    let page = fleet.admin.get("/v1/audit?actor_person=alice%40example.com").await.value(200);
    assert!(!page["items"].as_array().unwrap().is_empty());
}

/// What the service does by itself is nobody's act, and is written down all the same.
#[tokio::test]
async fn what_time_does_is_recorded() {
    let place = Place::new().await;
    let fleet = &place.fleet;
    fleet.after(3_600).await;
    let path = format!("/v1/audit?subject_id={}", place.held.task);
    let page = fleet.admin.get(path).await.value(200);
    let rows: Vec<&Value> =
        page["items"].as_array().unwrap().iter().map(|item| &item["row"]).collect();
    assert_ne!(rows[0]["kind"], "task.running");
    assert!(
        rows[0].get("actor_key_id").is_none() && rows[0].get("request").is_none(),
        "{:#}",
        rows[0]
    );
    let expired = |row: &&&Value| {
        row["data"]["attempt_state"] == "expired"
            && row["attempt_id"] == place.held.attempt.as_str()
    };
    assert_eq!(rows.iter().filter(expired).count(), 1);
}

/// The hashes bind what was there: after one change is before the next.
#[tokio::test]
async fn after_one_change_is_before_the_next() {
    let place = Place::new().await;
    let fleet = &place.fleet;
    let project = place.ids["{project_id}"].clone();
    for description in ["one", "two", "three"] {
        let path = format!("/v1/projects/{project}");
        let edit = fleet.admin.patch(path, &json!({"description": description})).if_match("*");
        edit.await.expect(200);
    }
    let path = format!("/v1/audit?subject_id={project}&kind=project.updated");
    let page = fleet.admin.get(path).await.value(200);
    let hashes: Vec<(Value, Value)> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|item| &item["row"])
        .map(|entry| (entry["before_sha256"].clone(), entry["after_sha256"].clone()))
        .collect();
    assert_eq!(hashes.len(), 3);
    for pair in hashes.windows(2) {
        assert_eq!(pair[0].1, pair[1].0);
        assert_ne!(pair[0].1, pair[1].1);
    }
}
