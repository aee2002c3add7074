//! The workspace itself: its name and its settings.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    App, Result, Unit,
    caller::{AdminCaller, Caller as _, ReaderCaller},
    edit::present,
    error::same_version,
};
use crate::{
    domain::{
        artifact::media_type,
        check::Checks,
        ids::WorkspaceId,
        journal::{Kind, NewRow},
        knowledge::{bounds, uplift},
        refusal::{Code, Refusal},
        retention::RETENTION_DAYS,
        routing::policy::Policy,
        settings,
    },
    store::{
        self, Tx,
        workspaces::{WorkspaceRow, WorkspaceSettings},
    },
};

/// The workspace of the key, with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Workspace {
    /// Id of the workspace; never changes.
    pub id: WorkspaceId,
    /// One line, for people.
    #[schema(example = "default")]
    pub name: String,
    /// Lifetime of a new key of an agent in seconds. `null`: such keys do not expire.
    #[schema(example = 604_800)]
    pub agent_key_lifetime_seconds: Option<i64>,
    /// Most attempts of one agent at once, whatever its own `max_concurrent` says. `null`: no cap.
    #[schema(example = 20)]
    pub agent_max_concurrent: Option<i32>,
    /// Longest lease of an attempt of an agent in seconds, whatever a claim or a task says. `null`: 3600.
    #[schema(example = 600)]
    pub max_lease_seconds: Option<i32>,
    /// Retention of ended goals in days: later they are deleted, and only their journal and the daily totals of
    /// their spend stay. `null`: for ever.
    #[schema(example = 90)]
    pub goal_retention_days: Option<i32>,
    /// Retention of the rows of the journal, events included, in days. `null`: for ever.
    #[schema(example = 365)]
    pub journal_retention_days: Option<i32>,
    /// How claims choose: `fifo` (the first ready task of the highest priority, any able agent), or with
    /// turns between goals and the longest rest of a plan first: `balanced`, `cheapest`, `fastest` or `best`.
    pub routing: Policy,
    /// Longest time in milliseconds that a task is kept for a better agent; 0: never.
    #[schema(example = 5000)]
    pub max_deferral_ms: i32,
    /// Percentage of assignments that are made at random, to compare the routing with.
    #[schema(example = 2)]
    pub control_percent: i32,
    /// Retention of artifacts in days since their last upload; those that an open goal refers to stay. `null`: for
    /// ever.
    #[schema(example = 90)]
    pub artifact_retention_days: Option<i32>,
    /// Media types of artifacts that may be uploaded. `null`: all.
    #[schema(example = json!(["text/plain", "image/*"]))]
    pub artifact_media_types: Option<Vec<String>>,
    /// Most tokens of the lessons in a claim; 0: claims get none.
    #[schema(example = 2000)]
    pub lesson_tokens: i32,
    /// Percentage of tasks whose claims get no lessons, to measure what lessons change
    /// (`GET /v1/knowledge/uplift`).
    #[schema(example = 10)]
    pub lesson_control_percent: i32,
    /// Retention of archived and superseded lessons in days since their last change. `null`: for ever.
    #[schema(example = 365)]
    pub lesson_retention_days: Option<i32>,
    /// Version of the settings; rises by one with every edit; the `ETag`.
    pub version: i32,
    /// When the workspace was created.
    pub created_at: DateTime<Utc>,
    /// When the settings were last edited; `null`: never.
    pub updated_at: Option<DateTime<Utc>>,
}

impl From<WorkspaceSettings> for Workspace {
    fn from(row: WorkspaceSettings) -> Self {
        let WorkspaceSettings {
            workspace_id,
            name,
            agent_key_lifetime_seconds,
            agent_max_concurrent,
            max_lease_seconds,
            goal_retention_days,
            journal_retention_days,
            routing,
            max_deferral_ms,
            control_percent,
            artifact_retention_days,
            artifact_media_types,
            lesson_tokens,
            lesson_control_percent,
            lesson_retention_days,
            version,
            created_at,
            updated_at,
        } = row;
        Self {
            id: workspace_id,
            name,
            agent_key_lifetime_seconds,
            agent_max_concurrent,
            max_lease_seconds,
            goal_retention_days,
            journal_retention_days,
            routing,
            max_deferral_ms,
            control_percent,
            artifact_retention_days,
            artifact_media_types,
            lesson_tokens,
            lesson_control_percent,
            lesson_retention_days,
            version,
            created_at,
            updated_at,
        }
    }
}

