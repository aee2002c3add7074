//! Health, problem pages and documentation.

use std::collections::BTreeSet;

use axum::{body::Body, http::Request};
use muster::{
    domain::{
        refusal::{Code, Refusal, Retry},
        words::Words,
    },
    http::{
        handbook::PAGES,
        problem::{
            Error, Problem,
            pages::{page, section},
        },
        state::Limits,
    },
};
use serde_json::Value;

use super::fixture::{fetch, send, service, state};
use crate::support::client::Client;

#[tokio::test]
async fn health_says_what_it_sees() {
    let client = Client::of(service());
    assert_eq!(client.get("/livez").await.value(200)["live"], true);
    assert_eq!(client.get("/readyz").await.value(200)["ready"], true);
    let away = Client::of(muster::http::router(&state(false, Limits::default())));
    assert_eq!(away.get("/livez").await.value(200)["live"], true);
    let ready = away.get("/readyz").await.value(503);
    assert_eq!(ready["checks"][0], serde_json::json!({ "name": "database", "ok": false }));
}

#[tokio::test]
async fn metrics_need_a_key() {
    Client::of(service()).get("/metrics").await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn every_code_has_a_page_in_three_forms() {
    let client = Client::of(service());
    let list = client.get("/problems").header("accept", "application/json").await.value(200);
    assert_eq!(list["items"].as_array().unwrap().len(), Code::ALL.len());
    for (code, item) in Code::ALL.iter().zip(list["items"].as_array().unwrap()) {
        let path = item["page"].as_str().unwrap();
        assert_eq!(path, format!("/problems/{code}"));
        let html = client.get(path).await.expect(200);
        assert!(html.header("content-type").starts_with("text/html"));
        let html = String::from_utf8(html.body).unwrap();
        assert!(html.contains(&format!("<h1>{}</h1>", code.title())), "{html}");
        let markdown = client.get(path).header("accept", "text/markdown").await.expect(200);
        assert!(markdown.header("content-type").starts_with("text/markdown"));
        let text = String::from_utf8(markdown.body).unwrap();
        let start = format!("# {}\n\n`{code}` · HTTP {} · ", code.title(), code.status());
        assert!(text.starts_with(&start), "{text}");
        let json = client.get(path).header("accept", "application/json").await.value(200);
        assert_eq!(json["code"], code.as_str());
        assert_eq!(json["title"], code.title());
        for (name, heading) in [("happened", "What happened"), ("to_do", "What to do")] {
            let part = json[name].as_str().unwrap();
            assert!(!part.is_empty() && !part.contains("\n## "), "{code} {name}: {part}");
            assert!(text.contains(&format!("\n\n## {heading}\n\n{part}\n\n## ")), "{code} {name}");
        }
    }
    client.get("/problems/nothing").await.problem(404, "not_found");
}

#[test]
fn the_pages_say_the_same_as_the_table() {
    for code in Code::ALL {
        let again = section(*code, "Try again?");
        let start = if code.retryable() { "Yes" } else { "No" };
        assert!(again.starts_with(start), "{code}: {again}");
        let waits = matches!(code.retry(), Retry::AfterSeconds(_));
        assert_eq!(again.contains("`Retry-After`"), waits, "{code}: {again}");
        for example in page(*code).split("```json\n").skip(1) {
            let example = example.split("```").next().unwrap();
            let problem: Problem = serde_json::from_str(example).expect(example);
            let error = Error::from(Refusal {
                code: *code,
                detail: problem.detail.clone(),
                errors: problem.errors.clone(),
            });
            assert_eq!(error.to_problem(&problem.request_id), problem, "{code}");
        }
    }
}

#[test]
fn there_is_no_page_without_a_code() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/problem/pages");
    let files = std::fs::read_dir(folder).unwrap();
    let files: BTreeSet<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let codes: BTreeSet<String> = Code::ALL.iter().map(|code| format!("{code}.md")).collect();
    assert_eq!(files, codes);
}

