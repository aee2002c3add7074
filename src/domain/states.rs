//! The states and kinds of DESIGN's vocabulary: one list each for database, JSON and OpenAPI.

use super::words::words;

words! {
    /// State of a goal. `completed`, `failed` and `cancelled` are final.
    pub enum GoalState {
        /// A planner is at work.
        Planning => "planning",
        /// The plan waits for a person.
        Proposed => "proposed",
        /// Its tasks are worked on.
        Active => "active",
        /// Every task is done; never true of a goal without tasks.
        Completed => "completed",
        /// A task failed, and nothing else is left to do.
        Failed => "failed",
        /// Somebody cancelled it, or rejected its plan.
        Cancelled => "cancelled",
    }
}

words! {
    /// State of a task. `done`, `failed` and `cancelled` are final.
    pub enum TaskState {
        /// Needs other tasks, a start time, or a backoff to pass.
        Waiting => "waiting",
        /// May be claimed.
        Ready => "ready",
        /// An attempt holds it; for a container: open, its children are worked on.
        Running => "running",
        /// Waits for a person, or for its own subtasks.
        Parked => "parked",
        /// Its result waits for a person.
        Reviewing => "reviewing",
        /// A result was accepted.
        Done => "done",
        /// It will not be tried again.
        Failed => "failed",
        /// It is not wanted any more.
        Cancelled => "cancelled",
    }
}

impl TaskState {
    /// Whether nothing can change it any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Done | Self::Failed | Self::Cancelled => true,
            Self::Waiting | Self::Ready | Self::Running | Self::Parked | Self::Reviewing => false,
        }
    }
}

impl GoalState {
    /// Whether nothing can change it any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Planning | Self::Proposed | Self::Active => false,
        }
    }
}

words! {
    /// State of an attempt.
    pub enum AttemptState {
        /// Holds the task; the only state in which it may write.
        Running => "running",
        /// Gave way to a question or to subtasks; the task continues with a new attempt.
        Parked => "parked",
        /// Handed in a result that waits for a person.
        Submitted => "submitted",
        /// Its result was accepted.
        Accepted => "accepted",
        /// Its result was rejected.
        Rejected => "rejected",
        /// It gave up.
        Failed => "failed",
        /// It was silent for longer than its lease, or ran into its hard deadline.
        Expired => "expired",
        /// It gave the task back unharmed.
        Released => "released",
        /// Its task was cancelled.
        Cancelled => "cancelled",
    }
}

words! {
    /// State of an agent, set by operators.
    pub enum AgentState {
        /// May claim.
        Active => "active",
        /// May not claim; its attempts are told to pause.
        Paused => "paused",
        /// May not claim; its attempts go on.
        Draining => "draining",
        /// Out of service; its keys are refused.
        Retired => "retired",
    }
}

words! {
    /// Whether an agent is heard of, derived from its last claim or heartbeat.
    pub enum Liveness {
        /// Heard of within two minutes.
        Online => "online",
        /// Silent for more than two minutes.
        Late => "late",
        /// Silent for more than ten minutes, or never heard of.
        Lost => "lost",
    }
}

words! {
    /// State of a plan.
    pub enum PlanState {
        /// Waits for a person.
        Proposed => "proposed",
        /// Its tasks exist.
        Applied => "applied",
        /// A person said no.
        Rejected => "rejected",
        /// It was edited while it waited: another plan took its place.
        Superseded => "superseded",
    }
}

words! {
    /// What makes a plan.
    pub enum Planner {
        /// Decomposition of the brief by its own structure, without a model.
        Outline => "outline",
        /// A stored recipe.
        Playbook => "playbook",
        /// A language model.
        Llm => "llm",
        /// A planning agent of the fleet.
        Agent => "agent",
        /// The tasks are given in the request.
        Tasks => "tasks",
    }
}

words! {
    /// What an approval is about.
    pub enum ApprovalKind {
        /// May this plan be applied?
        Plan => "plan",
        /// May this task be started?
        Start => "start",
        /// Is this result accepted?
        Result => "result",
        /// May the agent do this?
        Action => "action",
        /// May this budget be raised?
        Budget => "budget",
        /// A question that needs an answer.
        Input => "input",
    }
}

words! {
    /// State of an approval; all but `pending` are final.
    pub enum ApprovalState {
        /// Waits for a person.
        Pending => "pending",
        /// A person said yes.
        Approved => "approved",
        /// A person said no.
        Rejected => "rejected",
        /// A person answered the question.
        Answered => "answered",
        /// Nobody decided in time.
        Expired => "expired",
        /// What it was about ended first.
        Cancelled => "cancelled",
    }
}

words! {
    /// Why a task or attempt failed. The class decides whether it is tried again.
    pub enum FailureClass {
        /// Something passing: a network error, a flaky tool. Retried with backoff.
        Transient => "transient",
        /// A provider said "too many". Retried, not before `retry_after_seconds`.
        RateLimited => "rate_limited",
        /// Not enough memory, disk, context window. Retried with backoff.
        Resources => "resources",
        /// The task's input is wrong; trying again cannot help. Final.
        InvalidInput => "invalid_input",
        /// It cannot be done. Final.
        Permanent => "permanent",
        /// The attempt ran into its hard deadline. Retried. Set by the service.
        Timeout => "timeout",
        /// The agent fell silent. Retried; three times in a row is quarantine. Set by the service.
        Lost => "lost",
        /// Nobody claimed the task within `start_within_seconds`. Set by the service.
        StartTimeout => "start_timeout",
        /// All attempts together took longer than `finish_within_seconds`. Set by the service.
        FinishTimeout => "finish_timeout",
        /// A child of the container failed or was cancelled. Set by the service.
        ChildrenFailed => "children_failed",
    }
}

impl FailureClass {
    /// Whether a failure of this class is tried again unless its reporter says otherwise.
    #[must_use]
    pub const fn retryable(self) -> bool {
        match self {
            Self::Transient | Self::RateLimited | Self::Resources | Self::Timeout | Self::Lost => {
                true
            }
            Self::InvalidInput
            | Self::Permanent
            | Self::StartTimeout
            | Self::FinishTimeout
            | Self::ChildrenFailed => false,
        }
    }

    /// Whether an agent may report it; the others are the service's own findings.
    #[must_use]
    pub const fn reportable(self) -> bool {
        match self {
            Self::Transient
            | Self::RateLimited
            | Self::Resources
            | Self::InvalidInput
            | Self::Permanent
            | Self::Timeout => true,
            Self::Lost | Self::StartTimeout | Self::FinishTimeout | Self::ChildrenFailed => false,
        }
    }
}

words! {
    /// What an agent should do next, in every heartbeat's answer.
    pub enum Directive {
        /// Go on.
        Continue => "continue",
        /// Finish soon: the hard deadline is near, or the budget used up.
        WrapUp => "wrap_up",
        /// Send a checkpoint and release.
        Pause => "pause",
        /// Stop at once and release: the task is being cancelled, or a budget is used up.
        Stop => "stop",
    }
}

words! {
    /// What a total of spend is kept for. What a task used is the sum of its few attempts.
    pub enum SpendNode {
        /// A goal.
        Goal => "goal",
        /// A project.
        Project => "project",
        /// An agent.
        Agent => "agent",
    }
}
