//! Attention: everything that waits for a person.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    app::{
        attention::{AttentionCounts, AttentionFilter, AttentionItem},
        caller::MonitorCaller,
    },
    domain::{
        attention::{AttentionKind, Place},
        ids::{GoalId, ProjectId},
    },
    http::{
        extract::{
            auth::Auth,
            page::{Linked, Listing, Page},
        },
        problem::Result,
    },
};

/// The filters of the list of items.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AttentionQuery {
    /// Only items of this kind; may be repeated.
    #[serde(default)]
    pub kind: Vec<AttentionKind>,
    /// Only items that concern this goal.
    pub goal_id: Option<GoalId>,
    /// Only items that concern goals of this project.
    pub project_id: Option<ProjectId>,
}

/// A page of the items that wait for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attention {
    /// The items of this page, oldest and riskiest first.
    pub items: Vec<AttentionItem>,
    /// The number of items of each kind, on all pages and independent of the filter `kind`.
    pub counts: AttentionCounts,
    /// Send this as `cursor` for the next page; `null` on the last page.
    pub next_cursor: Option<String>,
}

/// List everything that waits for a person.
///
/// Pending approvals, quarantined tasks, failed goals and tasks, ready tasks that no live agent can do,
/// exhausted budgets, freezes with tasks under them, and goals without a change for a day. Each item has
/// the one request that would clear it, ready for an operator to send.
///
/// Oldest and riskiest first: in the order of `since`, where a `medium` risk counts as four hours
/// older, a `high` one as a day and a `critical` one as a week. Each cause is one item, however
/// many tasks wait for it.
#[utoipa::path(get, path = "/v1/attention")]
pub async fn list_attention(
    Auth { app, caller }: Auth<MonitorCaller>,
    list: Listing<AttentionQuery, Place>,
) -> Result<Linked<Attention>> {
    let AttentionQuery { kind, goal_id, project_id } = list.filter.clone();
    let filter = AttentionFilter { kinds: kind, goal: goal_id, project: project_id };
    let (items, counts) = app.attention(&caller, &filter, list.after, list.rows()).await?;
    let page = list.page(items, AttentionItem::place)?;
    Ok(page.map(|Page { items, next_cursor }| Attention { items, counts, next_cursor }))
}
