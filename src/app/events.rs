//! Reading what happened.
//!
//! The events of a workspace have one order without gaps: they are numbered from 1 as their
//! transactions commit, so a reader who has read up to a number will never find a lower one
//! appear later. Whoever keeps the last `next_after` and reads on from it sees every event, at
//! least once if it writes the number down after it has worked, and in order.
//!
//! A filter may let few events through. One read therefore looks at no more than [`WINDOW`] numbers
//! at a time, and says with `next_after` how far it has come, whether or not it found something.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;

use super::{
    App, Result,
    caller::{Caller as _, ReaderCaller},
};
use crate::{
    domain::{
        event::EventKind,
        ids::{AgentId, ApprovalId, AttemptId, GoalId, KeyId, TaskId, WorkspaceId},
        refusal::Refusal,
    },
    store::{
        self,
        events::{EventFilter, EventRow},
    },
};

/// How many numbers one statement looks at when nothing but a kind narrows it down.
const WINDOW: i64 = 20_000;
/// How many windows one read looks through.
const WINDOWS: usize = 5;

/// Something that happened. Ignore kinds that you do not know: later versions add some.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    /// Its number: counts the events of the workspace from 1, without gaps.
    #[schema(example = 1042)]
    pub seq: i64,
    /// What happened, `noun.verb`.
    #[schema(value_type = EventKind)]
    pub kind: String,
    /// The goal it concerns.
    pub goal_id: Option<GoalId>,
    /// The task it concerns.
    pub task_id: Option<TaskId>,
    /// The attempt it concerns.
    pub attempt_id: Option<AttemptId>,
    /// The agent it concerns.
    pub agent_id: Option<AgentId>,
    /// The approval it concerns.
    pub approval_id: Option<ApprovalId>,
    /// The key that did it; `null`: the service itself, or somebody at its command line.
    pub actor_key_id: Option<KeyId>,
    /// Details, which depend on the kind.
    #[schema(value_type = Object)]
    pub data: Value,
    /// When it happened.
    pub created_at: DateTime<Utc>,
}

impl From<EventRow> for Event {
    fn from(row: EventRow) -> Self {
        let EventRow {
            seq,
            kind,
            goal_id,
            task_id,
            attempt_id,
            agent_id,
            approval_id,
            actor_key_id,
            data,
            created_at,
        } = row;
        Self {
            seq,
            kind,
            goal_id,
            task_id,
            attempt_id,
            agent_id,
            approval_id,
            actor_key_id,
            data,
            created_at,
        }
    }
}

/// Events in their order, and where to read on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EventBatch {
    /// The events. May be empty.
    pub items: Vec<Event>,
    /// Send this as `after` to read on; keep it until you have worked through `items`. It may be
    /// beyond the last item when the filter left the ones after it out.
    #[schema(example = 1042)]
    pub next_after: i64,
    /// Whether there is more to read now. When false, wait: with `wait_seconds`, for example.
    pub more: bool,
}

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only events with a higher number.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
    /// Only those that concern this goal.
    pub goal: Option<GoalId>,
    /// Only those that concern this task.
    pub task: Option<TaskId>,
    /// Only those of this kind.
    pub kind: Option<EventKind>,
}

impl App {
    /// The events after a number, as soon as there are some, or after `patience` without any.
    ///
    /// # Errors
    /// `invalid` when `after` is beyond the newest event.
    pub async fn read_events(
        &self,
        caller: &ReaderCaller,
        query: &EventQuery,
        patience: Duration,
    ) -> Result<EventBatch> {
        let workspace = caller.principal().workspace;
        let first = self.read_once(workspace, query).await?;
        if patience.is_zero() || first.says_something() {
            return Ok(first);
        }
        let last = Mutex::new(first);
        self.wait_until(workspace, patience, || async {
            // What the filter left out once need not be looked at again.
            let after = held(&last).next_after;
            let batch = self.read_once(workspace, &EventQuery { after, ..query.clone() }).await?;
            let seen = batch.says_something();
            *held(&last) = batch;
            Ok(seen)
        })
        .await?;
        Ok(last.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    async fn read_once(&self, workspace: WorkspaceId, query: &EventQuery) -> Result<EventBatch> {
        let mut conn = self.pool.acquire().await?;
        read(&mut conn, workspace, query).await
    }
}

impl EventBatch {
    /// Whether it is worth an answer before the wait is over.
    fn says_something(&self) -> bool {
        !self.items.is_empty() || self.more
    }
}

fn held(batch: &Mutex<EventBatch>) -> MutexGuard<'_, EventBatch> {
    batch.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    query: &EventQuery,
) -> Result<EventBatch> {
    let newest = store::events::newest(conn, workspace).await?;
    if !(0..=newest).contains(&query.after) {
        return Err(beyond(query.after, newest).into());
    }
    let Some(filter) = filter(conn, workspace, query).await? else {
        return Ok(EventBatch { items: Vec::new(), next_after: newest, more: false });
    };
    let limit = query.limit as usize;
    let mut items = Vec::new();
    let mut after = query.after;
    for _ in 0..WINDOWS {
        // A goal has an index of its own, so nothing is skipped at a cost.
        let until = if filter.goal.is_some() { newest } else { newest.min(after + WINDOW) };
        let room = limit - items.len();
        let rows = store::events::read(conn, workspace, filter, after, until, room as i64).await?;
        let full = rows.len() == room;
        after = rows.last().filter(|_| full).map_or(until, |last| last.seq);
        items.extend(rows.into_iter().map(Event::from));
        if full || after == newest {
            break;
        }
    }
    Ok(EventBatch { items, next_after: after, more: after < newest })
}

/// The filter of the query; nothing when nothing can pass it.
async fn filter<'a>(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    query: &EventQuery,
) -> Result<Option<EventFilter<'a>>> {
    let kind = query.kind.map(EventKind::as_str);
    let Some(task) = query.task else {
        return Ok(Some(EventFilter { goal: query.goal, task: None, kind }));
    };
    let of_task = store::events::goal_of_task(conn, workspace, task).await?;
    let fits = of_task.filter(|found| query.goal.is_none_or(|asked| asked == *found));
    Ok(fits.map(|goal| EventFilter { goal: Some(goal), task: Some(task), kind }))
}

fn beyond(after: i64, newest: i64) -> Refusal {
    Refusal::invalid_at(
        "?after",
        format!(
            "is {after}, but the newest event is {newest}; if the database was restored from a \
             backup, read on from there, or from 0 to see everything again"
        ),
    )
}
