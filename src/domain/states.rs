//! States and kinds: one enum each for database, JSON and OpenAPI.

use super::words::words;

words! {
    /// State of a goal. The service moves it when tasks end or a person decides. `completed`,
    /// `failed` and `cancelled` are ends; only a retry or a reopened task makes it `active` again.
    pub enum GoalState {
        /// It has no plan yet: a planner makes one, or all failed and a person decides.
        Planning => "planning",
        /// The plan waits for approval.
        Proposed => "proposed",
        /// Tasks are being worked on.
        Active => "active",
        /// Its tasks are done, and a required criterion of its own is not satisfied yet.
        Verifying => "verifying",
        /// Every task is done, and every required criterion satisfied. A goal without tasks never
        /// completes.
        Completed => "completed",
        /// A task failed, and no task is open.
        Failed => "failed",
        /// Cancelled by request, or its plan was rejected.
        Cancelled => "cancelled",
    }
}

words! {
    /// State of a task. `done`, `failed` and `cancelled` are ends; only a person brings a task back,
    /// by a retry or by reopening one.
    pub enum TaskState {
        /// Waits for other tasks, a start time or a backoff.
        Waiting => "waiting",
        /// Can be claimed.
        Ready => "ready",
        /// An attempt holds it. Of a container: its children are worked on.
        Running => "running",
        /// Waits for a person, a budget or its own subtasks.
        Parked => "parked",
        /// Its result waits for approval.
        Reviewing => "reviewing",
        /// Its result was accepted.
        Done => "done",
        /// Failed for good: no further attempt.
        Failed => "failed",
        /// Cancelled: no longer wanted.
        Cancelled => "cancelled",
    }
}

impl TaskState {
    /// Whether the state is final.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Done | Self::Failed | Self::Cancelled => true,
            Self::Waiting | Self::Ready | Self::Running | Self::Parked | Self::Reviewing => false,
        }
    }
}

impl GoalState {
    /// Whether the state is final.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Planning | Self::Proposed | Self::Active | Self::Verifying => false,
        }
    }

    /// Whether tasks of the goal are offered and worked on.
    #[must_use]
    pub const fn is_worked_on(self) -> bool {
        match self {
            Self::Active | Self::Verifying => true,
            Self::Planning | Self::Proposed | Self::Completed | Self::Failed | Self::Cancelled => {
                false
            }
        }
    }
}

impl GoalState {
    /// Whether attempts of the goal may continue: on its plan, or on its tasks.
    #[must_use]
    pub const fn has_attempts(self) -> bool {
        match self {
            Self::Planning | Self::Active | Self::Verifying => true,
            Self::Proposed | Self::Completed | Self::Failed | Self::Cancelled => false,
        }
    }
}

words! {
    /// State of an attempt, changed by the agent's calls, the end of its lease and people's
    /// decisions.
    pub enum AttemptState {
        /// Holds the task; the only state that may write.
        Running => "running",
        /// Gave way to an approval or to subtasks. The task continues with a new attempt.
        Parked => "parked",
        /// Delivered a result that waits for approval.
        Submitted => "submitted",
        /// Its result was accepted.
        Accepted => "accepted",
        /// Its result was rejected.
        Rejected => "rejected",
        /// Reported failure.
        Failed => "failed",
        /// Its lease or hard deadline ended.
        Expired => "expired",
        /// Returned the task without a result; does not count as an attempt.
        Released => "released",
        /// Ended because its task was cancelled.
        Cancelled => "cancelled",
    }
}

words! {
    /// State of an agent, set by operators.
    pub enum AgentState {
        /// May claim.
        Active => "active",
        /// May not claim; heartbeats of its attempts answer `pause`.
        Paused => "paused",
        /// May not claim; its attempts continue.
        Draining => "draining",
        /// Out of service; its keys are refused.
        Retired => "retired",
    }
}

words! {
    /// Liveness of an agent, derived from its last claim or heartbeat when it is read.
    pub enum Liveness {
        /// Last seen within two minutes.
        Online => "online",
        /// Silent for over two minutes.
        Late => "late",
        /// Silent for over ten minutes, or never seen.
        Lost => "lost",
    }
}

