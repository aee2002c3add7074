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

/// What the fleet can do, from its agents and its last 2,000 attempts: up to `rows` capabilities, those of most
/// agents first. Medians are over accepted attempts.
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
        ), latest as materialized (
            select a.attempt_id, a.state, t.capability_key,
                   floor(extract(epoch from a.ended_at - a.started_at) * 1000)::bigint as ms
            from (select attempt_id, task_id, state, started_at, ended_at from attempts
                  where workspace_id = $1 order by attempt_id desc limit 2000) a
            join tasks t on t.workspace_id = $1 and t.task_id = a.task_id
            where a.state in ('accepted', 'rejected', 'failed', 'expired')
        ), tries as (
            select b.name, l.attempt_id, l.state = 'accepted' as accepted, l.ms
            from latest l
            cross join lateral unnest(string_to_array(l.capability_key, ',')) as c (name)
            join able b on b.name = c.name
        ), counted as (
            select name, count(*) filter (where accepted) as accepted,
                   count(*) filter (where not accepted) as failed,
                   percentile_disc(0.5) within group (order by ms) filter (where accepted) as ms
            from tries group by name
        ), spent as (
            select name, jsonb_object_agg(unit, amount) as usual
            from (select t.name, s.unit,
                         percentile_disc(0.5) within group (order by s.entries + s.reported) as amount
                  from tries t
                  join attempt_spend s on s.workspace_id = $1 and s.attempt_id = t.attempt_id
                  where t.accepted
                  group by t.name, s.unit) u
            group by name
        )
        select b.name as "name!", b.agents as "agents!", coalesce(c.accepted, 0) as "accepted!",
               coalesce(c.failed, 0) as "failed!", c.ms as "ms?", s.usual as "usual?: Json<Amounts>"
        from able b
        left join counted c on c.name = b.name
        left join spent s on s.name = b.name
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
