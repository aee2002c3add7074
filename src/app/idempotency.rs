//! What a use case needs to answer a repeated request as it answered the first.
//!
//! The caller of a use case that creates hands in a [`Request`]; the use case stores key,
//! fingerprint and answer in the transaction of the effect, and gives an [`Outcome`] that says
//! whether the effect is of now or of then.

/// A request that its sender wants to have an effect only once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The sender's name for the request: the `Idempotency-Key` header.
    pub key: String,
    /// SHA-256 of everything that makes the request what it is: method, path with query, body. The
    /// same key with another fingerprint is refused.
    pub fingerprint: [u8; 32],
}

/// The answer of a use case that can be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<T> {
    /// The answer.
    pub value: T,
    /// Whether it is the answer of an earlier request with the same key: nothing was done now.
    pub replayed: bool,
}

impl<T> Outcome<T> {
    /// The answer to something done now.
    pub fn fresh(value: T) -> Self {
        Self { value, replayed: false }
    }

    /// The answer that was given before.
    pub fn replayed(value: T) -> Self {
        Self { value, replayed: true }
    }

    /// The same outcome with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        Outcome { value: change(self.value), replayed: self.replayed }
    }
}
