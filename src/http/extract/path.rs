//! Parameters of the path.
//!
//! An id that is no UUID is an id of nothing: 404 `not_found`, the same as for one that does not
//! exist. So there is one answer for "not here" whatever a caller puts into a path, and guessing
//! at the form of ids teaches nothing.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use serde::de::DeserializeOwned;
use utoipa::{
    PartialSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type},
};

use crate::{
    domain::refusal::{Code, Refusal},
    http::{
        describe::{self, Describe, Description},
        problem::{Error, Result},
    },
};

/// The parameters of the path: `ApiPath(goal): ApiPath<GoalId>`, or a tuple for several.
#[derive(Debug, Clone, Copy)]
pub struct ApiPath<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(_) => Err(Refusal::new(
                Code::NotFound,
                "there is no such thing in this workspace: the path has an id that is not one",
            )
            .into()),
        }
    }
}

impl<T: PathParams> Describe for ApiPath<T> {
    fn describe(doc: &mut Description<'_>) {
        T::describe(doc);
        doc.refuses(&[Code::NotFound]);
    }
}

/// What can stand in the path of a route, in the order of the path.
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

impl PathParam for String {
    fn schema() -> RefOr<Schema> {
        RefOr::T(Schema::Object(describe::string()))
    }
}

impl PathParam for i64 {
    fn schema() -> RefOr<Schema> {
        RefOr::T(Schema::Object(
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                .build(),
        ))
    }
}
