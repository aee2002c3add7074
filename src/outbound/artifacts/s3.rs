//! Artifacts as objects of a store that speaks S3.
//!
//! Every request is signed in its URL (Signature Version 4, by `rusty_s3`, which calls nobody itself) and sent by
//! the client of this crate: `object_store` was tried and brings a second TLS stack in C. An object is sent as a
//! whole from a file of the [`spool`](super::spool), with its length and its SHA-256 as checksum, which the store
//! compares. So a request can be repeated, and there are no parts to clean up. Failures that pass are tried again
//! after a pause. No error names an URL, because its signature is a credential.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use http_body_util::{BodyExt as _, Limited};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header,
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use tokio::fs::File;

use super::{
    Chunks, directory,
    spool::{Spool, Spooled},
};
use crate::{
    domain::artifact::{SLOWEST, StoredName},
    outbound::http::whole,
};

/// The header of the checksum.
const CHECKSUM: &str = "x-amz-checksum-sha256";
/// How long a signature holds. A store looks at it when a request begins.
const SIGNED_FOR: Duration = Duration::from_secs(900);
/// Time of a request beside its bytes, and longest silence of an answer.
const WITHIN: Duration = Duration::from_secs(30);
/// Pauses before a request is sent again.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1600)];
/// Most bytes that are read of an error.
const ERROR_BYTES: usize = 4096;

const RETRIES: &str = "muster_artifact_store_retries_total";

/// Where the objects are, and who asks.
#[derive(Clone)]
pub struct S3Settings {
    /// Name of the bucket.
    pub bucket: String,
    /// What stands before the names of objects; empty: nothing.
    pub prefix: String,
    /// Address of the store; `None`: Amazon's of the region.
    pub endpoint: Option<String>,
    /// Region of the bucket.
    pub region: String,
    /// Whether the bucket stands in the path, not in the host name.
    pub path_style: bool,
    /// Id of the access key.
    pub key_id: String,
    /// The access key itself.
    pub secret: String,
    /// Token of a temporary key.
    pub token: Option<String>,
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

/// An object store.
pub struct S3 {
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
    spool: Spool,
    client: Client<HttpsConnector<HttpConnector>, Sent>,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("bucket", &self.bucket.name()).finish_non_exhaustive()
    }
}

impl S3Settings {
    /// Reads `s3://bucket/prefix?endpoint=https://...&region=...&style=path`, without the key.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let form = "s3://BUCKET/PREFIX?endpoint=URL&region=REGION&style=path";
        let parsed: Uri = url.parse().map_err(|error| format!("must be {form}: {error}"))?;
        let bucket = parsed.host().unwrap_or_default();
        if parsed.scheme_str() != Some("s3") || bucket.is_empty() {
            return Err(format!("must be {form}"));
        }
        let mut settings = Self {
            bucket: bucket.to_owned(),
            prefix: parsed.path().trim_matches('/').to_owned(),
            endpoint: None,
            region: "us-east-1".to_owned(),
            path_style: false,
            key_id: String::new(),
            secret: String::new(),
            token: None,
        };
        let mut style = None;
        for (name, value) in form_urlencoded::parse(parsed.query().unwrap_or_default().as_bytes()) {
            match (name.as_ref(), value.as_ref()) {
                ("endpoint", value) => settings.endpoint = Some(value.to_owned()),
                ("region", value) => settings.region = value.to_owned(),
                ("style", "path") => style = Some(true),
                ("style", "host") => style = Some(false),
                ("style", _) => return Err("`style` must be `path` or `host`".to_owned()),
                (other, _) => {
                    return Err(format!("has an unknown parameter `{other}`; it must be {form}"));
                }
            }
        }
        // Stores of one's own rarely have a host name per bucket.
        settings.path_style = style.unwrap_or(settings.endpoint.is_some());
        Ok(settings)
    }
}

