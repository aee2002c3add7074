//! Who is calling.
//!
//! `Auth<C>` is the first argument of every handler: it authenticates the bearer key and admits it
//! as the caller `C` that the use case asks for, before anything else of the request is looked at.
//! The roles in the OpenAPI document are `C::ROLES`, so what is documented is what is checked. A
//! handler without a key says so with [`Public`].

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};

use crate::{
    app::{App, caller::Caller},
    domain::refusal::{Code, Refusal},
    http::{
        describe::{Access, Describe, Description},
        problem::{Error, Result},
        serve::request_id::RequestId,
    },
};

/// The name of the security scheme in the OpenAPI document.
pub const SCHEME: &str = "bearer";

/// More than any key that muster makes; longer ones are refused without being hashed.
const LONGEST_KEY: usize = 256;

/// The authenticated caller, as the kind of caller that the handler's use case asks for.
#[derive(Debug, Clone)]
pub struct Auth<C>(pub C);

impl<S, C> FromRequestParts<S> for Auth<C>
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
    C: Caller,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let bearer = bearer(&parts.headers)?;
        let app = Arc::<App>::from_ref(state);
        let RequestId(request_id) = parts.extensions.get().cloned().unwrap_or_default();
        Ok(Self(C::identify(&app, bearer, request_id).await?))
    }
}

impl<C> Access for Auth<C> {}

impl<C: Caller> Describe for Auth<C> {
    fn describe(doc: &mut Description<'_>) {
        doc.roles(C::ROLES);
        doc.refuses(&[Code::Unauthenticated, Code::Forbidden]);
    }
}

/// Everybody may call; there is nothing to check.
#[derive(Debug, Clone, Copy)]
pub struct Public;

impl<S: Send + Sync> FromRequestParts<S> for Public {
    type Rejection = std::convert::Infallible;

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

fn bearer(headers: &HeaderMap) -> Result<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(unauthenticated("send one header `Authorization: Bearer mst_...`"));
    };
    let value = value.to_str().unwrap_or_default();
    let Some((scheme, key)) = value.split_once(' ') else {
        return Err(unauthenticated("the `Authorization` header is not `Bearer mst_...`"));
    };
    let key = key.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || key.is_empty() || key.len() > LONGEST_KEY {
        return Err(unauthenticated("the `Authorization` header is not `Bearer mst_...`"));
    }
    Ok(key)
}

fn unauthenticated(detail: &str) -> Error {
    Refusal::new(Code::Unauthenticated, detail).into()
}