/// An edit of the workspace; absent fields keep their value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkspaceChange {
    /// One line, for people.
    #[schema(example = "default", min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// Lifetime of a new key of an agent in seconds; `null` removes it. Valid keys of agents that
    /// would live longer end one lifetime after the edit.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i64>, example = 604_800, minimum = 60, maximum = 315_360_000)]
    pub agent_key_lifetime_seconds: Option<Option<i64>>,
    /// Most attempts of one agent at once, whatever its own `max_concurrent` says; `null` removes the cap.
    /// Running attempts go on; the agent claims again when it holds fewer.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>, example = 20, minimum = 1, maximum = 10_000)]
    pub agent_max_concurrent: Option<Option<i32>>,
    /// Longest lease of an attempt of an agent in seconds; `null` removes the cap. A claim that asks for more, or
    /// whose task says more, gets this. Running attempts keep their leases, and so do those of people.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>, example = 600, minimum = 1, maximum = 3600)]
    pub max_lease_seconds: Option<Option<i32>>,
    /// Retention of ended goals in days; `null` keeps them for ever. A goal that ended longer ago is deleted with
    /// everything of it, for good; the service exports it before if it has a directory for that. Of its spend the
    /// daily totals stay, so budgets and reports add up as before.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>, example = 90, minimum = 1, maximum = 36_500)]
    pub goal_retention_days: Option<Option<i32>>,
    /// Retention of the rows of the journal, events included, in days; `null` keeps them for ever. They are deleted
    /// from the oldest on, for good. What is left can still be verified.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>, example = 365, minimum = 1, maximum = 36_500)]
    pub journal_retention_days: Option<Option<i32>>,
    /// How claims choose; `null`: `balanced`. Ready tasks get their new place at once.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Policy>)]
    pub routing: Option<Option<Policy>>,
    /// Longest time in milliseconds that a task is kept for a better agent; 0: never; `null`: 5000.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>, example = 5000, minimum = 0, maximum = 600_000)]
    pub max_deferral_ms: Option<Option<i32>>,
    /// Percentage of assignments that are made at random, to compare the routing with; `null`: 2.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>, example = 2, minimum = 0, maximum = 20)]
    pub control_percent: Option<Option<i32>>,
    /// Retention of artifacts in days since their last upload; `null` keeps them for ever. An artifact that the
    /// result or the evidence of an open goal refers to is kept until the goal has ended.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>, example = 90, minimum = 1, maximum = 36_500)]
    pub artifact_retention_days: Option<Option<i32>>,
    /// Media types of artifacts that may be uploaded, such as `text/plain` or `image/*`; at most 100. `null` allows
    /// all. Artifacts that are there stay.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>, example = json!(["text/plain", "image/*"]))]
    pub artifact_media_types: Option<Option<Vec<String>>>,
    /// Most tokens of the lessons in a claim; 0: claims get none; `null`: 2000.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>, example = 2000, minimum = 0, maximum = 32_000)]
    pub lesson_tokens: Option<Option<i32>>,
    /// Percentage of tasks whose claims get no lessons, to measure what lessons change; `null`: 10. A task keeps its
    /// group for all its attempts.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>, example = 10, minimum = 0, maximum = 50)]
    pub lesson_control_percent: Option<Option<i32>>,
    /// Retention of archived and superseded lessons in days since their last change; `null` keeps them for ever.
    /// Other lessons stay.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>, example = 365, minimum = 1, maximum = 36_500)]
    pub lesson_retention_days: Option<Option<i32>>,
}

