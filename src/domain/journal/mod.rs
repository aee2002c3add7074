//! The journal: the one append-only, numbered record of a workspace.
//!
//! A row is one thing that happened. Rows are numbered from 1, without gaps, in the order of commits.
//! Two views show them: events are the public rows, the audit is all of them.
//!
//! The unit of work writes a row in the transaction of the change it records. A mere renewal of a
//! lease, a replayed answer and a request that changes nothing leave no row; nor do the service's own
//! books (counters, learned averages, stored answers).
//!
//! # Digests and seals
//!
//! Behind the writers, a duty seals rows in the order of their numbers. One seal covers a segment of
//! consecutive numbers: `first`, `last`, a digest per row, and a chain hash over the segment and the
//! chain before it. An auditor who keeps a head (a number and its chain hash) detects later any change
//! to the rows up to it. A row that is not sealed yet is not protected; sealing takes about a second.
//!
//! All hashes are SHA-256. The digest of a row is
//!
//! ```text
//! row      = H(H(envelope) || H(salt || data))
//! chain    = H(chain before || first || last || digests)
//! ```
//!
//! - `data` is the UTF-8 text of the column, byte for byte; nothing is canonicalised. `salt` is 16
//!   random bytes. After an erasure both are null, and the column `data_sha256` is `H(salt || data)`.
//! - `envelope` is the byte 1, then each of these columns as a field: workspace_id, at, kind, public,
//!   project_id, goal_id, task_id, attempt_id, agent_id, approval_id, subject, subject_id,
//!   actor_key_id, actor_person, link_id, link_maker, on_behalf_of, request, trace_id, before_sha256,
//!   after_sha256, data_version.
//! - A field is its length in 4 bytes and its bytes; null is the length `ffffffff` alone. A uuid is 16
//!   bytes, a text its UTF-8, a boolean one byte (0 or 1), a number 8 bytes, an instant its
//!   microseconds since 1970-01-01T00:00:00Z as a number, an array the count of its elements in 4
//!   bytes and each element as a field. All integers are big-endian and signed.
//! - `first` and `last` are 8 bytes each, `digests` is 32 bytes per row. The chain before number 1 is
//!   32 zero bytes. 32 zero bytes in place of a digest mean: there was no row when the segment was
//!   sealed.
//!
//! The number of a row is not part of its digest but its place in the seal, so that a row under another
//! number is recognised. A column of a later version is appended under the next first byte, and only in
//! rows where such a column is not null: the digests of older rows stay as they are.
//!
//! # Erasure and pruning
//!
//! Both keep the chain intact, and both are announced: a sealed row says it before it is done.
//! `journal.erased` names the rows whose `data` is gone; their digests still verify. `journal.pruned`
//! names the last number and the chain hash of a prefix; the rows of that prefix and the digests of its
//! seals are gone, and the next segment chains from the announced hash. [`Check`] reports an
//! erasure or a pruned prefix without its announcement as a break.

use serde::{Deserialize, Serialize};

use super::{states::TaskState, words::words};

mod digest;
mod export;
mod row;
mod seal;
#[cfg(test)]
mod tests;
mod verify;

pub use digest::{Digest, Hex};
pub use export::{ExportHead, Line};
pub use row::{NewRow, Row, SALT_BYTES};
pub use seal::{Head, START, Seal};
pub use verify::{Break, BreakKind, Check, Verdict};

/// The version of the shape of `data` that this version of muster writes.
pub const DATA_VERSION: i16 = 1;

