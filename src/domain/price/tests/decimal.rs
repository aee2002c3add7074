//! Exact reading of decimal text.

use crate::domain::price::decimal::{Decimal, DecimalError, PER_MILLION, PER_ONE, Scaled};
use proptest::prelude::*;

fn exact(text: &str, power: i32) -> Result<i64, DecimalError> {
    Decimal::parse(text).and_then(|decimal| decimal.exact(power, 1_000_000_000_000))
}

#[test]
fn text_is_read_exactly() {
    for (text, picos) in [
        ("2.50", 2_500_000),
        ("0", 0),
        ("-0.0", 0),
        (".5", 500_000),
        ("10.", 10_000_000),
        ("0.000001", 1),
        ("1e2", 100_000_000),
        ("1E+2", 100_000_000),
        ("0.10000000000000000000000000000000000000000000000", 100_000),
    ] {
        assert_eq!(exact(text, PER_MILLION), Ok(picos), "{text}");
    }
    assert_eq!(exact("3.75e-08", PER_ONE), Ok(37_500));
    assert_eq!(exact("0.000000000001", PER_ONE), Ok(1));
}

#[test]
fn what_is_no_amount_is_refused() {
    for text in ["", ".", "-", "e5", "1e", "1 ", "+1", "1.2.3", "0x10", "NaN", "inf", "١", "1_0"] {
        assert_eq!(exact(text, PER_MILLION), Err(DecimalError::NotANumber), "{text}");
    }
    assert_eq!(exact(&"0".repeat(64), PER_MILLION), Ok(0));
    assert_eq!(exact(&"0".repeat(65), PER_MILLION), Err(DecimalError::NotANumber));
    assert_eq!(exact(&"1".repeat(31), PER_MILLION), Err(DecimalError::NotANumber));
    assert_eq!(exact("-0.01", PER_MILLION), Err(DecimalError::Negative));
    assert_eq!(exact("0.0000001", PER_MILLION), Err(DecimalError::TooFine));
    assert_eq!(exact("1e-400", PER_MILLION), Err(DecimalError::TooFine));
    assert_eq!(exact("1000000.000001", PER_MILLION), Err(DecimalError::TooLarge));
    assert_eq!(exact("1000000", PER_MILLION), Ok(1_000_000_000_000));
    for text in ["1e400", "9e30", "1e2147483647"] {
        assert_eq!(exact(text, PER_MILLION), Err(DecimalError::TooLarge), "{text}");
    }
}

#[test]
fn a_half_goes_to_the_even_neighbour() {
    let round = |text: &str| Decimal::parse(text).unwrap().rounded(0, i64::MAX).unwrap();
    for (text, value, rounded) in [
        ("0.5", 0, true),
        ("1.5", 2, true),
        ("2.5", 2, true),
        ("2.50000001", 3, true),
        ("2.49999999", 2, true),
        ("7", 7, false),
        ("1e-39", 0, true),
    ] {
        assert_eq!(round(text), Scaled { value, rounded }, "{text}");
    }
}

proptest! {
    #[test]
    fn whole_numbers_come_back_whatever_their_exponent(
        value in 0_i64..1_000_000_000,
        places in 0_usize..8,
    ) {
        let text = format!("{value}{}e-{places}", "0".repeat(places));
        prop_assert_eq!(exact(&text, 0), Ok(value));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-0-9.eE]{0,70}", power in -20_i32..20) {
        let read = Decimal::parse(&text).and_then(|decimal| decimal.rounded(power, 1_000));
        if let Ok(Scaled { value, .. }) = read {
            prop_assert!((0..=1_000).contains(&value));
        }
    }
}
