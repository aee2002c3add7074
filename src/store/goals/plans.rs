//! Plans: as returned by the API, and their versions.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    domain::{
        ids::{AttemptId, GoalId, PlanId, TaskId},
        outline::OutlineNote,
        plan::{
            TaskSpec,
            diff::PlanDiff,
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
    pub base: Option<i32>,
    pub diff: Option<Json<PlanDiff>>,
    pub reason: Option<String>,
    pub created_at: DateTime<Utc>,
    pub applied_at: Option<DateTime<Utc>>,
    pub discovered_from: Option<TaskId>,
    pub discovered_by: Option<AttemptId>,
    pub required: bool,
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
                  numbers as "numbers: Json<PlanNumbers>", base, diff as "diff: Json<PlanDiff>",
                  reason, created_at, applied_at,
                  discovered_from as "discovered_from: TaskId",
                  discovered_by as "discovered_by: AttemptId", required
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
           from plans where workspace_id = $1 and goal_id = $2 and discovered_from is null
           order by number desc limit 1"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_optional(traced!(tx, "goals.plans.latest"))
    .await
}

/// Reads one plan of a goal.
pub async fn read(tx: &mut Tx, plan: PlanId) -> sqlx::Result<PlanRow> {
    sqlx::query_as!(
        PlanRow,
        r#"select plan_id as "plan_id: PlanId", goal_id as "goal_id: GoalId", number,
                  state as "state: PlanState", planner as "planner: Planner",
                  document as "document: Json<Vec<TaskSpec>>",
                  notes as "notes: Json<Vec<OutlineNote>>",
                  playbook as "playbook: Json<PlaybookUse>",
                  findings as "findings: Json<Vec<Finding>>",
                  numbers as "numbers: Json<PlanNumbers>", base, diff as "diff: Json<PlanDiff>",
                  reason, created_at, applied_at,
                  discovered_from as "discovered_from: TaskId",
                  discovered_by as "discovered_by: AttemptId", required
           from plans where workspace_id = $1 and plan_id = $2"#,
        tx.workspace.0,
        plan.0,
    )
    .fetch_one(traced!(tx, "goals.plans.read"))
    .await
}

/// The plan of a goal that is in force.
#[derive(Debug, Clone)]
pub struct AppliedPlan {
    /// Ordinal of the plan within its goal.
    pub number: i32,
    /// Its tasks, with the names of the goal.
    pub document: Vec<TaskSpec>,
    /// Refs of its document by those names, where they differ.
    pub sources: BTreeMap<String, String>,
    /// Tasks with the values before those that could not change when it was applied.
    pub held: BTreeMap<String, TaskSpec>,
}

/// Reads the applied plan of a goal. The caller holds the lock of the goal.
pub async fn applied(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Option<AppliedPlan>> {
    let row = sqlx::query!(
        r#"select number, document as "document: Json<Vec<TaskSpec>>",
                  sources as "sources: Json<BTreeMap<String, String>>",
                  held as "held: Json<BTreeMap<String, TaskSpec>>"
           from plans
           where workspace_id = $1 and goal_id = $2 and state = 'applied'
             and discovered_from is null
           order by number desc limit 1"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_optional(traced!(tx, "goals.plans.applied"))
    .await?;
    Ok(row.map(|row| AppliedPlan {
        number: row.number,
        document: row.document.0,
        sources: row.sources.0,
        held: row.held.0,
    }))
}

/// The names of tasks that plans before the applied one had.
pub async fn former_refs(tx: &mut Tx, goal: GoalId) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select distinct task ->> 'ref' as "reference!"
           from plans, jsonb_array_elements(document) as task
           where workspace_id = $1 and goal_id = $2 and state = 'superseded'
             and applied_at is not null and discovered_from is null and task ->> 'ref' is not null"#,
        tx.workspace.0,
        goal.0,
    )
    .fetch_all(traced!(tx, "goals.plans.former_refs"))
    .await
}

/// A version of a plan.
#[derive(Debug)]
pub struct NewVersion<'a> {
    /// Its id.
    pub plan_id: PlanId,
    /// The goal, whose lock the caller holds.
    pub goal_id: GoalId,
    /// What made it.
    pub planner: Planner,
    /// `proposed` or `applied`.
    pub state: PlanState,
    /// The plan that it changes.
    pub base: i32,
    /// Its tasks with the names of the goal, JSON.
    pub document: &'a Value,
    /// Remarks of the planner, JSON.
    pub notes: &'a Value,
    /// What it changes, JSON.
    pub diff: &'a Value,
    /// Refs of its document by the names of the goal, JSON.
    pub sources: &'a Value,
    /// Tasks with the values before those that cannot change now, JSON.
    pub held: &'a Value,
    /// The new brief, if it waits.
    pub brief: Option<&'a str>,
    /// Why the plan changes.
    pub reason: Option<&'a str>,
}