words! {
    /// What happened. Readers must ignore unknown kinds: later versions add some.
    pub enum Kind {
        /// A key was made.
        KeyCreated => "key.created",
        /// A key was revoked.
        KeyRevoked => "key.revoked",
        /// A key was replaced by another: `data` has the other key and the end of this one.
        KeyRotated => "key.rotated",
        /// Somebody signed in with an identity provider for the first time. Not public.
        IdentityCreated => "identity.created",
        /// An identity has another person, role or key, or was confirmed or blocked. Not public.
        IdentityUpdated => "identity.updated",
        /// Settings of the workspace were edited.
        WorkspaceUpdated => "workspace.updated",
        /// The model that plans was set: `data` has its settings without the key. Not public.
        PlannerSet => "planner.set",
        /// The model that plans was removed; that of the service is asked again. Not public.
        PlannerRemoved => "planner.removed",
        /// A person signed in. Not public.
        SessionBegun => "session.begun",
        /// A person signed out, or was signed out. Not public.
        SessionEnded => "session.ended",
        /// A project was made.
        ProjectCreated => "project.created",
        /// A project was edited.
        ProjectUpdated => "project.updated",
        /// A project was archived: lists leave it out.
        ProjectArchived => "project.archived",
        /// A project is in lists again.
        ProjectUnarchived => "project.unarchived",
        /// A goal was posted.
        GoalCreated => "goal.created",
        /// A goal was edited.
        GoalUpdated => "goal.updated",
        /// A goal was archived: lists leave it out.
        GoalArchived => "goal.archived",
        /// A goal is in lists again.
        GoalUnarchived => "goal.unarchived",
        /// An admin deleted an ended goal for good: `data` has its title and state.
        GoalDeleted => "goal.deleted",
        /// A chain of planners begins to plan a goal: `data` has those that have not had their turn.
        GoalPlanning => "goal.planning",
        /// A planner made no plan of a goal: `data` has the reason and the next planner, or `null` if a person decides.
        GoalPlannerFailed => "goal.planner_failed",
        /// A goal's tasks exist and are worked on; again, if work of an ended goal comes back.
        GoalActive => "goal.active",
        /// All tasks of a goal are done and criteria of its own are not: `data` has their numbers.
        GoalVerifying => "goal.verifying",
        /// A criterion of a goal is satisfied: `data` has its number.
        GoalCriterionSatisfied => "goal.criterion_satisfied",
        /// Criteria of a goal that were decided are open again: `data` has their numbers.
        GoalCriterionOpened => "goal.criterion_opened",
        /// A criterion of a goal is not met: `data` has its number and the finding.
        GoalCriterionRejected => "goal.criterion_rejected",
        /// All tasks of a goal are done, and its required criteria are satisfied.
        GoalCompleted => "goal.completed",
        /// A goal failed.
        GoalFailed => "goal.failed",
        /// A goal was cancelled.
        GoalCancelled => "goal.cancelled",
        /// An ended goal was deleted with everything of it: `data` has its title, state and number of tasks.
        GoalPruned => "goal.pruned",
        /// An operator acknowledged the failure of a goal.
        GoalAcknowledged => "goal.acknowledged",
        /// An answer of a model that plans was charged to a goal: `data.spend` is what it used, by unit.
        PlanningSpent => "planning.spent",
        /// A plan waits for a person; of a task that is named: work that its attempt discovered.
        PlanProposed => "plan.proposed",
        /// A plan was applied: its tasks were created, or those of the goal changed as it says. `data` has the
        /// counts.
        PlanApplied => "plan.applied",
        /// A plan was rejected.
        PlanRejected => "plan.rejected",
        /// A version of a playbook was stored: `data` has its name and version.
        PlaybookStored => "playbook.stored",
        /// A playbook was archived: lists leave it out.
        PlaybookArchived => "playbook.archived",
        /// A playbook is in lists again.
        PlaybookUnarchived => "playbook.unarchived",
        /// A plan that waited was replaced by a newer version, or its goal has ended: `data` has the reason.
        PlanSuperseded => "plan.superseded",
        /// An artifact was uploaded: `data` has its digest, size and media type.
        ArtifactUploaded => "artifact.uploaded",
        /// An artifact was deleted, by an operator or because its retention was over: `data` has its digest.
        ArtifactDeleted => "artifact.deleted",
        /// Somebody commented on a goal, or on the task that is named.
        CommentCreated => "comment.created",
        /// A task was created.
        TaskCreated => "task.created",
        /// A task was edited.
        TaskUpdated => "task.updated",
        /// A task's cancellation was asked for while it was running.
        TaskCancelRequested => "task.cancel_requested",
        /// A task was taken from its holder, or is kept for an agent named in `data`.
        TaskReassigned => "task.reassigned",
        /// The holder of a task handed it over: `data` has the agent or the capability, the end of the offer and the
        /// beginning of the note.
        TaskHandedOver => "task.handed_over",
        /// Nobody took what was handed over to them in time: the task is open to every able agent.
        TaskOfferEnded => "task.offer_ended",
        /// A person took a task over and holds its attempt.
        TaskTakenOver => "task.taken_over",
        /// A task was divided and contains its parts from now on: `data` has their number.
        TaskSplit => "task.split",
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
        /// A failed task is tried again.
        TaskRetried => "task.retried",
        /// A done task is done again: its result was taken back.
        TaskReopened => "task.reopened",
        /// A task came back with another: it was cancelled because of that one, or contains it.
        TaskRestored => "task.restored",
        /// An operator acknowledged the failure of a task.
        TaskAcknowledged => "task.acknowledged",
        /// An agent was registered.
        AgentRegistered => "agent.registered",
        /// An agent was edited or registered again.
        AgentUpdated => "agent.updated",
        /// An agent was archived: lists leave it out.
        AgentArchived => "agent.archived",
        /// An agent is in lists again.
        AgentUnarchived => "agent.unarchived",
        /// A person is asked to decide.
        ApprovalRequested => "approval.requested",
        /// The payload of an approval was edited.
        ApprovalRevised => "approval.revised",
        /// A person decided.
        ApprovalDecided => "approval.decided",
        /// The subject of an approval ended before a decision.
        ApprovalCancelled => "approval.cancelled",
        /// A person voted and further votes are needed: `data` has the counts.
        ApprovalVoted => "approval.voted",
        /// An approval is still pending: its approvers are reminded.
        ApprovalReminded => "approval.reminded",
        /// An approval was not decided in time: the next approvers are asked.
        ApprovalEscalated => "approval.escalated",
        /// An approval was not decided in time and has ended.
        ApprovalExpired => "approval.expired",
        /// An approval policy was made.
        PolicyCreated => "policy.created",
        /// An approval policy was edited: `data` has its new text.
        PolicyUpdated => "policy.updated",
        /// An approval policy was retired.
        PolicyRetired => "policy.retired",
        /// A rule of a risk floor was made.
        RiskFloorCreated => "risk_floor.created",
        /// A rule of a risk floor was deleted.
        RiskFloorDeleted => "risk_floor.deleted",
        /// A rate of a capability was made.
        RateCreated => "rate.created",
        /// A rate of a capability was edited.
        RateUpdated => "rate.updated",
        /// A rate of a capability was deleted.
        RateDeleted => "rate.deleted",
        /// A quota window of an account was made.
        QuotaWindowCreated => "quota_window.created",
        /// A quota window of an account was edited.
        QuotaWindowUpdated => "quota_window.updated",
        /// A quota window of an account was deleted.
        QuotaWindowDeleted => "quota_window.deleted",
        /// The provider of an agent limits its rate: the agents named in `data` are given no tasks until then.
        AgentRateLimited => "agent.rate_limited",
        /// A decision link was made: a person without a key can decide with it.
        ApprovalLinkCreated => "approval.link_created",
        /// A decision link was revoked.
        ApprovalLinkRevoked => "approval.link_revoked",
        /// A concurrency key was created, by an operator or by the first task that names it.
        ConcurrencyKeyCreated => "concurrency_key.created",
        /// A concurrency key was edited.
        ConcurrencyKeyUpdated => "concurrency_key.updated",
        /// A concurrency key was deleted.
        ConcurrencyKeyDeleted => "concurrency_key.deleted",
        /// A node was given a budget.
        BudgetCreated => "budget.created",
        /// A budget was edited: `data` has the limits before and after.
        BudgetUpdated => "budget.updated",
        /// A budget was archived: lists leave it out.
        BudgetArchived => "budget.archived",
        /// A budget is in lists again.
        BudgetUnarchived => "budget.unarchived",
        /// Use of a limit crossed a percentage; once per percentage, version of the limit and period.
        BudgetThreshold => "budget.threshold",
        /// An attempt used more than its reservation, and the limit had no room for the excess.
        BudgetOverrun => "budget.overrun",
        /// Tokens of a model without a price were used under a limit of money.
        PriceUnknown => "price.unknown",
        /// A price was added to the price book.
        PriceCreated => "price.created",
        /// Spend was computed again from the price book.
        SpendRerated => "spend.rerated",
        /// An operator corrected the spend of an attempt: `data` has each entry with its reason.
        SpendCorrected => "spend.corrected",
        /// An operator set a freeze: `data` has its scope, its mode and the number of attempts it ended.
        FreezeSet => "freeze.set",
        /// A freeze was lifted; others may still be in force.
        FreezeLifted => "freeze.lifted",
        /// An attempt reported spend: `data.attempt_spend` is its total so far, by unit.
        AttemptSpendReported => "attempt.spend_reported",
        /// A heartbeat reported progress, steps, a checkpoint or spend. A heartbeat that only renews a
        /// lease is not recorded.
        AttemptProgressReported => "attempt.progress_reported",
        /// An attempt reserved a cost ahead of an action. Not public.
        AttemptCostAuthorized => "attempt.cost_authorized",
        /// A running attempt took or gave up resources: `data` has `taken` and `released`.
        AttemptResourcesChanged => "attempt.resources_changed",
        /// The steps of an attempt repeat: `data` has the pattern and the count. Recorded once per loop.
        AttemptLooping => "attempt.looping",
        /// An intervention rule was made.
        RuleCreated => "rule.created",
        /// An intervention rule was edited.
        RuleUpdated => "rule.updated",
        /// An intervention rule was deleted.
        RuleDeleted => "rule.deleted",
        /// A rule has acted: `data` has the rule, its finding and its action.
        RuleTriggered => "rule.triggered",
        /// An intervention of a rule ended: `data` has the reason.
        RuleCleared => "rule.cleared",
        /// A schedule was made.
        ScheduleCreated => "schedule.created",
        /// A schedule was edited.
        ScheduleUpdated => "schedule.updated",
        /// A schedule was deleted.
        ScheduleDeleted => "schedule.deleted",
        /// A schedule was paused: `data` has the reason.
        SchedulePaused => "schedule.paused",
        /// A schedule was resumed.
        ScheduleResumed => "schedule.resumed",
        /// A schedule posted a goal: `data` has the due time.
        ScheduleFired => "schedule.fired",
        /// A fire of a schedule posted nothing, or not yet: `data` has the due time, the outcome and the reason.
        ScheduleNotFired => "schedule.not_fired",
        /// A secret was made or got another value: `data` has its purpose and name, never the value. Not
        /// public.
        SecretSet => "secret.set",
        /// A secret was deleted. Not public.
        SecretDeleted => "secret.deleted",
        /// Secrets were encrypted anew under another master key: `data` has their number. Not public.
        SecretsRotated => "secrets.rotated",
        /// A person or script wrote a lesson.
        LessonCreated => "lesson.created",
        /// A lesson has a new version, or another project.
        LessonUpdated => "lesson.updated",
        /// A person confirmed a lesson.
        LessonConfirmed => "lesson.confirmed",
        /// A lesson became active: its source was verified, agents of two owners found it helpful, or a person released it.
        LessonActivated => "lesson.activated",
        /// A lesson is kept away from agents: `data` has the reason.
        LessonQuarantined => "lesson.quarantined",
        /// A person put a lesson away.
        LessonArchived => "lesson.archived",
        /// Another lesson replaced it.
        LessonSuperseded => "lesson.superseded",
        /// Two lessons contradict each other.
        LessonLinked => "lesson.linked",
        /// Lessons were imported: `data` has their number.
        LessonsImported => "lessons.imported",
        /// The workspace has word vectors.
        VectorsImported => "vectors.imported",
        /// The word vectors of the workspace were removed.
        VectorsRemoved => "vectors.removed",
        /// A task was closed with the result of an earlier one.
        TaskAnswered => "task.answered",
        /// The data of rows was erased: `data.numbers` lists them. Not public.
        JournalErased => "journal.erased",
        /// The oldest rows were removed: `data` has the last number and its chain hash. Not public.
        JournalPruned => "journal.pruned",
    }
}

