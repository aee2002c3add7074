//! The client against a server that plays scripts.

use std::time::Duration;

use secrecy::SecretString;

use super::*;
use crate::{
    domain::planning::{address::Reach, model::ModelApi},
    outbound::models::tests::stub::{Act, ModelStub},
};

/// A key that must be nowhere.
const KEY: &str = "sk-a-very-secret-key";

fn settings(url: String) -> ModelSettings {
    ModelSettings {
        api: ModelApi::OpenaiChat,
        url,
        model: "a-model".into(),
        key: Some(SecretString::from(KEY)),
        max_output_tokens: 1,
        timeout: Duration::from_secs(20),
        silence: Duration::from_secs(10),
        reach: Reach::Any,
    }
}

fn texts() -> Vec<String> {
    vec!["one".to_owned(), "two\nlines".to_owned()]
}

fn json_of(body: &Value) -> Act {
    Act::Raw(200, "application/json", body.to_string())
}

/// Asks with settings; neither the error nor the client shows the key.
async fn ask(settings: ModelSettings) -> Result<Vec<Vec<f32>>, ModelError> {
    let client = EmbeddingClient::new(settings).unwrap();
    let answered = client.embed(&texts()).await;
    let shown = format!("{client:?} {answered:?}");
    assert!(!shown.contains(KEY), "{shown}");
    answered
}

async fn error(act: Act) -> (ModelError, usize) {
    let stub = ModelStub::play([act]).await;
    let error = ask(settings(stub.url())).await.unwrap_err();
    assert!(!error.to_string().contains(KEY), "{error}");
    assert!(error.detail.chars().count() < 400, "{error}");
    (error, stub.received().len())
}

#[tokio::test]
async fn texts_are_sent_at_once_and_answered_in_their_order() {
    let body = json!({"object": "list", "model": "a-model-2", "usage": {"total_tokens": 4}, "data": [
        {"object": "embedding", "index": 1, "embedding": [0.5, -1]},
        {"object": "embedding", "index": 0, "embedding": [1e-3, 2]},
    ]});
    let stub = ModelStub::play([json_of(&body)]).await;
    let vectors = ask(settings(stub.url())).await.unwrap();
    assert_eq!(vectors, [[1e-3, 2.0], [0.5, -1.0]]);
    let [request] = stub.received().try_into().unwrap();
    assert_eq!(request.path, "/v1/embeddings");
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(
        (&request.body["model"], &request.body["input"]),
        (&json!("a-model"), &json!(texts()))
    );
}

#[tokio::test]
async fn a_failure_is_one_call_and_one_line_without_the_key() {
    let one = json!({"data": [{"index": 0, "embedding": [1]}]});
    let text = json!({"data": [{"embedding": KEY}, {"embedding": KEY}]});
    let cases = [
        (Act::Limited("0"), ErrorKind::RateLimited),
        (Act::Fault(503, "server_error", format!("busy {KEY}")), ErrorKind::Overloaded),
        (Act::Fault(401, "invalid_request_error", format!("bad {KEY}")), ErrorKind::Unauthorized),
        (Act::Fault(400, "invalid_request_error", format!("odd\n{KEY}")), ErrorKind::BadRequest),
        (Act::Raw(200, "text/html", format!("<p>{KEY}</p>")), ErrorKind::Unreadable),
        (json_of(&one), ErrorKind::Unreadable),
        (json_of(&text), ErrorKind::Unreadable),
        (Act::Endless, ErrorKind::TooLarge),
    ];
    for (act, kind) in cases {
        let (error, calls) = error(act).await;
        assert_eq!((error.kind, calls), (kind, 1), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_does_not_get_the_key() {
    let other = ModelStub::play([]).await;
    let (error, calls) = error(Act::Redirect(format!("{}/embeddings", other.url()))).await;
    assert_eq!((error.kind, calls), (ErrorKind::Redirect, 1));
    assert!(other.received().is_empty(), "the key went elsewhere");
}

#[tokio::test]
async fn a_silent_server_is_left() {
    let short = Duration::from_millis(100);
    for act in [Act::Hang, Act::Stall] {
        let stub = ModelStub::play([act.clone()]).await;
        let silent = ModelSettings { silence: short, ..settings(stub.url()) };
        assert_eq!(ask(silent).await.unwrap_err().kind, ErrorKind::Timeout);
        let stub = ModelStub::play([act]).await;
        let late = ModelSettings { timeout: short, ..settings(stub.url()) };
        assert_eq!(ask(late).await.unwrap_err().kind, ErrorKind::Timeout);
    }
}

#[test]
fn vectors_are_read_by_their_index() {
    let body =
        json!({"data": [{"index": 1, "embedding": [3.0, 4]}, {"index": 0, "embedding": [1, 2]}]});
    assert_eq!(read(&body, 2), Some(vec![vec![1.0, 2.0], vec![3.0, 4.0]]));
    let unnumbered = json!({"data": [{"embedding": [1]}, {"embedding": [2]}]});
    assert_eq!(read(&unnumbered, 2), Some(vec![vec![1.0], vec![2.0]]));
}

#[test]
fn what_does_not_fit_is_no_answer() {
    for body in [
        json!({}),
        json!({"data": []}),
        json!({"data": [{"embedding": [1]}]}),
        json!({"data": [{"embedding": [1]}, {"embedding": [1, 2]}]}),
        json!({"data": [{"index": 0, "embedding": [1]}, {"index": 7, "embedding": [1]}]}),
        json!({"data": [{"embedding": []}, {"embedding": []}]}),
        json!({"data": [{"embedding": ["a"]}, {"embedding": [1]}]}),
        json!({"data": "x"}),
    ] {
        assert_eq!(read(&body, 2), None, "{body}");
    }
}
