//! Checks of the invariants.
//!
//! One query per invariant finds its violations and nothing else. An exhaustive match selects the
//! query, so a new invariant does not compile without one. The caller runs all queries in one
//! transaction prepared by [`hold_still`]: they see the same snapshot, so they are correct beside
//! running traffic. They only read, and lock nothing.
//!
//! The queries suit large data: they read whole tables once and join by hash or merge; only rare
//! rows are looked up one by one. Only a few examples leave the database.

use chrono::{DateTime, Utc};

use super::{SystemTx, Tx, traced};
use crate::domain::{ids::WorkspaceId, invariant::Invariant, task::transitions};

mod approvals;
mod artifacts;
mod attempts;
mod budgets;
mod criteria;
mod endings;
mod freezes;
mod gates;
mod goals;
mod hand_offs;
mod journal;
mod lessons;
mod spend;
mod tasks;
mod times;

/// A violation of an invariant.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Kind of the violating thing: `task`, `attempt`, ...
    pub subject: String,
    /// Id of the thing; for a journal row its number.
    pub id: String,
    /// Findings, for people.
    pub found: String,
    /// Number of all violations of the invariant.
    pub total: i64,
}

/// Workspace and time of a check.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Work due by this time and still not done is a violation of the invariants of time.
    pub due: DateTime<Utc>,
}

/// Makes the transaction a read-only snapshot. Must be its first statement. It uses one core at
/// most; unlike other statements it may sort in much memory, and scan and join whole tables.
pub async fn hold_still(tx: &mut SystemTx) -> sqlx::Result<()> {
    sqlx::query!("set transaction isolation level repeatable read, read only")
        .execute(traced!(tx, "verify.hold_still"))
        .await?;
    sqlx::query!(
        r#"select set_config('work_mem', '64MB', true) as "memory",
                  set_config('max_parallel_workers_per_gather', '0', true) as "workers",
                  set_config('enable_seqscan', 'on', true) as "scan",
                  set_config('enable_hashjoin', 'on', true) as "hash",
                  set_config('enable_mergejoin', 'on', true) as "merge""#
    )
    .fetch_one(traced!(tx, "verify.hold_still"))
    .await?;
    Ok(())
}

/// The time of the transaction's begin.
pub async fn moment(tx: &mut SystemTx) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"select transaction_timestamp() as "now!""#)
        .fetch_one(traced!(tx, "verify.moment"))
        .await
}

/// Sets the timeout of all further statements of the transaction.
pub async fn limit_statements(tx: &mut SystemTx, milliseconds: i64) -> sqlx::Result<()> {
    sqlx::query!(
        r#"select set_config('statement_timeout', $1, true) as "timeout""#,
        milliseconds.to_string(),
    )
    .fetch_one(traced!(tx, "verify.limit_statements"))
    .await?;
    Ok(())
}

/// Turns `name: query;` into functions that find violations. A query selects (subject, id, found),
/// all text; `$1` is the workspace, `$2` the number of examples, from `$3` on follow the arguments if there are any.
macro_rules! finders {
    ($($name:ident $(($($argument:expr),+))? : $query:tt;)+) => {$(
        pub(super) async fn $name(
            tx: &mut crate::store::Tx,
            scope: super::Scope,
        ) -> sqlx::Result<Vec<super::Violation>> {
            sqlx::query_as!(
                super::Violation,
                "with broken (subject, id, found) as (" + $query + ")
                 select subject as \"subject!\", id as \"id!\", found as \"found!\",
                        count(*) over () as \"total!\"
                 from broken order by id limit $2",
                scope.workspace.0,
                crate::domain::settings::VERIFY_SAMPLES,
                $($(&$argument(scope),)+)?
            )
            .fetch_all(crate::store::traced!(tx, "verify"))
            .await
        }
    )+};
}
use finders;

