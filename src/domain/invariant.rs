//! What is promised of the data at every moment, by name.
//!
//! Each invariant has a stable name for programs and one sentence for operators, which are kept
//! together here; the query that finds what breaks it is the store's. Most hold between any two
//! transactions, whatever happened before. Those with a [`patience`](Invariant::patience) are about
//! time: something that is due may rest for so long before it counts as left lying.

use std::time::Duration;

use super::{settings, words::words};

macro_rules! invariants {
    ($($name:ident $word:tt $promise:tt,)+) => {
        words! {
            /// A promise about the data: stable, for programs. Later versions add some.
            pub enum Invariant {
                $(#[doc = $promise] $name => $word,)+
            }
        }

        impl Invariant {
            /// What is promised, in one sentence for operators.
            #[must_use]
            pub const fn promise(self) -> &'static str {
                match self { $(Self::$name => $promise),+ }
            }
        }
    };
}

invariants! {
    OneLiveAttempt "one_live_attempt"
        "At most one attempt of a task is running or submitted.",
    LiveAttemptIsCurrent "live_attempt_is_current"
        "A running or submitted attempt is the current one of a task that is running or reviewing.",
    RunningTaskHasAttempt "running_task_has_attempt"
        "A running task has a running attempt and a reviewing one a submitted attempt.",
    AttemptsNumbered "attempts_numbered"
        "The attempts of a task are numbered from 1 without gaps, as many as it has started.",
    CurrentAttemptIsLast "current_attempt_is_last"
        "The current attempt of a task is the one with the highest number.",
    AttemptsUsedCounted "attempts_used_counted"
        "A task has used as many attempts as failed or expired, and no more than it may.",
    DoneByOneAttempt "done_by_one_attempt"
        "A task that was worked on is done exactly when one of its attempts is accepted.",
    ContainersNotTried "containers_not_tried"
        "A container has no attempts.",
    EndingsAnswered "endings_answered"
        "An attempt that its agent ended has the stored answer that a repeated request gets.",
    EvidenceGiven "evidence_given"
        "A task that was done by work has evidence, or a waiver, for each criterion that requires it.",
    AgentsWithinLimit "agents_within_limit"
        "An agent that runs as many attempts as it may, or more after its limit was lowered, is given no other.",
    KeptForAgents "kept_for_agents"
        "An open task is kept only for an agent that is there and not retired.",
    LeasesWithinDeadline "leases_within_deadline"
        "The lease of a running attempt does not go past its hard deadline.",
    GoalCounters "goal_counters"
        "The counters of a goal equal a count of its tasks.",
    GoalEndsWithTasks "goal_ends_with_tasks"
        "A goal has tasks once its plan is applied, is active while one is open, and completes or fails with the last.",
    CompletedGoalIsDone "completed_goal_is_done"
        "The tasks of a completed goal are done, but for subtasks that the task above them made up for.",
    EndedGoalIsQuiet "ended_goal_is_quiet"
        "In a goal that has ended nothing is open but what was told to stop.",
    OnePlanApplied "one_plan_applied"
        "A goal whose tasks exist has one applied plan, and a proposed goal has one proposed plan.",
    NeedsCounted "needs_counted"
        "An open task counts the dependencies that are not satisfied, and one more while its container is closed.",
    DependencySatisfied "dependency_satisfied"
        "A dependency is satisfied exactly when the task it needs is done.",
    OfferedWithNeedsMet "offered_with_needs_met"
        "A task is offered, worked on, parked or reviewed only when everything it needs is done.",
    DoneAfterNeeds "done_after_needs"
        "No task is done by work before everything it needs is done.",
    ChildrenCounted "children_counted"
        "A task counts its children that are open, and a container those that failed or were cancelled.",
    ContainerFollowsChildren "container_follows_children"
        "A container is open while one of its children is, and done only when all of them are.",
    LostCausesEnd "lost_causes_end"
        "Nothing is open that needs what was not done, or is part of what has ended, but what was told to stop.",
    AttemptRowsBelong "attempt_rows_belong"
        "An attempt belongs to a task and a holder that exist, and progress, results and spend to an attempt that does.",
    LinksWithinGoal "links_within_goal"
        "Attempts, parents and dependencies of a task belong to the goal of the task.",
    EndedAtTheEnd "ended_at_the_end"
        "A task, goal, attempt or approval says when it ended exactly when it has.",
    WaitingIsAsked "waiting_is_asked"
        "What is proposed, parked or reviewed has a question that is pending, an open subtask, or a budget it waits for.",
    QuestionIsAwaited "question_is_awaited"
        "A pending question is about something that waits for its answer.",
    EventsWithoutGaps "events_without_gaps"
        "Events are numbered from 1 without gaps, up to the number of the head.",
    TaskEventsInOrder "task_events_in_order"
        "The events of a task tell a story that can happen: made, offered before it is run, run before it is reviewed.",
    EventsTellTheState "events_tell_the_state"
        "The last event about the state of a task tells the state that it is in.",
    TaskEndToldOnce "task_end_told_once"
        "A task that has ended has one event of its end, and no event of its state after that.",
    GoalEndToldOnce "goal_end_told_once"
        "A goal that has ended has one event of its end, which tells the state that it is in.",
    AttemptsTold "attempts_told"
        "There is one event for each attempt that started, in the order of their numbers.",
    AttemptSpendCounted "attempt_spend_counted"
        "What an attempt has used equals the sum of its entries.",
    SpendTotalsCounted "spend_totals_counted"
        "The totals of goals, projects and agents equal the sums of the entries below them.",
    WindowsReservedCounted "windows_reserved_counted"
        "What a limit has reserved equals the open reservations and allocations below its node, in every period.",
    WindowsSettledCounted "windows_settled_counted"
        "What a limit has settled equals the spend of the attempts below its node that were started in the period.",
    ReservationsOfRunning "reservations_of_running"
        "Only a running attempt has something set aside.",
    ShortOfALimit "short_of_a_limit"
        "A task that waits for a budget names a limit that exists.",
    FreezesHold "freezes_hold"
        "Under a freeze in force nothing runs that was claimed after it was set, and under a stop nothing runs.",
    VotesReachQuorum "votes_reach_quorum"
        "What people approved or answered under a policy has as many votes as each of its stages wants.",
    AnswersCloseRules "answers_close_rules"
        "What a rule has asked is closed with the answer.",
    AuditEndsWithHead "audit_ends_with_head"
        "The head of the audit is its last seal, and the last seals have their entries and no gaps.",
    LeasesSwept "leases_swept"
        "No attempt runs on after its lease or its hard deadline was over for longer than a sweep.",
    PromotedInTime "promoted_in_time"
        "No task goes on waiting after its start time or backoff was over for longer than a sweep.",
    DeadlinesEnforced "deadlines_enforced"
        "No task goes on after its own deadline was over for longer than a sweep.",
    ApprovalsExpire "approvals_expire"
        "No approval is pending after its time was over for longer than a sweep.",
}

