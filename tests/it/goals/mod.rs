//! Posting, previewing, reading, listing, editing and cancelling goals.

mod additions;
mod discovered;
mod edits;
mod findings;
mod graph;
mod llm;
mod numbers;
mod planning;
mod progress;
mod replan;
mod replan_criteria;
mod retry;
mod splitting;
mod verifying;
mod waits;

use std::{collections::HashSet, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    client::Client,
    fleet::{Fleet, text},
};

const BRIEF: &str = "# Importer\n\n## Tasks\n\n- [ ] T001 Write the schema\n- [ ] T002 Write the \
                     endpoints\n- [x] T003 Read the specification\n";

/// The ids on all pages of a list, in order.
pub async fn all_pages(client: &Client, list: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut path = list.to_owned();
    loop {
        let answer = client.get(&path).await.expect(200);
        let page: Value = answer.json();
        let items = page["items"].as_array().unwrap();
        ids.extend(items.iter().map(|item| text(&item["id"])));
        let Some(cursor) = page["next_cursor"].as_str() else {
            assert_eq!(answer.header("link"), "");
            return ids;
        };
        assert!(!items.is_empty());
        let link = answer.header("link").to_owned();
        path = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
        assert!(path.contains(cursor), "{link}");
    }
}

async fn rows(fleet: &Fleet) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in ["goals", "goal_texts", "plans", "projects", "tasks", "task_texts", "journal"] {
        let count = format!("select count(*) from {table}");
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(count));
        counts.push(count.fetch_one(&fleet.pool).await.unwrap());
    }
    counts
}

