//! The responses of an operation: their headers, and how problems are listed.

use utoipa::openapi::{
    Content, Header, RefOr, Response, Schema,
    extensions::{Extensions, ExtensionsBuilder},
    response::ResponseBuilder,
};

use super::{CODES, string};
use crate::{domain::refusal::Code, http::problem};

/// The headers of responses that are not always there.
const OPTIONAL_HEADERS: &[&str] = &["Link", "Idempotent-Replayed"];

/// The response of every problem with one status: its codes are listed with their pages.
pub(super) fn problem_response(codes: &[Code], schema: RefOr<Schema>) -> Response {
    let lines: Vec<String> = codes
        .iter()
        .map(|code| format!("[`{code}`](/problems/{code}): {}.", problem::title(*code)))
        .collect();
    let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    // Codes share a status: what is promised of it are the headers that all of them have.
    let shared = codes.first().map_or(&[][..], |code| problem::extra_headers(*code)).iter();
    let headers: Vec<(&str, &str)> = shared
        .filter(|header| codes.iter().all(|code| problem::extra_headers(*code).contains(header)))
        .map(|(name, _)| header_text(name.as_str()))
        .collect();
    let response = ResponseBuilder::new()
        .description(lines.join("\n"))
        .content(problem::CONTENT_TYPE, Content::new(Some(schema)))
        .extensions(Some(ExtensionsBuilder::new().add(CODES, words).build()));
    with_headers(response, &headers)
}

fn header_text(name: &str) -> (&'static str, &'static str) {
    match name {
        "retry-after" => ("Retry-After", "Seconds to wait before the next try."),
        _ => ("WWW-Authenticate", "How to authenticate: `Bearer`."),
    }
}

/// Adds headers, each with what it says.
pub(super) fn with_headers(response: ResponseBuilder, headers: &[(&str, &str)]) -> Response {
    let response = headers.iter().fold(response, |response, (name, description)| {
        let mut header = Header::new(string());
        header.description = Some((*description).to_owned());
        if !OPTIONAL_HEADERS.contains(name) {
            // OpenAPI has this field; the crate does not.
            header.extensions = Some(Extensions::from_iter([("required", true)]));
        }
        response.header(*name, header)
    });
    response.build()
}
