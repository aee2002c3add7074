//! What remarks of a document say about its stories and phases.

use super::words;

/// A story or phase by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit {
    Story(u32),
    Phase(&'static str, u32),
}

/// What one line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Whether it says that its subjects are independent.
    pub parallel: bool,
    /// Whether it speaks of all stories.
    pub stories: bool,
    /// Whether it calls one story independent of the others.
    pub alone: bool,
    pub subjects: Vec<Unit>,
    /// Units that the subjects need.
    pub needs: Vec<Unit>,
    /// The phase after which they start, as written.
    pub after: Option<String>,
}

const PARALLEL: [&str; 6] = [
    "in parallel",
    "run parallel",
    "concurrently",
    "simultaneously",
    "parallel with",
    "side by side",
];
const INDEPENDENT: [&str; 12] = [
    "independently testable",
    "independently completable",
    "independently implementable",
    "independently deliverable",
    "independently shippable",
    "independent of each other",
    "independent of one another",
    "independent of other",
    "are independent",
    "is independent",
    "no dependencies on other",
    "no dependency on other",
];
const NEEDS: [&str; 8] = [
    "depends on ",
    "depend on ",
    "requires ",
    "builds on ",
    "blocked by ",
    "after ",
    "needs ",
    "following ",
];

/// Reads a line; `None` if it says nothing about the order of stories or phases.
pub(super) fn read(text: &str) -> Option<Said> {
    let text = text.to_lowercase().replace(['*', '_', '`'], "");
    let first = |list: &[&str]| list.iter().filter_map(|phrase| text.find(phrase)).min();
    let (together, apart) = (first(&PARALLEL), first(&INDEPENDENT));
    let mut said = Said { needs: needed(&text), ..Said::default() };
    let verb = [together, apart, first(&NEEDS), text.find("can start"), text.find("must ")];
    let verb = verb.into_iter().flatten().min()?;
    said.subjects = units(&text[..verb]);
    let claim = [together, apart].into_iter().flatten().min();
    said.parallel = claim.is_some_and(|claim| !is_denied(&text[..claim]));
    if said.parallel {
        let partners = text.find("parallel with ").map(|at| leading(&text[at + 14..]));
        let own: Vec<Unit> = said.subjects.clone();
        said.subjects.extend(partners.clone().unwrap_or_default());
        let phases_only = own.iter().all(|unit| matches!(unit, Unit::Phase(..)));
        said.stories = phases_only && speaks_of_stories(&text, apart.is_some());
        if said.stories {
            // `User Stories (Phase 3+)`
            said.subjects.clear();
        }
        let alone = names_one(&own) && partners.is_none_or(|partners| partners.is_empty());
        said.alone = alone;
        said.after = after(&text);
    }
    let useful = said.parallel && (said.stories || !said.subjects.is_empty());
    (useful || (!said.needs.is_empty() && !said.subjects.is_empty())).then_some(said)
}

/// `US1 (Phase 3)` is one story with two names.
fn names_one(units: &[Unit]) -> bool {
    let count =
        |story: bool| units.iter().filter(|unit| matches!(unit, Unit::Story(_)) == story).count();
    count(true) == 1 && count(false) <= 1
}

fn is_denied(text: &str) -> bool {
    let sentence = text.rsplit(['.', ';', '!']).next().unwrap_or(text);
    ["not ", "n't ", "cannot ", "never ", "no stories", "neither "]
        .iter()
        .any(|word| sentence.contains(word))
}

/// Whether a line is about all stories, and not about something inside them.
fn speaks_of_stories(text: &str, each: bool) -> bool {
    if ["story implementation", "story work", "story phases"].iter().any(|w| text.contains(w)) {
        return true;
    }
    if each
        && ["each user story", "each story", "every story", "every user story"]
            .iter()
            .any(|w| text.contains(w))
    {
        return true;
    }
    let Some(at) = text.find("stories") else { return false };
    const SKIPPED: [&str; 8] =
        ["user", "all", "different", "the", "these", "other", "multiple", "both"];
    const INSIDE: [&str; 6] = ["for", "within", "of", "in", "across", "per"];
    let before = text[..at].split_whitespace().rev().find(|word| !SKIPPED.contains(word));
    before.is_none_or(|word| !INSIDE.contains(&word))
}

/// The units named right after a phrase such as `depends on`.
fn needed(text: &str) -> Vec<Unit> {
    let mut found = Vec::new();
    for phrase in NEEDS {
        for (at, _) in text.match_indices(phrase) {
            found.extend(leading(&text[at + phrase.len()..]));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The units at the start of a text: `us1 and us2, …`.
fn leading(text: &str) -> Vec<Unit> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((unit, after)) = unit_at(rest) {
        found.push(unit);
        let next = after.trim_start_matches([' ', ',', '/', '&', '+']);
        rest = next.strip_prefix("and ").unwrap_or(next);
    }
    found
}

/// All units that a text names.
fn units(text: &str) -> Vec<Unit> {
    let starts = text.char_indices().filter(|(at, _)| {
        text[..*at].chars().next_back().is_none_or(|before| !before.is_alphanumeric())
    });
    let mut found: Vec<Unit> =
        starts.filter_map(|(at, _)| unit_at(&text[at..])).map(|(unit, _)| unit).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The stories and phases that a heading names.
pub(super) fn units_of_title(title: &str) -> Vec<Unit> {
    units(&title.to_lowercase())
}

fn unit_at(text: &str) -> Option<(Unit, &str)> {
    if !text.starts_with(char::is_alphanumeric) {
        return None;
    }
    if let Some((phase, rest)) = words::phase(text) {
        return Some((Unit::Phase(phase.0, phase.1), rest));
    }
    let rest = ["user story", "story", "us"].iter().find_map(|word| text.strip_prefix(word))?;
    let rest = rest.trim_start_matches([' ', '-', '#']);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let number = rest[..digits].parse().ok()?;
    Some((Unit::Story(number), &rest[digits..]))
}

/// The text after `after` or `once`, which may name a phase.
fn after(text: &str) -> Option<String> {
    let at =
        ["after ", "once "].iter().filter_map(|word| Some((text.find(word)?, word.len()))).min();
    let (at, length) = at?;
    Some(first_name(&text[at + length..]).chars().take(80).collect())
}

/// A text up to the end of its first name, or of the names joined by `and`: what follows
/// `Foundational (Phase 2) - may integrate with US1` speaks of something else.
fn first_name(text: &str) -> &str {
    const ENDS: [&str; 10] = [" - ", " – ", " — ", ",", ";", ". ", ":", " but ", " may ", " if "];
    let end = ENDS.iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    let bracket = text[..end].match_indices(')').find(|(at, _)| {
        let rest = text[at + 1..end].trim_start();
        !["and ", "& ", "+ ", "/"].iter().any(|joint| rest.starts_with(joint))
    });
    bracket.map_or(&text[..end], |(at, _)| &text[..=at])
}

/// The name in front of `phase`, or up to punctuation: `the setup phase` is `setup`.
pub(super) fn phase_words(text: &str) -> String {
    let text = text.trim_start_matches("the ").trim_start_matches("all ");
    let end = [" phase", " (", ",", ".", ";", ":", " is ", " has ", " complet", " - ", " –", " —"]
        .iter()
        .filter_map(|mark| text.find(mark))
        .min();
    text[..end.unwrap_or(text.len())].trim().to_owned()
}
