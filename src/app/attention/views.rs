//! What waits for a person, as it is shown.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{
    approval::Risk,
    attention::{AttentionKind, Place, rank},
    ids::{AgentId, ApprovalId, BudgetId, FreezeId, GoalId, LimitId, ProjectId, TaskId},
};

/// The one request that would clear an item. Sent exactly as it is, by an operator who may decide, it
/// does; an approval whose policy wants several people is cleared by the last vote that it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttentionAction {
    /// `POST` or `PATCH`.
    #[schema(example = "POST")]
    pub method: String,
    /// The path with its ids.
    #[schema(example = "/v1/approvals/01890a5d-ac96-774b-bcce-b302099a8057/decide")]
    pub path: String,
    /// Headers to send beside the usual ones: `If-Match` where something is edited, so that nobody's
    /// change is lost.
    #[schema(example = json!({"If-Match": "\"v3\""}))]
    pub headers: BTreeMap<String, String>,
    /// A ready-made body. Read it before you send it: it decides or changes what it says.
    #[schema(value_type = Object, example = json!({"decision": "approve",
        "payload_sha256": "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"}))]
    pub body: Value,
    /// What it does, and what else may be done.
    #[schema(example = "Approves exactly what `payload` says; `reject` needs a `reason`.")]
    pub what: String,
}

/// Something that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttentionItem {
    /// What it is about: the id of an approval, a task, a limit, a freeze or a goal; for a set of
    /// capabilities an id made of it, for tasks that are kept for an agent that agent's. With `kind` it is unique and stays the same while this waits.
    pub id: Uuid,
    /// What waits.
    pub kind: AttentionKind,
    /// Since when.
    pub since: DateTime<Utc>,
    /// How much harm waiting or a wrong decision could do: for an approval as the asker sees it;
    /// `high` for a quarantine, a limit of a lifetime and a stalled goal whose deadline has passed;
    /// `low` for a freeze; otherwise `medium`.
    pub risk: Risk,
    /// One line.
    #[schema(example = "No live agent can do tasks that require gpu")]
    pub title: String,
    /// Why it waits.
    #[schema(example = "4 ready tasks require gpu, which no agent is registered for.")]
    pub detail: String,
    /// How many tasks are held up by it, counted up to 1,000.
    #[schema(example = 4)]
    pub waiting_tasks: i64,
    /// The goal that it is about; of several, that of the task which is first in line.
    pub goal_id: Option<GoalId>,
    /// The task; of several, the one that is first in line.
    pub task_id: Option<TaskId>,
    /// The approval.
    pub approval_id: Option<ApprovalId>,
    /// The agent that asked, fell silent last, or could do the tasks.
    pub agent_id: Option<AgentId>,
    /// The budget that is exhausted.
    pub budget_id: Option<BudgetId>,
    /// The limit of the budget.
    pub limit_id: Option<LimitId>,
    /// The freeze that keeps tasks, or the agent that could do them, from going on.
    pub freeze_id: Option<FreezeId>,
    /// What the tasks require that no agent does.
    #[schema(example = json!(["gpu"]))]
    pub capabilities: Vec<String>,
    /// What would clear it.
    pub action: AttentionAction,
}

impl AttentionItem {
    /// Where it is in the list.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { rank: rank(self.since, self.risk), kind: self.kind, id: self.id }
    }
}

/// Number of items of each kind, regardless of the filter; each counted up to 1,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttentionCounts {
    /// Approvals.
    pub approval: i64,
    /// Tasks in quarantine.
    pub quarantined_task: i64,
    /// Sets of capabilities.
    pub unclaimable_task: i64,
    /// Limits.
    pub exhausted_budget: i64,
    /// Freezes.
    pub freeze: i64,
    /// Goals.
    pub stalled_goal: i64,
}

/// Which items are listed.
#[derive(Debug, Clone, Default)]
pub struct AttentionFilter {
    /// Only these kinds; empty: all.
    pub kinds: Vec<AttentionKind>,
    /// Only what concerns this goal.
    pub goal: Option<GoalId>,
    /// Only what concerns goals of this project.
    pub project: Option<ProjectId>,
}
