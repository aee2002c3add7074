//! Sessions: sign-ins of people in a browser.

use std::time::Duration;

use axum::http::Method;
use muster::domain::access::session::SessionToken;
use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Client},
    fleet::text,
    service::Service,
    statements::Statements,
};

struct Signed {
    id: String,
    token: String,
    key: String,
    client: Client,
}

async fn key(service: &Service, role: &str, person: Option<&str>) -> (String, String) {
    let body = json!({"name": role, "role": role, "person": person});
    let issued = service.admin.post("/v1/keys", &body).await.value(201);
    (text(&issued["key"]["id"]), text(&issued["token"]))
}

async fn sign_in(service: &Service, role: &str, person: Option<&str>) -> Signed {
    let (key, token) = key(service, role, person).await;
    begin(service.anybody.with_key(token), key).await
}

async fn begin(client: Client, key: String) -> Signed {
    let answer = client.post("/v1/sessions", &json!({})).await.expect(201);
    let cookie = answer.header("set-cookie").to_owned();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=604800; HttpOnly; SameSite=Strict");
    let token = pair.strip_prefix("muster_session=").unwrap().to_owned();
    assert!(!String::from_utf8_lossy(&answer.body).contains(&token), "the body has the token");
    Signed { id: text(&answer.json::<Value>()["id"]), token, key, client }
}

async fn with_cookie(service: &Service, token: &str) -> Answer {
    let call = service.anybody.get("/v1/sessions");
    call.header("cookie", &format!("a=b; muster_session={token}")).await
}

