//! Reading goals and their plans.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ProjectReaderCaller},
    },
    domain::{
        access::person::Person,
        goal::TaskCounts,
        ids::{GoalId, KeyId, ProjectId},
        outline::OutlineNote,
        refusal::Refusal,
        spend::Amounts,
        states::{GoalState, Planner},
    },
    store::{
        self, Tx,
        goals::read::{GoalRow, GoalScope},
    },
};

/// A goal as it was posted, with what its planner says about the brief.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PostedGoal {
    /// The goal.
    #[serde(flatten)]
    pub goal: Goal,
    /// Remarks of the planner, each with its line of the brief: what looks like a task and is none, marks and
    /// dependencies that were not understood, gaps. The plan keeps them. Read them before the work begins.
    pub notes: Vec<OutlineNote>,
}

/// A goal: the outcome somebody wants, worked on as tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Goal {
    /// Id of the goal; stable for its life.
    pub id: GoalId,
    /// The wanted outcome, in one line.
    #[schema(example = "Ship the importer")]
    pub title: String,
    /// `planning`, `proposed`, `active`, `completed`, `failed` or `cancelled`; the last three are
    /// final.
    pub state: GoalState,
    /// Producer of its plan, chosen when it was posted.
    pub planner: Planner,
    /// Priority, 0 (lowest) to 9; its tasks inherit it.
    pub priority: i16,
    /// Project whose budgets and totals it counts for; `null` without one.
    pub project_id: Option<ProjectId>,
    /// Target time for its tasks. It stops nothing, but rules can use it; `null` without one.
    pub deadline: Option<DateTime<Utc>>,
    /// Number of its tasks, by state.
    pub tasks: TaskCounts,
    /// Total spend of its attempts, by unit.
    #[schema(example = json!({"usd_micros": 41000, "output_tokens": 9120}))]
    pub spend: Amounts,
    /// Why it failed or was cancelled; `null` otherwise.
    pub end_reason: Option<String>,
    /// JSON object chosen by its poster; muster does not interpret it.
    #[schema(value_type = Object)]
    pub metadata: BTreeMap<String, Value>,
    /// The text that it was posted with. Only when one goal is read; `null` in lists.
    pub brief: Option<String>,
    /// The key that posted the goal.
    pub created_by: KeyId,
    /// The people for whom it was posted, nearest first. None of them may decide about it.
    pub on_behalf_of: Vec<Person>,
    /// Version, raised by every edit and change of state, but not by `tasks` and `spend`; the
    /// `ETag`.
    pub version: i32,
    /// When the goal was posted.
    pub created_at: DateTime<Utc>,
    /// When its state or task counts last changed.
    pub updated_at: DateTime<Utc>,
    /// When it reached a final state; `null` until then.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Filter of a list of goals.
#[derive(Debug, Clone, Default)]
pub struct GoalFilter {
    /// Only these states; empty: all.
    pub states: Vec<GoalState>,
    /// Only goals of this project.
    pub project: Option<ProjectId>,
}

impl App {
    /// Goals, newest first.
    pub async fn list_goals(
        &self,
        caller: &ProjectReaderCaller,
        filter: &GoalFilter,
        after: Option<GoalId>,
        rows: u32,
    ) -> Result<Vec<Goal>> {
        let GoalFilter { states, project } = filter;
        let principal = caller.principal();
        if project.is_some_and(|project| !principal.scope.sees(Some(project))) {
            return Ok(Vec::new());
        }
        let within = principal.scope.projects.as_deref();
        let scope = GoalScope { states, project: *project, within, after, rows };
        let workspace = principal.workspace;
        let rows = store::goals::read::list(&mut self.reader(workspace).await?, &scope).await?;
        Ok(rows.into_iter().map(view).collect())
    }

    /// Reads one goal. Waits up to `wait` until it has ended or, with a known version, until its
    /// version changes; then answers with its present state.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn wait_goal(
        &self,
        caller: &ProjectReaderCaller,
        goal: GoalId,
        known: Option<i64>,
        wait: Duration,
    ) -> Result<Goal> {
        let workspace = caller.principal().workspace;
        self.see_goal(caller.principal(), goal).await?;
        self.wait_until(caller.principal().waiting(), wait, || async {
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
    let row = store::goals::read::read(tx, goal).await?;
    Ok(view(row.ok_or_else(|| Refusal::not_found("goal"))?))
}

fn view(row: GoalRow) -> Goal {
    let GoalRow {
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
    Goal {
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
        spend: spend.0,
        end_reason,
        metadata: metadata.0,
        brief,
        created_by,
        on_behalf_of,
        version,
        created_at,
        updated_at,
        ended_at,
    }
}
