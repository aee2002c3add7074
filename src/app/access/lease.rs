//! Lease tokens: the fence of an attempt.
//!
//! 128 random bits, returned to the claimer once and stored as SHA-256. The token identifies the
//! claimer in any process and with any of its keys; nobody without it can write to the attempt.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest as _, Sha256};

use crate::entropy::Entropy;

/// A new token and its hash.
#[must_use]
pub fn new(entropy: &Entropy) -> (String, [u8; 32]) {
    let bits: [u8; 16] = entropy.bytes();
    let token = format!("lse_{}", BASE32_NOPAD.encode(&bits).to_lowercase());
    let hash = hash(&token);
    (token, hash)
}

/// What is stored of a token.
#[must_use]
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
