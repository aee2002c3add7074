//! The pages of decision links: `/decide/{token}`.
//!
//! For people who have nothing but the link. A page has no script and loads nothing; it shows the
//! approval, exactly what a decision is about, and one form. `GET` and `HEAD` change nothing, because
//! programs open links before people do. A `POST` decides only with a choice made in the form; sent
//! again, it shows the recorded decision. Refusals are pages too, because people read them.
//!
//! The token is only in the path. Paths are never logged ([`super::serve::layers`]), no problem or event
//! contains them, and the headers of the page forbid referrers and caching.

use std::sync::{Arc, LazyLock};

use axum::{
    extract::{FromRef, FromRequest, FromRequestParts, Path, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};
use utoipa::openapi::{Content, ObjectBuilder, Required, Type, request_body::RequestBodyBuilder};

use super::{
    describe::{Describe, Description},
    extract::{auth::Public, body, json, path::PathParam as _},
    fairness::admission::Admission,
    problem::{self, Result},
    serve::request_id::RequestId,
};
use crate::{
    app::{self, App, decisions::by_link::Opened},
    domain::{
        link::Filled,
        refusal::{Code, Refusal},
    },
};

mod form;
mod html;
mod pages;

/// The largest form in bytes: a reason and an answer with every byte percent-encoded.
const FORM_BYTES: usize = 256 * 1024;
const HTML: &str = "text/html";

/// Show the approval of a decision link.
///
/// A page for the person who has the link: the approval and a form to decide it, or the decision. Opening
/// it changes nothing.
#[utoipa::path(get, path = "/decide/{token}")]
pub async fn show_link(
    _: Public,
    State(app): State<Arc<App>>,
    Presented(token): Presented,
) -> Result<Page> {
    page(app.open_link(&token).await, &Filled::default())
}

/// Decide with a decision link.
///
/// Takes the form of the page: `decision` and `payload_sha256`, both required, `reason`, and `answer` or,
/// by position among the fields of the `answer_schema`, `answer.0`, `answer.1` and so on. Returns the page
/// with the recorded decision; the same form again returns the same page and has no further effect.
/// Programs should decide with a key.
#[utoipa::path(post, path = "/decide/{token}")]
pub async fn decide_by_link(
    _: Public,
    State(app): State<Arc<App>>,
    Presented(token): Presented,
    Sent { request_id, filled }: Sent,
) -> Result<Page> {
    let filled = match filled {
        Ok(filled) => filled,
        Err(refusal) if refusal.code == Code::NotFound => return Ok(pages::unknown()),
        Err(refusal) => return page(Ok(Opened::Refused(refusal)), &Filled::default()),
    };
    page(app.decide_by_link(&token, &filled, request_id).await, &filled)
}

fn page(opened: app::Result<Opened>, filled: &Filled) -> Result<Page> {
    match opened {
        Ok(opened) => Ok(pages::of(&opened, filled)),
        Err(app::Error::Refused(refusal)) if refusal.code == Code::NotFound => Ok(pages::unknown()),
        Err(error) => Err(error.into()),
    }
}

/// The last segment of the path, a token or not.
pub struct Presented(String);

impl<S: Send + Sync> FromRequestParts<S> for Presented {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &S,
    ) -> std::result::Result<Self, Self::Rejection> {
        let given = Path::<String>::from_request_parts(parts, state).await;
        // A segment that is not text is not a token: both get the same answer.
        Ok(Self(given.map(|Path(token)| token).unwrap_or_default()))
    }
}

impl Describe for Presented {
    fn describe(doc: &mut Description<'_>) {
        doc.path_param(String::schema());
    }
}

/// A submitted form, or the reason why it cannot be read.
pub struct Sent {
    request_id: Arc<str>,
    filled: std::result::Result<Filled, Refusal>,
}

impl<S> FromRequest<S> for Sent
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
{
    type Rejection = problem::Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let RequestId(request_id) = request.extensions().get().cloned().unwrap_or_default();
        let (mut parts, body) = request.into_parts();
        if let Some(refusal) = unknown(&mut parts, state).await? {
            return Ok(Self { request_id, filled: Err(refusal) });
        }
        let request = Request::from_parts(parts, body);
        let filled = match body::form_bytes(request, FORM_BYTES).await {
            Ok(bytes) => read(&bytes),
            Err(error) if matches!(error.code(), Code::RateLimited | Code::Unavailable) => {
                return Err(error);
            }
            Err(error) => Err(error.into_refusal()),
        };
        Ok(Self { request_id, filled })
    }
}

