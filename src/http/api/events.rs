//! Events: what happened, in order.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        caller::ReaderCaller,
        journal::{EventBatch, EventQuery},
    },
    domain::{
        ids::{GoalId, TaskId},
        journal::Kind,
        refusal::Refusal,
    },
    http::{
        extract::{auth::Auth, long_poll::WaitSeconds, query::ApiQuery},
        problem::Result,
        reply::Reply,
    },
};

const DEFAULT_LIMIT: u32 = 50;
const LARGEST_LIMIT: u32 = 200;

/// Which events to read.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
pub struct EventsQuery {
    /// Only events with a higher number: `next_after` of the previous answer. 0 reads from the first.
    #[param(minimum = 0, default = 0, example = 1042)]
    pub after: i64,
    /// How many events at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// Only events that concern this goal.
    pub goal_id: Option<GoalId>,
    /// Only events that concern this task.
    pub task_id: Option<TaskId>,
    /// Only events of this kind.
    pub kind: Option<Kind>,
    /// When there is nothing to read, wait up to this many seconds for something.
    #[param(value_type = u32, minimum = 0, maximum = 60, default = 0)]
    pub wait_seconds: WaitSeconds,
}

/// Read what happened.
///
/// Events are the public rows of the workspace's journal. Their numbers increase in the order of their
/// commits, and a lower number never appears after a higher one. Numbers may skip, because the journal
/// has rows that are not events: never test that they follow each other.
///
/// To follow events, send `next_after` of each answer as `after` of the next request; no event is
/// missed and none comes out of order. Store the number after the work on `items` is done, and treat
/// an event with a number already seen as done.
///
/// `next_after` also passes over rows that are no events or do not pass the filter: an answer without
/// items that says `more` is not the end. Read on at once while `more` is true, and wait (with
/// `wait_seconds`) when it is false.
#[utoipa::path(get, path = "/v1/events")]
pub async fn list_events(
    Auth { app, caller }: Auth<ReaderCaller>,
    ApiQuery(query): ApiQuery<EventsQuery>,
) -> Result<Reply<EventBatch>> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=LARGEST_LIMIT).contains(&limit) {
        let detail = format!("must be 1 to {LARGEST_LIMIT}");
        return Err(Refusal::invalid_at("?limit", detail).into());
    }
    if query.after < 0 {
        let detail = "must be 0 or more: rows are numbered from 1";
        return Err(Refusal::invalid_at("?after", detail).into());
    }
    let asked = EventQuery {
        after: query.after,
        limit,
        goal: query.goal_id,
        task: query.task_id,
        kind: query.kind,
    };
    let patience = query.wait_seconds.duration();
    Ok(Reply(app.read_events(&caller, &asked, patience).await?))
}