#[tokio::test]
async fn a_goal_with_tasks_is_there_at_once() {
    let fleet = Fleet::start().await;
    let body = json!({
        "title": "Ship the importer",
        "project": "importer",
        "priority": 7,
        "metadata": {"ticket": "PX-1"},
        "tasks": [
            {"ref": "schema", "title": "Write the schema"},
            {"ref": "api", "title": "Write the API", "needs": ["schema"]},
        ],
    });
    let answer = fleet.admin.post("/v1/goals", &body).await.expect(201);
    let mut goal: Value = answer.json();
    let id = text(&goal["id"]);
    assert_eq!(goal.as_object_mut().unwrap().remove("notes"), Some(json!([])));
    let findings = goal.as_object_mut().unwrap().remove("findings").unwrap();
    assert_eq!(findings[0]["code"], "no_criterion");
    assert!(goal.as_object_mut().unwrap().remove("numbers").unwrap().is_object());
    assert_eq!(goal.as_object_mut().unwrap().remove("deduplicated"), Some(json!(false)));
    let none = json!({"tasks": [], "looked_at": 0, "of": 0});
    assert_eq!(goal.as_object_mut().unwrap().remove("solved"), Some(none));
    assert_eq!(answer.header("location"), format!("/v1/goals/{id}"));
    assert_eq!(answer.header("etag"), "\"v1\"");
    assert_eq!(answer.header("idempotent-replayed"), "");
    assert_eq!((&goal["state"], &goal["planner"]), (&json!("active"), &json!("tasks")));
    assert_eq!(goal["tasks"]["open"], 2);
    assert_eq!(goal["metadata"], json!({"ticket": "PX-1"}));
    assert_eq!(fleet.read_goal(&id).await, goal);

    let plans = fleet.admin.get(format!("/v1/goals/{id}/plans")).await.value(200);
    assert_eq!(plans["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&plans["items"][0]["state"], &plans["items"][0]["number"]),
        (&json!("applied"), &json!(1))
    );
    assert_eq!(plans["items"][0]["tasks"][1]["needs"], json!(["schema"]));
    fleet.expect_states(&id, "schema:ready api:waiting").await;
}

#[tokio::test]
async fn an_outline_becomes_tasks() {
    let fleet = Fleet::start().await;
    let goal = fleet.admin.post("/v1/goals", &json!({"title": "Importer", "brief": BRIEF})).await;
    let goal = goal.value(201);
    assert_eq!((&goal["planner"], &goal["brief"]), (&json!("outline"), &json!(BRIEF)));
    assert_eq!(
        goal["tasks"],
        json!({"total": 3, "open": 2, "done": 1, "failed": 0, "cancelled": 0})
    );
}

/// Nothing of a document is lost on the way to the agents: criteria of a task, criteria of the goal, and what was not
/// understood, which is said to whoever posts and to whoever approves.
#[tokio::test]
async fn the_criteria_and_notes_of_a_brief_reach_agents_and_people() {
    const WITH_CRITERIA: &str = "# Importer\n\n- [ ] T001 Import the\u{7} file\n  - Acceptance criteria:\n    - [x] reads it\n    - \
        [ ] refuses bad lines\n- [WIP] T002 Tidy up\n\n## Acceptance Criteria\n\n- [ ] it is green\n- [x] it was discussed\n";
    let fleet = Fleet::start().await;
    let body = json!({"title": "Importer", "brief": WITH_CRITERIA, "approval": {"plan": true}});
    let posted = fleet.poster.post("/v1/goals", &body).await.value(201);
    let goal = text(&posted["id"]);
    let codes: Vec<_> =
        posted["notes"].as_array().unwrap().iter().map(|note| text(&note["code"])).collect();
    assert!(codes.contains(&"control_characters".to_owned()), "{codes:?}");
    assert_eq!(posted["brief"], WITH_CRITERIA.replace('\u{7}', ""));
    let question = text(&fleet.question().await["id"]);
    let question = fleet.admin.get(format!("/v1/approvals/{question}")).await.value(200);
    let shown = text(&question["body"]);
    for note in posted["notes"].as_array().unwrap() {
        assert!(shown.contains(&text(&note["message"])), "{shown}");
    }
    assert!(shown.contains("- [ ] it is green\n- [x] it was discussed\n"), "{shown}");
    assert_eq!(posted["criteria"][1]["state"], "satisfied");
    fleet.decide(json!({"decision": "approve"})).await;

    let worker = fleet.worker().await;
    let held = worker.take().await;
    assert_eq!(held.name, "T001");
    assert_eq!(
        held.claim["task"]["criteria"],
        json!([
            {"number": 1, "text": "reads it", "required": false, "satisfied": true,
             "type": "text", "min_tier": "claimed"},
            {"number": 2, "text": "refuses bad lines", "required": true, "satisfied": false,
             "type": "text", "min_tier": "claimed"},
        ])
    );
    let shows = |number: i64| json!({"evidence": [{"criterion": number, "text": "seen"}]});
    worker.write(&held, "complete", json!({})).await.problem(422, "evidence_missing");
    worker.write(&held, "complete", shows(2)).await.expect(200);
    let next = worker.take().await;
    assert_eq!(next.name, "T002");
    worker.complete(&next).await;
    assert_eq!(fleet.goal_state(&goal).await, "verifying", "nobody has looked at its criteria");
    let last = worker.take().await;
    assert_eq!(last.name, "verify-1");
    assert_eq!(last.claim["task"]["criteria"].as_array().unwrap().len(), 1);
    assert_eq!(last.claim["task"]["criteria"][0]["text"], "it is green");
    worker.write(&last, "complete", shows(1)).await.expect(200);
    assert_eq!(fleet.goal_state(&goal).await, "completed");
}

#[tokio::test]
async fn a_preview_writes_nothing_and_shows_the_plan_that_is_made() {
    let fleet = Fleet::start().await;
    let before = rows(&fleet).await;
    let preview = fleet.admin.post("/v1/plans/preview", &json!({"brief": BRIEF})).await.value(200);
    assert_eq!((&preview["task_count"], &preview["done_count"]), (&json!(3), &json!(1)));
    assert_eq!(rows(&fleet).await, before);

    let goal = fleet.post_goal(json!({"title": "Importer", "brief": BRIEF})).await;
    let plans = fleet.admin.get(format!("/v1/goals/{goal}/plans")).await.value(200);
    assert_eq!(plans["items"][0]["tasks"], preview["tasks"]);
}

#[tokio::test]
async fn a_plan_with_errors_is_refused_as_a_whole_and_a_cycle_spelt_out() {
    let fleet = Fleet::start().await;
    let before = rows(&fleet).await;
    let task = |name: &str, needs: &[&str]| json!({"ref": name, "title": name, "needs": needs});
    let circle = json!([task("a", &["c"]), task("b", &["a"]), task("c", &["b"])]);
    let unknown = json!([task("a", &["nobody"]), task("a", &[])]);
    for path in ["/v1/goals", "/v1/plans/preview"] {
        let mut body = json!({"title": "a circle", "tasks": circle});
        let answer = fleet.admin.post(path, &body).await;
        assert_eq!(answer.problem(422, "plan_invalid").len(), 1);
        let problem: Value = answer.json();
        let detail = text(&problem["errors"][0]["detail"]);
        for name in ["a", "b", "c"] {
            assert!(detail.contains(name), "{detail}");
        }
        body["tasks"] = unknown.clone();
        let pointers = fleet.admin.post(path, &body).await.problem(422, "plan_invalid");
        assert!(pointers.contains(&"/tasks/0/needs/0".to_owned()), "{pointers:?}");
        assert!(pointers.len() >= 2, "every error is listed: {pointers:?}");
    }
    let bad = json!({"tasks": [task("a", &[])], "metadata": {}, "priority": 12});
    let pointers = fleet.admin.post("/v1/plans/preview", &bad).await.problem(422, "invalid");
    assert_eq!(pointers, ["/priority"]);
    let pointers = fleet.admin.post("/v1/goals", &bad).await.problem(422, "invalid");
    assert_eq!(pointers, ["/title", "/priority"]);
    let nothing = json!({"title": "talk", "brief": "We should talk about it."});
    fleet.admin.post("/v1/goals", &nothing).await.problem(422, "no_tasks_found");
    assert_eq!(rows(&fleet).await, before);
}

#[tokio::test]
async fn bodies_of_four_mebibytes_are_taken() {
    let fleet = Fleet::start().await;
    let description = "x".repeat(60_000);
    let tasks: Vec<Value> = (0..40)
        .map(|n| json!({"ref": n.to_string(), "title": "t", "description": description}))
        .collect();
    fleet.admin.post("/v1/plans/preview", &json!({"tasks": tasks})).await.expect(200);
    let large = json!({"brief": "x".repeat(4 * 1024 * 1024)});
    fleet.admin.post("/v1/plans/preview", &large).await.problem(413, "body_too_large");
    let path = "/v1/goals/0195a000-0000-7000-8000-000000000000/cancel";
    let large = json!({"reason": "x".repeat(1024 * 1024)});
    fleet.admin.post(path, &large).await.problem(413, "body_too_large");
}

#[tokio::test]
async fn a_goal_posted_again_with_its_key_is_the_same_goal() {
    let fleet = Fleet::start().await;
    let body = json!({"title": "once", "tasks": [{"ref": "a", "title": "a"}]});
    let post = |body: &Value| fleet.admin.post("/v1/goals", body).idempotency_key("k-1");
    let first = post(&body).await.expect(201);
    let again = post(&body).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json::<Value>(), first.json::<Value>());
    assert_eq!(again.header("location"), first.header("location"));

    let other = json!({"title": "another", "tasks": [{"ref": "a", "title": "a"}]});
    post(&other).await.problem(422, "idempotency_key_reused");
    let stranger = fleet.client(&fleet.key("submitter").await);
    let others = stranger.post("/v1/goals", &body).idempotency_key("k-1").await.expect(201);
    assert_eq!(others.header("idempotent-replayed"), "");
    assert_ne!(others.json::<Value>()["id"], first.json::<Value>()["id"]);
    assert_eq!(all_pages(&fleet.admin, "/v1/goals").await.len(), 2);
}

