//! The answer to a sign-in: a session, with its token as a cookie.
//!
//! The cookie is `HttpOnly` (no script reads it) and `SameSite=Strict` (no other site sends it). It is
//! `Secure` if the request came over TLS, as far as a proxy says; without TLS a browser would not keep
//! it.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

use super::{Created, REPLAYED_DOC, set_header};
use crate::{
    app::{
        access::sessions::{BegunSession, Session},
        unit::idempotency::Outcome,
    },
    domain::settings,
    http::{
        cookie::{OverTls, SESSION},
        describe::{Describe, Description},
    },
};

/// 201 with a session, and its cookie.
#[derive(Debug)]
pub struct SignedIn {
    session: Outcome<Session>,
    cookie: String,
}

impl SignedIn {
    /// The answer to a request that came over TLS or not.
    #[must_use]
    pub fn new(begun: Outcome<BegunSession>, OverTls(over_tls): OverTls) -> Self {
        let lasts = settings::SESSION_LONGEST.as_secs();
        let secure = if over_tls { "; Secure" } else { "" };
        let token = &begun.value.token;
        let cookie = format!(
            "{SESSION}={token}; Path=/; Max-Age={lasts}; HttpOnly; SameSite=Strict{secure}"
        );
        Self { session: begun.map(|begun| begun.session), cookie }
    }
}

impl IntoResponse for SignedIn {
    fn into_response(self) -> Response {
        let created = Created::new(self.session, |session| format!("/v1/sessions/{}", session.id));
        let mut response = created.into_response();
        set_header(&mut response, header::SET_COOKIE, &self.cookie);
        response
    }
}

impl Describe for SignedIn {
    fn describe(doc: &mut Description<'_>) {
        let location = ("Location", "The path of the session.");
        let cookie = ("Set-Cookie", "The token of the session, `HttpOnly` and `SameSite=Strict`.");
        doc.json_response::<Session>(201, "Signed in.", &[location, cookie, REPLAYED_DOC]);
    }
}
