//! Events: what is recorded that it happened.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    access::actor::Actor,
    audit::{self, Digest},
    ids::{AgentId, ApprovalId, AttemptId, GoalId, TaskId},
    states::TaskState,
    words::words,
};

words! {
    /// What happened. Readers must ignore kinds they do not know: later versions add some.
    pub enum EventKind {
        /// A key was made.
        KeyCreated => "key.created",
        /// A key was revoked.
        KeyRevoked => "key.revoked",
        /// A project was made.
        ProjectCreated => "project.created",
        /// A project was edited.
        ProjectUpdated => "project.updated",
        /// A goal was posted.
        GoalCreated => "goal.created",
        /// A goal was edited.
        GoalUpdated => "goal.updated",
        /// A goal's tasks exist and are worked on.
        GoalActive => "goal.active",
        /// All tasks of a goal are done.
        GoalCompleted => "goal.completed",
        /// A goal failed.
        GoalFailed => "goal.failed",
        /// A goal was cancelled.
        GoalCancelled => "goal.cancelled",
        /// A plan waits for a person.
        PlanProposed => "plan.proposed",
        /// A plan's tasks were created.
        PlanApplied => "plan.applied",
        /// A plan was rejected.
        PlanRejected => "plan.rejected",
        /// A task was created.
        TaskCreated => "task.created",
        /// A task was edited.
        TaskUpdated => "task.updated",
        /// A task's cancellation was asked for while it was running.
        TaskCancelRequested => "task.cancel_requested",
        /// A task was taken from who had it, or is kept for an agent: `data` has which.
        TaskReassigned => "task.reassigned",
        /// A person took a task over: the attempt is theirs.
        TaskTakenOver => "task.taken_over",
        /// A task waits: for other tasks, a time, or a backoff.
        TaskWaiting => "task.waiting",
        /// A task may be claimed.
        TaskReady => "task.ready",
        /// A task was claimed, or a container opened.
        TaskRunning => "task.running",
        /// A task waits for a person, its subtasks or a budget.
        TaskParked => "task.parked",
        /// A task's result waits for a person.
        TaskReviewing => "task.reviewing",
        /// A task is done.
        TaskDone => "task.done",
        /// A task failed.
        TaskFailed => "task.failed",
        /// A task was cancelled.
        TaskCancelled => "task.cancelled",
        /// An operator said that the quarantine of a task was seen.
        TaskAcknowledged => "task.acknowledged",
        /// An agent was registered.
        AgentRegistered => "agent.registered",
        /// An agent was edited or registered again.
        AgentUpdated => "agent.updated",
        /// A person is asked.
        ApprovalRequested => "approval.requested",
        /// What is asked was put in another form.
        ApprovalRevised => "approval.revised",
        /// A person decided.
        ApprovalDecided => "approval.decided",
        /// What an approval was about ended first.
        ApprovalCancelled => "approval.cancelled",
        /// A person voted, and more must agree: `data` has how many do.
        ApprovalVoted => "approval.voted",
        /// Nobody has decided yet: people are reminded.
        ApprovalReminded => "approval.reminded",
        /// Nobody decided in time: others are asked.
        ApprovalEscalated => "approval.escalated",
        /// Nobody decided in time: the approval is over.
        ApprovalExpired => "approval.expired",
        /// An approval policy was made.
        PolicyCreated => "policy.created",
        /// An approval policy was edited: `data` has what it says from now on.
        PolicyUpdated => "policy.updated",
        /// An approval policy is out of force.
        PolicyRetired => "policy.retired",
        /// A link was made with which a person without a key can decide.
        ApprovalLinkCreated => "approval.link_created",
        /// A link was revoked.
        ApprovalLinkRevoked => "approval.link_revoked",
        /// A node was given a budget.
        BudgetCreated => "budget.created",
        /// A budget was edited: `data` has the limits before and after.
        BudgetUpdated => "budget.updated",
        /// So many percent of a limit are used; once for every version of the limit and period.
        BudgetThreshold => "budget.threshold",
        /// An attempt used what it had not reserved, and the limit had no room for it.
        BudgetOverrun => "budget.overrun",
        /// Tokens of a model without a price were used under a limit of money.
        PriceUnknown => "price.unknown",
        /// A price was added to the price book.
        PriceCreated => "price.created",
        /// Spend was computed anew from the price book.
        SpendRerated => "spend.rerated",
        /// An operator put a stop on a scope: `data` has what and how, and how many attempts it ended.
        FreezeSet => "freeze.set",
        /// A freeze was lifted; others may still be in force.
        FreezeLifted => "freeze.lifted",
        /// The steps of an attempt repeat: `data` has the pattern and how often. Told once, until other
        /// steps have broken the pattern.
        AttemptLooping => "attempt.looping",
        /// An intervention rule was made.
        RuleCreated => "rule.created",
        /// An intervention rule was edited.
        RuleUpdated => "rule.updated",
        /// An intervention rule was deleted.
        RuleDeleted => "rule.deleted",
        /// A rule has acted: `data` has the rule, what was found and what was done.
        RuleTriggered => "rule.triggered",
        /// What a rule did is closed: `data` says how.
        RuleCleared => "rule.cleared",
    }
}