#[tokio::test]
async fn a_refused_goal_does_not_use_its_key_up() {
    let fleet = Fleet::start().await;
    let bad = json!({"title": "", "tasks": [{"ref": "a", "title": "a"}]});
    let answer = fleet.admin.post("/v1/goals", &bad).idempotency_key("k-2").await;
    assert_eq!(answer.problem(422, "invalid"), ["/title"]);
    let good = json!({"title": "good", "tasks": [{"ref": "a", "title": "a"}]});
    let answer = fleet.admin.post("/v1/goals", &good).idempotency_key("k-2").await.expect(201);
    assert_eq!(answer.header("idempotent-replayed"), "");
}

#[tokio::test]
async fn goals_posted_at_once_with_one_key_are_one_goal() {
    let fleet = Fleet::start().await;
    let body = json!({"title": "once", "tasks": [{"ref": "a", "title": "a"}]});
    let post = || async {
        let answer = fleet.admin.post("/v1/goals", &body).idempotency_key("k-3").await;
        if answer.status == 409 {
            answer.problem(409, "idempotency_in_progress");
            return None;
        }
        Some(text(&answer.value(201)["id"]))
    };
    let ids = join_all((0..8).map(|_| post())).await;
    let ids: HashSet<String> = ids.into_iter().flatten().collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(all_pages(&fleet.admin, "/v1/goals").await.len(), 1);
}

