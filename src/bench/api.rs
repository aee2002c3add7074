//! The requests of an agent, written and read with little work.
//!
//! The agent calls one model per task: it reports one entry of spend, in money and in tokens, under
//! its own key, and a short result. Claims carry an `Idempotency-Key`, because the lost answer of a
//! claim without one costs a lease.

use serde::Deserialize;

use super::{error::Result, http::Answer};

/// The path of claims.
pub const CLAIMS: &str = "/v1/claims";

/// The terms of a claim.
#[derive(Debug, Clone, Copy)]
pub struct ClaimTerms {
    /// Most tasks of one claim.
    pub max: u32,
    /// Longest wait for a first task.
    pub wait_seconds: u32,
    /// Length of the lease.
    pub lease_seconds: u32,
}

impl ClaimTerms {
    /// The body of the claim.
    pub fn body(&self) -> String {
        let Self { max, wait_seconds, lease_seconds } = self;
        format!(r#"{{"max":{max},"wait_seconds":{wait_seconds},"lease_seconds":{lease_seconds}}}"#)
    }
}

/// A claimed task.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Lease {
    /// The id of the attempt.
    pub attempt_id: String,
    /// The token of its lease.
    pub lease: String,
}

#[derive(Deserialize)]
struct Claims {
    claims: Vec<Lease>,
}

/// The claimed tasks; none with 204.
///
/// # Errors
/// The answer has another form.
pub fn claimed(answer: &Answer) -> Result<Vec<Lease>> {
    if answer.body.is_empty() {
        return Ok(Vec::new());
    }
    Ok(serde_json::from_slice::<Claims>(&answer.body)?.claims)
}

impl Lease {
    /// The path of a request of the attempt: `spend`, `complete`, `heartbeat`, `release`.
    pub fn path(&self, verb: &str) -> String {
        format!("/v1/attempts/{}/{verb}", self.attempt_id)
    }

    /// The body of a report of spend.
    pub fn spend(&self) -> String {
        format!(
            r#"{{"lease":"{}","entries":[{{"key":"call-1","amounts":{{"usd_micros":1250,"output_tokens":320}}}}]}}"#,
            self.lease
        )
    }

    /// The body of a completion.
    pub fn complete(&self) -> String {
        format!(r#"{{"lease":"{}","result":{{"summary":"done"}},"evidence":[]}}"#, self.lease)
    }

    /// The body of a heartbeat with progress.
    pub fn heartbeat(&self, percent: u32) -> String {
        format!(r#"{{"lease":"{}","progress":{{"percent":{percent}}}}}"#, self.lease)
    }

    /// The body of a release.
    pub fn release(&self) -> String {
        format!(r#"{{"lease":"{}"}}"#, self.lease)
    }
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
        let lease = Lease { attempt_id: "a".into(), lease: "l".into() };
        assert_eq!(claimed(&answer).unwrap(), std::slice::from_ref(&lease));
        assert_eq!(lease.path("spend"), "/v1/attempts/a/spend");
        let none = Answer { status: StatusCode::NO_CONTENT, body: Bytes::new() };
        assert!(claimed(&none).unwrap().is_empty());
        let strange = Answer { status: StatusCode::OK, body: Bytes::from("[]") };
        assert!(claimed(&strange).is_err());
    }

    #[test]
    fn bodies_are_json() {
        let lease = Lease { attempt_id: "a".into(), lease: "l".into() };
        let terms = ClaimTerms { max: 10, wait_seconds: 2, lease_seconds: 60 };
        for body in
            [terms.body(), lease.spend(), lease.complete(), lease.heartbeat(40), lease.release()]
        {
            let value: Value = serde_json::from_str(&body).unwrap();
            assert!(value["max"] == 10 || value["lease"] == "l", "{body}");
        }
    }
}
