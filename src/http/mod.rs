//! muster over HTTP: what is said aloud, and nothing else.
//!
//! A file per resource holds its routes and handlers. A handler reads the request with the
//! extractors, calls one use case and answers with one of the reply types; it decides nothing.
//! Because each extractor and reply describes itself ([`describe`]), the signature is the whole
//! OpenAPI documentation of what goes in and out:
//!
//! ```ignore
//! pub fn routes() -> OpenApiRouter<HttpState> {
//!     handlers![
//!         list_goals,
//!         create_goal [NoTasksFound, PlanInvalid],   // how the use case refuses
//!         get_goal,
//!         update_goal [GoalEnded],
//!     ]
//! }
//!
//! /// Post a goal.
//! ///
//! /// The first line is the summary of the operation, this is its description.
//! #[utoipa::path(post, path = "/v1/goals", tag = "goals")]
//! async fn create_goal(
//!     Auth(caller): Auth<SubmitterCaller>,          // 401, 403, x-roles, security
//!     State(app): State<Arc<App>>,
//!     Create { body, idempotency }: Create<NewGoal>, // 400, 413, 415, 422, Idempotency-Key
//! ) -> Result<Created<Goal>> {                       // 201, Location, Idempotent-Replayed
//!     let outcome = app.create_goal(&caller, body, idempotency).await?;
//!     Ok(Created::new(format!("/v1/goals/{}", outcome.value.id), outcome))
//! }
//!
//! #[utoipa::path(get, path = "/v1/goals/{goal_id}", tag = "goals")]
//! async fn get_goal(
//!     Auth(caller): Auth<ReaderCaller>,
//!     State(app): State<Arc<App>>,
//!     ApiPath(id): ApiPath<GoalId>,                  // 404, the parameter
//!     ApiQuery(wait): ApiQuery<WaitQuery>,           // 422, the parameters
//!     known: IfNoneMatch,                            // 304
//!     _: LongPoll,                                   // may wait: longer timeout, own limit
//! ) -> Result<Versioned<Goal>> {                     // 200, ETag
//!     let goal = app.wait_goal(&caller, id, known.version, wait.duration()).await?;
//!     Ok(Versioned::new(goal.version, goal).unless(known))
//! }
//!
//! #[utoipa::path(patch, path = "/v1/goals/{goal_id}", tag = "goals")]
//! async fn update_goal(
//!     Auth(caller): Auth<OperatorCaller>,
//!     State(app): State<Arc<App>>,
//!     ApiPath(id): ApiPath<GoalId>,
//!     if_match: IfMatch,                             // 428, 412
//!     ApiJson(change): ApiJson<GoalChange>,          // 400, 413, 415, 422
//! ) -> Result<Versioned<Goal>> {
//!     let goal = app.update_goal(&caller, id, if_match.version, change).await?;
//!     Ok(Versioned::new(goal.version, goal))
//! }
//!
//! #[utoipa::path(get, path = "/v1/goals", tag = "goals")]
//! async fn list_goals(
//!     Auth(caller): Auth<ReaderCaller>,
//!     State(app): State<Arc<App>>,
//!     list: Listing<GoalFilter, GoalKey>,            // its parameters, limit, cursor, 422
//! ) -> Result<Paged<Goal>> {                         // GoalPage, Link
//!     let rows = app.list_goals(&caller, &list.filter, list.after.as_ref(), list.rows()).await?;
//!     list.page(rows, |goal| GoalKey { id: goal.id })
//! }
//! ```
//!
//! `GoalFilter` derives `Deserialize` (with `deny_unknown_fields`) and `IntoParams` (with
//! `#[into_params(parameter_in = Query)]`); `GoalKey` derives `Serialize` and `Deserialize` and is a
//! [`extract::page::SortKey`]. Every operation gets 500 and 503 beside what follows from its signature.

pub mod api;
pub mod decide;
pub mod describe;
pub mod docs;
pub mod extract;
pub mod health;
pub mod problem;
pub mod reply;
pub mod serve;
pub mod state;

use std::sync::Arc;

use axum::{Router, extract::FromRef};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use state::HttpState;

impl FromRef<HttpState> for Arc<App> {
    fn from_ref(state: &HttpState) -> Self {
        Self::clone(&state.app)
    }
}

fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::with_openapi(docs::preface())
        .merge(api::goals::routes())
        .merge(api::plans::routes())
        .merge(api::tasks::routes())
        .merge(api::claims::routes())
        .merge(api::attempts::routes())
        .merge(api::approvals::routes())
        .merge(api::policies::routes())
        .merge(api::links::routes())
        .merge(decide::routes())
        .merge(api::attention::routes())
        .merge(api::projects::routes())
        .merge(api::budgets::routes())
        .merge(api::reports::routes())
        .merge(api::prices::routes())
        .merge(api::agents::routes())
        .merge(api::freezes::routes())
        .merge(api::rules::routes())
        .merge(api::events::routes())
        .merge(api::audit::routes())
        .merge(api::keys::routes())
        .merge(api::whoami::routes())
        .merge(api::supervisor::routes())
        .merge(api::verify::routes())
        .merge(health::routes())
        .merge(api::problems::routes())
        .merge(docs::routes())
}

/// Everything that muster serves.
pub fn router(state: &HttpState) -> Router {
    let (routes, mut document) = routes().split_for_parts();
    serve::layers::layered(routes.merge(docs::swagger_ui()), state, &mut document)
}

/// The OpenAPI document.
#[must_use]
pub fn api_document() -> OpenApi {
    docs::with_used_tags(routes().into_openapi())
}
