//! Refuses forms that ask a person for a secret.
//!
//! An answer is stored, visible to every reader of the approval, and sent to an agent; a password in it
//! is compromised. MCP forbids such forms too. Only the words of a form can be checked: this stops an
//! honest mistake, not an agent that asks for a secret in a field named `x`.
//!
//! Names are split into words (`apiKey`, `api_key` and `API-Key` are the same two), and whole words
//! are compared, so `author` and `pinned` pass. A word for a secret passes if its neighbours show that
//! the form asks about the secret, not for it: `token_count`, "Name of the secret", "How should a
//! password be reset?". A description often mentions more than it asks for; it is refused only if it
//! asks ("Enter the API key") or starts with the secret.
//!
//! Only text and numbers are checked. A boolean, a date, or a choice among the agent's own values
//! cannot hold a secret.

use super::{
    Field, Format,
    kind::Kind,
    vocabulary::{ABOUT, AFTER, ALONE, ASKING, BEGINNING, BETWEEN, NOT_ASKED, OF, OTHER, has},
};
use crate::domain::check::{Checks, pointer};

/// Refuses a field that asks for a secret.
pub(super) fn check_field(checks: &mut Checks, at: &str, name: &str, field: &Field) {
    if !may_hold_a_secret(field) {
        return;
    }
    if let Some(secret) = Words::of(name).find(Reading::Label) {
        return checks.add(at, refusal(&secret));
    }
    let title = field.title.as_deref().and_then(|title| Words::of(title).find(Reading::Label));
    if let Some(secret) = title {
        return checks.add(pointer(at, "title"), refusal(&secret));
    }
    if let Some(secret) = field.description.as_deref().and_then(asked_secret) {
        checks.add(pointer(at, "description"), refusal(&secret));
    }
}

/// The secret that a prose text asks for, if any. Also used for the body of an approval.
#[must_use]
pub fn asked_secret(prose: &str) -> Option<String> {
    let end = |c: char| matches!(c, '.' | '!' | '?' | ';' | '\n');
    prose.split(end).find_map(|sentence| Words::of(sentence).find(Reading::Prose))
}

fn refusal(secret: &str) -> String {
    format!(
        "asks for a secret (`{secret}`), and answers are stored and shown; ask where the secret is \
         stored, and read it there"
    )
}

fn may_hold_a_secret(field: &Field) -> bool {
    match field.asks() {
        Kind::Text { format: Some(Format::Date | Format::DateTime), .. } => false,
        Kind::Text { format: None | Some(Format::Email | Format::Uri), .. } => true,
        Kind::Number(_) | Kind::Integer(_) => true,
        Kind::Boolean | Kind::One { .. } | Kind::Some { .. } => false,
    }
}

/// The kind of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// A name or title: it names what the field asks for.
    Label,
    /// A sentence: it may mention other things.
    Prose,
}

/// The words of a text, in lower case and as written.
struct Words {
    lower: Vec<String>,
    written: Vec<String>,
}

impl Words {
    fn of(text: &str) -> Self {
        let written: Vec<String> = text.split(separates).flat_map(humps).collect();
        let lower = written.iter().map(|word| word.to_lowercase()).collect();
        Self { lower, written }
    }

    fn find(&self, reading: Reading) -> Option<String> {
        (0..self.lower.len()).find_map(|at| {
            let start = self.secret_that_ends(at, reading)?;
            let asked = !self.is_about(start, at) && self.is_asked(start, reading);
            asked.then(|| self.lower[start..=at].join(" "))
        })
    }

    /// The index of the first word of the secret whose last word is at `at`.
    fn secret_that_ends(&self, at: usize, reading: Reading) -> Option<usize> {
        let word = self.lower[at].as_str();
        let before = at.checked_sub(1).map(|before| self.lower[before].as_str());
        let is_pair = |(last, first): &(&str, &str)| {
            is_form_of(word, last) && before.is_some_and(|before| has(first, before))
        };
        if AFTER.iter().any(is_pair) {
            return at.checked_sub(1);
        }
        if OTHER.iter().any(is_pair) {
            return None;
        }
        let alone = ALONE.split(' ').any(|secret| is_form_of(word, secret));
        // Models count tokens, in the plural; a single token is a secret.
        (alone || word == "token" || self.is_pin(at, reading)).then_some(at)
    }

    /// `pin` has other meanings: the secret is `PIN` in capitals, or the last word of a label.
    fn is_pin(&self, at: usize, reading: Reading) -> bool {
        let ends = at + 1 == self.lower.len();
        let capitals = self.written[at] == "PIN";
        self.lower[at] == "pin" && (capitals || (ends && reading == Reading::Label))
    }

    /// Whether the text asks about the secret and not for it.
    fn is_about(&self, start: usize, end: usize) -> bool {
        let next = self.lower.get(end + 1).map(String::as_str);
        next.is_some_and(|next| has(ABOUT, next)) || self.is_of(start, end)
    }

    /// "Name of the secret", "cost per API token".
    fn is_of(&self, start: usize, end: usize) -> bool {
        let earliest = start.saturating_sub(BETWEEN + 1);
        (earliest..start).any(|at| match self.lower[at].as_str() {
            "per" => true,
            "of" | "for" | "in" => at.checked_sub(1).is_some_and(|head| {
                let head = self.lower[head].as_str();
                has(OF, head) && (head != "number" || self.lower[end].ends_with('s'))
            }),
            _ => false,
        })
    }

    fn is_asked(&self, start: usize, reading: Reading) -> bool {
        let before = &self.lower[..start];
        if before.iter().any(|word| has(NOT_ASKED, word)) {
            return false;
        }
        match reading {
            Reading::Label => true,
            Reading::Prose => start < BEGINNING || before.iter().any(|word| has(ASKING, word)),
        }
    }
}

fn separates(c: char) -> bool {
    !c.is_alphanumeric() && !matches!(c, '\'' | '’')
}

/// Whether `word` is `secret`, its plural, or a numbered one: `keys`, `password1`.
fn is_form_of(word: &str, secret: &str) -> bool {
    let bare = word.trim_end_matches(|c: char| c.is_ascii_digit());
    [word, bare].into_iter().any(|word| word == secret || word.strip_suffix('s') == Some(secret))
}

/// The words of an identifier: `dbPassword` and `APIKey` have two each.
fn humps(run: &str) -> Vec<String> {
    let chars: Vec<char> = run.chars().collect();
    let mut words = vec![String::new()];
    for (at, &c) in chars.iter().enumerate() {
        let upper_after_lower = at > 0 && c.is_uppercase() && !chars[at - 1].is_uppercase();
        let last_of_capitals = at > 0
            && c.is_uppercase()
            && chars.get(at + 1).is_some_and(|next| next.is_lowercase())
            && chars.get(at + 1..) != Some(&['s']);
        if upper_after_lower || last_of_capitals {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
