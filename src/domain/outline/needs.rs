//! Dependencies stated by a document.
//!
//! A phrase counts in a bracket without other text, in a bracket at the end of a task's line, or on
//! a line of its own below the task. Prose never makes a dependency: "explain why A depends on B"
//! is work.

use std::{collections::HashMap, sync::LazyLock};

use super::ids;

/// One stated need of a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Need {
    One(String),
    Range(String, String),
    /// Words: the title of a task, or a need that cannot be read.
    Title(String),
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(id) => f.write_str(id),
            Self::Title(title) => write!(f, "`{title}`"),
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

/// Certainty of a phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phrase {
    /// Names tasks and nothing else: words after it are a need too.
    Strict,
    /// Also introduces libraries and people; only ids count.
    Loose,
    /// Also introduces prose; only a `T012` counts.
    Weak,
}

/// Phrases in any case; their words may be joined by a space, `-`, `_` or nothing.
const STRICT: &str = "\
    depends on|depend on|depends upon|dependent on|depending on|is blocked by|blocked by|\
    blocked on|blockers|blocker|predecessors|predecessor|waits for|waits on|waiting for|\
    waiting on|⛔|依赖于|依赖|依存";
const LOOSE: &str = "dependencies|dependency|depends|depend|deps|dep|needs";
const WEAK: &str = "\
    requires|require|after|prerequisites|prerequisite|prereqs|prereq|follows|relies on|\
    starts after|start after|runs after|run after|only after|comes after|come after|\
    must come after|must follow|should follow|once|as soon as|builds on|build on|gated by|gated on";

/// Words before the phrase of a line: `Hard dependencies: T001`.
const BEFORE: [&str; 8] =
    ["hard ", "task ", "direct ", "strong ", "internal ", "upstream ", "blocking ", "required "];

/// Statement in a bracket at the end of a task's line.
pub(super) fn in_bracket(content: &str) -> Option<Statement> {
    let at_start = phrase(content).map(|(phrase, rest)| list(rest, phrase));
    if let Some(statement) = at_start {
        return (!statement.needs.is_empty()).then_some(statement);
    }
    let clauses = content.char_indices().filter(|(_, c)| matches!(c, ',' | ';' | '，' | '；'));
    clauses
        .filter_map(|(at, c)| phrase(&content[at + c.len_utf8()..]))
        .map(|(phrase, rest)| list(rest, phrase))
        .find(|statement| !statement.needs.is_empty())
}

/// Needs in brackets and clauses within a line; the bracket must have no other text.
pub(super) fn in_inner_brackets(title: &str) -> Vec<Need> {
    let mut found = in_clauses(title);
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

/// Needs of a clause of a task's line: `build it, depends on T001`, `build it @depends(T001)`.
fn in_clauses(title: &str) -> Vec<Need> {
    let whole = clauses(title).filter(|statement| !statement.rest);
    whole.flat_map(|statement| statement.needs).collect()
}

/// Ids after a phrase of a task's line that are read as no need because of the text behind them.
pub(super) fn unread(title: &str) -> Vec<Need> {
    let partly = clauses(title).filter(|statement| statement.rest);
    partly.flat_map(|statement| statement.needs).collect()
}

/// Characters in which a clause in braces must end, so that the time stays linear.
const LONGEST_CLAUSE: usize = 400;

/// Bytes in which a remark in brackets must end, for the same reason.
const LONGEST_REMARK: usize = 2_000;

/// Characters of the longest phrase and its key.
const LONGEST_PHRASE: usize = 24;

/// Most clauses of one line that state needs.
const MOST_CLAUSES: usize = 50;

/// What may be a statement: from a mark between clauses on, or `needs:T001` anywhere.
fn clauses(title: &str) -> impl Iterator<Item = Statement> + '_ {
    let mut quoted = false;
    let mut before = ' ';
    let mut mark = false;
    let found = title.char_indices().filter_map(move |(at, c)| {
        let after_mark = mark;
        // Brackets are read as a whole.
        let free = before.is_whitespace() || (after_mark && before != '.');
        let starts = !quoted && free && c.is_alphanumeric() && !before.is_alphanumeric();
        quoted ^= c == '`';
        mark = match c {
            ',' | ';' | '，' | '；' | '—' | '–' | '{' | '*' | '_' | '@' | '.' | '|' => true,
            '-' => before == ' ' || mark,
            c => mark && c.is_whitespace(),
        };
        before = c;
        if !starts {
            return None;
        }
        let text = &title[at..];
        let key = |c: char| matches!(c, ':' | '=' | '：');
        // Looking for a phrase costs more than looking for its key.
        if !after_mark && !text.chars().take(LONGEST_PHRASE).any(key) {
            return None;
        }
        let (phrase, rest) = phrase(text)?;
        let keyed = rest.starts_with(key);
        let end = rest.char_indices().take(LONGEST_CLAUSE).find(|(_, c)| *c == '}');
        let rest = end.map_or(rest, |(at, _)| &rest[..at]);
        (after_mark || keyed).then(|| list(rest, phrase)).filter(|found| !found.needs.is_empty())
    });
    found.take(MOST_CLAUSES)
}

