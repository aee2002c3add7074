//! Invariants of the stored data, by name.
//!
//! Each invariant has a stable name for programs and one sentence for operators. The query that finds
//! violations is in the store. Most invariants hold between any two transactions. Those with a
//! [`tolerance`](Invariant::tolerance) concern due work, which may wait that long for a sweep.

use std::time::Duration;

use super::{settings, words::words};

macro_rules! invariants {
    ($($name:ident $word:tt $(within $tolerance:path,)? $promise:literal,)+) => {
        words! {
            /// The name of an invariant: stable, for programs. Later versions add some.
            pub enum Invariant {
                $(#[doc = $promise] $name => $word,)+
            }
        }

        impl Invariant {
            /// The invariant in one sentence, for operators.
            #[must_use]
            pub const fn promise(self) -> &'static str {
                match self { $(Self::$name => $promise),+ }
            }

            /// How long due work may wait before the invariant is violated; `None`: the invariant
            /// does not depend on time.
            #[must_use]
            pub const fn tolerance(self) -> Option<Duration> {
                match self { $(Self::$name => invariants!(@tolerance $($tolerance)?)),+ }
            }
        }
    };
    (@tolerance) => { None };
    (@tolerance $tolerance:path) => { Some($tolerance) };
}

invariants! {
    OneLiveAttempt "one_live_attempt"
        "A task has at most one running or submitted attempt.",
    LiveAttemptIsCurrent "live_attempt_is_current"
        "A running or submitted attempt is the current attempt of a running or reviewing task.",
    RunningTaskHasAttempt "running_task_has_attempt"
        "A running task has a running attempt, a reviewing task a submitted one.",
    AttemptsNumbered "attempts_numbered"
        "The attempts of a task are numbered from 1 without gaps, up to the number it has started.",
    CurrentAttemptIsLast "current_attempt_is_last"
        "The current attempt of a task is the one with the highest number.",
    AttemptsUsedCounted "attempts_used_counted"
        "The used attempts of a task are its failed and expired ones, at most max_attempts.",
    DoneByOneAttempt "done_by_one_attempt"
        "A task with attempts is done exactly when one of them is accepted.",
    ContainersNotTried "containers_not_tried"
        "A container has no attempts.",
    EndingsAnswered "endings_answered"
        "An attempt that its agent ended has a stored answer, which a repeated request gets.",
    EvidenceGiven "evidence_given"
        "A task done by an attempt has evidence or a waiver for each required criterion.",
    TiersSupported "tiers_supported"
        "No evidence has a tier above what is stored of it, and none of a check is from an author of what it checks.",
    AgentsWithinLimit "agents_within_limit"
        "An agent at or over its max_concurrent gets no further task.",
    ConcurrencyWithinMost "concurrency_within_most"
        "A concurrency key at or over its `most` gets no further attempt.",
    ConcurrencyGranted "concurrency_granted"
        "A running attempt of a task holds a grant of each concurrency key of the task.",
    ResourcesNotShared "resources_not_shared"
        "No two running attempts hold conflicting resources.",
    GrantsOfRunning "grants_of_running"
        "Only running attempts hold concurrency keys and resources.",
    KeptForAgents "kept_for_agents"
        "An open task is assigned only to an agent that exists and is not retired.",
    HandOffsEndAttempts "hand_offs_end_attempts"
        "A hand-off belongs to a released attempt of its task, and no running task is still offered.",
    CommentsWithinGoal "comments_within_goal"
        "A comment is delivered only to attempts of its goal and task, and an answer answers a question about its goal.",
    LeasesWithinDeadline "leases_within_deadline"
        "The lease of a running attempt ends no later than its hard deadline.",
    ReadyInOrder "ready_in_order"
        "The place of a ready task in the order of claims follows from its goal, priority, upward rank and deadlines.",
    GoalCounters "goal_counters"
        "The task counters of a goal equal a count of its tasks.",
    GoalWeights "goal_weights"
        "The weights kept for a goal equal a recount of its tasks, and each task weighs its estimate, or as others do.",
    GoalEndsWithTasks "goal_ends_with_tasks"
        "A goal with an applied plan has tasks, is active while one is open, and ends or is verified with the last.",
    CompletedGoalIsDone "completed_goal_is_done"
        "All planned tasks of a completed goal are done, except subtasks whose parent task was done without them.",
    GoalCriteriaMet "goal_criteria_met"
        "A completed goal has every required criterion satisfied; a verifying goal lacks one or has an open task.",
    EndedGoalIsQuiet "ended_goal_is_quiet"
        "In an ended goal no task is open, except those being cancelled.",
    OnePlanApplied "one_plan_applied"
        "A goal with tasks has one applied plan, a proposed goal has one proposed plan, and a planning goal has none.",
    PlannedWhilePlanning "planned_while_planning"
        "A planner has its turn, or comes next, only while its goal is planning.",
    NeedsCounted "needs_counted"
        "An open task counts its unsatisfied dependencies, plus one while its container is not open.",
    DependencySatisfied "dependency_satisfied"
        "A dependency is satisfied exactly when the needed task is done, or was when the other task was begun.",
    OfferedWithNeedsMet "offered_with_needs_met"
        "A task is ready, running, parked or reviewing only if all it needs is done, or was before it was reopened.",
    DoneAfterNeeds "done_after_needs"
        "No task is done by an attempt before all tasks it needs were done.",
    ChildrenCounted "children_counted"
        "A task counts its open children, and a container also its failed and cancelled ones.",
    ContainerFollowsChildren "container_follows_children"
        "A container is open while a child is open, and done only if all children are done.",
    LostCausesEnd "lost_causes_end"
        "No task is open that waits for a failed or cancelled task or belongs to an ended one, except those being cancelled.",
    AttemptRowsBelong "attempt_rows_belong"
        "An attempt has an existing task and holder; progress, results and spend have an existing attempt.",
    LinksWithinGoal "links_within_goal"
        "The attempts, parent and dependencies of a task belong to its goal.",
    EndedAtTheEnd "ended_at_the_end"
        "A task, goal, attempt or approval has an end time exactly if it has ended.",
    WaitingIsAsked "waiting_is_asked"
        "What is proposed, parked or reviewing has a pending approval, an open subtask, or a budget or price it waits for.",
    QuestionIsAwaited "question_is_awaited"
        "The subject of a pending approval waits for the decision.",
    JournalWithoutGaps "journal_without_gaps"
        "Rows of the journal are numbered from 1 without gaps, up to the number of the head.",
    TaskEventsInOrder "task_events_in_order"
        "The events of a task are in a possible order: created, ready before running, running before reviewing.",
    EventsTellTheState "events_tell_the_state"
        "The last event about the state of a task names its present state.",
    TaskEndToldOnce "task_end_told_once"
        "An ended task has one event of its end since it last came back, and no later event about its state.",
    GoalEndToldOnce "goal_end_told_once"
        "An ended goal has one event of its end since it was last active, which names its state.",
    AttemptsTold "attempts_told"
        "Each started attempt has one event, in the order of the attempts' numbers.",
    AttemptSpendCounted "attempt_spend_counted"
        "The spend of an attempt equals the sum of its entries.",
    SpendTotalsCounted "spend_totals_counted"
        "The spend totals of goals, projects and agents equal the sums of the entries below them.",
    WindowsReservedCounted "windows_reserved_counted"
        "The reserved amount of each limit and period equals the open reservations and allocations below its node.",
    WindowsSettledCounted "windows_settled_counted"
        "The settled amount of each limit and period equals the spend of the attempts below its node that started in the period.",
    ReservationsOfRunning "reservations_of_running"
        "Only running attempts have open reservations.",
    ShortOfALimit "short_of_a_limit"
        "A task that waits for a budget names an existing limit.",
    FreezesHold "freezes_hold"
        "Under a freeze no attempt runs that was claimed after it was set; under a stop no attempt runs.",
    VotesReachQuorum "votes_reach_quorum"
        "An approval decided by people under a policy has the votes that each of its stages requires.",
    AnswersCloseRules "answers_close_rules"
        "An intervention is closed once its approval is decided.",
    ArtifactsReferred "artifacts_referred"
        "A result refers to the stored artifacts that it lists, and no bytes of artifacts are to be removed.",
    ArtifactBytesCounted "artifact_bytes_counted"
        "The total of the bytes of artifacts equals the sum over them, each of which counts as at least 4 KiB.",
    JournalEndsWithHead "journal_ends_with_head"
        "The head of the chain is the last seal of the journal, and the last seals have no gaps.",
    LessonsWritten "lessons_written"
        "Every lesson has its versions from 1 to the newest without gaps, and one that was replaced names by what.",
    LessonsIndexed "lessons_indexed"
        "The index has one document per lesson, on the shelf of its project and state, with the postings of its length.",
    LeasesSwept "leases_swept" within settings::SWEEP_PATIENCE,
        "No attempt runs past its lease or hard deadline by more than one sweep.",
    PromotedInTime "promoted_in_time" within settings::SWEEP_PATIENCE,
        "No task stays waiting past its start time or backoff by more than one sweep.",
    DeadlinesEnforced "deadlines_enforced" within settings::SWEEP_PATIENCE,
        "No task continues past its own deadline by more than one sweep.",
    SchedulesFireInTime "schedules_fire_in_time" within settings::SWEEP_PATIENCE,
        "No schedule stays due by more than one sweep.",
    OffersEnd "offers_end" within settings::SWEEP_PATIENCE,
        "No task is kept for those it was handed over to past the end of the offer by more than one sweep.",
    ApprovalsExpire "approvals_expire" within settings::SWEEP_PATIENCE,
        "No approval stays pending past its expiry by more than one sweep.",
}
