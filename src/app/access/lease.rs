//! Lease tokens: the fence of an attempt.
//!
//! A token is 128 random bits, returned to the claimer once and stored as SHA-256. It identifies
//! the claimer in any process and with any of its keys. Nobody without it can write to the attempt.

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

/// The stored hash of a token.
#[must_use]
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
