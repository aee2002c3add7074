//! Dependencies stated by a document.
//!
//! A phrase counts in a bracket without other text, in a bracket at the end of a task's line, or on
//! a line of its own below the task. Prose never makes a dependency: "explain why A depends on B"
//! is work.

use super::ids;

/// One stated need of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
    One(String),
    Range(String, String),
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(id) => f.write_str(id),
            Self::Range(first, last) => write!(f, "{first} to {last}"),
        }
    }
}

/// Content of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Statement {
    pub needs: Vec<Need>,
    /// Whether words remain that are no ids.
    pub rest: bool,
}

const PHRASES: &str = "\
    depends on|depend on|depends upon|dependencies|dependency|depends|deps|needs|blocked by|\
    blocked on|依赖于|依赖|依存";
/// Phrases that also introduce prose; they count with a `T012` only.
const WEAK_PHRASES: [&str; 3] = ["requires", "after", "prerequisites"];

/// Statement in a bracket at the end of a task's line.
pub(super) fn in_bracket(content: &str) -> Option<Statement> {
    let at_start = phrase(content).map(|(weak, rest)| list(rest, weak));
    if let Some(statement) = at_start {
        return (!statement.needs.is_empty()).then_some(statement);
    }
    let clauses = content.char_indices().filter(|(_, c)| matches!(c, ',' | ';' | '，' | '；'));
    clauses
        .filter_map(|(at, c)| phrase(&content[at + c.len_utf8()..]))
        .map(|(weak, rest)| list(rest, weak))
        .find(|statement| !statement.needs.is_empty())
}

/// Needs in brackets within a line; the bracket must have no other text.
pub(super) fn in_inner_brackets(title: &str) -> Vec<Need> {
    let mut found = Vec::new();
    let mut rest = title;
    let mut ticks = 0;
    while let Some(open) = rest.find(['(', '（']) {
        ticks += rest[..open].matches('`').count();
        let quoted = ticks % 2 == 1;
        rest = rest[open..].trim_start_matches(['(', '（']);
        let Some(close) = rest.find([')', '）', '(', '（']) else { break };
        if quoted {
            continue;
        }
        let whole = in_bracket(&rest[..close]).filter(|statement| !statement.rest);
        found.extend(whole.into_iter().flat_map(|statement| statement.needs));
        ticks += rest[..close].matches('`').count();
        rest = &rest[close..];
    }
    found
}

/// Statement on a line of its own: `needs: T003`, `**Depends on**: T001, T002`.
pub(super) fn on_line(text: &str) -> Option<Statement> {
    let text = text.trim().trim_matches(['*', '_', '`', '(', ')', '[', ']']);
    let (weak, rest) = phrase(text)?;
    let bare = rest.trim_start_matches(['*', '_', '`', ' ']);
    let keyed = bare.starts_with([':', '：']);
    let statement = list(rest, weak);
    let whole = !statement.rest && !statement.needs.is_empty();
    (whole || (keyed && !weak) || (keyed && !statement.needs.is_empty())).then_some(statement)
}

fn phrase(text: &str) -> Option<(bool, &str)> {
    let text = text.trim_start().trim_start_matches(['*', '_', '`']);
    let strong = PHRASES.split('|').find_map(|phrase| after_phrase(text, phrase));
    let weak = || WEAK_PHRASES.iter().find_map(|phrase| after_phrase(text, phrase));
    strong.map(|rest| (false, rest)).or_else(|| weak().map(|rest| (true, rest)))
}

fn after_phrase<'a>(text: &'a str, phrase: &str) -> Option<&'a str> {
    let head = text.get(..phrase.len())?;
    let rest = &text[phrase.len()..];
    let ends = !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    (head.eq_ignore_ascii_case(phrase) && ends).then_some(rest)
}

/// Reads ids up to other text. Plain numbers count only if no other text follows: `needs 2
/// reviewers` is not task 2.
fn list(text: &str, weak: bool) -> Statement {
    let mut needs = Vec::new();
    let mut rest = skip_joints(text);
    while let Some(taken) = ids::take_token(rest) {
        rest = taken.rest;
        match range_end(rest) {
            Some(end) => {
                needs.push(Need::Range(taken.id, end.id));
                rest = end.rest;
            }
            None => needs.push(Need::One(taken.id)),
        }
        let next = skip_joints(skip_remark(rest));
        if next.len() == rest.len() && !next.is_empty() {
            break;
        }
        rest = next;
    }
    let rest = !rest.trim_matches(['.', '。', ' ', '\t', ')', ']', '*', '_', '`']).is_empty();
    needs.retain(|need| {
        let (Need::One(id) | Need::Range(id, _)) = need;
        ids::is_t(id) || (!rest && !weak)
    });
    Statement { needs, rest }
}

fn range_end(rest: &str) -> Option<ids::Taken<'_>> {
    let trimmed = rest.trim_start();
    let joint = ["–", "—", "-", "~", "..", "through ", "to "];
    let after = joint.iter().find_map(|joint| trimmed.strip_prefix(joint))?;
    ids::take_token(after.trim_start())
}

/// `T001 (the models), T002`
fn skip_remark(rest: &str) -> &str {
    let inner = rest.trim_start().strip_prefix('(').and_then(|inner| inner.split_once(')'));
    inner.map_or(rest, |(_, rest)| rest)
}

fn skip_joints(text: &str) -> &str {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches([
            ' ', '\t', ',', ';', ':', '&', '+', '/', '、', '，', '：', '*', '_', '`', '[', ']',
        ]);
        let word = ["and ", "on ", "both ", "all of "].iter().find_map(|w| trimmed.strip_prefix(w));
        match word {
            Some(after) => rest = after,
            None => return trimmed,
        }
    }
}
