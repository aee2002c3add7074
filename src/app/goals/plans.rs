//! Reading the plans of goals.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ProjectReaderCaller},
    },
    domain::{
        ids::{AttemptId, GoalId, PlanId, TaskId},
        outline::OutlineNote,
        plan::{
            TaskSpec, diff::PlanDiff, finding::Finding, numbers::PlanNumbers, playbook::PlaybookUse,
        },
        refusal::Refusal,
        states::{PlanState, Planner},
    },
    store::{self, goals::plans::PlanRow},
};

/// A proposed or applied set of tasks and dependencies of a goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Plan {
    /// Id of the plan; stable for its life.
    pub id: PlanId,
    /// Id of the goal that it plans.
    pub goal_id: GoalId,
    /// Ordinal of the plan within its goal, from 1.
    pub number: i32,
    /// `proposed` (waits for approval), `applied` (in force), `rejected`, or `superseded` (edited while it
    /// waited, or replaced by a newer version).
    pub state: PlanState,
    /// Producer of the plan, chosen with the goal.
    pub planner: Planner,
    /// The tasks as planned, in plan order. Their present state is at `GET /v1/tasks?goal_id=`.
    pub tasks: Vec<TaskSpec>,
    /// Remarks of the planner: duplicate ids, ignored dependencies, gaps.
    pub notes: Vec<OutlineNote>,
    /// The playbook that it was made of, with the version that was used; `null` for other planners.
    pub playbook: Option<PlaybookUse>,
    /// What was wrong or doubtful in it when it was made, errors first.
    pub findings: Vec<Finding>,
    /// What it was expected to use and to take when it was made; `null` for plans of earlier versions.
    pub numbers: Option<PlanNumbers>,
    /// Number of the plan that it changes; `null` for the first plan.
    pub base: Option<i32>,
    /// What it changes in the tasks of the goal: while it is proposed as compared when it was made, afterwards as
    /// applied. `null` for the first plan.
    pub diff: Option<PlanDiff>,
    /// Why the plan was changed, or why it was superseded.
    pub reason: Option<String>,
    /// When the plan was created.
    pub created_at: DateTime<Utc>,
    /// When it was applied; `null` if it never was. It stays when a newer version replaces it.
    pub applied_at: Option<DateTime<Utc>>,
    /// The task whose attempt discovered this work, which is added to the plan of the goal; `null`: it is the
    /// plan of the goal.
    #[serde(default)]
    pub discovered_from: Option<TaskId>,
    /// The attempt that discovered this work; `null` otherwise.
    #[serde(default)]
    pub discovered_by: Option<AttemptId>,
    /// Whether the goal completes only after the decision about this discovered work.
    #[serde(default)]
    pub required: bool,
}

pub(super) fn view(row: PlanRow) -> Plan {
    let PlanRow {
        plan_id,
        goal_id,
        number,
        state,
        planner,
        document,
        notes,
        playbook,
        findings,
        numbers,
        base,
        diff,
        reason,
        created_at,
        applied_at,
        discovered_from,
        discovered_by,
        required,
    } = row;
    Plan {
        id: plan_id,
        goal_id,
        number,
        state,
        planner,
        tasks: document.0,
        notes: notes.0,
        playbook: playbook.map(|used| used.0),
        findings: findings.0,
        numbers: numbers.map(|numbers| numbers.0),
        base,
        diff: diff.map(|diff| diff.0),
        reason,
        created_at,
        applied_at,
        discovered_from,
        discovered_by,
        required,
    }
}

impl App {
    /// The plans of a goal, latest first.
    ///
    /// # Errors
    /// `not_found` for an unknown goal.
    pub async fn list_plans(
        &self,
        caller: &ProjectReaderCaller,
        goal: GoalId,
        after: Option<i32>,
        rows: u32,
    ) -> Result<Vec<Plan>> {
        let workspace = caller.principal().workspace;
        self.see_goal(caller.principal(), goal).await?;
        let mut tx = self.reader(workspace).await?;
        if store::goals::read::version(&mut tx, goal).await?.is_none() {
            return Err(Refusal::not_found("goal").into());
        }
        let rows = store::goals::plans::list(&mut tx, goal, after, rows).await?;
        Ok(rows.into_iter().map(view).collect())
    }
}
