//! Why a task does not run, or who has it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    answer::{
        Actor, AgentStanding, CauseFacts, FreezeOver, GateHolder, LackingLimit, NAMED, NamedTask,
        OfferedRequest, OpenApproval, QueuePlace, Remedy,
    },
    fleet::{FleetAgent, nearest, unknown},
    hindrance::AgentHindrance,
    request,
};
use crate::domain::{
    ids::{AgentId, AttemptId, GoalId, KeyId, TaskId},
    states::{FailureClass, GoalState, TaskState},
    task::claim::{Keeping, covers},
    words::words,
};

words! {
    /// Why a task does not run, or that it does. Later versions add causes: show `detail` for those you do not know.
    pub enum TaskCauseKind {
        /// Its result was accepted.
        Done => "done",
        /// It failed for good.
        Failed => "failed",
        /// It failed because three attempts in a row lost their lease.
        Quarantined => "quarantined",
        /// It was cancelled.
        Cancelled => "cancelled",
        /// Its cancellation was requested, and its attempt has not ended yet.
        Cancelling => "cancelling",
        /// Its goal has no plan in force, or has ended.
        GoalNotActive => "goal_not_active",
        /// An attempt works on it.
        Running => "running",
        /// It waits for the decision of a person.
        Approval => "approval",
        /// It waits for the answer to a question of its agent.
        Answer => "answer",
        /// Its agents found it too large; it waits to be divided.
        Oversized => "oversized",
        /// It waits for the tasks inside it, or for its subtasks.
        Subtasks => "subtasks",
        /// Tasks that it needs are not done.
        Needs => "needs",
        /// Its start time, or that of its goal, has not come.
        StartTime => "start_time",
        /// It waits for its next try after a failure.
        Backoff => "backoff",
        /// Its time has come; the service offers it within moments.
        Promotion => "promotion",
        /// A freeze covers it.
        Freeze => "freeze",
        /// It waits for the price of a model.
        Price => "price",
        /// A limit above it has too little left.
        Budget => "budget",
        /// All grants of a concurrency key are held.
        ConcurrencyKey => "concurrency_key",
        /// Another attempt holds what it touches.
        Resource => "resource",
        /// The rate of a capability is used up.
        Rate => "rate",
        /// No agent has the capabilities.
        NoAgent => "no_agent",
        /// Every able agent is excluded: the task is kept for another, or was taken from it.
        Excluded => "excluded",
        /// Able agents run as many attempts as they may.
        AgentsFull => "agents_full",
        /// Providers limit the rate of able agents.
        AgentsRateLimited => "agents_rate_limited",
        /// Quota windows of able agents have too little left.
        AgentsQuota => "agents_quota",
        /// Budgets of able agents have too little left.
        AgentsBudget => "agents_budget",
        /// Able agents are frozen.
        AgentsFrozen => "agents_frozen",
        /// Able agents are draining.
        AgentsDraining => "agents_draining",
        /// Able agents are paused.
        AgentsPaused => "agents_paused",
        /// Able agents were not heard of for ten minutes.
        AgentsOffline => "agents_offline",
        /// Able agents have no valid key.
        AgentsNoKey => "agents_no_key",
        /// It is left for a better agent for a moment.
        Deferral => "deferral",
        /// Other tasks go first.
        Order => "order",
        /// It can be claimed now, and nobody has.
        Unclaimed => "unclaimed",
    }
}

impl TaskCauseKind {
    const fn of(hindrance: AgentHindrance) -> Self {
        match hindrance {
            AgentHindrance::Full => Self::AgentsFull,
            AgentHindrance::RateLimited => Self::AgentsRateLimited,
            AgentHindrance::Quota => Self::AgentsQuota,
            AgentHindrance::Budget => Self::AgentsBudget,
            AgentHindrance::Frozen => Self::AgentsFrozen,
            AgentHindrance::Draining => Self::AgentsDraining,
            AgentHindrance::Paused => Self::AgentsPaused,
            AgentHindrance::Offline => Self::AgentsOffline,
            AgentHindrance::NoKey => Self::AgentsNoKey,
            AgentHindrance::Kept | AgentHindrance::Barred => Self::Excluded,
            AgentHindrance::LacksCapability => Self::NoAgent,
        }
    }
}

/// A cause: why a task does not run, or that it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskCause {
    /// The cause in one word.
    pub cause: TaskCauseKind,
    /// The cause in a sentence, for people.
    #[schema(
        example = "all 1 grants of the concurrency key `deploy` are held, the longest by the agent `coder-1`"
    )]
    pub detail: String,
    /// Who clears it, and how.
    #[serde(flatten)]
    pub remedy: Remedy,
    /// What it is about; only what the cause has is there.
    pub facts: CauseFacts,
}

