//! Request bodies that are a document: JSON that holds it, or the document itself in YAML.
//!
//! The `Content-Type` says which. A body in YAML is the document and nothing around it, so a file can be sent as it
//! is. What it says is read by the use case, like the same text inside of JSON; here it is only held to be text that
//! can be stored. All bounds of JSON hold: the size of the body, and the use case bounds the depth.
//!
//! The API document lists JSON alone, and the text of an operation says that it takes YAML: generators of clients
//! leave out a whole operation with a media type that they do not know.

use axum::extract::{FromRequest, Request as HttpRequest};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::{
    body::{self, JSON},
    idempotency::{self, Create, Head},
    json,
};
use crate::{
    domain::{
        outline::controls,
        refusal::{Code, Refusal},
    },
    http::{
        describe::{Describe, Description},
        problem::{Error, Result},
    },
};

/// The media type of YAML.
pub const YAML: &str = "application/yaml";
/// What a body may be.
const ACCEPTED: [&str; 2] = [JSON, YAML];

/// A type of requests that can be a document in YAML.
pub trait YamlBody: DeserializeOwned + ToSchema {
    /// The request whose body is this document.
    fn of_yaml(document: String) -> Self;
}

/// A body in JSON or YAML.
#[derive(Debug, Clone)]
pub struct JsonOrYaml<T>(pub T);

/// A body in JSON or YAML, and the identity of the request: as [`Create`].
#[derive(Debug, Clone)]
pub struct CreateOfYaml<T>(pub Create<T>);

impl<S: Send + Sync, T: YamlBody> FromRequest<S> for JsonOrYaml<T> {
    type Rejection = Error;

    async fn from_request(request: HttpRequest, _: &S) -> Result<Self> {
        let (media_type, bytes) = body::bytes_of(request, &ACCEPTED).await?;
        Ok(Self(read(media_type, &bytes)?))
    }
}

impl<S: Send + Sync, T: YamlBody> FromRequest<S> for CreateOfYaml<T> {
    type Rejection = Error;

    async fn from_request(request: HttpRequest, _: &S) -> Result<Self> {
        let head = Head::of(&request)?;
        let (media_type, bytes) = body::bytes_of(request, &ACCEPTED).await?;
        let other = Some(media_type).filter(|media_type| *media_type != JSON);
        let idempotency = head.identity(other, &bytes);
        Ok(Self(Create { body: read(media_type, &bytes)?, idempotency }))
    }
}

fn read<T: YamlBody>(media_type: &str, bytes: &[u8]) -> Result<T> {
    if media_type == YAML { Ok(T::of_yaml(text(bytes)?)) } else { Ok(json::read_body(bytes)?) }
}

/// The text of a body, if it can be stored.
fn text(bytes: &[u8]) -> std::result::Result<String, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let read = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = read.matches('\n').count() + 1;
        let column = read.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        let detail = format!("the body is not UTF-8 at line {line} column {column}");
        Refusal::new(Code::MalformedRequest, detail)
    })?;
    match controls::find(text).first() {
        None => Ok(text.to_owned()),
        Some(found) => {
            let (c, line, column) = (u32::from(found.char), found.line, found.column);
            let detail = format!(
                "the control character U+{c:04X} in line {line}, column {column} is not allowed"
            );
            Err(Refusal::invalid_at("", detail))
        }
    }
}

impl<T: YamlBody> Describe for JsonOrYaml<T> {
    fn describe(doc: &mut Description<'_>) {
        body::describe_body::<T>(doc, true);
    }
}

impl<T: YamlBody> Describe for CreateOfYaml<T> {
    fn describe(doc: &mut Description<'_>) {
        JsonOrYaml::<T>::describe(doc);
        idempotency::describe_key(doc);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_cannot_be_stored_is_refused_with_its_place() {
        assert_eq!(text("name: é # 🦀\r\n\t".as_bytes()).unwrap(), "name: é # 🦀\r\n\t");
        let refused = text(b"name: x\ntitle: \xff").unwrap_err();
        assert_eq!(refused.code, Code::MalformedRequest);
        assert!(refused.detail.ends_with("line 2 column 8"), "{}", refused.detail);
        // Also in a comment, which is kept with the rest.
        let refused = text(b"name: x\n# a\0").unwrap_err();
        assert_eq!(refused.code, Code::Invalid);
        assert!(refused.detail.contains("U+0000 in line 2, column 4"), "{}", refused.detail);
    }
}
