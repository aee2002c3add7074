//! Resources: what tasks touch, and when two of them conflict.
//!
//! A resource is a name: a path, a branch (`branch:main`), anything that a fleet agrees on. With `*` (any
//! characters but `/`), `**` (any characters) or `?` (one character but `/`) it is a pattern. Brackets and
//! braces are ordinary characters. A name without wildcards stands for itself and for all that is beneath it,
//! so `src/api` overlaps with `src/api/users.rs`, and with every pattern that matches something there. A
//! pattern stands for what it matches, and not for what is beneath that.
//!
//! [`overlap`] is conservative: it is never false for two resources that can name the same thing, and may be
//! true for two patterns that cannot. It compares what is fixed of them, in time linear in their length:
//!
//! - two names: equal, or one beneath the other;
//! - a name and a pattern: the pattern matches the name, where `*` may also cross a `/` if the pattern has a
//!   `**`; or as many parts of the pattern as the name has match it, and more parts follow. From the first `**` in
//!   them on anything may;
//! - two patterns: the text before the first wildcard of one begins with that of the other, the text behind the last
//!   one (without its `/` behind `**`) ends with that of the other, and there is a number of `/` that both allow. What
//!   is between the first and the last wildcard is not compared.
//!
//! The database has the same rule (`resources_overlap`), because the search of the claim skips tasks whose
//! resource is held.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::{check::Checks, settings, words::words};

words! {
    /// How a resource is held. `exclusive`: by one attempt; `shared`: by any number that share it.
    pub enum TouchMode {
        /// By one attempt.
        Exclusive => "exclusive",
        /// By any number of attempts that share it.
        Shared => "shared",
    }
}

fn exclusive() -> TouchMode {
    TouchMode::Exclusive
}

/// A resource that a task touches, or an attempt holds.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Touch {
    /// A path, a branch, or any other name; `*`, `**` and `?` are wildcards. Resources of goals of one
    /// project conflict with each other, and those of goals without a project.
    #[schema(example = "src/api/**", min_length = 1, max_length = 500)]
    pub resource: String,
    /// `exclusive` (the default): nobody else may hold an overlapping resource. `shared`: others may share it.
    #[serde(default = "exclusive")]
    pub mode: TouchMode,
}

impl Touch {
    /// Whether two attempts may not hold these at the same time.
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        let sharing = self.mode == TouchMode::Shared && other.mode == TouchMode::Shared;
        !sharing && overlap(&self.resource, &other.resource)
    }
}

/// Checks a list of touches; each resource is listed once.
pub fn check_touches(checks: &mut Checks, at: &str, touches: &[Touch]) {
    checks.count(at, touches.len(), settings::TASK_TOUCHES);
    let mut seen = BTreeSet::new();
    for (index, touch) in touches.iter().enumerate().take(settings::TASK_TOUCHES) {
        let at = format!("{at}/{index}/resource");
        check_resource(checks, &at, &touch.resource);
        checks.ensure(seen.insert(&touch.resource), &at, "is listed twice");
    }
}

/// Checks a resource. Two spellings of one path would not conflict, so a path has only one.
pub fn check_resource(checks: &mut Checks, at: &str, resource: &str) {
    checks.line(at, resource, settings::RESOURCE_CHARS);
    let plain = resource.trim() == resource && !resource.chars().any(char::is_control);
    checks.ensure(plain, at, "must not begin or end with a space, nor have control characters");
    let path = resource.strip_prefix('/').unwrap_or(resource);
    // The first slashes of a URL are no empty part of a path.
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let odd = path.split('/').any(|part| part.is_empty() || part == "." || part == "..");
    let detail = "must have no empty, `.` or `..` part, so that a path has one spelling; write a directory as \
                  `src/api/**`";
    checks.ensure(resource.trim().is_empty() || !odd, at, detail);
}

/// Whether two resources may name the same thing.
#[must_use]
pub fn overlap(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    match (Pattern::of(a), Pattern::of(b)) {
        (None, None) => is_beneath(a, b) || is_beneath(b, a),
        (Some(pattern), None) => pattern.may_cover(b),
        (None, Some(pattern)) => pattern.may_cover(a),
        (Some(one), Some(other)) => one.may_meet(&other),
    }
}

/// Whether `name` is below the directory `above`.
fn is_beneath(name: &str, above: &str) -> bool {
    name.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

fn slashes(text: &str) -> usize {
    text.matches('/').count()
}

const fn is_wildcard(c: char) -> bool {
    matches!(c, '*' | '?')
}

/// What is fixed of a pattern.
struct Pattern<'a> {
    text: &'a str,
    /// The text before the first wildcard.
    head: &'a str,
    /// The text behind the last one, without the `/` of a `**/` that may match nothing.
    tail: &'a str,
    /// Least number of `/` in what it matches.
    depth: usize,
    /// Whether that may have more.
    deep: bool,
}