/// The attempt that works on a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its agent; `None`: a person holds it.
    pub agent_id: Option<AgentId>,
    /// The name of the agent.
    pub agent_name: Option<String>,
    /// The key of the person; `None`: an agent holds it.
    pub held_by_key: Option<KeyId>,
    /// The start of the attempt.
    pub since: DateTime<Utc>,
    /// When it is lost without a heartbeat.
    pub lease_expires_at: DateTime<Utc>,
}

/// A pending approval, and the ready-made decision about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The approval.
    pub approval: OpenApproval,
    /// The decision.
    pub decision: OfferedRequest,
}

/// A gate without room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// All grants of a concurrency key are held.
    Key {
        /// Most grants.
        most: i32,
        /// Who holds them, the longest first.
        holders: Vec<GateHolder>,
    },
    /// A resource is held.
    Resource {
        /// Who holds it, the longest first.
        holders: Vec<GateHolder>,
    },
}

/// A capability whose rate is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedRate {
    /// The capability.
    pub capability: String,
    /// When the next attempt may start.
    pub free_at: DateTime<Utc>,
}

/// A model without a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpriced {
    /// The model, as people read it.
    pub model: String,
    /// The request that adds its price.
    pub add: OfferedRequest,
}

/// A task that is left for a better agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftFor {
    /// The better agent.
    pub agent_id: AgentId,
    /// Its name.
    pub name: String,
    /// When the task goes to anybody.
    pub until: DateTime<Utc>,
}

/// Everything that a task may wait for, in one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Situation {
    /// The time of the snapshot.
    pub now: DateTime<Utc>,
    /// The task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// The state of the goal.
    pub goal_state: GoalState,
    /// The start time of the goal.
    pub start_at: Option<DateTime<Utc>>,
    /// Its state.
    pub state: TaskState,
    /// Whether it only contains other tasks.
    pub container: bool,
    /// Capabilities that it requires.
    pub required: Vec<String>,
    /// Assignment to one agent, or exclusion of one.
    pub keeping: Keeping,
    /// Not ready before this time.
    pub ready_from: DateTime<Utc>,
    /// Its own start time.
    pub not_before: Option<DateTime<Utc>>,
    /// Needed tasks that are not done, and its closed container.
    pub needs_unmet: i32,
    /// Its children that have not ended.
    pub children_open: i32,
    /// Attempts that count.
    pub attempts_used: i32,
    /// Most attempts that count.
    pub max_attempts: i32,
    /// Class of its final failure.
    pub failure_class: Option<FailureClass>,
    /// Whether it failed because its leases were lost.
    pub quarantined: bool,
    /// Why it failed or was cancelled.
    pub end_reason: Option<String>,
    /// Whether it waits to be divided.
    pub oversized: bool,
    /// When a requested cancellation is forced.
    pub cancel_by: Option<DateTime<Utc>>,
    /// The attempt that works on it.
    pub holding: Option<Holding>,
    /// Its pending approval, or that of the limit it waits for.
    pub question: Option<Question>,
    /// The tasks that it waits for and that wait for no other.
    pub roots: Vec<NamedTask>,
    /// Number of all tasks that it waits for.
    pub blocked_by: i64,
    /// The decisive cause of the first of `roots`.
    pub root: Option<Box<TaskCause>>,
    /// The failed task because of which it was cancelled.
    pub failed_first: Option<NamedTask>,
    /// Freezes over it.
    pub freezes: Vec<FreezeOver>,
    /// Models without a price that it waits for.
    pub models: Vec<Unpriced>,
    /// Gates without room.
    pub gates: Vec<Gate>,
    /// Rates that are used up.
    pub rates: Vec<UsedRate>,
    /// Limits above it without enough room: those it is parked for, or would be.
    pub limits: Vec<LackingLimit>,
    /// All agents that are not retired.
    pub fleet: Vec<FleetAgent>,
    /// The agent it is left for.
    pub left_for: Option<LeftFor>,
    /// Its place in the order.
    pub place: Option<QueuePlace>,
}

/// The causes, the decisive one first; never empty.
#[must_use]
pub fn causes(at: &Situation) -> Vec<TaskCause> {
    let mut found = Vec::new();
    match at.state {
        TaskState::Done | TaskState::Failed | TaskState::Cancelled => return vec![at.ended()],
        TaskState::Running => {
            found.extend(at.cancelling());
            found.push(if at.container { at.subtasks() } else { at.running() });
            return found;
        }
        TaskState::Waiting => {
            found.extend(at.goal_not_active());
            found.extend((at.needs_unmet > 0).then(|| at.needs()));
            found.extend(at.time());
        }
        TaskState::Parked | TaskState::Reviewing => {
            found.extend(at.cancelling());
            found.extend(at.goal_not_active());
            found.extend(at.parked());
        }
        TaskState::Ready => {}
    }
    found.extend(at.freezes.iter().map(frozen));
    if at.state == TaskState::Ready {
        found.extend(at.goal_not_active());
        found.extend(at.price());
        found.extend(at.gates.iter().map(gate));
        found.extend(at.rate());
        found.extend(at.budget());
        found.extend(at.agents());
        if found.is_empty() {
            found.push(at.left_for().or_else(|| at.order()).unwrap_or_else(|| at.unclaimed()));
        }
    }
    if found.is_empty() {
        found.push(at.promotion());
    }
    found
}

