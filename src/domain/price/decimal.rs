//! Decimal text to a whole number of pico-dollars.
//!
//! The text is read digit by digit, so `0.1` is exactly a tenth. A JSON number is read through its
//! shortest decimal text, which is what its author wrote.

use serde_json::Number;

/// Power of ten from dollars per million tokens to pico-dollars per token.
pub(in crate::domain) const PER_MILLION: i32 = 6;
/// Power of ten from dollars to pico-dollars.
pub(in crate::domain) const PER_ONE: i32 = 12;
/// Power of ten from dollars per thousand to pico-dollars.
pub(in crate::domain) const PER_THOUSAND: i32 = 9;

/// Longest number, in characters.
const TEXT_MAX: usize = 64;
/// Most significant digits: 10^30 is far above every bound, and twice that fits 128 bits.
const DIGITS_MAX: usize = 30;

/// Reason why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::domain) enum DecimalError {
    /// Not a decimal number, or too many digits.
    #[error("must be a decimal number of at most 30 digits, for example `2.50`")]
    NotANumber,
    /// Below zero.
    #[error("must not be negative")]
    Negative,
    /// Not a whole number of pico-dollars.
    #[error("is finer than a pico-dollar: leave out decimal places")]
    TooFine,
    /// Above the bound.
    #[error("is too large")]
    TooLarge,
}

/// A non-negative number: `digits` times ten to the power of `exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::domain) struct Decimal {
    digits: u128,
    exponent: i32,
}

/// A scaled number, possibly rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::domain) struct Scaled {
    /// The whole number.
    pub(in crate::domain) value: i64,
    /// Whether rounding lost something.
    pub(in crate::domain) rounded: bool,
}

impl Decimal {
    /// Reads `12`, `2.50`, `.5`, `3.75e-08`.
    pub(in crate::domain) fn parse(text: &str) -> Result<Self, DecimalError> {
        if text.len() > TEXT_MAX {
            return Err(DecimalError::NotANumber);
        }
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (number, power) = match text.split_once(['e', 'E']) {
            Some((number, power)) => {
                (number, power.parse::<i32>().map_err(|_| DecimalError::NotANumber)?)
            }
            None => (text, 0),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let all = format!("{whole}{part}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DecimalError::NotANumber);
        }
        let significant = all.trim_end_matches('0');
        let dropped = all.len() - significant.len();
        let significant = significant.trim_start_matches('0');
        if significant.is_empty() {
            return Ok(Self { digits: 0, exponent: 0 });
        }
        if negative {
            return Err(DecimalError::Negative);
        }
        if significant.len() > DIGITS_MAX {
            return Err(DecimalError::NotANumber);
        }
        let digits = significant.parse().map_err(|_| DecimalError::NotANumber)?;
        // Both lengths are at most TEXT_MAX.
        let exponent = power.saturating_sub(part.len() as i32).saturating_add(dropped as i32);
        Ok(Self { digits, exponent })
    }

    /// Reads a JSON number through its shortest decimal text.
    pub(in crate::domain) fn from_number(number: &Number) -> Result<Self, DecimalError> {
        Self::parse(&number.to_string())
    }

    /// `self * 10^power`, exact and at most `most`.
    pub(in crate::domain) fn exact(self, power: i32, most: i64) -> Result<i64, DecimalError> {
        let Scaled { value, rounded } = self.rounded(power, most)?;
        if rounded { Err(DecimalError::TooFine) } else { Ok(value) }
    }

    /// `self * 10^power`, exact and at most `most`, for amounts beyond 64 bits.
    pub(in crate::domain) fn exact_wide(
        self,
        power: i32,
        most: i128,
    ) -> Result<i128, DecimalError> {
        let power = self.exponent.saturating_add(power);
        let size = power.unsigned_abs();
        let value = match (self.digits, power >= 0) {
            (0, _) => 0,
            (digits, true) => raise(digits, size).ok_or(DecimalError::TooLarge)?,
            (digits, false) => {
                let divisor = raise(1, size).ok_or(DecimalError::TooFine)?;
                if digits % divisor != 0 {
                    return Err(DecimalError::TooFine);
                }
                digits / divisor
            }
        };
        let value = i128::try_from(value).ok().filter(|value| *value <= most);
        value.ok_or(DecimalError::TooLarge)
    }

    /// `self * 10^power`, at most `most`, rounded half to even so that sums of many amounts are not
    /// biased.
    pub(in crate::domain) fn rounded(self, power: i32, most: i64) -> Result<Scaled, DecimalError> {
        let power = self.exponent.saturating_add(power);
        let size = power.unsigned_abs();
        if power >= 0 {
            let value = if self.digits == 0 { Some(0) } else { raise(self.digits, size) };
            return Ok(Scaled { value: within(value, most)?, rounded: false });
        }
        let Some(divisor) = raise(1, size) else {
            // Less than 10^30 divided by at least 10^39 is less than a half.
            return Ok(Scaled { value: 0, rounded: self.digits != 0 });
        };
        let (quotient, rest) = (self.digits / divisor, self.digits % divisor);
        let up = match (rest * 2).cmp(&divisor) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => quotient % 2,
            std::cmp::Ordering::Greater => 1,
        };
        Ok(Scaled { value: within(Some(quotient + up), most)?, rounded: rest != 0 })
    }
}

fn raise(digits: u128, power: u32) -> Option<u128> {
    10_u128.checked_pow(power)?.checked_mul(digits)
}

fn within(value: Option<u128>, most: i64) -> Result<i64, DecimalError> {
    value
        .and_then(|value| i64::try_from(value).ok())
        .filter(|value| *value <= most)
        .ok_or(DecimalError::TooLarge)
}
