//! People who look after lessons: they write, edit, confirm, put away, merge, promote and count them.

use muster::domain::access::role::Role;
use serde_json::{Value, json};

use super::{learning, lesson, read_lesson, settings};
use crate::support::{
    client::{Answer, Client},
    dump::dump,
    fleet::{Fleet, text},
    invariants::verify_rested,
};

const TITLE: &str = "Dates of the importer";
const BODY: &str = "They are local time. Convert them first.";

fn new(title: &str, body: &str) -> Value {
    json!({"kind": "howto", "title": title, "body": body})
}

async fn act(client: &Client, lesson: &str, verb: &str, body: Value) -> Answer {
    client.post(format!("/v1/lessons/{lesson}/{verb}"), &body).await
}

/// Ids of the lessons that a search by a client finds.
async fn found(client: &Client, query: &str, states: &[&str]) -> Vec<String> {
    let request = json!({"query": query, "states": states});
    let answer = client.post("/v1/knowledge/search", &request).await.value(200);
    let results = answer["results"].as_array().unwrap();
    results.iter().map(|result| text(&result["lesson"]["id"])).collect()
}

async fn listed(client: &Client, filter: &str) -> Vec<String> {
    let page = client.get(format!("/v1/lessons?limit=200&{filter}")).await.value(200);
    page["items"].as_array().unwrap().iter().map(|one| text(&one["id"])).collect()
}

async fn project(fleet: &Fleet, name: &str) -> String {
    text(&fleet.poster.post("/v1/projects", &json!({"name": name})).await.value(201)["id"])
}

/// A key of an operator for single projects.
async fn scoped(fleet: &Fleet, projects: &[&str]) -> Client {
    let body = json!({"name": "scoped", "role": "operator", "scope": {"projects": projects}});
    let issued = fleet.admin.post("/v1/keys", &body).await.value(201);
    fleet.client(issued["token"].as_str().unwrap())
}

