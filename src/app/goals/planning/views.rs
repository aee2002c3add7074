//! Wire types of planning runs, and reading them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ProjectReaderCaller},
    },
    domain::{
        ids::{GoalId, PlanId, PlanningRunId, TaskId},
        plan::finding::Finding,
        planning::{RunState, Said, Target},
        refusal::Refusal,
        spend::Amounts,
        states::Planner,
    },
    store::{self, planning::RunRow},
};

/// The turn of one planner for a goal, and what it said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanningRun {
    /// Id of the run; stable for its life.
    pub id: PlanningRunId,
    /// Id of the goal that is planned.
    pub goal_id: GoalId,
    /// Ordinal of the run within its goal, from 1, over all its chains of planners.
    pub ordinal: i32,
    /// What its plan becomes: `plan` (the first plan of the goal), `replan` (a new version of it, while the goal is
    /// worked on) or `parts` (the parts of a task that is too large).
    pub target: Target,
    /// The task whose parts are planned; `null` for the plan of the goal.
    pub parts_of: Option<TaskId>,
    /// Whose turn it is.
    pub planner: Planner,
    /// `queued` (other planners come first), `waiting` (for a server that takes it), `running`, `planned`, `failed`,
    /// `skipped` (an earlier planner made the plan) or `cancelled` (a person cancelled or continued the goal).
    pub state: RunState,
    /// Number of times that a server began it; more than 1 if servers ended while they planned.
    pub attempts: i32,
    /// The planning task of the planner `agent`: `GET /v1/tasks/{task_id}`; `null` for others, and before it exists.
    pub task_id: Option<TaskId>,
    /// The plan that it made; `null` without one, for parts, and for a new version that changes nothing.
    pub plan_id: Option<PlanId>,
    /// Why it made no plan; of an agent that still plans, why its last plan was sent back. `null` otherwise.
    #[schema(example = "plan 3 of the agent has errors")]
    pub error: Option<String>,
    /// What was found in the last plan that it handed in, at most 100.
    pub findings: Vec<Finding>,
    /// A remark of the planner; `null` without one.
    pub note: Option<String>,
    /// The dialogue of the planner `llm` with its model, without the prompt; `null` for others.
    #[schema(value_type = Option<Object>)]
    pub dialogue: Option<Value>,
    /// The prompt of the planner `llm` as it was sent, after its version and digest; `null` for others.
    pub prompt: Option<String>,
    /// The model that the planner `llm` asked; `null` for others.
    pub model: Option<String>,
    /// What the planner `llm` used, by unit. What the planner `agent` uses is spend of its attempts.
    #[schema(example = json!({"usd_micros": 4100, "output_tokens": 912}))]
    pub spend: Amounts,
    /// When its chain was given.
    pub created_at: DateTime<Utc>,
    /// When its planner first began; `null` before, and if it planned within the request.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended; `null` until then.
    pub ended_at: Option<DateTime<Utc>>,
}

fn view(row: RunRow) -> PlanningRun {
    let RunRow {
        run_id,
        goal_id,
        ordinal,
        planner,
        state,
        attempt,
        said,
        task_id,
        plan_id,
        prompt,
        model,
        spend,
        created_at,
        started_at,
        ended_at,
        target,
        parts_of,
    } = row;
    let Said { error, findings, note, dialogue } = said.0;
    PlanningRun {
        id: run_id,
        goal_id,
        ordinal,
        target,
        parts_of,
        planner,
        state,
        attempts: attempt,
        task_id,
        plan_id,
        error,
        findings,
        note,
        dialogue,
        prompt,
        model,
        spend: spend.0,
        created_at,
        started_at,
        ended_at,
    }
}

impl App {
    /// The planning runs of a goal, latest first.
    ///
    /// # Errors
    /// `not_found` for an unknown goal.
    pub async fn list_planning_runs(
        &self,
        caller: &ProjectReaderCaller,
        goal: GoalId,
        after: Option<i32>,
        rows: u32,
    ) -> Result<Vec<PlanningRun>> {
        let workspace = caller.principal().workspace;
        self.see_goal(caller.principal(), goal).await?;
        let mut tx = self.reader(workspace).await?;
        if store::goals::read::version(&mut tx, goal).await?.is_none() {
            return Err(Refusal::not_found("goal").into());
        }
        let rows = store::planning::list(&mut tx, goal, after, rows).await?;
        Ok(rows.into_iter().map(view).collect())
    }
}
