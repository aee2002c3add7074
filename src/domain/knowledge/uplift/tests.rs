//! Published examples, properties over any arms, and how often the intervals hold the truth in simulated fleets.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

/// Tasks of one simulated fleet, by arm.
const FLEET: (usize, usize) = (540, 60);
const FLEETS: u32 = 2_000;

/// Splitmix64: seeded, and fast without optimisation.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// The truth of one arm.
#[derive(Clone, Copy)]
struct Truth {
    success: f64,
    /// Mean cost; lognormal.
    cost: f64,
    /// Standard deviation of the logarithm of the cost.
    sigma: f64,
    /// Mean attempts; geometric from 1.
    attempts: f64,
}

const PLAIN: Truth = Truth { success: 0.6, cost: 200_000.0, sigma: 0.8, attempts: 1.6 };

fn helped() -> Truth {
    let Truth { success, cost, sigma, attempts } = PLAIN;
    Truth { success: success * 1.2, cost: cost * 0.8, sigma, attempts: attempts * 0.8 }
}

fn ended(draws: &mut Draws, truth: Truth, tasks: usize) -> Arm {
    let mut arm = Arm::default();
    let Truth { success, cost, sigma, attempts } = truth;
    let again = 1.0 - 1.0 / attempts;
    for _ in 0..tasks {
        let cost = cost * (sigma * draws.normal() - sigma * sigma / 2.0).exp();
        let mut tries = 1;
        while draws.unit() < again {
            tries += 1;
        }
        let usd_micros = Some(cost.round() as i64);
        arm.add(Trial { done: draws.unit() < success, usd_micros, attempts: Some(tries) });
    }
    arm
}

/// How often, in percent, the intervals hold the truth: difference and relative of success, cost, attempts.
fn coverage(with: Truth, without: Truth) -> [f64; 6] {
    let mut draws = Draws(20_260_121);
    let mut covered = [0_u32; 6];
    for _ in 0..FLEETS {
        let arms = (ended(&mut draws, with, FLEET.0), ended(&mut draws, without, FLEET.1));
        let Uplift { success, cost, attempts, .. } = compare(&arms.0, &arms.1);
        let measured = [
            (success, with.success, without.success),
            (cost, with.cost, without.cost),
            (attempts, with.attempts, without.attempts),
        ];
        for (at, (figure, with, without)) in measured.iter().enumerate() {
            let held = |interval: Option<Interval>, truth: f64| {
                interval.is_some_and(|it| it.low <= truth && truth <= it.high)
            };
            covered[2 * at] += u32::from(held(figure.difference, with - without));
            covered[2 * at + 1] += u32::from(held(figure.relative, with / without - 1.0));
        }
    }
    covered.map(|covered| f64::from(covered) * 100.0 / f64::from(FLEETS))
}

#[test]
fn intervals_hold_an_effect_of_twenty_percent_as_often_as_they_say() {
    let coverage = coverage(helped(), PLAIN);
    assert!(coverage.iter().all(|share| (93.0..=97.5).contains(share)), "{coverage:?}");
}

#[test]
fn intervals_hold_no_effect_as_often_as_they_say() {
    let coverage = coverage(PLAIN, PLAIN);
    assert!(coverage.iter().all(|share| (93.0..=97.5).contains(share)), "{coverage:?}");
}

fn share(done: i64, tasks: i64) -> Arm {
    Arm { tasks, done, ..Arm::default() }
}

fn near(found: f64, wanted: f64, tolerance: f64) {
    assert!((found - wanted).abs() <= tolerance, "{found} is not {wanted}");
}

/// Table II of Newcombe (1998), method 10.
#[test]
fn differences_of_shares_are_those_of_newcombe() {
    for (with, without, low, high) in [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ] {
        let success = compare(&share(with.0, with.1), &share(without.0, without.1)).success;
        let interval = success.difference.unwrap();
        near(interval.low, low, 5e-5);
        near(interval.high, high, 5e-5);
    }
}

#[test]
fn the_quantile_of_student_is_that_of_the_tables() {
    for (degrees, wanted, tolerance) in [
        (9.0, 2.262_157_16, 2e-5),
        (29.0, 2.045_229_64, 1e-7),
        (99.0, 1.984_216_95, 1e-8),
        (1e9, 1.959_963_99, 1e-8),
    ] {
        near(student(degrees), wanted, tolerance);
    }
}

fn repeated(figures: &[i64], times: usize) -> Moments {
    let mut moments = Moments::default();
    for figure in figures.iter().cycle().take(figures.len() * times) {
        moments.add(*figure);
    }
    moments
}

fn cost(cost: Moments) -> Arm {
    Arm { cost, ..Arm::default() }
}

