//! Sessions: the cookie of a person who signed in.
//!
//! [`SessionAuth`] takes the session of a key too, which [`super::auth::Auth`] does not: it only reads the list
//! of sessions. A session is no bearer key, and a cookie with a key in it is nothing.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{header, request::Parts},
};

use super::{auth::Auth, cookie::cookie};
use crate::{
    app::{
        App,
        access::sessions::SessionReader,
        caller::{Caller, PersonCaller},
    },
    domain::refusal::{Code, Refusal},
    http::{
        cookie::{OverTls, SESSION},
        describe::{Access, Describe, Description},
        fairness::admission::Admission,
        problem::{Error, Result},
    },
};

/// A person with a bearer key, or without one and with a session.
#[derive(Debug, Clone)]
pub struct SessionAuth {
    /// The use cases.
    pub app: Arc<App>,
    /// The person.
    pub reader: SessionReader,
}

impl<S> FromRequestParts<S> for SessionAuth
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        // A request with both is judged by its key alone.
        if parts.headers.contains_key(header::AUTHORIZATION) {
            let Auth { app, caller } =
                Auth::<PersonCaller>::from_request_parts(parts, state).await?;
            return Ok(Self { app, reader: SessionReader::Key(caller) });
        }
        let app = Arc::<App>::from_ref(state);
        let Some(token) = cookie(&parts.headers, SESSION) else {
            let detail = "send `Authorization: Bearer mst_...`, or the cookie of a session";
            return Err(Refusal::new(Code::Unauthenticated, detail).into());
        };
        let found = app.session(token);
        let caller = match parts.extensions.get::<Admission>().cloned() {
            None => found.await?,
            Some(admission) => {
                let caller = admission.identify_stranger(found).await?;
                admission.enter().await?;
                caller
            }
        };
        Ok(Self { app, reader: SessionReader::Session(caller) })
    }
}

impl Access for SessionAuth {}

impl Describe for SessionAuth {
    fn describe(doc: &mut Description<'_>) {
        doc.roles(PersonCaller::ROLES);
        doc.scopes(PersonCaller::ADMITS);
        doc.refuses(&[Code::Unauthenticated, Code::Forbidden]);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OverTls {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> std::result::Result<Self, Self::Rejection> {
        let proto = parts.headers.get("x-forwarded-proto");
        Ok(Self(proto.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))))
    }
}

impl Describe for OverTls {
    fn describe(_: &mut Description<'_>) {}
}
