//! Approval policies: creation, edits, retirement, and those in force.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use crate::{
    domain::{
        ids::{KeyId, PolicyId, ProjectId},
        policy::{PolicySpec, matching::Policy},
    },
    store::{Tx, traced, violates},
};

const NAME_UNIQUE: &str = "approval_policies_name_unique";

/// A policy to be created.
#[derive(Debug)]
pub struct NewPolicy<'a> {
    /// Its id.
    pub policy_id: PolicyId,
    /// Its rules; the name is unique among policies in force.
    pub spec: &'a PolicySpec,
    /// The key that creates it.
    pub by: Option<KeyId>,
}

/// A policy.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct PolicyRow {
    pub policy_id: PolicyId,
    pub document: Json<PolicySpec>,
    pub version: i32,
    pub created_by: Option<KeyId>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub retired_at: Option<DateTime<Utc>>,
}

/// Filter of [`list`].
#[derive(Debug, Clone, Copy, Default)]
pub struct PolicyFilter {
    /// Only this one.
    pub policy: Option<PolicyId>,
    /// Only retired ones, or only those in force.
    pub retired: Option<bool>,
}

/// Creates a policy; returns `false` if the name is taken.
pub async fn insert(tx: &mut Tx, new: &NewPolicy<'_>) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into approval_policies (workspace_id, policy_id, name, document, created_by,
                                        created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $6)
         on conflict (workspace_id, name) where retired_at is null do nothing",
        tx.workspace.0,
        new.policy_id.0,
        new.spec.name,
        Json(new.spec) as _,
        new.by.map(|id| id.0),
        tx.now,
    )
    .execute(traced!(tx, "approvals.policies.insert"))
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Number of policies in force.
pub async fn count_in_force(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from approval_policies
           where workspace_id = $1 and retired_at is null"#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "approvals.policies.count_in_force"))
    .await
}

/// Whether the project exists.
pub async fn project_exists(tx: &mut Tx, project: ProjectId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from projects where workspace_id = $1 and project_id = $2)
           as "exists!""#,
        tx.workspace.0,
        project.0,
    )
    .fetch_one(traced!(tx, "approvals.policies.project_exists"))
    .await
}

/// Policies after `after`, newest first.
pub async fn list(
    tx: &mut Tx,
    filter: PolicyFilter,
    after: Option<PolicyId>,
    rows: i64,
) -> sqlx::Result<Vec<PolicyRow>> {
    sqlx::query_as!(
        PolicyRow,
        r#"select policy_id as "policy_id: PolicyId",
                  document as "document: Json<PolicySpec>", version,
                  created_by as "created_by: KeyId", created_at, updated_at, retired_at
           from approval_policies
           where workspace_id = $1 and ($2::uuid is null or policy_id = $2)
             and ($3::bool is null or (retired_at is not null) = $3)
             and ($4::uuid is null or policy_id < $4)
           order by policy_id desc limit $5"#,
        tx.workspace.0,
        filter.policy.map(|id| id.0),
        filter.retired,
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "approvals.policies.list"))
    .await
}

/// Policies in force, oldest first: (policy, version, document).
pub async fn in_force(tx: &mut Tx) -> sqlx::Result<Vec<Policy>> {
    let rows = sqlx::query!(
        r#"select policy_id as "policy_id: PolicyId", version,
                  document as "document: Json<PolicySpec>"
           from approval_policies
           where workspace_id = $1 and retired_at is null order by policy_id"#,
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "approvals.policies.in_force"))
    .await?;
    let policies = rows.into_iter().map(|row| Policy {
        policy_id: row.policy_id,
        version: row.version,
        spec: row.document.0,
    });
    Ok(policies.collect())
}

/// Locks a policy; returns its version and the time of its retirement.
pub async fn lock(
    tx: &mut Tx,
    policy: PolicyId,
) -> sqlx::Result<Option<(i32, Option<DateTime<Utc>>)>> {
    let row = sqlx::query!(
        "select version, retired_at from approval_policies
         where workspace_id = $1 and policy_id = $2 for no key update",
        tx.workspace.0,
        policy.0,
    )
    .fetch_optional(traced!(tx, "approvals.policies.lock"))
    .await?;
    Ok(row.map(|row| (row.version, row.retired_at)))
}

/// Edits a locked policy. Returns `false` if the name is taken; the transaction must then be rolled
/// back.
pub async fn update(tx: &mut Tx, policy: PolicyId, spec: &PolicySpec) -> sqlx::Result<bool> {
    let updated = sqlx::query!(
        "update approval_policies set name = $3, document = $4, version = version + 1,
                updated_at = $5
         where workspace_id = $1 and policy_id = $2",
        tx.workspace.0,
        policy.0,
        spec.name,
        Json(spec) as _,
        tx.now,
    )
    .execute(traced!(tx, "approvals.policies.update"))
    .await;
    match updated {
        Ok(_) => Ok(true),
        Err(error) if violates(&error, NAME_UNIQUE) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Retires a locked policy.
pub async fn retire(tx: &mut Tx, policy: PolicyId) -> sqlx::Result<()> {
    sqlx::query!(
        "update approval_policies set retired_at = $3, updated_at = $3, version = version + 1
         where workspace_id = $1 and policy_id = $2",
        tx.workspace.0,
        policy.0,
        tx.now,
    )
    .execute(traced!(tx, "approvals.policies.retire"))
    .await?;
    Ok(())
}
