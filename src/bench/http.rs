//! One connection to the service, as one agent has it.
//!
//! Plain HTTP/1.1 with keep-alive directly on hyper: no pool, no redirects, no decoding. The load
//! generator shares its processors with the service, so the cost of its client lowers the result; a
//! full client (reqwest) cost several times as much per request.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};

use super::error::{BenchError, Result};

/// Characters of a refusal that an error quotes.
const QUOTED: usize = 300;
/// Age at which an unused connection is replaced. Services close idle connections, and a request
/// sent at that moment fails.
const TRUSTED: Duration = Duration::from_secs(60);

/// The address of a service.
#[derive(Debug, Clone)]
pub struct Target {
    address: SocketAddr,
    /// The address of the client; `None`: any.
    local: Option<IpAddr>,
    /// The value of `Host`.
    host: String,
}

impl Target {
    /// A service on this machine.
    pub fn local(address: SocketAddr) -> Self {
        Self { address, local: None, host: address.to_string() }
    }

    /// The service at a URL such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// The URL has another form, or its host has no address.
    pub async fn parse(url: &str) -> Result<Self> {
        let wrong = |why: &str| {
            let remedy = "it is http://host:port of a running muster";
            BenchError::Impossible(format!("--url {url} cannot be used: {why}; {remedy}"))
        };
        let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("the scheme must be http"));
        }
        let host = uri.host().ok_or_else(|| wrong("it has no host"))?;
        let port = uri.port_u16().unwrap_or(80);
        let mut found = tokio::net::lookup_host((host.trim_matches(['[', ']']), port))
            .await
            .map_err(|error| wrong(&error.to_string()))?;
        let address = found.next().ok_or_else(|| wrong("the host has no address"))?;
        Ok(Self { address, local: None, host: format!("{host}:{port}") })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same service, from this address of the client.
    pub fn bound_to(&self, local: IpAddr) -> Self {
        Self { local: Some(local), ..self.clone() }
    }
}

/// An answer of the service.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body; empty with 204.
    pub body: Bytes,
}

impl Answer {
    /// The answer itself if it is 2xx.
    ///
    /// # Errors
    /// The service refused; `call` and the beginning of its answer are in the error.
    pub fn accepted(self, call: &str) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let body: String = String::from_utf8_lossy(&self.body).chars().take(QUOTED).collect();
        Err(BenchError::Refused { call: call.to_owned(), status: self.status.as_u16(), body })
    }
}

/// A kept-alive connection with one key. It is reopened after a long idle time.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    used: Instant,
    address: SocketAddr,
    local: Option<IpAddr>,
    authorization: HeaderValue,
    host: HeaderValue,
}

#[derive(Debug)]
struct Wire {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Wire {
    async fn open(address: SocketAddr, local: Option<IpAddr>) -> Result<Self> {
        let reach = format!("connect to {address}");
        let stream = connect(address, local).await.map_err(BenchError::system(reach))?;
        stream.set_nodelay(true).map_err(BenchError::system("set TCP_NODELAY"))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // The next request reports its failure.
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { sender, driver })
    }
}

async fn connect(address: SocketAddr, local: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let Some(local) = local else { return TcpStream::connect(address).await };
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(local, 0))?;
    socket.connect(address).await
}

impl Connection {
    /// Connects.
    pub async fn open(target: &Target, key: &SecretString) -> Result<Self> {
        Ok(Self {
            wire: Wire::open(target.address, target.local).await?,
            used: Instant::now(),
            address: target.address,
            local: target.local,
            authorization: header(&format!("Bearer {}", key.expose_secret()))?,
            host: header(&target.host)?,
        })
    }

    /// `GET`; the answer may be a refusal.
    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, Bytes::new(), None).await
    }

    /// `GET` that must be accepted, as JSON.
    pub async fn read(&mut self, path: &str) -> Result<Value> {
        let answer = self.get(path).await?.accepted(&format!("GET {path}"))?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// `POST` of JSON; the answer may be a refusal. `key` is the `Idempotency-Key`.
    pub async fn post(
        &mut self,
        path: &str,
        body: impl Into<Bytes>,
        key: Option<&str>,
    ) -> Result<Answer> {
        let key = key.map(|key| Ok::<_, BenchError>(("idempotency-key", header(key)?)));
        self.send(Method::POST, path, body.into(), key.transpose()?).await
    }

    /// `POST` of NDJSON; the answer may be a refusal.
    pub async fn post_lines(&mut self, path: &str, body: impl Into<Bytes>) -> Result<Answer> {
        let kind = ("content-type", HeaderValue::from_static("application/x-ndjson"));
        self.send(Method::POST, path, body.into(), Some(kind)).await
    }

    /// `POST` that must be accepted; its answer as JSON.
    pub async fn create(&mut self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.post(path, body.to_string(), None).await?;
        let answer = answer.accepted(&format!("POST {path}"))?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// `PATCH` of any version, which must be accepted.
    pub async fn edit(&mut self, path: &str, body: &Value) -> Result<()> {
        let any = ("if-match", HeaderValue::from_static("*"));
        let answer = self.send(Method::PATCH, path, body.to_string().into(), Some(any)).await?;
        answer.accepted(&format!("PATCH {path}")).map(drop)
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
        extra: Option<(&'static str, HeaderValue)>,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, &self.authorization);
        if !body.is_empty() && !matches!(extra, Some(("content-type", _))) {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some((name, value)) = extra {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| BenchError::Impossible(format!("{path}: {error}")))?;
        if self.used.elapsed() > TRUSTED || self.wire.sender.is_closed() {
            self.wire = Wire::open(self.address, self.local).await?;
        }
        self.wire.sender.ready().await?;
        let (head, body) = self.wire.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        self.used = Instant::now();
        Ok(Answer { status: head.status, body })
    }
}

fn header(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text)
        .map_err(|_| BenchError::Impossible("the key has a character that no header has".into()))
}
