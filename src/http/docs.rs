//! The documentation that the service has inside: `/openapi.json`, and Swagger UI at `/docs`.
//!
//! Both need no network: the files of Swagger UI are in the binary. Its page may run and load
//! nothing but these files (`Content-Security-Policy`), so even a text in the document that
//! smuggled markup past Swagger UI's own cleaning could not call anywhere.

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
    routing,
};
use serde_json::Value;
use utoipa::openapi::{
    Components, Content, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, Type,
    response::ResponseBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    server::ServerBuilder,
    tag::TagBuilder,
};
use utoipa_swagger_ui::Config;

use super::{
    describe::{self, Describe, Description},
    extract::{auth::Public, path::ApiPath},
    problem::{Error, Result},
    state::HttpState,
    unions,
};
use crate::domain::refusal::{Code, Refusal};

/// Where the document is served.
const DOCUMENT: &str = "/openapi.json";
/// Swagger UI sets style attributes, which no hash can name; it needs nothing else that is unsafe.
const UI_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'none'; \
    base-uri 'none'; frame-ancestors 'none'";

/// What the schema of amounts says of itself.
const AMOUNTS: &str = "Amounts by unit. Units are named `usd_micros`, `input_tokens`, \
    `output_tokens`, `tool_calls`, `gpu_ms` or a name of the fleet's own; amounts are whole \
    numbers. `wall_ms` and `attempts` are measured by the service and never reported.";

/// The groups of operations, in the order in which they are shown.
const TAGS: &[(&str, &str)] = &[
    ("goals", "What somebody wants: owns tasks and a budget."),
    ("projects", "Named groups of goals with a budget of their own."),
    ("plans", "Proposed or applied sets of tasks for a goal."),
    ("planners", "What breaks a goal into tasks, and the model of the planner `llm`."),
    ("playbooks", "Stored, versioned templates of plans."),
    ("schedules", "Goals that are posted again and again."),
    ("tasks", "Units of work of a goal."),
    ("comments", "What people and agents say about a task or goal."),
    (
        "knowledge",
        "Search of lessons, packs of them, tasks that are solved already, and what lessons change.",
    ),
    ("lessons", "Entries of the knowledge repository."),
    ("artifacts", "Files that results and evidence refer to by their SHA-256."),
    ("claims", "How an agent gets work."),
    ("attempts", "How an agent works: heartbeat, spend, ask, finish."),
    ("concurrency-keys", "Names under which at most so many attempts run at once."),
    ("agents", "The registered workers."),
    ("rates", "How fast work starts: rates of capabilities, and quota windows of accounts."),
    ("approvals", "Questions that wait for a person."),
    ("attention", "Everything that waits for a person, and what would clear it."),
    ("budgets", "Limits on what may be spent, and what was."),
    (
        "reports",
        "Who used what, when a limit will be used up, how well agents work, and where work waits.",
    ),
    ("prices", "What models cost: tokens become money."),
    ("freezes", "Stops that an operator puts on a scope."),
    ("rules", "What is to happen by itself when work goes wrong, and what happened."),
    ("lessons", "What was learned, searchable."),
    ("events", "What happened, in order."),
    ("audit", "The journal: who did what, and proof that no row was changed."),
    ("webhooks", "Who is told of events."),
    ("keys", "Who may do what."),
    ("sessions", "Sign-ins of people in a browser."),
    ("sign-in", "Sign-in of people with an identity provider."),
    ("workspaces", "The tenants."),
    ("verify", "Whether the promises hold for the data that is there."),
    ("problems", "What each problem code means."),
    ("health", "Whether the service lives, is ready, and how it does."),
    ("docs", "This document."),
];

/// The document before any operation is in it.
#[must_use]
pub fn preface() -> OpenApi {
    let info = InfoBuilder::new()
        .title("muster")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("preface.md")))
        .license(Some(
            LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
        ));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("mst_<public id>_<secret>")
        .description(Some("A key that muster made. Its role says which operations it may call."));
    let mut components = Components::new();
    components.add_security_scheme(describe::SCHEME, SecurityScheme::Http(bearer.build()));
    let tags = TAGS
        .iter()
        .map(|(name, text)| TagBuilder::new().name(*name).description(Some(*text)).build());
    let here = ServerBuilder::new()
        .url("/")
        .description(Some("The server that this document comes from."));
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([here.build()]))
        .components(Some(components))
        .tags(Some(tags.collect::<Vec<_>>()))
        .build()
}