/// Statement on a line of its own: `needs: T003`, `**Depends on**: T001, T002`.
pub(super) fn on_line(text: &str) -> Option<Statement> {
    let text = text.trim().trim_matches(['*', '_', '`', '(', ')', '[', ']']);
    let (phrase, rest) = line_phrase(text)?;
    let keyed = is_keyed(rest);
    let mut statement = list(rest, phrase);
    let whole = !statement.rest && !statement.needs.is_empty();
    if keyed && phrase == Phrase::Strict && statement.needs.is_empty() {
        statement.needs.extend(title(rest));
    }
    let weak = phrase == Phrase::Weak;
    (whole || (keyed && !weak) || (keyed && !statement.needs.is_empty())).then_some(statement)
}

/// The phrase of a line such as `**Depends on:**`, whose needs are the list below it.
pub(super) fn label(text: &str) -> Option<Phrase> {
    let text = text.trim().trim_start_matches(['#', ' ']);
    let (phrase, rest) = line_phrase(text)?;
    let marked = is_keyed(rest) || text.starts_with(['*', '_']);
    (marked && title(rest).is_none() && list(rest, phrase).needs.is_empty()).then_some(phrase)
}

/// The phrase of an item such as `Depends on`, whose needs are the items below it.
pub(super) fn bare_label(text: &str) -> Option<Phrase> {
    line_phrase(text.trim()).filter(|(_, rest)| rest.trim().is_empty()).map(|(phrase, _)| phrase)
}

/// Whether a text consists of the ids of needed tasks.
pub(super) fn is_list(text: &str, phrase: Phrase) -> bool {
    let found = list(text, phrase);
    !found.rest && !found.needs.is_empty()
}

/// Needs of one bullet below such a line: an id, with a remark after it, or a title. `own`: the id that
/// the bullet begins with.
pub(super) fn of_bullet(text: &str, phrase: Phrase, own: Option<String>) -> Vec<Need> {
    let strong = list(text, phrase);
    if !strong.needs.is_empty() {
        return strong.needs;
    }
    let title = || title(text).filter(|_| phrase == Phrase::Strict);
    own.map(Need::One).or_else(title).into_iter().collect()
}

/// Needs in a cell of a table.
pub(super) fn of_cell(text: &str) -> Vec<Need> {
    let statement = list(text, Phrase::Loose);
    if statement.needs.is_empty() { title(text).into_iter().collect() } else { statement.needs }
}

/// Words as a need, unless they say that there is none.
fn title(text: &str) -> Option<Need> {
    const NONE: [&str; 12] = [
        "none", "nothing", "n/a", "na", "no", "nil", "null", "nobody", "keine", "无", "なし", "tbd",
    ];
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    let first = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '.' | '(' | ';'));
    let first = first.into_iter().next().unwrap_or_default().to_lowercase();
    let none = text.is_empty() || NONE.contains(&first.as_str());
    (!none).then(|| Need::Title(text.chars().take(200).collect()))
}

fn is_keyed(rest: &str) -> bool {
    rest.trim_start_matches(['*', '_', '`', ' ']).starts_with([':', '：', '=', '→', '—', '–'])
}

