//! The line of a task: id, marks and tags, and the remaining title.

use super::ids;
use super::needs::{self, Need};

/// The parsed line of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub id: Option<String>,
    pub parallel: bool,
    pub optional: bool,
    pub labels: Vec<String>,
    pub needs: Vec<Need>,
    /// The rest, as written.
    pub title: String,
}

impl Head {
    /// Whether its id is a `T012`.
    pub(super) fn is_t(&self) -> bool {
        self.id.as_deref().is_some_and(ids::is_t)
    }
}

/// Most marks before or after a title.
const MOST_MARKS: usize = 12;

/// Parses the line of a task.
pub(super) fn parse(text: &str) -> Head {
    let mut head = Head::default();
    let mut rest = text.trim().to_owned();
    for strip in [leading, trailing] {
        for _ in 0..MOST_MARKS {
            let Some(next) = strip(&mut head, &rest) else { break };
            rest = next;
        }
    }
    head.needs.extend(needs::in_inner_brackets(&rest));
    head.title = unwrap_whole(rest.trim()).to_owned();
    head
}

fn leading(head: &mut Head, text: &str) -> Option<String> {
    let text = text.trim_start();
    if let Some(rest) = text.strip_prefix("(P)").or_else(|| text.strip_prefix("[P]")) {
        head.parallel = true;
        return Some(rest.to_owned());
    }
    if let Some(rest) = optional_star(text) {
        head.optional = true;
        return Some(rest.to_owned());
    }
    if head.id.is_none()
        && let Some(taken) = ids::take(text)
    {
        let starred = taken.rest.strip_prefix('*').filter(|rest| !rest.starts_with('*'));
        head.optional |= starred.is_some_and(|rest| rest.starts_with([' ', ':']));
        let rest = if head.optional { starred.unwrap_or(taken.rest) } else { taken.rest };
        head.id = Some(taken.id);
        return Some(ids::after_separator(rest).to_owned());
    }
    if let Some((labels, rest)) = tag(text) {
        if labels.eq_ignore_ascii_case("optional") {
            head.optional = true;
        } else {
            head.labels.extend(labels.split(',').map(|label| label.trim().to_owned()));
        }
        return Some(rest.to_owned());
    }
    unwrap_leading(head, text)
}

/// `- [ ]* 2.3 text` and `- [ ]\* 2.3 text`.
fn optional_star(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("\\*").or_else(|| text.strip_prefix('*'))?;
    (rest.starts_with(char::is_whitespace)
        || rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.contains('*'))
    .then_some(rest)
}

/// A short tag in brackets: `[US1]`, `[US1, US2]`, `[Backend]`, `(P0):`.
fn tag(text: &str) -> Option<(&str, &str)> {
    if let Some(inner) = text.strip_prefix('(') {
        let (inside, rest) = inner.split_once("):")?;
        return is_tag(inside).then_some((inside, rest));
    }
    let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
    (is_tag(inside) && !rest.starts_with(['(', ':'])).then_some((inside, rest))
}

fn is_tag(inside: &str) -> bool {
    let fits =
        |c: char| c.is_alphanumeric() || matches!(c, ' ' | ',' | '/' | '-' | '&' | '_' | '+');
    let capital = inside.starts_with(char::is_uppercase) || inside.eq_ignore_ascii_case("optional");
    capital && inside.chars().count() <= 24 && inside.chars().all(fits)
}

/// `**T001** text`, `**T001: text** more`: removes the markup, keeps the text.
fn unwrap_leading(head: &Head, text: &str) -> Option<String> {
    let mark = ["**", "__", "*", "_", "`"].into_iter().find(|mark| text.starts_with(mark))?;
    let inner = &text[mark.len()..];
    let holds_id = head.id.is_none() && ids::take(inner).is_some();
    if !holds_id && !inner.starts_with("[P]") && !inner.starts_with("(P)") && tag(inner).is_none() {
        return None;
    }
    let close = inner.find(mark)?;
    Some(format!("{}{}", &inner[..close], &inner[close + mark.len()..]))
}

fn trailing(head: &mut Head, text: &str) -> Option<String> {
    let text = text.trim_end();
    if let Some(rest) = text.strip_suffix("(P)").or_else(|| text.strip_suffix("[P]")) {
        head.parallel = true;
        return Some(rest.to_owned());
    }
    let bare = text.trim_end_matches(['.', '*', '_', '。']);
    let (open, content) = last_bracket(bare)?;
    let story = content.strip_prefix("US").is_some_and(|rest| {
        !rest.is_empty()
            && rest.chars().all(|c| c.is_ascii_digit() || matches!(c, '/' | ',' | '-' | ' '))
    });
    if story {
        head.labels.extend(content.split(',').map(|label| label.trim().to_owned()));
    } else if content.eq_ignore_ascii_case("optional") {
        head.optional = true;
    } else {
        head.needs.extend(needs::in_bracket(content)?.needs);
    }
    Some(bare[..open].trim_end_matches(['*', '_', ' ', '\t']).to_owned())
}

/// Start and content of the bracket that ends the text.
fn last_bracket(text: &str) -> Option<(usize, &str)> {
    let (opens, closes): (char, char) = match text.chars().next_back()? {
        ')' => ('(', ')'),
        ']' => ('[', ']'),
        '）' => ('（', '）'),
        _ => return None,
    };
    let mut depth = 0usize;
    for (at, c) in text.char_indices().rev() {
        depth += usize::from(c == closes);
        depth -= usize::from(c == opens);
        if depth == 0 {
            let inner = &text[at + c.len_utf8()..text.len() - closes.len_utf8()];
            return Some((at, inner));
        }
    }
    None
}

/// `**the whole title**`
fn unwrap_whole(title: &str) -> &str {
    for mark in ["**", "__"] {
        let inner = title.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
        if let Some(inner) = inner.filter(|inner| !inner.is_empty() && !inner.contains(mark)) {
            return inner;
        }
    }
    title
}

/// A title for comparison.
pub(super) fn plain(title: &str) -> String {
    title.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}
