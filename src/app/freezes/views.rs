//! Wire types of freezes.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::{
        check::Checks,
        freeze::{FreezeMode, FreezeScope},
        ids::{AgentId, AttemptId, FreezeId, KeyId, TaskId, WorkspaceId},
        refusal::Refusal,
        settings,
    },
    store::freezes::read::{FreezeRow, StoppedRow},
};

/// Request to set a freeze.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"scope": "workspace", "mode": "stop", "reason": "the staging keys leaked"}))]
pub struct NewFreeze {
    /// Kind of the scope: `workspace`, everything; `project` or `goal`, all of its tasks; `task`,
    /// it and all tasks below it; `agent`, all of its work; `capability`, every task that requires
    /// it.
    pub scope: FreezeScope,
    /// Id of the project, goal, task or agent; absent for a workspace and for a capability.
    #[serde(default)]
    pub scope_id: Option<Uuid>,
    /// Name of the capability; only with the scope `capability`.
    #[serde(default)]
    #[schema(example = "deploy")]
    pub capability: Option<String>,
    /// `drain`: no new claims; running attempts continue and may complete. `pause`: in addition,
    /// running agents are told to `pause` and may begin nothing new. `stop`: in addition, running
    /// attempts end before the answer, and their leases are void from then on.
    pub mode: FreezeMode,
    /// Reason for the freeze, shown to everybody it affects; at most 1,000 characters.
    #[serde(default)]
    #[schema(example = "the staging keys leaked", max_length = 1000)]
    pub reason: String,
}

impl NewFreeze {
    /// Refuses contradictory fields; returns the id of the scope, `None` for a capability.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub(in crate::app) fn check(&self, workspace: WorkspaceId) -> Result<Option<Uuid>, Refusal> {
        let mut checks = Checks::new();
        checks.chars("/reason", &self.reason, REASON_CHARS);
        let named = self.scope == FreezeScope::Capability;
        checks.ensure(
            named || self.capability.is_none(),
            "/capability",
            "must be absent unless the scope is `capability`",
        );
        let id = match self.scope {
            FreezeScope::Workspace => Some(self.scope_id.unwrap_or(workspace.0)),
            FreezeScope::Project
            | FreezeScope::Goal
            | FreezeScope::Task
            | FreezeScope::Agent
            | FreezeScope::Capability => self.scope_id,
        };
        let which = format!("must say which {}", self.scope);
        if named {
            checks.ensure(
                id.is_none(),
                "/scope_id",
                "must be absent for a capability, which is named in `capability`",
            );
            match &self.capability {
                None => checks.add("/capability", which),
                Some(name) => checks.capability("/capability", name),
            }
        } else {
            checks.ensure(id.is_some(), "/scope_id", which);
        }
        checks.finish()?;
        Ok(id)
    }
}

/// Request to lift a freeze.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lift {
    /// Reason for lifting it, for the journal; at most 1,000 characters.
    #[schema(example = "the keys were replaced", max_length = 1000)]
    pub reason: String,
}

impl Lift {
    pub(in crate::app) fn check(&self) -> Result<(), Refusal> {
        let mut checks = Checks::new();
        checks.chars("/reason", &self.reason, REASON_CHARS);
        checks.finish()
    }
}

/// Same as for the reason of a budget change.
const REASON_CHARS: usize = settings::TITLE_CHARS * 2;

/// An operator's stop of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Freeze {
    /// Id of the freeze; stable for its life.
    pub id: FreezeId,
    /// Kind of the scope; never changes.
    pub scope: FreezeScope,
    /// Id of the project, goal, task, agent or workspace; `null` for a capability.
    pub scope_id: Option<Uuid>,
    /// Name of the capability; `null` for other scopes.
    #[schema(example = "deploy")]
    pub capability: Option<String>,
    /// Extent of the stop; never changes.
    pub mode: FreezeMode,
    /// Reason given by the operator who set it.
    #[schema(example = "the staging keys leaked")]
    pub reason: String,
    /// Number of the last change of this freeze, in a count of all freezes set and lifted in the
    /// workspace; its `ETag`. A reader of one number has seen all changes up to it.
    #[schema(example = 7, minimum = 1)]
    pub generation: i64,
    /// Number of attempts that it ended when it was set; 0 unless the mode is `stop`.
    #[schema(example = 500, minimum = 0)]
    pub stopped_attempts: i64,
    /// Number of attempts that are running under it now; 0 once everything in the scope rests.
    #[schema(example = 0, minimum = 0)]
    pub running_attempts: i64,
    /// The key that set it; `null` if that had no key.
    pub set_by: Option<KeyId>,
    /// When it was set and took effect.
    pub set_at: DateTime<Utc>,
    /// The key that lifted it; `null` while it is in force, or if that had no key.
    pub lifted_by: Option<KeyId>,
    /// When it was lifted; `null`: it is in force.
    pub lifted_at: Option<DateTime<Utc>>,
    /// Reason for lifting it; `null` while it is in force.
    pub lift_reason: Option<String>,
}

impl From<FreezeRow> for Freeze {
    fn from(row: FreezeRow) -> Self {
        let FreezeRow {
            freeze_id,
            scope,
            scope_id,
            capability,
            mode,
            reason,
            generation,
            stopped,
            running,
            set_by,
            set_at,
            lifted_by,
            lifted_at,
            lift_reason,
        } = row;
        Self {
            id: freeze_id,
            scope,
            scope_id,
            capability,
            mode,
            reason,
            generation,
            stopped_attempts: stopped,
            running_attempts: running,
            set_by,
            set_at,
            lifted_by,
            lifted_at,
            lift_reason,
        }
    }
}

/// A freeze with the attempts that it stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FreezeDetail {
    /// The freeze, as shown in lists.
    #[serde(flatten)]
    pub freeze: Freeze,
    /// Attempts that it ended when it was set, at most 200.
    pub stopped: Vec<StoppedAttempt>,
}

/// An attempt that a freeze ended. The attempt is `released`; its task can be claimed again after
/// the lift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StoppedAttempt {
    /// Id of the attempt that was ended.
    pub attempt_id: AttemptId,
    /// Id of the attempt's task.
    pub task_id: TaskId,
    /// The agent that held the attempt; `null`: an operator held it.
    pub agent_id: Option<AgentId>,
}

impl From<StoppedRow> for StoppedAttempt {
    fn from(row: StoppedRow) -> Self {
        let StoppedRow { attempt_id, task_id, agent_id } = row;
        Self { attempt_id, task_id, agent_id }
    }
}
