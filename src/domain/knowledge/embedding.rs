//! Vectors of a model as signed bytes, so that they are stored and compared like those of words.

/// Dimensions of the longest vector.
const DIMENSIONS: usize = 4096;

/// A vector as signed bytes, scaled by its largest part. `None`: it has no direction, or is too long. The angle between two
/// vectors changes by less than a hundredth.
#[must_use]
pub fn quantised(vector: &[f32]) -> Option<Vec<i8>> {
    let largest = vector.iter().fold(0.0_f32, |largest, part| largest.max(part.abs()));
    if vector.len() > DIMENSIONS || largest <= 0.0 || vector.iter().any(|part| !part.is_finite()) {
        return None;
    }
    // Divided first: the inverse of a very small number is infinite.
    Some(vector.iter().map(|part| (part / largest * f32::from(i8::MAX)).round() as i8).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::knowledge::vectors::cosine;

    #[test]
    fn what_has_no_direction_has_no_vector() {
        assert_eq!(quantised(&[]), None);
        assert_eq!(quantised(&[0.0, 0.0]), None);
        assert_eq!(quantised(&[1.0, f32::NAN]), None);
        assert_eq!(quantised(&vec![1.0; DIMENSIONS + 1]), None);
        assert_eq!(quantised(&[2.0, -1.0]), Some(vec![127, -64]));
        let smallest = [-f32::from_bits(2), f32::from_bits(1)];
        assert_eq!(quantised(&smallest), Some(vec![-127, 64]), "however small");
    }

    proptest! {
        #[test]
        fn angles_stay(
            pairs in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 32..512),
        ) {
            let (one, other): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let exact = |a: &[f32], b: &[f32]| -> f64 {
                a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let want = exact(&one, &other) / (exact(&one, &one) * exact(&other, &other)).sqrt();
            let (Some(a), Some(b)) = (quantised(&one), quantised(&other)) else {
                return Err(TestCaseError::fail("no vector"));
            };
            prop_assert!((cosine(&a, &b) - want).abs() < 0.01);
        }
    }
}
