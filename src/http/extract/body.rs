//! Request bodies: JSON of exactly one shape.
//!
//! A body is read once and never beyond its limit. It is JSON ([`super::json`]) with exactly the shape
//! of its type: request types have `#[serde(deny_unknown_fields)]`, so a misspelt field is refused, not
//! ignored.

use axum::{
    body::{Bytes, HttpBody},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::json;
use crate::{
    domain::refusal::{Code, Refusal},
    http::{
        describe::{Describe, Description},
        fairness::admission::Admission,
        problem::{Error, Result},
    },
};

/// The largest body in bytes, unless the page gives the route another limit.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// The largest body of a route in bytes, as an extension of its requests.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(pub usize);

/// The media type of JSON.
pub const JSON: &str = "application/json";

/// A JSON body.
#[derive(Debug, Clone)]
pub struct ApiJson<T>(pub T);

/// A JSON body that may be absent; absent means the default of `T`.
#[derive(Debug, Clone)]
pub struct OptionalJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + ToSchema> FromRequest<S> for ApiJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        Ok(Self(json::read_body(&json_bytes(request).await?)?))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default + ToSchema> FromRequest<S> for OptionalJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let bytes = optional_json_bytes(request).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        Ok(Self(json::read_body(&bytes)?))
    }
}

impl<T: ToSchema> Describe for ApiJson<T> {
    fn describe(doc: &mut Description<'_>) {
        describe_body::<T>(doc, true);
    }
}

impl<T: ToSchema> Describe for OptionalJson<T> {
    fn describe(doc: &mut Description<'_>) {
        describe_body::<T>(doc, false);
    }
}

/// Describes the body `T` and the codes that refuse it.
pub fn describe_body<T: ToSchema>(doc: &mut Description<'_>, required: bool) {
    doc.request_body::<T>(required);
    doc.refuses(&[
        Code::MalformedRequest,
        Code::BodyTooLarge,
        Code::BodyTooSlow,
        Code::UnsupportedMediaType,
        Code::Invalid,
    ]);
}

/// The bytes of a body whose `Content-Type` is JSON.
///
/// # Errors
/// `unsupported_media_type`, `body_too_large`, `body_too_slow`, or `malformed_request` if the body is
/// incomplete; those of the caps.
pub async fn json_bytes(request: Request) -> Result<Bytes> {
    Ok(bytes_of(request, &[JSON]).await?.1)
}

/// The bytes of a body whose `Content-Type` is one of `accepted`, and which one.
///
/// # Errors
/// As [`json_bytes`].
pub async fn bytes_of(
    request: Request,
    accepted: &[&'static str],
) -> Result<(&'static str, Bytes)> {
    let media_type = require(request.headers(), accepted)?;
    let limit = limit(&request);
    Ok((media_type, bytes(request, limit).await?))
}

/// The bytes of a form that a browser sends, at most `limit`.
///
/// # Errors
/// `unsupported_media_type`, `body_too_large`, `body_too_slow`, or `malformed_request` if the body is
/// incomplete; those of the caps.
pub async fn form_bytes(request: Request, limit: usize) -> Result<Bytes> {
    require(request.headers(), &["application/x-www-form-urlencoded"])?;
    bytes(request, limit).await
}

async fn optional_json_bytes(request: Request) -> Result<Bytes> {
    if request.body().is_end_stream() {
        enter(admission(&request)).await?;
        return Ok(Bytes::new());
    }
    let media_type = require(request.headers(), &[JSON]);
    let limit = limit(&request);
    let bytes = bytes(request, limit).await?;
    // Only the end of a chunked body shows that it is empty; then its type does not matter.
    if !bytes.is_empty() {
        media_type?;
    }
    Ok(bytes)
}

/// Holds a request to one of the media types, and returns it.
fn require(headers: &HeaderMap, accepted: &[&'static str]) -> Result<&'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(encoding) = text(header::CONTENT_ENCODING)
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(unsupported("send the body without a `Content-Encoding`"));
    }
    // With two of them, what the body is would depend on which one is looked at.
    if headers.get_all(header::CONTENT_TYPE).iter().count() > 1 {
        return Err(unsupported("send one `Content-Type`: the request has more than one"));
    }
    let media_type = text(header::CONTENT_TYPE).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let found = accepted.iter().find(|known| essence.eq_ignore_ascii_case(known));
    found.copied().ok_or_else(|| {
        unsupported(&format!("send the body with `Content-Type: {}`", accepted.join("` or `")))
    })
}

fn unsupported(detail: &str) -> Error {
    Refusal::new(Code::UnsupportedMediaType, detail).into()
}

fn limit(request: &Request) -> usize {
    request.extensions().get::<BodyLimit>().map_or(BODY_LIMIT, |limit| limit.0)
}

async fn bytes(request: Request, limit: usize) -> Result<Bytes> {
    let too_large = || {
        Refusal::new(
            Code::BodyTooLarge,
            format!("this route takes bodies of {limit} bytes at most"),
        )
    };
    // A body that announces too large a size is refused before it is read.
    if request.body().size_hint().lower() > limit as u64 {
        return Err(too_large().into());
    }
    let admission = admission(&request);
    let body = Limited::new(request.into_body(), limit).collect();
    let read = match &admission {
        Some(admission) => admission.read(body).await?,
        None => body.await,
    };
    match read {
        Ok(body) => {
            enter(admission).await?;
            Ok(body.to_bytes())
        }
        Err(error) if error.is::<LengthLimitError>() => Err(too_large().into()),
        Err(_) => Err(Refusal::new(Code::MalformedRequest, "the body is incomplete").into()),
    }
}

fn admission(request: &Request) -> Option<Admission> {
    request.extensions().get::<Admission>().cloned()
}

/// The place of a request is taken after its body has arrived, so a slow sender occupies none.
async fn enter(admission: Option<Admission>) -> Result<()> {
    match admission {
        Some(admission) => admission.enter().await,
        None => Ok(()),
    }
}
