//! Sign-in of people with an identity provider (OpenID Connect).

use std::sync::Arc;

use axum::extract::State;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{App, sign_in::Returned},
    domain::settings,
    http::{
        cookie::{SESSION, SIGN_IN},
        extract::{auth::Public, cookie::SignInCookie, query::ApiQuery},
        problem::Result,
        reply::redirected::{Cookie, Redirected},
    },
};

/// The paths of a sign-in.
const PATH: &str = "/v1/sign-in/oidc";

/// How a sign-in begins.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct BeginSignIn {
    /// The path of this service to return to, with one `/` at its beginning. Absent: `/`.
    pub return_to: Option<String>,
}

/// What the identity provider sends back. Other parameters are ignored.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
pub struct SignInAnswer {
    /// The code that muster redeems at the provider.
    pub code: Option<String>,
    /// The state of the sign-in.
    pub state: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// The issuer, if the provider says so (RFC 9207).
    pub iss: Option<String>,
}

/// Begin a sign-in.
///
/// For browsers: sends them to the identity provider, and remembers the sign-in in a cookie for ten minutes.
/// 404 if none is set up.
#[utoipa::path(get, path = "/v1/sign-in/oidc")]
pub async fn begin_sign_in(
    _: Public,
    State(app): State<Arc<App>>,
    ApiQuery(query): ApiQuery<BeginSignIn>,
) -> Result<Redirected> {
    let begun = app.begin_sign_in(query.return_to.as_deref()).await?;
    let cookie = Cookie {
        name: SIGN_IN,
        value: begun.cookie.expose_secret().to_owned(),
        path: PATH,
        lasts: settings::SIGN_IN_WITHIN.as_secs(),
        over_tls: begun.over_tls,
    };
    Ok(Redirected { location: begun.location, cookies: vec![cookie] })
}

/// Complete a sign-in.
///
/// The identity provider sends browsers here. Begins a session of the identity: a cookie that acts with the
/// person and the role of the sign-in, and reads only until an administrator confirmed the person. The session
/// ends after 8 hours without use, and after 7 days in any case.
#[utoipa::path(get, path = "/v1/sign-in/oidc/callback")]
pub async fn finish_sign_in(
    _: Public,
    State(app): State<Arc<App>>,
    SignInCookie { cookie, request_id }: SignInCookie,
    ApiQuery(answer): ApiQuery<SignInAnswer>,
) -> Result<Redirected> {
    let SignInAnswer { code, state, error, iss } = answer;
    let returned = Returned { code, state, error, issuer: iss };
    let finished = app.finish_sign_in(cookie.as_deref(), &returned, request_id).await?;
    let over_tls = finished.over_tls;
    let session = Cookie {
        name: SESSION,
        value: finished.token.expose_secret().to_owned(),
        path: "/",
        lasts: settings::SESSION_LONGEST.as_secs(),
        over_tls,
    };
    let forgotten = Cookie { name: SIGN_IN, value: String::new(), path: PATH, lasts: 0, over_tls };
    Ok(Redirected { location: finished.return_to, cookies: vec![session, forgotten] })
}
