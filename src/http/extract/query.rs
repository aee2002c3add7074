//! Query parameters.
//!
//! A query has exactly one shape, as a body has: a parameter that is unknown, wrongly repeated or of
//! the wrong type is refused at `?name`, not ignored. A parameter whose type is a list may be repeated:
//! `?state=ready&state=running`. An empty number (`?limit=`) counts as absent. An integer may be written `5.0`
//! or `1e1`, as in a body.

use axum::{
    extract::FromRequestParts,
    http::{Uri, request::Parts},
};
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::{bounds, json::storable, sentences};
use crate::{
    domain::{
        number,
        refusal::{Code, FieldError, Refusal},
    },
    http::{
        describe::{Describe, Description},
        problem::{Error, Result},
    },
};

/// The query parameters. `T` derives `IntoParams`, and `Deserialize` with `deny_unknown_fields`.
#[derive(Debug, Clone)]
pub struct ApiQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + IntoParams> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(Self(read(pairs(&parts.uri)?, &[], bounds::of_parameter::<T>)?))
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
/// unknown parameter lists them too. `bounds` are those of the number in a parameter, for its refusal.
///
/// # Errors
/// `invalid` at a parameter that is unknown, missing or wrong.
pub fn read<T: DeserializeOwned>(
    pairs: Vec<Pair>,
    others: &[&str],
    bounds: impl Fn(&str) -> Option<(i64, i64)>,
) -> std::result::Result<T, Refusal> {
    let pairs = pairs.into_iter().map(|(name, value)| {
        let whole = whole(&value).filter(|_| bounds(&name).is_some());
        (name, whole.unwrap_or(value))
    });
    let pairs = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let parsed = form_urlencoded::parse(pairs.as_bytes());
    let reader = serde_html_form::Deserializer::new(parsed);
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let name = name_of(error.path());
        let detail = sentences::of_query(&error.into_inner().to_string(), others, || bounds(&name));
        Refusal::invalid(vec![at(&name, &detail)])
    })
}

/// The integer that a text stands for in another form than digits.
fn whole(text: &str) -> Option<String> {
    let of_number = |byte: u8| byte.is_ascii_digit() || b".eE+-".contains(&byte);
    let other = text.contains(['.', 'e', 'E']) && text.bytes().all(of_number);
    let double = text.parse::<f64>().ok().filter(|_| other)?;
    number::whole(double).map(|whole| whole.to_string())
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
