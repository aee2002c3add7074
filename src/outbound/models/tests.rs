//! The client against a server that plays scripts.

#[allow(dead_code, reason = "the integration tests use other parts of it")]
#[path = "../../../tests/it/support/model_stub.rs"]
pub(super) mod stub;

use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::domain::{
    planning::{
        address::Reach,
        model::{Ending, Speaker, Turn},
    },
    words::Words as _,
};
use stub::{Act, ModelStub};

/// A key that must be nowhere.
const KEY: &str = "sk-a-very-secret-key";

fn settings(api: ModelApi, url: String) -> ModelSettings {
    ModelSettings {
        api,
        url,
        model: "a-model".into(),
        key: Some(SecretString::from(KEY)),
        max_output_tokens: 500,
        timeout: Duration::from_secs(20),
        silence: Duration::from_secs(10),
        reach: Reach::Any,
    }
}

fn conversation() -> Conversation {
    let turn = |speaker, text: &str| Turn { speaker, text: text.into() };
    Conversation {
        instructions: "Plan it".into(),
        turns: vec![
            turn(Speaker::Muster, "A brief"),
            turn(Speaker::Model, "{}"),
            turn(Speaker::Muster, "Again"),
        ],
        schema: json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false}),
    }
}

fn client() -> ModelClient {
    ModelClient::new(Arc::new(|| 0.5)).unwrap().waiting(Duration::from_millis(1))
}

/// Asks a server with a script.
async fn ask(api: ModelApi, script: Vec<Act>) -> (Result<ModelAnswer, ModelError>, ModelStub) {
    let stub = ModelStub::play(script).await;
    let answered = client().ask(&settings(api, stub.url()), &conversation()).await;
    assert!(!format!("{answered:?}").contains(KEY), "{answered:?}");
    (answered, stub)
}

async fn error(script: Vec<Act>) -> (ModelError, usize) {
    let (answered, stub) = ask(ModelApi::OpenaiChat, script).await;
    let error = answered.unwrap_err();
    assert!(!error.to_string().contains(KEY), "{error}");
    (error, stub.received().len())
}

#[tokio::test]
async fn each_format_is_asked_in_its_own_words() {
    for api in ModelApi::ALL {
        let (answered, stub) = ask(*api, vec![Act::Say("a plan".into())]).await;
        let answer = answered.unwrap();
        assert_eq!((answer.text.as_str(), &answer.ending), ("a plan", &Ending::Complete), "{api}");
        assert_eq!((answer.form, answer.retries), (AnswerForm::Schema, 0), "{api}");
        let tokens = answer.usage.unwrap().tokens().unwrap();
        assert_eq!((tokens.input, tokens.cache_read, tokens.output), (60, 40, 20), "{api}");
        let [request] = stub.received().try_into().unwrap();
        assert_eq!(request.path, format!("/v1/{}", api.endpoint()));
        let body = &request.body;
        assert_eq!(body["model"], "a-model");
        let schema = conversation().schema;
        match api {
            ModelApi::OpenaiChat => {
                assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
                assert_eq!(body["max_completion_tokens"], 500);
                let roles: Vec<_> = body["messages"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|m| m["role"].clone())
                    .collect();
                assert_eq!(roles, ["system", "user", "assistant", "user"]);
                let format = &body["response_format"]["json_schema"];
                assert_eq!((&format["strict"], &format["schema"]), (&json!(true), &schema));
            }
            ModelApi::OpenaiResponses => {
                assert_eq!(
                    (&body["instructions"], &body["store"]),
                    (&json!("Plan it"), &json!(false))
                );
                assert_eq!(body["input"][1], json!({"role": "assistant", "content": "{}"}));
                assert_eq!(body["text"]["format"]["schema"], schema);
                assert_eq!(body["max_output_tokens"], 500);
            }
            ModelApi::Anthropic => {
                assert_eq!(request.header("x-api-key"), Some(KEY));
                assert_eq!(request.header("anthropic-version"), Some("2023-06-01"));
                assert_eq!(request.header("authorization"), None);
                assert_eq!(
                    (&body["system"], &body["max_tokens"]),
                    (&json!("Plan it"), &json!(500))
                );
                assert_eq!(body["output_config"]["format"]["schema"], schema);
            }
        }
    }
}

