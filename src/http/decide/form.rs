//! The form of a decision link: the possible decisions, and the fields of an answer.
//!
//! No decision is preselected. A refused form keeps its values.

use super::html::Html;
use crate::{
    app::decisions::by_link::Question,
    domain::{
        approval::Verdict,
        check::pointer,
        form::{Input, Takes},
        link::Filled,
        refusal::FieldError,
    },
};

/// The form of an approval.
pub fn form(question: &Question, filled: &Filled) -> Html {
    let mut html = Html::new();
    errors(&mut html, question);
    // Without an `action`, the browser sends it to the URL of the page, so the page has no token.
    html.raw("<form method=\"post\"><input type=\"hidden\" name=\"payload_sha256\" value=\"");
    html.value(question.approval.payload_sha256).raw("\">");
    if question.approval.kind.takes(Verdict::Answer) {
        answer(&mut html, question, filled);
    }
    html.raw("<fieldset><legend>Your decision</legend>");
    let before = filled.all("decision").next();
    for verdict in question.approval.kind.traits().verdicts {
        html.raw(
            "<label class=\"choice\"><input type=\"radio\" name=\"decision\" required value=\"",
        );
        html.value(verdict).raw("\"");
        if before == Some(verdict.as_str()) {
            html.raw(" checked");
        }
        html.raw("> ").raw(label(*verdict)).raw("</label>");
    }
    html.raw("</fieldset><label class=\"field\"><span>Reason</span>");
    html.raw("<small>Required to reject; the next agent reads it.</small>");
    // A browser drops the first line break.
    html.raw("<textarea name=\"reason\" rows=\"3\">\n");
    html.value(filled.all("reason").next().unwrap_or_default());
    html.raw("</textarea></label><button type=\"submit\">Decide</button></form>");
    html
}

fn label(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "Approve: yes, exactly as shown",
        Verdict::Answer => "Answer, as filled in above",
        Verdict::Decline => "Decline: no answer, continue without",
        Verdict::Reject => "Reject: no, for the reason below",
    }
}

fn errors(html: &mut Html, question: &Question) {
    if question.errors.is_empty() {
        return;
    }
    html.raw(
        "<div class=\"errors\" role=\"alert\"><p>Nothing was decided yet. Please correct:</p><ul>",
    );
    for error in &question.errors {
        html.raw("<li>").text(place(question, error)).raw(": ").text(&error.detail).raw("</li>");
    }
    html.raw("</ul></div>");
}

/// The name of the field with an error, for people.
fn place(question: &Question, error: &FieldError) -> String {
    let schema = question.approval.answer_schema.as_ref();
    let field = schema.into_iter().flat_map(|schema| schema.properties.iter()).find(|(name, _)| {
        let at = pointer("/answer", name);
        error.pointer == at || error.pointer.starts_with(&format!("{at}/"))
    });
    if let Some((name, field)) = field {
        return field.title.clone().unwrap_or_else(|| name.clone());
    }
    match error.pointer.as_str() {
        "/decision" => "Your decision".to_owned(),
        "/reason" => "Reason".to_owned(),
        "/answer" => "Your answer".to_owned(),
        _ => "The form".to_owned(),
    }
}

fn answer(html: &mut Html, question: &Question, filled: &Filled) {
    html.raw("<fieldset><legend>Your answer</legend>");
    let Some(schema) = &question.approval.answer_schema else {
        html.raw("<label class=\"field\"><textarea name=\"answer\" rows=\"4\">\n");
        html.value(filled.all("answer").next().unwrap_or_default());
        html.raw("</textarea></label></fieldset>");
        return;
    };
    // In a submitted form, an empty field was emptied by the person.
    let sent = filled.all("payload_sha256").next().is_some();
    for (place, input) in schema.inputs().iter().enumerate() {
        let defaults = || input.filled.iter().map(String::as_str).collect();
        let now: Vec<&str> = if sent { filled.answers(place) } else { defaults() };
        field(html, place, input, &now);
    }
    html.raw("</fieldset>");
}

fn field(html: &mut Html, place: usize, input: &Input<'_>, now: &[&str]) {
    if let Takes::Some(choices) = &input.takes {
        html.raw("<fieldset class=\"field\"><legend>").text(input.label);
        html.raw(if input.needed { " *" } else { "" }).raw("</legend>");
        description(html, input);
        for (at, choice) in choices.iter().enumerate() {
            html.raw("<label class=\"choice\"><input type=\"checkbox\" name=\"answer.");
            html.value(place).raw("\" value=\"").value(at).raw("\"");
            html.raw(if now.contains(&at.to_string().as_str()) { " checked" } else { "" });
            html.raw("> ").text(choice.label).raw("</label>");
        }
        html.raw("</fieldset>");
        return;
    }
    html.raw("<label class=\"field\"><span>").text(input.label);
    html.raw(if input.needed { " *" } else { "" }).raw("</span>");
    description(html, input);
    let text = now.first().copied().unwrap_or_default();
    match &input.takes {
        Takes::Text => {
            html.raw("<textarea rows=\"4\" name=\"answer.").value(place).raw("\">\n");
            html.value(text).raw("</textarea>");
        }
        Takes::Line => line(html, "<input type=\"text\" name=\"answer.", place, text),
        Takes::Day => line(html, "<input type=\"date\" name=\"answer.", place, text),
        Takes::Instant => {
            let markup = "<input type=\"text\" placeholder=\"2026-02-28T09:30:00Z\" name=\"answer.";
            line(html, markup, place, text);
        }
        Takes::Number => {
            line(html, "<input type=\"text\" inputmode=\"decimal\" name=\"answer.", place, text);
        }
        Takes::Boolean => {
            let options = [("true".to_owned(), "Yes"), ("false".to_owned(), "No")];
            select(html, place, &options, text);
        }
        Takes::One(choices) => {
            let options: Vec<_> =
                choices.iter().enumerate().map(|(at, one)| (at.to_string(), one.label)).collect();
            select(html, place, &options, text);
        }
        Takes::Some(_) => {}
    }
    html.raw("</label>");
}

fn description(html: &mut Html, input: &Input<'_>) {
    if let Some(description) = input.description {
        html.raw("<small>").text(description).raw("</small>");
    }
}

fn line(html: &mut Html, markup: &'static str, place: usize, text: &str) {
    html.raw(markup).value(place).raw("\" value=\"").value(text).raw("\">");
}

fn select(html: &mut Html, place: usize, options: &[(String, &str)], chosen: &str) {
    html.raw("<select name=\"answer.").value(place);
    html.raw("\"><option value=\"\">(nothing)</option>");
    for (value, label) in options {
        html.raw("<option value=\"").value(value).raw("\"");
        html.raw(if value == chosen { " selected" } else { "" });
        html.raw(">").text(label).raw("</option>");
    }
    html.raw("</select>");
}
