//! The OpenAPI document, derived from what a handler's signature says.
//!
//! What a handler takes and gives *is* its documentation: each extractor and each response type
//! describes the parameters, headers, bodies, statuses and problem codes that it adds to an
//! operation ([`Describe`]), and [`handlers!`] puts them together for a handler by its type. So the
//! document cannot promise a body that the handler does not read, forget the 415 of one that it
//! does, or name roles that the handler does not check. The first argument must be an [`Access`]:
//! a handler that forgot who may call it does not compile.
//!
//! Only what a signature cannot say is written at the route: the codes with which the use case
//! itself refuses.
//!
//! [`handlers!`]: crate::http::describe::handlers

mod responses;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use utoipa::{
    IntoParams, ToSchema,
    openapi::{
        Content, Object, ObjectBuilder, Ref, RefOr, Required, Response, Type,
        extensions::{Extensions, ExtensionsBuilder},
        path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
        request_body::{RequestBody, RequestBodyBuilder},
        response::ResponseBuilder,
        schema::{Schema, SchemaType},
    },
};
use utoipa_axum::router::UtoipaMethodRouter;

use super::{
    problem::{self, Problem},
    state::HttpState,
};
use crate::domain::{access::role::Role, refusal::Code};

/// The marker of operations that may stay open for up to the longest wait.
pub const LONG_POLL: &str = "x-long-poll";
/// The marker of operations that need no key.
pub const PUBLIC: &str = "x-public";
/// The marker of operations that answer even when everything else is refused.
pub const ALWAYS: &str = "x-always";
/// The roles that may call an operation.
pub const ROLES: &str = "x-roles";
/// The codes of a problem response.
pub const CODES: &str = "x-codes";

type Schemas = Vec<(String, RefOr<Schema>)>;

/// What a part of a handler's signature adds to its operation.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say what it adds to the OpenAPI document",
    note = "use the extractors and replies of `crate::http`, or implement `Describe`"
)]
pub trait Describe {
    /// Adds it.
    fn describe(doc: &mut Description<'_>);
}

/// Says who may call a handler: [`super::extract::auth::Auth`] or [`super::extract::auth::Public`].
#[diagnostic::on_unimplemented(
    message = "the first argument of a handler says who may call it, `{Self}` does not",
    note = "start with `Auth<...Caller>`, or with `Public` if everybody may"
)]
pub trait Access {}

/// A handler whose whole signature can be described.
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

/// The operation that is being described.
pub struct Description<'a> {
    operation: &'a mut Operation,
    schemas: &'a mut Schemas,
    path_names: std::vec::IntoIter<String>,
    codes: BTreeSet<Code>,
}

