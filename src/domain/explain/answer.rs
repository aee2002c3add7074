//! Wire types that both explanations share.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::hindrance::AgentHindrance;
use crate::domain::{
    access::person::Person,
    budget::shown::BudgetWait,
    freeze::{FreezeMode, FreezeScope},
    ids::{AgentId, ApprovalId, AttemptId, BudgetId, FreezeId, GoalId, KeyId, TaskId},
    states::{ApprovalKind, FailureClass, TaskState},
    words::words,
};

words! {
    /// Who must act. `agent`: a registered agent. `person`: somebody who may decide, or who works on a task.
    /// `operator`: anybody with the key of an operator. `muster`: the service itself, within moments. `nobody`: only
    /// time clears it, or nothing does.
    pub enum ActorKind {
        /// A registered agent.
        Agent => "agent",
        /// A person who may decide, or who works on a task.
        Person => "person",
        /// Anybody with the key of an operator.
        Operator => "operator",
        /// The service itself.
        Muster => "muster",
        /// Time, or nothing.
        Nobody => "nobody",
    }
}

/// The one who must act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Actor {
    /// Kind of the actor.
    pub kind: ActorKind,
    /// Id of the agent, or of the key of the person who works on the task; `null`: not one in particular, or one that
    /// works in a project that the key does not see.
    pub id: Option<Uuid>,
    /// Name of the agent or of the person; `null` as `id` is, or without a name.
    #[schema(example = "coder-1")]
    pub name: Option<String>,
}

impl Actor {
    /// Not one in particular, or one that the caller does not see.
    #[must_use]
    pub const fn of(kind: ActorKind) -> Self {
        Self { kind, id: None, name: None }
    }

    /// Time, or nothing.
    #[must_use]
    pub const fn nobody() -> Self {
        Self::of(ActorKind::Nobody)
    }

    /// The service itself.
    #[must_use]
    pub const fn muster() -> Self {
        Self::of(ActorKind::Muster)
    }

    /// Any operator.
    #[must_use]
    pub const fn operator() -> Self {
        Self::of(ActorKind::Operator)
    }

    /// A person; `None`: anybody who may decide.
    #[must_use]
    pub fn person(person: Option<&Person>) -> Self {
        let name = person.map(|person| person.as_str().to_owned());
        Self { name, ..Self::of(ActorKind::Person) }
    }

    /// An agent.
    #[must_use]
    pub fn agent(id: AgentId, name: impl Into<String>) -> Self {
        Self { kind: ActorKind::Agent, id: Some(id.0), name: Some(name.into()) }
    }

    /// The holder of an attempt.
    #[must_use]
    pub fn holder(agent: Option<AgentId>, name: Option<&str>, key: Option<KeyId>) -> Self {
        match agent {
            Some(agent) => Self::agent(agent, name.unwrap_or_default()),
            None => Self { id: key.map(|key| key.0), ..Self::of(ActorKind::Person) },
        }
    }
}

/// A request that clears a cause. It can be sent by the actor as it is; only a `lease` is to be filled in by the agent
/// that has it, the rates of a model without a price, and the owner of a new agent for a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OfferedRequest {
    /// HTTP method of the request.
    #[schema(example = "POST")]
    pub method: String,
    /// Path of the request, with its ids filled in.
    #[schema(example = "/v1/freezes/01890a5d-ac96-774b-bcce-b302099a8057/lift")]
    pub path: String,
    /// Headers to send in addition to the usual ones: `If-Match` for edits, so that no other change is lost.
    #[schema(example = json!({"If-Match": "\"v3\""}))]
    pub headers: BTreeMap<String, String>,
    /// Body of the request; `null`: none. Read it before you send it: it is a decision or a change.
    #[schema(value_type = Option<Object>, example = json!({"reason": "tasks wait under it"}))]
    pub body: Option<Value>,
    /// Effect of the request in words, and alternatives to it.
    #[schema(example = "Lifts only this freeze: work under other freezes stays frozen.")]
    pub what: String,
}

