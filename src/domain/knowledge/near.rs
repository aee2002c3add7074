//! Duplicates and contradictions.
//!
//! Three steps, from the cheapest to the most exact:
//!
//! 1. **Fingerprint**: equal for texts that differ only in case and white space.
//! 2. **Bands**: two texts that have one band in common are worth a comparison. 64 MinHashes (Broder, *On the
//!    resemblance and containment of documents*, 1997) in 16 bands of 4: of pairs with a resemblance of 0.7, about 99 %
//!    share a band, of those with 0.2 about 3 %.
//! 3. **Resemblance**: the exact Jaccard index of two sets of words; from [`NEAR`] on, two texts are near duplicates.
//!
//! Bands and resemblance leave out what the service itself writes into every digest ([`digest::matter`]).
//!
//! All of them are stored or compared across versions of the service: the hashes are written out here and never
//! depend on a library, a platform or a run.
//!
//! [`contradicts`] is a heuristic. It leads to a link between two lessons that somebody may look at. It decides
//! nothing.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::digest;

/// Least resemblance of near duplicates.
pub const NEAR: f64 = 0.7;
/// Bands of a text.
const BANDS: usize = 16;
/// MinHashes of a band.
const ROWS: usize = 4;
/// Least share of content words of two statements about the same thing.
const SAME_THING: f64 = 0.75;
/// Least content words of a statement that is compared.
const CONTENT_LEAST: usize = 2;
/// Statements of a text that are compared; the first ones count.
const STATEMENTS: usize = 40;

/// SHA-256 of title and body without regard to case and to the amount and kind of white space.
#[must_use]
pub fn fingerprint(title: &str, body: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(folded(title));
    // A folded text holds no line break, so that title and body cannot flow into one another.
    digest.update("\n");
    digest.update(folded(body));
    digest.finalize().into()
}

/// The bands of a text, sorted, without repetition; none if it has no word.
#[must_use]
pub fn bands(title: &str, body: &str) -> Vec<i64> {
    let words = Words::of(title, body);
    if words.0.is_empty() {
        return Vec::new();
    }
    let least = min_hashes(&words.0);
    let mut bands: Vec<i64> = (0u64..)
        .zip(least.chunks_exact(ROWS))
        .map(|(index, rows)| {
            // With its number, a band equals no other band of another text by chance of position.
            rows.iter()
                .fold(mixed(index), |band, row| mixed(band.rotate_left(5) ^ row))
                .cast_signed()
        })
        .collect();
    bands.sort_unstable();
    bands.dedup();
    bands
}

/// What two texts are compared by: hashes of their pairs of neighbouring words, and of the single words of the title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(BTreeSet<u64>);

impl Words {
    /// The words of a title and a body.
    #[must_use]
    pub fn of(title: &str, body: &str) -> Self {
        let hashes = |text: &str| {
            let mut hashes = Vec::new();
            each_word(text, |word| hashes.push(hashed(word)));
            hashes
        };
        let title = hashes(title);
        let body = hashes(&digest::matter(body));
        let pairs = |text: &[u64]| -> Vec<u64> {
            text.windows(2).map(|pair| pair.iter().fold(0, |sum, word| mixed(sum ^ word))).collect()
        };
        // One word has no neighbour.
        let lone = (body.len() == 1).then_some(&body).into_iter().flatten().copied();
        let mut all = title.clone();
        all.extend(lone);
        all.extend(pairs(&title));
        all.extend(pairs(&body));
        // A set is built faster from all of its hashes than one by one.
        Self(BTreeSet::from_iter(all))
    }

    /// The hashes.
    #[must_use]
    pub fn into_hashes(self) -> BTreeSet<u64> {
        self.0
    }
}

/// Jaccard index of two texts, from 0 to 1: the share of what both have in all that one of them has. 0 if neither has
/// a word.
#[must_use]
pub fn resemblance(a: &Words, b: &Words) -> f64 {
    jaccard(&a.0, &b.0)
}