/// The same document without the groups that have no operation.
pub fn with_used_tags(mut document: OpenApi) -> OpenApi {
    let used: HashSet<String> = document
        .paths
        .paths
        .values_mut()
        .flat_map(describe::operations)
        .flat_map(|(_, operation)| operation.tags.clone().unwrap_or_default())
        .collect();
    if let Some(tags) = &mut document.tags {
        tags.retain(|tag| used.contains(&tag.name));
    }
    document
}

/// The OpenAPI document as it is served, committed and printed by `muster openapi`.
///
/// # Errors
/// When the document cannot be written as JSON.
pub fn document() -> serde_json::Result<String> {
    // As a JSON value its members are ordered by name. In memory, extensions have no order, and
    // the document must not change when the code does not.
    let mut document = serde_json::to_value(super::api_document())?;
    name_amounts(&mut document);
    unions::name_members(&mut document);
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

/// Calls the schema of amounts by its name. It is derived from the type behind the alias
/// [`crate::domain::spend::Amounts`], and the name of a map says nothing to who reads the document.
fn name_amounts(document: &mut Value) {
    if let Some(schemas) =
        document.pointer_mut("/components/schemas").and_then(Value::as_object_mut)
        && let Some(mut amounts) = schemas.remove("BTreeMap")
    {
        amounts["description"] = AMOUNTS.into();
        schemas.insert("Amounts".to_owned(), amounts);
        rename_references(document);
    }
}

fn rename_references(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(rename_references),
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get_mut("$ref")
                && target == "#/components/schemas/BTreeMap"
            {
                "#/components/schemas/Amounts".clone_into(target);
            }
            members.values_mut().for_each(rename_references);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

pub(super) struct Document(Bytes);

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        let content_type = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, content_type)], Body::from(self.0)).into_response()
    }
}

impl Describe for Document {
    fn describe(doc: &mut Description<'_>) {
        let object = ObjectBuilder::new().schema_type(Type::Object).build();
        let response = ResponseBuilder::new()
            .description("This document.")
            .content("application/json", Content::new(Some(object)));
        doc.response(200, response);
    }
}

/// This document.
///
/// OpenAPI 3.1, made from the code that serves the requests. `/docs` shows it to people.
#[utoipa::path(get, path = "/openapi.json")]
pub(super) async fn openapi_json(_: Public) -> Result<Document> {
    static TEXT: LazyLock<std::result::Result<Bytes, String>> =
        LazyLock::new(|| document().map(Bytes::from).map_err(|error| error.to_string()));
    match &*TEXT {
        Ok(text) => Ok(Document(text.clone())),
        Err(error) => Err(Error::internal(format!("the document cannot be written: {error}"))),
    }
}

/// The routes of Swagger UI. They are files, not operations: the document does not list them.
pub fn swagger_ui() -> Router<HttpState> {
    Router::new()
        // A person with a browser wants to know what the service is.
        .route("/", routing::get(|| async { Redirect::temporary("/docs/") }))
        .route("/docs", routing::get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", routing::get(async || file("index.html")))
        .route("/docs/{*file}", routing::get(async |ApiPath(name): ApiPath<String>| file(&name)))
}

fn file(name: &str) -> Result<Response> {
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
        let config = Config::new([DOCUMENT]).validator_url("none").persist_authorization(false);
        Arc::new(config.try_it_out_enabled(true).filter(true).display_operation_id(true))
    });
    let file = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG))
        .map_err(|error| Error::internal(format!("a file of the docs cannot be read: {error}")))?
        .ok_or_else(|| Refusal::new(Code::NotFound, "the documentation has no such file"))?;
    let mut headers = HeaderMap::from_iter([
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(UI_POLICY)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ]);
    set(&mut headers, header::CONTENT_TYPE, &file.content_type);
    if file.gzpipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok((headers, file.bytes.into_owned()).into_response())
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