fn cause(
    cause: TaskCauseKind,
    detail: impl Into<String>,
    remedy: Remedy,
    facts: CauseFacts,
) -> TaskCause {
    TaskCause { cause, detail: detail.into(), remedy, facts }
}

fn frozen(freeze: &FreezeOver) -> TaskCause {
    let FreezeOver { scope, mode, reason, capability, .. } = freeze;
    let what =
        capability.as_ref().map_or_else(|| format!("the {scope}"), |name| format!("`{name}`"));
    let why = if reason.is_empty() { "no reason was given" } else { reason };
    let detail = format!("a {mode} is over {what} ({why})");
    let facts = CauseFacts { freeze: Some(freeze.clone()), ..CauseFacts::default() };
    let remedy = Remedy::by(Actor::operator(), request::lift(freeze.freeze_id));
    cause(TaskCauseKind::Freeze, detail, remedy, facts)
}

fn gate(gate: &Gate) -> TaskCause {
    let (kind, holders, what) = match gate {
        Gate::Key { most, holders } => {
            let name = holders.first().map_or("", |holder| holder.subject.as_str());
            let what = format!("all {most} grants of the concurrency key `{name}` are held");
            (TaskCauseKind::ConcurrencyKey, holders, what)
        }
        Gate::Resource { holders } => {
            let name = holders.first().map_or("", |holder| holder.subject.as_str());
            (TaskCauseKind::Resource, holders, format!("what it touches, `{name}`, is held"))
        }
    };
    let Some(first) = holders.first() else {
        return cause(
            kind,
            what,
            Remedy::by(Actor::muster(), request::claim(1)),
            CauseFacts::default(),
        );
    };
    let by = match &first.agent_name {
        Some(name) => format!("the agent `{name}`"),
        None => "a person".to_owned(),
    };
    let detail = format!("{what}, the longest by {by}");
    let acts = Actor::holder(first.agent_id, first.agent_name.as_deref(), first.held_by_key);
    let facts = CauseFacts {
        holders: holders.iter().take(NAMED).cloned().collect(),
        ..CauseFacts::default()
    };
    cause(kind, detail, Remedy::by(acts, request::complete(first.attempt_id)), facts)
}

