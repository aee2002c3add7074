//! The order of results.
//!
//! 1. **Relevance** is BM25, counted where the postings are. With vectors, the first [`RERANKED`] by BM25 are ordered
//!    again by 0.6 of their BM25 and 0.4 of their cosine, each scaled to 0..1 among them; the others stay behind
//!    them in the order of BM25.
//! 2. **Title**: a factor that grows with what query and title have in common. It hardly changes the order for a query
//!    that describes something; a query that is the title of a lesson finds that lesson first.
//! 3. **Priors** are factors near 1: verdicts, age, scope and trust. Each is 1 where nothing is known, so a
//!    collection without them is ranked by relevance alone. Age alone never hides anything: its factor is at
//!    least [`OLDEST`].
//!
//! `explain` shows every factor. Equal scores are ordered by id, the newest first.

use serde::{Deserialize, Serialize};

use super::{LessonState, Trust};
use crate::domain::ids::LessonId;

/// Results of BM25 that vectors order again.
pub const RERANKED: usize = 100;
/// Weight of BM25 beside the cosine.
const OF_BM25: f64 = 0.6;
/// Largest gain of a title.
const TITLE: f64 = 1.0;
/// Power that keeps the gain of partly shared titles small. Of 2,259 entries of a tracker, searched by their titles,
/// 94.8 % come first without the factor and 99.1 % with it. For the questions of Cranfield, which are no titles,
/// nDCG@10 goes from 0.386 to 0.389. Lower powers gain more there, but favour short titles everywhere.
const STEEPNESS: i32 = 4;
/// Weight of one verdict against no opinion.
const OPINIONLESS: f64 = 10.0;
/// Factor of the oldest lessons.
pub const OLDEST: f64 = 0.9;
/// Days in which half of the freshness is lost.
const HALF_LIFE: f64 = 365.0;

/// A result before it has its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The lesson.
    pub id: LessonId,
    /// Score of BM25.
    pub bm25: f64,
    /// Cosine of its vector and that of the query; `None`: one of them is not known.
    pub cosine: Option<f64>,
    /// Terms that query and title share.
    pub title_hits: u32,
    /// Different terms of its title.
    pub title_terms: u32,
    /// Different terms of the query.
    pub query_terms: u32,
    /// Verdicts that it helped.
    pub helpful: u32,
    /// Verdicts that it misled.
    pub harmful: u32,
    /// Other verdicts: it was about something else, or not needed.
    pub other: u32,
    /// Days since it was learned or confirmed.
    pub age_days: f64,
    /// Whether it is of the project that is asked for.
    pub same_project: bool,
    /// Trust.
    pub trust: Trust,
    /// State.
    pub state: LessonState,
}

/// How the score of a result came about. The score is the product of relevance and the factors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Explanation {
    /// BM25 (k1 1.2, b 0.75) among the lessons that the caller may see and that pass the filters.
    pub bm25: f64,
    /// Cosine of the vectors of query and lesson; `null`: there is no vector.
    pub cosine: Option<f64>,
    /// BM25, or with vectors 0.6 of it and 0.4 of the cosine, each scaled to 0..1 among the first hundred. Behind
    /// them it is 0 then, and BM25 is the order.
    pub relevance: f64,
    /// Factor of what query and title have in common, 1 to 2.
    pub title: f64,
    /// Factor of the verdicts of agents, 0.8 to 1.25; 1 without verdicts.
    pub usefulness: f64,
    /// Factor of the age, 0.9 to 1; it halves its way to 0.9 each year since the last confirmation.
    pub freshness: f64,
    /// Factor of the project: 1.05 for lessons of the project that is asked for.
    pub scope: f64,
    /// Factor of the trust, 0.9 to 1.1.
    pub trust: f64,
    /// Product of all: the order of the results.
    pub score: f64,
}

