//! `Idempotency-Key`: a request that has its effect once, however often it is sent.
//!
//! [`Create`] is the body of every POST that creates something, with the identity of the request for
//! [`crate::app::unit::idempotency`]. The fingerprint covers the method, the path with its query and the
//! exact bytes of the body, so a key that is reused for another request is noticed.

use axum::{
    extract::{FromRequest, OriginalUri, Request as HttpRequest},
    http::{HeaderMap, Method, Uri},
};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use utoipa::{ToSchema, openapi::ObjectBuilder};

use super::{body, json};
use crate::{
    app::unit::idempotency::Request,
    domain::refusal::{Code, Refusal},
    http::{
        describe::{self, Describe, Description},
        problem::{Error, Result},
    },
};

/// The name of the header.
pub const HEADER: &str = "Idempotency-Key";
const LONGEST: usize = 255;

/// A JSON body, and the identity of the request if its sender gave one.
#[derive(Debug, Clone)]
pub struct Create<T> {
    /// The body.
    pub body: T,
    /// Present if the request has an `Idempotency-Key`.
    pub idempotency: Option<Request>,
}

impl<S: Send + Sync, T: DeserializeOwned + ToSchema> FromRequest<S> for Create<T> {
    type Rejection = Error;

    async fn from_request(request: HttpRequest, _: &S) -> Result<Self> {
        let head = Head::of(&request)?;
        let bytes = body::json_bytes(request).await?;
        Ok(Self { idempotency: head.identity(None, &bytes), body: json::read_body(&bytes)? })
    }
}

/// What identifies a request, besides its body.
pub(super) struct Head {
    key: Option<String>,
    method: Method,
    uri: Uri,
}

impl Head {
    /// That of a request whose body was not read yet.
    ///
    /// # Errors
    /// `invalid` if the header is none.
    pub(super) fn of(request: &HttpRequest) -> Result<Self> {
        let key = key(request.headers())?;
        Ok(Self { key, method: request.method().clone(), uri: original_uri(request) })
    }

    /// The identity of the request with this body; `None`: its sender gave no key. `other`: the media type of a body
    /// that is not JSON; the same bytes of another type are another request.
    pub(super) fn identity(self, other: Option<&str>, body: &[u8]) -> Option<Request> {
        let Self { key, method, uri } = self;
        key.map(|key| Request { key, fingerprint: fingerprint(&method, &uri, other, body) })
    }
}

impl<T: ToSchema> Describe for Create<T> {
    fn describe(doc: &mut Description<'_>) {
        body::describe_body::<T>(doc, true);
        describe_key(doc);
    }
}

/// Describes the header, and the codes that refuse it.
pub(super) fn describe_key(doc: &mut Description<'_>) {
    let mut schema: ObjectBuilder = describe::string().into();
    schema = schema.min_length(Some(1)).max_length(Some(LONGEST)).pattern(Some("^[!-~]+$"));
    doc.header(
        HEADER,
        false,
        schema.build(),
        "Makes the request safe to send again: for 24 hours, the same key with the same request \
         returns the first answer and has no further effect. Bodies are compared byte for byte: \
         store the bytes and send them again. Use a new key, for example a UUID, for each thing \
         to create.",
    );
    doc.refuses(&[Code::IdempotencyInProgress, Code::IdempotencyKeyReused]);
}

fn original_uri(request: &HttpRequest) -> Uri {
    let original = request.extensions().get::<OriginalUri>();
    original.map_or_else(|| request.uri().clone(), |original| original.0.clone())
}

fn key(headers: &HeaderMap) -> Result<Option<String>> {
    let refuse = |detail: &str| Error::from(Refusal::invalid_at(format!("@{HEADER}"), detail));
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refuse("send this header once"));
    }
    let bytes = value.as_bytes();
    let visible = bytes.iter().all(u8::is_ascii_graphic);
    if bytes.is_empty() || bytes.len() > LONGEST || !visible {
        return Err(refuse("must be 1 to 255 visible ASCII characters without spaces"));
    }
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

fn fingerprint(method: &Method, uri: &Uri, other: Option<&str>, body: &[u8]) -> [u8; 32] {
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let mut hash = Sha256::new();
    let parts = [method.as_str().as_bytes(), path.as_bytes(), body];
    for part in parts.into_iter().chain(other.map(str::as_bytes)) {
        // With their lengths, the parts of two different requests never join to the same bytes.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