/// Who clears a cause, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Remedy {
    /// The one who must act.
    pub acts: Actor,
    /// The request that clears it; `null`: only time does, or nothing, or it would tell what the key cannot read, as an
    /// attempt in another project.
    pub request: Option<OfferedRequest>,
    /// When it ends by itself; `null`: never, or not at a known time.
    pub clears_at: Option<DateTime<Utc>>,
}

impl Remedy {
    /// Somebody sends a request.
    #[must_use]
    pub fn by(acts: Actor, request: OfferedRequest) -> Self {
        Self { acts, request: Some(request), clears_at: None }
    }

    /// Time clears it.
    #[must_use]
    pub const fn time(clears_at: Option<DateTime<Utc>>) -> Self {
        Self { acts: Actor::nobody(), request: None, clears_at }
    }

    /// Nothing clears it.
    #[must_use]
    pub const fn nothing() -> Self {
        Self::time(None)
    }
}

/// A task that another one waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NamedTask {
    /// Id of the task.
    pub task_id: TaskId,
    /// Its name in the plan, unique in the goal.
    #[schema(example = "schema")]
    pub r#ref: String,
    /// Title of the task, in one line.
    #[schema(example = "Write the schema")]
    pub title: String,
    /// Its present state.
    pub state: TaskState,
    /// The attempt that holds it, or whose result is reviewed; `null` without one.
    pub attempt_id: Option<AttemptId>,
    /// The agent of that attempt; `null`: none, or a person holds it.
    pub agent_id: Option<AgentId>,
    /// Name of that agent; `null` without one.
    #[schema(example = "coder-1")]
    pub agent_name: Option<String>,
}

/// An agent, as far as it could do a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentStanding {
    /// Id of the agent.
    pub agent_id: AgentId,
    /// Its name.
    #[schema(example = "coder-1")]
    pub name: String,
    /// What keeps it from the task; `null`: nothing.
    pub hindrance: Option<AgentHindrance>,
    /// Capabilities that the task requires and it lacks.
    #[schema(example = json!(["gpu"]))]
    pub lacks: Vec<String>,
    /// When the hindrance ends by itself; `null`: never, or not at a known time.
    pub until: Option<DateTime<Utc>>,
}

/// A running attempt that holds what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GateHolder {
    /// The concurrency key, or the resource that is wanted.
    #[schema(example = "deploy")]
    pub subject: String,
    /// Id of the attempt.
    pub attempt_id: AttemptId,
    /// Id of its task.
    pub task_id: TaskId,
    /// The agent that holds the attempt; `null`: a person does.
    pub agent_id: Option<AgentId>,
    /// Name of that agent; `null`: a person holds the attempt.
    #[schema(example = "coder-1")]
    pub agent_name: Option<String>,
    /// The key of the person who holds the attempt; `null`: an agent does.
    pub held_by_key: Option<KeyId>,
    /// Since when: the start of the attempt.
    pub since: DateTime<Utc>,
}

/// For whom a task is kept: after a hand-off until the offer ends, after a reassignment until the next attempt starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OfferedTo {
    /// The only agent that may claim it; `null`: not one alone.
    pub agent_id: Option<AgentId>,
    /// Name of that agent; `null` without one.
    #[schema(example = "coder-1")]
    pub agent_name: Option<String>,
    /// A capability that is needed besides those that the task requires; `null`: none.
    #[schema(example = "review")]
    pub capability: Option<String>,
    /// The agent that may not claim it: it handed the task over, or the task was taken from it; `null`: none.
    pub except_agent_id: Option<AgentId>,
    /// From then on every able agent may claim it; `null`: it is kept until its next attempt starts.
    pub until: Option<DateTime<Utc>>,
}

