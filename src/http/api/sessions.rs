//! Sessions: sign-ins of people in a browser.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    app::{access::sessions::Session, caller::PersonCaller},
    domain::{access::person::Person, ids::SessionId},
    http::{
        cookie::OverTls,
        extract::{
            auth::Auth,
            idempotency::Create,
            page::{Listing, Paged},
            path::ApiPath,
            query::ApiQuery,
            session::SessionAuth,
        },
        problem::Result,
        reply::{NoContent, signed_in::SignedIn},
    },
};

/// Request to begin a session: nothing but the key of the request.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSession {}

/// Whose sessions.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SessionQuery {
    /// The sessions of this person, for admins. Absent: your own.
    pub person: Option<Person>,
}

/// Begin a session.
///
/// Signs the holder of the key in: the answer sets a cookie, which is the only place of the token.
/// The session has the role, the person and the scope of the key, and ends with the key. It ends
/// after 8 hours without use, and after 7 days in any case. The cookie authenticates
/// `GET /v1/sessions`; it is no bearer key.
#[utoipa::path(post, path = "/v1/sessions")]
pub async fn begin_session(
    Auth { app, caller }: Auth<PersonCaller>,
    over_tls: OverTls,
    Create { body: NewSession {}, idempotency }: Create<NewSession>,
) -> Result<SignedIn> {
    Ok(SignedIn::new(app.begin_session(&caller, idempotency.as_ref()).await?, over_tls))
}

/// List the sessions.
///
/// Newest first, including ended ones: your own, or those of a person for an admin's key. Takes a
/// bearer key, or without one the cookie of a session.
#[utoipa::path(get, path = "/v1/sessions")]
pub async fn list_sessions(
    SessionAuth { app, reader }: SessionAuth,
    list: Listing<SessionQuery, SessionId>,
) -> Result<Paged<Session>> {
    let person = list.filter.person.as_ref();
    let sessions = app.list_sessions(&reader, person, list.after, list.rows()).await?;
    list.page(sessions, |session| session.id)
}

/// End a session.
///
/// Refused from this answer on. Ending an ended session changes nothing. Admins end any session of
/// the workspace, others their own.
#[utoipa::path(delete, path = "/v1/sessions/{session_id}")]
pub async fn end_session(
    Auth { app, caller }: Auth<PersonCaller>,
    ApiPath(session): ApiPath<SessionId>,
) -> Result<NoContent> {
    app.end_session(&caller, session).await?;
    Ok(NoContent)
}

/// End every session.
///
/// Signs you out everywhere, or a person for an admin's key.
#[utoipa::path(delete, path = "/v1/sessions")]
pub async fn end_sessions(
    Auth { app, caller }: Auth<PersonCaller>,
    ApiQuery(query): ApiQuery<SessionQuery>,
) -> Result<NoContent> {
    app.end_sessions(&caller, query.person.as_ref()).await?;
    Ok(NoContent)
}
