//! The texts of the pages.

use axum::http::StatusCode;

use super::{Page, form, html::Html, status};
use crate::{
    app::decisions::by_link::{Opened, Question, Settled},
    domain::{
        approval::{Verdict, floor::RiskFloor},
        link::{Filled, Over},
        refusal::Refusal,
        states::ApprovalState,
    },
};

/// The style of every page; the policy of the page names its hash.
pub const STYLE: &str = "body{font:1rem/1.6 system-ui,sans-serif;max-width:44rem;margin:2rem auto;\
    padding:0 1rem;color:#1b1f24;background:#fff}h1{font-size:1.5rem;line-height:1.3;\
    overflow-wrap:anywhere}h2{font-size:1.1rem;margin:1.5rem 0 .3rem}pre,code{font:.9em \
    ui-monospace,monospace;background:#f1f3f5;border-radius:3px}pre{padding:1em;overflow:auto;\
    max-height:32rem;white-space:pre-wrap;overflow-wrap:anywhere}code{overflow-wrap:anywhere}\
    dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem}dt{color:#57606a}\
    dd{margin:0;overflow-wrap:anywhere}fieldset{border:1px solid #d0d7de;border-radius:6px;\
    margin:1rem 0}.field,.choice{display:block;margin:.6rem 0}.field span,.field small{display:block}\
    small{color:#57606a;white-space:pre-wrap}input[type=text],textarea,select{box-sizing:border-box;\
    width:100%;font:inherit;padding:.3rem}button{font:inherit;padding:.4rem 1.4rem}\
    .errors{border-left:4px solid #b3261e;padding:.2rem 1rem}\
    @media(prefers-color-scheme:dark){body{color:#e6e8ea;background:#15181c}pre,code{background:\
    #23282e}dt,small{color:#9aa4af}fieldset{border-color:#444c56}}";

/// The page of an opened link.
pub fn of(opened: &Opened, filled: &Filled) -> Page {
    match opened {
        Opened::Asked(question) => asked(question, filled),
        Opened::Settled(settled) => page(StatusCode::OK, &outcome(settled)),
        Opened::Counted(settled) => page(StatusCode::OK, &counted(settled)),
        Opened::Over(over) => page(StatusCode::GONE, &ended(*over)),
        Opened::Refused(refusal) => page(status(refusal), &refused(refusal)),
    }
}

/// The page of an unknown link.
pub fn unknown() -> Page {
    let mut html = Html::new();
    html.raw(
        "<h1>This link does not exist</h1><p>A part of it may be missing: copy it again, or ask the \
         person who sent it for a new link.</p>",
    );
    page(StatusCode::NOT_FOUND, &html)
}

