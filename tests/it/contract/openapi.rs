//! The OpenAPI document: complete, consistent, and the same as the committed one.

use std::collections::HashSet;

use muster::{
    domain::{access::role::Role, refusal::Code, words::Words},
    http::docs,
};
use serde_json::Value;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/muster.json");

/// What answers without a key. Everything else needs one.
const PUBLIC: &[&str] = &[
    "GET /decide/{token}",
    "GET /livez",
    "GET /openapi.json",
    "GET /problems",
    "GET /problems/{code}",
    "GET /readyz",
    "GET /v1/sign-in/oidc",
    "GET /v1/sign-in/oidc/callback",
    "POST /decide/{token}",
];

struct Operation {
    name: String,
    method: String,
    path: String,
    value: Value,
}

fn document() -> Value {
    serde_json::from_str(&docs::document().unwrap()).unwrap()
}

fn operations() -> Vec<Operation> {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let mut operations = Vec::new();
    for (path, item) in paths {
        for (method, value) in item.as_object().unwrap() {
            operations.push(Operation {
                name: format!("{} {path}", method.to_uppercase()),
                method: method.clone(),
                path: path.clone(),
                value: value.clone(),
            });
        }
    }
    assert!(!operations.is_empty());
    operations
}

#[test]
fn the_committed_document_is_the_generated_one() {
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == docs::document().unwrap(),
        "openapi/muster.json is not what the code says. Look at the difference and commit it:\n\
         \n    cargo run -- openapi > openapi/muster.json\n"
    );
}

#[test]
fn every_operation_says_what_it_is() {
    let document = document();
    let tags: HashSet<&str> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|tag| tag["name"].as_str())
        .collect();
    let mut ids = HashSet::new();
    for Operation { name, value, .. } in operations() {
        let id = value["operationId"].as_str().unwrap_or_default().to_owned();
        assert!(!id.is_empty(), "{name} has no operationId");
        assert!(ids.insert(id.clone()), "{name}: the operationId {id} is taken");
        let summary = value["summary"].as_str().unwrap_or_default();
        assert!(!summary.is_empty(), "{name} has no summary: its first doc line");
        assert!(summary.len() <= 72, "{name}: the summary is one short line, not {summary:?}");
        let own = value["tags"].as_array().cloned().unwrap_or_default();
        assert_eq!(own.len(), 1, "{name} has one tag");
        assert!(tags.contains(own[0].as_str().unwrap()), "{name}: the tag {} is unknown", own[0]);
    }
}

#[test]
fn every_operation_says_who_may_call_it_and_how_it_fails() {
    let roles: HashSet<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
    for Operation { name, value, .. } in operations() {
        let responses = value["responses"].as_object().unwrap();
        let needs = |status: &&str| {
            assert!(responses.contains_key(*status), "{name} does not document {status}");
        };
        ["500", "503"].iter().for_each(needs);
        // A sign-in succeeds by sending the browser on.
        let succeeds = |status: &String| status.starts_with('2') || status == "303";
        assert!(responses.keys().any(succeeds), "{name} documents no success");
        if PUBLIC.contains(&name.as_str()) {
            assert_eq!(value["security"], serde_json::json!([]), "{name} is public");
            assert_eq!(value["x-public"], true, "{name} is public");
            continue;
        }
        ["401", "403"].iter().for_each(needs);
        assert_eq!(value["security"], serde_json::json!([{ "bearer": [] }]), "{name} needs a key");
        let own = value["x-roles"].as_array().unwrap_or_else(|| panic!("{name} has no x-roles"));
        assert!(!own.is_empty(), "{name} can be called by nobody");
        for role in own {
            assert!(roles.contains(role.as_str().unwrap()), "{name}: {role} is no role");
        }
    }
}

#[test]
fn every_way_to_fail_follows_from_what_is_sent() {
    for Operation { name, path, value, .. } in operations() {
        let has = |status: &str| value["responses"].get(status).is_some();
        let sends = |kind: &str, header: &str| {
            value["parameters"].as_array().is_some_and(|all| {
                all.iter().any(|p| p["in"] == kind && (header.is_empty() || p["name"] == header))
            })
        };
        if value.get("requestBody").is_some() {
            for status in ["400", "413", "415", "422"] {
                assert!(has(status), "{name} takes a body and does not document {status}");
            }
        }
        if path.contains('{') {
            assert!(has("404"), "{name} has an id in its path and does not document 404");
        }
        if sends("query", "") {
            assert!(has("422"), "{name} has a query and does not document 422");
        }
        if sends("header", "If-Match") {
            assert!(has("412") && has("428"), "{name} does not document 412 and 428");
        }
    }
}

