//! Reading the journal: as events, and as audit rows.
//!
//! Events are the public rows. The rows of a workspace are numbered from 1 in the order of their
//! commits, without gaps, so no row ever appears below a number that was read. A reader that stores
//! the last `next_after` after its work, and continues from it, sees every event at least once and
//! in order. The numbers of events have gaps: the rows between are not public.
//!
//! A filter may pass few events. One read therefore covers at most [`WINDOWS`] times [`WINDOW`]
//! numbers, and `next_after` states its end.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    App, Result,
    caller::{Caller as _, ReaderCaller},
};
pub use crate::store::journal::AuditFilter;
use crate::{
    domain::{
        ids::{AgentId, ApprovalId, AttemptId, GoalId, KeyId, ProjectId, TaskId, WorkspaceId},
        journal::{Kind, Row},
        refusal::Refusal,
    },
    store::{
        self, Tx,
        journal::{EventFilter, EventRow},
    },
};

pub mod export;
pub mod list;
pub mod remove;
mod seal;
pub mod verify;

/// Numbers covered by one statement if only a kind filters the rows.
const WINDOW: i64 = 20_000;
/// Maximum number of windows in one read.
const WINDOWS: usize = 5;

/// Reads of events of one kind at a time.
pub(in crate::app) const SIEVES: usize = 2;

/// Something that happened. Ignore unknown kinds: later versions add some.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    /// Number of the event in the journal of the workspace. Numbers increase in the order of
    /// commits; they have gaps, because the journal has rows that are not events.
    #[schema(example = 1042)]
    pub number: i64,
    /// When it happened: the time of its transaction.
    pub at: DateTime<Utc>,
    /// Kind of the event, as `noun.verb`.
    #[schema(value_type = Kind)]
    pub kind: String,
    /// The project concerned; `null` if a goal is named, which has its own project.
    pub project_id: Option<ProjectId>,
    /// The goal concerned; `null`: none.
    pub goal_id: Option<GoalId>,
    /// The task concerned; `null`: none.
    pub task_id: Option<TaskId>,
    /// The attempt concerned; `null`: none.
    pub attempt_id: Option<AttemptId>,
    /// The agent concerned; `null`: none.
    pub agent_id: Option<AgentId>,
    /// The approval concerned; `null`: none.
    pub approval_id: Option<ApprovalId>,
    /// The key that caused it; `null`: the service itself, a person with a decision link, or the
    /// command line.
    pub actor_key_id: Option<KeyId>,
    /// Details of the event; the fields depend on the kind. `null`: they were erased.
    #[schema(value_type = Option<Object>)]
    pub data: Option<Box<RawValue>>,
}

impl From<EventRow> for Event {
    fn from(row: EventRow) -> Self {
        Self {
            number: row.number,
            at: row.at,
            kind: row.kind,
            project_id: row.project_id,
            goal_id: row.goal_id,
            task_id: row.task_id,
            attempt_id: row.attempt_id,
            agent_id: row.agent_id,
            approval_id: row.approval_id,
            actor_key_id: row.actor_key_id,
            data: row.data.and_then(|data| RawValue::from_string(data).ok()),
        }
    }
}

/// Events in order, and the position for the next read.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EventBatch {
    /// Events after the requested number, in order; may be empty.
    pub items: Vec<Event>,
    /// Send this as `after` to continue; store it after the work on `items` is done. It may exceed
    /// the number of the last item: the rows between did not pass the filter or are not events.
    #[schema(example = 1042)]
    pub next_after: i64,
    /// Whether there is more to read now. If false, wait, for example with `wait_seconds`.
    pub more: bool,
}

/// Filter of a read of events.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only events with a higher number.
    pub after: i64,
    /// Maximum number of events.
    pub limit: u32,
    /// Only those that concern this goal.
    pub goal: Option<GoalId>,
    /// Only those that concern this task.
    pub task: Option<TaskId>,
    /// Only those of this kind.
    pub kind: Option<Kind>,
}

