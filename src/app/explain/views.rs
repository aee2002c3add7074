//! Wire types of explanations.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    app::routing::views::Assignment,
    domain::{
        explain::{
            agent::AgentCause,
            answer::{QueuePlace, Remedy},
            task::cause::TaskCause,
        },
        ids::{AgentId, AttemptId, GoalId, KeyId, TaskId},
        states::{AgentState, TaskState},
    },
};

/// Why a task does not run, or why its agent has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskExplanation {
    /// Id of the task.
    pub task_id: TaskId,
    /// Id of its goal.
    pub goal_id: GoalId,
    /// Its present state.
    pub state: TaskState,
    /// The time at which all of this was true.
    pub at: DateTime<Utc>,
    /// The decisive cause in a sentence, for people.
    #[schema(example = "it can be claimed now, for example by the agent `coder-1`")]
    pub detail: String,
    /// Who clears the decisive cause, and how.
    #[serde(flatten)]
    pub remedy: Remedy,
    /// All causes, the decisive one first. Those behind show up once those before are cleared; at least one.
    pub causes: Vec<TaskCause>,
    /// Its place in the order of claims; `null` unless it is ready and there is an able agent.
    pub place: Option<QueuePlace>,
    /// The attempt that works on it; `null` unless it runs.
    pub runs: Option<TaskRun>,
}

/// The attempt that works on a task, and why its agent got the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskRun {
    /// Id of the attempt.
    pub attempt_id: AttemptId,
    /// The agent that works on it; `null`: a person does.
    pub agent_id: Option<AgentId>,
    /// Name of that agent; `null`: a person works on it.
    #[schema(example = "coder-1")]
    pub agent_name: Option<String>,
    /// The key of the person who works on it; `null`: an agent does.
    pub held_by_key: Option<KeyId>,
    /// Since when: the start of the attempt.
    pub since: DateTime<Utc>,
    /// When the attempt is lost if no heartbeat comes.
    pub lease_expires_at: DateTime<Utc>,
    /// Why the agent got it: the reason and the compared agents. `null`: a person took it over, or the assignment is
    /// older than 30 days.
    pub assignment: Option<Assignment>,
}

/// Why an agent gets nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentExplanation {
    /// Id of the agent.
    pub agent_id: AgentId,
    /// Its name.
    #[schema(example = "coder-1")]
    pub name: String,
    /// Its state, set by operators.
    pub state: AgentState,
    /// The time at which all of this was true.
    pub at: DateTime<Utc>,
    /// The decisive cause in a sentence, for people.
    #[schema(example = "ready tasks require `gpu`, which it lacks")]
    pub detail: String,
    /// Who clears the decisive cause, and how.
    #[serde(flatten)]
    pub remedy: Remedy,
    /// All causes, the decisive one first; at least one.
    pub causes: Vec<AgentCause>,
}