impl WorkspaceChange {
    fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        if let Some(name) = &self.name {
            checks.line("/name", name, settings::NAME_CHARS);
        }
        if let Some(Some(seconds)) = self.agent_key_lifetime_seconds {
            let (least, most) = (settings::AGENT_KEY_LIFETIME_MIN, settings::KEY_EXPIRY_MAX);
            let whole = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
            let pointer = "/agent_key_lifetime_seconds";
            checks.range(pointer, seconds, whole(least)..=whole(most));
        }
        if let Some(Some(most)) = self.agent_max_concurrent {
            checks.range("/agent_max_concurrent", most, 1..=settings::AGENT_CONCURRENT_MAX);
        }
        if let Some(Some(seconds)) = self.max_lease_seconds {
            let most = i32::try_from(settings::LEASE_MAX.as_secs()).unwrap_or(i32::MAX);
            checks.range("/max_lease_seconds", seconds, 1..=most);
        }
        if let Some(Some(days)) = self.goal_retention_days {
            checks.range("/goal_retention_days", days, RETENTION_DAYS);
        }
        if let Some(Some(days)) = self.journal_retention_days {
            checks.range("/journal_retention_days", days, RETENTION_DAYS);
        }
        if let Some(Some(bound)) = self.max_deferral_ms {
            checks.range("/max_deferral_ms", bound, 0..=settings::MAX_DEFERRAL_MS_MOST);
        }
        if let Some(Some(percent)) = self.control_percent {
            checks.range("/control_percent", percent, 0..=settings::CONTROL_PERCENT_MOST);
        }
        if let Some(Some(days)) = self.artifact_retention_days {
            checks.range("/artifact_retention_days", days, RETENTION_DAYS);
        }
        if let Some(Some(allowed)) = &self.artifact_media_types {
            media_type::check_allowed(&mut checks, "/artifact_media_types", allowed);
        }
        if let Some(Some(tokens)) = self.lesson_tokens {
            checks.range("/lesson_tokens", tokens, 0..=bounds::PACK_TOKENS.cast_signed());
        }
        if let Some(Some(percent)) = self.lesson_control_percent {
            checks.range("/lesson_control_percent", percent, 0..=bounds::CONTROL_PERCENT_MOST);
        }
        if let Some(Some(days)) = self.lesson_retention_days {
            checks.range("/lesson_retention_days", days, RETENTION_DAYS);
        }
        Ok(checks.finish()?)
    }

    /// The settings after the edit.
    fn of(&self, before: &WorkspaceSettings) -> WorkspaceSettings {
        let before = before.clone();
        WorkspaceSettings {
            name: self.name.clone().unwrap_or(before.name),
            agent_key_lifetime_seconds: self
                .agent_key_lifetime_seconds
                .unwrap_or(before.agent_key_lifetime_seconds),
            agent_max_concurrent: self.agent_max_concurrent.unwrap_or(before.agent_max_concurrent),
            max_lease_seconds: self.max_lease_seconds.unwrap_or(before.max_lease_seconds),
            goal_retention_days: self.goal_retention_days.unwrap_or(before.goal_retention_days),
            journal_retention_days: self
                .journal_retention_days
                .unwrap_or(before.journal_retention_days),
            routing: self
                .routing
                .map_or(before.routing, |routing| routing.unwrap_or(Policy::Balanced)),
            max_deferral_ms: self
                .max_deferral_ms
                .map_or(before.max_deferral_ms, |bound| bound.unwrap_or(settings::MAX_DEFERRAL_MS)),
            control_percent: self.control_percent.map_or(before.control_percent, |percent| {
                percent.unwrap_or(settings::CONTROL_PERCENT)
            }),
            artifact_retention_days: self
                .artifact_retention_days
                .unwrap_or(before.artifact_retention_days),
            artifact_media_types: self
                .artifact_media_types
                .clone()
                .unwrap_or(before.artifact_media_types),
            lesson_tokens: self.lesson_tokens.map_or(before.lesson_tokens, |tokens| {
                tokens.unwrap_or(bounds::CLAIM_TOKENS.cast_signed())
            }),
            lesson_control_percent: self
                .lesson_control_percent
                .map_or(before.lesson_control_percent, |percent| {
                    percent.unwrap_or(uplift::CONTROL_PERCENT.into())
                }),
            lesson_retention_days: self
                .lesson_retention_days
                .unwrap_or(before.lesson_retention_days),
            ..before
        }
    }
}

/// The settings of the workspace.
pub(super) async fn read(tx: &mut Tx) -> Result<WorkspaceSettings> {
    let found = store::workspaces::settings(tx).await?;
    Ok(found.ok_or_else(|| Refusal::not_found("workspace"))?)
}

/// Lifetime as a duration.
fn lifetime(settings: &WorkspaceSettings) -> Option<Duration> {
    let seconds = settings.agent_key_lifetime_seconds;
    seconds.map(|seconds| Duration::from_secs(seconds.unsigned_abs()))
}