impl S3 {
    /// A client of the store. Calls nobody yet.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: S3Settings, spool: Spool) -> io::Result<Self> {
        let S3Settings { bucket, prefix, endpoint, region, path_style, key_id, secret, token } =
            settings;
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let endpoint = endpoint.parse().map_err(io::Error::other)?;
        let style = if path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let bucket = Bucket::new(endpoint, style, bucket, region)
            .map_err(|error| io::Error::other(error.to_string()))?;
        let credentials = match token {
            Some(token) => Credentials::new_with_token(key_id, secret, token),
            None => Credentials::new(key_id, secret),
        };
        let connector = HttpsConnectorBuilder::new().with_native_roots()?;
        let connector = connector.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { bucket, credentials, prefix, spool, client })
    }

    /// The folder of arriving files.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    fn key(&self, name: &StoredName) -> String {
        let path = name.path();
        if self.prefix.is_empty() { path } else { format!("{}/{path}", self.prefix) }
    }

    /// Sends a whole file.
    ///
    /// # Errors
    /// When the store has not confirmed it.
    pub async fn keep(&self, mut spooled: Spooled, name: &StoredName) -> io::Result<()> {
        spooled.flush().await?;
        let (key, size) = (self.key(name), spooled.size());
        let within = WITHIN + Duration::from_secs(size / SLOWEST);
        let checksum = name.digest.base64();
        let (key, checksum, path) = (key.as_str(), checksum.as_str(), spooled.path());
        let send = || {
            let sent = async move {
                let mut action = self.bucket.put_object(Some(&self.credentials), key);
                action.headers_mut().insert(CHECKSUM, checksum);
                let url = action.sign(SIGNED_FOR);
                let file = File::open(path).await?;
                let request = Request::builder().method(Method::PUT).uri(url.as_str());
                let request =
                    request.header(CHECKSUM, checksum).header(header::CONTENT_LENGTH, size);
                self.call(request, Sent::file(file, size), within).await
            };
            sent.boxed()
        };
        again("put", send).await.map(|_| ())
    }

    /// Reads `length` bytes from `first` on.
    ///
    /// # Errors
    /// When they cannot be read; `NotFound` if there is no such object.
    pub async fn read(&self, name: &StoredName, first: u64, length: u64) -> io::Result<Chunks> {
        let Some(last) = length.checked_sub(1).map(|more| first.saturating_add(more)) else {
            return Ok(Box::pin(stream::empty()));
        };
        let key = self.key(name);
        let key = key.as_str();
        let send = || {
            let sent = async move {
                let url = self.bucket.get_object(Some(&self.credentials), key).sign(SIGNED_FOR);
                let request = Request::builder().method(Method::GET).uri(url.as_str());
                let request = request.header(header::RANGE, format!("bytes={first}-{last}"));
                self.call(request, Sent::nothing(), WITHIN).await
            };
            sent.boxed()
        };
        let response = again("get", send).await?;
        if response.status() != StatusCode::PARTIAL_CONTENT && first > 0 {
            return Err(io::Error::other("the store does not read ranges"));
        }
        Ok(Box::pin(stream::try_unfold((response.into_body(), length), piece)))
    }

    /// Removes everything of an upload, if there is anything.
    ///
    /// # Errors
    /// When something may be left.
    pub async fn remove(&self, name: &StoredName) -> io::Result<()> {
        self.spool.remove(name.upload).await?;
        let key = self.key(name);
        let key = key.as_str();
        let send = || {
            let sent = async move {
                let url = self.bucket.delete_object(Some(&self.credentials), key).sign(SIGNED_FOR);
                let request = Request::builder().method(Method::DELETE).uri(url.as_str());
                self.call(request, Sent::nothing(), WITHIN).await
            };
            sent.boxed()
        };
        match again("delete", send).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map(|_| ()),
        }
    }

    /// Sends one request once.
    async fn call(
        &self,
        request: hyper::http::request::Builder,
        body: Sent,
        within: Duration,
    ) -> io::Result<Response<Incoming>> {
        // An invalid request is that of wrong settings; its text has the URL.
        let request = request.body(body).map_err(|_| io::Error::other("the URL cannot be used"))?;
        let method = request.method().clone();
        let answered = tokio::time::timeout(within, self.client.request(request)).await;
        let failed = |why: String| io::Error::new(io::ErrorKind::ConnectionAborted, why);
        let response = match answered {
            Ok(response) => response.map_err(|error| failed(whole(&error)))?,
            Err(_) => return Err(failed(format!("no answer within {within:?}"))),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let code = error_code(response.into_body()).await;
        let detail = format!("the store answered {status} to {method} ({code})");
        Err(io::Error::new(kind(status), detail))
    }
}

