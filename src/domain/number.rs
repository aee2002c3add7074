//! Numbers of JSON, which has one kind: `5.0` and `5e0` are `5`.

/// Beyond this, neighbouring integers share one double.
pub const EXACT: f64 = 9_007_199_254_740_992.0;

/// The integer that a double is; `None` for a fraction, and beyond [`EXACT`].
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a double up to EXACT without a fraction is an integer"
)]
pub fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}