/// Stores the next version of a goal's plan; returns its number.
pub async fn insert_version(tx: &mut Tx, new: &NewVersion<'_>) -> sqlx::Result<i32> {
    sqlx::query_scalar!(
        "insert into plans (workspace_id, plan_id, goal_id, number, state, planner, document, notes,
                            created_at, applied_at, base, diff, sources, brief, reason, held)
         select $1, $2, $3, coalesce(max(number), 0) + 1, $4, $5, $6, $7, $8,
                case when $4 = 'applied' then $8::timestamptz end, $9, $10, $11, $12, $13, $14
         from plans where workspace_id = $1 and goal_id = $3
         returning number",
        tx.workspace.0,
        new.plan_id.0,
        new.goal_id.0,
        new.state.as_str(),
        new.planner.as_str(),
        new.document,
        new.notes,
        tx.now,
        new.base,
        new.diff,
        new.sources,
        new.brief,
        new.reason,
        new.held,
    )
    .fetch_one(traced!(tx, "goals.plans.insert_version"))
    .await
}

/// A proposed version of a plan.
#[derive(Debug, Clone)]
pub struct ProposedVersion {
    /// Ordinal of the plan within its goal.
    pub number: i32,
    /// What made it.
    pub planner: Planner,
    /// The plan that it changes; `None` for the first plan of a goal.
    pub base: Option<i32>,
    /// Its tasks with the names of the goal.
    pub document: Vec<TaskSpec>,
    /// Remarks of the planner.
    pub notes: Vec<OutlineNote>,
    /// The playbook that it was made of.
    pub playbook: Option<PlaybookUse>,
    /// What it changes.
    pub diff: Option<PlanDiff>,
    /// Refs of its document by the names of the goal, where they differ.
    pub sources: BTreeMap<String, String>,
    /// The new brief.
    pub brief: Option<String>,
    /// Why the plan changes.
    pub reason: Option<String>,
}

/// Reads a proposed version. The caller holds the lock of the goal.
pub async fn proposed(tx: &mut Tx, plan: PlanId) -> sqlx::Result<ProposedVersion> {
    let row = sqlx::query!(
        r#"select number, planner as "planner: Planner", base, document as "document: Json<Vec<TaskSpec>>",
                  notes as "notes: Json<Vec<OutlineNote>>", diff as "diff: Json<PlanDiff>",
                  playbook as "playbook: Json<PlaybookUse>",
                  sources as "sources: Json<BTreeMap<String, String>>", brief, reason
           from plans where workspace_id = $1 and plan_id = $2"#,
        tx.workspace.0,
        plan.0,
    )
    .fetch_one(traced!(tx, "goals.plans.proposed"))
    .await?;
    Ok(ProposedVersion {
        number: row.number,
        planner: row.planner,
        base: row.base,
        document: row.document.0,
        notes: row.notes.0,
        playbook: row.playbook.map(|used| used.0),
        diff: row.diff.map(|diff| diff.0),
        sources: row.sources.0,
        brief: row.brief,
        reason: row.reason,
    })
}

/// Supersedes the applied plan of a goal; it keeps the time at which it was applied.
pub async fn supersede_applied(tx: &mut Tx, goal: GoalId) -> sqlx::Result<()> {
    sqlx::query!(
        "update plans set state = 'superseded'
         where workspace_id = $1 and goal_id = $2 and state = 'applied'
           and discovered_from is null",
        tx.workspace.0,
        goal.0,
    )
    .execute(traced!(tx, "goals.plans.supersede_applied"))
    .await?;
    Ok(())
}

/// Supersedes the proposed plans of a goal; returns their ids and numbers.
pub async fn supersede_proposed(
    tx: &mut Tx,
    goal: GoalId,
    reason: &str,
) -> sqlx::Result<Vec<(PlanId, i32)>> {
    let rows = sqlx::query!(
        r#"update plans set state = 'superseded', reason = $3
           where workspace_id = $1 and goal_id = $2 and state = 'proposed'
             and discovered_from is null
           returning plan_id as "plan_id: PlanId", number"#,
        tx.workspace.0,
        goal.0,
        reason,
    )
    .fetch_all(traced!(tx, "goals.plans.supersede_proposed"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.plan_id, row.number)).collect())
}

/// Applies a proposed version as it is compared now.
pub async fn apply_version(
    tx: &mut Tx,
    plan: PlanId,
    document: &Value,
    diff: &Value,
    sources: &Value,
    held: &Value,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update plans set state = 'applied', applied_at = $3, document = $4, diff = $5, sources = $6, held = $7,
                brief = null
         where workspace_id = $1 and plan_id = $2",
        tx.workspace.0,
        plan.0,
        tx.now,
        document,
        diff,
        sources,
        held,
    )
    .execute(traced!(tx, "goals.plans.apply_version"))
    .await?;
    Ok(())
}

/// Makes an edited proposal a version of the plan that the one before it changes.
pub async fn inherit(tx: &mut Tx, from: PlanId, to: PlanId) -> sqlx::Result<()> {
    sqlx::query!(
        "update plans p set base = f.base, diff = f.diff, sources = f.sources, brief = f.brief,
                reason = f.reason
         from plans f
         where p.workspace_id = $1 and p.plan_id = $3 and f.workspace_id = $1 and f.plan_id = $2",
        tx.workspace.0,
        from.0,
        to.0,
    )
    .execute(traced!(tx, "goals.plans.inherit"))
    .await?;
    Ok(())
}

/// Stores a new brief of a goal.
pub async fn set_brief(tx: &mut Tx, goal: GoalId, brief: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update goal_texts set brief = $3 where workspace_id = $1 and goal_id = $2",
        tx.workspace.0,
        goal.0,
        brief,
    )
    .execute(traced!(tx, "goals.plans.set_brief"))
    .await?;
    super::raise_version(tx, goal).await
}
