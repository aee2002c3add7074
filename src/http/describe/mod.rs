//! The OpenAPI document, derived from the signatures of handlers.
//!
//! Each extractor and each reply describes the parameters, headers, bodies, statuses and problem codes
//! that it adds to an operation ([`Describe`]); [`complete`] collects them from the type of a handler.
//! So the document cannot promise a body that the handler does not read, miss the 415 of a body that it
//! reads, or name roles that it does not check. The first argument must be an [`Access`]: a handler
//! without a rule of who may call it does not compile.
//!
//! The page adds what a signature cannot say: the refusals of the use case.

mod responses;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use utoipa::{
    IntoParams, ToSchema,
    openapi::{
        Content, Object, ObjectBuilder, Ref, RefOr, Required, Response, Type,
        extensions::{Extensions, ExtensionsBuilder},
        path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem, Paths},
        request_body::{RequestBody, RequestBodyBuilder},
        response::ResponseBuilder,
        schema::{KnownFormat, Schema, SchemaFormat, SchemaType},
        security::SecurityRequirement,
    },
};

use super::problem::{self, Problem};
use crate::domain::{
    access::{role::Role, scope::Admits},
    refusal::Code,
};

/// The name of the security scheme.
pub const SCHEME: &str = "bearer";
/// The marker of operations whose requests may wait.
pub const LONG_POLL: &str = "x-long-poll";
/// The marker of operations that read a list.
pub const LIST: &str = "x-list";
/// The marker of operations that read much.
pub const SCAN: &str = "x-scan";
/// The marker of operations that send or receive the bytes of an artifact.
pub const TRANSFER: &str = "x-transfer";
/// The marker of operations that need no key.
pub const PUBLIC: &str = "x-public";
/// The marker of operations that answer even while others are refused because of overload.
pub const ALWAYS: &str = "x-always";
/// The roles that may call an operation.
const ROLES: &str = "x-roles";
/// The scopes of keys that may call an operation.
const SCOPES: &str = "x-scopes";
/// The codes of a problem response.
const CODES: &str = "x-codes";

/// Schemas by their names among the components of the document.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// A part of a handler's signature that describes what it adds to the operation.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not describe what it adds to the OpenAPI document",
    note = "use the extractors and replies of `crate::http`, or implement `Describe`"
)]
pub trait Describe {
    /// Adds it to the operation.
    fn describe(doc: &mut Description<'_>);
}

/// Who may call a handler: `Auth` or `Public` of `crate::http::extract::auth`.
#[diagnostic::on_unimplemented(
    message = "the first argument of a handler says who may call it, `{Self}` does not",
    note = "start with `Auth<...Caller>`, or with `Public` if everybody may"
)]
pub trait Access {}

/// A handler whose signature describes it.
#[diagnostic::on_unimplemented(
    message = "the signature of this handler does not describe it",
    note = "its first argument is `Auth<...Caller>` or `Public`, every other one and the reply \
            implement `Describe`, and there are 7 arguments at most"
)]
pub trait Documented<Args> {
    /// Describes every argument and the response.
    fn describe(doc: &mut Description<'_>);
}

macro_rules! documented {
    ($first:ident $(, $arg:ident)*) => {
        impl<F, Fut, $first $(, $arg)*> Documented<($first, $($arg,)*)> for F
        where
            F: FnOnce($first $(, $arg)*) -> Fut,
            Fut: Future,
            Fut::Output: Describe,
            $first: Access + Describe,
            $($arg: Describe,)*
        {
            fn describe(doc: &mut Description<'_>) {
                <$first as Describe>::describe(doc);
                $(<$arg as Describe>::describe(doc);)*
                <Fut::Output as Describe>::describe(doc);
            }
        }
    };
}
documented!(A1);
documented!(A1, A2);
documented!(A1, A2, A3);
documented!(A1, A2, A3, A4);
documented!(A1, A2, A3, A4, A5);
documented!(A1, A2, A3, A4, A5, A6);
documented!(A1, A2, A3, A4, A5, A6, A7);

impl<T> Describe for axum::extract::State<T> {
    fn describe(_: &mut Description<'_>) {}
}

impl<T: Describe> Describe for problem::Result<T> {
    fn describe(doc: &mut Description<'_>) {
        T::describe(doc);
    }
}

/// The description of one operation, while it is collected.
pub struct Description<'a> {
    operation: &'a mut Operation,
    /// `None` where only the operations are of interest.
    schemas: Option<&'a mut Schemas>,
    path_names: std::vec::IntoIter<String>,
    codes: BTreeSet<Code>,
}

impl Description<'_> {
    /// Adds problem codes.
    pub fn refuses(&mut self, codes: &[Code]) {
        self.codes.extend(codes);
    }

