//! Keys: making, listing and revoking them, and what a token opens.

use std::{collections::HashSet, time::Duration};

use crate::support::{database::fresh_database, service::Service, statements::Statements};
use futures_util::future::join_all;
use muster::{
    app::access::bootstrap::Bootstrap,
    clock::Clock,
    domain::{access::token::Token, ids::KeyId, refusal::Code},
    entropy::Entropy,
};
use serde_json::{Value, json};

async fn make(service: &Service, role: &str) -> (String, String) {
    let body = json!({"name": format!("a {role}"), "role": role});
    let issued = service.admin.post("/v1/keys", &body).await.value(201);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&issued["key"]["id"]), text(&issued["token"]))
}

#[tokio::test]
async fn a_key_is_shown_once_and_opens_its_workspace() {
    let service = Service::start().await;
    let body = json!({"name": "ci", "role": "submitter", "expires_in_seconds": 60});
    let answer = service.admin.post("/v1/keys", &body).await.expect(201);
    let issued: Value = answer.json();
    let id = issued["key"]["id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/v1/keys/{id}"));
    assert_eq!(issued["key"]["state"], "valid");
    assert_eq!(issued["key"]["expires_at"], "2030-01-01T00:01:00Z");

    let token = issued["token"].as_str().unwrap();
    let whoami = service.anybody.with_key(token).get("/v1/whoami").await.value(200);
    assert_eq!(whoami["workspace_id"], service.workspace.to_string());
    assert_eq!(whoami["key_id"], id);
    assert_eq!(whoami["role"], "submitter");

    let secret = token.rsplit('_').next().unwrap();
    for path in ["/v1/keys", &format!("/v1/keys/{id}"), "/v1/events"] {
        let answer = service.admin.get(path).await.expect(200);
        assert!(!String::from_utf8_lossy(&answer.body).contains(secret), "{path} shows a secret");
    }
}

