//! One call: a request with the key, and the whole answer within its bounds.

use std::{error::Error as _, future::Future, io, time::Duration};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::{Bytes, Incoming},
    header::{self, HeaderValue},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::{
    address::{PublicOnly, target},
    anthropic,
    echo::Echo,
};
use crate::{
    domain::planning::{
        address::{NOT_PUBLIC, Reach},
        model::{ErrorKind, ModelApi, ModelError, ModelSettings, remark},
    },
    outbound::http::whole,
};

/// Largest answer in bytes.
pub(super) const LARGEST: usize = 4 * 1024 * 1024;
/// Longest time until a connection is made.
const CONNECT: Duration = Duration::from_secs(10);

/// What a server sent.
#[derive(Debug)]
pub(super) struct Reply {
    /// Who was called.
    pub host: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The body without the key; `None`: it is not JSON.
    pub body: Option<Value>,
}

type Caller<R> = Client<HttpsConnector<HttpConnector<R>>, Full<Bytes>>;

/// The two ways to call: anywhere, and only public addresses.
#[derive(Clone)]
pub(super) struct Exchange {
    any: Caller<hyper_util::client::legacy::connect::dns::GaiResolver>,
    public: Caller<PublicOnly>,
}

impl Exchange {
    pub(super) fn new() -> io::Result<Self> {
        let mut any = HttpConnector::new();
        let mut public = HttpConnector::new_with_resolver(PublicOnly);
        any.set_connect_timeout(Some(CONNECT));
        public.set_connect_timeout(Some(CONNECT));
        // TLS is around them.
        any.enforce_http(false);
        public.enforce_http(false);
        let any = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_or_http()
            .enable_http1()
            .wrap_connector(any);
        let public = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_only()
            .enable_http1()
            .wrap_connector(public);
        let builder = Client::builder(TokioExecutor::new());
        Ok(Self { any: builder.build(any), public: builder.build(public) })
    }

    /// Sends a request and reads the whole reply.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn send(
        &self,
        settings: &ModelSettings,
        body: &Value,
        echo: &Echo<'_>,
    ) -> Result<Reply, ModelError> {
        self.send_to(settings, settings.api.endpoint(), body, echo).await
    }

    /// The same to another endpoint of the server.
    ///
    /// # Errors
    /// When there is no reply.
    pub(super) async fn send_to(
        &self,
        settings: &ModelSettings,
        endpoint: &str,
        body: &Value,
        echo: &Echo<'_>,
    ) -> Result<Reply, ModelError> {
        let request = request(settings, endpoint, body)?;
        let host = request.uri().host().unwrap_or_default().to_owned();
        let failed =
            |kind, why: &str| ModelError::new(kind, format!("{host}: {}", remark(&echo.text(why))));
        let silent = || failed(ErrorKind::Timeout, &format!("silent for {:?}", settings.silence));
        let called = async {
            match settings.reach {
                Reach::Any => self.any.request(request).await,
                Reach::Public => self.public.request(request).await,
            }
        };
        let response = within(settings.silence, called).await.ok_or_else(silent)?;
        let response = response.map_err(|error| match whole(&error) {
            why if why.contains(NOT_PUBLIC) => {
                failed(ErrorKind::Forbidden, &format!("the url {NOT_PUBLIC}"))
            }
            why => failed(ErrorKind::Unreachable, &why),
        })?;
        let (head, mut stream) = response.into_parts();
        // A redirect has nothing to say.
        let bytes = if head.status.is_redirection() {
            Vec::new()
        } else {
            read(&mut stream, settings.silence).await.map_err(|stop| match stop {
                Stop::Silent => silent(),
                Stop::TooLarge => {
                    failed(ErrorKind::TooLarge, &format!("answered more than {LARGEST} bytes"))
                }
                Stop::Broken(why) => failed(ErrorKind::Unreachable, &why),
            })?
        };
        let body = serde_json::from_slice(&bytes).ok().map(|body| echo.value(body));
        Ok(Reply { host, status: head.status, headers: head.headers, body })
    }
}

/// Why the body of a reply was not read to its end.
enum Stop {
    Silent,
    TooLarge,
    Broken(String),
}

async fn read(stream: &mut Incoming, silence: Duration) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    while let Some(frame) = within(silence, stream.frame()).await.ok_or(Stop::Silent)? {
        let frame = frame.map_err(|error| {
            Stop::Broken(error.source().map_or_else(|| error.to_string(), ToString::to_string))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > LARGEST {
            return Err(Stop::TooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(time, work).await.ok()
}

fn request(
    settings: &ModelSettings,
    endpoint: &str,
    body: &Value,
) -> Result<Request<Full<Bytes>>, ModelError> {
    let uri = target(settings, endpoint)?;
    let bytes = Bytes::from(body.to_string());
    let mut request = Request::new(Full::new(bytes));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("muster/", env!("CARGO_PKG_VERSION"))),
    );
    if settings.api == ModelApi::Anthropic {
        headers.insert("anthropic-version", HeaderValue::from_static(anthropic::VERSION));
    }
    let Some(key) = &settings.key else { return Ok(request) };
    let key = key.expose_secret().trim();
    let (name, value) = match settings.api {
        ModelApi::OpenaiChat | ModelApi::OpenaiResponses => {
            (header::AUTHORIZATION, format!("Bearer {key}"))
        }
        ModelApi::Anthropic => (header::HeaderName::from_static("x-api-key"), key.to_owned()),
    };
    let mut value = HeaderValue::from_str(&value).map_err(|_| {
        ModelError::new(ErrorKind::BadRequest, "the key has characters that no header may have")
    })?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(request)
}
