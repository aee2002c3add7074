//! Measures of a ranking, as `trec_eval` computes them.
//!
//! Source: K. Järvelin and J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002), with linear
//! gains; average precision and recall count every document with a grade above zero as relevant.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// Means over queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Measures {
    /// nDCG of the first ten.
    pub ndcg_10: f64,
    /// Mean average precision.
    pub map: f64,
    /// Share of the relevant documents among the first hundred.
    pub recall_100: f64,
}

/// The measures of one ranking by its judgements.
#[must_use]
pub fn of(ranking: &[String], judged: &BTreeMap<String, i32>) -> Measures {
    let grade = |id: &String| judged.get(id).copied().unwrap_or_default().max(0);
    let mut grades: Vec<i32> = judged.values().copied().filter(|grade| *grade > 0).collect();
    grades.sort_unstable_by_key(|grade| std::cmp::Reverse(*grade));
    let relevant = grades.len() as f64;
    let ideal = gain(grades.into_iter());
    if ideal == 0.0 {
        return Measures::default();
    }
    let mut seen = BTreeSet::new();
    let ranking: Vec<&String> = ranking.iter().filter(|id| seen.insert(*id)).collect();
    let (mut found, mut precision) = (0.0, 0.0);
    for (index, id) in ranking.iter().enumerate() {
        if grade(id) > 0 {
            found += 1.0;
            precision += found / (index + 1) as f64;
        }
    }
    let among = ranking.iter().take(100).filter(|id| grade(id) > 0).count() as f64;
    Measures {
        ndcg_10: gain(ranking.iter().map(|id| grade(id))) / ideal,
        map: precision / relevant,
        recall_100: among / relevant,
    }
}

/// Discounted cumulated gain of the first ten.
fn gain(grades: impl Iterator<Item = i32>) -> f64 {
    grades
        .take(10)
        .enumerate()
        .map(|(index, grade)| f64::from(grade) / ((index + 2) as f64).log2())
        .sum()
}

/// The means of several queries.
#[must_use]
pub fn mean(of: &[Measures]) -> Measures {
    let count = (of.len().max(1)) as f64;
    let sum = |figure: fn(&Measures) -> f64| of.iter().map(figure).sum::<f64>() / count;
    Measures {
        ndcg_10: sum(|one| one.ndcg_10),
        map: sum(|one| one.map),
        recall_100: sum(|one| one.recall_100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(grades: &[(&str, i32)]) -> BTreeMap<String, i32> {
        grades.iter().map(|(id, grade)| ((*id).to_owned(), *grade)).collect()
    }

    fn ranking(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn a_perfect_ranking_has_only_ones() {
        let judged = judged(&[("a", 3), ("b", 1), ("c", 0)]);
        let all = of(&ranking(&["a", "b", "c"]), &judged);
        assert_eq!(all, Measures { ndcg_10: 1.0, map: 1.0, recall_100: 1.0 });
    }

    #[test]
    fn figures_are_those_computed_by_hand() {
        let judged = judged(&[("a", 1), ("b", 1), ("z", 1)]);
        let one = of(&ranking(&["x", "a", "y", "b"]), &judged);
        let log = |rank: f64| (rank + 1.0).log2();
        let ideal = 1.0 / log(1.0) + 1.0 / log(2.0) + 1.0 / log(3.0);
        assert!((one.ndcg_10 - (1.0 / log(2.0) + 1.0 / log(4.0)) / ideal).abs() < 1e-12);
        assert!((one.map - (0.5 + 0.5) / 3.0).abs() < 1e-12);
        assert!((one.recall_100 - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_document_counts_once_and_what_is_not_judged_is_not_relevant() {
        let judged = judged(&[("a", 1), ("b", -1)]);
        let twice = of(&ranking(&["a", "a", "b", "c"]), &judged);
        assert_eq!(twice, Measures { ndcg_10: 1.0, map: 1.0, recall_100: 1.0 });
        assert_eq!(of(&ranking(&["b"]), &judged), Measures::default());
    }
}
