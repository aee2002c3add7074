//! Decision links: decisions by people without a key.

use crate::{
    app::{
        caller::{OperatorCaller, ReaderCaller},
        decisions::links::{ApprovalLink, IssuedLink, NewLink},
    },
    domain::ids::{ApprovalId, LinkId},
    http::{
        extract::{
            auth::Auth,
            idempotency::Create,
            page::{Listing, NoFilter, Paged},
            path::ApiPath,
        },
        problem::Result,
        reply::{Created, Reply},
    },
};

/// List the decision links of an approval.
///
/// Newest first, including used, expired and revoked ones. Their tokens are not stored and cannot
/// be shown.
#[utoipa::path(get, path = "/v1/approvals/{approval_id}/links")]
pub async fn list_approval_links(
    Auth { app, caller }: Auth<ReaderCaller>,
    ApiPath(approval): ApiPath<ApprovalId>,
    list: Listing<NoFilter, LinkId>,
) -> Result<Paged<ApprovalLink>> {
    let links = app.list_approval_links(&caller, approval, list.after, list.rows()).await?;
    list.page(links, |link| link.id)
}

/// Create a decision link.
///
/// For a person without a key. Opened in a browser, `path` shows the approval and a form, and
/// decides as this person. Opening it changes nothing, so programs that follow links in mails do no
/// harm. A link decides this approval once, with the payload that it has now.
///
/// Neither you nor the person may be `excluded` from the approval. An approval of `high` or
/// `critical` risk, or with a payload of more than 64 KiB, needs a key (`link_refused`). The token
/// is shown only in this answer; with an `Idempotency-Key`, the same request within 24 hours
/// returns the same token.
#[utoipa::path(post, path = "/v1/approvals/{approval_id}/links")]
pub async fn create_approval_link(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(approval): ApiPath<ApprovalId>,
    Create { body, idempotency }: Create<NewLink>,
) -> Result<Created<IssuedLink>> {
    let outcome = app.create_approval_link(&caller, approval, &body, idempotency.as_ref()).await?;
    let location = |made: &IssuedLink| format!("/v1/approvals/{approval}/links/{}", made.link.id);
    Ok(Created::new(outcome, location))
}

/// Read a decision link.
#[utoipa::path(get, path = "/v1/approvals/{approval_id}/links/{link_id}")]
pub async fn get_approval_link(
    Auth { app, caller }: Auth<ReaderCaller>,
    ApiPath((approval, link)): ApiPath<(ApprovalId, LinkId)>,
) -> Result<Reply<ApprovalLink>> {
    Ok(Reply(app.get_approval_link(&caller, approval, link).await?))
}

/// Revoke a decision link.
///
/// It stops working with this answer. A decision already made with it stands. Revoking a revoked
/// link changes nothing.
#[utoipa::path(post, path = "/v1/approvals/{approval_id}/links/{link_id}/revoke")]
pub async fn revoke_approval_link(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath((approval, link)): ApiPath<(ApprovalId, LinkId)>,
) -> Result<Reply<ApprovalLink>> {
    Ok(Reply(app.revoke_approval_link(&caller, approval, link).await?))
}