/// The candidates in their order, best first. They come in any order.
#[must_use]
pub fn rank(mut candidates: Vec<Candidate>) -> Vec<(Candidate, Explanation)> {
    candidates.sort_by(|one, two| two.bm25.total_cmp(&one.bm25).then(two.id.cmp(&one.id)));
    let relevances = relevances(&candidates);
    let ranked_again = if has_vectors(&candidates) { RERANKED } else { candidates.len() };
    let mut ranked: Vec<(Candidate, Explanation)> = candidates
        .into_iter()
        .zip(relevances)
        .map(|(candidate, relevance)| {
            let explained = explain(&candidate, relevance);
            (candidate, explained)
        })
        .collect();
    let first = ranked.len().min(ranked_again);
    ranked[..first].sort_by(|(one, first), (two, second)| {
        second.score.total_cmp(&first.score).then(two.id.cmp(&one.id))
    });
    ranked
}

/// Whether one of the first has a vector that the query can be compared with.
fn has_vectors(candidates: &[Candidate]) -> bool {
    candidates.iter().take(RERANKED).any(|candidate| candidate.cosine.is_some())
}

/// Relevance of candidates, which are in the order of their BM25. With vectors it is 0 behind the first [`RERANKED`]: a
/// scale among the first says nothing about the others.
#[must_use]
pub fn relevances(candidates: &[Candidate]) -> Vec<f64> {
    if !has_vectors(candidates) {
        return candidates.iter().map(|candidate| candidate.bm25).collect();
    }
    let first = &candidates[..candidates.len().min(RERANKED)];
    let bm25 = Scale::of(first.iter().map(|candidate| candidate.bm25));
    let cosines = Scale::of(first.iter().filter_map(|candidate| candidate.cosine));
    let mut relevances: Vec<f64> = first
        .iter()
        .map(|candidate| {
            let words = bm25.place(candidate.bm25);
            // One without a vector is neither helped nor harmed by that.
            let meaning = candidate.cosine.map_or(words, |cosine| cosines.place(cosine));
            OF_BM25 * words + (1.0 - OF_BM25) * meaning
        })
        .collect();
    relevances.resize(candidates.len(), 0.0);
    relevances
}

/// Values scaled to 0..1.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let start = Self { low: f64::INFINITY, high: f64::NEG_INFINITY };
        values.fold(start, |scale, value| Self {
            low: scale.low.min(value),
            high: scale.high.max(value),
        })
    }

    fn place(&self, value: f64) -> f64 {
        let span = self.high - self.low;
        if span > 0.0 { (value - self.low) / span } else { 1.0 }
    }
}

fn explain(candidate: &Candidate, relevance: f64) -> Explanation {
    let title = title_factor(candidate);
    let usefulness = usefulness(candidate);
    let freshness = freshness(candidate.age_days);
    let scope = if candidate.same_project { 1.05 } else { 1.0 };
    let trust = trust_factor(candidate.trust, candidate.state);
    Explanation {
        bm25: candidate.bm25,
        cosine: candidate.cosine,
        relevance,
        title,
        usefulness,
        freshness,
        scope,
        trust,
        score: relevance * title * usefulness * freshness * scope * trust,
    }
}

/// Grows with the overlap of query and title: the coefficient of Dice (1945), to a power.
fn title_factor(candidate: &Candidate) -> f64 {
    let both = f64::from(candidate.title_terms) + f64::from(candidate.query_terms);
    if both == 0.0 {
        return 1.0;
    }
    let dice = (2.0 * f64::from(candidate.title_hits) / both).min(1.0);
    1.0 + TITLE * dice.powi(STEEPNESS)
}

/// Helpful verdicts against harmful ones, which count twice, smoothed by [`OPINIONLESS`] verdicts without an opinion.
fn usefulness(candidate: &Candidate) -> f64 {
    let (helpful, harmful) = (f64::from(candidate.helpful), f64::from(candidate.harmful));
    let all = helpful + harmful + f64::from(candidate.other) + OPINIONLESS;
    let opinion = ((helpful - 2.0 * harmful) / all).clamp(-1.0, 1.0);
    if opinion >= 0.0 { 1.0 + 0.25 * opinion } else { 1.0 + 0.2 * opinion }
}