/// A freeze in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FreezeOver {
    /// Id of the freeze.
    pub freeze_id: FreezeId,
    /// Kind of its scope.
    pub scope: FreezeScope,
    /// Id of the project, goal, task, agent or workspace; `null` for a capability.
    pub scope_id: Option<Uuid>,
    /// Name of the capability; `null` for other scopes.
    #[schema(example = "deploy")]
    pub capability: Option<String>,
    /// Extent of the stop.
    pub mode: FreezeMode,
    /// Reason given by the operator who set it.
    #[schema(example = "the staging keys leaked")]
    pub reason: String,
    /// The person who set it; `null`: not known.
    pub set_by: Option<Person>,
    /// When it was set.
    pub set_at: DateTime<Utc>,
}

/// A limit without enough room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LackingLimit {
    /// The limit, what is used of it and what is needed.
    #[serde(flatten)]
    pub wait: BudgetWait,
    /// Its budget; `null`: it is gone.
    pub budget_id: Option<BudgetId>,
    /// When the limit renews; `null`: never.
    pub renews_at: Option<DateTime<Utc>>,
    /// The request that raises it; sent with the cause.
    #[serde(skip)]
    #[schema(ignore)]
    pub raise: Option<OfferedRequest>,
}

/// A pending approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OpenApproval {
    /// Id of the approval.
    pub approval_id: ApprovalId,
    /// Its kind.
    pub kind: ApprovalKind,
    /// Summary of the decision: one line.
    #[schema(example = "Send the announcement to all 4,000 customers?")]
    pub title: String,
    /// Persons who may decide it now, at most 20; those without a name are left out. Of a policy with approvers these,
    /// without the excluded ones.
    #[schema(example = json!(["alice"]))]
    pub deciders: Vec<Person>,
    /// Whether nobody may decide: everybody is excluded, and only an admin can.
    pub nobody_may_decide: bool,
    /// When its policy ends the wait; `null`: never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A task that goes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskAhead {
    /// Id of the task.
    pub task_id: TaskId,
    /// Its name in the plan, unique in the goal.
    #[schema(example = "schema")]
    pub r#ref: String,
    /// Title of the task, in one line.
    #[schema(example = "Write the schema")]
    pub title: String,
    /// Id of its goal.
    pub goal_id: GoalId,
    /// Title of its goal.
    #[schema(example = "Importer")]
    pub goal_title: String,
    /// Its turn: the virtual time of its goal, and a stride for each task of it that goes first. Lower goes first.
    #[schema(example = 1_048_576)]
    pub turn: i64,
    /// Its rank inside its goal: earlier goes first.
    pub rank: DateTime<Utc>,
}

/// The place of a ready task in the order of claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct QueuePlace {
    /// The able agent as which it was looked for.
    pub agent_id: AgentId,
    /// Number of tasks that this agent would be given before.
    #[schema(example = 3)]
    pub ahead: i64,
    /// Whether there are more ahead than were looked at: `ahead` is the least number then.
    pub at_least: bool,
    /// The first few of them that the caller sees, in their order.
    pub first: Vec<TaskAhead>,
    /// The turn of the task itself; `null`: it is behind those that were looked at.
    pub turn: Option<i64>,
    /// The rank of the task itself inside its goal; `null`: it is behind those that were looked at.
    pub rank: Option<DateTime<Utc>>,
}

/// What a cause is about. Only what the cause has is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CauseFacts {
    /// Tasks that are waited for, or are kept from this agent: those first that wait for no other task. At most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<NamedTask>,
    /// Number of these tasks, counted up to 1,000; `null` unless there are tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_count: Option<i64>,
    /// Agents that could do the task, or are the nearest to it. At most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentStanding>,
    /// Capabilities that are missing, or whose rate is used up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// For whom the task is kept; in the explanation of an agent the first task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<OfferedTo>,
    /// Attempts that hold what is wanted, the longest first, of the projects that the key sees. At most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<GateHolder>,
    /// Number of all attempts that hold it, in every project; `null` unless something is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holders_count: Option<i64>,
    /// The freeze.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<FreezeOver>,
    /// Limits without enough room, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LackingLimit>,
    /// The pending approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<OpenApproval>,
    /// Models without a price.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Class of the final failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_class: Option<FailureClass>,
}

/// The most tasks, agents, holders and limits that are named in a cause.
pub const NAMED: usize = 20;
