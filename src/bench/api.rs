//! What an agent sends and reads, as few bytes and as little work as possible.
//!
//! The bodies are those of an agent that calls one model per task: one entry of spend, in money and
//! in tokens, under its own key, and a short result. Claims carry an `Idempotency-Key`, because a
//! claim whose answer is lost costs a lease otherwise.

use serde::Deserialize;

use super::{
    error::{BenchError, Result},
    http::Answer,
};

/// The path of claims.
pub const CLAIMS: &str = "/v1/claims";

/// How a claim is made.
#[derive(Debug, Clone, Copy)]
pub struct ClaimTerms {
    /// Tasks by one claim.
    pub max: u32,
    /// How long the claim waits for a first task.
    pub wait_seconds: u32,
    /// How long the lease is.
    pub lease_seconds: u32,
}

impl ClaimTerms {
    /// The body of the claim.
    #[must_use]
    pub fn body(&self) -> String {
        let Self { max, wait_seconds, lease_seconds } = self;
        format!(r#"{{"max":{max},"wait_seconds":{wait_seconds},"lease_seconds":{lease_seconds}}}"#)
    }
}

/// A claimed task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The attempt.
    pub attempt: String,
    /// Its fence.
    pub lease: String,
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    claims: Vec<Claimed<'a>>,
}

#[derive(Deserialize)]
struct Claimed<'a> {
    attempt_id: &'a str,
    lease: &'a str,
}

/// What a claim was given: nothing with 204.
///
/// # Errors
/// When the answer is not muster's.
pub fn claimed(answer: &Answer) -> Result<Vec<Lease>> {
    if answer.body.is_empty() {
        return Ok(Vec::new());
    }
    let read: Claims<'_> = read(&answer.body, "POST /v1/claims")?;
    let lease = |claimed: Claimed<'_>| Lease {
        attempt: claimed.attempt_id.to_owned(),
        lease: claimed.lease.to_owned(),
    };
    Ok(read.claims.into_iter().map(lease).collect())
}

impl Lease {
    /// The path of something that the attempt says: `spend`, `complete`, `heartbeat`, `release`.
    #[must_use]
    pub fn path(&self, verb: &str) -> String {
        format!("/v1/attempts/{}/{verb}", self.attempt)
    }

    /// The body of a report of spend.
    #[must_use]
    pub fn spend(&self) -> String {
        format!(
            r#"{{"lease":"{}","entries":[{{"key":"call-1","amounts":{{"usd_micros":1250,"output_tokens":320}}}}]}}"#,
            self.lease
        )
    }

    /// The body of a completion.
    #[must_use]
    pub fn complete(&self) -> String {
        format!(r#"{{"lease":"{}","result":{{"summary":"done"}},"evidence":[]}}"#, self.lease)
    }

    /// The body of a heartbeat that says how far the work is.
    #[must_use]
    pub fn heartbeat(&self, percent: u32) -> String {
        format!(r#"{{"lease":"{}","progress":{{"percent":{percent}}}}}"#, self.lease)
    }

    /// The body of a release.
    #[must_use]
    pub fn release(&self) -> String {
        format!(r#"{{"lease":"{}"}}"#, self.lease)
    }
}

/// Reads an answer.
///
/// # Errors
/// When it is not muster's.
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8], call: &str) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|source| BenchError::Strange { call: call.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use hyper::{StatusCode, body::Bytes};
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_claim_is_read_and_the_rest_of_it_left_alone() {
        let body = r#"{"claims":[{"attempt_id":"a","lease":"l","task":{"id":"t"}}]}"#;
        let answer = Answer { status: StatusCode::OK, body: Bytes::from(body) };
        let lease = Lease { attempt: "a".into(), lease: "l".into() };
        assert_eq!(claimed(&answer).unwrap(), std::slice::from_ref(&lease));
        assert_eq!(lease.path("spend"), "/v1/attempts/a/spend");
        let none = Answer { status: StatusCode::NO_CONTENT, body: Bytes::new() };
        assert!(claimed(&none).unwrap().is_empty());
        let strange = Answer { status: StatusCode::OK, body: Bytes::from("[]") };
        assert!(claimed(&strange).is_err());
    }

    #[test]
    fn bodies_are_json() {
        let lease = Lease { attempt: "a".into(), lease: "l".into() };
        let terms = ClaimTerms { max: 10, wait_seconds: 2, lease_seconds: 60 };
        for body in
            [terms.body(), lease.spend(), lease.complete(), lease.heartbeat(40), lease.release()]
        {
            let value: Value = serde_json::from_str(&body).unwrap();
            assert!(value["max"] == 10 || value["lease"] == "l", "{body}");
        }
    }
}