    /// Adds the schema of `T` to the components, and returns the reference to it.
    pub fn schema<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let name = T::name().into_owned();
        if let Some(schemas) = &mut self.schemas {
            schemas.push((name.clone(), T::schema()));
            T::schemas(schemas);
        }
        Ref::from_schema_name(name).into()
    }

    /// Adds the next path parameter, in the order of the path.
    pub fn path_param(&mut self, schema: RefOr<Schema>) {
        let Some(name) = self.path_names.next() else { return };
        let description = match &schema {
            RefOr::T(Schema::Object(object)) => object.description.clone(),
            _ => None,
        };
        self.parameter(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(description)
                .schema(Some(schema)),
        );
    }

    /// Adds the query parameters of `T`.
    pub fn query<T: IntoParams>(&mut self) {
        for mut parameter in T::into_params(|| Some(ParameterIn::Query)) {
            // A query has no null: an optional parameter is absent.
            if let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema {
                schema.schema_type = without_null(&schema.schema_type);
            }
            self.parameter(parameter);
        }
    }

    /// Adds a request header.
    pub fn header(&mut self, name: &str, required: bool, schema: Object, description: &str) {
        self.parameter(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Header)
                .required(if required { Required::True } else { Required::False })
                .description(Some(description))
                .schema(Some(schema)),
        );
    }

    fn parameter(&mut self, parameter: impl Into<Parameter>) {
        let parameters = self.operation.parameters.get_or_insert_default();
        parameters.push(RefOr::T(parameter.into()));
    }

    /// Sets the JSON body of the request.
    pub fn request_body<T: ToSchema>(&mut self, required: bool) {
        let schema = self.schema::<T>();
        let body = RequestBodyBuilder::new()
            .content("application/json", Content::new(Some(schema)))
            .required(Some(if required { Required::True } else { Required::False }))
            .build();
        self.operation.request_body = Some(RefOr::T(body));
    }

    /// Sets a request body that is not JSON.
    pub fn form_body(&mut self, body: RequestBody) {
        self.operation.request_body = Some(RefOr::T(body));
    }

    /// Adds a response with a JSON body.
    pub fn json_response<T: ToSchema>(
        &mut self,
        status: u16,
        description: &str,
        headers: &[(&str, &str)],
    ) {
        let schema = self.schema::<T>();
        let response = ResponseBuilder::new()
            .description(description)
            .content("application/json", Content::new(Some(schema)));
        self.response(status, responses::with_headers(response, headers));
    }

    /// Adds a response with a text of this media type.
    pub fn text_response(&mut self, status: u16, media_type: &str, description: &str) {
        let response = ResponseBuilder::new()
            .description(description)
            .content(media_type, Content::new(Some(string())));
        self.response(status, response);
    }

    /// Adds a response without a body.
    pub fn empty_response(&mut self, status: u16, description: &str, headers: &[(&str, &str)]) {
        let response = ResponseBuilder::new().description(description);
        self.response(status, responses::with_headers(response, headers));
    }

    /// Adds a response, unless there is one with the same status.
    pub fn response(&mut self, status: u16, response: impl Into<Response>) {
        let responses = &mut self.operation.responses.responses;
        responses.entry(status.to_string()).or_insert_with(|| RefOr::T(response.into()));
    }

    /// Sets the roles that may call the operation.
    pub fn roles(&mut self, roles: &[Role]) {
        let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        self.operation.security = Some(vec![SecurityRequirement::new::<_, _, &str>(SCHEME, [])]);
        extend(self.operation, ExtensionsBuilder::new().add(ROLES, words.clone()).build());
        let line = format!(
            "Roles: {}.",
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        );
        let text = self.operation.description.take().unwrap_or_default();
        self.operation.description = Some(format!("{text}\n\n{line}").trim().to_owned());
    }

    /// Sets the scopes of keys that may call the operation, below their roles.
    pub fn scopes(&mut self, admits: Admits) {
        let admitted = [
            ("read_only", admits.read_only),
            ("reports", admits.reports),
            ("own_attempts", admits.own_attempts),
            ("projects", admits.projects),
        ];
        let words: Vec<&str> =
            admitted.iter().filter(|(_, admits)| *admits).map(|(word, _)| *word).collect();
        extend(self.operation, ExtensionsBuilder::new().add(SCOPES, words).build());
    }

    /// Lets anybody call the operation, without a key.
    pub fn public(&mut self) {
        self.operation.security = Some(Vec::new());
        extend(self.operation, ExtensionsBuilder::new().add(PUBLIC, true).build());
    }

    fn problems(&mut self) {
        let mut by_status = BTreeMap::<u16, Vec<Code>>::new();
        for code in std::mem::take(&mut self.codes) {
            by_status.entry(code.status()).or_default().push(code);
        }
        let schema = self.schema::<Problem>();
        for (status, codes) in by_status {
            self.response(status, responses::problem_response(&codes, schema.clone()));
        }
    }
}

