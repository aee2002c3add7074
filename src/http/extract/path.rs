//! Path parameters.
//!
//! An id that is not a UUID gets 404 `not_found`, like an id that does not exist. So there is one answer
//! for everything that is not there, and it reveals nothing about the form of ids.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use serde::de::DeserializeOwned;
use utoipa::{
    PartialSchema,
    openapi::{RefOr, Schema},
};

use crate::{
    domain::{
        artifact::digest::DigestInPath,
        refusal::{Code, Refusal},
    },
    http::{
        describe::{self, Describe, Description},
        problem::{Error, Result},
    },
};

/// The path parameters: `ApiPath(goal): ApiPath<GoalId>`, or a tuple for several.
#[derive(Debug, Clone, Copy)]
pub struct ApiPath<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Ok(Path(value)) = Path::<T>::from_request_parts(parts, state).await else {
            let detail = "not found in this workspace: the path has an id of the wrong form";
            return Err(Refusal::new(Code::NotFound, detail).into());
        };
        Ok(Self(value))
    }
}

impl<T: PathParams> Describe for ApiPath<T> {
    fn describe(doc: &mut Description<'_>) {
        T::describe(doc);
        doc.refuses(&[Code::NotFound]);
    }
}

/// The types of all path parameters of a route, in the order of the path.
pub trait PathParams {
    /// Describes each parameter.
    fn describe(doc: &mut Description<'_>);
}

impl<T: PathParam> PathParams for T {
    fn describe(doc: &mut Description<'_>) {
        doc.path_param(T::schema());
    }
}

impl<A: PathParam, B: PathParam> PathParams for (A, B) {
    fn describe(doc: &mut Description<'_>) {
        doc.path_param(A::schema());
        doc.path_param(B::schema());
    }
}

/// The schema of one segment of a path.
pub trait PathParam {
    /// The schema.
    fn schema() -> RefOr<Schema>;
}

impl<T: crate::domain::ids::Id + PartialSchema> PathParam for T {
    fn schema() -> RefOr<Schema> {
        <T as PartialSchema>::schema()
    }
}

/// A number within what the path names before it, such as a criterion of a goal.
impl PathParam for i16 {
    fn schema() -> RefOr<Schema> {
        <Self as PartialSchema>::schema()
    }
}

/// The name of an artifact.
impl PathParam for DigestInPath {
    fn schema() -> RefOr<Schema> {
        let mut digest = describe::string();
        digest.pattern = Some("^[0-9a-f]{64}$".to_owned());
        digest.description = Some("SHA-256 of the bytes: 64 hexadecimal digits.".to_owned());
        RefOr::T(Schema::Object(digest))
    }
}

impl PathParam for String {
    fn schema() -> RefOr<Schema> {
        RefOr::T(Schema::Object(describe::string()))
    }
}
