//! Holds answers against the OpenAPI document.
//!
//! An answer must have a status that the document has for the operation, a content type that it has
//! for the status, a body that is valid against the schema, and the headers that are required.
//! Objects are closed: a field that the document does not have is an error too, because nobody who
//! reads the document would know of it. What is not an operation must be answered by the documented
//! 404 or 405.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, LazyLock, Mutex},
};

use axum::http::{Method, StatusCode};
use jsonschema::{Registry, Validator};
use serde_json::{Value, json};

use super::client::Answer;

const ROOT: &str = "urn:muster:openapi";
const PROBLEM_TYPE: &str = "application/problem+json";

pub struct Contract {
    document: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let text = muster::http::docs::document().expect("a document");
    let mut document: Value = serde_json::from_str(&text).expect("JSON");
    close_objects(&mut document["components"]["schemas"]);
    Contract { document, validators: Mutex::default() }
});

impl Contract {
    /// Panics, readably, unless the answer is one that the document allows.
    #[track_caller]
    pub fn check(method: &Method, path: &str, answer: &Answer) {
        if let Err(why) = CONTRACT.verdict(method, path, answer) {
            panic!("the answer is not as documented: {why}\n{}", answer.describe());
        }
    }

    /// Whether the document has the operation, its query parameters and such a body.
    pub fn takes(method: &Method, url: &str, body: Option<&str>) -> Result<(), String> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let (template, item) = CONTRACT.find_path(path).ok_or("there is no such path")?;
        let name = method.as_str().to_lowercase();
        let operation = item.get(&name).ok_or("the path has no such method")?;
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let known: HashSet<&str> = parameters.filter_map(|known| known["name"].as_str()).collect();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let parameter = pair.split('=').next().unwrap_or_default();
            known.get(parameter).ok_or(format!("there is no parameter `{parameter}`"))?;
        }
        let Some(body) = body else { return Ok(()) };
        let body = serde_json::from_str(body).map_err(|error| format!("{body}: {error}"))?;
        let content = "requestBody/content/application~1json/schema";
        CONTRACT.validate(&format!("/paths/{}/{name}/{content}", escape(template)), &body)
    }

    fn verdict(&self, method: &Method, path: &str, answer: &Answer) -> Result<(), String> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        // The files of Swagger UI are no operations.
        if path == "/docs" || path.starts_with("/docs/") {
            return Ok(());
        }
        require(answer, "x-request-id")?;
        let Some((template, item)) = self.find_path(path) else {
            return self.fallback(answer, StatusCode::NOT_FOUND, "not_found");
        };
        // The router answers HEAD as GET without a body.
        let name = if *method == Method::HEAD { "get" } else { &method.as_str().to_lowercase() };
        let Some(operation) = item.get(name) else {
            require(answer, "allow")?;
            return self.fallback(answer, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
        };
        let status = answer.status.as_str();
        let pointer = format!("/paths/{}/{name}/responses/{status}", escape(template));
        let Some(response) = operation["responses"].get(status) else {
            return Err(format!("{method} {template} documents no status {status}"));
        };
        check_headers(response, answer)?;
        if *method == Method::HEAD {
            return empty(answer);
        }
        self.check_body(&pointer, response, answer)
    }

    fn fallback(&self, answer: &Answer, status: StatusCode, code: &str) -> Result<(), String> {
        if answer.status != status {
            return Err(format!("this is no operation: the answer must be {status}"));
        }
        if answer.body.is_empty() {
            return Ok(());
        }
        if content_type(answer) != PROBLEM_TYPE {
            return Err("a problem has its own content type".to_owned());
        }
        let body = body(answer)?;
        self.validate("/components/schemas/Problem", &body)?;
        check_problem(&body, &json!({ "x-codes": [code] }), answer)
    }

    /// The documented path, with its parameters; the one with more fixed segments wins.
    fn find_path(&self, path: &str) -> Option<(&String, &Value)> {
        let fixed = |template: &str| template.split('/').filter(|s| !s.starts_with('{')).count();
        self.document["paths"]
            .as_object()?
            .iter()
            .filter(|(template, _)| matches(template, path))
            .max_by_key(|(template, _)| fixed(template))
    }

    fn check_body(&self, pointer: &str, response: &Value, answer: &Answer) -> Result<(), String> {
        let Some(content) = response.get("content").and_then(Value::as_object) else {
            return empty(answer);
        };
        let given = content_type(answer);
        let documented =
            content.keys().find(|key| **key == given || essence(key) == essence(&given));
        // Bytes of any type, which the document lists as these; an answer without a type has none.
        let bytes = "application/octet-stream";
        let any = content.keys().find(|key| *key == bytes && !given.is_empty());
        let documented = documented.or(any);
        let Some(documented) = documented else {
            return Err(format!("the content type `{given}` is none of {:?}", keys(content)));
        };
        // Lines of JSON are no JSON.
        let kind = essence(documented);
        if kind != "application/json" && !kind.ends_with("+json") {
            return Ok(());
        }
        let body = body(answer)?;
        self.validate(&format!("{pointer}/content/{}/schema", escape(documented)), &body)?;
        if documented == PROBLEM_TYPE { check_problem(&body, response, answer) } else { Ok(()) }
    }

    fn validate(&self, pointer: &str, body: &Value) -> Result<(), String> {
        let validator = self.validator(pointer);
        let errors: Vec<String> = validator
            .iter_errors(body)
            .map(|error| format!("  at `{}`: {error}", error.instance_path()))
            .collect();
        if errors.is_empty() {
            return Ok(());
        }
        Err(format!("the body is not valid against {pointer}:\n{}", errors.join("\n")))
    }

    fn validator(&self, pointer: &str) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(|error| error.into_inner());
        let validator = validators
            .entry(pointer.to_owned())
            .or_insert_with(|| Arc::new(compile(&self.document, pointer)));
        Arc::clone(validator)
    }
}

