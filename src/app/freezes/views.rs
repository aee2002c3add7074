//! Freezes as they are asked for and shown.

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
    store::freezes::{
        Over,
        read::{FreezeRow, StoppedRow},
    },
};

/// A freeze to be set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"scope": "workspace", "mode": "stop", "reason": "the staging keys leaked"}))]
pub struct NewFreeze {
    /// What is frozen: `workspace`, everything; `project` and `goal`, all their tasks; `task`, it and
    /// all tasks below it; `agent`, whatever it works on; `capability`, every task that requires it.
    pub scope: FreezeScope,
    /// Which project, goal, task or agent; left out for the workspace and for a capability.
    #[serde(default)]
    pub scope_id: Option<Uuid>,
    /// The capability; only with the scope `capability`.
    #[serde(default)]
    #[schema(example = "deploy")]
    pub capability: Option<String>,
    /// `drain`: no new claims, what runs goes on and may be completed. `pause`: besides, agents at work
    /// are told to `pause`, and may begin nothing new. `stop`: besides, what runs is ended before the
    /// answer; its leases are worth nothing from then on.
    pub mode: FreezeMode,
    /// Why, for everybody who finds it frozen; at most 1,000 characters.
    #[serde(default)]
    #[schema(example = "the staging keys leaked", max_length = 1000)]
    pub reason: String,
}

impl NewFreeze {
    /// Refuses what does not fit together; returns the id of the scope, which a capability has not.
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
            "is only for the scope `capability`",
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
            checks.ensure(id.is_none(), "/scope_id", "a capability is named by `capability`");
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

/// Why a freeze is lifted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lift {
    /// For the record; at most 1,000 characters.
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

/// As long as the reason of a change of a budget may be.
const REASON_CHARS: usize = settings::TITLE_CHARS * 2;

/// A stop that an operator has put on a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Freeze {
    /// Its id.
    pub id: FreezeId,
    /// What kind of thing is frozen.
    pub scope: FreezeScope,
    /// Which one; `null` for a capability.
    pub scope_id: Option<Uuid>,
    /// The capability; `null` for every other scope.
    #[schema(example = "deploy")]
    pub capability: Option<String>,
    /// How much is stopped.
    pub mode: FreezeMode,
    /// Why.
    #[schema(example = "the staging keys leaked")]
    pub reason: String,
    /// Counts everything that was set and lifted in the workspace: the number of this one's last
    /// change, and its `ETag`. A reader of one number has seen all changes up to it.
    #[schema(example = 7, minimum = 1)]
    pub generation: i64,
    /// How many attempts it ended when it was set; only a `stop` ends any.
    #[schema(example = 500, minimum = 0)]
    pub stopped_attempts: i64,
    /// How many attempts run under it at this moment: wait until there are none.
    #[schema(example = 0, minimum = 0)]
    pub running_attempts: i64,
    /// The key that set it.
    pub set_by: Option<KeyId>,
    /// Since when it is in force.
    pub set_at: DateTime<Utc>,
    /// The key that lifted it.
    pub lifted_by: Option<KeyId>,
    /// Until when it was in force; `null`: it still is.
    pub lifted_at: Option<DateTime<Utc>>,
    /// Why it was lifted.
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

/// A freeze with what it stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FreezeDetail {
    /// What lists show of it.
    #[serde(flatten)]
    pub freeze: Freeze,
    /// The attempts that it ended when it was set, at most 200 of them.
    pub stopped: Vec<StoppedAttempt>,
}

/// An attempt that was ended by a freeze. It is `released`, and its task is claimed again after the
/// freeze was lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StoppedAttempt {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its task.
    pub task_id: TaskId,
    /// The agent whose it was; `null`: it was a person's.
    pub agent_id: Option<AgentId>,
}

impl From<StoppedRow> for StoppedAttempt {
    fn from(row: StoppedRow) -> Self {
        let StoppedRow { attempt_id, task_id, agent_id } = row;
        Self { attempt_id, task_id, agent_id }
    }
}

/// What an attempt that beats is under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HeartbeatFreeze {
    /// The freeze: `GET /v1/freezes/{freeze_id}`.
    pub id: FreezeId,
    /// How much it stops.
    pub mode: FreezeMode,
    /// The number of its last change.
    #[schema(example = 7, minimum = 1)]
    pub generation: i64,
    /// Why it was set.
    #[schema(example = "the staging keys leaked")]
    pub reason: String,
}

impl From<Over> for HeartbeatFreeze {
    fn from(over: Over) -> Self {
        let Over { freeze_id, mode, generation, reason } = over;
        Self { id: freeze_id, mode, generation, reason }
    }
}
