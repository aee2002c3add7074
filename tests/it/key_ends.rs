//! How keys end: rotation, lifetimes of agent keys, and keys that die with their maker. And how one
//! sees that a key is not used.

use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use crate::support::{client::Client, fleet::text, service::Service};

struct Made {
    id: String,
    client: Client,
}

async fn make(service: &Service, maker: &Client, body: Value) -> Made {
    let issued = maker.post("/v1/keys", &body).await.value(201);
    Made {
        id: text(&issued["key"]["id"]),
        client: service.anybody.with_key(issued["token"].as_str().unwrap()),
    }
}

fn named(role: &str) -> Value {
    json!({"name": role, "role": role, "person": "alice"})
}

async fn rotate(service: &Service, path: &str, by: &Client, overlap: u64) -> (Client, Value) {
    let body = json!({"overlap_seconds": overlap});
    let issued = by.post(path, &body).await.value(201);
    (service.anybody.with_key(issued["token"].as_str().unwrap()), issued["key"].clone())
}

async fn is_valid(client: &Client) -> bool {
    match client.get("/v1/whoami").await.status.as_u16() {
        200 => true,
        401 => false,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn both_keys_of_a_rotation_are_valid_until_the_overlap_is_over() {
    let service = Service::start().await;
    let body = json!({"name": "ci", "role": "submitter", "person": "alice",
                      "expires_in_seconds": 1000, "scope": {"access": "read_only"}});
    let old = make(&service, &service.admin, body).await;
    service.clock.advance(Duration::from_secs(100));
    let path = format!("/v1/keys/{}/rotate", old.id);
    let (new, key) = rotate(&service, &path, &service.admin, 60).await;
    for (field, value) in [
        ("role", json!("submitter")),
        ("person", json!("alice")),
        ("name", json!("ci")),
        ("scope", json!({"access": "read_only", "projects": null})),
        // By an admin: the same lifetime again.
        ("expires_at", json!("2030-01-01T00:18:20Z")),
    ] {
        assert_eq!(key[field], value, "{field}");
    }
    assert!(is_valid(&old.client).await && is_valid(&new).await);
    service.clock.advance(Duration::from_secs(59));
    assert!(is_valid(&old.client).await);
    service.clock.advance(Duration::from_secs(1));
    assert!(!is_valid(&old.client).await && is_valid(&new).await);
    let shown = service.admin.get(format!("/v1/keys/{}", old.id)).await.value(200);
    assert_eq!((&shown["state"], &shown["rotated_to"]), (&json!("expired"), &key["id"]));
    let audit = service.admin.get("/v1/audit?kind=key.rotated").await.value(200);
    assert_eq!(audit["items"][0]["row"]["data"]["to_key_id"], key["id"]);
}

/// Whoever holds the old key of a rotation cannot stay: neither by another rotation nor by asking for
/// a longer overlap than the key had.
#[tokio::test]
async fn a_key_is_rotated_once_and_gains_no_time() {
    let service = Service::start().await;
    let body = json!({"name": "temp", "role": "viewer", "expires_in_seconds": 100});
    let old = make(&service, &service.admin, body).await;
    let (new, key) = rotate(&service, "/v1/keys/rotate", &old.client, 5000).await;
    let again = old.client.post("/v1/keys/rotate", &json!({})).await;
    again.problem(409, "wrong_state");
    assert_eq!(key["expires_at"], "2030-01-01T00:01:40Z", "rotating oneself gives no time");
    service.clock.advance(Duration::from_secs(100));
    assert!(!is_valid(&old.client).await && !is_valid(&new).await);
    let path = format!("/v1/keys/{}/rotate", old.id);
    service.admin.post(&path, &json!({})).await.problem(409, "wrong_state");
    let too_long = json!({"overlap_seconds": 2_592_001});
    let answer = service.admin.post(&path, &too_long).await;
    assert_eq!(answer.problem(422, "invalid"), ["/overlap_seconds"]);
}

/// A rotation hands out the new secret once, and to nobody who did not ask for it.
#[tokio::test]
async fn the_key_of_a_rotation_is_shown_once() {
    let service = Service::start().await;
    let old = make(&service, &service.admin, named("operator")).await;
    let body = json!({"overlap_seconds": 60});
    let issued = old.client.post("/v1/keys/rotate", &body).await.value(201);
    let token = text(&issued["token"]);
    let secret = token.rsplit_once('_').unwrap().1;
    let new = text(&issued["key"]["id"]);
    for path in [
        "/v1/keys".to_owned(),
        format!("/v1/keys/{new}"),
        format!("/v1/keys/{}", old.id),
        "/v1/audit".to_owned(),
        "/v1/events".to_owned(),
    ] {
        let shown = service.admin.get(&path).await.expect(200);
        assert!(!String::from_utf8_lossy(&shown.body).contains(secret), "{path} shows a secret");
    }
    let rows: Vec<Vec<u8>> =
        sqlx::query_scalar("select secret_sha256 from keys where name = 'operator'")
            .fetch_all(service.app.pool())
            .await
            .unwrap();
    assert!(rows.len() == 2 && rows[0] != rows[1] && rows.iter().all(|hash| hash.len() == 32));
}

/// Two instances of an agent have a key each. One that rotates its own again and again, with the
/// longest overlap, does not push the other out of the five keys of the agent.
#[tokio::test]
async fn an_agent_that_rotates_its_key_ends_no_other() {
    let service = Service::start().await;
    let other = service.agent("a", &[]).await;
    let mut own = service.agent("a", &[]).await.client;
    for _ in 0..6 {
        own = rotate(&service, "/v1/keys/rotate", &own, 2_592_000).await.0;
    }
    assert!(is_valid(&other.client).await, "the rotation of a key revoked another one");
}

#[tokio::test]
async fn a_rotation_that_is_sent_again_is_done_once() {
    let service = Service::start().await;
    let old = make(&service, &service.admin, named("viewer")).await;
    let body = json!({"overlap_seconds": 60});
    let call = || old.client.post("/v1/keys/rotate", &body).idempotency_key("once");
    let first = call().await.value(201);
    let again = call().await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json::<Value>(), first);
}

#[tokio::test]
async fn keys_of_agents_live_as_the_workspace_says() {
    let service = Service::start().await;
    let before = service.agent("before", &[]).await;
    let read = service.admin.get("/v1/workspace").await.expect(200);
    let change = json!({"agent_key_lifetime_seconds": 600});
    let edit = service.admin.patch("/v1/workspace", &change).if_match(read.header("etag")).await;
    assert_eq!(edit.value(200)["agent_key_lifetime_seconds"], 600);
    let stale = service.admin.patch("/v1/workspace", &change).if_match(read.header("etag"));
    stale.await.problem(412, "precondition_failed");
    let after = service.agent("after", &[]).await;
    service.clock.advance(Duration::from_secs(500));
    let (rotated, _) = rotate(&service, "/v1/keys/rotate", &after.client, 0).await;
    service.clock.advance(Duration::from_secs(100));
    assert!(!is_valid(&before.client).await, "a key from before the edit lives on");
    assert!(!is_valid(&after.client).await && is_valid(&rotated).await);
    service.clock.advance(Duration::from_secs(500));
    assert!(!is_valid(&rotated).await);

    let none = json!({"agent_key_lifetime_seconds": null});
    service.admin.patch("/v1/workspace", &none).if_match("*").await.expect(200);
    let forever = service.agent("forever", &[]).await;
    service.clock.advance(Duration::from_secs(10_000_000));
    assert!(is_valid(&forever.client).await);
    let short = json!({"agent_key_lifetime_seconds": 1});
    let refused = service.admin.patch("/v1/workspace", &short).if_match("*").await;
    assert_eq!(refused.problem(422, "invalid"), ["/agent_key_lifetime_seconds"]);
}

/// A registration that races with the edit gets the new lifetime, or its key is one of those that end.
#[tokio::test]
async fn no_key_of_an_agent_escapes_a_new_lifetime() {
    let service = Service::start().await;
    let register = async |n: usize| {
        let agent = json!({"name": format!("a{n}")});
        service.admin.post("/v1/agents", &agent).await.expect(201);
    };
    let edit = async {
        register(100).await;
        let change = json!({"agent_key_lifetime_seconds": 600});
        service.admin.patch("/v1/workspace", &change).if_match("*").await.expect(200);
    };
    join(join_all((0..30).map(register)), edit).await;
    let endless: i64 =
        sqlx::query_scalar("select count(*) from keys where role = 'agent' and expires_at is null")
            .fetch_one(service.app.pool())
            .await
            .unwrap();
    assert_eq!(endless, 0);
}

#[tokio::test]
async fn a_key_that_dies_with_its_maker_ends_with_the_whole_chain() {
    let service = Service::start().await;
    let first = make(&service, &service.admin, named("admin")).await;
    let mortal =
        |role: &str| json!({"name": role, "role": role, "person": "bob", "dies_with_maker": true});
    let second = make(&service, &first.client, mortal("admin")).await;
    let third = make(&service, &second.client, mortal("viewer")).await;
    // What does not ask to die with its maker still dies with what its maker dies with.
    let fourth = make(&service, &second.client, named("viewer")).await;
    let agent = json!({"name": "a", "dies_with_maker": true});
    let agent = second.client.post("/v1/agents", &agent).await.value(201);
    let agent = service.anybody.with_key(agent["token"].as_str().unwrap());
    let apart = make(&service, &first.client, named("viewer")).await;
    let all = [&second.client, &third.client, &fourth.client, &agent];
    for client in all {
        assert!(is_valid(client).await);
    }
    let revoke = format!("/v1/keys/{}/revoke", first.id);
    service.admin.post(revoke, &json!({})).await.expect(200);
    for client in all {
        assert!(!is_valid(client).await);
    }
    assert!(is_valid(&apart.client).await);
    let shown = service.admin.get(format!("/v1/keys/{}", third.id)).await.value(200);
    assert_eq!(shown["state"], "ended_with_maker");
}

#[tokio::test]
async fn a_key_ends_with_the_expiry_of_its_maker_and_follows_its_rotation() {
    let service = Service::start().await;
    let mortal = |role: &str| json!({"name": role, "role": role, "dies_with_maker": true});
    let short = json!({"name": "s", "role": "admin", "person": "alice", "expires_in_seconds": 100});
    let maker = make(&service, &service.admin, short).await;
    let child = make(&service, &maker.client, mortal("viewer")).await;
    let (_, key) =
        rotate(&service, &format!("/v1/keys/{}/rotate", maker.id), &service.admin, 0).await;
    assert!(is_valid(&child.client).await, "the rotation of its maker ended a key");
    let shown = service.admin.get(format!("/v1/keys/{}", child.id)).await.value(200);
    assert_eq!(shown["dies_with"], json!([key["id"]]));
    service.clock.advance(Duration::from_secs(100));
    assert!(!is_valid(&child.client).await);
}

/// The last admin key is safe: a key that ends with another, or sees less, does not count.
#[tokio::test]
async fn keys_that_end_with_the_last_admin_key_do_not_stand_in_for_it() {
    let service = Service::start().await;
    let mortal = json!({"name": "m", "role": "admin", "dies_with_maker": true});
    make(&service, &service.admin, mortal).await;
    let narrow = json!({"name": "n", "role": "admin", "scope": {"access": "read_only"}});
    make(&service, &service.admin, narrow).await;
    let own = text(&service.admin.get("/v1/whoami").await.value(200)["key_id"]);
    let revoke = service.admin.post(format!("/v1/keys/{own}/revoke"), &json!({})).await;
    revoke.problem(409, "last_admin_key");
}

#[tokio::test]
async fn the_last_use_of_a_key_is_written_behind_its_requests() {
    let service = Service::start().await;
    let used = make(&service, &service.admin, named("viewer")).await;
    let unused = make(&service, &service.admin, named("viewer")).await;
    let last = async |key: &Made| {
        let path = format!("/v1/keys/{}", key.id);
        service.admin.get(path).await.value(200)["last_used_at"].clone()
    };
    used.client.get("/v1/whoami").await.expect(200);
    assert_eq!(last(&used).await, Value::Null, "a request wrote the use of its key");
    muster::supervisor::round(&service.app).await.unwrap();
    assert_eq!(last(&used).await, "2030-01-01T00:00:00Z");
    assert_eq!(last(&unused).await, Value::Null);
    // Within half a minute nothing is written again; a refused request is no use.
    for (seconds, shown) in [(29, "2030-01-01T00:00:00Z"), (1, "2030-01-01T00:00:30Z")] {
        service.clock.advance(Duration::from_secs(seconds));
        used.client.get("/v1/whoami").await.expect(200);
        muster::supervisor::round(&service.app).await.unwrap();
        assert_eq!(last(&used).await, shown);
    }
}
