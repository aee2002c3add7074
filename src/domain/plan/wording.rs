//! Titles and names as people confuse them: vague, nearly the same, misspelt.

use std::collections::{BTreeSet, HashMap};

/// The most capabilities among which near names are looked for.
const KNOWN_NAMES: usize = 2_000;
/// The most near names.
const NEAREST: usize = 3;
/// The largest number of changes between near names.
const CHANGES: usize = 3;
/// The most open tasks that one title is compared with.
const COMPARED: usize = 200;
/// Shared words of all words, in percent, from which titles are nearly the same.
const ALIKE: usize = 80;

/// Words that say nothing about the work, alone or together.
const VAGUE: &[&str] = &[
    "a",
    "add",
    "additional",
    "all",
    "an",
    "and",
    "any",
    "as",
    "assorted",
    "at",
    "be",
    "bit",
    "bits",
    "bug",
    "bugs",
    "change",
    "changes",
    "check",
    "clean",
    "cleanup",
    "code",
    "complete",
    "continue",
    "do",
    "done",
    "etc",
    "every",
    "everything",
    "few",
    "final",
    "finalise",
    "finalize",
    "finish",
    "first",
    "fix",
    "fixes",
    "follow",
    "for",
    "further",
    "general",
    "get",
    "goal",
    "handle",
    "implement",
    "implementation",
    "improve",
    "improvement",
    "improvements",
    "in",
    "is",
    "issue",
    "issues",
    "it",
    "item",
    "items",
    "job",
    "last",
    "main",
    "make",
    "minor",
    "misc",
    "miscellaneous",
    "more",
    "needed",
    "new",
    "next",
    "of",
    "on",
    "other",
    "others",
    "part",
    "perform",
    "phase",
    "polish",
    "problem",
    "problems",
    "project",
    "ready",
    "refactor",
    "remaining",
    "required",
    "rest",
    "round",
    "setup",
    "small",
    "some",
    "start",
    "step",
    "stuff",
    "subtask",
    "tasks",
    "task",
    "tbd",
    "that",
    "the",
    "thing",
    "things",
    "this",
    "tidy",
    "to",
    "todo",
    "up",
    "update",
    "updates",
    "various",
    "what",
    "whatever",
    "with",
    "work",
    "wrap",
];

/// Words that join others in a title.
const JOINING: &[&str] = &[
    "a", "an", "and", "as", "at", "by", "for", "from", "in", "into", "is", "of", "on", "or", "the",
    "to", "with",
];

/// Words of a task that checks the work of others.
const CHECKING: &[&str] = &[
    "acceptance",
    "audit",
    "benchmark",
    "check",
    "checks",
    "ci",
    "e2e",
    "inspect",
    "lint",
    "proofread",
    "qa",
    "review",
    "reviewer",
    "reviews",
    "test",
    "tester",
    "testing",
    "tests",
    "validate",
    "validation",
    "verification",
    "verify",
];

/// The words of a text: lower case, letters and digits.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// Whether a title says nothing about the work.
#[must_use]
pub fn is_vague(title: &str) -> bool {
    let number = |word: &str| word.chars().all(char::is_numeric);
    words(title).all(|word| {
        word.chars().count() == 1 && word.is_ascii()
            || number(&word)
            || VAGUE.contains(&word.as_str())
    })
}

/// Whether a title or capability speaks of checking the work of others.
#[must_use]
pub fn speaks_of_checking(text: &str) -> bool {
    words(text).any(|word| CHECKING.contains(&word.as_str()))
}

/// Whether a capability, or the begin of a title, means the review of others' work.
#[must_use]
pub fn means_review(text: &str) -> bool {
    words(text)
        .next()
        .is_some_and(|word| matches!(word.as_str(), "review" | "reviewer" | "reviews"))
}

