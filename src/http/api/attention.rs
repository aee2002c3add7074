//! Attention: everything that waits for a person.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{
        App,
        attention::{AttentionCounts, AttentionFilter, AttentionItem},
        caller::MonitorCaller,
    },
    domain::{
        attention::{AttentionKind, Place},
        ids::{GoalId, ProjectId},
    },
    http::{
        describe::{Describe, Description, handlers},
        extract::{
            auth::Auth,
            page::{Listing, Page, SortKey},
        },
        problem::Result,
        reply::{Reply, set_header},
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![list_attention]
}

/// Which of what waits to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AttentionQuery {
    /// Only items of this kind; may be repeated.
    #[serde(default)]
    pub kind: Vec<AttentionKind>,
    /// Only what concerns this goal.
    pub goal_id: Option<GoalId>,
    /// Only what concerns goals of this project.
    pub project_id: Option<ProjectId>,
}

impl SortKey for Place {
    const LIST: &'static str = "attention";
}

/// What waits for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attention {
    /// The items, oldest and riskiest first.
    pub items: Vec<AttentionItem>,
    /// How many there are of each kind, those of other pages and kinds too.
    pub counts: AttentionCounts,
    /// Send this as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

struct AttentionReply {
    attention: Attention,
    link: Option<String>,
}

impl IntoResponse for AttentionReply {
    fn into_response(self) -> Response {
        let mut response = Reply(self.attention).into_response();
        if let Some(link) = &self.link {
            set_header(&mut response, header::LINK, link);
        }
        response
    }
}

impl Describe for AttentionReply {
    fn describe(doc: &mut Description<'_>) {
        let link = ("Link", "The next page, with `rel=\"next\"`; absent on the last.");
        doc.json_response::<Attention>(200, "A page, and what there is in all.", &[link]);
    }
}

/// List what waits for a person.
///
/// Approvals, tasks in quarantine, ready tasks that no live agent can do, exhausted budgets, freezes
/// with tasks under them, and goals in which nothing has changed for a day: whatever does not go on by
/// itself. Each comes with the one request that would clear it, ready to be sent by an operator.
///
/// Oldest and riskiest first: in the order of `since`, where a `medium` risk counts as if it had waited
/// four hours longer, a `high` one a day and a `critical` one a week. Every cause is listed once, however
/// many tasks wait for it.
#[utoipa::path(get, path = "/v1/attention", tag = "attention")]
async fn list_attention(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
    list: Listing<AttentionQuery, Place>,
) -> Result<AttentionReply> {
    let AttentionQuery { kind, goal_id, project_id } = list.filter.clone();
    let filter = AttentionFilter { kinds: kind, goal: goal_id, project: project_id };
    let (items, counts) = app.attention(&caller, &filter, list.after, list.rows()).await?;
    let (Page { items, next_cursor }, link) = list.page(items, AttentionItem::place)?.into_parts();
    Ok(AttentionReply { attention: Attention { items, counts, next_cursor }, link })
}