#[test]
fn every_parameter_of_a_path_is_described() {
    for Operation { name, path, value, .. } in operations() {
        let described: HashSet<String> = value["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str().map(str::to_owned))
            .collect();
        let in_path: HashSet<String> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}').map(str::to_owned))
            .collect();
        assert_eq!(described, in_path, "{name}");
    }
}

#[test]
fn every_problem_has_its_content_type_and_known_codes() {
    let codes: HashSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    for Operation { name, value, .. } in operations() {
        for (status, response) in value["responses"].as_object().unwrap() {
            let Some(own) = response["x-codes"].as_array() else {
                // Only `/readyz` says no in its own words, and pages for people do.
                let page = name.ends_with(" /decide/{token}")
                    && response["content"].as_object().unwrap().keys().eq(["text/html"]);
                assert!(
                    status.as_str() < "400" || name == "GET /readyz" || page,
                    "{name} {status} has no codes"
                );
                continue;
            };
            for code in own {
                assert!(codes.contains(code.as_str().unwrap()), "{name}: {code} is no code");
            }
            let content = response["content"].as_object().unwrap();
            let problem = &content["application/problem+json"]["schema"]["$ref"];
            assert_eq!(problem, "#/components/schemas/Problem", "{name} {status}");
            assert_eq!(content.len(), 1, "{name} {status}");
        }
    }
}

#[test]
fn what_creates_can_be_sent_again() {
    for Operation { name, method, value, .. } in operations() {
        if method != "post" || value["responses"].get("201").is_none() {
            continue;
        }
        let location = &value["responses"]["201"]["headers"]["Location"];
        assert!(location.is_object(), "{name} makes something and does not say where it is");
        let parameters = value["parameters"].as_array().cloned().unwrap_or_default();
        let key = parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key");
        assert!(key, "{name} makes something and takes no Idempotency-Key");
    }
}

/// What may wait longer than a request may take has time and a limit of its own.
#[test]
fn what_takes_wait_seconds_may_wait() {
    let document = document();
    for Operation { name, value, .. } in operations() {
        let parameters = value["parameters"].as_array().into_iter().flatten();
        let asked = parameters.clone().any(|parameter| parameter["name"] == "wait_seconds");
        let schema = &value["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let pointer = schema.as_str().unwrap_or_default().trim_start_matches('#');
        let body = document.pointer(pointer).filter(|_| !pointer.is_empty());
        let told = body.is_some_and(|body| body["properties"].get("wait_seconds").is_some());
        assert_eq!(asked || told, value["x-long-poll"] == true, "{name}");
    }
}

/// Generators of clients leave out a whole operation with a media type that they do not know.
#[test]
fn bodies_of_requests_have_types_that_clients_know() {
    for Operation { name, value, .. } in operations() {
        let Some(content) = value.pointer("/requestBody/content") else { continue };
        let types: Vec<_> = content.as_object().unwrap().keys().collect();
        let known =
            ["application/json", "application/octet-stream", "application/x-www-form-urlencoded"];
        assert!(types.len() == 1 && known.contains(&types[0].as_str()), "{name}: {types:?}");
    }
}

#[test]
fn bodies_of_requests_refuse_unknown_fields() {
    let document = document();
    for Operation { name, value, .. } in operations() {
        let schema = &value["requestBody"]["content"]["application/json"]["schema"];
        let Some(reference) = schema["$ref"].as_str() else { continue };
        let body = document.pointer(reference.trim_start_matches('#')).unwrap();
        if body.get("properties").is_some() {
            assert_eq!(
                body["additionalProperties"], false,
                "{name}: {reference} has no #[serde(deny_unknown_fields)]"
            );
        }
    }
}

#[test]
fn amounts_have_their_name() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert!(schemas.contains_key("Amounts"));
    assert!(!schemas.keys().any(|name| name.contains("Map")), "a schema is named after a map");
}

#[test]
fn no_reference_leads_nowhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| references(member, found));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    for reference in found {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference} leads nowhere");
    }
}
