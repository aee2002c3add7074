//! The workspace itself: its name and its settings.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    App, Result,
    caller::{AdminCaller, Caller as _, ReaderCaller},
    error::same_version,
};
use crate::{
    domain::{
        check::Checks,
        ids::WorkspaceId,
        journal::{Kind, NewRow},
        refusal::Refusal,
        settings,
    },
    store::{self, Tx, workspaces::WorkspaceSettings},
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
            version,
            created_at,
            updated_at,
        } = row;
        Self { id: workspace_id, name, agent_key_lifetime_seconds, version, created_at, updated_at }
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
}

/// Tells `null` from absent.
fn present<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
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
        Ok(checks.finish()?)
    }
}

async fn read(tx: &mut Tx) -> Result<Workspace> {
    let found = store::workspaces::settings(tx).await?;
    Ok(found.ok_or_else(|| Refusal::not_found("workspace"))?.into())
}

/// The lifetime of a new key of an agent; `None`: it does not expire.
pub(super) async fn agent_key_lifetime(tx: &mut Tx) -> Result<Option<Duration>> {
    let seconds = read(tx).await?.agent_key_lifetime_seconds;
    Ok(seconds.map(|seconds| Duration::from_secs(seconds.unsigned_abs())))
}

impl App {
    /// Reads the workspace of the caller.
    pub async fn get_workspace(&self, caller: &ReaderCaller) -> Result<Workspace> {
        read(&mut self.reader(caller.principal().workspace).await?).await
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
        let name = change.name.as_ref().unwrap_or(&before.name);
        let old = before.agent_key_lifetime_seconds;
        let lifetime = change.agent_key_lifetime_seconds.unwrap_or(old);
        if (name, lifetime) != (&before.name, old) {
            store::workspaces::update(unit.tx(), name, lifetime).await?;
            let limit = lifetime.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
            if let Some(limit) = limit.filter(|_| lifetime != old) {
                let end = unit.now() + limit;
                store::keys::end_agent_keys_by(unit.tx(), end).await?;
            }
            let after = read(unit.tx()).await?;
            let row = NewRow::new(Kind::WorkspaceUpdated).before(&before).after(&after);
            let data = serde_json::json!({
                "name": after.name, "agent_key_lifetime_seconds": lifetime,
            });
            unit.record(row.data(data));
        }
        let workspace = read(unit.tx()).await?;
        self.commit(unit).await?;
        Ok(workspace)
    }
}