impl<'a> Pattern<'a> {
    /// `None`: the text has no wildcard.
    fn of(text: &'a str) -> Option<Self> {
        let (first, last) = (text.find(is_wildcard)?, text.rfind(is_wildcard)?);
        let (until, tail) = text.split_at(last + 1);
        let tail =
            if until.ends_with("**") { tail.strip_prefix('/').unwrap_or(tail) } else { tail };
        Some(Self {
            text,
            head: &text[..first],
            tail,
            // `**/` may match nothing.
            depth: slashes(text) - text.matches("**/").count(),
            deep: text.contains("**"),
        })
    }

    /// Whether it may match a name, or something beneath it.
    fn may_cover(&self, name: &str) -> bool {
        let depth = self.deep || slashes(self.text) == slashes(name);
        depth && matches(self.text, name) || self.may_reach_beneath(name)
    }

    /// Whether it may match something beneath a name: its first parts, as many as the name has, match the name.
    fn may_reach_beneath(&self, name: &str) -> bool {
        let depth = slashes(name);
        let end = self.text.match_indices('/').nth(depth).map(|(end, _)| end);
        let front = &self.text[..end.unwrap_or(self.text.len())];
        match front.split_once("**") {
            // It may go on with anything.
            Some((fixed, _)) => matches(&format!("{fixed}*"), name),
            None => end.is_some() && matches(front, name),
        }
    }

    fn may_meet(&self, other: &Self) -> bool {
        let heads = self.head.starts_with(other.head) || other.head.starts_with(self.head);
        let tails = self.tail.ends_with(other.tail) || other.tail.ends_with(self.tail);
        let depths =
            (self.deep || other.depth <= self.depth) && (other.deep || self.depth <= other.depth);
        heads && tails && depths
    }
}