impl Kind {
    /// Whether it is an event: shown to every reader, agents included.
    #[must_use]
    pub const fn is_public(self) -> bool {
        !matches!(
            self,
            Self::AttemptCostAuthorized
                | Self::JournalErased
                | Self::JournalPruned
                | Self::IdentityCreated
                | Self::IdentityUpdated
                | Self::PlannerSet
                | Self::PlannerRemoved
                | Self::SessionBegun
                | Self::SessionEnded
                | Self::SecretSet
                | Self::SecretDeleted
                | Self::SecretsRotated
        )
    }

    /// The kind of a task's change to a state.
    #[must_use]
    pub const fn of_task(state: TaskState) -> Self {
        match state {
            TaskState::Waiting => Self::TaskWaiting,
            TaskState::Ready => Self::TaskReady,
            TaskState::Running => Self::TaskRunning,
            TaskState::Parked => Self::TaskParked,
            TaskState::Reviewing => Self::TaskReviewing,
            TaskState::Done => Self::TaskDone,
            TaskState::Failed => Self::TaskFailed,
            TaskState::Cancelled => Self::TaskCancelled,
        }
    }
}

/// The data of `journal.erased`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// The numbers of the rows whose data was erased.
    pub numbers: Vec<i64>,
}

/// The data of `journal.pruned`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruning {
    /// The number of the last row that was removed.
    pub pruned_to: i64,
    /// The chain hash of the seal that ends with it.
    pub chain_sha256: Digest,
}