fn page(status: StatusCode, content: &Html) -> Page {
    let mut html = Html::new();
    html.raw("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
        .raw("<meta name=\"viewport\" content=\"width=device-width\">")
        .raw("<meta name=\"robots\" content=\"noindex\">")
        .raw("<meta name=\"referrer\" content=\"no-referrer\">")
        // Browsers store titles in their history, so this one reveals nothing.
        .raw("<title>A decision · muster</title><style>")
        .raw(STYLE)
        .raw("</style></head>\n<body><main>\n")
        .piece(content)
        .raw("\n</main></body></html>\n");
    Page { status, text: html.into_string() }
}

fn asked(question: &Question, filled: &Filled) -> Page {
    let Question { approval, payload, about, person, expires_at, errors } = question;
    let mut html = Html::new();
    html.raw("<p>")
        .raw(approval.kind.traits().asks)
        .raw("</p><h1>")
        .text(&approval.title)
        .raw("</h1><dl>");
    let asker = about.agent.as_deref().or(about.asked_by.as_deref());
    row(&mut html, "Asked by", asker.unwrap_or("muster, by the settings of the task"));
    row(&mut html, "Asked at", approval.created_at.format("%F %T UTC"));
    row(&mut html, "Goal", &about.goal);
    if let Some(task) = &about.task {
        row(&mut html, "Task", task);
    }
    row(&mut html, "Risk", approval.risk);
    if let Some(RiskFloor { risk, source, id: _, name }) = &approval.risk_floor {
        row(&mut html, "Risk at least", format_args!("{risk}, by the {source} {name}"));
    }
    row(&mut html, "You are", person);
    row(&mut html, "Link expires", expires_at.format("%F %T UTC"));
    html.raw("</dl>");
    if let Some(body) = approval.body.as_deref().filter(|body| !body.is_empty()) {
        html.raw("<h2>Background</h2><pre dir=\"ltr\">\n").text(body).raw("</pre>");
    }
    if !payload.is_empty() {
        html.raw("<h2>You decide exactly this</h2><pre dir=\"ltr\">\n").text(payload).raw("</pre>");
    }
    html.raw("<p><small>SHA-256 of this payload: <code>").text(approval.payload_sha256);
    html.raw("</code></small></p>").piece(&form::form(question, filled));
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    page(status, &html)
}

fn row(html: &mut Html, name: &'static str, value: impl std::fmt::Display) {
    html.raw("<dt>").raw(name).raw("</dt><dd>").text(value).raw("</dd>");
}

fn outcome(settled: &Settled) -> Html {
    let Settled { approval, about, link: _ } = settled;
    let mut html = Html::new();
    html.raw("<p>").raw(became(approval.state)).raw("</p><h1>").text(&approval.title);
    html.raw("</h1><dl>");
    if let Some(verdict) = approval.verdict {
        row(&mut html, "Decision", said(verdict));
    }
    let person = approval.decided_by_person.as_ref().map(ToString::to_string);
    if let Some(by) = person.or_else(|| about.decided_by.clone()) {
        row(&mut html, "By", by);
    }
    if let Some(at) = approval.decided_at {
        row(&mut html, "At", at.format("%F %T UTC"));
    }
    if let Some(reason) = &approval.reason {
        row(&mut html, "Reason", reason);
    }
    row(&mut html, "Goal", &about.goal);
    if let Some(task) = &about.task {
        row(&mut html, "Task", task);
    }
    html.raw("</dl>");
    if let Some(answer) = &approval.answer {
        html.raw("<h2>Answer</h2><pre dir=\"ltr\">\n").text(format!("{answer:#}")).raw("</pre>");
    }
    html.raw("<p>You need not do anything else.</p>");
    html
}

fn counted(settled: &Settled) -> Html {
    let Settled { approval, about, link } = settled;
    let mut html = Html::new();
    html.raw("<p>Your decision is recorded. Others must also decide.</p><h1>");
    html.text(&approval.title).raw("</h1><dl>");
    if let Some(verdict) = link.verdict {
        row(&mut html, "Decision", said(verdict));
    }
    row(&mut html, "By", &link.person);
    if let Some(at) = link.used_at {
        row(&mut html, "At", at.format("%F %T UTC"));
    }
    row(&mut html, "Goal", &about.goal);
    html.raw("</dl>");
    html
}

fn became(state: ApprovalState) -> &'static str {
    match state {
        ApprovalState::Pending => "This is pending.",
        ApprovalState::Approved => "This was approved.",
        ApprovalState::Rejected => "This was rejected.",
        ApprovalState::Answered => "This was answered.",
        ApprovalState::Expired => "Nobody decided this in time.",
        ApprovalState::Cancelled => "This was cancelled: it is no longer needed.",
    }
}

fn said(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "approved",
        Verdict::Reject => "rejected",
        Verdict::Answer => "answered",
        Verdict::Decline => "declined",
    }
}

fn ended(over: Over) -> Html {
    let mut html = Html::new();
    html.raw(match over {
        Over::Expired => "<h1>This link has expired</h1>",
        Over::Revoked => "<h1>This link was revoked</h1>",
    });
    html.raw(
        "<p>It cannot be used again. If your decision is still needed, ask the person who sent it for \
         a new link.</p>",
    );
    html
}

fn refused(refusal: &Refusal) -> Html {
    let mut html = Html::new();
    html.raw("<h1>").raw(refusal.code.title()).raw("</h1><p>").text(&refusal.detail);
    html.raw("</p><p>Nothing was decided.</p>");
    html
}
