//! The pages of links: `/decide/{token}`.
//!
//! For people who have nothing but the link. A page has no script and loads nothing; it says what is
//! asked, shows exactly what would be decided, and has one form. `GET` and `HEAD` change nothing, since
//! programs open links before people do. A `POST` decides only with what somebody chose in the form;
//! sent again it shows what is recorded. Refusals are pages too: a person reads them, not a program.
//!
//! The token is in the path and nowhere else. Paths are never logged ([`super::serve::layers`]), no problem or
//! event names them, and the page asks browsers to tell nobody where they come from and to keep nothing.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;
use utoipa::openapi::{
    Content, ObjectBuilder, Required, Type, request_body::RequestBodyBuilder,
    response::ResponseBuilder,
};
use utoipa_axum::router::OpenApiRouter;

use super::{
    describe::{self, Describe, Description, handlers},
    extract::{auth::Public, body, json, path::PathParam as _},
    problem::{self, Result},
    serve::request_id::RequestId,
    state::HttpState,
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

/// How large a filled-in form may be: a reason and an answer with every sign written as three.
const FORM_BYTES: usize = 256 * 1024;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![show_link, decide_by_link]
}

/// Show what a link asks
///
/// A page for the person to whom the link was given: what is asked and a form to decide it, or what was
/// decided. Changes nothing, however often and by whatever program it is opened.
#[utoipa::path(get, path = "/decide/{token}", tag = "approvals")]
async fn show_link(
    _: Public,
    State(app): State<Arc<App>>,
    Presented(token): Presented,
) -> Result<Page> {
    page(app.open_link(&token).await, &Filled::default())
}

/// Decide with a link
///
/// Takes what the form of the link's page sends: `decision` and `payload_sha256`, both needed, `reason`,
/// and `answer` or, by its place among the fields of the `answer_schema`, `answer.0`, `answer.1` and so
/// on. The answer is the page with what is recorded: sent again it is the same, and nothing more happens.
/// Programs should decide with a key.
#[utoipa::path(post, path = "/decide/{token}", tag = "approvals")]
async fn decide_by_link(
    _: Public,
    State(app): State<Arc<App>>,
    Presented(token): Presented,
    Sent { request_id, filled }: Sent,
) -> Result<Page> {
    let filled = match filled {
        Ok(filled) => filled,
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

/// The token in the path, or whatever stands there.
struct Presented(String);

impl<S: Send + Sync> FromRequestParts<S> for Presented {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &S,
    ) -> std::result::Result<Self, Self::Rejection> {
        let given = Path::<String>::from_request_parts(parts, state).await;
        // What is no text is no token: there is one answer for both.
        Ok(Self(given.map(|Path(token)| token).unwrap_or_default()))
    }
}

impl Describe for Presented {
    fn describe(doc: &mut Description<'_>) {
        doc.path_param(String::schema());
    }
}

/// What a form sends, or why it cannot be read.
struct Sent {
    request_id: Arc<str>,
    filled: std::result::Result<Filled, Refusal>,
}

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, _: &S) -> std::result::Result<Self, Self::Rejection> {
        let RequestId(request_id) = request.extensions().get().cloned().unwrap_or_default();
        let filled = match body::form_bytes(request, FORM_BYTES).await {
            Ok(bytes) => read(&bytes),
            Err(error) => Err(error.into_refusal()),
        };
        Ok(Self { request_id, filled })
    }
}

/// The names and texts of a form, if every one of them can be kept as it is.
fn read(bytes: &[u8]) -> std::result::Result<Filled, Refusal> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(bytes).into_owned().collect();
    let texts = || pairs.iter().flat_map(|(name, text)| [name, text]);
    if texts().any(|text| text.contains(char::REPLACEMENT_CHARACTER)) {
        let detail = "the form has a character that cannot be read";
        return Err(Refusal::new(Code::MalformedRequest, detail));
    }
    if texts().any(|text| !text.chars().all(json::storable)) {
        let detail = "the form has a control character, which is not taken";
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
            .property("payload_sha256", field("The hash that the page shows."))
            .property("reason", field("Why; needed to reject."))
            .property("answer", field("The answer in free text."))
            .required("decision")
            .required("payload_sha256");
        let body = RequestBodyBuilder::new()
            .content("application/x-www-form-urlencoded", Content::new(Some(form.build())))
            .required(Some(Required::True));
        doc.form_body(body.build());
        for (status, text) in [
            (400, "The form cannot be read."),
            (413, "The form is too large."),
            (415, "The body is no form."),
            (422, "Something in the form is to be changed: the page says what."),
        ] {
            doc.response(status, described(text));
        }
    }
}

/// A page for a person.
struct Page {
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
            (200, "What is asked, or what was decided."),
            (403, "The person cannot decide this with a link."),
            (404, "There is no such link."),
            (409, "It cannot be decided as it was shown."),
            (410, "The link has expired or was revoked."),
            (422, "What was filled in was refused."),
        ] {
            doc.response(status, described(text));
        }
    }
}

fn described(text: &str) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(text)
        .content("text/html", Content::new(Some(describe::string())))
}

/// The status of a page that says no.
fn status(refusal: &Refusal) -> StatusCode {
    problem::status(refusal.code)
}