impl Invariant {
    /// How long something that is due may rest before the promise is broken; none for promises that
    /// do not depend on time.
    #[must_use]
    pub const fn patience(self) -> Option<Duration> {
        match self {
            Self::LeasesSwept
            | Self::PromotedInTime
            | Self::DeadlinesEnforced
            | Self::ApprovalsExpire => Some(settings::SWEEP_PATIENCE),
            Self::OneLiveAttempt
            | Self::LiveAttemptIsCurrent
            | Self::RunningTaskHasAttempt
            | Self::AttemptsNumbered
            | Self::CurrentAttemptIsLast
            | Self::AttemptsUsedCounted
            | Self::DoneByOneAttempt
            | Self::ContainersNotTried
            | Self::EndingsAnswered
            | Self::EvidenceGiven
            | Self::AgentsWithinLimit
            | Self::KeptForAgents
            | Self::LeasesWithinDeadline
            | Self::GoalCounters
            | Self::GoalEndsWithTasks
            | Self::CompletedGoalIsDone
            | Self::EndedGoalIsQuiet
            | Self::OnePlanApplied
            | Self::NeedsCounted
            | Self::DependencySatisfied
            | Self::OfferedWithNeedsMet
            | Self::DoneAfterNeeds
            | Self::ChildrenCounted
            | Self::ContainerFollowsChildren
            | Self::LostCausesEnd
            | Self::AttemptRowsBelong
            | Self::LinksWithinGoal
            | Self::EndedAtTheEnd
            | Self::WaitingIsAsked
            | Self::QuestionIsAwaited
            | Self::EventsWithoutGaps
            | Self::TaskEventsInOrder
            | Self::EventsTellTheState
            | Self::TaskEndToldOnce
            | Self::GoalEndToldOnce
            | Self::AttemptsTold
            | Self::AttemptSpendCounted
            | Self::SpendTotalsCounted
            | Self::WindowsReservedCounted
            | Self::WindowsSettledCounted
            | Self::ReservationsOfRunning
            | Self::ShortOfALimit
            | Self::FreezesHold
            | Self::VotesReachQuorum
            | Self::AnswersCloseRules
            | Self::AuditEndsWithHead => None,
        }
    }
}
