//! The spread of a sum of amounts that are each known by their spread.
//!
//! The tenth percentile of a sum is not the sum of tenth percentiles: that all tasks are cheap at once is
//! rarer than that one is. So the sum is drawn 1,999 times. Each draw takes every task at a place of its own in
//! its spread; the places come from a fixed sequence, so the same plan has the same band everywhere. With many
//! tasks the sum is close to a normal distribution, and its mean and variance give the band.
//!
//! Tasks are taken to be independent. If they err together (a model that is dearer than it was), the sum errs
//! more than the band says.
//!
//! Between the known percentiles a task is spread evenly. Beyond them the spread goes on as it was, for a
//! quarter of the way to the median.

use crate::domain::spend::measured::Quantiles;

/// Draws of a sum.
const DRAWS: usize = 1_999;
/// The most tasks, over all draws, that are drawn one by one.
const DRAWN_TASKS: usize = 64;
/// The 90th percentile of the standard normal distribution.
const Z90: f64 = 1.281_551_565_544_6;

/// A band of a sum: its 10th, 50th and 90th percentile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Band {
    /// It is less with a probability of one in ten.
    pub p10: i64,
    /// It is as likely more as less.
    pub p50: i64,
    /// It is more with a probability of one in ten.
    pub p90: i64,
}

/// The band of `certain` plus the sum of amounts with these spreads.
#[must_use]
pub fn sum(certain: i128, spreads: &[Quantiles]) -> Band {
    let open: Vec<Spread> = spreads.iter().map(Spread::of).collect();
    let offset = |amount: f64| clamp(certain + rounded(amount));
    match open.as_slice() {
        [] => Band { p10: offset(0.0), p50: offset(0.0), p90: offset(0.0) },
        [_] => {
            let only = sorted(spreads[0]);
            let amount = |known: i64| clamp(certain + i128::from(known));
            Band { p10: amount(only[0]), p50: amount(only[1]), p90: amount(only[2]) }
        }
        few if few.len() <= DRAWN_TASKS => {
            let mut places = Places(0x6d75_7374_6572);
            let draw = |_| few.iter().map(|spread| spread.at(places.next())).sum::<f64>();
            let mut sums: Vec<f64> = (0..DRAWS).map(draw).collect();
            sums.sort_unstable_by(f64::total_cmp);
            let at = |tenths: usize| offset(sums[(DRAWS + 1) * tenths / 10 - 1]);
            Band { p10: at(1), p50: at(5), p90: at(9) }
        }
        many => {
            let mean: f64 = many.iter().map(Spread::mean).sum();
            let deviation = many.iter().map(Spread::variance).sum::<f64>().sqrt();
            let at = |z: f64| offset((mean + z * deviation).max(0.0));
            Band { p10: at(-Z90), p50: at(0.0), p90: at(Z90) }
        }
    }
}

fn sorted(known: Quantiles) -> [i64; 3] {
    let mut known = [known.p10.max(0), known.p50.max(0), known.p90.max(0)];
    known.sort_unstable();
    known
}

/// A spread as five points, at 0, 10, 50, 90 and 100 percent.
struct Spread([f64; 5]);

const AT: [f64; 5] = [0.0, 0.1, 0.5, 0.9, 1.0];

impl Spread {
    fn of(known: &Quantiles) -> Self {
        let [p10, p50, p90] = sorted(*known).map(|amount| amount as f64);
        Self([(p10 - (p50 - p10) / 4.0).max(0.0), p10, p50, p90, p90 + (p90 - p50) / 4.0])
    }

    /// The amount at a place from 0 to 1.
    fn at(&self, place: f64) -> f64 {
        let part = AT[1..4].iter().filter(|end| place >= **end).count();
        let within = (place - AT[part]) / (AT[part + 1] - AT[part]);
        self.0[part] + (self.0[part + 1] - self.0[part]) * within
    }

    fn mean(&self) -> f64 {
        (0..4).map(|part| (AT[part + 1] - AT[part]) * (self.0[part] + self.0[part + 1]) / 2.0).sum()
    }

