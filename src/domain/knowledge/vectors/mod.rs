//! Static word vectors: what a text is about, from a table and without a model.
//!
//! A table gives each token of a vocabulary a vector of [`DIMENSIONS`] signed bytes with a scale. The vector of a text is
//! the mean of those of its tokens, normalised and rounded to signed bytes; texts about the same thing point in the same
//! direction. It takes microseconds and depends on nothing but the table.
//!
//! The table is read from the files in which such vectors are published: one matrix in safetensors, and the
//! description of its tokenizer (byte pair encoding). Vectors trained to be cut keep their meaning in the first
//! dimensions (A. Kusupati et al., "Matryoshka Representation Learning", 2022), so longer ones are cut.

mod safetensors;
#[cfg(test)]
mod tests;
mod tokenizer;

use tokenizer::Tokenizer;

/// Dimensions of the vectors of a table, and of the texts that it embeds.
pub const DIMENSIONS: usize = 128;
/// Tokens of the largest table.
const TOKENS: usize = 1_000_000;
/// Tokens of a text that count, at most.
const TOKENS_OF_TEXT: usize = 8_192;
/// Begins the stored form; another layout gets another number.
const MAGIC: &[u8; 4] = b"MWV1";

/// Why a table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file of weights has another form.
    #[error("the weights cannot be read: {0}")]
    Weights(String),
    /// The description of the tokenizer has another form.
    #[error("the tokenizer cannot be read: {0}")]
    Tokenizer(String),
    /// Weights and tokenizer do not belong together.
    #[error(
        "the tokenizer has {tokens} tokens, and the weights have {rows} rows: they do not belong together"
    )]
    Different {
        /// Tokens of the tokenizer.
        tokens: usize,
        /// Rows of the weights.
        rows: usize,
    },
    /// The stored form is damaged, or of another version.
    #[error("the stored table cannot be read: {0}")]
    Stored(&'static str),
}

/// A vocabulary with a vector for each token.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    tokenizer: Tokenizer,
    /// [`DIMENSIONS`] bytes per token.
    rows: Vec<i8>,
    /// What a byte of each row stands for.
    scales: Vec<f32>,
}

impl Table {
    /// Reads the weights and the tokenizer as they are published.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn read(weights: &[u8], tokenizer: &[u8]) -> Result<Self, Fault> {
        let matrix = safetensors::read(weights)?;
        let tokenizer = Tokenizer::read(tokenizer)?;
        if tokenizer.len() > matrix.rows {
            return Err(Fault::Different { tokens: tokenizer.len(), rows: matrix.rows });
        }
        if matrix.rows > TOKENS {
            return Err(Fault::Weights(format!("{} rows; at most {TOKENS} are read", matrix.rows)));
        }
        if matrix.columns < DIMENSIONS {
            let columns = matrix.columns;
            let why = format!("{columns} dimensions; at least {DIMENSIONS} are needed");
            return Err(Fault::Weights(why));
        }
        let count = tokenizer.len();
        let mut rows = Vec::with_capacity(count * DIMENSIONS);
        let mut scales = Vec::with_capacity(count);
        for at in 0..count {
            let row = matrix.row(at, DIMENSIONS);
            let (row, scale) = quantised(&row);
            rows.extend(row);
            scales.push(scale);
        }
        Ok(Self { tokenizer, rows, scales })
    }

    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokenizer.len()
    }

    /// Whether it has no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The vector of a text; `None` if it has no known token.
    #[must_use]
    pub fn embed(&self, text: &str) -> Option<[i8; DIMENSIONS]> {
        let tokens = self.tokenizer.tokens(text, TOKENS_OF_TEXT);
        if tokens.is_empty() {
            return None;
        }
        let mut sum = [0.0_f32; DIMENSIONS];
        for token in tokens {
            let token = token as usize;
            let Some(scale) = self.scales.get(token) else { continue };
            let row = &self.rows[token * DIMENSIONS..(token + 1) * DIMENSIONS];
            for (sum, part) in sum.iter_mut().zip(row) {
                *sum += scale * f32::from(*part);
            }
        }
        let (row, scale) = quantised(&sum);
        (scale > 0.0).then_some(row)
    }

    /// The stored form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        self.tokenizer.write(&mut bytes);
        for scale in &self.scales {
            bytes.extend(scale.to_le_bytes());
        }
        bytes.extend(self.rows.iter().map(|part| part.cast_unsigned()));
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`Fault::Stored`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(Fault::Stored("it is of another version"))?;
        let mut rest = rest;
        let tokenizer = Tokenizer::stored(&mut rest)?;
        let count = tokenizer.len();
        if rest.len() != count * (4 + DIMENSIONS) {
            return Err(Fault::Stored("its length is wrong"));
        }
        let (scales, rows) = rest.split_at(count * 4);
        let (scales, _) = scales.as_chunks::<4>();
        let scales: Vec<f32> = scales.iter().map(|part| f32::from_le_bytes(*part)).collect();
        if scales.iter().any(|scale| !scale.is_finite()) {
            return Err(Fault::Stored("a scale is no number"));
        }
        let rows = rows.iter().map(|part| part.cast_signed()).collect();
        Ok(Self { tokenizer, rows, scales })
    }
}

/// A vector as signed bytes, and what one of them stands for; 0 for a vector without a direction.
fn quantised(vector: &[f32]) -> ([i8; DIMENSIONS], f32) {
    let largest = vector.iter().fold(0.0_f32, |largest, part| largest.max(part.abs()));
    let mut row = [0; DIMENSIONS];
    if largest <= 0.0 || !largest.is_finite() {
        return (row, 0.0);
    }
    let scale = largest / f32::from(i8::MAX);
    for (byte, part) in row.iter_mut().zip(vector) {
        *byte = (part / scale).round() as i8;
    }
    (row, scale)
}

/// The cosine of two vectors; 0 for one without a direction, or of another length.
#[must_use]
pub fn cosine(one: &[i8], other: &[i8]) -> f64 {
    if one.len() != other.len() {
        return 0.0;
    }
    let dot = |one: &[i8], other: &[i8]| -> i64 {
        one.iter().zip(other).map(|(a, b)| i64::from(*a) * i64::from(*b)).sum()
    };
    let lengths = (dot(one, one) as f64).sqrt() * (dot(other, other) as f64).sqrt();
    if lengths > 0.0 { dot(one, other) as f64 / lengths } else { 0.0 }
}