#[test]
fn the_pages_name_operations_that_exist() {
    let document: Value = serde_json::from_str(&muster::http::docs::document().unwrap()).unwrap();
    let mut named = 0;
    for code in Code::ALL {
        let page = page(*code);
        let prose = page.split("```").step_by(2);
        for quoted in prose.flat_map(|prose| prose.split('`').skip(1).step_by(2)) {
            let Some((method, path)) = quoted.split_once(" /") else { continue };
            let path = format!("/{}", path.split('?').next().unwrap());
            let operation = &document["paths"][&path][method.to_lowercase()];
            assert!(operation.is_object(), "{code} names {quoted}");
            named += 1;
        }
    }
    assert!(named > 10, "{named} operations were found");
}

#[tokio::test]
async fn browsers_get_the_list_as_html() {
    let seen = Client::of(service()).get("/problems").header("accept", "text/html,*/*").await;
    assert!(String::from_utf8(seen.body).unwrap().contains("href=\"/problems/lease_lost\""));
}

#[tokio::test]
async fn the_document_is_served_as_it_is_committed() {
    let seen = Client::of(service()).get("/openapi.json").await.expect(200);
    assert_eq!(seen.body, muster::http::docs::document().unwrap().into_bytes());
}

#[tokio::test]
async fn swagger_ui_needs_nothing_from_elsewhere() {
    let router = service();
    for path in ["/", "/docs"] {
        assert_eq!(fetch(&router, path).await.header("location"), "/docs/");
    }
    let page = fetch(&router, "/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").contains("script-src 'self';"));
    let html = String::from_utf8(page.body).unwrap();
    assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("<script>"));
    let files: Vec<&str> = html
        .split(['"'])
        .filter(|part| part.ends_with(".js") || part.ends_with(".css") || part.ends_with(".png"))
        .collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let path = format!("/docs/{}", file.trim_start_matches("./"));
        assert_eq!(fetch(&router, &path).await.status, 200, "{path}");
    }
    let settings = fetch(&router, "/docs/swagger-initializer.js").await;
    let settings = String::from_utf8(settings.body).unwrap();
    assert!(settings.contains("/openapi.json") && !settings.contains("petstore"), "{settings}");
    fetch(&router, "/docs/../Cargo.toml").await.problem(404, "not_found");
    fetch(&router, "/docs/%ff").await.problem(404, "not_found");
}

/// Every page in both forms, and every link on it.
#[tokio::test]
async fn the_handbook_is_served() {
    let router = service();
    for (name, _) in PAGES {
        let path =
            if name == "README" { "/handbook".to_owned() } else { format!("/handbook/{name}") };
        let page = fetch(&router, &path).await;
        assert!(
            page.status == 200 && page.header("content-type").starts_with("text/html"),
            "{path}"
        );
        let html = String::from_utf8(page.body).unwrap();
        let links: Vec<&str> =
            html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(links.len() >= 3, "{path} links to {links:?}");
        for link in links {
            assert!(link.starts_with('/'), "{path} links to {link}");
            assert_eq!(fetch(&router, link).await.status, 200, "{path} links to {link}");
        }
        let request = Request::get(&path).header("accept", "text/markdown").body(Body::empty());
        let markdown = send(&router, request.unwrap()).await;
        assert!(markdown.header("content-type").starts_with("text/markdown"), "{path}");
        assert!(String::from_utf8(markdown.body).unwrap().starts_with("# "), "{path}");
    }
    fetch(&router, "/handbook/nothing").await.problem(404, "not_found");
    let preface = fetch(&router, "/openapi.json").await;
    assert!(String::from_utf8(preface.body).unwrap().contains("](/handbook)"), "linked from /docs");
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_browsers_in_check() {
    for path in ["/livez", "/problems", "/docs/", "/handbook", "/nowhere"] {
        let seen = fetch(&service(), path).await;
        for name in [
            "x-content-type-options",
            "x-frame-options",
            "content-security-policy",
            "referrer-policy",
            "cache-control",
            "x-request-id",
        ] {
            assert_ne!(seen.header(name), "", "{path} lacks {name}");
        }
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    for (path, status) in [("/livez", 200), ("/v1/whoami", 401), ("/nowhere", 404)] {
        let request = Request::head(path).body(Body::empty()).unwrap();
        let seen = send(&service(), request).await;
        assert_eq!(seen.status, status);
        assert!(seen.body.is_empty(), "{path}");
        assert_ne!(seen.header("content-length"), "0", "{path}");
    }
}
