//! Made-up lessons and queries, for the time that a search takes among many.
//!
//! Words follow Zipf's law over a vocabulary of 50,000, as those of texts do: the frequent words are what makes a
//! search long. Everything follows from a seed.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::collection::Document;

const WORDS: usize = 50_000;
/// Words of a lesson: from, to.
const LENGTH: (usize, usize) = (60, 140);
/// Words of a query: from, to.
const QUERY: (usize, usize) = (5, 30);
const TITLE: usize = 8;

/// Draws words.
#[derive(Debug)]
pub struct Synthetic {
    random: StdRng,
    /// Cumulated weights of the words.
    upto: Vec<f64>,
}

impl Synthetic {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut sum = 0.0;
        let weights = (0..WORDS).map(|rank| {
            sum += 1.0 / (rank as f64 + 2.7);
            sum
        });
        Self { upto: weights.collect(), random: StdRng::seed_from_u64(seed) }
    }

    fn word(&mut self) -> String {
        let most = self.upto.last().copied().unwrap_or_default();
        let drawn = self.random.random_range(0.0..most);
        spelt(self.upto.partition_point(|upto| *upto <= drawn))
    }

    fn words(&mut self, (from, to): (usize, usize)) -> String {
        let count = self.random.random_range(from..=to);
        (0..count).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }

    /// The next lesson.
    pub fn document(&mut self, number: usize) -> Document {
        let (title, text) = (self.words((TITLE, TITLE)), self.words(LENGTH));
        Document { id: format!("synthetic {number}"), title, text }
    }

    /// The next query.
    pub fn query(&mut self) -> String {
        self.words(QUERY)
    }
}

/// A word of its own for each number, of syllables, so that it is neither a stop word nor stemmed to another.
fn spelt(mut number: usize) -> String {
    const FIRST: [&str; 16] =
        ["b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z"];
    const THEN: [&str; 4] = ["ak", "ok", "uk", "ik"];
    let mut word = String::new();
    for _ in 0..3 {
        word.push_str(FIRST[number % FIRST.len()]);
        number /= FIRST.len();
        word.push_str(THEN[number % THEN.len()]);
        number /= THEN.len();
    }
    word
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_words_and_each_number_its_own() {
        let words: BTreeSet<String> = (0..WORDS).map(spelt).collect();
        assert_eq!(words.len(), WORDS);
        let (mut one, mut two) = (Synthetic::new(7), Synthetic::new(7));
        assert_eq!(one.document(1).text, two.document(1).text);
        let query = one.query();
        assert!((QUERY.0..=QUERY.1).contains(&query.split(' ').count()), "{query}");
    }
}
