//! Who is excluded from pending approvals, and which policies hold for them.

use serde_json::Value;
use sqlx::types::Json;

use crate::{
    domain::{
        approval::excluded::Excluded,
        ids::{ApprovalId, ProjectId},
    },
    store::{Tx, columns::uuids, traced},
};

/// The exclusions and the policy of an approval.
#[derive(Debug)]
pub struct AskedOf {
    /// The approval.
    pub approval_id: ApprovalId,
    /// The project of its goal.
    pub project_id: Option<ProjectId>,
    /// The people and keys that may not decide.
    pub excluded: Json<Vec<Excluded>>,
    /// The policy as it was when the approval was asked.
    pub policy: Option<Value>,
    /// Its current stage.
    pub stage: i16,
    /// Number of escalations in the stage.
    pub escalation: i16,
}

/// The exclusions and policies of approvals.
pub async fn asked_of(tx: &mut Tx, approvals: &[ApprovalId]) -> sqlx::Result<Vec<AskedOf>> {
    sqlx::query_as!(
        AskedOf,
        r#"
        select a.approval_id as "approval_id: ApprovalId", g.project_id as "project_id: ProjectId",
               a.excluded as "excluded: Json<Vec<Excluded>>", a.policy, a.stage, a.escalation
        from approvals a
        join goals g on g.workspace_id = $1 and g.goal_id = a.goal_id
        where a.workspace_id = $1 and a.approval_id = any($2)
        "#,
        tx.workspace.0,
        &uuids(approvals),
    )
    .fetch_all(traced!(tx, "attention.asked_of"))
    .await
}