#[tokio::test]
async fn refusals_and_cut_answers_are_answers_with_usage() {
    for api in ModelApi::ALL {
        let (answered, _) = ask(*api, vec![Act::Refuse("I cannot\nhelp".into())]).await;
        let answer = answered.unwrap();
        assert_eq!(answer.ending, Ending::Refused("I cannot help".into()), "{api}");
        assert!(answer.usage.is_some(), "{api}: it is charged");
        let (answered, _) = ask(*api, vec![Act::Cut("{\"tasks\": [".into())]).await;
        let answer = answered.unwrap();
        assert_eq!(answer.ending, Ending::Truncated, "{api}");
        assert!(answer.usage.is_some(), "{api}: it is charged");
    }
}

#[tokio::test]
async fn a_server_without_schemas_is_asked_without() {
    const FORMS: &[&str] = &["json_schema", "json_object"];
    for (api, refused) in
        [(ModelApi::OpenaiChat, 2), (ModelApi::OpenaiResponses, 2), (ModelApi::Anthropic, 1)]
    {
        let acts = vec![Act::NoForms(FORMS, "a plan".into()); refused + 2];
        let stub = ModelStub::play(acts).await;
        let (client, settings) = (client(), settings(api, stub.url()));
        let answer = client.ask(&settings, &conversation()).await.unwrap();
        assert_eq!((answer.form, answer.retries), (AnswerForm::Text, 0), "{api}");
        assert_eq!(stub.received().len(), refused + 1, "{api}");
        client.ask(&settings, &conversation()).await.unwrap();
        assert_eq!(stub.received().len(), refused + 2, "{api}: it is remembered");
    }
}

#[tokio::test]
async fn an_old_server_gets_the_old_limit() {
    let message = "Unsupported parameter: 'max_completion_tokens'".to_owned();
    let fault = Act::Fault(400, "invalid_request_error", message);
    let (answered, stub) = ask(ModelApi::OpenaiChat, vec![fault, Act::Say("a plan".into())]).await;
    answered.unwrap();
    assert_eq!(stub.received()[1].body["max_tokens"], 500);
}

#[tokio::test]
async fn rate_limits_failures_and_lost_connections_are_repeated() {
    let acts = vec![
        Act::Limited("0"),
        Act::Fault(500, "server_error", "Sorry".into()),
        Act::Drop,
        Act::Say("a plan".into()),
    ];
    let (answered, stub) = ask(ModelApi::OpenaiResponses, acts).await;
    assert_eq!(answered.unwrap().retries, 3);
    assert_eq!(stub.received().len(), 4);

    let (error, calls) = error(vec![Act::Fault(503, "server_error", "Busy".into()); 9]).await;
    assert_eq!((error.kind, error.retries, calls), (ErrorKind::Overloaded, 3, 4));
}

#[tokio::test]
async fn a_wait_longer_than_the_time_ends_it_at_once() {
    for asked in ["30", "Wed, 21 Oct 2026 07:28:30 GMT"] {
        let (error, calls) = error(vec![Act::Limited(asked)]).await;
        assert_eq!((error.kind, calls), (ErrorKind::RateLimited, 1));
        assert_eq!(error.retry_after, Some(Duration::from_secs(30)));
    }
}

#[tokio::test]
async fn faults_that_stay_are_not_repeated() {
    let quota = Act::Fault(429, "insufficient_quota", "You exceeded your quota".into());
    let cases = [
        (quota, ErrorKind::NoQuota),
        (
            Act::Fault(401, "invalid_request_error", format!("Incorrect key {KEY}")),
            ErrorKind::Unauthorized,
        ),
        (
            Act::Fault(400, "invalid_request_error", format!("odd {KEY} thing")),
            ErrorKind::BadRequest,
        ),
        (Act::Fault(404, "not_found_error", "no such model".into()), ErrorKind::BadRequest),
        (Act::Raw(200, "text/html", format!("<p>{KEY}</p>")), ErrorKind::Unreadable),
        (Act::Raw(200, "application/json", "{\"choices\": [".into()), ErrorKind::Unreadable),
        (Act::Raw(200, "application/json", "{\"hello\": 1}".into()), ErrorKind::Unreadable),
        (Act::Raw(200, "application/json", "[".repeat(100_000)), ErrorKind::Unreadable),
        (Act::Endless, ErrorKind::TooLarge),
    ];
    for (act, kind) in cases {
        let (error, calls) = error(vec![act]).await;
        assert_eq!((error.kind, calls), (kind, 1), "{error}");
        assert!(error.detail.chars().count() < 400, "{error}");
    }
}