impl Description<'_> {
    /// The operation can be refused with these codes.
    pub fn refuses(&mut self, codes: &[Code]) {
        self.codes.extend(codes);
    }

    /// The schema of `T` among the components, and the reference to it.
    pub fn schema<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let name = T::name().into_owned();
        self.schemas.push((name.clone(), T::schema()));
        T::schemas(self.schemas);
        Ref::from_schema_name(name).into()
    }

    /// The next parameter of the path, in the order of the path.
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

    /// The query parameters of `T`.
    pub fn query<T: IntoParams>(&mut self) {
        for mut parameter in T::into_params(|| Some(ParameterIn::Query)) {
            // A query knows no null: what is optional is left out.
            if let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema {
                schema.schema_type = without_null(&schema.schema_type);
            }
            self.parameter(parameter);
        }
    }

    /// A request header.
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

    /// The JSON body that the operation takes.
    pub fn request_body<T: ToSchema>(&mut self, required: bool) {
        let schema = self.schema::<T>();
        let body = RequestBodyBuilder::new()
            .content("application/json", Content::new(Some(schema)))
            .required(Some(if required { Required::True } else { Required::False }))
            .build();
        self.operation.request_body = Some(RefOr::T(body));
    }

    /// A body that is described elsewhere in full.
    pub fn form_body(&mut self, body: RequestBody) {
        self.operation.request_body = Some(RefOr::T(body));
    }

    /// A response with a JSON body.
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

    /// A response without a body.
    pub fn empty_response(&mut self, status: u16, description: &str, headers: &[(&str, &str)]) {
        let response = ResponseBuilder::new().description(description);
        self.response(status, responses::with_headers(response, headers));
    }

    /// A response that is described elsewhere in full. What the handler's own attribute says
    /// about the same status is kept.
    pub fn response(&mut self, status: u16, response: impl Into<Response>) {
        let responses = &mut self.operation.responses.responses;
        responses.entry(status.to_string()).or_insert_with(|| RefOr::T(response.into()));
    }

    /// Who may call the operation.
    pub fn roles(&mut self, roles: &[Role]) {
        let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        self.operation.security =
            Some(vec![utoipa::openapi::security::SecurityRequirement::new::<_, _, &str>(
                super::extract::auth::SCHEME,
                [],
            )]);
        self.extend(ExtensionsBuilder::new().add(ROLES, words.clone()).build());
        let line = format!(
            "Roles: {}.",
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        );
        let text = self.operation.description.take().unwrap_or_default();
        self.operation.description = Some(format!("{text}\n\n{line}").trim().to_owned());
    }

    /// Everybody may call the operation, without a key.
    pub fn public(&mut self) {
        self.operation.security = Some(Vec::new());
        self.extend(ExtensionsBuilder::new().add(PUBLIC, true).build());
    }

    /// The operation may stay open for as long as a caller may ask it to wait.
    pub fn long_poll(&mut self) {
        self.extend(ExtensionsBuilder::new().add(LONG_POLL, true).build());
    }

    /// The operation answers even when everything else is refused because of overload.
    pub fn always(&mut self) {
        self.extend(ExtensionsBuilder::new().add(ALWAYS, true).build());
    }

    fn extend(&mut self, more: Extensions) {
        match &mut self.operation.extensions {
            Some(extensions) => extensions.merge(more),
            none @ None => *none = Some(more),
        }
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

/// Completes the documentation of one handler from its type; see [`handlers!`].
pub fn described<H, Args>(
    mut routes: UtoipaMethodRouter<HttpState>,
    _handler: &H,
    codes: &[Code],
) -> UtoipaMethodRouter<HttpState>
where
    H: Documented<Args>,
{
    let schemas = &mut routes.0;
    for (path, item) in &mut routes.1.paths {
        for (_, operation) in operations(item) {
            let mut doc = Description {
                operation,
                schemas,
                path_names: path_names(path).into_iter(),
                // Whatever the handler is: something inside may fail, and the service may be busy.
                codes: BTreeSet::from([Code::Internal, Code::Unavailable]),
            };
            H::describe(&mut doc);
            doc.refuses(codes);
            doc.problems();
        }
    }
    routes
}

/// Every operation of a path with its method.
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

/// The routes of a resource: its handlers, each with the codes with which its use case refuses
/// beyond those that follow from its signature.
///
/// ```ignore
/// pub fn routes() -> OpenApiRouter<HttpState> {
///     handlers![
///         list_goals,
///         create_goal [NoTasksFound, PlanInvalid],
///         cancel_goal [GoalEnded],
///     ]
/// }
/// ```
macro_rules! handlers {
    ($($handler:ident $([$($code:ident),* $(,)?])?),+ $(,)?) => {{
        let mut router =
            utoipa_axum::router::OpenApiRouter::<$crate::http::state::HttpState>::default();
        $(
            router = router.routes($crate::http::describe::described(
                utoipa_axum::routes!($handler),
                &$handler,
                &[$($($crate::domain::refusal::Code::$code),*)?],
            ));
        )+
        router
    }};
}
pub(crate) use handlers;