/// The schema of a string.
#[must_use]
pub fn string() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

/// The schema of bytes.
pub fn binary() -> Object {
    let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
    ObjectBuilder::new().schema_type(Type::String).format(Some(binary)).build()
}

/// How much of the document is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The operations, which refer to schemas that are not there: enough to serve them.
    Operations,
    /// The whole document. Most of the time that it takes goes into the schemas.
    Whole,
}

/// Completes the documentation of the handler `H`, to which `paths` belong: its group `tag`, everything
/// that its type says, and the `codes` with which its use case refuses.
pub fn complete<H: Documented<Args>, Args>(
    paths: &mut Paths,
    mut schemas: Option<&mut Schemas>,
    tag: &str,
    codes: &[Code],
) {
    for (path, item) in &mut paths.paths {
        for (_, operation) in operations(item) {
            operation.tags = Some(vec![tag.to_owned()]);
            let mut doc = Description {
                operation,
                schemas: schemas.as_deref_mut(),
                path_names: path_names(path).into_iter(),
                // Any operation can fail inside, find the service overloaded, or be one too many.
                codes: BTreeSet::from([Code::Internal, Code::Unavailable, Code::RateLimited]),
            };
            H::describe(&mut doc);
            doc.refuses(codes);
            doc.problems();
        }
    }
}

/// Puts the marker `name` on every operation of `paths`.
pub fn mark(paths: &mut Paths, name: &str) {
    for (_, operation) in paths.paths.values_mut().flat_map(operations) {
        extend(operation, ExtensionsBuilder::new().add(name, true).build());
    }
}

fn extend(operation: &mut Operation, more: Extensions) {
    match &mut operation.extensions {
        Some(extensions) => extensions.merge(more),
        none @ None => *none = Some(more),
    }
}

/// The operations of a path, each with its method.
pub fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, item.get.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::PUT, item.put.as_mut()),
        (Method::PATCH, item.patch.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
}

/// Whether an operation has the marker `name`.
#[must_use]
pub fn is_marked(operation: &Operation, name: &str) -> bool {
    operation.extensions.as_ref().is_some_and(|extensions| extensions.contains_key(name))
}

fn without_null(kind: &SchemaType) -> SchemaType {
    match kind {
        SchemaType::Array(kinds) => {
            let others: Vec<Type> =
                kinds.iter().filter(|kind| **kind != Type::Null).cloned().collect();
            match others.as_slice() {
                [only] => SchemaType::Type(only.clone()),
                _ => SchemaType::Array(others),
            }
        }
        one @ (SchemaType::Type(_) | SchemaType::AnyValue) => one.clone(),
    }
}

fn path_names(path: &str) -> Vec<String> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.trim_start_matches('*').to_owned())
        .collect()
}
