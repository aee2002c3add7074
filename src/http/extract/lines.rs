//! Request bodies of many lines of JSON (NDJSON).
//!
//! Each line is read by itself, with the same rules as a body of JSON: one that is wrong is reported with what is wrong
//! with it, and its neighbours stand. Empty lines do not count.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::{body, json};
use crate::{
    domain::refusal::{Code, FieldError},
    http::{
        describe::{Describe, Description},
        problem::{Error, Result},
    },
};

/// The media type of lines of JSON.
pub const NDJSON: &str = "application/x-ndjson";
/// What a body may be called: clients know JSON only.
const ACCEPTED: [&str; 2] = [NDJSON, body::JSON];

/// A body of lines, each read or with what is wrong with it.
#[derive(Debug, Clone)]
pub struct Lines<T>(pub Vec<std::result::Result<T, Vec<FieldError>>>);

impl<S: Send + Sync, T: DeserializeOwned + ToSchema> FromRequest<S> for Lines<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let (_, bytes) = body::bytes_of(request, &ACCEPTED).await?;
        let lines = bytes.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.iter().all(u8::is_ascii_whitespace));
        Ok(Self(
            lines
                .map(|line| {
                    json::read_body(line).map_err(|refusal| {
                        if refusal.errors.is_empty() {
                            vec![FieldError::new("", refusal.detail)]
                        } else {
                            refusal.errors
                        }
                    })
                })
                .collect(),
        ))
    }
}

impl<T: ToSchema> Describe for Lines<T> {
    fn describe(doc: &mut Description<'_>) {
        body::describe_body::<T>(doc, true);
        doc.refuses(&[Code::Invalid]);
    }
}