words! {
    /// State of a plan; all but `proposed` are final.
    pub enum PlanState {
        /// Waits for approval.
        Proposed => "proposed",
        /// Its tasks exist.
        Applied => "applied",
        /// Rejected by a person.
        Rejected => "rejected",
        /// Edited while it waited: a newer version replaced it.
        Superseded => "superseded",
    }
}

words! {
    /// Producer of a plan: one of the planners chosen when the goal is posted.
    pub enum Planner {
        /// Derives tasks from the structure of the brief, without a model.
        Outline => "outline",
        /// Instantiates a stored template.
        Playbook => "playbook",
        /// A language model.
        Llm => "llm",
        /// A planning agent of the fleet.
        Agent => "agent",
        /// Takes the tasks given in the request.
        Tasks => "tasks",
    }
}

words! {
    /// Kind of an approval: the question that a person decides.
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
        /// A question of an agent that needs an answer.
        Input => "input",
    }
}

words! {
    /// State of an approval; all but `pending` are final.
    pub enum ApprovalState {
        /// Waits for a decision.
        Pending => "pending",
        /// Approved by the people required.
        Approved => "approved",
        /// Rejected.
        Rejected => "rejected",
        /// A person answered the question of kind `input`.
        Answered => "answered",
        /// Its time limit passed without a decision.
        Expired => "expired",
        /// Its subject ended before a decision.
        Cancelled => "cancelled",
    }
}

words! {
    /// Class of a failure; decides whether the task is retried.
    pub enum FailureClass {
        /// A passing fault: a network error, a flaky tool. Retried with backoff.
        Transient => "transient",
        /// The provider's rate limit. Retried, not before `retry_after_seconds`, and uses up no try. Its agent is
        /// given no tasks until then.
        RateLimited => "rate_limited",
        /// Out of memory, disk or context window. Retried with backoff.
        Resources => "resources",
        /// The task is too large for one attempt. Retried once; after the second such failure, and instead
        /// of a final one, the task is parked until it is divided.
        TooLarge => "too_large",
        /// The task's input is wrong, so a retry cannot help. Final.
        InvalidInput => "invalid_input",
        /// The task cannot be done. Final.
        Permanent => "permanent",
        /// The attempt reached its hard deadline. Retried. Also set by the service.
        Timeout => "timeout",
        /// The lease expired without a heartbeat. Retried; three in a row put the task in
        /// quarantine. Set by the service.
        Lost => "lost",
        /// No claim within `start_within_seconds`. Set by the service.
        StartTimeout => "start_timeout",
        /// All attempts together exceeded `finish_within_seconds`. Set by the service.
        FinishTimeout => "finish_timeout",
        /// A child of the container failed or was cancelled. Set by the service.
        ChildrenFailed => "children_failed",
    }
}

impl FailureClass {
    /// Default of `retryable` in a failure report of this class.
    #[must_use]
    pub const fn retryable(self) -> bool {
        match self {
            Self::Transient
            | Self::RateLimited
            | Self::Resources
            | Self::TooLarge
            | Self::Timeout
            | Self::Lost => true,
            Self::InvalidInput
            | Self::Permanent
            | Self::StartTimeout
            | Self::FinishTimeout
            | Self::ChildrenFailed => false,
        }
    }

    /// Whether an agent may report this class; the service sets the others.
    #[must_use]
    pub const fn reportable(self) -> bool {
        match self {
            Self::Transient
            | Self::RateLimited
            | Self::Resources
            | Self::TooLarge
            | Self::InvalidInput
            | Self::Permanent
            | Self::Timeout => true,
            Self::Lost | Self::StartTimeout | Self::FinishTimeout | Self::ChildrenFailed => false,
        }
    }
}

words! {
    /// Instruction to the agent, in every heartbeat answer.
    pub enum Directive {
        /// Continue the work.
        Continue => "continue",
        /// Finish soon: the hard deadline is near, or a budget is used up.
        WrapUp => "wrap_up",
        /// Send a checkpoint and release the attempt.
        Pause => "pause",
        /// Stop at once and release the attempt: the task is being cancelled, or a budget is
        /// exhausted.
        Stop => "stop",
    }
}

words! {
    /// Owner of a running spend total. The spend of a task is computed from its attempts instead.
    pub enum SpendNode {
        /// A goal.
        Goal => "goal",
        /// A project.
        Project => "project",
        /// An agent.
        Agent => "agent",
    }
}