fn compile(document: &Value, pointer: &str) -> Validator {
    static REGISTRY: LazyLock<Registry<'static>> = LazyLock::new(|| {
        Registry::new()
            .draft(jsonschema::Draft::Draft202012)
            .add(ROOT, CONTRACT.document.clone())
            .and_then(|registry| registry.prepare())
            .expect("every reference in the document leads somewhere")
    });
    assert!(document.pointer(pointer).is_some(), "{pointer} is not in the document");
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .with_registry(&REGISTRY)
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true)
        .build(&json!({ "$ref": format!("{ROOT}#{}", fragment(pointer)) }))
        .unwrap_or_else(|error| panic!("{pointer} is no schema: {error}"))
}

/// A JSON Pointer as the fragment of a URI.
fn fragment(pointer: &str) -> String {
    pointer.replace('{', "%7B").replace('}', "%7D").replace(' ', "%20").replace(';', "%3B")
}

fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(path)
            .all(|(want, is)| if want.starts_with('{') { !is.is_empty() } else { *want == is })
}

fn keys(object: &serde_json::Map<String, Value>) -> Vec<&String> {
    object.keys().collect()
}

fn content_type(answer: &Answer) -> String {
    answer.header("content-type").to_owned()
}

fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn body(answer: &Answer) -> Result<Value, String> {
    serde_json::from_slice(&answer.body).map_err(|error| format!("the body is not JSON: {error}"))
}

fn empty(answer: &Answer) -> Result<(), String> {
    if answer.body.is_empty() { Ok(()) } else { Err("there must be no body".to_owned()) }
}

fn require(answer: &Answer, name: &str) -> Result<(), String> {
    if answer.headers.contains_key(name) {
        return Ok(());
    }
    Err(format!("the header `{name}` is missing"))
}

fn check_headers(response: &Value, answer: &Answer) -> Result<(), String> {
    let Some(headers) = response.get("headers").and_then(Value::as_object) else { return Ok(()) };
    headers
        .iter()
        .filter(|(_, header)| header["required"] == true)
        .try_for_each(|(name, _)| require(answer, name))
}

fn check_problem(body: &Value, response: &Value, answer: &Answer) -> Result<(), String> {
    let codes = response["x-codes"].as_array().cloned().unwrap_or_default();
    if !codes.contains(&body["code"]) {
        return Err(format!("the code {} is none of {codes:?}", body["code"]));
    }
    if body["status"] != answer.status.as_u16() {
        return Err("the problem has another status than the response".to_owned());
    }
    if body["request_id"] != answer.header("x-request-id") {
        return Err("the problem has another request id than the response".to_owned());
    }
    Ok(())
}

/// Makes every object with named properties refuse others. What `allOf` puts together stays open:
/// each part would refuse the properties of the others.
fn close_objects(schemas: &mut Value) {
    let mut parts = HashSet::new();
    collect_parts(schemas, &mut parts);
    let Some(schemas) = schemas.as_object_mut() else { return };
    for (name, schema) in schemas {
        if parts.contains(&format!("#/components/schemas/{name}")) {
            continue;
        }
        close(schema);
    }
}

fn collect_parts(schema: &Value, parts: &mut HashSet<String>) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| collect_parts(item, parts)),
        Value::Object(members) => {
            let all = members.get("allOf").and_then(Value::as_array).into_iter().flatten();
            parts.extend(all.filter_map(|part| part["$ref"].as_str().map(str::to_owned)));
            members.values().for_each(|member| collect_parts(member, parts));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn close(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Object(members) => {
            for (_, member) in members.iter_mut().filter(|(name, _)| *name != "allOf") {
                close(member);
            }
            // A schema's own properties are an object of schemas, not the word `properties`.
            let named = members.get("properties").is_some_and(Value::is_object);
            let object = members.get("type").is_some_and(|kind| {
                kind == "object"
                    || kind.as_array().is_some_and(|kinds| kinds.contains(&json!("object")))
            });
            if named && object && !members.contains_key("allOf") {
                members.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
