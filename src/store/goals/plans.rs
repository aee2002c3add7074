//! Plans as returned by the API.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use crate::{
    domain::{
        ids::{GoalId, PlanId},
        outline::OutlineNote,
        plan::{
            TaskSpec,
            finding::Finding,
            numbers::{CostBand, PlanNumbers},
            playbook::PlaybookUse,
        },
        states::{PlanState, Planner},
    },
    store::{Tx, traced},
};

/// A plan.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct PlanRow {
    pub plan_id: PlanId,
    pub goal_id: GoalId,
    pub number: i32,
    pub state: PlanState,
    pub planner: Planner,
    pub document: Json<Vec<TaskSpec>>,
    pub notes: Json<Vec<OutlineNote>>,
    pub playbook: Option<Json<PlaybookUse>>,
    pub findings: Json<Vec<Finding>>,
    pub numbers: Option<Json<PlanNumbers>>,
    pub created_at: DateTime<Utc>,
    pub applied_at: Option<DateTime<Utc>>,
}

/// Reads the plans of a goal below a number, latest first.
pub async fn list(
    tx: &mut Tx,
    goal: GoalId,
    after: Option<i32>,
    rows: u32,
) -> sqlx::Result<Vec<PlanRow>> {
    sqlx::query_as!(
        PlanRow,
        r#"select plan_id as "plan_id: PlanId", goal_id as "goal_id: GoalId", number,
                  state as "state: PlanState", planner as "planner: Planner",
                  document as "document: Json<Vec<TaskSpec>>",
                  notes as "notes: Json<Vec<OutlineNote>>",
                  playbook as "playbook: Json<PlaybookUse>",
                  findings as "findings: Json<Vec<Finding>>",
                  numbers as "numbers: Json<PlanNumbers>", created_at, applied_at
           from plans where workspace_id = $1 and goal_id = $2 and number < $3
           order by number desc limit $4"#,
        tx.workspace.0,
        goal.0,
        after.unwrap_or(i32::MAX),
        i64::from(rows),
    )
    .fetch_all(traced!(tx, "goals.plans.list"))
    .await
}

/// Notes the playbook that a plan was made of.
pub async fn set_playbook(tx: &mut Tx, plan: PlanId, used: &PlaybookUse) -> sqlx::Result<()> {
    sqlx::query!(
        "update plans set playbook = $3 where workspace_id = $1 and plan_id = $2",
        tx.workspace.0,
        plan.0,
        Json(used) as _,
    )
    .execute(traced!(tx, "goals.plans.set_playbook"))
    .await?;
    Ok(())
}

/// Stores what was found about a plan when it was made.
pub async fn judge(
    tx: &mut Tx,
    plan: PlanId,
    findings: &[Finding],
    numbers: &PlanNumbers,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update plans set findings = $3, numbers = $4 where workspace_id = $1 and plan_id = $2",
        tx.workspace.0,
        plan.0,
        Json(findings) as _,
        Json(numbers) as _,
    )
    .execute(traced!(tx, "goals.plans.judge"))
    .await?;
    Ok(())
}

/// A plan in short.
#[derive(Debug)]
#[expect(
    missing_docs,
    reason = "columns of the table and parts of its documents, documented there"
)]
pub struct PlanSummaryRow {
    pub plan_id: PlanId,
    pub number: i32,
    pub state: PlanState,
    pub errors: i64,
    pub warnings: i64,
    pub cost: Json<Vec<CostBand>>,
    pub work_ms: Option<i64>,
    pub critical_path_ms: Option<i64>,
    pub expected_ms: Option<i64>,
}

/// The latest plan of a goal, in short.
pub async fn latest(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Option<PlanSummaryRow>> {
    sqlx::query_as!(
        PlanSummaryRow,
        r#"select plan_id as "plan_id: PlanId", number, state as "state: PlanState",
                  (select count(*) from jsonb_array_elements(findings) f
                   where f ->> 'severity' = 'error') as "errors!",
                  (select count(*) from jsonb_array_elements(findings) f
                   where f ->> 'severity' = 'warning') as "warnings!",
                  coalesce(numbers -> 'cost', '[]') as "cost!: Json<Vec<CostBand>>",
                  (numbers ->> 'work_ms')::bigint as work_ms,
                  (numbers #>> '{critical_path,ms}')::bigint as critical_path_ms,
                  (numbers #>> '{expected,ms}')::bigint as expected_ms
           from plans where workspace_id = $1 and goal_id = $2
           order by number desc limit 1"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_optional(traced!(tx, "goals.plans.latest"))
    .await
}