#[tokio::test]
async fn people_write_lessons_and_edit_them_in_versions() {
    let fleet = Fleet::start().await;
    let operator = fleet.client(&fleet.key_of(Role::Operator, Some("olga")).await);
    let mut asked = new(TITLE, BODY);
    asked["applies_to"] = json!(["src/importer.rs"]);
    let made = operator.post("/v1/lessons", &asked).idempotency_key("once").await.expect(201);
    let written: Value = made.json();
    let id = text(&written["id"]);
    let path = format!("/v1/lessons/{id}");
    assert_eq!(made.header("location"), path);
    assert_eq!((&written["state"], &written["trust"]), (&json!("active"), &json!("person")));
    assert_eq!((&written["origin"], &written["version"]), (&json!("person"), &json!(1)));
    assert_eq!((&written["cluster_id"], &written["project_id"]), (&written["id"], &Value::Null));
    let again = operator.post("/v1/lessons", &asked).idempotency_key("once").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.value(201), written);
    assert_eq!(found(&operator, "importer", &[]).await, std::slice::from_ref(&id));

    let read = operator.get(&path).await;
    let etag = read.etag();
    operator.get(&path).if_none_match(&etag).await.expect(304);
    let change = json!({"body": "They are universal time.", "kind": "pitfall"});
    operator.patch(&path, &change).await.problem(428, "precondition_required");
    let edited = operator.patch(&path, &change).if_match(&etag).await.value(200);
    assert_eq!((&edited["version"], &edited["kind"]), (&json!(2), &json!("pitfall")));
    assert_eq!(
        (&edited["title"], &edited["applies_to"]),
        (&json!(TITLE), &json!(["src/importer.rs"]))
    );
    operator.patch(&path, &change).if_match(&etag).await.problem(412, "precondition_failed");
    assert!(found(&operator, "convert", &[]).await.is_empty(), "the old text is not searched");
    assert_eq!(found(&operator, "universal", &[]).await, std::slice::from_ref(&id));

    let versions = operator.get(format!("{path}/versions?limit=1")).await.value(200);
    assert_eq!(
        (&versions["items"][0]["version"], &versions["items"][0]["person"]),
        (&json!(2), &json!("olga"))
    );
    let cursor = text(&versions["next_cursor"]);
    let versions = operator.get(format!("{path}/versions?cursor={cursor}")).await.value(200);
    assert_eq!(
        (&versions["items"][0]["version"], &versions["items"][0]["body"]),
        (&json!(1), &json!(BODY))
    );
    let kinds: Vec<String> =
        sqlx::query_scalar("select kind from journal where kind like 'lesson%' order by number")
            .fetch_all(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(kinds, ["lesson.created", "lesson.updated"]);
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_is_refused_writes_nothing() {
    let fleet = Fleet::start().await;
    let id = lesson(&fleet, "howto", TITLE, BODY).await;
    let before = dump(&fleet.pool).await;
    let token = format!("ghp_{}", "q7Zt2LxV9bKd4RwM1nHs8YcP3jFg6TuAe5Xo");
    let many: Vec<String> = (0..21).map(|number| format!("file {number}")).collect();
    let cases = [
        (json!({"kind": "digest", "title": "x", "body": "x"}), "/kind"),
        (new(" ", "x"), "/title"),
        (new(&"x".repeat(301), "x"), "/title"),
        (new("two\nlines", "x"), "/title"),
        (new("x", ""), "/body"),
        (new("x", &"x".repeat(16 * 1024 + 1)), "/body"),
        (new("x", &format!("log in with {token}")), "/body"),
        (new(&format!("use {token}"), "x"), "/title"),
        (json!({"kind": "howto", "title": "x", "body": "x", "applies_to": many}), "/applies_to"),
        (json!({"kind": "howto", "title": "x", "body": "x", "applies_to": [token]}), "/applies_to"),
        (
            json!({"kind": "howto", "title": "x", "body": "x", "project_id": fleet.no_id()}),
            "/project_id",
        ),
    ];
    for (body, place) in cases {
        let refused = fleet.admin.post("/v1/lessons", &body).await;
        assert_eq!(refused.problem(422, "invalid"), [place], "{body}");
        assert!(!refused.describe().contains(&token), "the answer repeats the secret");
    }
    let path = format!("/v1/lessons/{id}");
    let edit = json!({"body": format!("log in with {token}")});
    let refused = fleet.admin.patch(&path, &edit).if_match("*").await;
    assert_eq!(refused.problem(422, "invalid"), ["/body"]);
    for (verb, body) in [
        ("merge", json!({"with": [id]})),
        ("merge", json!({"with": []})),
        ("merge", json!({"with": [fleet.no_id()]})),
        ("supersede", json!({"lesson_id": id})),
        ("contradict", json!({"lesson_id": fleet.no_id()})),
    ] {
        act(&fleet.admin, &id, verb, body.clone()).await.problem(422, "invalid");
    }
    act(&fleet.admin, &id, "restore", json!({})).await.problem(409, "wrong_state");
    act(&fleet.admin, &id, "promote", json!({})).await.problem(409, "wrong_state");
    for role in ["submitter", "viewer"] {
        let client = fleet.client(&fleet.key(role).await);
        client.post("/v1/lessons", &new("x", "x")).await.problem(403, "forbidden");
        act(&client, &id, "archive", json!({})).await.problem(403, "forbidden");
    }
    let stranger = fleet.other_workspace().await;
    for verb in ["confirm", "archive", "restore"] {
        act(&stranger, &id, verb, json!({})).await.problem(404, "not_found");
    }
    let after = dump(&fleet.pool).await;
    for table in
        ["lessons", "lesson_versions", "lesson_bands", "lesson_links", "docs", "postings", "terms"]
    {
        assert_eq!(before.get(table), after.get(table), "{table}");
    }
    // The keys of the callers are recorded, and nothing of a lesson.
    let told = |rows: &[String]| rows.iter().filter(|row| row.contains("\"lesson.")).count();
    assert_eq!((told(&before["journal"]), told(&after["journal"])), (1, 1));
}

#[tokio::test]
async fn a_lesson_is_put_away_and_brought_back() {
    let fleet = learning().await;
    let id = lesson(&fleet, "pitfall", TITLE, BODY).await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({"title": TITLE})).await;
    let archived =
        act(&fleet.admin, &id, "archive", json!({"reason": "no longer true"})).await.value(200);
    assert_eq!(
        (&archived["state"], &archived["reason"]),
        (&json!("archived"), &json!("no longer true"))
    );
    assert!(found(&fleet.admin, "importer", &[]).await.is_empty());
    assert_eq!(found(&fleet.admin, "importer", &["archived"]).await, std::slice::from_ref(&id));
    assert!(found(&agent.client, "importer", &["archived"]).await.is_empty());
    assert!(agent.take().await.claim["lessons"]["lessons"].as_array().is_none_or(Vec::is_empty));
    let restored = act(&fleet.admin, &id, "restore", json!({})).await.value(200);
    assert_eq!((&restored["state"], &restored["reason"]), (&json!("active"), &Value::Null));
    assert_eq!(found(&fleet.admin, "importer", &[]).await, std::slice::from_ref(&id));
    assert_eq!(found(&agent.client, "importer", &[]).await, std::slice::from_ref(&id));
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_person_vouches_for_a_candidate() {
    let fleet = Fleet::start().await;
    let line = json!({"kind": "howto", "title": TITLE, "body": BODY});
    fleet.poster.post("/v1/lessons/import", &line).await.expect(200);
    let id = listed(&fleet.admin, "state=candidate").await.remove(0);
    for times in 1..=2 {
        let confirmed = act(&fleet.admin, &id, "confirm", json!({})).await.value(200);
        assert_eq!(
            (&confirmed["state"], &confirmed["trust"]),
            (&json!("active"), &json!("person"))
        );
        assert_eq!(
            (&confirmed["confirmed"], &confirmed["external"]),
            (&json!(times), &json!(true))
        );
        assert!(confirmed["confirmed_at"].is_string());
    }
    assert_eq!(listed(&fleet.admin, "state=active&origin=import").await, [id]);
}

#[tokio::test]
async fn a_merge_replaces_its_sources_and_is_trusted_as_the_least_of_them() {
    let fleet = Fleet::start().await;
    let first = lesson(&fleet, "howto", TITLE, BODY).await;
    let second = lesson(&fleet, "howto", "Zones of the importer", "Airports have zones.").await;
    let line = json!({"kind": "howto", "title": "Seconds of the importer", "body": "They leap.",
                      "applies_to": ["src/clock.rs"]});
    fleet.poster.post("/v1/lessons/import", &line).await.expect(200);
    let third = listed(&fleet.admin, "state=candidate").await.remove(0);
    let merged =
        act(&fleet.admin, &first, "merge", json!({"with": [second, third]})).await.value(200);
    assert_eq!((&merged["version"], &merged["state"]), (&json!(2), &json!("active")));
    assert_eq!((&merged["trust"], &merged["title"]), (&json!("unverified"), &json!(TITLE)));
    assert_eq!(merged["supersedes"], json!([second, third]));
    assert_eq!(merged["applies_to"], json!(["src/clock.rs"]));
    let body = text(&merged["body"]);
    for part in [BODY, "Airports have zones.", "They leap."] {
        assert!(body.contains(part), "{body}");
    }
    for id in [&second, &third] {
        let replaced = read_lesson(&fleet, id).await;
        assert_eq!(
            (&replaced["state"], &replaced["superseded_by"]),
            (&json!("superseded"), &json!(first))
        );
    }
    assert_eq!(
        found(&fleet.admin, "importer airports leap", &[]).await,
        std::slice::from_ref(&first)
    );
    // What is superseded replaces nothing; a restored lesson is as before.
    let other = lesson(&fleet, "howto", "Clocks", "They tick.").await;
    let by = json!({"lesson_id": second});
    act(&fleet.admin, &other, "supersede", by).await.problem(422, "invalid");
    let restored = act(&fleet.admin, &second, "restore", json!({})).await.value(200);
    assert_eq!((&restored["state"], &restored["superseded_by"]), (&json!("active"), &Value::Null));
    let replaced =
        act(&fleet.admin, &other, "supersede", json!({"lesson_id": first})).await.value(200);
    assert_eq!(
        (&replaced["state"], &replaced["superseded_by"]),
        (&json!("superseded"), &json!(first))
    );
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_person_links_opposites_and_readers_of_one_project_hear_of_no_other() {
    let fleet = Fleet::start().await;
    let (north, south) = (project(&fleet, "north").await, project(&fleet, "south").await);
    let write = async |project: Option<&String>, title: &str| {
        let body =
            json!({"kind": "howto", "title": title, "body": "Stripes.", "project_id": project});
        text(&fleet.admin.post("/v1/lessons", &body).await.value(201)["id"])
    };
    let (one, two) =
        (write(Some(&north), "Zebras run").await, write(Some(&south), "Horses stand").await);
    let all = write(None, "Donkeys wait").await;
    let link = |id: &String| json!({"lesson_id": id});
    act(&fleet.admin, &one, "contradict", link(&all)).await.expect(200);
    let linked = act(&fleet.admin, &one, "contradict", link(&two)).await.value(200);
    assert_eq!(linked["contradicts"], json!([all]));
    assert_eq!(read_lesson(&fleet, &two).await["contradicts"], json!([]));
    assert_eq!(read_lesson(&fleet, &all).await["contradicts"], json!([]));
    // The same link again changes nothing.
    act(&fleet.admin, &all, "contradict", link(&one)).await.expect(200);
    let links: i64 = sqlx::query_scalar("select count(*) from lesson_links")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    assert_eq!(links, 2);
    // What would tell readers of a project of another is refused.
    let places =
        act(&fleet.admin, &one, "merge", json!({"with": [two]})).await.problem(422, "invalid");
    assert_eq!(places, ["/with/0"]);
    act(&fleet.admin, &one, "supersede", link(&two)).await.problem(422, "invalid");
}

#[tokio::test]
async fn a_lesson_of_a_project_is_shown_to_the_workspace_by_who_sees_it_all() {
    let fleet = Fleet::start().await;
    let north = project(&fleet, "north").await;
    let own = scoped(&fleet, &[&north]).await;
    let other = scoped(&fleet, &[&project(&fleet, "south").await]).await;
    let places = own.post("/v1/lessons", &new(TITLE, BODY)).await.problem(422, "invalid");
    assert_eq!(places, ["/project_id"]);
    let mut asked = new(TITLE, BODY);
    asked["project_id"] = json!(north);
    let id = text(&own.post("/v1/lessons", &asked).await.value(201)["id"]);
    other.get(format!("/v1/lessons/{id}")).await.problem(404, "not_found");
    act(&other, &id, "archive", json!({})).await.problem(404, "not_found");
    act(&own, &id, "promote", json!({})).await.problem(403, "forbidden");
    let agent = fleet.worker().await;
    assert!(found(&agent.client, "importer", &[]).await.is_empty());
    let promoted = act(&fleet.admin, &id, "promote", json!({})).await.value(200);
    assert_eq!((&promoted["project_id"], &promoted["cluster_id"]), (&Value::Null, &json!(id)));
    assert_eq!(found(&agent.client, "importer", &[]).await, std::slice::from_ref(&id));
    // A key for single projects sees only lessons of these.
    own.get(format!("/v1/lessons/{id}")).await.problem(404, "not_found");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn lists_and_numbers_say_what_needs_a_look() {
    let fleet = learning().await;
    let old = lesson(&fleet, "howto", TITLE, BODY).await;
    let twin = lesson(&fleet, "howto", TITLE, BODY).await;
    fleet.pass(200 * 86_400);
    let fresh = lesson(&fleet, "pitfall", "Zebras bite", "Keep away from zebras.").await;
    let shown = lesson(&fleet, "decision", "Horses are fed at noon", "Because of the heat.").await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({"title": "Horses are fed at noon"})).await;
    let held = agent.take().await;
    assert_eq!(held.claim["lessons"]["lessons"][0]["id"], json!(shown));
    agent.complete(&held).await;
    fleet.round().await;
    act(&fleet.admin, &fresh, "contradict", json!({"lesson_id": shown})).await.expect(200);
    let newest_first = |mut ids: Vec<String>| {
        ids.sort();
        ids.reverse();
        ids
    };
    let list = async |filter: &str| listed(&fleet.admin, filter).await;
    assert_eq!(list("kind=pitfall").await, std::slice::from_ref(&fresh));
    assert_eq!(list("contradicted=true").await, newest_first(vec![fresh.clone(), shown.clone()]));
    assert_eq!(
        list("origin=person&never_shown=true").await,
        newest_first(vec![old.clone(), twin.clone(), fresh.clone()])
    );
    let since = "2026-06-01T00:00:00Z";
    assert_eq!(
        list(&format!("stale_since={since}")).await,
        newest_first(vec![old.clone(), twin.clone()])
    );
    assert_eq!(list("state=archived").await, Vec::<String>::new());
    let digest = list("kind=digest").await;
    assert_eq!(digest.len(), 1);
    let numbers = fleet.admin.get("/v1/knowledge/statistics").await.value(200);
    assert_eq!(numbers["lessons"], 5);
    assert_eq!(numbers["states"], json!({"active": 4, "candidate": 1}));
    assert_eq!(numbers["kinds"], json!({"howto": 2, "pitfall": 1, "decision": 1, "digest": 1}));
    assert_eq!((&numbers["duplicates"], &numbers["contradicted"]), (&json!(1), &json!(2)));
    assert_eq!((&numbers["never_shown"], &numbers["stale"]), (&json!(4), &json!(2)));
    assert_eq!((&numbers["disliked"], numbers["growth"].as_array().unwrap().len()), (&json!(0), 1));
    assert_eq!(
        (&numbers["growth"][0]["written"], &numbers["growth"][0]["digests"]),
        (&json!(3), &json!(1))
    );
    // A page at a time, each lesson once.
    let mut paged = Vec::new();
    let mut next = Some("/v1/lessons?limit=2".to_owned());
    while let Some(path) = next {
        let page = fleet.admin.get(path).await.value(200);
        paged.extend(page["items"].as_array().unwrap().iter().map(|one| text(&one["id"])));
        next = page["next_cursor"]
            .as_str()
            .map(|cursor| format!("/v1/lessons?limit=2&cursor={cursor}"));
    }
    assert_eq!(paged, newest_first(vec![old, twin, fresh, shown, digest[0].clone()]));
}

#[tokio::test]
async fn what_was_put_away_long_ago_is_deleted_with_everything_of_it() {
    const DAY: u64 = 86_400;
    let fleet = learning().await;
    let kept = lesson(&fleet, "howto", "Horses are fed at noon", "Because of the heat.").await;
    let before = dump(&fleet.pool).await;
    let gone = lesson(&fleet, "howto", TITLE, BODY).await;
    let replaced = lesson(&fleet, "howto", "Zebras bite", "Keep away from zebras.").await;
    act(&fleet.admin, &gone, "contradict", json!({"lesson_id": kept})).await.expect(200);
    act(&fleet.admin, &gone, "archive", json!({})).await.expect(200);
    act(&fleet.admin, &replaced, "supersede", json!({"lesson_id": kept})).await.expect(200);
    fleet.after(400 * DAY).await;
    assert_eq!(
        read_lesson(&fleet, &gone).await["state"],
        "archived",
        "nothing is deleted unless somebody says so"
    );
    settings(&fleet, json!({"lesson_retention_days": 401})).await;
    fleet.round().await;
    read_lesson(&fleet, &gone).await;
    fleet.after(2 * DAY).await;
    for id in [&gone, &replaced] {
        fleet.admin.get(format!("/v1/lessons/{id}")).await.problem(404, "not_found");
    }
    let after = dump(&fleet.pool).await;
    for table in [
        "lessons",
        "lesson_versions",
        "lesson_bands",
        "lesson_links",
        "docs",
        "postings",
        "terms",
        "word_grams",
    ] {
        assert_eq!(before.get(table), after.get(table), "{table}");
    }
    verify_rested(&fleet.pool, fleet.now()).await;
}