/// Whether two lessons, each a title and a body, seem to say opposites of the same thing.
///
/// A statement is a title, or a sentence or line of a body. Two statements are about the same thing if they share
/// three quarters of their words, negations and function words aside. They are opposites if exactly one of them is
/// negated (*never*, *don't*, *avoid*, *disable* against *enable*; two negations cancel each other), or if one
/// prefers what the other shuns (*A instead of B* and *B instead of A*). Statements that the other text also makes as
/// they stand do not count. The order of the two does not matter.
#[must_use]
pub fn contradicts(one: (&str, &str), other: (&str, &str)) -> bool {
    let one = statements(one);
    let other = statements(other);
    let unshared = |statement: &Statement, among: &[Statement]| {
        among.iter().all(|it| relation(statement, it) != Some(Relation::Agrees))
    };
    one.iter().filter(|it| unshared(it, &other)).any(|statement| {
        other
            .iter()
            .any(|it| relation(statement, it) == Some(Relation::Opposes) && unshared(it, &one))
    })
}

/// Lower case, with single spaces.
fn folded(text: &str) -> String {
    let lower = text.to_lowercase();
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of a text.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    each_word(text, |word| words.push(word.to_owned()));
    words
}

/// Visits the words of a text, in lower case. Scripts without spaces give one word a character. An apostrophe does not
/// separate: `don't` is `dont`.
fn each_word(text: &str, mut visit: impl FnMut(&str)) {
    let mut word = String::new();
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() || letter == '_' {
            word.push(letter.to_ascii_lowercase());
        } else if unspaced(letter) {
            end_word(&mut word, &mut visit);
            word.push(letter);
            end_word(&mut word, &mut visit);
        } else if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        } else if !matches!(letter, '\'' | '\u{2019}') {
            end_word(&mut word, &mut visit);
        }
    }
    end_word(&mut word, &mut visit);
}

fn end_word(word: &mut String, visit: &mut impl FnMut(&str)) {
    if !word.is_empty() {
        visit(word);
        word.clear();
    }
}

