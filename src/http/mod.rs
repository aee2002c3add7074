//! The HTTP face of muster: requests to use cases, and their results to answers.
//!
//! | room | holds |
//! |---|---|
//! | `router` | the page: every method and path with its handler, refusals and layers |
//! | `api` | the handlers of `/v1`, one file per noun |
//! | `decide`, [`health`], [`docs`], `api::problems` | the pages and operations outside `/v1` |
//! | [`extract`] | the parts of a request, and the refusal of wrong input |
//! | [`reply`], [`problem`] | the answers, and the problems |
//! | [`describe`] | the OpenAPI document from the types of handlers |
//! | [`serve`] | connections, the layers of every request, their logs and metrics |
//! | [`fairness`] | the caps on what one key, workspace or address may use |
//! | [`state`] | what handlers and layers share |
//!
//! A handler reads the request with extractors, calls one use case and returns a reply; it decides
//! nothing. Extractors and replies describe themselves ([`describe`]), so the signature of a handler is
//! its documentation:
//!
//! ```ignore
//! /// Create a goal.
//! ///
//! /// The first line is the summary of the operation, these are its description.
//! #[utoipa::path(post, path = "/v1/goals")]
//! pub async fn create_goal(
//!     Auth { app, caller }: Auth<SubmitterCaller>,    // 401, 403, x-roles, security
//!     Create { body, idempotency }: Create<NewGoal>,  // 400, 413, 415, 422, Idempotency-Key
//! ) -> Result<Created<Goal>> {                        // 201, Location, ETag, Idempotent-Replayed
//!     let outcome = app.create_goal(&caller, &body, idempotency.as_ref()).await?;
//!     Ok(Created::new(outcome, |goal| format!("/v1/goals/{}", goal.id)).version(|goal| goal.version))
//! }
//!
//! #[utoipa::path(get, path = "/v1/goals/{goal_id}")]
//! pub async fn get_goal(
//!     Auth { app, caller }: Auth<ReaderCaller>,
//!     ApiPath(goal): ApiPath<GoalId>,                 // 404, the parameter
//!     ApiQuery(wait): ApiQuery<WaitQuery>,            // 422, the parameters
//!     known: IfNoneMatch,                             // 304
//! ) -> Result<Versioned<Goal>> {                      // 200, ETag
//!     let goal = app.wait_goal(&caller, goal, known.version, wait.duration()).await?;
//!     Ok(Versioned::new(goal, |goal| goal.version).unless(known))
//! }
//!
//! #[utoipa::path(patch, path = "/v1/goals/{goal_id}")]
//! pub async fn update_goal(
//!     Auth { app, caller }: Auth<OperatorCaller>,
//!     ApiPath(goal): ApiPath<GoalId>,
//!     if_match: IfMatch,                              // 428, 412
//!     ApiJson(change): ApiJson<GoalChange>,           // 400, 413, 415, 422
//! ) -> Result<Versioned<Goal>> {
//!     let goal = app.update_goal(&caller, goal, if_match.version, &change).await?;
//!     Ok(Versioned::new(goal, |goal| goal.version))
//! }
//!
//! #[utoipa::path(get, path = "/v1/goals")]
//! pub async fn list_goals(
//!     Auth { app, caller }: Auth<ReaderCaller>,
//!     list: Listing<GoalQuery, GoalId>,               // its parameters, limit, cursor, 422
//! ) -> Result<Paged<Goal>> {                          // GoalPage, Link
//!     let rows = app.list_goals(&caller, &list.filter, list.after, list.rows()).await?;
//!     list.page(rows, |goal| goal.id)
//! }
//! ```
//!
//! The page adds the problem codes of the use case and the layers of the route. Every operation also
//! documents 500 and 503. `GoalQuery` derives `IntoParams`, and `Deserialize` with
//! `deny_unknown_fields`; `GoalId` is the sort key of the list.

mod api;
mod cookie;
mod decide;
pub mod describe;
pub mod docs;
pub mod extract;
pub mod fairness;
pub mod handbook;
pub mod health;
mod markdown;
pub mod problem;
pub mod reply;
mod router;
pub mod serve;
pub mod state;
mod unions;

use std::sync::LazyLock;

use axum::Router;
use utoipa::openapi::OpenApi;

use describe::Extent;
use serve::layers::{RouteTable, layered};
use state::HttpState;

/// The whole service: the operations of the page, Swagger UI, and the layers around them.
pub fn router(state: &HttpState) -> Router {
    let (routes, table) = &*ROUTES;
    layered(routes.clone(), state, table)
}

/// The routes without their state, and what the page says of them. Made once per process, because making
/// them describes every operation: a test process makes a router for each of its many services. Without
/// schemas, which nobody asks for until somebody reads the document, so that a service starts at once.
static ROUTES: LazyLock<(Router<HttpState>, RouteTable)> = LazyLock::new(|| {
    let (routes, mut document) = router::routes(Extent::Operations).split_for_parts();
    let table = RouteTable::of(&mut document);
    (routes.merge(docs::swagger_ui()).merge(handbook::routes()), table)
});

/// The OpenAPI document.
#[must_use]
pub fn api_document() -> OpenApi {
    docs::with_used_tags(router::routes(Extent::Whole).into_openapi())
}