#[tokio::test]
async fn an_edit_needs_the_version_that_was_read() {
    let fleet = Fleet::start().await;
    let goal = fleet.lone_task(json!({})).await;
    let path = format!("/v1/goals/{goal}");
    let etag = fleet.admin.get(&path).await.expect(200).etag();
    let patch = |body: Value| fleet.admin.patch(&path, &body);
    patch(json!({"title": "x"})).await.problem(428, "precondition_required");
    patch(json!({"title": "x"})).if_match("\"v99\"").await.problem(412, "precondition_failed");
    patch(json!({"title": "x"})).if_match("garbage").await.problem(412, "precondition_failed");

    let change = json!({"title": "better", "priority": 9, "deadline": "2026-05-01T00:00:00Z"});
    let answer = patch(change).if_match(&etag).await.expect(200);
    let edited: Value = answer.json();
    assert_eq!((&edited["title"], &edited["priority"]), (&json!("better"), &json!(9)));
    assert_ne!(answer.etag(), etag);
    assert_eq!(fleet.task(&goal, "a").await["priority"], 9);
    patch(json!({"title": "late"})).if_match(&etag).await.problem(412, "precondition_failed");
    let edited = patch(json!({"deadline": null})).if_match("*").await.value(200);
    assert_eq!((&edited["deadline"], &edited["title"]), (&json!(null), &json!("better")));
    let refused = patch(json!({"priority": 10, "title": "\n"})).if_match("*").await;
    assert_eq!(refused.problem(422, "invalid").len(), 2);
    patch(json!({"tittle": "x"})).if_match("*").await.problem(422, "invalid");
}