/// The event of a task that comes to a state.
#[must_use]
pub const fn task_event(state: TaskState) -> EventKind {
    match state {
        TaskState::Waiting => EventKind::TaskWaiting,
        TaskState::Ready => EventKind::TaskReady,
        TaskState::Running => EventKind::TaskRunning,
        TaskState::Parked => EventKind::TaskParked,
        TaskState::Reviewing => EventKind::TaskReviewing,
        TaskState::Done => EventKind::TaskDone,
        TaskState::Failed => EventKind::TaskFailed,
        TaskState::Cancelled => EventKind::TaskCancelled,
    }
}

/// An event that has no number yet: it gets one when its transaction commits.
///
/// Every event is an entry of the audit too ([`crate::domain::audit`]), about the thing that its kind
/// begins with: `task.done` about the task, `budget.created` about what `data` calls `budget_id`. Say
/// what that was [`before`](Self::before) and [`after`](Self::after) where it is at hand.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// What happened.
    pub kind: EventKind,
    /// The goal it concerns.
    pub goal: Option<GoalId>,
    /// The task it concerns.
    pub task: Option<TaskId>,
    /// The attempt it concerns.
    pub attempt: Option<AttemptId>,
    /// The agent it concerns.
    pub agent: Option<AgentId>,
    /// The approval it concerns.
    pub approval: Option<ApprovalId>,
    /// Who did it; none: whoever the unit of work acts for.
    pub actor: Option<Actor>,
    /// Details; never secrets, never long text.
    pub data: Value,
    /// The hash of what it is about, before.
    pub before: Option<Digest>,
    /// The same after.
    pub after: Option<Digest>,
}

impl NewEvent {
    /// An event of `kind` about nothing yet.
    #[must_use]
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            goal: None,
            task: None,
            attempt: None,
            agent: None,
            approval: None,
            actor: None,
            data: Value::Object(serde_json::Map::new()),
            before: None,
            after: None,
        }
    }

    /// Says what it concerns: a goal.
    #[must_use]
    pub fn goal(mut self, goal: GoalId) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Says what it concerns: a task.
    #[must_use]
    pub fn task(mut self, task: TaskId) -> Self {
        self.task = Some(task);
        self
    }

    /// Says what it concerns: an attempt, if there is one.
    #[must_use]
    pub fn attempt(mut self, attempt: impl Into<Option<AttemptId>>) -> Self {
        self.attempt = attempt.into();
        self
    }

    /// Says what it concerns: an agent.
    #[must_use]
    pub fn agent(mut self, agent: AgentId) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Says what it concerns: an approval.
    #[must_use]
    pub fn approval(mut self, approval: ApprovalId) -> Self {
        self.approval = Some(approval);
        self
    }

    /// Says who did it.
    #[must_use]
    pub fn by(mut self, actor: impl Into<Option<Actor>>) -> Self {
        self.actor = actor.into();
        self
    }

    /// Details.
    #[must_use]
    pub fn data(mut self, data: Value) -> Self {
        self.data = data;
        self
    }

    /// What it is about, as it was: the facts that were decided by, or what a reader was shown.
    #[must_use]
    pub fn before<T: Serialize>(mut self, state: &T) -> Self {
        self.before = audit::state(state);
        self
    }

    /// What it is about, as it is now.
    #[must_use]
    pub fn after<T: Serialize>(mut self, state: &T) -> Self {
        self.after = audit::state(state);
        self
    }

    /// The kind and the id of what it is about; none: the workspace.
    #[must_use]
    pub fn subject(&self) -> Option<(&'static str, Uuid)> {
        let (noun, _) = self.kind.as_str().split_once('.')?;
        let id = match noun {
            "goal" => self.goal.map(Uuid::from),
            "task" => self.task.map(Uuid::from),
            "attempt" => self.attempt.map(Uuid::from),
            "agent" => self.agent.map(Uuid::from),
            "approval" => self.approval.map(Uuid::from),
            _ => self.data[format!("{noun}_id")].as_str().and_then(|id| id.parse().ok()),
        };
        Some((noun, id?))
    }
}