/// A token that opens something, and tokens that open nothing, each for another reason.
async fn good_and_bad(service: &Service) -> (String, Vec<String>) {
    let (_, good) = make(service, "viewer").await;
    let (revoked_id, revoked) = make(service, "viewer").await;
    let (maker_id, maker) = make(service, "admin").await;
    let mortal = json!({"name": "mortal", "role": "viewer", "dies_with_maker": true});
    let ended = service.anybody.with_key(maker).post("/v1/keys", &mortal).await.value(201);
    for id in [revoked_id, maker_id] {
        service.admin.post(format!("/v1/keys/{id}/revoke"), &json!({})).await.expect(200);
    }
    let short = json!({"name": "short", "role": "viewer", "expires_in_seconds": 1});
    let expired = service.admin.post("/v1/keys", &short).await.value(201);
    let agent = service.agent("gone", &[]).await;
    let path = format!("/v1/agents/{}", agent.id);
    let retired = service.admin.patch(&path, &json!({"state": "retired"})).if_match("*");
    retired.await.expect(200);
    service.clock.advance(Duration::from_secs(1));

    let wrong_secret = format!("{}_{}", good.rsplit_once('_').unwrap().0, "a".repeat(52));
    let unknown =
        Token::new(service.workspace, service.app.entropy().id(service.clock.now()), [1; 32]);
    let elsewhere = Token::new(
        service.app.entropy().id(service.clock.now()),
        service.app.entropy().id(service.clock.now()),
        [1; 32],
    );
    let text = |issued: &Value| issued["token"].as_str().unwrap().to_owned();
    let bad = vec![
        revoked,
        text(&ended),
        text(&expired),
        agent.token,
        wrong_secret,
        unknown.expose().to_owned(),
        elsewhere.expose().to_owned(),
    ];
    (good, bad)
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_the_answer_is_the_same() {
    let service = Service::start().await;
    let (good, bad) = good_and_bad(&service).await;
    let mut details = HashSet::new();
    let malformed = ["mst_nonsense", "0123456789abcdef0123456789abcdef"];
    for token in bad.iter().map(String::as_str).chain(malformed) {
        let answer = service.anybody.with_key(token).get("/v1/whoami").await;
        answer.problem(401, "unauthenticated");
        details.insert(answer.json::<Value>()["detail"].clone());
    }
    assert_eq!(details.len(), 1, "{details:?}");
    service.anybody.with_key(&good).get("/v1/whoami").await.expect(200);
}

/// Nobody learns from the work of the service which keys exist: a key that is unknown costs one look-up,
/// as one with a wrong secret does, and a good one.
#[tokio::test]
async fn whatever_is_wrong_with_a_token_the_work_is_the_same() {
    let service = Service::start().await;
    let (good, bad) = good_and_bad(&service).await;
    let statements = Statements::record();
    for token in bad.iter().chain([&good]) {
        let status = service.anybody.with_key(token).get("/v1/whoami").await.status;
        assert_eq!(status.as_u16(), if *token == good { 200 } else { 401 });
        let work = statements.take();
        assert_eq!(work.first(), Some(&"keys.find"), "{work:?}");
        assert!(work.len() == 1 || *token == good, "{work:?}");
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_even_among_others_in_a_batch() {
    let service = Service::start().await;
    let (id, token) = make(&service, "viewer").await;
    let (_, other) = make(&service, "viewer").await;
    let look = |token: &str| {
        let client = service.anybody.with_key(token);
        async move { client.get("/v1/whoami").await.status.as_u16() }
    };
    let before = join_all((0..50).map(|n| look(if n % 2 == 0 { &token } else { &other }))).await;
    assert!(before.iter().all(|status| *status == 200));

    let path = format!("/v1/keys/{id}/revoke");
    let first = service.admin.post(&path, &json!({})).await.value(200);
    assert_eq!(first["state"], "revoked");
    let after = join_all((0..50).map(|n| look(if n % 2 == 0 { &token } else { &other }))).await;
    let expected: Vec<u16> = (0..50).map(|n| if n % 2 == 0 { 401 } else { 200 }).collect();
    assert_eq!(after, expected);

    service.clock.advance(Duration::from_secs(60));
    let again = service.admin.post(&path, &json!({})).await.value(200);
    assert_eq!(again, first, "revoking again changes nothing");
    let events = service.admin.get("/v1/events?kind=key.revoked").await.value(200);
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_last_admin_key_stays() {
    let service = Service::start().await;
    let me = service.admin.get("/v1/whoami").await.value(200);
    let mine = format!("/v1/keys/{}/revoke", me["key_id"].as_str().unwrap());
    service.admin.post(&mine, &json!({})).await.problem(409, "last_admin_key");

    let short = json!({"name": "short", "role": "admin", "expires_in_seconds": 10});
    service.admin.post("/v1/keys", &short).await.expect(201);
    service.clock.advance(Duration::from_secs(10));
    service.admin.post(&mine, &json!({})).await.problem(409, "last_admin_key");

    let (_, second) = make(&service, "admin").await;
    service.admin.post(&mine, &json!({})).await.expect(200);
    service.admin.get("/v1/keys").await.problem(401, "unauthenticated");
    service.anybody.with_key(second).get("/v1/keys").await.expect(200);
}

#[tokio::test]
async fn admins_who_revoke_each_other_at_once_leave_one() {
    for _ in 0..10 {
        let service = Service::start().await;
        let mut admins = vec![service.admin_token.clone()];
        for _ in 0..3 {
            admins.push(make(&service, "admin").await.1);
        }
        // Each revokes the next, all at once.
        let revokes = (0..admins.len()).map(|n| {
            let client = service.anybody.with_key(&admins[n]);
            let next = Token::parse(&admins[(n + 1) % admins.len()]).unwrap().key();
            async move { client.post(format!("/v1/keys/{next}/revoke"), &json!({})).await.status }
        });
        join_all(revokes).await;
        let tries = join_all(admins.iter().map(|token| service.app.authenticate(token))).await;
        assert!(tries.iter().any(Result::is_ok), "nobody is left");
    }
}

#[tokio::test]
async fn making_a_key_again_with_an_idempotency_key_shows_the_same_token() {
    let service = Service::start().await;
    let body = json!({"name": "ci", "role": "submitter"});
    let call = || service.admin.post("/v1/keys", &body).idempotency_key("once");
    let first = call().await.value(201);
    let again = call().await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json::<Value>(), first);
    let keys = service.admin.get("/v1/keys?role=submitter").await.value(200);
    assert_eq!(keys["items"].as_array().unwrap().len(), 1);

    let token = first["token"].as_str().unwrap();
    let secret = token.rsplit('_').next().unwrap().as_bytes();
    let stored: Vec<Vec<u8>> = sqlx::query_scalar("select sealed from replays")
        .fetch_all(service.app.pool())
        .await
        .unwrap();
    assert!(stored.iter().all(|sealed| !sealed.windows(secret.len()).any(|part| part == secret)));
}

#[tokio::test]
async fn only_admins_have_to_do_with_keys_and_only_with_their_own_workspaces() {
    let service = Service::start().await;
    let (id, _) = make(&service, "viewer").await;
    for role in ["operator", "submitter", "viewer", "agent"] {
        let client = service.with_role(role).await;
        client.get("/v1/keys").await.problem(403, "forbidden");
        let body = json!({"name": "mine", "role": "admin"});
        client.post("/v1/keys", &body).await.problem(403, "forbidden");
        let path = format!("/v1/keys/{id}/revoke");
        client.post(path, &json!({})).await.problem(403, "forbidden");
    }
    let stranger = service.other_workspace().await;
    stranger.get(format!("/v1/keys/{id}")).await.problem(404, "not_found");
    let path = format!("/v1/keys/{id}/revoke");
    stranger.post(path, &json!({})).await.problem(404, "not_found");
    let theirs = stranger.get("/v1/keys").await.value(200);
    assert_eq!(theirs["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_makes_no_key_is_said_in_one_answer() {
    let service = Service::start().await;
    let body = json!({"name": " ", "role": "agent", "expires_in_seconds": 0});
    let answer = service.admin.post("/v1/keys", &body).await;
    assert_eq!(answer.problem(422, "invalid"), ["/name", "/role", "/expires_in_seconds"]);
}

#[tokio::test]
async fn lists_keys_newest_first_in_pages() {
    let service = Service::start().await;
    for _ in 0..5 {
        service.clock.advance(Duration::from_secs(1));
        make(&service, "viewer").await;
    }
    let mut seen: Vec<String> = Vec::new();
    let mut path = "/v1/keys?limit=4".to_owned();
    loop {
        let page = service.admin.get(&path).await.value(200);
        let ids = page["items"].as_array().unwrap().iter();
        seen.extend(ids.map(|key| key["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/keys?limit=4&cursor={cursor}");
    }
    assert_eq!(seen.len(), 6);
    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
}

#[tokio::test]
async fn processes_that_start_at_once_make_one_workspace_and_one_key() {
    for given in [None, Some("0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978")] {
        let database = fresh_database().await;
        let pool = database.pool().await;
        let given = given.map(|text| Token::parse(text).unwrap());
        let starts = (0..4).map(|_| {
            let app = muster::app::App::new(pool.clone(), Clock::Database, Entropy::system());
            let given = given.clone();
            tokio::spawn(async move { app.bootstrap(given.as_ref()).await.unwrap() })
        });
        let outcomes = join_all(starts).await;
        let made =
            outcomes.iter().map(|outcome| outcome.as_ref().unwrap()).filter(
                |outcome| match outcome {
                    Bootstrap::Made(_) => given.is_none(),
                    Bootstrap::Given => given.is_some(),
                    Bootstrap::Existing { given_key_known } => {
                        assert!(given_key_known);
                        false
                    }
                },
            );
        assert_eq!(made.count(), 1);
        for table in ["workspaces", "keys"] {
            let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
            let count: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
            assert_eq!(count, 1, "{table}");
        }
    }
}

#[tokio::test]
async fn a_secret_of_ones_own_is_the_first_key() {
    let database = fresh_database().await;
    let app = muster::app::App::new(database.pool().await, Clock::Database, Entropy::system());
    let text = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978";
    let token = Token::parse(text).unwrap();
    assert!(matches!(app.bootstrap(Some(&token)).await.unwrap(), Bootstrap::Given));
    let principal = app.authenticate(text).await.unwrap();
    assert_eq!(principal.workspace, token.workspace());

    let another = Token::parse("another-secret-of-somebody-0123456789").unwrap();
    let outcome = app.bootstrap(Some(&another)).await.unwrap();
    assert!(matches!(outcome, Bootstrap::Existing { given_key_known: false }));
    let error = app.authenticate(another.expose()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);

    // The way back in when every key is lost.
    let admin = app.local_admin(None).await.unwrap();
    let new = serde_json::from_value(json!({"name": "lost", "role": "admin"})).unwrap();
    let issued = admin.create_key(&new).await.unwrap();
    assert!(app.authenticate(&issued.token).await.is_ok());
    let ids: Vec<KeyId> =
        admin.list_keys(None, 10).await.unwrap().into_iter().map(|key| key.id).collect();
    assert_eq!(ids, [issued.key.id, token.key()], "the first key stands last");
}