/// `1 task`, `12 tasks`.
fn many(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn names<'a>(agents: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = agents.take(3).map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

impl Situation {
    fn ended(&self) -> TaskCause {
        let reason = self.end_reason.clone().unwrap_or_default();
        let because = if reason.is_empty() { reason } else { format!(": {reason}") };
        let facts = CauseFacts { failure_class: self.failure_class, ..CauseFacts::default() };
        let retry = || Remedy::by(Actor::operator(), request::retry(self.task_id));
        match (self.state, self.failure_class) {
            (TaskState::Failed, _) if self.quarantined => {
                let detail = "three attempts in a row lost their lease; the task may harm its agents, so look \
                              before it is tried again";
                cause(TaskCauseKind::Quarantined, detail, retry(), facts)
            }
            (TaskState::Failed, class) => {
                let class = class.map_or_else(String::new, |class| format!(" ({class})"));
                let detail = format!("it failed for good{class}{because}");
                cause(TaskCauseKind::Failed, detail, retry(), facts)
            }
            (TaskState::Cancelled, _) => self.cancelled(&because),
            (
                TaskState::Done
                | TaskState::Waiting
                | TaskState::Ready
                | TaskState::Running
                | TaskState::Parked
                | TaskState::Reviewing,
                _,
            ) => cause(TaskCauseKind::Done, "its result was accepted", Remedy::nothing(), facts),
        }
    }

    fn cancelled(&self, because: &str) -> TaskCause {
        let Some(first) = &self.failed_first else {
            let detail = format!("it was cancelled{because}");
            return cause(
                TaskCauseKind::Cancelled,
                detail,
                Remedy::nothing(),
                CauseFacts::default(),
            );
        };
        let detail = format!("it was cancelled because `{}` failed{because}", first.r#ref);
        let facts = CauseFacts { tasks: vec![first.clone()], ..CauseFacts::default() };
        let remedy = Remedy::by(Actor::operator(), request::retry(first.task_id));
        cause(TaskCauseKind::Cancelled, detail, remedy, facts)
    }

    fn cancelling(&self) -> Option<TaskCause> {
        let by = self.cancel_by?;
        let detail = "its cancellation was requested; its attempt is told to stop, and ends then at the latest";
        let remedy = match &self.holding {
            None => Remedy::time(Some(by)),
            Some(holding) => {
                let acts = self.holder(holding);
                let Holding { attempt_id, .. } = holding;
                let body = serde_json::json!({"lease": "<the lease of the attempt>"});
                let what = "Gives the attempt up; the task is cancelled then.";
                let release =
                    request::post(format!("/v1/attempts/{attempt_id}/release"), body, what);
                Remedy { clears_at: Some(by), ..Remedy::by(acts, release) }
            }
        };
        Some(cause(TaskCauseKind::Cancelling, detail, remedy, CauseFacts::default()))
    }

    fn goal_not_active(&self) -> Option<TaskCause> {
        if self.goal_state.has_attempts() {
            return None;
        }
        let detail = format!("its goal is {}", self.goal_state);
        let remedy = match &self.question {
            Some(question) => decide(question),
            None => Remedy::nothing(),
        };
        Some(cause(TaskCauseKind::GoalNotActive, detail, remedy, CauseFacts::default()))
    }

    fn holder(&self, holding: &Holding) -> Actor {
        Actor::holder(holding.agent_id, holding.agent_name.as_deref(), holding.held_by_key)
    }

    fn running(&self) -> TaskCause {
        let Some(holding) = &self.holding else {
            let remedy = Remedy::time(None);
            return cause(TaskCauseKind::Running, "it is worked on", remedy, CauseFacts::default());
        };
        let who = match &holding.agent_name {
            Some(name) => format!("the agent `{name}` works on it"),
            None => "a person works on it".to_owned(),
        };
        let detail = format!("{who} since {}", holding.since.to_rfc3339());
        let remedy = Remedy::by(self.holder(holding), request::complete(holding.attempt_id));
        cause(TaskCauseKind::Running, detail, remedy, CauseFacts::default())
    }

    fn blocked(&self, kind: TaskCauseKind, what: &str) -> TaskCause {
        let mut detail = what.to_owned();
        let facts = CauseFacts {
            tasks: self.roots.iter().take(NAMED).cloned().collect(),
            tasks_count: Some(self.blocked_by),
            ..CauseFacts::default()
        };
        let (Some(first), Some(root)) = (self.roots.first(), &self.root) else {
            return cause(kind, detail, Remedy::time(None), facts);
        };
        detail.push_str(&format!("; first of all `{}`: {}", first.r#ref, root.detail));
        cause(kind, detail, root.remedy.clone(), facts)
    }

    fn needs(&self) -> TaskCause {
        let count = usize::try_from(self.needs_unmet).unwrap_or_default();
        let what = format!("it needs {} more to be done", many(count, "task"));
        self.blocked(TaskCauseKind::Needs, &what)
    }

    fn subtasks(&self) -> TaskCause {
        let count = usize::try_from(self.children_open).unwrap_or_default();
        let what = format!("it waits for {} inside it", many(count, "open task"));
        self.blocked(TaskCauseKind::Subtasks, &what)
    }

    fn time(&self) -> Option<TaskCause> {
        if self.ready_from <= self.now {
            return None;
        }
        let remedy = Remedy::time(Some(self.ready_from));
        let at = self.ready_from.to_rfc3339();
        let start = self.not_before.max(self.start_at);
        let (kind, detail) = if start.is_some_and(|start| start >= self.ready_from) {
            let whose =
                if self.start_at >= self.not_before { "its goal starts" } else { "it starts" };
            (TaskCauseKind::StartTime, format!("{whose} at {at}"))
        } else {
            let Self { attempts_used, max_attempts, .. } = self;
            let detail = format!(
                "it is tried again at {at}; {attempts_used} of {max_attempts} tries are used"
            );
            (TaskCauseKind::Backoff, detail)
        };
        Some(cause(kind, detail, remedy, CauseFacts::default()))
    }

    fn promotion(&self) -> TaskCause {
        let remedy = Remedy { acts: Actor::muster(), request: None, clears_at: Some(self.now) };
        let detail = "nothing keeps it any more; the service offers it within moments";
        cause(TaskCauseKind::Promotion, detail, remedy, CauseFacts::default())
    }

    fn parked(&self) -> Vec<TaskCause> {
        let mut found = Vec::new();
        found.extend(self.price());
        if !self.limits.is_empty() {
            found.extend(self.budget());
        } else {
            found.extend(self.question.as_ref().map(question));
        }
        if self.oversized {
            let what = "Offers the task once more as it is, to every agent but the last one. To divide it, send its \
                        parts: `POST /v1/tasks/{task_id}/split`.";
            let body = serde_json::json!({"reason": "tried once more as a whole"});
            let path = format!("/v1/tasks/{}/reassign", self.task_id);
            let remedy = Remedy::by(Actor::operator(), request::post(path, body, what));
            let detail = "its agents found it too large for one attempt; it waits to be divided";
            found.push(cause(TaskCauseKind::Oversized, detail, remedy, CauseFacts::default()));
        }
        found.extend((self.children_open > 0).then(|| self.subtasks()));
        found
    }

    fn price(&self) -> Option<TaskCause> {
        let first = self.models.first()?;
        let models: Vec<String> = self.models.iter().map(|model| model.model.clone()).collect();
        let detail = format!("it waits for the price of {}", models.join(", "));
        let facts = CauseFacts { models, ..CauseFacts::default() };
        let remedy = Remedy::by(Actor::operator(), first.add.clone());
        Some(cause(TaskCauseKind::Price, detail, remedy, facts))
    }

    fn rate(&self) -> Option<TaskCause> {
        let free_at = self.rates.iter().map(|rate| rate.free_at).max()?;
        let capabilities: Vec<String> =
            self.rates.iter().map(|rate| rate.capability.clone()).collect();
        let detail = format!(
            "the rate of {} is used up; the next attempt starts at {}",
            names(capabilities.iter().map(String::as_str)),
            free_at.to_rfc3339()
        );
        let facts = CauseFacts { capabilities, ..CauseFacts::default() };
        Some(cause(TaskCauseKind::Rate, detail, Remedy::time(Some(free_at)), facts))
    }

    fn budget(&self) -> Option<TaskCause> {
        let remedy = match &self.question {
            Some(question) if self.state == TaskState::Parked => Some(decide(question)),
            Some(_) | None => None,
        };
        budget(TaskCauseKind::Budget, &self.limits, remedy).map(|mut found| {
            found.facts.approval = self.question.as_ref().map(|question| question.approval.clone());
            found
        })
    }

    fn agents(&self) -> Vec<TaskCause> {
        let Self { required, keeping, fleet, .. } = self;
        if !fleet.iter().any(|agent| covers(&agent.capabilities, required)) {
            return vec![self.no_agent()];
        }
        let able: Vec<(&FleetAgent, Option<AgentHindrance>)> = fleet
            .iter()
            .filter(|agent| agent.is_able(required, keeping))
            .map(|agent| (agent, agent.hindrance(required, keeping)))
            .collect();
        if able.is_empty() {
            return vec![self.excluded()];
        }
        if able.iter().any(|(_, hindrance)| hindrance.is_none()) {
            return Vec::new();
        }
        let mut kinds: Vec<AgentHindrance> =
            able.iter().filter_map(|(_, hindrance)| *hindrance).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let of = |kind: &AgentHindrance| {
            let agents = able.iter().filter(|(_, hindrance)| *hindrance == Some(*kind));
            self.hindered(*kind, agents.map(|(agent, _)| *agent).collect())
        };
        kinds.iter().map(of).collect()
    }

    fn standings(&self, agents: &[&FleetAgent]) -> Vec<AgentStanding> {
        let standing = |agent: &&FleetAgent| agent.standing(&self.required, &self.keeping);
        agents.iter().take(NAMED).map(standing).collect()
    }

    fn no_agent(&self) -> TaskCause {
        let Self { required, fleet, .. } = self;
        let missing = unknown(fleet, required);
        let wanted = names(required.iter().map(String::as_str));
        let Some(near) = nearest(fleet, required) else {
            let detail = match required.is_empty() {
                true => "no agent is registered".to_owned(),
                false => format!("it requires {wanted}, and no agent is registered"),
            };
            let facts = CauseFacts { capabilities: missing, ..CauseFacts::default() };
            let remedy = Remedy::by(Actor::operator(), request::register(self.task_id, required));
            return cause(TaskCauseKind::NoAgent, detail, remedy, facts);
        };
        let lacks = near.lacks(required);
        let mut all = near.capabilities.clone();
        all.extend(lacks.iter().cloned());
        all.sort_unstable();
        all.dedup();
        let nobody = match missing.is_empty() {
            true => "no agent has all of them".to_owned(),
            false => format!("no agent has {}", names(missing.iter().map(String::as_str))),
        };
        let detail = format!(
            "it requires {wanted}, and {nobody}; the nearest agent, `{}`, lacks {}",
            near.name,
            names(lacks.iter().map(String::as_str)),
        );
        let facts = CauseFacts {
            agents: self.standings(&[near]),
            capabilities: missing,
            ..CauseFacts::default()
        };
        let enable = request::enable(near.agent_id, near.version, &near.name, &all);
        cause(TaskCauseKind::NoAgent, detail, Remedy::by(Actor::operator(), enable), facts)
    }

    fn excluded(&self) -> TaskCause {
        let able: Vec<&FleetAgent> =
            self.fleet.iter().filter(|agent| covers(&agent.capabilities, &self.required)).collect();
        let why = match &self.keeping {
            Keeping::Only(_) => "it is kept for an agent that cannot do it",
            Keeping::Anybody | Keeping::AllBut(_) => {
                "it was taken from the only agent that can do it"
            }
            Keeping::Check(_) => {
                "it checks what the only able agents made, or agents of their owner"
            }
        };
        let detail =
            format!("{why}; able is {}", names(able.iter().map(|agent| agent.name.as_str())));
        let facts = CauseFacts { agents: self.standings(&able), ..CauseFacts::default() };
        let request = match self.keeping {
            Keeping::Check(_) => request::register(self.task_id, &self.required),
            Keeping::Anybody | Keeping::Only(_) | Keeping::AllBut(_) => {
                request::open_to_all(self.task_id)
            }
        };
        let remedy = Remedy::by(Actor::operator(), request);
        cause(TaskCauseKind::Excluded, detail, remedy, facts)
    }

    fn hindered(&self, kind: AgentHindrance, agents: Vec<&FleetAgent>) -> TaskCause {
        let facts = CauseFacts { agents: self.standings(&agents), ..CauseFacts::default() };
        let all = names(agents.iter().map(|agent| agent.name.as_str()));
        let detail = format!("of the able agents {all} {}", sentence(kind, agents.len()));
        let remedy = overcome(kind, &agents);
        cause(TaskCauseKind::of(kind), detail, remedy, facts)
    }

    fn left_for(&self) -> Option<TaskCause> {
        let LeftFor { agent_id, name, until } = self.left_for.as_ref()?;
        let detail = format!(
            "it is left for the better agent `{name}` until {}; then anybody able gets it",
            until.to_rfc3339()
        );
        let acts = Actor::agent(*agent_id, name);
        let remedy = Remedy { clears_at: Some(*until), ..Remedy::by(acts, request::claim(1)) };
        let better = self.fleet.iter().find(|agent| agent.agent_id == *agent_id);
        let facts = CauseFacts {
            agents: better.map_or_else(Vec::new, |agent| self.standings(&[agent])),
            ..CauseFacts::default()
        };
        Some(cause(TaskCauseKind::Deferral, detail, remedy, facts))
    }

    /// The agent that could claim it now.
    #[must_use]
    pub fn free_agent(&self) -> Option<&FleetAgent> {
        let free = |agent: &&FleetAgent| agent.hindrance(&self.required, &self.keeping).is_none();
        self.fleet.iter().find(free)
    }

    fn order(&self) -> Option<TaskCause> {
        let place = self.place.as_ref().filter(|place| place.ahead > 0)?;
        let least = if place.at_least { "at least " } else { "" };
        let ahead = many(usize::try_from(place.ahead).unwrap_or_default(), "task");
        let first = place.first.first();
        let first = first.map_or_else(String::new, |first| {
            format!("; the first is `{}` of the goal \"{}\"", first.r#ref, first.goal_title)
        });
        let detail = format!("{least}{ahead} go first{first}");
        Some(cause(
            TaskCauseKind::Order,
            detail,
            self.claimed(place.ahead + 1),
            CauseFacts::default(),
        ))
    }

    fn unclaimed(&self) -> TaskCause {
        let detail = match self.free_agent() {
            Some(agent) => {
                format!("it can be claimed now, for example by the agent `{}`", agent.name)
            }
            None => "it can be claimed now".to_owned(),
        };
        cause(TaskCauseKind::Unclaimed, detail, self.claimed(1), CauseFacts::default())
    }

    fn claimed(&self, most: i64) -> Remedy {
        let acts = match self.free_agent() {
            Some(agent) => Actor::agent(agent.agent_id, &agent.name),
            None => Actor::operator(),
        };
        Remedy::by(acts, request::claim(most))
    }
}

/// The cause of limits that are short. `decide`: the decision about raising one of them.
#[must_use]
pub fn budget(
    kind: TaskCauseKind,
    limits: &[LackingLimit],
    decide: Option<Remedy>,
) -> Option<TaskCause> {
    let first = limits.first()?;
    let wait = &first.wait;
    let detail = format!(
        "the limit of {} {} of the {} per {} has {} left, and {} is needed",
        wait.limit, wait.unit, wait.node, wait.period, wait.remaining, wait.requested
    );
    let facts = CauseFacts {
        limits: limits.iter().take(NAMED).cloned().collect(),
        ..CauseFacts::default()
    };
    let raise =
        || Remedy { acts: Actor::operator(), request: first.raise.clone(), clears_at: None };
    let remedy = decide.unwrap_or_else(raise);
    Some(cause(kind, detail, Remedy { clears_at: first.renews_at, ..remedy }, facts))
}

fn question(question: &Question) -> TaskCause {
    let OpenApproval { kind, title, nobody_may_decide, .. } = &question.approval;
    let (cause_kind, what) = match kind.is_question() {
        true => (TaskCauseKind::Answer, "its agent asked and waits for an answer"),
        false => (TaskCauseKind::Approval, "a person has to decide"),
    };
    let nobody = if *nobody_may_decide {
        "; everybody who could is excluded, so an admin decides"
    } else {
        ""
    };
    let detail = format!("{what}: {title}{nobody}");
    let facts = CauseFacts { approval: Some(question.approval.clone()), ..CauseFacts::default() };
    cause(cause_kind, detail, decide(question), facts)
}

fn decide(question: &Question) -> Remedy {
    let OpenApproval { deciders, expires_at, .. } = &question.approval;
    let one = match deciders.as_slice() {
        [only] => Some(only),
        [] | [_, _, ..] => None,
    };
    let remedy = Remedy::by(Actor::person(one), question.decision.clone());
    Remedy { clears_at: *expires_at, ..remedy }
}

/// What a hindrance is, as the rest of a sentence about agents.
#[must_use]
pub fn sentence(kind: AgentHindrance, count: usize) -> &'static str {
    let one = count == 1;
    match kind {
        AgentHindrance::Full if one => "runs as many attempts as it may",
        AgentHindrance::Full => "run as many attempts as they may",
        AgentHindrance::RateLimited if one => "is limited in its rate by its provider",
        AgentHindrance::RateLimited => "are limited in their rate by their providers",
        AgentHindrance::Quota if one => "has too little left of a quota window",
        AgentHindrance::Quota => "have too little left of a quota window",
        AgentHindrance::Budget if one => "has too little left of its budget",
        AgentHindrance::Budget => "have too little left of their budgets",
        AgentHindrance::Frozen if one => "is frozen",
        AgentHindrance::Frozen => "are frozen",
        AgentHindrance::Draining if one => "is draining",
        AgentHindrance::Draining => "are draining",
        AgentHindrance::Paused if one => "is paused",
        AgentHindrance::Paused => "are paused",
        AgentHindrance::Offline if one => "was not heard of for ten minutes",
        AgentHindrance::Offline => "were not heard of for ten minutes",
        AgentHindrance::NoKey if one => "has no valid key",
        AgentHindrance::NoKey => "have no valid key",
        AgentHindrance::Kept | AgentHindrance::Barred if one => "is excluded",
        AgentHindrance::Kept | AgentHindrance::Barred => "are excluded",
        AgentHindrance::LacksCapability if one => "lacks a capability",
        AgentHindrance::LacksCapability => "lack a capability",
    }
}

/// How the first of some agents is freed from what they all have.
#[must_use]
pub fn overcome(kind: AgentHindrance, agents: &[&FleetAgent]) -> Remedy {
    let until = agents.iter().filter_map(|agent| agent.until(kind)).min();
    let Some(first) = agents.first() else { return Remedy::time(until) };
    let by_operator = |request| Remedy::by(Actor::operator(), request);
    let remedy = match kind {
        AgentHindrance::Full => {
            let full = agents.iter().find_map(|agent| Some((agent, agent.oldest?)));
            full.map(|(agent, oldest)| {
                let acts = Actor::agent(agent.agent_id, &agent.name);
                Remedy::by(acts, request::complete(oldest))
            })
        }
        AgentHindrance::Frozen => {
            let freeze = agents.iter().find_map(|agent| agent.freeze.as_ref());
            freeze.map(|freeze| by_operator(request::lift(freeze.freeze_id)))
        }
        AgentHindrance::Draining | AgentHindrance::Paused => {
            Some(by_operator(request::activate(first.agent_id, first.version, &first.name)))
        }
        AgentHindrance::Offline | AgentHindrance::NoKey => {
            Some(by_operator(request::new_key(&first.name)))
        }
        AgentHindrance::Budget => {
            let raise =
                agents.iter().flat_map(|agent| &agent.short).find_map(|short| short.raise.clone());
            raise.map(by_operator)
        }
        AgentHindrance::RateLimited
        | AgentHindrance::Quota
        | AgentHindrance::Kept
        | AgentHindrance::Barred
        | AgentHindrance::LacksCapability => None,
    };
    let remedy = remedy.unwrap_or_else(Remedy::nothing);
    Remedy { clears_at: until, ..remedy }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        explain::{answer::ActorKind, fleet::sound},
        ids::FreezeId,
        words::Words as _,
    };

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn situation(state: TaskState) -> Situation {
        Situation {
            now: NOW,
            task_id: TaskId(Uuid::nil()),
            goal_id: GoalId(Uuid::nil()),
            goal_state: GoalState::Active,
            start_at: None,
            state,
            container: false,
            required: vec!["rust".to_owned()],
            keeping: Keeping::Anybody,
            ready_from: NOW,
            not_before: None,
            needs_unmet: 0,
            children_open: 0,
            attempts_used: 0,
            max_attempts: 3,
            failure_class: None,
            quarantined: false,
            end_reason: None,
            oversized: false,
            cancel_by: None,
            holding: None,
            question: None,
            roots: Vec::new(),
            blocked_by: 0,
            root: None,
            failed_first: None,
            freezes: Vec::new(),
            models: Vec::new(),
            gates: Vec::new(),
            rates: Vec::new(),
            limits: Vec::new(),
            fleet: vec![sound(1, &["rust"])],
            left_for: None,
            place: None,
        }
    }

    fn kinds(at: &Situation) -> Vec<TaskCauseKind> {
        causes(at).iter().map(|cause| cause.cause).collect()
    }

    #[test]
    fn every_state_has_a_cause() {
        for state in TaskState::ALL {
            for container in [false, true] {
                let at = Situation { container, ..situation(*state) };
                assert!(!causes(&at).is_empty(), "{state} {container}");
            }
        }
    }

    #[test]
    fn a_ready_task_with_a_free_agent_has_only_to_be_claimed() {
        let found = causes(&situation(TaskState::Ready));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].cause, TaskCauseKind::Unclaimed);
        let Remedy { acts, request, clears_at } = &found[0].remedy;
        assert_eq!((acts.kind, acts.name.as_deref()), (ActorKind::Agent, Some("agent 1")));
        assert_eq!(request.as_ref().map(|request| request.path.as_str()), Some("/v1/claims"));
        assert_eq!(*clears_at, None);
    }

    #[test]
    fn what_keeps_every_agent_comes_before_what_keeps_some() {
        let mut at = situation(TaskState::Ready);
        at.fleet[0].free_slots = 0;
        at.rates = vec![UsedRate { capability: "rust".into(), free_at: NOW }];
        at.freezes = vec![FreezeOver {
            freeze_id: FreezeId(Uuid::nil()),
            scope: crate::domain::freeze::FreezeScope::Workspace,
            scope_id: None,
            capability: None,
            mode: crate::domain::freeze::FreezeMode::Drain,
            reason: String::new(),
            set_by: None,
            set_at: NOW,
        }];
        let wanted = [TaskCauseKind::Freeze, TaskCauseKind::Rate, TaskCauseKind::AgentsFull];
        assert_eq!(kinds(&at), wanted);
    }

    #[test]
    fn one_free_agent_is_enough() {
        let mut at = situation(TaskState::Ready);
        at.fleet.push(sound(2, &["rust"]));
        at.fleet[0].state = crate::domain::states::AgentState::Paused;
        assert_eq!(kinds(&at), [TaskCauseKind::Unclaimed]);
        at.fleet[1].free_slots = 0;
        // The sooner passed hindrance comes first.
        assert_eq!(kinds(&at), [TaskCauseKind::AgentsFull, TaskCauseKind::AgentsPaused]);
    }

    #[test]
    fn nobody_able_names_what_is_missing_and_who_is_near() {
        let mut at = situation(TaskState::Ready);
        at.required = vec!["gpu".to_owned(), "rust".to_owned()];
        at.fleet.insert(0, sound(2, &[]));
        let found = causes(&at);
        assert_eq!(found[0].cause, TaskCauseKind::NoAgent);
        assert_eq!(found[0].facts.capabilities, ["gpu"]);
        assert_eq!(found[0].facts.agents[0].name, "agent 1");
        at.fleet.clear();
        let found = causes(&at);
        let path = found[0].remedy.request.as_ref().map(|request| request.path.as_str());
        assert_eq!((found[0].cause, path), (TaskCauseKind::NoAgent, Some("/v1/agents")));
    }

    #[test]
    fn a_task_that_was_taken_from_the_only_able_agent_is_offered_to_all() {
        let mut at = situation(TaskState::Ready);
        at.keeping = Keeping::AllBut(at.fleet[0].agent_id);
        at.fleet.push(sound(2, &[]));
        let found = causes(&at);
        assert_eq!(found[0].cause, TaskCauseKind::Excluded);
        assert_eq!(found[0].facts.agents[0].hindrance, Some(AgentHindrance::Barred));
    }

    #[test]
    fn time_is_nobodys() {
        let later = NOW + Duration::from_secs(60);
        let mut at = Situation { ready_from: later, ..situation(TaskState::Waiting) };
        let found = causes(&at);
        assert_eq!(found[0].cause, TaskCauseKind::Backoff);
        assert_eq!(found[0].remedy, Remedy::time(Some(later)));
        at.start_at = Some(later);
        assert_eq!(kinds(&at), [TaskCauseKind::StartTime]);
        at.ready_from = NOW;
        assert_eq!(kinds(&at), [TaskCauseKind::Promotion]);
    }

    #[test]
    fn needs_are_cleared_by_whoever_holds_the_first_root() {
        let mut at = Situation { needs_unmet: 1, ..situation(TaskState::Waiting) };
        let agent = &at.fleet[0];
        let acts = Actor::agent(agent.agent_id, &agent.name);
        let root = TaskCause {
            cause: TaskCauseKind::Running,
            detail: "somebody works on it".into(),
            remedy: Remedy::by(acts.clone(), request::claim(1)),
            facts: CauseFacts::default(),
        };
        at.roots = vec![NamedTask {
            task_id: TaskId(Uuid::nil()),
            r#ref: "root".into(),
            title: "root".into(),
            state: TaskState::Running,
            attempt_id: None,
            agent_id: None,
            agent_name: None,
        }];
        at.root = Some(Box::new(root));
        let found = causes(&at);
        assert_eq!((found[0].cause, &found[0].remedy.acts), (TaskCauseKind::Needs, &acts));
        assert!(found[0].detail.contains("`root`"), "{}", found[0].detail);
    }
}
