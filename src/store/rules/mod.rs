//! Intervention rules.

pub mod candidates;
pub mod facts;
pub mod history;
pub mod intervention_read;
pub mod interventions;
pub mod nudges;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::{Tx, traced, violates};
use crate::domain::{
    ids::{KeyId, ProjectId, RuleId},
    rule::{Action, Condition, Then, When},
};

const NAME_UNIQUE: &str = "rules_name_unique";

/// The editable columns of a rule.
#[derive(Debug, Clone)]
pub struct RuleText<'a> {
    /// Unique among rules.
    pub name: &'a str,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Its condition.
    pub when: &'a When,
    /// Scope: only this project.
    pub project_id: Option<ProjectId>,
    /// Scope: only tasks that require one of these.
    pub capabilities: &'a [String],
    /// Its action.
    pub then: &'a Then,
    /// Cooldown after an intervention on the same subject, in milliseconds.
    pub cooldown_ms: i64,
}

/// A rule as it is stored.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct RuleRow {
    pub rule_id: RuleId,
    pub name: String,
    pub enabled: bool,
    pub condition_is: Json<When>,
    pub project_id: Option<ProjectId>,
    pub capabilities: Vec<String>,
    pub action_is: Json<Then>,
    pub cooldown_ms: i64,
    pub version: i32,
    pub created_by: Option<KeyId>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Number of its open interventions.
    pub open: i64,
}

/// Stores a rule; returns `false` if the name is taken.
pub async fn insert(
    tx: &mut Tx,
    (rule, by): (RuleId, Option<KeyId>),
    text: &RuleText<'_>,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into rules (workspace_id, rule_id, name, enabled, subject, condition, condition_is,
             project_id, capabilities, action, action_is, cooldown_ms, created_by, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)
         on conflict (workspace_id, name) where deleted_at is null do nothing",
        tx.workspace.0,
        rule.0,
        text.name,
        text.enabled,
        text.when.subject().as_str(),
        text.when.condition().as_str(),
        Json(text.when) as _,
        text.project_id.map(|id| id.0),
        text.capabilities,
        text.then.action().as_str(),
        Json(text.then) as _,
        text.cooldown_ms,
        by.map(|id| id.0),
        tx.now,
    )
    .execute(traced!(tx, "rules.insert"))
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Edits a locked rule. Returns `false` if the name is taken; the transaction must then be rolled
/// back.
pub async fn update(tx: &mut Tx, rule: RuleId, text: &RuleText<'_>) -> sqlx::Result<bool> {
    let updated = sqlx::query!(
        "update rules set name = $3, enabled = $4, subject = $5, condition = $6, condition_is = $7,
             project_id = $8, capabilities = $9, action = $10, action_is = $11, cooldown_ms = $12,
             updated_at = $13, version = version + 1
         where workspace_id = $1 and rule_id = $2",
        tx.workspace.0,
        rule.0,
        text.name,
        text.enabled,
        text.when.subject().as_str(),
        text.when.condition().as_str(),
        Json(text.when) as _,
        text.project_id.map(|id| id.0),
        text.capabilities,
        text.then.action().as_str(),
        Json(text.then) as _,
        text.cooldown_ms,
        tx.now,
    )
    .execute(traced!(tx, "rules.update"))
    .await;
    match updated {
        Ok(_) => Ok(true),
        Err(error) if violates(&error, NAME_UNIQUE) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Deletes a locked rule: disables and hides it.
pub async fn delete(tx: &mut Tx, rule: RuleId) -> sqlx::Result<()> {
    sqlx::query!(
        "update rules set enabled = false, deleted_at = $3, updated_at = $3, version = version + 1
         where workspace_id = $1 and rule_id = $2",
        tx.workspace.0,
        rule.0,
        tx.now,
    )
    .execute(traced!(tx, "rules.delete"))
    .await?;
    Ok(())
}

/// Locks a rule; returns `false` if it does not exist or is deleted.
pub async fn lock(tx: &mut Tx, rule: RuleId) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select true as "found!" from rules
           where workspace_id = $1 and rule_id = $2 and deleted_at is null for no key update"#,
        tx.workspace.0,
        rule.0,
    )
    .fetch_optional(traced!(tx, "rules.lock"))
    .await?;
    Ok(found.unwrap_or_default())
}

/// Locks a rule in shared mode; returns `false` if its version changed or it is disabled.
pub async fn hold(tx: &mut Tx, rule: RuleId, version: i32) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select true as "found!" from rules
           where workspace_id = $1 and rule_id = $2 and version = $3 and enabled for share"#,
        tx.workspace.0,
        rule.0,
        version,
    )
    .fetch_optional(traced!(tx, "rules.hold"))
    .await?;
    Ok(found.unwrap_or_default())
}

/// Filter of [`list`].
#[derive(Debug, Clone, Copy, Default)]
pub struct RuleFilter {
    /// Only this one.
    pub rule: Option<RuleId>,
    /// Only enabled ones, or only disabled ones.
    pub enabled: Option<bool>,
    /// Only with this condition.
    pub condition: Option<Condition>,
    /// Only with this action.
    pub action: Option<Action>,
}

/// Rules after `after`, newest first; omits deleted ones.
pub async fn list(
    tx: &mut Tx,
    filter: RuleFilter,
    after: Option<RuleId>,
    rows: i64,
) -> sqlx::Result<Vec<RuleRow>> {
    sqlx::query_as!(
        RuleRow,
        r#"
        select r.rule_id as "rule_id: RuleId", r.name, r.enabled,
               r.condition_is as "condition_is: Json<When>",
               r.project_id as "project_id: ProjectId", r.capabilities,
               r.action_is as "action_is: Json<Then>", r.cooldown_ms, r.version, r.created_by as "created_by: KeyId", r.created_at, r.updated_at,
               (select count(*) from interventions i where i.workspace_id = $1
                and i.rule_id = r.rule_id and i.closed_at is null) as "open!"
        from rules r
        where r.workspace_id = $1 and r.deleted_at is null
          and ($2::uuid is null or r.rule_id = $2)
          and ($3::bool is null or r.enabled = $3)
          and ($4::text is null or r.condition = $4)
          and ($5::text is null or r.action = $5)
          and ($6::uuid is null or r.rule_id < $6)
        order by r.rule_id desc
        limit $7
        "#,
        tx.workspace.0,
        filter.rule.map(|id| id.0),
        filter.enabled,
        filter.condition.map(Condition::as_str),
        filter.action.map(Action::as_str),
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "rules.list"))
    .await
}

/// Enabled rules, oldest first.
pub async fn at_work(tx: &mut Tx) -> sqlx::Result<Vec<RuleRow>> {
    sqlx::query_as!(
        RuleRow,
        r#"
        select rule_id as "rule_id: RuleId", name, enabled,
               condition_is as "condition_is: Json<When>", project_id as "project_id: ProjectId",
               capabilities, action_is as "action_is: Json<Then>", cooldown_ms, version,
               created_by as "created_by: KeyId", created_at, updated_at, 0::bigint as "open!"
        from rules where workspace_id = $1 and enabled order by rule_id
        "#,
        tx.workspace.0,
    )
    .fetch_all(traced!(tx, "rules.at_work"))
    .await
}

/// Whether a project exists.
pub async fn project_exists(tx: &mut Tx, project: Uuid) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select true as "found!" from projects where workspace_id = $1 and project_id = $2"#,
        tx.workspace.0,
        project,
    )
    .fetch_optional(traced!(tx, "rules.project_exists"))
    .await?;
    Ok(found.unwrap_or_default())
}