fn freshness(age_days: f64) -> f64 {
    OLDEST + (1.0 - OLDEST) * (-age_days.max(0.0) / HALF_LIFE).exp2()
}

fn trust_factor(trust: Trust, state: LessonState) -> f64 {
    match (trust, state) {
        (_, LessonState::Candidate) | (Trust::Unverified, _) => 0.9,
        (Trust::Checked, _) => 1.0,
        (Trust::Reviewed, _) => 1.05,
        (Trust::Person, _) => 1.1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn candidate(id: u128, bm25: f64) -> Candidate {
        Candidate {
            id: LessonId(Uuid::from_u128(id)),
            bm25,
            cosine: None,
            title_hits: 0,
            title_terms: 5,
            query_terms: 5,
            helpful: 0,
            harmful: 0,
            other: 0,
            age_days: 0.0,
            same_project: false,
            trust: Trust::Checked,
            state: LessonState::Active,
        }
    }

    fn order(ranked: &[(Candidate, Explanation)]) -> Vec<u128> {
        ranked.iter().map(|(candidate, _)| candidate.id.0.as_u128()).collect()
    }

    #[test]
    fn without_anything_else_bm25_is_the_score() {
        let ranked = rank(vec![candidate(1, 1.5), candidate(2, 3.5), candidate(3, 2.5)]);
        assert_eq!(order(&ranked), [2, 3, 1]);
        assert!(ranked.iter().all(|(one, explained)| (explained.score - one.bm25).abs() < 1e-12));
    }

    #[test]
    fn a_query_that_is_the_title_finds_its_lesson_first() {
        let named = Candidate { title_hits: 5, ..candidate(1, 6.0) };
        let ranked = rank(vec![candidate(2, 10.0), named]);
        assert_eq!(order(&ranked), [1, 2]);
        let partly = Candidate { title_hits: 2, ..candidate(1, 9.5) };
        assert_eq!(order(&rank(vec![candidate(2, 10.0), partly])), [2, 1]);
    }

    #[test]
    fn each_prior_moves_a_result_and_none_decides_alone() {
        let moved = [
            Candidate { helpful: 5, ..candidate(1, 1.0) },
            Candidate { same_project: true, ..candidate(1, 1.0) },
            Candidate { trust: Trust::Person, ..candidate(1, 1.0) },
        ];
        for better in moved {
            assert_eq!(order(&rank(vec![candidate(2, 1.0), better.clone()])), [1, 2], "{better:?}");
            assert_eq!(order(&rank(vec![candidate(2, 1.6), better])), [2, 1]);
        }
        let worse = [
            Candidate { harmful: 5, ..candidate(2, 1.0) },
            Candidate { age_days: 3000.0, ..candidate(2, 1.0) },
            Candidate { state: LessonState::Candidate, ..candidate(2, 1.0) },
        ];
        for worse in worse {
            assert_eq!(order(&rank(vec![candidate(1, 1.0), worse.clone()])), [1, 2], "{worse:?}");
        }
    }

    #[test]
    fn vectors_order_the_first_hundred_again() {
        let mut all: Vec<Candidate> =
            (0..120_u32).map(|at| candidate(u128::from(at) + 1, 200.0 - f64::from(at))).collect();
        for one in &mut all {
            one.cosine = Some(0.0);
        }
        all[99].cosine = Some(1.0);
        let ranked = rank(all);
        assert_eq!(ranked.len(), 120);
        assert!(order(&ranked)[..50].contains(&100), "the nearest is in front");
        assert_eq!(order(&ranked)[100..], (101..=120).collect::<Vec<u128>>(), "the rest stays");
    }

    #[test]
    fn what_is_behind_the_first_hundred_keeps_its_order_and_place() {
        // The last of the first hundred is the worst by both measures: its relevance is 0.
        let mut all: Vec<Candidate> = (0..130_u32)
            .map(|at| Candidate {
                cosine: Some(1.0 - f64::from(at) / 200.0),
                ..candidate(u128::from(at) + 1, 200.0 - f64::from(at))
            })
            .collect();
        all[119] = Candidate { title_hits: 5, helpful: 90, ..all[119].clone() };
        assert_eq!(order(&rank(all)), (1..=130).collect::<Vec<u128>>());
    }

    #[test]
    fn one_without_a_vector_is_placed_by_its_words() {
        let of = |id, bm25, cosine| Candidate { cosine, ..candidate(id, bm25) };
        let ranked = rank(vec![of(1, 3.0, Some(0.1)), of(2, 2.5, None), of(3, 1.0, Some(0.9))]);
        let relevances: Vec<f64> =
            ranked.iter().map(|(_, explained)| explained.relevance).collect();
        assert_eq!(order(&ranked), [2, 1, 3]);
        for (found, want) in relevances.iter().zip([0.75, 0.6, 0.4]) {
            assert!((found - want).abs() < 1e-12, "{relevances:?}");
        }
    }

    proptest! {
        #[test]
        fn factors_stay_in_their_bounds(
            bm25 in 0.0_f64..50.0, counts in prop::array::uniform6(0_u32..5000), age_days in -10.0_f64..1e6,
            same_project in any::<bool>(),
        ) {
            let [title_hits, title_terms, query_terms, helpful, harmful, other] = counts;
            let one = Candidate {
                title_hits, title_terms, query_terms, helpful, harmful, other, age_days, same_project,
                ..candidate(1, bm25)
            };
            let explained = explain(&one, bm25);
            prop_assert!((1.0..=1.0 + TITLE).contains(&explained.title));
            prop_assert!((0.8..=1.25).contains(&explained.usefulness));
            prop_assert!((OLDEST..=1.0).contains(&explained.freshness));
            let factors = explained.title * explained.usefulness * explained.freshness * explained.scope
                * explained.trust;
            prop_assert!((explained.score - bm25 * factors).abs() < 1e-9);
        }

        #[test]
        fn reranking_is_the_weighted_sum_of_scaled_scores(
            scores in prop::collection::vec((0.1_f64..50.0, -1.0_f64..1.0), 2..100),
        ) {
            let all: Vec<Candidate> = scores.iter().enumerate()
                .map(|(at, (bm25, cosine))| Candidate {
                    cosine: Some(*cosine), ..candidate(at as u128 + 1, *bm25)
                }).collect();
            let bounds = |of: fn(&Candidate) -> f64| {
                let values: Vec<f64> = all.iter().map(of).collect();
                (values.iter().copied().fold(f64::MAX, f64::min), values.iter().copied().fold(f64::MIN, f64::max))
            };
            let (low, high) = bounds(|one| one.bm25);
            let (far, near) = bounds(|one| one.cosine.unwrap_or_default());
            prop_assume!(high > low && near > far);
            for (one, explained) in rank(all.clone()) {
                let want = 0.6 * (one.bm25 - low) / (high - low)
                    + 0.4 * (one.cosine.unwrap_or_default() - far) / (near - far);
                prop_assert!((explained.relevance - want).abs() < 1e-9);
            }
        }

        #[test]
        fn the_order_does_not_depend_on_the_order_of_the_input(
            scores in prop::collection::vec(0.0_f64..3.0, 1..40), turn in 0_usize..40,
        ) {
            let all: Vec<Candidate> = scores.iter().enumerate()
                .map(|(at, bm25)| candidate(at as u128 + 1, bm25.round())).collect();
            let mut turned = all.clone();
            turned.rotate_left(turn % all.len());
            prop_assert_eq!(order(&rank(all)), order(&rank(turned)));
        }
    }
}