/// The lifetime of a new key of an agent; `None`: it does not expire.
pub(super) async fn agent_key_lifetime(tx: &mut Tx) -> Result<Option<Duration>> {
    Ok(lifetime(&read(tx).await?))
}

impl App {
    /// The workspace with this id or name; without one, the only workspace. For the command line.
    ///
    /// # Errors
    /// `not_found` if there is none, or if there are several: then the detail lists them.
    pub async fn find_workspace(&self, named: Option<&str>) -> Result<WorkspaceId> {
        let all = store::workspaces::all(&mut self.system().await?).await?;
        let has_id = |row: &&WorkspaceRow| named == Some(row.workspace_id.to_string().as_str());
        let fits = |row: &&WorkspaceRow| named.is_none_or(|name| row.name == name);
        let mut fitting: Vec<&WorkspaceRow> = all.iter().filter(has_id).collect();
        if fitting.is_empty() {
            fitting = all.iter().filter(fits).collect();
        }
        let detail = match fitting.as_slice() {
            [only] => return Ok(only.workspace_id),
            [] => "there is no such workspace".to_owned(),
            several => {
                let list = several.iter().map(|row| format!("{} {}", row.workspace_id, row.name));
                let list = list.collect::<Vec<_>>().join(", ");
                format!("there are several workspaces; name one by its id: {list}")
            }
        };
        Err(Refusal::new(Code::NotFound, detail).into())
    }

    /// Reads the workspace of the caller.
    pub async fn get_workspace(&self, caller: &ReaderCaller) -> Result<Workspace> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        Ok(read(&mut tx).await?.into())
    }

    /// Edits the workspace of the caller. `version`: the version the caller read (`If-Match`);
    /// `None` skips the check. An edit without a change makes no new version.
    ///
    /// # Errors
    /// `precondition_failed`, `invalid`.
    pub async fn update_workspace(
        &self,
        caller: &AdminCaller,
        version: Option<i64>,
        change: &WorkspaceChange,
    ) -> Result<Workspace> {
        change.check()?;
        let principal = caller.principal();
        // Alone, so that no key made meanwhile gets the old lifetime.
        let mut unit = self.begin_alone(principal.workspace, principal.actor()).await?;
        let before = read(unit.tx()).await?;
        if let Some(version) = version {
            same_version(i64::from(before.version), version)?;
        }
        let edited = change.of(&before);
        if edited != before {
            write(&mut unit, &before, &edited).await?;
        }
        let workspace = read(unit.tx()).await?.into();
        self.commit(unit).await?;
        Ok(workspace)
    }
}

async fn write(
    unit: &mut Unit,
    before: &WorkspaceSettings,
    edited: &WorkspaceSettings,
) -> Result<()> {
    store::workspaces::update(unit.tx(), edited).await?;
    if let Some(limit) = lifetime(edited).filter(|limit| lifetime(before) != Some(*limit)) {
        let end = unit.now() + limit;
        store::keys::end_agent_keys_by(unit.tx(), end).await?;
    }
    if before.routing.looks_ahead() != edited.routing.looks_ahead() {
        // Not here: nothing else runs in the workspace now.
        store::tasks::order::begin_ranking(unit.tx()).await?;
    }
    let before = Workspace::from(before.clone());
    let after = Workspace::from(read(unit.tx()).await?);
    let data = serde_json::json!({
        "name": after.name, "agent_key_lifetime_seconds": after.agent_key_lifetime_seconds,
        "agent_max_concurrent": after.agent_max_concurrent,
        "max_lease_seconds": after.max_lease_seconds,
        "goal_retention_days": after.goal_retention_days,
        "journal_retention_days": after.journal_retention_days,
        "routing": after.routing, "max_deferral_ms": after.max_deferral_ms,
        "control_percent": after.control_percent,
        "artifact_retention_days": after.artifact_retention_days,
        "artifact_media_types": after.artifact_media_types,
        "lesson_tokens": after.lesson_tokens,
        "lesson_control_percent": after.lesson_control_percent,
        "lesson_retention_days": after.lesson_retention_days,
    });
    unit.record(NewRow::new(Kind::WorkspaceUpdated).before(&before).after(&after).data(data));
    Ok(())
}
