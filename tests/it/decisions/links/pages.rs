//! What pages show, and the forms of every kind.

use axum::http::Method;
use serde_json::{Value, json};

use super::{FORM, action, ask, asked, nobody, page, path_for_alice, read, send};
use crate::support::{
    dump::{dump, same},
    fleet::{Fleet, text},
};

#[tokio::test]
async fn a_page_says_what_is_asked_of_whom_and_until_when() {
    let (fleet, approval) = asked(action()).await;
    let shown = page(nobody(&fleet).get(path_for_alice(&fleet, &approval).await).await, 200);
    for part in [
        "Drop the table?",
        "It is **old**.",
        "{\n  &quot;command&quot;: &quot;drop table users_old&quot;\n}",
        &text(&approval["payload_sha256"]),
        "alice@example.com",
        "worker",
        "medium",
        "2026-03-04 12:00:00 UTC",
        "value=\"approve\"",
        "value=\"reject\"",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains(" checked"), "a person chooses");
}

#[tokio::test]
async fn every_kind_is_decided_by_its_form() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let client = nobody(&fleet);
    let tasks = json!([{"ref": "a", "title": "a", "approval": {"start": true, "result": true}}]);
    fleet.post_goal(json!({"title": "g", "approval": {"plan": true}, "tasks": tasks})).await;
    for kind in ["plan", "start", "action", "result"] {
        if kind == "action" {
            let held = agent.take().await;
            agent.write(&held, "approvals", action()).await.expect(201);
        } else if kind == "result" {
            agent.complete(&agent.take().await).await;
        }
        let approval = fleet.question().await;
        assert_eq!(approval["kind"], kind);
        let path = path_for_alice(&fleet, &approval).await;
        client.get(&path).await.expect(200);
        // Without a reason nothing is rejected, and what makes no sense for the kind is not decided.
        for (decision, place) in
            [("reject", "Reason"), ("answer", "Your decision"), ("sure", "Your decision")]
        {
            let before = dump(&fleet.pool).await;
            let answer = send(&client, &path, &approval, &[("decision", decision)]).await;
            let shown = page(answer, 422);
            assert!(shown.contains(&format!("<li>{place}: ")), "{kind} {decision}: {shown}");
            same("a refused form", &before, &dump(&fleet.pool).await);
        }
        let pairs = &[("decision", "approve"), ("reason", "looks good")];
        let shown = page(send(&client, &path, &approval, pairs).await, 200);
        assert!(shown.contains("This was approved.") && shown.contains("looks good"), "{shown}");
    }
    assert!(fleet.questions().await.is_empty());
}

#[tokio::test]
async fn a_question_is_answered_declined_and_rejected() {
    let fleet = Fleet::start().await;
    let client = nobody(&fleet);
    for (decision, answer, reason, state) in [
        ("answer", "the staging <account>", "", "answered"),
        ("decline", "", "", "rejected"),
        ("reject", "left over", "ask me on Monday", "rejected"),
    ] {
        let approval = ask(&fleet, json!({"kind": "input", "title": "Which account?"})).await;
        let path = path_for_alice(&fleet, &approval).await;
        let empty = &[("decision", "answer"), ("answer", " ")];
        assert!(page(send(&client, &path, &approval, empty).await, 422).contains("Your answer: "));
        let pairs = [("decision", decision), ("answer", answer), ("reason", reason)];
        let shown = page(send(&client, &path, &approval, &pairs).await, 200);
        let now = read(&fleet, &approval).await;
        assert_eq!((&now["state"], &now["verdict"]), (&json!(state), &json!(decision)));
        let kept = if state == "answered" { json!(answer) } else { Value::Null };
        assert_eq!(now["answer"], kept);
        assert_eq!(shown.contains("the staging &lt;account&gt;"), state == "answered", "{shown}");
        fleet.worker().await.work_off().await;
    }
}

/// A form with a field of each type; in the order of their names, which is that of their places.
fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "a day": {"type": "string", "format": "date"},
            "b count": {"type": "integer", "minimum": 1, "maximum": 9, "title": "How many"},
            "c share": {"type": "number", "default": 0.5},
            "d sure": {"type": "boolean"},
            "e where": {"type": "string", "oneOf": [
                {"const": "s", "title": "Staging"}, {"const": "p\"<&", "title": "<Production> & \"all\""}
            ]},
            "f whom": {"type": "array", "maxItems": 2,
                       "items": {"type": "string", "enum": ["email", "chat", "pager"]}},
            "g note": {"type": "string", "maxLength": 10, "description": "Why <b>so</b>"}
        },
        "required": ["b count", "d sure"]
    })
}

