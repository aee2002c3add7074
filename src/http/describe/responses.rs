//! Responses: their headers, and the problems of a status.

use axum::http::{HeaderName, header};
use utoipa::openapi::{
    Content, Header, RefOr, Response, Schema,
    extensions::{Extensions, ExtensionsBuilder},
    response::ResponseBuilder,
};

use super::{CODES, string};
use crate::{domain::refusal::Code, http::problem};

/// The headers that a response may lack.
const OPTIONAL_HEADERS: &[&str] = &["Link", "Idempotent-Replayed"];

/// The response of all problems with one status: it lists the codes with their pages.
pub(super) fn problem_response(codes: &[Code], schema: RefOr<Schema>) -> Response {
    let lines: Vec<String> = codes
        .iter()
        .map(|code| format!("[`{code}`](/problems/{code}): {}.", code.title()))
        .collect();
    let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    // Codes share a status: the response promises a header only if all of them have it.
    let mut all = codes.iter().map(|code| problem::header(*code));
    let first = all.next().flatten().filter(|first| all.all(|other| other.as_ref() == Some(first)));
    let headers: Vec<_> = first.iter().map(|(name, _)| header_text(name)).collect();
    let response = ResponseBuilder::new()
        .description(lines.join("\n"))
        .content(problem::CONTENT_TYPE, Content::new(Some(schema)))
        .extensions(Some(ExtensionsBuilder::new().add(CODES, words).build()));
    with_headers(response, &headers)
}

fn header_text(name: &HeaderName) -> (&'static str, &'static str) {
    if *name == header::RETRY_AFTER {
        return ("Retry-After", "Seconds to wait before the next try.");
    }
    ("WWW-Authenticate", "The authentication scheme: `Bearer`.")
}

/// Adds headers, each with its description.
pub(super) fn with_headers(response: ResponseBuilder, headers: &[(&str, &str)]) -> Response {
    let response = headers.iter().fold(response, |response, (name, description)| {
        let mut header = Header::new(string());
        header.description = Some((*description).to_owned());
        if !OPTIONAL_HEADERS.contains(name) {
            // OpenAPI has this field, the crate does not.
            header.extensions = Some(Extensions::from_iter([("required", true)]));
        }
        response.header(*name, header)
    });
    response.build()
}