/// Whether the pattern matches the name if every wildcard may cross a `/`. At most as many steps as the product of
/// both lengths, which are bounded.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.replace("**/", "*").chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Behind the last `*`, and where what it stands for ends.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                p += 1;
                star = Some((p, n));
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            Some(_) | None => {
                let Some((behind, end)) = star else { return false };
                star = Some((behind, end + 1));
                (p, n) = (behind, end + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn resources_overlap_if_a_name_fits_both() {
        for (a, b) in [
            ("src/api", "src/api"),
            ("src/api", "src/api/users.rs"),
            ("src/api/**", "src/api"),
            ("src/api/**", "src/api/v1/users.rs"),
            ("src/*.rs", "src/main.rs"),
            ("src/**/mod.rs", "src/mod.rs"),
            ("src/**/mod.rs", "src/a/b/mod.rs"),
            ("src/**", "**/*.rs"),
            ("**", "branch:main"),
            ("a?c", "abc"),
            ("a*", "*c"),
            // A name stands for what is beneath it.
            ("src/api", "**/*.rs"),
            ("src/api", "src/*/users.rs"),
            ("src/api", "*/api/v?/**"),
            ("src/api", "s**.rs"),
            ("src/api", "*/*/users.rs"),
            // `**/` may match nothing.
            ("x?**/b", "*ab"),
            // Conservative: what is between the wildcards is not compared.
            ("crates/*/src/*", "crates/*/doc/*"),
        ] {
            assert!(overlap(a, b) && overlap(b, a), "{a} and {b}");
        }
        for (a, b) in [
            ("src/api", "src/apis"),
            ("src/api", "api"),
            ("a", "aa"),
            ("src/api/**", "src/app/**"),
            ("src/*.rs", "src/main.md"),
            ("src/*.rs", "src/a/main.rs"),
            ("src/*.rs", "src/*.md"),
            ("src/*", "src/*/*"),
            ("src/api", "*.rs"),
            ("src/api", "*/app/*.rs"),
            ("src/api", "src/app**"),
            ("branch:main", "branch:next"),
            ("a?c", "a/c"),
            ("app/[id].tsx", "app/i.tsx"),
        ] {
            assert!(!overlap(a, b) && !overlap(b, a), "{a} and {b}");
        }
    }

    #[test]
    fn a_path_has_one_spelling() {
        let refused = |resource: &str| {
            let mut checks = Checks::new();
            check_resource(&mut checks, "/r", resource);
            checks.finish().is_err()
        };
        for resource in ["", " ", "./a", "a/../b", "a//b", "a/", "a\nb", " a", "/"] {
            assert!(refused(resource), "{resource:?}");
        }
        for resource in ["a", "/srv/a", "branch:main", "https://example.com/a", "a/**", "*", "[id]"]
        {
            assert!(!refused(resource), "{resource:?}");
        }
    }

    /// The meaning of a pattern, written down as it is said: exponential, for short texts.
    fn covers(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', '*', '/', rest @ ..], _) if covers(rest, name) => true,
            (['*', '*', rest @ ..], _) => {
                covers(rest, name) || !name.is_empty() && covers(pattern, &name[1..])
            }
            (['*', rest @ ..], _) => {
                covers(rest, name)
                    || name.first().is_some_and(|c| *c != '/') && covers(pattern, &name[1..])
            }
            (['?', rest @ ..], [c, tail @ ..]) => *c != '/' && covers(rest, tail),
            ([a, rest @ ..], [b, tail @ ..]) => a == b && covers(rest, tail),
            ([..], []) | ([], [..]) => false,
        }
    }

    /// Whether a resource stands for a path: as a pattern, or as a name with what is beneath it.
    fn names(resource: &str, path: &str) -> bool {
        if resource.contains(is_wildcard) {
            covers(&chars(resource), &chars(path))
        } else {
            resource == path || is_beneath(path, resource)
        }
    }

    /// All paths of up to three parts of up to two characters, made of two.
    fn universe() -> &'static [String] {
        static PATHS: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
            let parts = ["a", "b", "aa", "ab", "ba", "bb"];
            let deeper = |paths: &[String]| -> Vec<String> {
                let under = |path: &String| parts.map(|part| format!("{path}/{part}"));
                paths.iter().flat_map(under).collect()
            };
            let one = parts.map(str::to_owned).to_vec();
            let two = deeper(&one);
            let three = deeper(&two);
            [one, two, three].concat()
        });
        &PATHS
    }

    fn chars(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    /// A pattern that matches `name`: parts of it become wildcards.
    fn pattern_of(name: &str, choices: &[u8]) -> String {
        let parts: Vec<&str> = name.split('/').collect();
        let mut pattern: Vec<String> = Vec::new();
        for (part, choice) in parts.iter().zip(choices.iter().cycle()) {
            match choice % 6 {
                0 => pattern.push("*".into()),
                1 => pattern.push("**".into()),
                2 => pattern.extend(["**".into(), (*part).to_owned()]),
                3 => pattern.push(format!("{}*", part.chars().next().unwrap_or('a'))),
                4 => pattern.push("?".repeat(part.chars().count())),
                _ => pattern.push((*part).to_owned()),
            }
        }
        pattern.join("/")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Nothing is missed: whatever two patterns both match makes them overlap.
        #[test]
        fn what_two_patterns_match_makes_them_overlap(
            name in "[ab]{1,3}(/[ab]{1,3}){0,4}",
            one in prop::collection::vec(any::<u8>(), 1..6),
            other in prop::collection::vec(any::<u8>(), 1..6),
        ) {
            let (a, b) = (pattern_of(&name, &one), pattern_of(&name, &other));
            prop_assert!(covers(&chars(&a), &chars(&name)), "{} does not match {}", a, name);
            prop_assert!(overlap(&a, &b), "{} and {} both match {}", a, b, name);
            prop_assert!(overlap(&a, &name) && overlap(&name, &a), "{} matches {}", a, name);
        }

        #[test]
        fn any_two_texts_are_compared_the_same_way_round(
            a in "[ab/*?]{0,10}", b in "[ab/*?]{0,10}", name in "[ab]{1,2}(/[ab]{1,2}){0,3}",
        ) {
            prop_assert_eq!(overlap(&a, &b), overlap(&b, &a));
            prop_assert!(overlap(&a, &a));
            let both = covers(&chars(&a), &chars(&name)) && covers(&chars(&b), &chars(&name));
            prop_assert!(!both || overlap(&a, &b), "{} and {} both match {}", a, b, name);
        }

        /// What a pattern matches beneath a name makes them overlap.
        #[test]
        fn a_name_stands_for_what_is_beneath_it(
            name in "[ab]{1,3}(/[ab]{1,3}){0,2}", beneath in "[ab]{1,3}(/[ab]{1,3}){0,2}",
            choices in prop::collection::vec(any::<u8>(), 1..6),
        ) {
            let below = format!("{name}/{beneath}");
            let pattern = pattern_of(&below, &choices);
            prop_assert!(covers(&chars(&pattern), &chars(&below)), "{} does not match {}", pattern, below);
            prop_assert!(overlap(&pattern, &name), "{} matches {}, which is beneath {}", pattern, below, name);
            prop_assert!(overlap(&name, &pattern));
        }

        /// Against all paths of a small universe: whatever both may name makes them overlap.
        #[test]
        fn nothing_of_a_small_universe_is_missed(a in "[ab/*?]{1,7}", b in "[ab/*?]{1,7}") {
            let both = universe().iter().find(|name| names(&a, name) && names(&b, name));
            prop_assert!(both.is_none() || overlap(&a, &b), "{} and {} both name {:?}", a, b, both);
        }

        /// With a name and a pattern of a fixed depth the rule is exact.
        #[test]
        fn a_name_and_a_flat_pattern_are_compared_exactly(
            pattern in "[ab*?]{1,2}(/[ab*?]{1,2}){0,2}", name in "[ab]{1,2}(/[ab]{1,2}){0,2}",
        ) {
            prop_assume!(!pattern.contains("**") && pattern.contains(['*', '?']));
            // `*` may match nothing: a part of nothing else is not in the universe.
            let exact = universe().iter().any(|path| names(&pattern, path) && names(&name, path));
            prop_assert_eq!(overlap(&pattern, &name), exact, "{} and {}", pattern, name);
        }

        #[test]
        fn no_text_panics_or_takes_long(a in ".{0,500}", b in "[*a?/]{0,500}") {
            let _ = (overlap(&a, &b), overlap(&b, &b));
        }
    }
}