#[test]
fn means_are_compared_by_their_logarithmic_limits() {
    // 30 tasks, mean 10, variance 25 * 30 / 29.
    let one = repeated(&[5, 15], 15);
    let found = compare(&cost(one), &cost(one)).cost;
    let factor = (2.045_230 * 5.0 / 29_f64.sqrt() / 10.0).exp();
    let (low, high) = (10.0 / factor, 10.0 * factor);
    let half = ((10.0 - low).powi(2) + (high - 10.0).powi(2)).sqrt();
    let difference = found.difference.unwrap();
    near(difference.low, -half, 1e-4);
    near(difference.high, half, 1e-4);
    let relative = found.relative.unwrap();
    near((1.0 + relative.low) * (1.0 + relative.high), 1.0, 1e-9);
    // The ends of the ratio R solve: the difference of `with` and R times `without` has an end at 0.
    let ratio = 1.0 + relative.low;
    let end = ((10.0 - low).powi(2) + (ratio * (high - 10.0)).powi(2)).sqrt();
    near(10.0 - ratio * 10.0, end, 1e-4);
    assert_eq!(found.finding, UpliftFinding::Unclear);
}

#[test]
fn findings_follow_the_direction_of_the_figure() {
    let better = compare(&share(90, 100), &share(50, 100));
    assert_eq!(better.success.finding, UpliftFinding::Better);
    let worse = compare(&share(50, 100), &share(90, 100));
    assert_eq!(worse.success.finding, UpliftFinding::Worse);
    let (cheap, dear) = (cost(repeated(&[1, 2], 50)), cost(repeated(&[10, 20], 50)));
    assert_eq!(compare(&cheap, &dear).cost.finding, UpliftFinding::Better);
    assert_eq!(compare(&dear, &cheap).cost.finding, UpliftFinding::Worse);
    near(compare(&cheap, &dear).cost.relative.unwrap().estimate, -0.9, 1e-12);
}

#[test]
fn too_few_tasks_give_the_arm_and_how_many_more() {
    let found = compare(&share(9, LEAST_ENDED), &share(3, LEAST_ENDED - 3));
    assert!(!found.enough);
    let Difference { with, without, difference, relative, finding, missing } = found.success;
    assert_eq!((difference, relative, finding), (None, None, UpliftFinding::TooFew));
    let short = MissingTasks { arm: UpliftArm::Without, needed: LEAST_ENDED, more: 3 };
    assert_eq!(missing, [short]);
    assert_eq!((with.value, without.tasks), (Some(0.9), 7));
    let nothing = compare(&Arm::default(), &Arm::default());
    for figure in [nothing.success, nothing.cost, nothing.attempts] {
        assert_eq!(figure.with, ArmFigure { tasks: 0, value: None });
        assert_eq!((figure.finding, figure.missing.len()), (UpliftFinding::TooFew, 2));
    }
}

#[test]
fn figures_without_variation_have_no_interval() {
    // The sums of squares of these are rounded, up and down.
    for figure in [333_333_333, 7_777_777_777, 123_456_789_123] {
        for times in [30, 77, 1_000, 50_000] {
            let same = cost(repeated(&[figure], times));
            let found = compare(&same, &same).cost;
            assert_eq!((found.difference, found.finding), (None, UpliftFinding::NoSpread));
            near(found.with.value.unwrap(), figure as f64, 1.0);
        }
    }
    let varied = compare(&cost(repeated(&[1, 3], 50)), &cost(repeated(&[9], 50))).cost;
    assert_eq!(varied.finding, UpliftFinding::Better, "one arm with variation is enough");
}

#[test]
fn nothing_relative_to_zero() {
    let none_done = compare(&share(10, 20), &share(0, 20)).success;
    assert!(none_done.difference.is_some() && none_done.relative.is_none());
    let free = compare(&cost(repeated(&[1, 3], 50)), &cost(repeated(&[0], 50))).cost;
    assert!(free.difference.is_some() && free.relative.is_none());
    let all_failed = compare(&share(0, 20), &share(10, 20)).success.relative.unwrap();
    assert_eq!((all_failed.estimate, all_failed.low), (-1.0, -1.0));
    assert!(all_failed.high > -1.0 && all_failed.high < 0.0);
}

#[test]
fn limits_too_large_for_a_number_give_no_interval() {
    // Only figures of both signs have a deviation of a thousand times their mean.
    let wide = Moments { count: 30, sum: 30.0, squares: 4.4e7 };
    let (wide, narrow) = (cost(wide), cost(repeated(&[1, 3], 50)));
    for (with, without) in [(&wide, &narrow), (&narrow, &wide)] {
        let found = compare(with, without).cost;
        assert_eq!((found.difference, found.relative), (None, None));
        assert_eq!(found.finding, UpliftFinding::NoSpread);
    }
}