#[tokio::test]
async fn goals_are_listed_newest_first_page_by_page() {
    let fleet = Fleet::start().await;
    let mut posted = Vec::new();
    for n in 0..205 {
        fleet.clock.advance(Duration::from_millis(2));
        let project = if n % 41 == 0 { "few" } else { "many" };
        let tasks = json!([{"ref": "a", "title": "a"}]);
        let body = json!({"title": format!("goal {n}"), "project": project, "tasks": tasks});
        posted.push(fleet.post_goal(body).await);
    }
    posted.reverse();
    for limit in [1000, 200, 50, 7] {
        let path = format!("/v1/goals?limit={limit}");
        if limit > 200 {
            assert_eq!(fleet.admin.get(path).await.problem(422, "invalid"), ["?limit"]);
            continue;
        }
        assert_eq!(all_pages(&fleet.admin, &path).await, posted, "limit {limit}");
    }
    for goal in &posted[..3] {
        fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    }
    let cancelled = "/v1/goals?state=cancelled&limit=2";
    assert_eq!(all_pages(&fleet.admin, cancelled).await, posted[..3]);
    let both = "/v1/goals?state=cancelled&state=active&state=active&limit=100";
    assert_eq!(all_pages(&fleet.admin, both).await, posted);
    let few = text(&fleet.read_goal(&posted[204]).await["project_id"]);
    let of_project = format!("/v1/goals?project_id={few}&limit=2");
    assert_eq!(all_pages(&fleet.admin, &of_project).await.len(), 5);
    let none = format!("/v1/goals?project_id={few}&state=completed");
    assert_eq!(all_pages(&fleet.admin, &none).await, Vec::<String>::new());
    let listed = fleet.admin.get("/v1/goals?limit=1").await.value(200);
    assert_eq!(listed["items"][0]["brief"], Value::Null);
}

#[tokio::test]
async fn a_page_request_that_makes_no_sense_is_refused_at_its_place() {
    let fleet = Fleet::start().await;
    for _ in 0..2 {
        fleet.lone_task(json!({})).await;
    }
    let page = fleet.admin.get("/v1/goals?limit=1").await.value(200);
    let cursor = text(&page["next_cursor"]);
    for (path, place) in [
        ("/v1/goals?limit=0".to_owned(), "?limit"),
        ("/v1/goals?cursor=x".to_owned(), "?cursor"),
        (format!("/v1/tasks?cursor={cursor}"), "?cursor"),
        (format!("/v1/approvals?cursor={cursor}"), "?cursor"),
        ("/v1/goals?state=brilliant".to_owned(), "?state"),
        ("/v1/goals?project_id=7".to_owned(), "?project_id"),
        ("/v1/goals?wait=7".to_owned(), "?wait"),
    ] {
        let pointers = fleet.admin.get(&path).await.problem(422, "invalid");
        assert!(pointers[0].starts_with(place), "{path}: {pointers:?}");
    }
}

#[tokio::test]
async fn a_cancelled_goal_takes_along_what_waits_and_asks_what_runs_to_stop() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let tasks = json!([
        {"ref": "a", "title": "a"},
        {"ref": "b", "title": "b", "needs": ["a"]},
        {"ref": "c", "title": "c", "approval": {"start": true}},
    ]);
    let goal = fleet.goal(tasks).await;
    let held = worker.take().await;
    let path = format!("/v1/goals/{goal}/cancel");
    let cancelled = fleet.admin.post(&path, &json!({"reason": "superseded"})).await.value(200);
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(cancelled["end_reason"], "superseded");
    fleet.expect_states(&goal, "a:running b:cancelled c:cancelled").await;
    assert!(fleet.questions().await.is_empty(), "nobody is asked about what is cancelled");
    assert_eq!(worker.beat(&held).await["directive"], "stop");

    let again = fleet.admin.post(&path, &json!({"reason": "again"})).await.value(200);
    assert_eq!(again["end_reason"], "superseded");
    fleet.after(61).await;
    fleet.expect_states(&goal, "a:cancelled b:cancelled c:cancelled").await;
    fleet.admin.post(&path, &json!({"reason": " "})).await.problem(422, "invalid");
    let etag = fleet.admin.get(format!("/v1/goals/{goal}")).await.etag();
    let edit = fleet.admin.patch(format!("/v1/goals/{goal}"), &json!({"title": "x"}));
    edit.if_match(&etag).await.problem(409, "goal_ended");
}

#[tokio::test]
async fn a_completed_goal_cannot_be_cancelled() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    worker.work_off().await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    let cancel = fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({}));
    cancel.await.problem(409, "goal_ended");
}

