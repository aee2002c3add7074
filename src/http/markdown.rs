//! Markdown as an answer: a page for browsers, the text itself for `curl` and agents.
//!
//! A page is one file without scripts, and its `Content-Security-Policy` lets it load nothing. So a
//! page shows the same on a machine without a network, and markup in a text can call nowhere.

use std::sync::LazyLock;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64;
use pulldown_cmark::{Options, Parser};
use sha2::{Digest, Sha256};

use super::describe::{Describe, Description};

const STYLE: &str = "body{font:1rem/1.6 system-ui,sans-serif;max-width:42rem;margin:3rem auto;\
    padding:0 1rem;color:#1b1f24;background:#fff}code,pre{font:.9em ui-monospace,monospace;\
    background:#f1f3f5;border-radius:3px;padding:.1em .3em}pre{padding:1em;overflow:auto}\
    h1{font-size:1.5rem;line-height:1.3}a{color:#0b57d0}\
    pre code{padding:0;background:none}table{border-collapse:collapse;margin:1em 0}\
    th,td{text-align:left;vertical-align:top;padding:.3em .8em .3em 0;border-bottom:1px solid #8884}\
    @media(prefers-color-scheme:dark){body{color:#e6e8ea;background:#15181c}\
    code,pre{background:#23282e}a{color:#8ab4f8}}";

/// The media type that the client prefers (`Accept`); HTML if it names none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// `text/html`.
    Html,
    /// `text/markdown` or `text/plain`.
    Markdown,
    /// `application/json`.
    Json,
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> std::result::Result<Self, Self::Rejection> {
        Ok(wanted(&parts.headers))
    }
}

impl Describe for Wanted {
    fn describe(_: &mut Description<'_>) {}
}

fn wanted(headers: &HeaderMap) -> Wanted {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let ranges = accept.unwrap_or_default().split(',');
    ranges
        .filter_map(|range| match range.split(';').next()?.trim() {
            "text/html" => Some(Wanted::Html),
            "text/markdown" | "text/plain" => Some(Wanted::Markdown),
            "application/json" => Some(Wanted::Json),
            _ => None,
        })
        .next()
        .unwrap_or(Wanted::Html)
}

/// The text as it is.
pub fn markdown(text: String) -> Response {
    let content_type = HeaderValue::from_static("text/markdown; charset=utf-8");
    (
        [(header::CONTENT_TYPE, content_type), (header::VARY, HeaderValue::from_static("accept"))],
        text,
    )
        .into_response()
}

/// The text as a page.
pub fn html(title: &str, text: &str) -> Response {
    static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
        let hash = BASE64.encode(&Sha256::digest(STYLE));
        let policy =
            format!("default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'");
        HeaderValue::from_str(&policy)
            .unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
    });
    let mut body = String::new();
    pulldown_cmark::html::push_html(&mut body, Parser::new_ext(text, Options::ENABLE_TABLES));
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title} · muster</title><style>{STYLE}</style></head>\n<body>\n{body}</body></html>\n"
    );
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    (headers, page).into_response()
}
