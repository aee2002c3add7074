//! The model of a workspace: set by administrators, and its key shown to nobody.

use std::sync::Arc;

use hyper::Method;
use muster::{
    app::{
        App,
        planners::{Planners, unset},
        secrets::{KeySource, NoKeys},
    },
    cli::models::Client as Models,
    domain::{
        planning::{address::Reach, model::ModelApi},
        secret::{MasterKey, MasterKeys},
    },
    outbound::models::ModelClient,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Client},
    dump::dump,
    fleet::{Fleet, router},
};

const KEY: &str = "sk-planner-9f3c1e7a55d2";

#[derive(Debug)]
struct OneKey;

impl KeySource for OneKey {
    fn keys(&self) -> Result<MasterKeys, NoKeys> {
        let line = MasterKey::new(std::array::from_fn(|at| at as u8)).unwrap();
        MasterKeys::parse(line.line().expose_secret()).map_err(|error| NoKeys(error.to_string()))
    }
}

/// An app that asks models, with those hosts listed.
pub fn asking(app: &App, hosts: &[String]) -> App {
    let client = ModelClient::new(Arc::new(|| 0.5)).unwrap();
    let client = client.waiting(std::time::Duration::from_millis(1));
    let hosts = hosts.to_vec();
    let planners = Planners { client: Arc::new(Models(client)), own: None, hosts };
    app.clone().with_master_keys(Arc::new(OneKey)).with_planners(planners)
}

async fn put(admin: &Client, version: &str, spec: Value) -> Answer {
    let call = admin.call(Method::PUT, "/v1/planner").if_match(version);
    call.bytes("application/json", spec.to_string()).await
}

#[tokio::test]
async fn a_model_is_set_changed_and_removed_and_its_key_is_shown_to_nobody() {
    let fleet = Fleet::start().await;
    let app = asking(&fleet.app, &[]);
    let admin = fleet.admin.to(router(&app));
    let none = admin.get("/v1/planner").await;
    assert_eq!(none.etag(), "\"v0\"");
    assert_eq!(none.value(200)["source"], "none");

    let spec = json!({"api": "anthropic", "model": "claude-sonnet-4-5", "key": KEY});
    let set = put(&admin, "\"v0\"", spec).await.value(200);
    assert_eq!((&set["source"], &set["has_key"]), (&json!("workspace"), &json!(true)));
    assert_eq!(set["url"], "https://api.anthropic.com/v1");
    put(&admin, "\"v0\"", json!({"api": "anthropic", "model": "m"}))
        .await
        .problem(412, "precondition_failed");

    let settings = app.planner_model(fleet.workspace).await.unwrap().unwrap();
    assert_eq!(settings.key.unwrap().expose_secret(), KEY);
    assert_eq!(settings.reach, Reach::Public, "nobody listed its host");

    // Another model of the same server has the same key; another server must not get it.
    let kept =
        put(&admin, "\"v1\"", json!({"api": "anthropic", "model": "other"})).await.value(200);
    assert_eq!((&kept["has_key"], &kept["version"]), (&json!(true), &json!(2)));
    let elsewhere = json!({"api": "anthropic", "model": "other", "url": "https://evil.example/v1"});
    let refused = put(&admin, "\"v2\"", elsewhere.clone()).await.problem(422, "invalid");
    assert_eq!(refused, ["/key"]);
    let mut without = elsewhere;
    without["key"] = Value::Null;
    let without = put(&admin, "\"v2\"", without).await.value(200);
    assert_eq!(without["has_key"], false);
    let again = json!({"api": "openai_chat", "model": "m", "key": KEY});
    put(&admin, "*", again).await.expect(200);

    for (table, rows) in dump(&fleet.pool).await {
        for row in rows {
            assert!(!row.contains(KEY), "{table}: {row}");
            assert!(
                !row.contains(&data_encoding::HEXLOWER.encode(KEY.as_bytes())),
                "{table}: {row}"
            );
        }
    }
    for path in ["/v1/planner", "/v1/audit", "/v1/events", "/v1/audit/export"] {
        let shown = admin.get(path).await.expect(200);
        assert!(!String::from_utf8_lossy(&shown.body).contains(KEY), "{path}");
    }

    let call = admin.call(Method::DELETE, "/v1/planner").if_match("*");
    call.await.expect(204);
    let secrets: i64 =
        sqlx::query_scalar("select count(*) from secrets").fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(secrets, 0, "the key goes with it");
    let call = admin.call(Method::DELETE, "/v1/planner").if_match("*");
    call.await.problem(404, "not_found");
}