#[tokio::test]
async fn what_does_not_exist_is_404() {
    let fleet = Fleet::start().await;
    for id in ["0195a000-0000-7000-8000-000000000000", "nonsense"] {
        let path = format!("/v1/goals/{id}");
        fleet.admin.get(&path).await.problem(404, "not_found");
        fleet.admin.get(format!("{path}?wait_seconds=5")).await.problem(404, "not_found");
        fleet.admin.get(format!("{path}/plans")).await.problem(404, "not_found");
        let cancel = fleet.admin.post(format!("{path}/cancel"), &json!({}));
        cancel.await.problem(404, "not_found");
        let edit = fleet.admin.patch(&path, &json!({})).if_match("*");
        edit.await.problem(404, "not_found");
    }
}

/// What a container would drop without a word is refused, so that nobody waits to be asked.
#[tokio::test]
async fn a_container_takes_nothing_that_only_an_attempt_could_honour() {
    let fleet = Fleet::start().await;
    let plan = json!({"title": "g", "tasks": [
        {"ref": "box", "title": "box", "approval": {"result": true}, "finish_within_seconds": 9,
         "criteria": [{"text": "must hold"}]},
        {"ref": "k", "title": "k", "parent": "box"},
    ]});
    let pointers = fleet.admin.post("/v1/goals", &plan).await.problem(422, "plan_invalid");
    assert_eq!(
        pointers,
        ["/tasks/0/approval", "/tasks/0/criteria", "/tasks/0/finish_within_seconds"]
    );
    assert!(all_pages(&fleet.admin, "/v1/goals").await.is_empty());
}

#[tokio::test]
async fn numbers_are_read_in_every_form_and_refused_in_terms_of_json() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let estimate = json!({"usd_micros": 1e3, "input_tokens": {"want": 5.0, "min": 0.0}});
    let task = json!({"ref": "a", "title": "a", "estimate": estimate, "max_attempts": 3.0});
    let goal = fleet.post_goal(json!({"title": "g", "priority": 7.0, "tasks": [task]})).await;
    assert_eq!(fleet.read_goal(&goal).await["priority"], 7);
    assert_eq!(fleet.task(&goal, "a").await["max_attempts"], 3);

    let refused = async |estimate: Value| {
        let tasks = json!([{"ref": "a", "title": "a", "estimate": {"usd_micros": estimate}}]);
        let answer = fleet.admin.post("/v1/goals", &json!({"title": "g", "tasks": tasks})).await;
        assert_eq!(answer.problem(422, "invalid"), ["/tasks/0/estimate/usd_micros"]);
        text(&answer.json::<Value>()["errors"][0]["detail"])
    };
    let either = "must be a whole number, or an object with `want` and `min`";
    for wrong in [json!("5"), json!(1.5), json!([1]), json!(true), Value::Null] {
        assert_eq!(refused(wrong.clone()).await, either, "{wrong}");
    }

    let held = agent.take().await;
    for (percent, detail) in [
        (json!(-1), "must be a whole number from 0 to 100"),
        (json!(300), "must be a whole number from 0 to 100"),
        (json!(101), "is 101; must be from 0 to 100"),
        (json!(1.5), "must be a whole number"),
    ] {
        let answer =
            agent.write(&held, "heartbeat", json!({"progress": {"percent": percent}})).await;
        assert_eq!(answer.problem(422, "invalid"), ["/progress/percent"], "{percent}");
        assert_eq!(answer.json::<Value>()["errors"][0]["detail"], detail);
    }
    let answer = fleet.admin.post("/v1/goals", &json!({"title": "g", "priority": 40_000})).await;
    assert_eq!(answer.problem(422, "invalid"), ["/priority"]);
    let problem: Value = answer.json();
    assert_eq!(problem["errors"][0]["detail"], "must be a whole number from 0 to 9");
}

#[tokio::test]
async fn a_task_is_ready_from_when_it_became_ready() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let tasks = json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b", "needs": ["a"]}]);
    let goal = fleet.goal(tasks).await;
    let held = agent.take().await;
    fleet.pass(10);
    agent.complete(&held).await;
    assert_eq!(fleet.task(&goal, "b").await["ready_from"], json!(fleet.now()));
}
