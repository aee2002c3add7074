//! Seals: the digests of a segment of rows, chained to the segment before it.

use serde::{Deserialize, Serialize};

use super::{Digest, Hex, Row};

/// The end of the chain. Keep it somewhere else: a later check against it detects any change to the
/// rows up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Head {
    /// The number of the last sealed row; 0 if nothing is sealed.
    #[schema(example = 5120)]
    pub number: i64,
    /// The chain hash up to that row; zeros if nothing is sealed.
    pub chain_sha256: Digest,
}

/// The head of a journal without a seal.
pub const START: Head = Head { number: 0, chain_sha256: Digest([0; 32]) };

/// The seal of a segment: the rows with the numbers `first` to `last`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Number of the first row of the segment.
    #[schema(example = 4097)]
    pub first: i64,
    /// Number of the last row of the segment.
    #[schema(example = 5120)]
    pub last: i64,
    /// The digests of the rows in order of number, 32 bytes each, concatenated; `null` after the
    /// segment was pruned.
    pub digests: Option<Hex>,
    /// Hash of the chain up to row `last`; links this seal to the one before.
    pub chain_sha256: Digest,
}

impl Seal {
    /// Seals the rows after `head` up to the number `last`. A missing row is sealed as missing.
    #[must_use]
    pub fn of(head: Head, rows: &[Row], last: i64) -> Self {
        let first = head.number + 1;
        let mut digests = vec![0; 32 * usize::try_from(last - head.number).unwrap_or_default()];
        for row in rows {
            let place = usize::try_from(row.number - first).ok();
            if let Some(place) = place.and_then(|place| digests.chunks_exact_mut(32).nth(place)) {
                place.copy_from_slice(&row.digest().0);
            }
        }
        let chain_sha256 = chained(head.chain_sha256, first, last, &digests);
        Self { first, last, digests: Some(Hex(digests)), chain_sha256 }
    }

    /// The head of the chain that ends with it.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { number: self.last, chain_sha256: self.chain_sha256 }
    }

    /// The digests, one for each number. `None`: pruned, or not one for each number.
    #[must_use]
    pub(super) fn digests(&self) -> Option<Vec<Digest>> {
        let bytes = &self.digests.as_ref()?.0;
        let numbers = self.last.checked_sub(self.first)?.checked_add(1)?;
        let complete = usize::try_from(numbers).ok()?.checked_mul(32)? == bytes.len();
        complete.then(|| bytes.chunks_exact(32).map(Digest::stored).collect())
    }

    /// Its chain hash after `before`, with these digests.
    #[must_use]
    pub(super) fn chained(&self, before: Digest, digests: &[Digest]) -> Digest {
        let bytes: Vec<u8> = digests.iter().flat_map(|digest| digest.0).collect();
        chained(before, self.first, self.last, &bytes)
    }
}

fn chained(before: Digest, first: i64, last: i64, digests: &[u8]) -> Digest {
    Digest::of(&[&before.0, &first.to_be_bytes(), &last.to_be_bytes(), digests])
}