/// The phrase of a line, behind a sign and a word such as `hard`; a remark in brackets may follow:
/// `Dependencies (hard): T001`.
fn line_phrase(text: &str) -> Option<(Phrase, &str)> {
    let bare = || text.trim_start_matches(|c: char| !c.is_alphanumeric() && !c.is_ascii());
    let inner = || {
        let bare = bare().trim_start().trim_start_matches(['*', '_', '`']);
        BEFORE.iter().find_map(|word| {
            let head = bare.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word))?;
            Some(&bare[head.len()..])
        })
    };
    let found = phrase(text).or_else(|| phrase(bare())).or_else(|| phrase(inner()?));
    let (phrase, rest) = found?;
    let after = skip_remark(rest);
    Some((phrase, if after.len() < rest.len() && is_keyed(after) { after } else { rest }))
}

/// All phrases by their first letter, in their order: most words begin none, and every word may be asked about.
static PHRASES: LazyLock<HashMap<char, Vec<(Phrase, &str)>>> = LazyLock::new(|| {
    let mut by_letter: HashMap<char, Vec<(Phrase, &str)>> = HashMap::new();
    for (phrases, certainty) in
        [(STRICT, Phrase::Strict), (LOOSE, Phrase::Loose), (WEAK, Phrase::Weak)]
    {
        for phrase in phrases.split('|') {
            if let Some(first) = phrase.chars().next() {
                by_letter.entry(first).or_default().push((certainty, phrase));
            }
        }
    }
    by_letter
});

fn phrase(text: &str) -> Option<(Phrase, &str)> {
    let text = text.trim_start().trim_start_matches(['*', '_', '`']);
    let first = text.chars().next()?.to_ascii_lowercase();
    let mut phrases = PHRASES.get(&first)?.iter();
    phrases.find_map(|(certainty, phrase)| Some((*certainty, after_phrase(text, phrase)?)))
}

/// The text after a phrase: `depends on`, `depends-on`, `DEPENDS_ON`, `dependsOn`.
fn after_phrase<'a>(text: &'a str, phrase: &str) -> Option<&'a str> {
    let mut rest = text;
    for (at, word) in phrase.split(' ').enumerate() {
        if at > 0 {
            rest = rest.strip_prefix([' ', '-', '_', '\u{a0}']).unwrap_or(rest);
        }
        let head = rest.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word))?;
        rest = &rest[head.len()..];
    }
    (!rest.starts_with(|c: char| c.is_ascii_alphanumeric())).then_some(rest)
}

/// Reads ids up to other text. Plain numbers count only if no other text follows: `needs 2
/// reviewers` is not task 2.
fn list(text: &str, phrase: Phrase) -> Statement {
    let mut needs = Vec::new();
    let mut rest = skip_joints(text);
    while let Some(taken) = ids::take_reference(rest) {
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
    let rest = !is_closed(rest);
    needs.retain(|need| match need {
        Need::One(id) | Need::Range(id, _) => ids::is_t(id) || (!rest && phrase != Phrase::Weak),
        Need::Title(_) => false,
    });
    Statement { needs, rest }
}

/// Whether a text is nothing but marks that close a list, with dots among them. It is read up to the first other
/// character only: each of the lists of a long line asks about all that follows.
fn is_closed(text: &str) -> bool {
    const CLOSING: [char; 11] = [' ', '\t', ')', ']', '*', '_', '`', '"', '\'', '”', '’'];
    let dots = text.trim_start_matches(CLOSING).trim_start_matches(['.', '。']);
    dots.trim_start_matches(CLOSING).is_empty()
}

fn range_end(rest: &str) -> Option<ids::Taken<'_>> {
    let trimmed = rest.trim_start();
    let joint = ["–", "—", "-", "~", "..", "through ", "to "];
    let after = joint.iter().find_map(|joint| trimmed.strip_prefix(joint))?;
    ids::take_reference(after.trim_start())
}

/// `T001 (the models), T002`
fn skip_remark(rest: &str) -> &str {
    let Some(inner) = rest.trim_start().strip_prefix('(') else { return rest };
    let end = inner.bytes().take(LONGEST_REMARK).position(|byte| byte == b')');
    end.map_or(rest, |end| &inner[end + 1..])
}

fn skip_joints(text: &str) -> &str {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches([
            ' ', '\t', ',', ';', ':', '&', '+', '/', '、', '，', '：', '*', '_', '`', '[', ']',
            '"', '\'', '“', '”', '‘', '’', '=', '→', '—', '–',
        ]);
        let word = ["and ", "or ", "then ", "on ", "both ", "either ", "all of "]
            .iter()
            .find_map(|w| trimmed.strip_prefix(w));
        match word {
            Some(after) => rest = after,
            None => return trimmed,
        }
    }
}
