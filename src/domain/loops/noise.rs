//! Noise: parts of a step that differ between equal steps, replaced by placeholders.
//!
//! Kept everywhere on purpose, because they show progress: plain numbers (`page=3`, `404`,
//! `7 of 9 passed`), dates without a time, hashes in results, names and paths.

use std::{borrow::Cow, sync::LazyLock};

use regex::Regex;
use serde_json::Number;

/// The placeholder for a time.
pub(super) const TIME: &str = "<time>";

/// A pattern and its placeholder.
type Rule = (&'static str, &'static str);

/// Terminal colours and control codes.
const TERMINAL: &[Rule] = &[
    (r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)", ""),
    (r"\x1b\[[0-9;?]*[A-Za-z]", ""),
    (r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", ""),
];

/// Generated names: temporary files of `mktemp`, Rust's libraries and macOS, and ids of tool calls.
const MADE_UP: &[Rule] = &[
    (r"/tmp\.[A-Za-z0-9]{10}\b", "/<tmp>"),
    (r"/\.tmp[A-Za-z0-9]{6}\b", "/<tmp>"),
    (r"/var/folders/[^/\s]+/[^/\s]+/[Tt]\b", "/<tmp>"),
    (r"\b(?:call_[A-Za-z0-9]{24}|toolu_01[A-Za-z0-9]{22})\b", "<call>"),
];

/// Volatile parts of program output.
const VOLATILE: &[Rule] = &[
    // The escape character may be lost or spelt out. Not in actions: `[5m]` is a range of a query.
    (r"(?:\\u001b|\\x1b|\\033|\\e)?\[(?:[0-9]{1,3}(?:;[0-9]{1,3})*)?m", ""),
    (r"/tmp[A-Za-z0-9_]{8}(/|\s|$)", "/<tmp>$1"),
    (r"/pytest-of-[^/\s]+/pytest-[0-9]+", "/<tmp>"),
    (
        r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?: ?(?:[Zz]|UTC|utc|[+-][0-9]{2}:?[0-9]{2}))?",
        TIME,
    ),
    (r"\b[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?\b", TIME),
    (r"\b1[0-9]{9}(?:[0-9]{3}|[0-9]{6}|[0-9]{9})?(?:\.[0-9]+)?\b", TIME),
    (r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b", "<uuid>"),
    (r"\b0x[0-9a-fA-F]{6,}\b", "<address>"),
    (
        r"\b(?:[0-9]+ ?h ?)?(?:[0-9]+ ?m(?:in)? ?)?[0-9]+(?:\.[0-9]+)? ?(?:ns|us|µs|ms|s|secs?|seconds?|milliseconds?)\b",
        "<duration>",
    ),
    (r"\b[0-9]+(?:\.[0-9]+)? (?:mins?|minutes?|hours?)\b", "<duration>"),
];

/// Volatile parts of errors, in lower case: positions in a file, process and request ids, retries.
const IN_ERRORS: &[Rule] = &[
    (r"\b(lines?|columns?|cols?|ln|offset|position|char)( |=|: ?)[0-9]+", "$1$2<n>"),
    // A file or a host: `status:404` is neither.
    (r"(\.[a-z0-9_]+|\blocalhost|\b(?:make|docker)file)(?::[0-9]+){1,2}\b", "$1:<n>"),
    (r"\([0-9]+, ?[0-9]+\)", "(<n>)"),
    (r"\b(pid|thread|worker|attempt|try|retry)( |=|: ?|#| #)[0-9]+\b", "$1$2<n>"),
    (r"(thread '[^']*') \([0-9]+\)", "$1 (<n>)"),
    (r"\b(request|trace|span|correlation)([ _-]id)( |=|: ?)[a-z0-9_-]+", "$1$2$3<id>"),
    (r"\b[0-9a-f]*[0-9][0-9a-f]{15,}\b", "<hex>"),
];

/// The most passes over a text: one rule may uncover a match of another.
const PASSES: usize = 8;

/// Compiled rules. A test checks that every pattern compiles.
pub(super) struct Rules(Vec<(Regex, &'static str)>);

impl Rules {
    fn new(lists: &[&[Rule]]) -> Self {
        let all = lists.iter().copied().flatten();
        let compiled =
            all.filter_map(|(pattern, stands)| Some((Regex::new(pattern).ok()?, *stands)));
        Self(compiled.collect())
    }

    fn pass(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (regex, stands)| {
            match regex.replace_all(&text, *stands) {
                Cow::Borrowed(_) => text,
                Cow::Owned(changed) => changed,
            }
        })
    }

    fn apply(&self, text: &str) -> String {
        let mut text = self.pass(text);
        for _ in 1..PASSES {
            let again = self.pass(&text);
            if again == text {
                break;
            }
            text = again;
        }
        text
    }
}

static ACTION: LazyLock<Rules> = LazyLock::new(|| Rules::new(&[TERMINAL, MADE_UP]));
static RESULT: LazyLock<Rules> = LazyLock::new(|| Rules::new(&[TERMINAL, MADE_UP, VOLATILE]));
static ERROR: LazyLock<Rules> =
    LazyLock::new(|| Rules::new(&[TERMINAL, MADE_UP, VOLATILE, IN_ERRORS]));

/// Cleans an argument of an action. White space is kept: an edit may consist of it.
pub(super) fn argument(text: &str) -> String {
    ACTION.apply(&text.replace("\r\n", "\n"))
}

/// Cleans an action given as text. In one line without quotes, white space is collapsed.
pub(super) fn command(text: &str) -> String {
    let text = argument(text);
    let text = text.trim();
    let plain = !text.contains(['\n', '"', '\'', '`', '\\']);
    if plain { collapse(text) } else { text.to_owned() }
}

/// Cleans a text of a result.
pub(super) fn result(text: &str) -> String {
    collapse(&RESULT.apply(&collapse(text)))
}

/// Cleans an error.
pub(super) fn error(text: &str) -> String {
    collapse(&ERROR.apply(&collapse(&text.to_lowercase())))
}

/// Whether a number is a time from 2001 to 2033, in (milli-, micro-, nano-) seconds since 1970.
pub(super) fn is_instant(number: &Number) -> bool {
    let Some(whole) = number.as_u64() else { return false };
    [1, 1_000, 1_000_000, 1_000_000_000]
        .iter()
        .any(|unit| (1_000_000_000..2_000_000_000).contains(&(whole / unit)))
}

fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
impl Rules {
    /// The number of rules that do not compile.
    pub(super) fn broken() -> usize {
        let lists = [TERMINAL, MADE_UP, VOLATILE, IN_ERRORS];
        lists.iter().map(|list| list.len()).sum::<usize>() - ERROR.0.len()
    }
}