/// Examples of violations of an invariant, each with the number of all.
///
/// # Errors
/// When the query exceeds the timeout set by [`limit_statements`].
pub async fn broken(
    tx: &mut Tx,
    scope: Scope,
    invariant: Invariant,
) -> sqlx::Result<Vec<Violation>> {
    match invariant {
        Invariant::OneLiveAttempt => attempts::one_live(tx, scope).await,
        Invariant::LiveAttemptIsCurrent => attempts::live_is_current(tx, scope).await,
        Invariant::RunningTaskHasAttempt => attempts::running_has_one(tx, scope).await,
        Invariant::AttemptsNumbered => attempts::numbered(tx, scope).await,
        Invariant::CurrentAttemptIsLast => attempts::current_is_last(tx, scope).await,
        Invariant::AttemptsUsedCounted => attempts::used_counted(tx, scope).await,
        Invariant::ContainersNotTried => attempts::containers_not_tried(tx, scope).await,
        Invariant::AgentsWithinLimit => attempts::agents_within_limit(tx, scope).await,
        Invariant::ConcurrencyWithinMost => gates::within_most(tx, scope).await,
        Invariant::ConcurrencyGranted => gates::granted(tx, scope).await,
        Invariant::ResourcesNotShared => gates::resources_not_shared(tx, scope).await,
        Invariant::GrantsOfRunning => gates::of_running(tx, scope).await,
        Invariant::HandOffsEndAttempts => hand_offs::end_attempts(tx, scope).await,
        Invariant::CommentsWithinGoal => hand_offs::comments_within_goal(tx, scope).await,
        Invariant::OffersEnd => times::offers_end(tx, scope).await,
        Invariant::LeasesWithinDeadline => attempts::leases_within_deadline(tx, scope).await,
        Invariant::KeptForAgents => attempts::kept_for_agents(tx, scope).await,
        Invariant::DoneByOneAttempt => endings::done_by_one_attempt(tx, scope).await,
        Invariant::EndingsAnswered => endings::answered(tx, scope).await,
        Invariant::EvidenceGiven => endings::evidence_given(tx, scope).await,
        Invariant::TiersSupported => criteria::tiers_supported(tx, scope).await,
        Invariant::EndedAtTheEnd => endings::ended_at_the_end(tx, scope).await,
        Invariant::ReadyInOrder => tasks::ready_in_order(tx, scope).await,
        Invariant::GoalCounters => goals::counters(tx, scope).await,
        Invariant::GoalWeights => goals::weights(tx, scope).await,
        Invariant::GoalEndsWithTasks => goals::ends_with_tasks(tx, scope).await,
        Invariant::CompletedGoalIsDone => goals::completed_is_done(tx, scope).await,
        Invariant::GoalCriteriaMet => goals::criteria_met(tx, scope).await,
        Invariant::EndedGoalIsQuiet => goals::ended_is_quiet(tx, scope).await,
        Invariant::OnePlanApplied => goals::one_plan_applied(tx, scope).await,
        Invariant::PlannedWhilePlanning => goals::planned_while_planning(tx, scope).await,
        Invariant::NeedsCounted => tasks::needs_counted(tx, scope).await,
        Invariant::DependencySatisfied => tasks::dependency_satisfied(tx, scope).await,
        Invariant::OfferedWithNeedsMet => tasks::offered_with_needs_met(tx, scope).await,
        Invariant::DoneAfterNeeds => tasks::done_after_needs(tx, scope).await,
        Invariant::ChildrenCounted => tasks::children_counted(tx, scope).await,
        Invariant::ContainerFollowsChildren => tasks::container_follows(tx, scope).await,
        Invariant::LostCausesEnd => tasks::lost_causes_end(tx, scope).await,
        Invariant::AttemptRowsBelong => attempts::rows_belong(tx, scope).await,
        Invariant::LinksWithinGoal => tasks::links_within_goal(tx, scope).await,
        Invariant::WaitingIsAsked => approvals::waiting_is_asked(tx, scope).await,
        Invariant::QuestionIsAwaited => approvals::question_is_awaited(tx, scope).await,
        Invariant::JournalWithoutGaps => journal::without_gaps(tx, scope).await,
        Invariant::TaskEventsInOrder => journal::in_order(tx, scope).await,
        Invariant::EventsTellTheState => journal::tell_the_state(tx, scope).await,
        Invariant::TaskEndToldOnce => journal::task_end_told_once(tx, scope).await,
        Invariant::GoalEndToldOnce => journal::goal_end_told_once(tx, scope).await,
        Invariant::AttemptsTold => journal::attempts_told(tx, scope).await,
        Invariant::AttemptSpendCounted => spend::of_attempts_counted(tx, scope).await,
        Invariant::SpendTotalsCounted => spend::totals_counted(tx, scope).await,
        Invariant::WindowsReservedCounted => budgets::reserved_counted(tx, scope).await,
        Invariant::WindowsSettledCounted => budgets::settled_counted(tx, scope).await,
        Invariant::ReservationsOfRunning => budgets::of_running(tx, scope).await,
        Invariant::ShortOfALimit => budgets::short_of_a_limit(tx, scope).await,
        Invariant::FreezesHold => freezes::hold(tx, scope).await,
        Invariant::VotesReachQuorum => approvals::votes_reach_quorum(tx, scope).await,
        Invariant::ApprovalsExpire => times::approvals_expire(tx, scope).await,
        Invariant::SchedulesFireInTime => times::schedules_fire_in_time(tx, scope).await,
        Invariant::AnswersCloseRules => approvals::answers_close_rules(tx, scope).await,
        Invariant::ArtifactsReferred => artifacts::referred(tx, scope).await,
        Invariant::ArtifactBytesCounted => artifacts::bytes_counted(tx, scope).await,
        Invariant::LessonsWritten => lessons::written(tx, scope).await,
        Invariant::LessonsIndexed => lessons::indexed(tx, scope).await,
        Invariant::JournalEndsWithHead => journal::ends_with_head(tx, scope).await,
        Invariant::LeasesSwept => times::leases_swept(tx, scope).await,
        Invariant::PromotedInTime => times::promoted_in_time(tx, scope).await,
        Invariant::DeadlinesEnforced => times::deadlines_enforced(tx, scope).await,
    }
}

/// Query argument: the time up to which due work must be done.
fn due(scope: Scope) -> DateTime<Utc> {
    scope.due
}

/// Query argument: the allowed transitions.
fn steps(_: Scope) -> Vec<String> {
    transitions::all()
}

/// Query argument: the kinds of journal rows that tell of a transition.
fn kinds_of_steps(_: Scope) -> Vec<String> {
    transitions::kinds()
}