    fn variance(&self) -> f64 {
        let mean = self.mean();
        let part = |part: usize| {
            let (low, high) = (self.0[part] - mean, self.0[part + 1] - mean);
            (AT[part + 1] - AT[part]) * (low * low + low * high + high * high) / 3.0
        };
        (0..4).map(part).sum()
    }
}

/// A fixed sequence of places from 0 to below 1: `SplitMix64` (Steele, Lea and Flood, 2014).
struct Places(u64);

impl Places {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The nearest whole number.
#[expect(clippy::cast_possible_truncation, reason = "a cast of a double saturates")]
fn rounded(amount: f64) -> i128 {
    amount.round() as i128
}

/// As 64 bits; saturates.
#[must_use]
pub fn clamp(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spread(p10: i64, p50: i64, p90: i64) -> Quantiles {
        Quantiles { p10, p50, p90, tasks: 10 }
    }

    #[test]
    fn one_task_has_its_own_band_and_none_has_none() {
        assert_eq!(sum(7, &[]), Band { p10: 7, p50: 7, p90: 7 });
        assert_eq!(sum(7, &[spread(10, 50, 200)]), Band { p10: 17, p50: 57, p90: 207 });
        assert_eq!(sum(i128::MAX / 2, &[spread(1, 1, 1)]).p10, i64::MAX);
    }

    #[test]
    fn a_band_of_many_is_narrower_than_the_sum_of_bands() {
        for tasks in [10, 60, 65, 1_000] {
            let band = sum(0, &vec![spread(100, 500, 900); tasks]);
            let tasks = tasks as i64;
            assert!((band.p50 - 500 * tasks).abs() < 20 * tasks, "{band:?}");
            assert!(band.p10 > 100 * tasks && band.p90 < 900 * tasks, "{band:?}");
            // A uniform distribution from 0 to 1000 has the deviation 288.7.
            let half = Z90 * 288.7 * (tasks as f64).sqrt();
            let found = (band.p90 - band.p10) as f64 / 2.0;
            assert!((found - half).abs() < half / 12.0, "{tasks}: {found} {half}");
        }
    }

    #[test]
    fn both_methods_agree_where_they_meet() {
        let few = sum(0, &vec![spread(10, 20, 100); DRAWN_TASKS]);
        let many = sum(0, &vec![spread(10, 20, 100); DRAWN_TASKS + 1]);
        for (few, many) in [(few.p10, many.p10), (few.p50, many.p50), (few.p90, many.p90)] {
            assert!((few - many).abs() * 100 < many * 6, "{few} {many}");
        }
    }

    proptest! {
        /// Whatever is known, the band is in order, within the sums of the extremes, and the same again.
        #[test]
        fn a_band_is_in_order(
            certain in 0..1_000_000_i64,
            known in prop::collection::vec((any::<i64>(), 0..i64::MAX, 0..1_000_000_i64), 0..70),
        ) {
            let spreads: Vec<Quantiles> = known.iter().map(|(a, b, c)| spread(*a, *b, *c)).collect();
            let band = sum(certain.into(), &spreads);
            prop_assert!(certain <= band.p10 && band.p10 <= band.p50 && band.p50 <= band.p90);
            prop_assert_eq!(band, sum(certain.into(), &spreads));
        }

        #[test]
        fn a_place_is_between_its_percentiles(a in 0..1_000_i64, b in 0..1_000_i64, c in 0..1_000_i64, place in 0.0..1.0) {
            let spread = Spread::of(&spread(a, a + b, a + b + c));
            let amount = spread.at(place);
            let [lowest, p10, p50, p90, highest] = spread.0;
            prop_assert!(lowest <= amount && amount <= highest + 1e-9);
            prop_assert_eq!(amount < p50, place < 0.5 && b > 0 && amount < p50);
            prop_assert!(place < 0.1 || amount + 1e-9 >= p10);
            prop_assert!(place > 0.9 || amount <= p90 + 1e-9);
        }
    }
}
