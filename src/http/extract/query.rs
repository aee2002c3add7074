//! Query parameters.
//!
//! A query has exactly one shape, as a body has: a parameter that is unknown, wrongly repeated or of
//! the wrong type is refused at `?name`, not ignored. A parameter whose type is a list may be repeated:
//! `?state=ready&state=running`. An empty number (`?limit=`) counts as absent.

use axum::{
    extract::FromRequestParts,
    http::{Uri, request::Parts},
};
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::{json::storable, sentences};
use crate::{
    domain::refusal::{Code, FieldError, Refusal},
    http::{
        describe::{Describe, Description},
        problem::{Error, Result},
    },
};

/// The query parameters. `T` derives `IntoParams`, and `Deserialize` with `deny_unknown_fields`.
#[derive(Debug, Clone)]
pub struct ApiQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(Self(read(pairs(&parts.uri)?, &[])?))
    }
}

impl<T: IntoParams> Describe for ApiQuery<T> {
    fn describe(doc: &mut Description<'_>) {
        doc.query::<T>();
        doc.refuses(&[Code::Invalid]);
    }
}

/// A parameter as it was sent: its name and its value, decoded.
pub type Pair = (String, String);

/// All parameters of a query.
///
/// # Errors
/// `invalid` at a parameter that is not text.
pub fn pairs(uri: &Uri) -> std::result::Result<Vec<Pair>, Refusal> {
    let pairs: Vec<Pair> =
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let refused: Vec<FieldError> = pairs
        .iter()
        .filter(|(name, value)| !name.chars().chain(value.chars()).all(allowed))
        .map(|(name, _)| at(name, "must be UTF-8 text without control characters"))
        .collect();
    if refused.is_empty() { Ok(pairs) } else { Err(Refusal::invalid(refused)) }
}

fn allowed(c: char) -> bool {
    // Decoding puts U+FFFD where the bytes are not UTF-8.
    storable(c) && c != char::REPLACEMENT_CHARACTER
}

/// Reads a `T` from parameters. `others` are the names that another reader takes: the refusal of an
/// unknown parameter lists them too.
///
/// # Errors
/// `invalid` at a parameter that is unknown, missing or wrong.
pub fn read<T: DeserializeOwned>(
    pairs: Vec<Pair>,
    others: &[&str],
) -> std::result::Result<T, Refusal> {
    let pairs = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
    let parsed = form_urlencoded::parse(pairs.as_bytes());
    let reader = serde_html_form::Deserializer::new(parsed);
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let name = name_of(error.path());
        let detail = sentences::of_query(&error.into_inner().to_string(), others);
        Refusal::invalid(vec![at(&name, &detail)])
    })
}

/// The name of the parameter, without the index of its repetition.
fn name_of(path: &serde_path_to_error::Path) -> String {
    match path.iter().next() {
        Some(serde_path_to_error::Segment::Map { key }) => key.clone(),
        Some(_) | None => String::new(),
    }
}

fn at(name: &str, detail: &str) -> FieldError {
    FieldError::new(format!("?{name}"), detail)
}