/// Letters of scripts that put no space between words: Thai to Khmer, kana, ideographs.
fn unspaced(letter: char) -> bool {
    matches!(
        letter,
        '\u{0e01}'..='\u{0eff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{3041}'..='\u{30ff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

/// FNV-1a of 64 bits, mixed.
fn hashed(word: &str) -> u64 {
    let fnv = word.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mixed(fnv)
}

/// One step of SplitMix64 (Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, 2014).
const fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// An odd factor for each permutation.
static FACTORS: [u64; BANDS * ROWS] = {
    let mut factors = [0; BANDS * ROWS];
    let mut state = 0;
    let mut index = 0;
    while index < factors.len() {
        state = mixed(state);
        factors[index] = state | 1;
        index += 1;
    }
    factors
};

/// The least of the hashes under each of the permutations.
///
/// The hashes are mixed already. So a multiplication is enough of a permutation, after an exclusive or that keeps two
/// factors near each other from the same order.
fn min_hashes(hashes: &BTreeSet<u64>) -> [u64; BANDS * ROWS] {
    let mut least = [u64::MAX; BANDS * ROWS];
    for hash in hashes {
        for (slot, factor) in least.iter_mut().zip(&FACTORS) {
            *slot = (*slot).min((hash ^ (factor >> 1)).wrapping_mul(*factor));
        }
    }
    least
}

fn jaccard<T: Ord>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> f64 {
    let shared = a.intersection(b).count();
    let all = a.len() + b.len() - shared;
    if all == 0 {
        return 0.0;
    }
    shared as f64 / all as f64
}

/// A sentence by what it is about and whether it affirms.
struct Statement {
    content: BTreeSet<String>,
    /// Words behind `instead of` or `rather than`.
    shunned: BTreeSet<String>,
    negated: bool,
}

/// What two statements about the same thing are to each other.
#[derive(PartialEq, Eq)]
enum Relation {
    Agrees,
    Opposes,
}

/// `None`: they are about different things.
fn relation(a: &Statement, b: &Statement) -> Option<Relation> {
    if jaccard(&a.content, &b.content) < SAME_THING || a.shunned.is_empty() != b.shunned.is_empty()
    {
        return None;
    }
    let swapped = !a.shunned.is_empty() && a.shunned.is_disjoint(&b.shunned);
    if (a.negated != b.negated) == swapped {
        Some(Relation::Agrees)
    } else {
        Some(Relation::Opposes)
    }
}

fn statements((title, body): (&str, &str)) -> Vec<Statement> {
    let sentences = body.split(['\n', '\r']).flat_map(sentences);
    std::iter::once(title)
        .chain(sentences)
        .map(statement)
        .filter(|it| it.content.len() >= CONTENT_LEAST)
        .take(STATEMENTS)
        .collect()
}

/// The sentences of a line: `;` ends one, and so does a full stop before a space, which leaves `a.rs` whole.
fn sentences(line: &str) -> impl Iterator<Item = &str> {
    line.split_inclusive(' ')
        .scan(0usize, |end, piece| {
            *end += piece.len();
            Some((*end, piece))
        })
        .filter(|(_, piece)| piece.trim_end_matches(' ').ends_with(['.', '!', '?', ';']))
        .map(|(end, _)| end)
        .chain(std::iter::once(line.len()))
        .scan(0usize, move |start, end| {
            let sentence = line.get(*start..end);
            *start = end;
            sentence
        })
}

fn statement(sentence: &str) -> Statement {
    let mut it = Statement { content: BTreeSet::new(), shunned: BTreeSet::new(), negated: false };
    let mut behind = false;
    let words = split(sentence);
    for (index, word) in words.iter().enumerate() {
        let next = words.get(index + 1).map(String::as_str);
        behind |=
            matches!((word.as_str(), next), ("instead", Some("of")) | ("rather", Some("than")));
        let Some((meaning, flips)) = meaning(word) else {
            continue;
        };
        it.negated ^= flips;
        if meaning.is_empty() {
            continue;
        }
        it.content.insert(meaning.to_owned());
        if behind {
            it.shunned.insert(meaning.to_owned());
        }
    }
    it
}

/// What a word is about, empty for a mere negation, and whether it negates; `None` for a function word.
fn meaning(word: &str) -> Option<(&str, bool)> {
    let it = match word {
        "never" | "not" | "no" | "dont" | "doesnt" | "didnt" | "isnt" | "arent" | "cannot"
        | "cant" | "couldnt" | "wont" | "wouldnt" | "mustnt" | "shouldnt" | "neednt" | "avoid"
        | "avoids" | "avoiding" | "forget" | "without" => ("", true),
        "disable" | "disables" => ("enable", true),
        "enables" => ("enable", false),
        "disabled" => ("enabled", true),
        "deny" | "forbid" => ("allow", true),
        "denied" | "forbidden" => ("allowed", true),
        "unsafe" => ("safe", true),
        "false" => ("true", true),
        "off" => ("on", true),
        "slower" => ("faster", true),
        "decrease" => ("increase", true),
        "on" => ("on", false),
        "a" | "an" | "the" | "always" | "must" | "should" | "shall" | "can" | "could" | "will"
        | "would" | "may" | "might" | "do" | "does" | "did" | "is" | "are" | "be" | "was"
        | "were" | "it" | "its" | "this" | "that" | "you" | "we" | "to" | "of" | "and" | "in"
        | "for" | "with" | "instead" | "rather" | "than" | "please" | "use" | "using"
        | "prefer" => {
            return None;
        }
        other => (other, false),
    };
    Some(it)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TITLE: &str = "Migrations need a lock timeout";
    const BODY: &str = "Set lock_timeout to five seconds before ALTER TABLE runs on a busy table. Otherwise the \
        statement waits behind a long transaction and every later query waits behind the statement. Try again with \
        a pause of one minute until it succeeds, and report the number of attempts at the end of the run.";

    #[test]
    fn a_fingerprint_ignores_case_and_white_space_only() {
        let it = fingerprint("A title", "one two\n\nthree");
        assert_eq!(it, fingerprint(" a  TITLE ", "One\ttwo three\r\n"));
        assert_ne!(it, fingerprint("A title", "one two four"));
        assert_ne!(it, fingerprint("A title one", "two three"));
        assert_ne!(fingerprint("x", "a == b"), fingerprint("x", "a != b"));
    }

    #[test]
    fn bands_do_not_change_between_versions() {
        let it = bands("Lock timeout", "Set it first");
        assert_eq!(it.len(), BANDS);
        assert_eq!(it.iter().fold(0i64, |sum, band| sum.wrapping_add(*band)), STORED);
    }

    /// Sum of the bands of a text: changes only with a migration that computes all stored bands again.
    const STORED: i64 = -8_664_827_834_953_353_597;

    #[test]
    fn one_changed_word_leaves_a_near_duplicate_with_a_common_band() {
        let changed = BODY.replace("five", "ten");
        let likeness = resemblance(&Words::of(TITLE, BODY), &Words::of(TITLE, &changed));
        assert!((NEAR..1.0).contains(&likeness), "{likeness}");
        let common = bands(TITLE, &changed);
        assert!(bands(TITLE, BODY).iter().any(|band| common.contains(band)));
    }

    #[test]
    fn another_text_has_no_common_band() {
        let other = bands(
            "Colours of the chart",
            "Blue and orange can be told apart by everybody who reads it.",
        );
        assert!(bands(TITLE, BODY).iter().all(|band| !other.contains(band)));
    }

    /// Shares of pairs with a common band, for 300 pairs of texts with that resemblance.
    #[test]
    fn bands_find_what_is_near_and_hardly_more() {
        let common = |shared: usize, own: usize| {
            let found = (0..300).filter(|pair| {
                let text = |side: usize| {
                    let words = (0..shared).map(|at| format!("s{pair}x{at} "));
                    words
                        .chain((0..own).map(|at| format!("o{pair}x{at}x{side} ")))
                        .collect::<String>()
                };
                let (one, other) = (bands(&text(0), ""), bands(&text(1), ""));
                one.iter().any(|band| other.contains(band))
            });
            found.count()
        };
        // A resemblance of 0.7, and one of 0.2.
        assert!(common(85, 18) >= 285);
        assert!(common(33, 67) <= 25);
    }

    #[test]
    fn digests_of_different_tasks_of_one_goal_do_not_resemble_each_other() {
        let digest = |told: &str| {
            format!(
                "Done with one attempt.\n\nGoal: Keep the service running; capabilities: shell\n\n{told}\
                 ## Attempts, the latest first\n\n- 1 by ada: accepted after 3 s.\n\n\
                 ## Figures\n\n- usd_micros: 0.100000 USD\n- wall_ms: 3 s"
            )
        };
        let one = ("Restart the worker", digest(""));
        let other = ("Rotate the logs", digest(""));
        let likeness = resemblance(&Words::of(one.0, &one.1), &Words::of(other.0, &other.1));
        assert!(likeness < 0.2, "{likeness}");
        let common = bands(other.0, &other.1);
        assert!(bands(one.0, &one.1).iter().all(|band| !common.contains(band)));

        let told =
            digest("## What was to be done\n\n> Set a lock timeout of five seconds first.\n\n");
        assert!(resemblance(&Words::of(one.0, &one.1), &Words::of(one.0, &told)) < NEAR);
        assert!(
            resemblance(&Words::of(one.0, &told), &Words::of(one.0, &told.replace("3 s", "9 s")))
                == 1.0
        );
    }

    #[test]
    fn order_of_words_counts() {
        let likeness = resemblance(
            &Words::of("x", "one two three four"),
            &Words::of("x", "four three two one"),
        );
        assert!(likeness < 0.2, "{likeness}");
    }

    #[test]
    fn a_script_without_spaces_has_words() {
        let a = Words::of("数据库", "迁移需要锁超时设置");
        let b = Words::of("数据库", "迁移需要锁超时");
        assert!(resemblance(&a, &b) > NEAR);
    }

    #[test]
    fn texts_without_words_resemble_nothing() {
        assert!(bands("--", "!").is_empty());
        assert_eq!(resemblance(&Words::of("", ""), &Words::of("", "")), 0.0);
    }

    #[test]
    fn opposites_contradict() {
        for (one, other) in [
            ("Always run migrations in one transaction", "Never run migrations in one transaction"),
            ("Enable the query cache", "Disable the query cache"),
            ("You must retry failed uploads", "You must not retry failed uploads"),
            ("Use the pool of the caller", "Don't use the pool of the caller"),
            ("Use ripgrep instead of grep", "Use grep instead of ripgrep"),
            ("Use ripgrep rather than grep", "Avoid ripgrep rather than grep"),
        ] {
            assert!(contradicts((one, ""), (other, "")), "{one} / {other}");
            assert!(contradicts(("Note", one), ("Hint", other)), "{one} / {other}");
        }
    }

    #[test]
    fn other_pairs_do_not_contradict() {
        for (one, other) in [
            ("Always run migrations in one transaction", "Run migrations in one transaction"),
            ("Never run migrations in one transaction", "Do not run migrations in one transaction"),
            (
                "Never run migrations in one transaction",
                "Run the tests of the parser before a release",
            ),
            ("Do not forget to flush the buffer", "Flush the buffer"),
            ("Use ripgrep instead of grep", "Do not use grep instead of ripgrep"),
            ("Use ripgrep instead of grep", "Use ripgrep"),
            ("Never", "Always"),
        ] {
            assert!(!contradicts((one, ""), (other, "")), "{one} / {other}");
        }
    }

    #[test]
    fn a_statement_that_both_make_is_no_contradiction() {
        let both = "Enable the query cache. Disable the query cache.";
        assert!(!contradicts(("Cache", both), ("Cache again", "Enable the query cache.")));
    }

    #[test]
    fn a_full_stop_in_a_name_ends_no_sentence() {
        let parts: Vec<&str> = sentences("Open a.rs first. Then b.rs").collect();
        assert_eq!(parts, ["Open a.rs first. ", "Then b.rs"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn bands_are_sorted_distinct_and_few(title in ".{0,30}", body in ".{0,200}") {
            let it = bands(&title, &body);
            prop_assert!(it.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(it.len() <= BANDS);
        }

        #[test]
        fn resemblance_is_a_share_and_symmetric(a in "[a-d ]{0,40}", b in "[a-d ]{0,40}") {
            let (x, y) = (Words::of("", &a), Words::of("", &b));
            let likeness = resemblance(&x, &y);
            prop_assert!((0.0..=1.0).contains(&likeness));
            prop_assert_eq!(likeness, resemblance(&y, &x));
            prop_assert_eq!(likeness == 1.0, x == y && !x.0.is_empty());
        }

        #[test]
        fn no_text_contradicts_itself(a in "(not |never |enable |disable |instead of |cache |pool |\\. |\n){0,12}") {
            prop_assert!(!contradicts((&a, &a), (&a, &a)));
        }

        #[test]
        fn contradiction_is_symmetric(
            a in "(not |never |use |enable |disable |instead of |cache |pool |\\. ){0,8}",
            b in "(not |never |use |enable |disable |instead of |cache |pool |\\. ){0,8}",
        ) {
            prop_assert_eq!(contradicts((&a, "x"), (&b, "x")), contradicts((&b, "x"), (&a, "x")));
        }
    }
}
