//! Uploads: a body of any length that is taken piece by piece.
//!
//! It takes a place of its own ([`crate::http::fairness`]) before its first byte is read. Each piece must arrive in
//! time, at a least rate over all; beyond the rate of the key the next piece is read later. The body is never in
//! memory as a whole. If it breaks, nothing of it is left.

use std::time::Duration;

use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::BodyExt as _;
use utoipa::openapi::{Content, Required, request_body::RequestBodyBuilder};

use crate::{
    app::artifacts::upload::{Upload, Uploaded},
    domain::{
        artifact::media_type,
        refusal::{Code, Refusal},
    },
    http::{
        describe::{self, Describe, Description},
        fairness::{admission::Admission, quotas::Counted},
        problem::{Error, Result},
    },
};

/// The body of an upload that has not arrived.
#[derive(Debug)]
pub struct UploadBody {
    /// Its media type, without parameters.
    pub media_type: String,
    /// Its length, if it is announced.
    pub size: Option<u64>,
    /// Whether the sender waits for a word before it sends the body.
    expects: bool,
    body: Body,
    admission: Option<Admission>,
}

impl<S: Send + Sync> FromRequest<S> for UploadBody {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let headers = request.headers();
        let expects = text(headers, &header::EXPECT)?
            .is_some_and(|expects| expects.eq_ignore_ascii_case("100-continue"));
        if text(headers, &header::CONTENT_ENCODING)?
            .is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity"))
        {
            let detail =
                "send the bytes as they are, without a `Content-Encoding`: they have a digest";
            return Err(Refusal::new(Code::UnsupportedMediaType, detail).into());
        }
        let media_type = media_type::of_header(text(headers, &header::CONTENT_TYPE)?)?;
        let admission = request.extensions().get::<Admission>().cloned();
        let size = request.body().size_hint().exact();
        if let Some(admission) = &admission {
            admission.enter().await?;
        }
        Ok(Self { media_type, size, expects, body: request.into_body(), admission })
    }
}

/// The only value of a header.
fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Result<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        let detail = format!("send one `{name}`: the request has more than one");
        return Err(Refusal::new(Code::UnsupportedMediaType, detail).into());
    }
    Ok(first.map(|value| value.to_str().unwrap_or("?")))
}

impl UploadBody {
    /// Sends the body to `upload` and ends it.
    ///
    /// # Errors
    /// `malformed_request` if the body is incomplete, `body_too_slow`; those of the upload. Nothing of it is left
    /// then.
    pub async fn send(self, mut upload: Upload) -> Result<Uploaded> {
        // Who asks before sending need not send what is there.
        if self.expects && upload.is_known() {
            return Ok(upload.unsent().await?);
        }
        let within = upload.within();
        let received = tokio::time::timeout(within, self.receive(&mut upload)).await;
        let received = received.unwrap_or_else(|_| {
            let detail = format!("the body was not complete within {within:?}");
            Err(Refusal::new(Code::BodyTooSlow, detail).into())
        });
        match received {
            Ok(()) => Ok(upload.finish().await?),
            Err(error) => {
                upload.abandon().await;
                Err(error)
            }
        }
    }

    async fn receive(self, upload: &mut Upload) -> Result<()> {
        let Self { mut body, admission, .. } = self;
        let (mut received, mut waited) = (0_u64, Duration::ZERO);
        loop {
            let frame = match &admission {
                Some(admission) => admission.next(body.frame(), received, &mut waited).await?,
                None => body.frame().await,
            };
            let Some(frame) = frame else { return Ok(()) };
            let incomplete = |_| Refusal::new(Code::MalformedRequest, "the body is incomplete");
            let frame = frame.map_err(incomplete)?;
            // Trailers say nothing that is asked.
            let Ok(bytes) = frame.into_data() else { continue };
            let amount = bytes.len() as u64;
            received = received.saturating_add(amount);
            if let Some(admission) = &admission {
                admission.pace(Counted::ArtifactBytes, amount).await;
            }
            upload.write(bytes).await?;
        }
    }
}

impl Describe for UploadBody {
    fn describe(doc: &mut Description<'_>) {
        let body = RequestBodyBuilder::new()
            .description(Some(
                "The bytes of the artifact, of any media type. Without a `Content-Type` they are \
                 `application/octet-stream`.",
            ))
            // Generators of clients know no other type for bytes.
            .content("application/octet-stream", Content::new(Some(describe::binary())))
            .required(Some(Required::True));
        doc.form_body(body.build());
        doc.refuses(&[
            Code::MalformedRequest,
            Code::BodyTooLarge,
            Code::BodyTooSlow,
            Code::UnsupportedMediaType,
        ]);
    }
}