#[tokio::test]
async fn a_redirect_does_not_get_the_key() {
    let other = ModelStub::play([Act::Say("a plan".into())]).await;
    let (error, calls) =
        error(vec![Act::Redirect(format!("{}/chat/completions", other.url()))]).await;
    assert_eq!((error.kind, calls), (ErrorKind::Redirect, 1));
    assert!(other.received().is_empty(), "the key went elsewhere");
}

#[tokio::test]
async fn a_silent_server_is_left() {
    for act in [Act::Hang, Act::Stall] {
        let stub = ModelStub::play([act, Act::Say("a plan".into())]).await;
        let patient = settings(ModelApi::OpenaiChat, stub.url());
        let silent = ModelSettings { silence: Duration::from_millis(100), ..patient.clone() };
        let error = client().ask(&silent, &conversation()).await.unwrap_err();
        assert_eq!((error.kind, stub.received().len()), (ErrorKind::Timeout, 1), "not repeated");
    }
    let stub = ModelStub::play([Act::Hang]).await;
    let patient = settings(ModelApi::OpenaiChat, stub.url());
    let short = ModelSettings { timeout: Duration::from_millis(100), ..patient };
    let error = client().ask(&short, &conversation()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout);
}

#[tokio::test]
async fn a_key_that_a_server_repeats_is_removed() {
    let (answered, _) = ask(ModelApi::OpenaiChat, vec![Act::Say(format!("my key is {KEY}"))]).await;
    assert_eq!(answered.unwrap().text, "my key is [key]");
    assert!(!format!("{:?}", settings(ModelApi::Anthropic, String::new())).contains(KEY));
}

#[tokio::test]
async fn a_workspace_does_not_reach_this_machine() {
    let stub = ModelStub::play([Act::Say("a plan".into())]).await;
    let port = stub.address.port();
    for url in
        [stub.url(), format!("https://localhost:{port}/v1"), format!("https://127.0.0.1:{port}")]
    {
        let of_workspace =
            ModelSettings { reach: Reach::Public, ..settings(ModelApi::OpenaiChat, url.clone()) };
        let error = client().ask(&of_workspace, &conversation()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Forbidden, "{url}: {error}");
    }
    assert!(stub.received().is_empty());
}

#[tokio::test]
async fn jitter_is_asked_for_each_wait() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let jitter = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        0.0
    };
    let client = ModelClient::new(Arc::new(jitter)).unwrap().waiting(Duration::from_millis(1));
    let stub = ModelStub::play([Act::Limited("0"), Act::Limited("0"), Act::Say("p".into())]).await;
    client.ask(&settings(ModelApi::Anthropic, stub.url()), &conversation()).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

/// Plans with a real model. `handbook/planners.md` says how to run one.
#[tokio::test]
#[ignore = "needs MUSTER_TEST_MODEL_URL: the address of an OpenAI-compatible server with a model"]
async fn a_real_model_answers() {
    let Ok(url) = std::env::var("MUSTER_TEST_MODEL_URL") else {
        panic!("MUSTER_TEST_MODEL_URL is not set");
    };
    let model = std::env::var("MUSTER_TEST_MODEL").unwrap_or_else(|_| "local".into());
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["tasks"],
        "properties": {"tasks": {"type": "array", "items": {
            "type": "object", "additionalProperties": false, "required": ["ref", "title"],
            "properties": {"ref": {"type": "string"}, "title": {"type": "string"}},
        }}},
    });
    let conversation = Conversation {
        instructions: "Break the brief into tasks. Answer with JSON of the schema.".into(),
        turns: vec![Turn {
            speaker: Speaker::Muster,
            text: format!(
                "Brief: write a page about tea, and check its spelling. Schema: {schema}"
            ),
        }],
        schema,
    };
    // A small model answers within a minute on two free cores.
    let most = Duration::from_secs(300);
    let settings = ModelSettings {
        model,
        timeout: most,
        silence: most,
        max_output_tokens: 300,
        ..settings(ModelApi::OpenaiChat, url)
    };
    let answer = client().ask(&settings, &conversation).await.unwrap();
    println!("{answer:#?}");
    assert!(answer.text.contains("tasks"), "the form of the answer is held");
    assert!(answer.usage.unwrap().tokens().unwrap().output > 0);
}
