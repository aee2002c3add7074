//! One matrix in the format safetensors: the length of a header in 8 bytes, the header in JSON, the numbers.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Fault;

/// Bytes of the longest header.
const HEADER: usize = 1024 * 1024;

/// How numbers are stored, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    F32,
    F16,
    Bf16,
    I8,
}

impl Number {
    fn of(name: &str) -> Option<Self> {
        match name {
            "F32" => Some(Self::F32),
            "F16" => Some(Self::F16),
            "BF16" => Some(Self::Bf16),
            "I8" => Some(Self::I8),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I8 => 1,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// A matrix of numbers.
#[derive(Debug)]
pub(super) struct Matrix<'a> {
    /// Number of rows.
    pub rows: usize,
    /// Numbers per row.
    pub columns: usize,
    number: Number,
    data: &'a [u8],
}

impl Matrix<'_> {
    /// The first `most` numbers of a row.
    pub fn row(&self, at: usize, most: usize) -> Vec<f32> {
        let width = self.number.bytes();
        let begin = at * self.columns * width;
        let data = &self.data[begin..begin + most.min(self.columns) * width];
        match self.number {
            Number::F32 => {
                data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
            }
            Number::F16 => pairs(data).map(half).collect(),
            Number::Bf16 => pairs(data).map(|bits| f32::from_bits(u32::from(bits) << 16)).collect(),
            Number::I8 => data.iter().map(|byte| f32::from(byte.cast_signed())).collect(),
        }
    }
}

fn pairs(data: &[u8]) -> impl Iterator<Item = u16> {
    data.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes))
}

/// The value of a number of IEEE 754 in 16 bits.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from((bits >> 10) & 0x1f);
    let fraction = f32::from(bits & 0x3ff) / 1024.0;
    match exponent {
        0 => sign * fraction * 2.0_f32.powi(-14),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction) * 2.0_f32.powi(exponent - 15),
    }
}

/// The only matrix of a file, or the largest of several.
pub(super) fn read(file: &[u8]) -> Result<Matrix<'_>, Fault> {
    let wrong = |why: &str| Fault::Weights(why.to_owned());
    let (length, rest) =
        file.split_first_chunk::<8>().ok_or_else(|| wrong("the file is too short"))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > HEADER || length > rest.len() {
        return Err(wrong("it is no safetensors file"));
    }
    let (header, data) = rest.split_at(length);
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header)
        .map_err(|error| Fault::Weights(format!("its header is no JSON: {error}")))?;
    let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__");
    let tensors = tensors.filter_map(|(_, value)| serde_json::from_value::<Tensor>(value).ok());
    let matrices = tensors.filter(|tensor| tensor.shape.len() == 2);
    let largest =
        matrices.max_by_key(|tensor| tensor.data_offsets[1].saturating_sub(tensor.data_offsets[0]));
    let Tensor { dtype, shape, data_offsets: [begin, end] } =
        largest.ok_or_else(|| wrong("it has no matrix"))?;
    let number = Number::of(&dtype).ok_or_else(|| {
        Fault::Weights(format!(
            "numbers of the type {dtype} are not read; use F32, F16, BF16 or I8"
        ))
    })?;
    let (rows, columns) = (shape[0], shape[1]);
    let expected = rows.checked_mul(columns).and_then(|count| count.checked_mul(number.bytes()));
    let data = data.get(begin..end).ok_or_else(|| wrong("its numbers are missing"))?;
    if expected != Some(data.len()) || columns == 0 {
        return Err(wrong("its shape and its numbers do not fit"));
    }
    Ok(Matrix { rows, columns, number, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_have_their_values() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65_504.0),
            (0x0001, 5.960_464_5e-8),
        ] {
            assert_eq!(half(bits), value, "{bits:x}");
        }
        assert!(half(0x7e00).is_nan() && half(0x7c00).is_infinite());
    }
}