#[test]
fn it_reads_back_from_json() {
    let found = compare(&share(90, 100), &share(3, 7));
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Uplift>(&text).unwrap(), found);
    assert!(text.contains(r#""missing":[{"arm":"without","needed":10,"more":3}]"#), "{text}");
}

fn uuids(seed: u64) -> impl Iterator<Item = Uuid> {
    let mut draws = Draws(seed);
    std::iter::repeat_with(move || Uuid::from_u64_pair(draws.next(), draws.next()))
}

#[test]
fn the_control_is_its_share_of_every_workspace() {
    for workspace in uuids(1).take(4).map(WorkspaceId) {
        for percent in [1, CONTROL_PERCENT, 50] {
            let tasks = uuids(u64::from(percent)).take(2_000).map(TaskId);
            let control = tasks.filter(|task| is_control(workspace, *task, percent)).count() as f64;
            let expected = 20.0 * f64::from(percent);
            let deviation = (expected * (1.0 - f64::from(percent) / 100.0)).sqrt();
            near(control, expected, 4.0 * deviation);
        }
    }
}

/// Computed apart from this code: another answer would move tasks between the arms of a running comparison.
#[test]
fn the_control_does_not_change_between_versions() {
    let workspace = WorkspaceId(Uuid::from_u128(1));
    let control: Vec<u128> = (0..40)
        .filter(|task| is_control(workspace, TaskId(Uuid::from_u128(*task)), CONTROL_PERCENT))
        .collect();
    assert_eq!(control, [2, 10, 11, 21, 26]);
}

/// Figures of any size up to that of an `i64`; those of 64 bits have both signs.
fn moments() -> impl Strategy<Value = Moments> {
    (any::<u64>(), 0..60_usize, 0..64_u32).prop_map(|(seed, count, bits)| {
        let mut draws = Draws(seed);
        let mut moments = Moments::default();
        for _ in 0..count {
            moments.add((draws.next() >> bits).cast_signed());
        }
        moments
    })
}

fn arm() -> impl Strategy<Value = Arm> {
    let tasks = prop_oneof![0..40_i64, 0..1_000_000_i64];
    let ended = tasks.prop_flat_map(|tasks| (Just(tasks), 0..=tasks));
    (ended, moments(), moments()).prop_map(|((tasks, done), cost, attempts)| Arm {
        tasks,
        done,
        cost,
        attempts,
    })
}

fn ordered(interval: Option<Interval>) {
    if let Some(Interval { estimate, low, high }) = interval {
        assert!(low.is_finite() && high.is_finite());
        assert!(low <= estimate && estimate <= high, "{low} {estimate} {high}");
    }
}

fn consistent(figure: &Difference) {
    ordered(figure.difference);
    ordered(figure.relative);
    assert_eq!(figure.finding == UpliftFinding::TooFew, !figure.missing.is_empty());
    let Some(difference) = figure.difference else {
        assert!(figure.relative.is_none());
        return;
    };
    let (with, without) = (figure.with.value.unwrap(), figure.without.value.unwrap());
    assert_eq!(difference.estimate, with - without);
    let Some(relative) = figure.relative else {
        return;
    };
    assert!(relative.low >= -1.0);
    // Both say the same of an effect, unless an end is at 0.
    for (end, ratio_end) in [(difference.low, relative.low), (difference.high, relative.high)] {
        let rounding = 1e-6;
        if end.abs() > rounding * without && ratio_end.abs() > rounding {
            assert_eq!(end > 0.0, ratio_end > 0.0, "{difference:?} {relative:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_arms_give_ordered_finite_intervals_that_agree(with in arm(), without in arm()) {
        let found = compare(&with, &without);
        for figure in [&found.success, &found.cost, &found.attempts] {
            consistent(figure);
        }
        if let Some(interval) = found.success.difference {
            prop_assert!(interval.low >= -1.0 && interval.high <= 1.0);
        }
    }

    #[test]
    fn exchanged_arms_give_the_opposite(with in arm(), without in arm()) {
        let (one, other) = (compare(&with, &without), compare(&without, &with));
        for (one, other) in [(one.success, other.success), (one.cost, other.cost)] {
            let opposite = other.difference.map(|it| (-it.estimate, -it.high, -it.low));
            prop_assert_eq!(one.difference.map(|it| (it.estimate, it.low, it.high)), opposite);
        }
    }

    #[test]
    fn more_tasks_of_the_same_kind_give_narrower_intervals(done in 0..=20_i64, base in 0..=20_i64) {
        let width = |times: i64| {
            let found = compare(&share(done * times, 20 * times), &share(base * times, 20 * times));
            found.success.difference.map(|it| it.high - it.low).unwrap()
        };
        prop_assert!(width(4) < width(1));
    }

    #[test]
    fn the_control_only_grows_with_its_share(workspace: u128, task: u128, percent in 0..=100_u8) {
        let at = |percent| {
            is_control(WorkspaceId(Uuid::from_u128(workspace)), TaskId(Uuid::from_u128(task)), percent)
        };
        prop_assert!(!at(0) && at(100) && at(u8::MAX));
        prop_assert!(!at(percent) || at(percent.saturating_add(1)));
    }
}
