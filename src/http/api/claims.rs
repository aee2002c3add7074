//! Claims: how an agent gets work.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{
        App,
        attempts::claim::answer::{ClaimAnswer, ClaimRequest},
        caller::ClaimCaller,
        unit::idempotency::Outcome,
    },
    http::{
        describe::{Describe, Description, handlers},
        extract::{auth::Auth, idempotency::Create, long_poll::LongPoll},
        problem::Result,
        reply::{NoContent, Replayable},
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![claim[AgentNotActive]]
}

/// 200 with claims, 204 without any.
struct Claimed(Outcome<ClaimAnswer>);

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
/// The best ready tasks that your agent is able to do: highest priority first, and what has waited
/// longest among those. Each claim starts an attempt and comes with its `lease`, which every later
/// write must show, and with everything that the work needs. With `wait_seconds` the answer waits
/// for the first task. With an `Idempotency-Key`, an answer that got lost on its way can be had
/// again, leases included, in place of other tasks.
#[utoipa::path(post, path = "/v1/claims", tag = "claims")]
async fn claim(
    Auth(caller): Auth<ClaimCaller>,
    State(app): State<Arc<App>>,
    _: LongPoll,
    Create { body, idempotency }: Create<ClaimRequest>,
) -> Result<Claimed> {
    Ok(Claimed(app.claim(&caller, &body, idempotency.as_ref()).await?))
}
