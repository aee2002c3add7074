//! Lease tokens: the fence of an attempt.
//!
//! `lse_<workspace>_<secret>`: the secret is 128 random bits. A token is returned to the claimer once and
//! stored as SHA-256. It identifies the claimer in any process and with any of its keys. Nobody without
//! it can write to the attempt. Like every token it names its workspace, so that a request finds its
//! database from it.

use sha2::{Digest as _, Sha256};

use crate::{
    domain::{access::token::base32, ids::WorkspaceId},
    entropy::Entropy,
};

/// A new token and its hash.
#[must_use]
pub fn new(workspace: WorkspaceId, entropy: &Entropy) -> (String, [u8; 32]) {
    let secret: [u8; 16] = entropy.bytes();
    let token = format!("lse_{}_{}", base32(workspace.0.as_bytes()), base32(&secret));
    let hash = hash(&token);
    (token, hash)
}

/// The stored hash of a token.
#[must_use]
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
