//! Authentication: the first argument of every handler.
//!
//! [`Auth`] authenticates the bearer key, or the session of an identity, and admits it as the caller that
//! the use case asks for, before any other part of the request is read, and takes the request through the
//! caps ([`crate::http::fairness`]). The roles in the OpenAPI document are `C::ROLES`, the same
//! that are checked. A handler that needs no key takes [`Public`].

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};

use super::cookie::{cookie, same_origin};
use crate::{
    app::{self, App, caller::Caller},
    domain::{
        access::credential::Credential,
        refusal::{Code, Refusal},
    },
    http::{
        cookie::SESSION,
        describe::{Access, Describe, Description},
        fairness::admission::Admission,
        problem::{Error, Result},
        serve::request_id::RequestId,
    },
};

/// Longer than any key of muster. A longer value is refused without being hashed.
const LONGEST_KEY: usize = 256;

/// The authenticated caller, and the use cases that it may call.
#[derive(Debug, Clone)]
pub struct Auth<C> {
    /// The use cases.
    pub app: Arc<App>,
    /// The caller, of the kind that the use case asks for.
    pub caller: C,
}

impl<S, C> FromRequestParts<S> for Auth<C>
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
    C: Caller,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let presented = presented(parts)?;
        let app = Arc::<App>::from_ref(state);
        let RequestId(request_id) = parts.extensions.get().cloned().unwrap_or_default();
        let whence = whence(parts, presented);
        // On the heap, or every future around it carries its size several times: a hundred kilobytes for each
        // request, which are copied and stay allocated while it waits.
        let identified = Box::pin(async {
            let caller = C::identify(&app, presented, request_id).await?;
            whence?;
            Ok(caller)
        });
        let Some(admission) = parts.extensions.get::<Admission>().cloned() else {
            let identified: app::Result<C> = identified.await;
            return Ok(Self { caller: identified?, app });
        };
        let caller = admission.identify(presented, identified).await?;
        // With a body, the place is taken after it has arrived.
        if !admission.route().reads_body {
            admission.enter().await?;
        }
        Ok(Self { app, caller })
    }
}

impl<C> Access for Auth<C> {}

impl<C: Caller> Describe for Auth<C> {
    fn describe(doc: &mut Description<'_>) {
        doc.roles(C::ROLES);
        doc.scopes(C::ADMITS);
        doc.refuses(&[Code::Unauthenticated, Code::Forbidden]);
    }
}

/// Anybody may call, without a key.
#[derive(Debug, Clone, Copy)]
pub struct Public;

impl<S: Send + Sync> FromRequestParts<S> for Public {
    type Rejection = Infallible;

    async fn from_request_parts(
        _: &mut Parts,
        _: &S,
    ) -> std::result::Result<Self, Self::Rejection> {
        Ok(Self)
    }
}

impl Access for Public {}

impl Describe for Public {
    fn describe(doc: &mut Description<'_>) {
        doc.public();
    }
}

/// The key in the header `Authorization`, or without one the session in the cookie. A request with both is
/// judged by its key alone.
fn presented(parts: &Parts) -> Result<Credential<'_>> {
    match cookie(&parts.headers, SESSION) {
        Some(token) if !parts.headers.contains_key(header::AUTHORIZATION) => {
            Ok(Credential::Session(token))
        }
        Some(_) | None => bearer(&parts.headers).map(Credential::Key),
    }
}

/// Refuses a session in a request that another site made the browser send.
fn whence(parts: &Parts, presented: Credential<'_>) -> std::result::Result<(), Refusal> {
    match presented {
        Credential::Key(_) => Ok(()),
        Credential::Session(_) => same_origin(parts),
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(unauthenticated("send one header `Authorization: Bearer mst_...`"));
    };
    let key = match value.to_str().unwrap_or_default().split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim(),
        Some(_) | None => "",
    };
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(unauthenticated("the `Authorization` header is not `Bearer mst_...`"));
    }
    Ok(key)
}

fn unauthenticated(detail: &str) -> Error {
    Refusal::new(Code::Unauthenticated, detail).into()
}