/// Looks the link up before its form is read, so only who has a link occupies a place to read. Holds the
/// place of the request for the look-up, and gives it back for the time of the form.
async fn unknown<S>(parts: &mut Parts, state: &S) -> Result<Option<Refusal>>
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
{
    let Ok(Presented(token)) = Presented::from_request_parts(parts, state).await;
    let admission = parts.extensions.get::<Admission>().cloned();
    if let Some(admission) = &admission {
        admission.enter().await?;
    }
    let opened = Arc::<App>::from_ref(state).open_link(&token).await;
    if let Some(admission) = &admission {
        admission.leave();
    }
    match opened {
        Ok(_) => Ok(None),
        Err(app::Error::Refused(refusal)) => Ok(Some(refusal)),
        Err(error) => Err(error.into()),
    }
}

/// The fields of a form, if all names and texts can be stored unchanged.
fn read(bytes: &[u8]) -> std::result::Result<Filled, Refusal> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(bytes).into_owned().collect();
    let texts = || pairs.iter().flat_map(|(name, text)| [name, text]);
    if texts().any(|text| text.contains(char::REPLACEMENT_CHARACTER)) {
        let detail = "the form has a character that cannot be read";
        return Err(Refusal::new(Code::MalformedRequest, detail));
    }
    if texts().any(|text| !text.chars().all(json::storable)) {
        let detail = "the form has a control character, which is not allowed";
        return Err(Refusal::invalid_at("", detail));
    }
    Ok(Filled::of(pairs))
}

impl Describe for Sent {
    fn describe(doc: &mut Description<'_>) {
        let field = |text: &str| {
            ObjectBuilder::new().schema_type(Type::String).description(Some(text)).build()
        };
        let form = ObjectBuilder::new()
            .property("decision", field("`approve`, `reject`, `answer` or `decline`."))
            .property(
                "payload_sha256",
                field("The hash on the page: it names the payload to decide."),
            )
            .property("reason", field("The reason; required to reject."))
            .property("answer", field("The answer, as free text."))
            .required("decision")
            .required("payload_sha256");
        let body = RequestBodyBuilder::new()
            .content("application/x-www-form-urlencoded", Content::new(Some(form.build())))
            .required(Some(Required::True));
        doc.form_body(body.build());
        for (status, text) in [
            (400, "The form cannot be read."),
            (408, "The form did not arrive in time."),
            (413, "The form is too large."),
            (415, "The body is not a form."),
            (422, "A field of the form must be changed; the page names it."),
        ] {
            doc.text_response(status, HTML, text);
        }
    }
}

/// A page for a person.
pub struct Page {
    status: StatusCode,
    text: String,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
            let hash = BASE64.encode(&Sha256::digest(pages::STYLE));
            let policy = format!(
                "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; \
                 frame-ancestors 'none'; base-uri 'none'"
            );
            HeaderValue::from_str(&policy)
                .unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
        });
        let fixed = |name: &'static str, value: &'static str| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            fixed("x-robots-tag", "noindex, nofollow, noarchive"),
            fixed("cross-origin-opener-policy", "same-origin"),
            fixed("cross-origin-resource-policy", "same-origin"),
        ];
        (self.status, headers, self.text).into_response()
    }
}

impl Describe for Page {
    fn describe(doc: &mut Description<'_>) {
        for (status, text) in [
            (200, "The approval and a form, or the decision."),
            (403, "The person may not decide this with a link."),
            (404, "The link does not exist."),
            (409, "The approval has changed or ended since it was shown."),
            (410, "The link has expired or was revoked."),
            (422, "The form was refused."),
        ] {
            doc.text_response(status, HTML, text);
        }
    }
}

/// The status of the page of a refusal.
fn status(refusal: &Refusal) -> StatusCode {
    problem::status(refusal.code)
}
