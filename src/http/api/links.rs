//! Links with which people decide who have no key.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{
        App,
        caller::{OperatorCaller, ReaderCaller},
        decisions::links::{ApprovalLink, IssuedLink, NewLink},
    },
    domain::ids::{ApprovalId, LinkId},
    http::{
        describe::handlers,
        extract::{
            auth::Auth,
            idempotency::Create,
            page::{Listing, NoFilter, Paged, SortKey},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, Reply},
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![
        list_approval_links,
        create_approval_link[AlreadyDecided, SeparationOfDuties, LinkRefused],
        get_approval_link,
        revoke_approval_link,
    ]
}

/// Where a page of links starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct LinkAfter {
    id: LinkId,
}

impl SortKey for LinkAfter {
    const LIST: &'static str = "approval_links";
}

/// List the links of an approval.
///
/// Newest first, those that are over included. Their tokens are not shown: they are stored nowhere.
#[utoipa::path(get, path = "/v1/approvals/{approval_id}/links", tag = "approvals")]
async fn list_approval_links(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(approval): ApiPath<ApprovalId>,
    list: Listing<NoFilter, LinkAfter>,
) -> Result<Paged<ApprovalLink>> {
    let after = list.after.map(|after| after.id);
    let links = app.list_approval_links(&caller, approval, after, list.rows()).await?;
    list.page(links, |link| LinkAfter { id: link.id })
}

/// Make a link to decide with.
///
/// For somebody who has no key. Whoever opens `path` in a browser sees a small page with what is asked
/// and a form, and decides with it as this person. Opening it changes nothing, so programs that look
/// at links in mails do no harm. It decides this approval once, in the form that its payload has now.
///
/// Neither you nor the person may be `excluded` from the approval. What is of `high` or `critical`
/// risk, and a payload of more than 64 KiB, takes a key (`link_refused`). The answer holds the token,
/// which is shown this once; with an `Idempotency-Key` the same request sent again within 24 hours
/// gets the same token again.
#[utoipa::path(post, path = "/v1/approvals/{approval_id}/links", tag = "approvals")]
async fn create_approval_link(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(approval): ApiPath<ApprovalId>,
    Create { body, idempotency }: Create<NewLink>,
) -> Result<Created<IssuedLink>> {
    let outcome = app.create_approval_link(&caller, approval, &body, idempotency.as_ref()).await?;
    let link = outcome.value.link.id;
    Ok(Created::new(format!("/v1/approvals/{approval}/links/{link}"), outcome))
}

/// Read a link.
#[utoipa::path(get, path = "/v1/approvals/{approval_id}/links/{link_id}", tag = "approvals")]
async fn get_approval_link(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath((approval, link)): ApiPath<(ApprovalId, LinkId)>,
) -> Result<Reply<ApprovalLink>> {
    Ok(Reply(app.get_approval_link(&caller, approval, link).await?))
}

/// Revoke a link.
///
/// From the answer on it opens nothing. Revoking a revoked link changes nothing. What was decided with
/// it stands.
#[utoipa::path(
    post,
    path = "/v1/approvals/{approval_id}/links/{link_id}/revoke",
    tag = "approvals"
)]
async fn revoke_approval_link(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiPath((approval, link)): ApiPath<(ApprovalId, LinkId)>,
) -> Result<Reply<ApprovalLink>> {
    Ok(Reply(app.revoke_approval_link(&caller, approval, link).await?))
}
