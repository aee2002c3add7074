//! Reading goals and their plans.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ReaderCaller},
        error::corrupt,
    },
    domain::{
        access::person::Person,
        goal::TaskCounts,
        ids::{GoalId, KeyId, ProjectId},
        refusal::Refusal,
        spend::Amounts,
        states::{GoalState, Planner},
    },
    store::{self, Tx, goals::read::GoalScope},
};

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Goal {
    /// Its id.
    pub id: GoalId,
    /// One line.
    #[schema(example = "Ship the importer")]
    pub title: String,
    /// `planning`, `proposed`, `active`, `completed`, `failed` or `cancelled`; the last three are
    /// final.
    pub state: GoalState,
    /// What made its plan.
    pub planner: Planner,
    /// 0 (lowest) to 9.
    pub priority: i16,
    /// The project that it is charged to.
    pub project_id: Option<ProjectId>,
    /// When its tasks should be finished.
    pub deadline: Option<DateTime<Utc>>,
    /// How its tasks stand.
    pub tasks: TaskCounts,
    /// What its attempts used, by unit.
    #[schema(example = json!({"usd_micros": 41000, "output_tokens": 9120}))]
    pub spend: Amounts,
    /// Why it failed or was cancelled.
    pub end_reason: Option<String>,
    /// A JSON object of the poster's own.
    #[schema(value_type = Object)]
    pub metadata: BTreeMap<String, Value>,
    /// The text that it was posted with; only when one goal is read, `null` in lists.
    pub brief: Option<String>,
    /// The key that posted it.
    pub created_by: KeyId,
    /// The people for whom it was posted, nearest first. None of them decides about it.
    pub on_behalf_of: Vec<Person>,
    /// Rises with every edit and change of state, but not with `tasks` and `spend`; the `ETag`.
    pub version: i32,
    /// When it was posted.
    pub created_at: DateTime<Utc>,
    /// When its state or counts last changed.
    pub updated_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Which goals are listed.
#[derive(Debug, Clone, Default)]
pub struct GoalFilter {
    /// Only these states; empty: all.
    pub states: Vec<GoalState>,
    /// Only of this project.
    pub project: Option<ProjectId>,
}

impl App {
    /// Goals, newest first.
    pub async fn list_goals(
        &self,
        caller: &ReaderCaller,
        filter: &GoalFilter,
        after: Option<GoalId>,
        rows: u32,
    ) -> Result<Vec<Goal>> {
        let GoalFilter { states, project } = filter;
        let scope = GoalScope { states, project: *project, after, rows };
        let workspace = caller.principal().workspace;
        let rows = store::goals::read::list(&mut self.reader(workspace).await?, &scope).await?;
        rows.into_iter().map(view).collect()
    }

    /// One goal. Waits up to `wait` until it has ended or, with a known version, until its version
    /// is another; then answers with what there is.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn wait_goal(
        &self,
        caller: &ReaderCaller,
        goal: GoalId,
        known: Option<i64>,
        wait: Duration,
    ) -> Result<Goal> {
        let workspace = caller.principal().workspace;
        self.wait_until(workspace, wait, || async {
            let mut tx = self.reader(workspace).await?;
            let found = store::goals::read::version(&mut tx, goal).await?;
            let (version, ended) = found.ok_or_else(|| Refusal::not_found("goal"))?;
            Ok(known.map_or(ended, |known| known != version))
        })
        .await?;
        read(&mut self.reader(workspace).await?, goal).await
    }
}

/// Reads one goal.
///
/// # Errors
/// `not_found`.
pub(in crate::app) async fn read(tx: &mut Tx, goal: GoalId) -> Result<Goal> {
    let rows = store::goals::read::read(tx, goal).await?;
    let row = rows.ok_or_else(|| Refusal::not_found("goal"))?;
    view(row)
}

/// A row as callers see it.
///
/// # Errors
/// When the row's JSON is not what was written.
pub(in crate::app) fn view(row: store::goals::read::GoalRow) -> Result<Goal> {
    let store::goals::read::GoalRow {
        goal_id,
        title,
        state,
        planner,
        priority,
        project_id,
        deadline,
        tasks_total,
        tasks_open,
        tasks_done,
        tasks_failed,
        tasks_cancelled,
        spend,
        end_reason,
        metadata,
        brief,
        created_by,
        on_behalf_of,
        version,
        created_at,
        updated_at,
        ended_at,
    } = row;
    Ok(Goal {
        id: goal_id,
        title,
        state,
        planner,
        priority,
        project_id,
        deadline,
        tasks: TaskCounts {
            total: tasks_total,
            open: tasks_open,
            done: tasks_done,
            failed: tasks_failed,
            cancelled: tasks_cancelled,
        },
        spend: serde_json::from_value(spend).map_err(corrupt)?,
        end_reason,
        metadata: serde_json::from_value(metadata).map_err(corrupt)?,
        brief,
        created_by,
        on_behalf_of,
        version,
        created_at,
        updated_at,
        ended_at,
    })
}
