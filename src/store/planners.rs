//! Settings of the models that plan, and the figures of the fleet for their prompts.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::{Tx, traced};
use crate::domain::{
    ids::KeyId,
    planning::{model::ModelApi, prompt::CapabilityRecord},
    spend::Amounts,
};

/// The settings of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannerRow {
    /// Wire format of the server.
    pub api: ModelApi,
    /// Address of the server.
    pub url: Option<String>,
    /// Name of the model.
    pub model: String,
    /// Most output tokens of one answer.
    pub max_output_tokens: Option<i32>,
    /// Time for one answer, in seconds.
    pub timeout_seconds: Option<i32>,
    /// Longest silence, in seconds.
    pub silence_seconds: Option<i32>,
    /// Rises with every change.
    pub version: i32,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
    /// The key that changed it last.
    pub updated_by: Option<KeyId>,
}

/// The settings of the workspace; `None`: it has none.
pub async fn find(tx: &mut Tx) -> sqlx::Result<Option<PlannerRow>> {
    sqlx::query_as!(
        PlannerRow,
        r#"select api as "api: ModelApi", url, model, max_output_tokens, timeout_seconds,
                  silence_seconds, version, updated_at, updated_by as "updated_by: KeyId"
           from planner_settings
           where workspace_id = $1"#,
        tx.workspace.0,
    )
    .fetch_optional(traced!(tx, "planners.find"))
    .await
}

/// Stores the settings of the workspace. The unit of work runs alone.
pub async fn set(tx: &mut Tx, row: &PlannerRow) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into planner_settings (workspace_id, api, url, model, max_output_tokens, timeout_seconds,
                                       silence_seconds, version, updated_at, updated_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (workspace_id) do update
             set api = excluded.api, url = excluded.url, model = excluded.model,
                 max_output_tokens = excluded.max_output_tokens,
                 timeout_seconds = excluded.timeout_seconds,
                 silence_seconds = excluded.silence_seconds, version = excluded.version,
                 updated_at = excluded.updated_at, updated_by = excluded.updated_by",
        tx.workspace.0,
        row.api.as_str(),
        row.url.as_deref(),
        row.model,
        row.max_output_tokens,
        row.timeout_seconds,
        row.silence_seconds,
        row.version,
        row.updated_at,
        row.updated_by.map(|key| key.0),
    )
    .execute(traced!(tx, "planners.set"))
    .await?;
    Ok(())
}

/// Deletes the settings of the workspace.
pub async fn delete(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query!("delete from planner_settings where workspace_id = $1", tx.workspace.0)
        .execute(traced!(tx, "planners.delete"))
        .await?;
    Ok(())
}

/// What the fleet can do, from its agents and what was learnt of finished tasks: up to `rows` capabilities, those of
/// most agents first.
pub async fn capabilities(tx: &mut Tx, rows: i64) -> sqlx::Result<Vec<CapabilityRecord>> {
    let rows = sqlx::query!(
        r#"
        with able as (
            select c.name, count(*) as agents
            from agents a
            cross join lateral unnest(a.capabilities) as c (name)
            where a.workspace_id = $1 and a.state <> 'retired'
            group by c.name
            order by agents desc, c.name
            limit $2
        ), usual as (
            select m.name, max(m.p50) filter (where m.unit = 'wall_ms') as ms,
                   jsonb_object_agg(m.unit, m.p50) filter (where m.unit <> 'wall_ms') as spend
            from able b
            join measured_use m on m.workspace_id = $1 and m.kind = 'capability' and m.name = b.name
            group by m.name
        )
        select b.name as "name!", b.agents as "agents!",
               coalesce(o.succeeded, 0)::bigint as "accepted!",
               coalesce(o.failed, 0)::bigint as "failed!",
               u.ms as "ms?", u.spend as "usual?: Json<Amounts>"
        from able b
        left join capability_outcomes o on o.workspace_id = $1 and o.capability = b.name
        left join usual u on u.name = b.name
        order by b.agents desc, b.name
        "#,
        tx.workspace.0,
        rows,
    )
    .fetch_all(traced!(tx, "planners.capabilities"))
    .await?;
    let records = rows.into_iter().map(|row| CapabilityRecord {
        name: row.name,
        agents: row.agents,
        accepted: row.accepted,
        failed: row.failed,
        usual_ms: row.ms,
        usual: row.usual.map(|usual| usual.0).unwrap_or_default(),
    });
    Ok(records.collect())
}