/// The names that `name` is most likely meant to be, nearest first; at most three.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let whole: BTreeSet<String> = words(name).collect();
    let mut near: Vec<(usize, &str)> = known
        .take(KNOWN_NAMES)
        .filter_map(|other| {
            let most = CHANGES.min(name.chars().count().max(other.chars().count()).div_ceil(3));
            let changes = distance(name, other, most);
            // `review` and `review:security` share a word.
            let shares = || words(other).any(|word| word.len() > 2 && whole.contains(&word));
            changes.or_else(|| shares().then_some(CHANGES + 1)).map(|changes| (changes, other))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().take(NEAREST).map(|(_, name)| name).collect()
}

/// The number of letters to insert, delete, replace or swap with their neighbour; `None` beyond `most`.
fn distance(from: &str, to: &str, most: usize) -> Option<usize> {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    if from.len().abs_diff(to.len()) > most {
        return None;
    }
    // Only the places that `most` changes can reach are counted; the others are beyond it.
    let beyond = most + 1;
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.iter().enumerate() {
        let mut next = vec![beyond; row.len()];
        next[0] = line + 1;
        let (first, last) = (line.saturating_sub(most), (line + most + 1).min(to.len()));
        for (column, other) in to.iter().enumerate().take(last).skip(first) {
            let replaced = row[column] + usize::from(letter != other);
            let mut least = replaced.min(row[column + 1] + 1).min(next[column] + 1);
            let swapped =
                line > 0 && column > 0 && *letter == to[column - 1] && from[line - 1] == *other;
            if swapped {
                least = least.min(before[column - 1] + 1);
            }
            next[column + 1] = least;
        }
        if next.iter().min().is_none_or(|least| *least > most) {
            return None;
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().filter(|changes| *changes <= most)
}

/// Titles that others are compared with.
#[derive(Debug)]
pub struct Titles {
    /// The words of each title, as numbers.
    sets: Vec<Vec<usize>>,
    /// The number of each word.
    numbers: HashMap<String, usize>,
    /// The titles that have a word.
    having: Vec<Vec<usize>>,
    /// Of each word and title, the last comparison that had it.
    asked: Vec<usize>,
    seen: Vec<usize>,
    comparison: usize,
}

impl Titles {
    /// Titles in their order.
    pub fn new<'a>(titles: impl IntoIterator<Item = &'a str>) -> Self {
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let mut having: Vec<Vec<usize>> = Vec::new();
        let set = |(index, title): (usize, &str)| {
            let words = telling(title).into_iter().map(|word| {
                let next = numbers.len();
                let number = *numbers.entry(word).or_insert(next);
                if number == having.len() {
                    having.push(Vec::new());
                }
                having[number].push(index);
                number
            });
            words.collect()
        };
        let sets: Vec<Vec<usize>> = titles.into_iter().enumerate().map(set).collect();
        let (asked, seen) = (vec![0; numbers.len()], vec![0; sets.len()]);
        Self { sets, numbers, having, asked, seen, comparison: 0 }
    }

    /// The title that is nearly the same as this one, if one is: they share four words of five. Word order,
    /// case and joining words do not count. At most 200 titles are compared, those with the rarest words
    /// first.
    #[must_use]
    pub fn like(&mut self, title: &str) -> Option<usize> {
        let words = telling(title);
        if words.is_empty() {
            return None;
        }
        self.comparison += 1;
        let now = self.comparison;
        let mut known: Vec<usize> =
            words.iter().filter_map(|word| self.numbers.get(word)).copied().collect();
        for word in &known {
            self.asked[*word] = now;
        }
        known.sort_by_key(|word| self.having[*word].len());
        // Words that no title has come first. What shares four words of five has one of the first fifth.
        let unknown = words.len() - known.len();
        let fifth = words.len() - (words.len() * ALIKE).div_ceil(100) + 1;
        let mut best: Option<(usize, usize)> = None;
        let mut compared = 0;
        for index in
            known.iter().take(fifth.saturating_sub(unknown)).flat_map(|word| &self.having[*word])
        {
            if std::mem::replace(&mut self.seen[*index], now) == now {
                continue;
            }
            if compared == COMPARED {
                break;
            }
            compared += 1;
            let other = &self.sets[*index];
            let shared = other.iter().filter(|word| self.asked[**word] == now).count();
            let all = words.len() + other.len() - shared;
            if shared * 100 >= all * ALIKE {
                let found = (usize::MAX - shared * 100 / all, *index);
                best = Some(best.map_or(found, |best| best.min(found)));
            }
        }
        best.map(|(_, index)| index)
    }
}

/// The words of a title that tell it from others.
fn telling(title: &str) -> BTreeSet<String> {
    let all: BTreeSet<String> = words(title).take(100).collect();
    let told: BTreeSet<String> =
        all.iter().filter(|word| !JOINING.contains(&word.as_str())).cloned().collect();
    if told.is_empty() { all } else { told }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_title_is_vague_if_no_word_says_what_the_work_is() {
        for title in [
            "Fix it",
            "TODO",
            "Various changes",
            "Task 3",
            "Step 2: do the rest",
            "misc.",
            "???",
            "Implement",
        ] {
            assert!(is_vague(title), "{title}");
        }
        for title in [
            "Fix the login",
            "Write the schema",
            "mProject_ID0000001",
            "Деплой",
            "Test it",
            "Review",
            "建立資料庫",
        ] {
            assert!(!is_vague(title), "{title}");
        }
    }

    #[test]
    fn the_nearest_names_come_first() {
        let known = ["go", "python", "review:security", "rust", "tests", "trust"];
        let near = |name: &str| nearest(name, known.iter().copied());
        assert_eq!(near("rsut"), ["rust", "trust"]);
        assert_eq!(near("pyhton3"), ["python"]);
        assert_eq!(near("review"), ["review:security"]);
        assert!(near("kubernetes").is_empty());
        assert!(near("").is_empty() && nearest("x", std::iter::empty()).is_empty());
    }

    #[test]
    fn nearly_the_same_title_is_found() {
        let mut titles = Titles::new(["Write the importer tests", "Add a login page", "", "Fix"]);
        assert_eq!(titles.like("write tests for the importer"), Some(0));
        assert_eq!(titles.like("Add the login page!"), Some(1));
        assert_eq!(titles.like("Add a logout page"), None);
        assert_eq!(titles.like(""), None);
        assert_eq!(titles.like("fix"), Some(3));
    }

    #[test]
    fn what_reviews_is_known_by_its_first_word() {
        assert!(
            means_review("review:security")
                && means_review("Review the API")
                && means_review("reviewer")
        );
        assert!(!means_review("rust") && !means_review("Fix findings of the review"));
        assert!(
            speaks_of_checking("Run the test suite") && !speaks_of_checking("Write the importer")
        );
    }

    proptest! {
        #[test]
        fn a_distance_is_symmetric_and_zero_for_the_same(a in "[abc]{0,6}", b in "[abc]{0,6}") {
            prop_assert_eq!(distance(&a, &b, 9), distance(&b, &a, 9));
            prop_assert_eq!(distance(&a, &b, 9) == Some(0), a == b);
            let exact = distance(&a, &b, 9).unwrap_or(9);
            prop_assert_eq!(distance(&a, &b, 2).is_some(), exact <= 2);
        }

        /// Only the titles with rare words are compared, and none is missed by that.
        #[test]
        fn what_is_alike_is_found_among_all(
            titles in prop::collection::vec("([a-h] ){1,8}", 1..40), asked in "([a-j] ){1,8}",
        ) {
            let words = telling(&asked);
            let alike = |title: &String| {
                let other = telling(title);
                let shared = words.intersection(&other).count();
                shared * 100 >= words.union(&other).count() * ALIKE
            };
            let found = Titles::new(titles.iter().map(String::as_str)).like(&asked);
            prop_assert_eq!(found.is_some(), titles.iter().any(alike));
            prop_assert!(found.is_none_or(|index| alike(&titles[index])));
        }

        #[test]
        fn a_title_is_like_itself(titles in prop::collection::vec("[a-z ]{1,12}", 1..20), which in any::<prop::sample::Index>()) {
            let title = &titles[which.index(titles.len())];
            let found = Titles::new(titles.iter().map(String::as_str)).like(title);
            prop_assert_eq!(found.is_some(), words(title).next().is_some());
        }
    }
}