async fn is_open(service: &Service, signed: &Signed) -> bool {
    match with_cookie(service, &signed.token).await.status.as_u16() {
        200 => true,
        401 => false,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_session_is_no_key_and_a_key_no_session() {
    let service = Service::start().await;
    let alice = sign_in(&service, "operator", Some("alice")).await;
    assert!(is_open(&service, &alice).await);
    let bearer = service.anybody.with_key(&alice.token);
    for path in ["/v1/sessions", "/v1/whoami", "/v1/goals"] {
        bearer.get(path).await.problem(401, "unauthenticated");
    }
    let (_, token) = key(&service, "operator", Some("alice")).await;
    with_cookie(&service, &token).await.problem(401, "unauthenticated");
    // The cookie opens the list of sessions and nothing else.
    let cookie = format!("muster_session={}", alice.token);
    for (method, path) in [
        (Method::GET, "/v1/whoami"),
        (Method::GET, "/v1/goals"),
        (Method::POST, "/v1/sessions"),
        (Method::DELETE, "/v1/sessions"),
    ] {
        let call = service.anybody.call(method, path).header("cookie", &cookie);
        call.await.problem(401, "unauthenticated");
    }
    // A bad key is not saved by a good cookie.
    let both = service.anybody.with_key("mst_no").get("/v1/sessions").header("cookie", &cookie);
    both.await.problem(401, "unauthenticated");
    let twice = format!("{cookie}; muster_session={}", alice.token);
    let twice = service.anybody.get("/v1/sessions").header("cookie", &twice);
    twice.await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_wrong_secret_opens_no_session() {
    let service = Service::start().await;
    let alice = sign_in(&service, "viewer", Some("alice")).await;
    let bob = sign_in(&service, "viewer", Some("bob")).await;
    let mixed = format!(
        "{}_{}",
        alice.token.rsplit_once('_').unwrap().0,
        bob.token.rsplit_once('_').unwrap().1
    );
    for token in [mixed.as_str(), "", "mss_", "mss_a_b", &alice.token.to_uppercase()] {
        with_cookie(&service, token).await.problem(401, "unauthenticated");
    }
    let stored: Vec<Vec<u8>> = sqlx::query_scalar("select token_sha256 from sessions")
        .fetch_all(service.app.pool())
        .await
        .unwrap();
    assert!(stored.iter().all(|hash| hash.len() == 32));
    for path in ["/v1/audit", "/v1/events", "/v1/sessions"] {
        let shown = service.admin.get(path).await.expect(200);
        let secret = alice.token.rsplit_once('_').unwrap().1;
        assert!(!String::from_utf8_lossy(&shown.body).contains(secret), "{path}");
    }
}

/// An unknown session costs the same look-up as one with a wrong secret, and as an open one.
#[tokio::test]
async fn whatever_is_wrong_with_a_session_the_work_is_the_same() {
    let service = Service::start().await;
    let alice = sign_in(&service, "viewer", Some("alice")).await;
    let over = sign_in(&service, "viewer", Some("bob")).await;
    over.client.call(Method::DELETE, format!("/v1/sessions/{}", over.id)).await.expect(204);
    let id = service.app.entropy().id(service.clock.now());
    let unknown = SessionToken::new(service.workspace, id, [1; 32]);
    let wrong = format!("{}_{}", alice.token.rsplit_once('_').unwrap().0, "a".repeat(52));
    let statements = Statements::record();
    for token in [unknown.expose(), &wrong, &over.token] {
        with_cookie(&service, token).await.problem(401, "unauthenticated");
        assert_eq!(statements.take(), ["sessions.list"]);
    }
    with_cookie(&service, &alice.token).await.expect(200);
    // The look-up, and what was asked for.
    assert_eq!(statements.take(), ["sessions.list", "sessions.list"]);
}

#[tokio::test]
async fn a_session_ends_with_its_key() {
    let service = Service::start().await;
    let alice = sign_in(&service, "viewer", Some("alice")).await;
    let revoke = format!("/v1/keys/{}/revoke", alice.key);
    service.admin.post(revoke, &json!({})).await.expect(200);
    assert!(!is_open(&service, &alice).await);

    let bob = sign_in(&service, "viewer", Some("bob")).await;
    bob.client.post("/v1/keys/rotate", &json!({"overlap_seconds": 60})).await.expect(201);
    assert!(is_open(&service, &bob).await);
    service.clock.advance(Duration::from_secs(60));
    assert!(!is_open(&service, &bob).await, "the key of the session expired");
}

/// Revoking the maker of a key that dies with it ends the session that began with the key.
#[tokio::test]
async fn a_session_ends_with_the_maker_of_its_key() {
    let service = Service::start().await;
    let (maker, token) = key(&service, "admin", Some("maker")).await;
    let body = json!({"name": "m", "role": "viewer", "person": "carol", "dies_with_maker": true});
    let issued = service.anybody.with_key(token).post("/v1/keys", &body).await.value(201);
    let client = service.anybody.with_key(issued["token"].as_str().unwrap());
    let carol = begin(client, text(&issued["key"]["id"])).await;
    assert!(is_open(&service, &carol).await);
    service.admin.post(format!("/v1/keys/{maker}/revoke"), &json!({})).await.expect(200);
    assert!(!is_open(&service, &carol).await);
}

#[tokio::test]
async fn a_session_ends_when_nobody_uses_it_and_after_a_week() {
    let service = Service::start().await;
    let idle = sign_in(&service, "viewer", Some("idle")).await;
    let busy = sign_in(&service, "viewer", Some("busy")).await;
    let hour = Duration::from_secs(3600);
    let mut hours = 0;
    while is_open(&service, &busy).await {
        hours += 1;
        service.clock.advance(hour);
        assert!(hours <= 7 * 24, "a session lasts longer than it may");
        if hours == 8 {
            assert!(!is_open(&service, &idle).await, "an idle session lives");
        }
    }
    assert_eq!(hours, 7 * 24);
}

#[tokio::test]
async fn people_see_and_end_their_own_sessions() {
    let service = Service::start().await;
    let alice = sign_in(&service, "operator", Some("alice")).await;
    // Ids of one instant have no order.
    service.clock.advance(Duration::from_secs(1));
    let more = sign_in(&service, "viewer", Some("alice")).await;
    let bob = sign_in(&service, "operator", Some("bob")).await;
    let nobody = sign_in(&service, "viewer", None).await;
    let ids = |answer: Answer| -> Vec<String> {
        let page = answer.value(200);
        page["items"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect()
    };
    assert_eq!(ids(alice.client.get("/v1/sessions").await), [&*more.id, &*alice.id]);
    assert_eq!(ids(with_cookie(&service, &alice.token).await), [&*more.id, &*alice.id]);
    assert_eq!(ids(nobody.client.get("/v1/sessions").await), [&*nobody.id]);
    assert_eq!(ids(with_cookie(&service, &nobody.token).await), [&*nobody.id]);
    assert_eq!(ids(service.admin.get("/v1/sessions?person=bob").await), [&*bob.id]);
    alice.client.get("/v1/sessions?person=bob").await.problem(403, "forbidden");

    let delete = async |client: &Client, path: String| client.call(Method::DELETE, path).await;
    delete(&alice.client, format!("/v1/sessions/{}", bob.id)).await.problem(404, "not_found");
    delete(&alice.client, "/v1/sessions?person=bob".into()).await.problem(403, "forbidden");
    assert!(is_open(&service, &bob).await);
    delete(&alice.client, format!("/v1/sessions/{}", more.id)).await.expect(204);
    delete(&alice.client, format!("/v1/sessions/{}", more.id)).await.expect(204);
    assert!(!is_open(&service, &more).await && is_open(&service, &alice).await);
    delete(&alice.client, "/v1/sessions".into()).await.expect(204);
    assert!(!is_open(&service, &alice).await && is_open(&service, &bob).await);
    delete(&service.admin, "/v1/sessions?person=bob".into()).await.expect(204);
    assert!(!is_open(&service, &bob).await && is_open(&service, &nobody).await);
    let ended = service.admin.get("/v1/audit?kind=session.ended").await.value(200);
    assert_eq!(ended["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn agents_and_strangers_have_no_sessions() {
    let service = Service::start().await;
    let agent = service.agent("a", &[]).await;
    agent.client.post("/v1/sessions", &json!({})).await.problem(403, "forbidden");
    let alice = sign_in(&service, "viewer", Some("alice")).await;
    let stranger = service.other_workspace().await;
    let path = format!("/v1/sessions/{}", alice.id);
    stranger.call(Method::DELETE, path).await.problem(404, "not_found");
    let theirs = stranger.get("/v1/sessions?person=alice").await.value(200);
    assert_eq!(theirs["items"], json!([]));
    stranger.call(Method::DELETE, "/v1/sessions?person=alice").await.expect(204);
    assert!(is_open(&service, &alice).await);
}

#[tokio::test]
async fn a_sign_in_that_is_sent_again_gives_the_same_cookie() {
    let service = Service::start().await;
    let (_, token) = key(&service, "viewer", Some("alice")).await;
    let client = service.anybody.with_key(token);
    let call = || client.post("/v1/sessions", &json!({})).idempotency_key("once");
    let (first, again) = (call().await.expect(201), call().await.expect(201));
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("set-cookie"), first.header("set-cookie"));
    let over_tls = client.post("/v1/sessions", &json!({})).header("x-forwarded-proto", "https");
    assert!(over_tls.await.expect(201).header("set-cookie").ends_with("; Secure"));
}
