//! Playbooks: storing versions, refusing what is wrong with its place, trying, and posting goals with them.

mod goals;

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{
    dump::{dump, same},
    fleet::{Fleet, text},
};

pub const RELEASE: &str = r#"
# The comments are kept.
name: release
title: Release
variables:
  crates: {type: list, min_items: 1}
  publish: {type: boolean, default: false}
tasks:
  - {ref: log, title: "Write the log of {{ title }}", description: "{{ brief }}"}
  - ref: "test-{{ crate }}"
    block: tests
    for_each: {as: crate, in: "{{ crates }}"}
    title: "Test {{ crate }}"
    capabilities: [rust]
    criteria: ["{{ crate }} passes"]
  - {ref: publish, title: Publish, when: publish, needs: [tests, log], approval: {start: true}}
criteria: [Everything is tested]
"#;

/// Stores a playbook.
pub async fn store(fleet: &Fleet, source: &str) -> Value {
    fleet.admin.post("/v1/playbooks", &json!({"source": source})).await.value(201)
}

async fn names(fleet: &Fleet, query: &str) -> Vec<String> {
    let page = fleet.admin.get(format!("/v1/playbooks{query}")).await.value(200);
    page["items"].as_array().unwrap().iter().map(|item| text(&item["name"])).collect()
}

