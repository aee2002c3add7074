//! The client of every HTTP test.
//!
//! The same calls go to a router in this process or over TCP to a running server. Each answer is
//! held against the OpenAPI document before the test sees it (see [`super::contract`]), so every
//! test of anything is also a test of the document.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt as _;

use super::contract::Contract;

/// A client with or without a key. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    key: Option<String>,
}

#[derive(Clone)]
enum Transport {
    Router(Router),
    Tcp { base: String, http: reqwest::Client },
}

/// A request that is sent when it is awaited.
pub struct Call {
    transport: Transport,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// An answer that agrees with the document.
#[derive(Debug)]
pub struct Answer {
    /// `GET /v1/goals`, for messages.
    pub call: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Client {
    /// Calls the router in this process.
    pub fn of(router: Router) -> Self {
        Self { transport: Transport::Router(router), key: None }
    }

    /// Calls the server at `base`, for example `http://127.0.0.1:8080`.
    pub fn at(base: impl Into<String>) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without TLS settings can always be built");
        let base = base.into().trim_end_matches('/').to_owned();
        Self { transport: Transport::Tcp { base, http }, key: None }
    }

    /// The same key at another router.
    pub fn to(&self, router: Router) -> Self {
        Self { transport: Transport::Router(router), key: self.key.clone() }
    }

    /// The same client with this key.
    pub fn with_key(&self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self.clone() }
    }

    pub fn get(&self, path: impl Into<String>) -> Call {
        self.call(Method::GET, path)
    }

    pub fn post(&self, path: impl Into<String>, body: &Value) -> Call {
        self.call(Method::POST, path).json(body)
    }

    pub fn patch(&self, path: impl Into<String>, body: &Value) -> Call {
        self.call(Method::PATCH, path).json(body)
    }

    /// Any method, without a body.
    pub fn call(&self, method: Method, path: impl Into<String>) -> Call {
        let call = Call {
            transport: self.transport.clone(),
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Vec::new(),
        };
        match &self.key {
            Some(key) => call.header("authorization", &format!("Bearer {key}")),
            None => call,
        }
    }
}

impl Call {
    /// Adds a header; a second one of the same name does not replace the first.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        self.headers.append(name, value);
        self
    }

    pub fn idempotency_key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// `If-Match` with an `ETag` as it was given.
    pub fn if_match(self, etag: &str) -> Self {
        self.header("if-match", etag)
    }

    pub fn if_none_match(self, etag: &str) -> Self {
        self.header("if-none-match", etag)
    }

    pub fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string())
    }

    /// Any body, also one that is refused.
    pub fn bytes(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    async fn send(self) -> Answer {
        let (method, path) = (self.method.clone(), self.path.clone());
        let answer = match self.transport.clone() {
            Transport::Router(router) => self.send_to_router(router).await,
            Transport::Tcp { base, http } => self.send_over_tcp(&base, &http).await,
        };
        Contract::check(&method, &path, &answer);
        answer
    }

    async fn send_to_router(self, router: Router) -> Answer {
        let call = format!("{} {}", self.method, self.path);
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .body(Body::from(self.body))
            .expect("a request");
        *request.headers_mut() = self.headers;
        let response = router.oneshot(request).await.expect("a router never fails");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body in memory").to_bytes().to_vec();
        Answer { call, status: parts.status, headers: parts.headers, body }
    }

    async fn send_over_tcp(self, base: &str, http: &reqwest::Client) -> Answer {
        let call = format!("{} {}", self.method, self.path);
        let response = http
            .request(self.method, format!("{base}{}", self.path))
            .headers(self.headers)
            .body(self.body)
            .send()
            .await
            .unwrap_or_else(|error| panic!("{call}: no answer: {error:?}"));
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.expect("the whole body").to_vec();
        Answer { call, status, headers, body }
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl Answer {
    /// Panics with the whole answer unless it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.describe());
        self
    }

    /// The body as a `T`.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.describe()))
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub fn value(self, status: u16) -> Value {
        self.expect(status).json()
    }

    /// Panics unless it is a problem with this status and code; gives its `errors`' pointers.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Vec<String> {
        assert_eq!(self.status.as_u16(), status, "{}", self.describe());
        let problem: Value = self.json();
        assert_eq!(problem["code"], code, "{}", self.describe());
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().filter_map(|error| error["pointer"].as_str().map(str::to_owned)).collect()
    }

    /// A header as text; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn etag(&self) -> String {
        self.header(header::ETAG.as_str()).to_owned()
    }

    /// Everything about the answer, for messages.
    pub fn describe(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        format!("{} answered {}\n{:#?}\n{text}", self.call, self.status, self.headers)
    }
}
