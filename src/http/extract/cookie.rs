//! The cookies of a request, and where a request of a browser comes from.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, Uri, header, request::Parts},
};

use crate::{
    domain::refusal::{Code, Refusal},
    http::{
        cookie::SIGN_IN,
        describe::{Describe, Description},
        serve::request_id::RequestId,
    },
};

/// The cookie of this name, if there is exactly one. Two mean that another site of the same host set one of
/// them.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(given, _)| *given == name)
        .map(|(_, value)| value);
    match (found.next(), found.next()) {
        (Some(value), None) => Some(value),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

/// Refuses a request with a cookie that may change something and that a page of another site made the
/// browser send. Browsers say where a request comes from, and no page can change that.
///
/// # Errors
/// `forbidden`.
pub fn same_origin(parts: &Parts) -> std::result::Result<(), Refusal> {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let fetched = match text("sec-fetch-site") {
        Some("same-origin") => true,
        Some(_) => false,
        None => text("origin").is_some_and(|origin| {
            let origin = origin.parse::<Uri>().ok();
            let origin = origin.as_ref().and_then(|origin| origin.authority());
            let host = text("host").or(parts.uri.authority().map(|authority| authority.as_str()));
            origin
                .zip(host)
                .is_some_and(|(origin, host)| origin.as_str().eq_ignore_ascii_case(host))
        }),
    };
    if fetched {
        return Ok(());
    }
    let detail = "a request with the cookie of a session that changes something must come from a page of \
                  this service (`Sec-Fetch-Site: same-origin` or its `Origin`); programs use a key";
    Err(Refusal::new(Code::Forbidden, detail))
}

/// The cookie of the sign-in, and the id of the request.
#[derive(Debug, Clone)]
pub struct SignInCookie {
    /// The cookie, if there is one.
    pub cookie: Option<String>,
    /// The id of the request.
    pub request_id: Arc<str>,
}

impl<S: Send + Sync> FromRequestParts<S> for SignInCookie {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> std::result::Result<Self, Self::Rejection> {
        let RequestId(request_id) = parts.extensions.get().cloned().unwrap_or_default();
        Ok(Self { cookie: cookie(&parts.headers, SIGN_IN).map(str::to_owned), request_id })
    }
}

impl Describe for SignInCookie {
    fn describe(_: &mut Description<'_>) {}
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn is_ours(method: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/v1/goals");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        same_origin(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn only_pages_of_this_service_change_something() {
        let host = ("host", "muster.example:8080");
        let ours = ("origin", "https://muster.example:8080");
        assert!(is_ours("GET", &[host, ("sec-fetch-site", "cross-site")]));
        assert!(is_ours("POST", &[host, ("sec-fetch-site", "same-origin")]));
        assert!(is_ours("DELETE", &[host, ours]));
        for other in [
            vec![],
            vec![host],
            vec![ours],
            vec![host, ("sec-fetch-site", "same-site"), ours],
            vec![host, ("sec-fetch-site", "none")],
            vec![host, ("sec-fetch-site", "cross-site"), ours],
            vec![host, ("origin", "https://muster.example")],
            vec![host, ("origin", "https://evil.example")],
            vec![host, ("origin", "null")],
        ] {
            assert!(!is_ours("POST", &other), "{other:?}");
        }
    }
}
