//! Lease tokens: the fence of an attempt.
//!
//! 128 random bits, told to the claimer once and stored as SHA-256. Whoever shows the token is the
//! claimer, whatever process or key it uses now; nobody else can write to the attempt.

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
