//! Claims: how agents get tasks.

use axum::response::{IntoResponse, Response};

use crate::{
    app::{
        attempts::claim::answer::{ClaimAnswer, ClaimRequest},
        caller::ClaimCaller,
        unit::idempotency::Outcome,
    },
    http::{
        describe::{Describe, Description},
        extract::{auth::Auth, idempotency::Create, meter::Meter},
        problem::Result,
        reply::{NoContent, Replayable},
    },
};

/// 200 with claims, 204 without.
pub struct Claimed(Outcome<ClaimAnswer>);

impl IntoResponse for Claimed {
    fn into_response(self) -> Response {
        if self.0.value.claims.is_empty() {
            return NoContent.into_response();
        }
        Replayable(self.0).into_response()
    }
}

impl Describe for Claimed {
    fn describe(doc: &mut Description<'_>) {
        Replayable::<ClaimAnswer>::describe(doc);
        doc.empty_response(204, "There is nothing that this agent could do now.", &[]);
    }
}

/// Claim tasks.
///
/// Returns the best ready tasks that the agent can do: highest priority first, then longest
/// waiting. Each claim starts an attempt. It has the `lease`, which every later write must show,
/// and everything that the work needs. With `wait_seconds`, the answer waits for the first task.
/// With an `Idempotency-Key`, a lost answer can be requested again: it has the same claims with the
/// same leases.
#[utoipa::path(post, path = "/v1/claims")]
pub async fn claim(
    Auth { app, caller }: Auth<ClaimCaller>,
    meter: Meter,
    Create { body, idempotency }: Create<ClaimRequest>,
) -> Result<Claimed> {
    meter.wait_if(body.wait_seconds > 0)?;
    Ok(Claimed(app.claim(&caller, &body, idempotency.as_ref()).await?))
}
