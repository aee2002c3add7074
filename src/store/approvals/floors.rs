//! Risk floors: their rules, and what of an approval's subject they look at.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use crate::{
    domain::{
        approval::{
            Risk,
            floor::{FloorRule, FloorSpec, PayloadCondition, RiskFloor},
        },
        ids::{ApprovalId, GoalId, KeyId, ProjectId, RiskFloorId, TaskId},
        states::ApprovalKind,
    },
    store::{Tx, traced},
};

/// A rule to be created.
#[derive(Debug)]
pub struct NewFloor<'a> {
    /// Its id.
    pub floor_id: RiskFloorId,
    /// Its content; the name is unique.
    pub spec: &'a FloorSpec,
    /// The key that creates it.
    pub by: Option<KeyId>,
}

/// A rule.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct FloorRow {
    pub floor_id: RiskFloorId,
    pub name: String,
    pub risk: Risk,
    pub kind: Option<ApprovalKind>,
    pub capability: Option<String>,
    pub project_id: Option<ProjectId>,
    pub payload: Json<Vec<PayloadCondition>>,
    pub created_by: Option<KeyId>,
    pub created_at: DateTime<Utc>,
}

/// Creates a rule; returns `false` if the name is taken.
pub async fn insert(tx: &mut Tx, new: &NewFloor<'_>) -> sqlx::Result<bool> {
    let FloorSpec { name, risk, kind, capability, project_id, payload } = new.spec;
    let inserted = sqlx::query!(
        "insert into risk_floors (workspace_id, floor_id, name, risk, kind, capability, project_id,
                                  payload, created_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (workspace_id, name) do nothing",
        tx.workspace.0,
        new.floor_id.0,
        name,
        risk.as_str(),
        kind.map(ApprovalKind::as_str),
        capability.as_deref(),
        project_id.map(|id| id.0),
        Json(payload) as _,
        new.by.map(|id| id.0),
        tx.now,
    )
    .execute(traced!(tx, "approvals.floors.insert"))
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Number of rules.
pub async fn count(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from risk_floors where workspace_id = $1"#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "approvals.floors.count"))
    .await
}

/// Rules after `after`, newest first; of `floor` only that one.
pub async fn list(
    tx: &mut Tx,
    floor: Option<RiskFloorId>,
    after: Option<RiskFloorId>,
    rows: i64,
) -> sqlx::Result<Vec<FloorRow>> {
    sqlx::query_as!(
        FloorRow,
        r#"select floor_id as "floor_id: RiskFloorId", name, risk as "risk: Risk",
                  kind as "kind: ApprovalKind", capability, project_id as "project_id: ProjectId",
                  payload as "payload: Json<Vec<PayloadCondition>>",
                  created_by as "created_by: KeyId", created_at
           from risk_floors
           where workspace_id = $1 and ($2::uuid is null or floor_id = $2)
             and ($3::uuid is null or floor_id < $3)
           order by floor_id desc limit $4"#,
        tx.workspace.0,
        floor.map(|id| id.0),
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "approvals.floors.list"))
    .await
}

/// Every rule, oldest first.
pub async fn in_force(tx: &mut Tx) -> sqlx::Result<Vec<FloorRule>> {
    let rows = sqlx::query_as!(
        FloorRow,
        r#"select floor_id as "floor_id: RiskFloorId", name, risk as "risk: Risk",
                  kind as "kind: ApprovalKind", capability, project_id as "project_id: ProjectId",
                  payload as "payload: Json<Vec<PayloadCondition>>",
                  created_by as "created_by: KeyId", created_at
           from risk_floors where workspace_id = $1 order by floor_id"#,
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "approvals.floors.in_force"))
    .await?;
    let rule = |row: FloorRow| {
        let FloorRow {
            floor_id,
            name,
            risk,
            kind,
            capability,
            project_id,
            payload,
            created_by: _,
            created_at: _,
        } = row;
        let payload = payload.0;
        FloorRule {
            floor_id,
            spec: FloorSpec { name, risk, kind, capability, project_id, payload },
        }
    };
    Ok(rows.into_iter().map(rule).collect())
}

/// Deletes a rule; returns `false` if it does not exist.
pub async fn delete(tx: &mut Tx, floor: RiskFloorId) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        "delete from risk_floors where workspace_id = $1 and floor_id = $2",
        tx.workspace.0,
        floor.0,
    )
    .execute(traced!(tx, "approvals.floors.delete"))
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// What floors look at, of the goal and task of an approval.
#[derive(Debug)]
pub struct SubjectRow {
    /// Project of the goal.
    pub project: Option<ProjectId>,
    /// Capabilities required by the task; empty without one.
    pub capabilities: Vec<String>,
    /// Ref of the task; `None` without one.
    pub reference: Option<String>,
    /// Least risk of the task.
    pub risk: Option<Risk>,
}

/// What floors look at, of goals and tasks; one row for each, in the same order.
pub async fn subjects(
    tx: &mut Tx,
    about: &[(GoalId, Option<TaskId>)],
) -> sqlx::Result<Vec<SubjectRow>> {
    sqlx::query_as!(
        SubjectRow,
        r#"select g.project_id as "project: ProjectId",
                  coalesce(s.capabilities, '{}') as "capabilities!",
                  t.ref as "reference?", x.risk as "risk: Risk"
           from unnest($2::uuid[], $3::uuid[]) with ordinality as n (goal_id, task_id, number)
           left join goals g on g.workspace_id = $1 and g.goal_id = n.goal_id
           left join tasks t on t.workspace_id = $1 and t.task_id = n.task_id
           left join task_texts x on x.workspace_id = $1 and x.task_id = n.task_id
           left join capability_sets s
             on s.workspace_id = $1 and s.capability_key = t.capability_key
           order by n.number"#,
        tx.workspace.0,
        &about.iter().map(|(goal, _)| goal.0).collect::<Vec<_>>(),
        &about.iter().map(|(_, task)| task.map(|id| id.0)).collect::<Vec<_>>()
            as &[Option<uuid::Uuid>],
    )
    .fetch_all(traced!(tx, "approvals.floors.subjects"))
    .await
}

/// Sets the risk of a locked approval, and its floor.
pub async fn raise(
    tx: &mut Tx,
    approval: ApprovalId,
    risk: Risk,
    floor: Option<&RiskFloor>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update approvals set risk = $3, risk_floor = $4
         where workspace_id = $1 and approval_id = $2",
        tx.workspace.0,
        approval.0,
        risk.as_str(),
        floor.map(Json) as _,
    )
    .execute(traced!(tx, "approvals.floors.raise"))
    .await?;
    Ok(())
}