/// The kind of an error of the store.
fn kind(status: StatusCode) -> io::ErrorKind {
    match status.as_u16() {
        404 => io::ErrorKind::NotFound,
        408 | 429 | 500..=599 => io::ErrorKind::ResourceBusy,
        _ => io::ErrorKind::Other,
    }
}

/// What the store says is wrong: its code, a word.
async fn error_code(body: Incoming) -> String {
    let read = tokio::time::timeout(WITHIN, Limited::new(body, ERROR_BYTES).collect()).await;
    let Ok(Ok(read)) = read else { return "no explanation".to_owned() };
    let text = String::from_utf8_lossy(&read.to_bytes()).into_owned();
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let code = code.map_or("", |(code, _)| code);
    let plain = !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric());
    if plain { code.to_owned() } else { "no explanation".to_owned() }
}

/// Sends a request until it succeeds, or fails for good.
async fn again<'a>(
    verb: &'static str,
    send: impl Fn() -> BoxFuture<'a, io::Result<Response<Incoming>>>,
) -> io::Result<Response<Incoming>> {
    for pause in PAUSES {
        match send().await {
            Err(error) if passes(&error) => {
                metrics::counter!(RETRIES, "verb" => verb).increment(1);
                tracing::debug!(verb, %error, "the store of artifacts is asked again");
                tokio::time::sleep(pause).await;
            }
            answered => return answered,
        }
    }
    send().await
}

/// Whether the same request may succeed later.
fn passes(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ResourceBusy)
}

/// The next bytes of an answer of which `left` are to come.
async fn piece((mut body, left): (Incoming, u64)) -> io::Result<Option<(Bytes, (Incoming, u64))>> {
    loop {
        if left == 0 {
            return Ok(None);
        }
        let frame = tokio::time::timeout(WITHIN, body.frame()).await;
        let frame = frame.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        let frame = frame.ok_or(io::ErrorKind::UnexpectedEof)?.map_err(io::Error::other)?;
        let Ok(mut bytes) = frame.into_data() else { continue };
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        if !bytes.is_empty() {
            let left = left - bytes.len() as u64;
            return Ok(Some((bytes, (body, left))));
        }
    }
}

/// The body of a request: a file, or nothing. Its length is known, because stores refuse others.
struct Sent {
    chunks: Chunks,
    left: u64,
}

impl Sent {
    fn file(file: File, size: u64) -> Self {
        Self { chunks: directory::pieces(file, size), left: size }
    }

    fn nothing() -> Self {
        Self { chunks: stream::empty().boxed(), left: 0 }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(chunk) = ready!(self.chunks.as_mut().poll_next(cx)) else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(chunk.map(|bytes| {
            self.left = self.left.saturating_sub(bytes.len() as u64);
            Frame::data(bytes)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Registers the descriptions of these metrics, which `/metrics` shows.
pub fn describe_metrics() {
    metrics::describe_counter!(
        RETRIES,
        "Requests to the object store of artifacts that were sent again, by `verb`."
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_everything_else_is_refused() {
        let read = S3Settings::parse("s3://files/agents/a?endpoint=http://127.0.0.1:9000&region=x");
        let read = read.unwrap();
        assert_eq!((read.bucket.as_str(), read.prefix.as_str()), ("files", "agents/a"));
        assert_eq!(read.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert!(read.path_style && read.region == "x");
        let read = S3Settings::parse("s3://files").unwrap();
        assert!(!read.path_style && read.prefix.is_empty() && read.region == "us-east-1");
        for bad in ["https://files", "files", "s3://", "s3://b?x=1", "s3://b?style=odd", ""] {
            assert!(S3Settings::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_failures_that_pass_are_tried_again() {
        for (status, again) in [(200, false), (403, false), (404, false), (429, true), (503, true)]
        {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(passes(&kind(status).into()), again, "{status}");
        }
    }
}