#[tokio::test]
async fn versions_are_kept_and_the_same_text_is_the_same_version() {
    let fleet = Fleet::start().await;
    let first = store(&fleet, RELEASE).await;
    assert_eq!((&first["version"], &first["built_in"]), (&json!(1), &json!(false)));
    assert_eq!(first["source"], RELEASE);
    assert_eq!(first["variables"]["crates"]["type"], "list");
    assert_eq!(store(&fleet, RELEASE).await, first, "nothing new was stored");
    let second = store(&fleet, &RELEASE.replace("Test {{", "Check {{")).await;
    assert_eq!((&second["version"], &second["latest_version"]), (&json!(2), &json!(2)));
    let read = fleet.admin.get("/v1/playbooks/release?version=1").await.value(200);
    assert_eq!((&read["source"], &read["latest_version"]), (&first["source"], &json!(2)));
    assert_eq!(fleet.admin.get("/v1/playbooks/release").await.value(200), second);
    let page = fleet.admin.get("/v1/playbooks/release/versions?limit=1").await.value(200);
    assert_eq!(page["items"][0]["version"], 2);
    assert!(page["next_cursor"].is_string());
    fleet.admin.get("/v1/playbooks/release?version=3").await.problem(404, "not_found");
    fleet.admin.get("/v1/playbooks/release?version=-1").await.problem(404, "not_found");
    for name in ["gone", "%00", "Release", "a%2Fb"] {
        let path = format!("/v1/playbooks/{name}");
        fleet.admin.get(&path).await.problem(404, "not_found");
        fleet.admin.get(format!("{path}/versions")).await.problem(404, "not_found");
        let trial = fleet.admin.post(format!("{path}/try"), &json!({})).await;
        trial.problem(404, "not_found");
    }
    // As JSON it is another text, and gives the same plan.
    let body = json!({"document": second["document"]});
    let post = || fleet.admin.post("/v1/playbooks", &body).idempotency_key("once");
    let third = post().await.value(201);
    assert_eq!((&third["version"], &third["source"]), (&json!(3), &Value::Null));
    assert_eq!(post().await.value(201), third);
    let kinds: Vec<String> =
        sqlx::query_scalar("select kind from journal where kind like 'playbook.%' order by number")
            .fetch_all(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(kinds, ["playbook.stored"; 3]);
}

#[tokio::test]
async fn the_list_has_the_built_in_ones_and_what_is_not_archived() {
    let fleet = Fleet::start().await;
    let built_in = ["fix-a-bug", "research-a-question", "ship-a-feature"];
    assert_eq!(names(&fleet, "").await, built_in);
    store(&fleet, RELEASE).await;
    store(&fleet, "{name: fix-a-bug, title: Ours, tasks: [{ref: a, title: A}]}").await;
    let all = ["fix-a-bug", "release", "research-a-question", "ship-a-feature"];
    assert_eq!(names(&fleet, "").await, all);
    let ours = fleet.admin.get("/v1/playbooks/fix-a-bug").await.value(200);
    assert_eq!((&ours["title"], &ours["version"]), (&json!("Ours"), &json!(1)));
    let page = fleet.admin.get("/v1/playbooks/fix-a-bug/versions").await.value(200);
    let versions: Vec<&Value> =
        page["items"].as_array().unwrap().iter().map(|one| &one["version"]).collect();
    assert_eq!(versions, [1, 0]);
    let theirs = fleet.admin.get("/v1/playbooks/fix-a-bug?version=0").await.value(200);
    assert_eq!(theirs["built_in"], true);
    // Page by page, the two kinds are in one order.
    let (mut found, mut path) = (Vec::new(), "/v1/playbooks?limit=1".to_owned());
    loop {
        let page = fleet.admin.get(&path).await.value(200);
        found.push(text(&page["items"][0]["name"]));
        assert_eq!(page["items"][0]["document"], Value::Null);
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/playbooks?limit=1&cursor={cursor}");
    }
    assert_eq!(found, all);
    for _ in 0..2 {
        let archived = fleet.admin.post("/v1/playbooks/fix-a-bug/archive", &json!({})).await;
        assert!(archived.value(200)["archived_at"].is_string());
    }
    assert_eq!(names(&fleet, "?archived=true").await, ["fix-a-bug"]);
    assert_eq!(names(&fleet, "").await, all, "the built-in one is in the list again");
    let again = store(&fleet, "{name: fix-a-bug, title: Ours, tasks: [{ref: a, title: A}]}").await;
    assert_eq!((&again["version"], &again["archived_at"]), (&json!(1), &Value::Null));
    let refused = fleet.admin.post("/v1/playbooks/ship-a-feature/archive", &json!({})).await;
    refused.problem(409, "wrong_state");
    fleet.admin.post("/v1/playbooks/gone/unarchive", &json!({})).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_bad_document_is_refused_with_its_places_and_nothing_is_stored() {
    let fleet = Fleet::start().await;
    let before = dump(&fleet.pool).await;
    let head = "name: x\ntitle: X\ntasks:\n";
    for (source, places) in [
        ("a: [", &["/source"][..]),
        ("a: &b 1", &["/source"]),
        ("name: x\ntitle: X\n", &["/source/tasks"]),
        ("name: try\ntitle: X\ntasks: [{ref: a, title: A}]\n", &["/source/name"]),
        (&format!("{head}  - {{ref: a, title: \"{{{{ b }}}}\"}}\n"), &["/source/tasks/0/title"]),
        (
            &format!("{head}  - {{ref: a, titel: A}}\n"),
            &["/source/tasks/0/titel", "/source/tasks/0/title"],
        ),
        (&format!("{head}  - {{ref: a, title: A, needs: [b]}}\n"), &["/source/tasks/0/needs/0"]),
        (&format!("{head}  - {{ref: a, use: gone}}\n"), &["/source/tasks/0/use"]),
        (&format!("{head}  - {{ref: a, use: x}}\n"), &["/source/tasks/0/use"]),
        (&format!("{head}  - {{ref: a, title: A, priority: 77}}\n"), &["/source/tasks/0/priority"]),
    ] {
        for path in ["/v1/playbooks", "/v1/playbooks/try"] {
            let answer = fleet.admin.post(path, &json!({"source": source})).await;
            assert_eq!(answer.problem(422, "invalid"), places, "{source}");
        }
    }
    let document = json!({"name": "x", "title": "X", "tasks": [{"ref": "a", "title": 5}]});
    let answer = fleet.admin.post("/v1/playbooks", &json!({"document": document})).await;
    assert_eq!(answer.problem(422, "invalid"), ["/document/tasks/0/title"]);
    let answer = fleet.admin.post("/v1/playbooks", &json!({})).await;
    assert_eq!(answer.problem(422, "invalid"), ["/source"]);
    let both = json!({"source": "{}", "document": {}});
    let answer = fleet.admin.post("/v1/playbooks", &both).await;
    assert_eq!(answer.problem(422, "invalid"), ["/document"]);
    same("a refused playbook", &before, &dump(&fleet.pool).await);
}

/// A file is sent as it is: the body is the playbook.
#[tokio::test]
async fn a_body_in_yaml_is_the_playbook_itself() {
    let fleet = Fleet::start().await;
    let post = |path: &str, yaml: &str| {
        let call = fleet.admin.call(Method::POST, path);
        call.bytes("application/yaml; charset=utf-8", yaml)
    };
    let preview = post("/v1/playbooks/try", RELEASE).await.value(200);
    assert_eq!(preview["planner"], "playbook");
    assert_eq!(names(&fleet, "").await.len(), 3, "a trial stores nothing");
    let stored = post("/v1/playbooks", RELEASE).idempotency_key("k").await.value(201);
    assert_eq!((&stored["version"], &stored["source"]), (&json!(1), &json!(RELEASE)));
    assert_eq!(post("/v1/playbooks", RELEASE).idempotency_key("k").await.value(201), stored);
    assert_eq!(
        store(&fleet, RELEASE).await,
        stored,
        "`source` with the same text is the same text"
    );
    // JSON is YAML too. The same bytes sent as JSON are another request.
    let json = r#"{"name": "x", "title": "X", "tasks": [{"ref": "a", "title": "A"}]}"#;
    let stored = post("/v1/playbooks", json).idempotency_key("j").await.value(201);
    assert_eq!((&stored["name"], &stored["source"]), (&json!("x"), &json!(json)));
    let other = fleet.admin.call(Method::POST, "/v1/playbooks").bytes("application/json", json);
    let places = other.await.problem(422, "invalid");
    assert_eq!(places.len(), 1, "a document is no request in JSON: {places:?}");

    let before = dump(&fleet.pool).await;
    let head = "name: y\ntitle: Y\ntasks:\n";
    let deep = format!("{head}  - {{ref: a, title: {}", "[".repeat(100));
    let long = format!("{head}  - {{ref: a, title: A}}\n# {}\n", "x".repeat(256 * 1024));
    for (yaml, place, said) in [
        ("", "", "line 1, column 1: the text is empty"),
        ("a: [", "", "line "),
        ("a: 1\nb: &c 1", "", "line 2, column 4: anchors"),
        (deep.as_str(), "", "deeper than 32 levels"),
        (long.as_str(), "", "256 KiB"),
        ("name: y # \0", "", "U+0000 in line 1, column 11"),
        (&format!("{head}  - {{ref: a, titel: A}}\n"), "/tasks/0/titel", "line 4, column 21: "),
        (
            &format!("{head}  - ref: a\n    title: \"{{{{ b }}}}\"\n"),
            "/tasks/0/title",
            "line 5, column 12: ",
        ),
    ] {
        for path in ["/v1/playbooks", "/v1/playbooks/try"] {
            let answer = post(path, yaml).await;
            assert_eq!(answer.problem(422, "invalid")[0], place, "{yaml}");
            assert!(answer.describe().contains(said), "{said}: {}", answer.describe());
        }
    }
    let latin = fleet.admin.call(Method::POST, "/v1/playbooks");
    let latin = latin.bytes("application/yaml", &b"name: y\ntitle: \xe9"[..]).await;
    latin.problem(400, "malformed_request");
    assert!(latin.describe().contains("line 2 column 8"), "{}", latin.describe());
    let large = "#".repeat(1024 * 1024 + 1);
    post("/v1/playbooks", &large).await.problem(413, "body_too_large");
    for media_type in ["text/yaml", "application/x-yaml", "text/plain", "application/yaml+json"] {
        let call = fleet.admin.call(Method::POST, "/v1/playbooks").bytes(media_type, RELEASE);
        call.await.problem(415, "unsupported_media_type");
    }
    let twice = post("/v1/playbooks", RELEASE).header("content-type", "application/json").await;
    twice.problem(415, "unsupported_media_type");
    // Elsewhere a body is JSON.
    let goal = post("/v1/goals", "title: t\nbrief: b\n").await;
    goal.problem(415, "unsupported_media_type");
    let stored = post("/v1/playbooks/release/try", "variables: {crates: [a]}\n").await;
    stored.problem(415, "unsupported_media_type");
    same("a refused body", &before, &dump(&fleet.pool).await);
}

#[tokio::test]
async fn trying_shows_the_plan_and_writes_nothing() {
    let fleet = Fleet::start().await;
    store(&fleet, RELEASE).await;
    let before = dump(&fleet.pool).await;
    let trial = json!({"variables": {"crates": ["a", "b"], "publish": true}, "title": "1.2"});
    let preview = fleet.admin.post("/v1/playbooks/release/try", &trial).await.value(200);
    assert_eq!((&preview["planner"], &preview["task_count"]), (&json!("playbook"), &json!(4)));
    assert_eq!(preview["tasks"][0]["title"], "Write the log of 1.2");
    assert_eq!(preview["tasks"][3]["needs"], json!(["test-a", "test-b", "log"]));
    assert_eq!(preview["playbook"]["version"], 1);
    assert_eq!(preview["criteria"][0]["text"], "Everything is tested");
    let bad = json!({"variables": {"crates": [], "publish": "yes", "other": 1}});
    let answer = fleet.admin.post("/v1/playbooks/release/try", &bad).await;
    let mut places = answer.problem(422, "invalid");
    places.sort();
    assert_eq!(places, ["/variables/crates", "/variables/other", "/variables/publish"]);
    let twice = json!({"variables": {"crates": ["a", "a"]}});
    let answer = fleet.admin.post("/v1/playbooks/release/try", &twice).await;
    assert_eq!(answer.problem(422, "invalid").len(), 1);
    let inline = json!({"source": RELEASE.replace("name: release", "name: other")});
    let preview = fleet.admin.post("/v1/playbooks/try", &inline).await.value(200);
    assert_eq!(preview["task_count"], 3, "with values made of the types");
    for name in ["fix-a-bug", "research-a-question", "ship-a-feature"] {
        let path = format!("/v1/playbooks/{name}/try");
        let preview = fleet.admin.post(path, &json!({})).await.value(200);
        assert!(preview["task_count"].as_u64().unwrap() >= 3, "{name}");
    }
    let gone = fleet.admin.post("/v1/playbooks/gone/try", &json!({})).await;
    gone.problem(404, "not_found");
    same("a trial", &before, &dump(&fleet.pool).await);
}

#[tokio::test]
async fn who_may_store_who_may_read_and_who_may_try() {
    let fleet = Fleet::start().await;
    store(&fleet, RELEASE).await;
    let trial = json!({"variables": {"crates": ["a"]}});
    for role in ["submitter", "viewer"] {
        let client = fleet.client(&fleet.key(role).await);
        client.get("/v1/playbooks/release").await.expect(200);
        client.post("/v1/playbooks/release/try", &trial).await.expect(200);
        client
            .post(
                "/v1/playbooks/try",
                &json!({"source": "{name: x, title: X, tasks: [{ref: a, title: A}]}"}),
            )
            .await
            .expect(200);
        client.post("/v1/playbooks", &json!({"source": RELEASE})).await.problem(403, "forbidden");
        let archive = client.post("/v1/playbooks/release/archive", &json!({})).await;
        archive.problem(403, "forbidden");
    }
    let other = fleet.other_workspace().await;
    other.get("/v1/playbooks/release").await.problem(404, "not_found");
    other.get("/v1/playbooks/release/versions").await.problem(404, "not_found");
    other.post("/v1/playbooks/release/try", &trial).await.problem(404, "not_found");
    let goal =
        json!({"title": "t", "playbook": {"name": "release", "variables": {"crates": ["a"]}}});
    other.post("/v1/goals", &goal).await.problem(404, "not_found");
    other.post("/v1/plans/preview", &goal).await.problem(404, "not_found");
    let nested = json!({"source": "{name: x, title: X, tasks: [{ref: a, use: release, with: {crates: [a]}}]}"});
    let answer = other.post("/v1/playbooks", &nested).await;
    assert_eq!(answer.problem(422, "invalid"), ["/source/tasks/0/use"]);
}

/// Ten people store different texts under one new name at once: ten versions, each whole.
#[tokio::test]
async fn versions_stored_at_once_have_their_own_numbers() {
    let fleet = Fleet::start().await;
    let stored = futures_util::future::join_all((0..10).map(|n| {
        let source = RELEASE.replace("title: Release", &format!("title: Release {n}"));
        let call = fleet.admin.post("/v1/playbooks", &json!({"source": source}));
        async move { (n, call.await.value(201)) }
    }))
    .await;
    let mut versions: Vec<i64> =
        stored.iter().map(|(_, playbook)| playbook["version"].as_i64().unwrap()).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=10).collect::<Vec<_>>());
    for (n, playbook) in stored {
        let path = format!("/v1/playbooks/release?version={}", playbook["version"]);
        let read = fleet.admin.get(path).await.value(200);
        assert_eq!(read["title"], format!("Release {n}"));
    }
}