#[tokio::test]
async fn an_answer_has_the_fields_of_its_form() {
    let question = json!({"kind": "input", "title": "How?", "answer_schema": schema()});
    let (fleet, approval) = asked(question).await;
    let path = path_for_alice(&fleet, &approval).await;
    let client = nobody(&fleet);
    let shown = page(client.get(&path).await, 200);
    for part in [
        "type=\"date\" name=\"answer.0\"",
        "How many *",
        "name=\"answer.2\" value=\"0.5\"",
        "<option value=\"1\">&lt;Production&gt; &amp; &quot;all&quot;</option>",
        "type=\"checkbox\" name=\"answer.5\" value=\"2\"",
        "Why &lt;b&gt;so&lt;/b&gt;",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let before = dump(&fleet.pool).await;
    let wrong = &[
        ("decision", "answer"),
        ("answer.0", "2026-02-30"),
        ("answer.1", "12"),
        ("answer.2", "half"),
        ("answer.3", ""),
        ("answer.4", "7"),
        ("answer.5", "0"),
        ("answer.5", "1"),
        ("answer.5", "2"),
        ("answer.6", "far too long for \"this\""),
    ];
    let refused = page(send(&client, &path, &approval, wrong).await, 422);
    for place in ["a day", "How many", "c share", "d sure", "e where", "f whom", "g note"] {
        assert!(refused.contains(&format!("<li>{place}: ")), "{place}: {refused}");
    }
    // What was filled in is still there.
    for part in [
        "value=\"2026-02-30\"",
        "value=\"half\"",
        "far too long for &quot;this&quot;",
        "value=\"answer\" checked",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    same("a form with errors", &before, &dump(&fleet.pool).await);
    let good = &[
        ("decision", "answer"),
        ("answer.0", "2026-02-28"),
        ("answer.1", " 3 "),
        ("answer.2", ""),
        ("answer.3", "false"),
        ("answer.4", "1"),
        ("answer.5", "2"),
        ("answer.5", "0"),
        ("answer.6", "ok"),
    ];
    page(send(&client, &path, &approval, good).await, 200);
    let want = json!({"a day": "2026-02-28", "b count": 3, "d sure": false, "e where": "p\"<&",
                      "f whom": ["pager", "email"], "g note": "ok"});
    assert_eq!(read(&fleet, &approval).await["answer"], want);
}

#[tokio::test]
async fn options_are_chosen_by_their_place() {
    let hostile = "\"><script>alert(1)</script>";
    let question = json!({"kind": "input", "title": "Which?", "options": ["plain", hostile]});
    let (fleet, approval) = asked(question).await;
    let path = path_for_alice(&fleet, &approval).await;
    let client = nobody(&fleet);
    let pairs = &[("decision", "answer"), ("answer.0", "1")];
    page(send(&client, &path, &approval, pairs).await, 200);
    assert_eq!(read(&fleet, &approval).await["answer"], json!({"choice": hostile}));
}

#[tokio::test]
async fn nothing_that_an_agent_writes_is_markup() {
    let hostile = "</pre></textarea><script>go('1')</script><img src=x onerror=\"go()\"><form action=x> \
                   &lt; \u{202e}txt\u{2066}";
    let question = json!({
        "kind": "input", "title": hostile, "body": hostile,
        "payload": {hostile: [hostile]},
        "answer_schema": {"type": "object", "properties": {
            hostile: {"type": "string", "title": hostile, "description": hostile, "default": hostile},
            "choice": {"type": "string", "enum": [hostile, "b"], "default": "b"},
            "several": {"type": "array", "items": {"type": "string", "enum": [hostile]}},
        }},
    });
    let (fleet, approval) = asked(question).await;
    let path = path_for_alice(&fleet, &approval).await;
    let client = nobody(&fleet);
    let mut pages = vec![page(client.get(&path).await, 200)];
    let wrong = [("decision", hostile), ("reason", hostile), ("answer.0", hostile)];
    pages.push(page(send(&client, &path, &approval, &wrong).await, 422));
    let good = [("decision", "answer"), ("reason", hostile), ("answer.1", hostile)];
    pages.push(page(send(&client, &path, &approval, &good).await, 200));
    for shown in &pages {
        for markup in
            ["<script", "<img", "onerror=\"", "<form action", "&lt; ", "\u{202e}", "\u{2066}"]
        {
            let expected = markup == "\u{202e}" || markup == "\u{2066}";
            // What goes back in a field is as it was; all that is read is written out.
            let read = shown.split("<form").next().unwrap();
            assert!(!(if expected { read } else { shown }).contains(markup), "{markup}: {shown}");
        }
        assert!(shown.contains("&lt;script&gt;") && shown.contains("[U+202E]"), "{shown}");
        assert_eq!(shown.matches("</main>").count(), 1);
        assert!(shown.matches("<form").count() <= 1);
    }
}

#[tokio::test]
async fn what_is_no_form_is_refused_on_a_page() {
    let (fleet, approval) = asked(action()).await;
    let path = path_for_alice(&fleet, &approval).await;
    let client = nobody(&fleet);
    let before = dump(&fleet.pool).await;
    let large = format!("reason={}", "x".repeat(300 * 1024));
    let hash = text(&approval["payload_sha256"]);
    let zero = format!("decision=approve&payload_sha256={hash}&reason=a%00b");
    for (kind, body, status) in [
        ("application/json", r#"{"decision": "approve"}"#, 415),
        ("text/plain", "decision=approve", 415),
        (FORM, &*large, 413),
        (FORM, "reason=%ff", 400),
        (FORM, &*zero, 422),
    ] {
        let answer = client.call(Method::POST, &path).bytes(kind, body).await;
        assert!(page(answer, status).contains("Nothing was decided."));
    }
    for method in ["PUT", "PATCH", "DELETE"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        client.call(method, &path).await.problem(405, "method_not_allowed");
    }
    same("what is no form", &before, &dump(&fleet.pool).await);
}
