//! Wire types of the attention list.

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

/// The one request that would clear an item. It can be sent unchanged by an operator who may
/// decide; only the rates of an `unpriced_model` are to be filled in. If a policy asks several people, the last vote clears the item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttentionAction {
    /// HTTP method of the request: `POST` or `PATCH`; `GET` where no request clears the item, but
    /// one shows whether it is cleared.
    #[schema(example = "POST")]
    pub method: String,
    /// Path of the request, with its ids filled in.
    #[schema(example = "/v1/approvals/01890a5d-ac96-774b-bcce-b302099a8057/decide")]
    pub path: String,
    /// Headers to send in addition to the usual ones: `If-Match` for edits, so that no concurrent
    /// change is lost.
    #[schema(example = json!({"If-Match": "\"v3\""}))]
    pub headers: BTreeMap<String, String>,
    /// A ready-made body. Read it before you send it: it is a decision or a change.
    #[schema(value_type = Object, example = json!({"decision": "approve",
        "payload_sha256": "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"}))]
    pub body: Value,
    /// Effect of the request in words, and alternatives to it.
    #[schema(example = "Approves exactly what `payload` says; `reject` needs a `reason`.")]
    pub what: String,
}

/// Something that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttentionItem {
    /// Id of the subject: an approval, a task, a limit, a freeze, a goal, a schedule, a lesson, the workspace, or the agent
    /// for which tasks are kept; for a set of capabilities or a model an id derived from it. Unique together with
    /// `kind`, and stable while the item exists.
    pub id: Uuid,
    /// Kind of the subject; determines which of the ids are set.
    pub kind: AttentionKind,
    /// When it began to wait for a person.
    pub since: DateTime<Utc>,
    /// Possible harm of waiting or of a wrong decision. Approval: as its requester stated. `high`:
    /// a quarantine, a lifetime limit, an unsealed journal, and a stalled or unverified goal past its
    /// deadline.
    /// `low`: a freeze.
    /// Otherwise `medium`.
    pub risk: Risk,
    /// Summary of the item: one line, for people.
    #[schema(example = "No live agent can do tasks that require gpu")]
    pub title: String,
    /// Explanation of the cause, in one or two sentences, for people.
    #[schema(example = "4 ready tasks require gpu, which no agent is registered for.")]
    pub detail: String,
    /// Number of tasks that wait for it, counted up to 1,000.
    #[schema(example = 4)]
    pub waiting_tasks: i64,
    /// The goal concerned; of several, the goal of the first task in line. `null`: none in
    /// particular.
    pub goal_id: Option<GoalId>,
    /// The task concerned; of several, the first in line. `null`: none in particular.
    pub task_id: Option<TaskId>,
    /// The approval to decide; `null` unless the kind is `approval`.
    pub approval_id: Option<ApprovalId>,
    /// The agent that asked, lost its lease last, or could do the tasks; `null`: none.
    pub agent_id: Option<AgentId>,
    /// The exhausted budget; `null` if the item is not about a budget.
    pub budget_id: Option<BudgetId>,
    /// The exhausted limit of the budget; `null` if the item is not about a budget.
    pub limit_id: Option<LimitId>,
    /// The freeze that stops the tasks, or the agent that could do them; `null`: none.
    pub freeze_id: Option<FreezeId>,
    /// Capabilities that the unclaimable tasks require; for tasks kept for an agent, the
    /// capabilities of that agent. Empty for other kinds.
    #[schema(example = json!(["gpu"]))]
    pub capabilities: Vec<String>,
    /// Name of the model without a price, as agents reported it; `null` for other kinds.
    #[schema(example = "gpt-6-preview")]
    pub model: Option<String>,
    /// The request that would clear the item.
    pub action: AttentionAction,
}

impl AttentionItem {
    /// Place of the item in the list.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { rank: rank(self.since, self.risk), kind: self.kind, id: self.id }
    }
}

/// Number of items of each kind, ignoring the filter by kind; each counted up to 1,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttentionCounts {
    /// Number of pending approvals.
    pub approval: i64,
    /// Number of tasks in quarantine that were not acknowledged.
    pub quarantined_task: i64,
    /// Number of sets of capabilities, and of agents with kept tasks, for which ready tasks wait.
    pub unclaimable_task: i64,
    /// Number of exhausted limits for which tasks wait.
    pub exhausted_budget: i64,
    /// Number of freezes under which tasks wait.
    pub freeze: i64,
    /// Number of stalled goals.
    pub stalled_goal: i64,
    /// Number of tasks that agents release again and again.
    pub released_task: i64,
    /// 1 if rows of the journal stay unsealed, otherwise 0. Always 0 with a goal or project.
    pub unsealed_journal: i64,
    /// Number of failed goals that were neither retried nor acknowledged.
    pub failed_goal: i64,
    /// Number of failed tasks of active goals that were neither retried nor acknowledged.
    pub failed_task: i64,
    /// Number of models without a price that tasks wait for.
    pub unpriced_model: i64,
    /// Number of verifying goals that no task checks or reworks any further.
    pub unverified_goal: i64,
    /// Number of planning goals whose planners have all failed.
    pub unplanned_goal: i64,
    /// Number of tasks that wait to be divided.
    #[serde(default)]
    pub oversized_task: i64,
    /// Number of schedules that paused by themselves. Always 0 with a goal or project.
    #[serde(default)]
    pub paused_schedule: i64,
    /// Number of quarantined lessons. Always 0 with a goal.
    #[serde(default)]
    pub quarantined_lesson: i64,
}

/// Filter of the attention list.
#[derive(Debug, Clone, Default)]
pub struct AttentionFilter {
    /// Only these kinds; empty: all.
    pub kinds: Vec<AttentionKind>,
    /// Only items of this goal.
    pub goal: Option<GoalId>,
    /// Only items of goals in this project.
    pub project: Option<ProjectId>,
}
