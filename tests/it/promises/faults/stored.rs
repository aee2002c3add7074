//! What the database holds when everything is over, as far as a history can be held against it.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::PgPool;

use super::history::{Entry, Event};

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub task: String,
    pub agent: String,
    pub number: i64,
    pub state: String,
    /// What it handed in.
    pub result: Option<i64>,
    pub checkpoint: Option<i64>,
    pub entries: Vec<Entry>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub state: String,
    pub result: Option<i64>,
    /// The total that is rolled up for it.
    pub spend: i64,
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    pub attempts: BTreeMap<String, Attempt>,
    pub tasks: BTreeMap<String, Task>,
    /// The ids of the goals by title.
    pub goals: BTreeMap<String, Vec<String>>,
    pub events: Vec<Event>,
}

impl Stored {
    pub async fn read(pool: &PgPool) -> Self {
        Self {
            attempts: attempts(pool).await,
            tasks: tasks(pool).await,
            goals: goals(pool).await,
            events: events(pool).await,
        }
    }
}

fn number(value: Option<Value>) -> Option<i64> {
    value.as_ref().and_then(Value::as_i64)
}

async fn attempts(pool: &PgPool) -> BTreeMap<String, Attempt> {
    type Row = (String, String, String, i64, String, Option<Value>, Option<Value>);
    let rows: Vec<Row> = sqlx::query_as(
        "select a.attempt_id::text, a.task_id::text, a.agent_id::text, a.number::bigint, a.state,
                r.result, p.checkpoint
         from attempts a left join attempt_results r using (workspace_id, attempt_id)
         left join attempt_progress p using (workspace_id, attempt_id)",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut attempts: BTreeMap<String, Attempt> = rows
        .into_iter()
        .map(|(id, task, agent, epoch, state, result, checkpoint)| {
            let (result, checkpoint) = (number(result), number(checkpoint));
            let entries = Vec::new();
            (id, Attempt { task, agent, number: epoch, state, result, checkpoint, entries })
        })
        .collect();
    let entries: Vec<(String, String, i64)> = sqlx::query_as(
        "select attempt_id::text, entry_key, amount from spend_entries order by 1, 2",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    for (attempt, key, amount) in entries {
        attempts.get_mut(&attempt).unwrap().entries.push(Entry { key, amount });
    }
    attempts
}

async fn tasks(pool: &PgPool) -> BTreeMap<String, Task> {
    let rows: Vec<(String, String, Option<Value>, i64)> = sqlx::query_as(
        "select t.task_id::text, t.state, case t.state when 'done' then r.result end,
                coalesce(s.amount, 0)
         from tasks t
         left join attempt_results r on r.attempt_id = t.current_attempt_id
         left join task_spend s on s.task_id = t.task_id",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter()
        .map(|(id, state, result, spend)| (id, Task { state, result: number(result), spend }))
        .collect()
}

async fn goals(pool: &PgPool) -> BTreeMap<String, Vec<String>> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("select title, goal_id::text from goals order by 1, 2")
            .fetch_all(pool)
            .await
            .unwrap();
    let mut goals: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (title, id) in rows {
        goals.entry(title).or_default().push(id);
    }
    goals
}

async fn events(pool: &PgPool) -> Vec<Event> {
    let rows: Vec<(i64, String)> =
        sqlx::query_as("select number, kind from journal order by number")
            .fetch_all(pool)
            .await
            .unwrap();
    rows.into_iter().map(|(number, kind)| Event { number, kind }).collect()
}