/// A row of the journal, with its seal state.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditRow {
    /// Whether the row is sealed, within about a second of its commit; from then on any change to
    /// it is detected.
    pub sealed: bool,
    /// The journal row itself, as it was stored.
    pub row: Row,
}

impl App {
    /// The events after a number: immediately if there are any, else after at most `patience`.
    ///
    /// # Errors
    /// `invalid` if `after` is beyond the newest row.
    pub async fn read_events(
        &self,
        caller: &ReaderCaller,
        query: &EventQuery,
        patience: Duration,
    ) -> Result<EventBatch> {
        let workspace = caller.principal().workspace;
        if patience.is_zero() {
            return self.read_once(workspace, query).await;
        }
        let none = EventBatch { items: Vec::new(), next_after: query.after, more: false };
        let last = Mutex::new(none);
        let waiting = self.wait_until(caller.principal().waiting(), patience, || async {
            // Rows that the filter rejected once need not be read again.
            let after = locked(&last).next_after;
            let batch = self.read_once(workspace, &EventQuery { after, ..query.clone() }).await?;
            let answer = batch.is_worth_an_answer();
            *locked(&last) = batch;
            Ok(answer)
        });
        drop(waiting.await?);
        Ok(last.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    async fn read_once(&self, workspace: WorkspaceId, query: &EventQuery) -> Result<EventBatch> {
        // Few pass a kind, so many rows are tested: few such reads leave the database to others.
        let _turn = match query.kind {
            Some(_) => Some(self.sieves.take(workspace).await),
            None => None,
        };
        read(&mut self.reader(workspace).await?, query).await
    }
}

impl EventBatch {
    /// Whether the batch can be returned before the end of the wait.
    fn is_worth_an_answer(&self) -> bool {
        !self.items.is_empty() || self.more
    }
}

fn locked(batch: &Mutex<EventBatch>) -> MutexGuard<'_, EventBatch> {
    batch.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read(tx: &mut Tx, query: &EventQuery) -> Result<EventBatch> {
    let newest = store::journal::newest(tx).await?;
    if !(0..=newest).contains(&query.after) {
        return Err(beyond(query.after, newest).into());
    }
    let Some(filter) = filter(tx, query).await? else {
        return Ok(EventBatch { items: Vec::new(), next_after: newest, more: false });
    };
    let limit = query.limit as usize;
    let mut items = Vec::new();
    let mut after = query.after;
    for _ in 0..WINDOWS {
        // A goal has its own index, so rows of other goals cost nothing.
        let until = if filter.goal.is_some() { newest } else { newest.min(after + WINDOW) };
        let room = limit - items.len();
        let rows = store::journal::events(tx, filter, after, until, room as i64).await?;
        let full = rows.len() == room;
        after = rows.last().filter(|_| full).map_or(until, |last| last.number);
        items.extend(rows.into_iter().map(Event::from));
        if full || after == newest {
            break;
        }
    }
    Ok(EventBatch { items, next_after: after, more: after < newest })
}

/// The filter of the query; `None` if nothing can pass it.
async fn filter<'a>(tx: &mut Tx, query: &EventQuery) -> Result<Option<EventFilter<'a>>> {
    let kind = query.kind.map(Kind::as_str);
    let Some(task) = query.task else {
        return Ok(Some(EventFilter { goal: query.goal, task: None, kind }));
    };
    let of_task = store::journal::goal_of_task(tx, task).await?;
    let fits = of_task.filter(|found| query.goal.is_none_or(|asked| asked == *found));
    Ok(fits.map(|goal| EventFilter { goal: Some(goal), task: Some(task), kind }))
}

fn beyond(after: i64, newest: i64) -> Refusal {
    Refusal::invalid_at(
        "?after",
        format!(
            "is {after}, but the newest number is {newest}; if the database was restored from a \
             backup, read on from there, or from 0 to see everything again"
        ),
    )
}