#[tokio::test]
async fn bad_settings_are_refused_with_their_places() {
    let fleet = Fleet::start().await;
    let admin = fleet.admin.to(router(&asking(&fleet.app, &[])));
    for (spec, places) in [
        (json!({"api": "anthropic", "model": " "}), vec!["/model"]),
        (json!({"api": "anthropic", "model": "m", "url": "ftp://a"}), vec!["/url"]),
        (json!({"api": "anthropic", "model": "m", "url": "https://user:secret@a/"}), vec!["/url"]),
        (json!({"api": "anthropic", "model": "m", "key": ""}), vec!["/key"]),
        (json!({"api": "anthropic", "model": "m", "key": "two\nlines"}), vec!["/key"]),
        (
            json!({"api": "anthropic", "model": "m", "max_output_tokens": 0}),
            vec!["/max_output_tokens"],
        ),
        (
            json!({"api": "anthropic", "model": "m", "timeout_seconds": 3601}),
            vec!["/timeout_seconds"],
        ),
    ] {
        let answer = put(&admin, "*", spec.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), places, "{spec}");
    }
    // An address that would be refused when it is called is refused now, and the answer says what to change.
    for (url, advice) in [
        ("http://api.example.com/v1", "must start with https://"),
        ("http://127.0.0.1:11434/v1", "MUSTER_PLANNER_HOSTS"),
        ("https://10.0.0.7/", "MUSTER_PLANNER_HOSTS"),
        ("https://169.254.169.254/", "MUSTER_PLANNER_HOSTS"),
        ("https://[::1]:8443/", "MUSTER_PLANNER_HOSTS"),
        ("https://[::ffff:192.168.0.1]/", "MUSTER_PLANNER_HOSTS"),
        ("https://localhost:8443/", "MUSTER_PLANNER_HOSTS"),
        ("https://127.1/", "four numbers"),
    ] {
        let spec = json!({"api": "openai_chat", "model": "m", "url": url});
        let answer = put(&admin, "*", spec).await;
        assert_eq!(answer.problem(422, "invalid"), ["/url"], "{url}");
        assert!(answer.describe().contains(advice), "{url}: {}", answer.describe());
    }
    assert_eq!(admin.get("/v1/planner").await.value(200)["version"], 0);
    // The same addresses are accepted where whoever runs the service listed their hosts.
    let listed = ["127.0.0.1:11434".to_owned(), "api.example.com".to_owned()];
    let trusted = fleet.admin.to(router(&asking(&fleet.app, &listed)));
    for url in ["http://127.0.0.1:11434/v1", "http://api.example.com/v1"] {
        let spec = json!({"api": "openai_chat", "model": "m", "url": url});
        put(&trusted, "*", spec).await.expect(200);
    }
    let other = json!({"api": "openai_chat", "model": "m", "url": "http://127.0.0.1:11435/v1"});
    assert_eq!(put(&trusted, "*", other).await.problem(422, "invalid"), ["/url"]);
    trusted.call(Method::DELETE, "/v1/planner").if_match("*").await.expect(204);
    // Without a master key a key is refused, and nothing is stored.
    let keyless = &fleet.admin;
    let spec = json!({"api": "anthropic", "model": "m", "key": KEY});
    put(keyless, "*", spec).await.problem(409, "wrong_state");
    assert_eq!(keyless.get("/v1/planner").await.value(200)["version"], 0);
}

#[tokio::test]
async fn a_workspace_replaces_the_model_of_the_service_as_a_whole() {
    let fleet = Fleet::start().await;
    let mut own = unset(ModelApi::OpenaiChat, "of the service");
    own.key = Some(SecretString::from(KEY));
    own.reach = Reach::Any;
    let client = Arc::new(Models(ModelClient::new(Arc::new(|| 0.5)).unwrap()));
    let app = fleet.app.clone().with_master_keys(Arc::new(OneKey)).with_planners(Planners {
        client,
        own: Some(own),
        hosts: vec!["models.lan".into()],
    });
    let admin = fleet.admin.to(router(&app));
    let shown = admin.get("/v1/planner").await.value(200);
    assert_eq!((&shown["source"], &shown["model"]), (&json!("service"), &json!("of the service")));
    assert_eq!(shown["url"], Value::Null, "where the service calls is its own affair");

    let spec = json!({"api": "openai_chat", "model": "m", "url": "http://models.lan/v1"});
    put(&admin, "*", spec).await.expect(200);
    let settings = app.planner_model(fleet.workspace).await.unwrap().unwrap();
    assert!(settings.key.is_none(), "the key of the service stays with its address");
    assert_eq!(settings.reach, Reach::Any, "the host is listed");
}
