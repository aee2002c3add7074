//! Looking for what breaks an invariant.
//!
//! One query for each invariant, that finds everything that breaks it and nothing else; which query
//! is an exhaustive match, so a new promise does not compile until it can be checked. The caller
//! runs them in one transaction that [`hold_still`] has made: all of them see the same moment, so
//! they are right beside running traffic. They only read, and lock nothing.
//!
//! The queries are made for large data: whole tables are read once and joined by hash or by merge;
//! nothing is looked up row by row but what is rare. Only a few examples leave the database.

use chrono::{DateTime, Utc};

use super::{SystemTx, Tx, traced};
use crate::domain::{ids::WorkspaceId, invariant::Invariant, task::transitions};

mod approvals;
mod attempts;
mod budgets;
mod endings;
mod freezes;
mod goals;
mod journal;
mod spend;
mod tasks;
mod times;

/// Something that breaks an invariant.
#[derive(Debug, Clone)]
pub struct Violation {
    /// What it is: `task`, `attempt`, ...
    pub subject: String,
    /// Its id; for an event its number.
    pub id: String,
    /// What was found, for people.
    pub found: String,
    /// How many break the invariant in all.
    pub total: i64,
}

/// Where and as of when an invariant is checked.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// What was due by then and still rests breaks a promise about time.
    pub due: DateTime<Utc>,
}

/// Makes the transaction that just began one that sees a single moment and changes nothing. Must be
/// its first statement. It uses one core at most, and may do what short statements may not (sort in
/// much memory, read and join whole tables), because it reads everything.
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

/// The time at which the transaction began.
pub async fn moment(tx: &mut SystemTx) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"select transaction_timestamp() as "now!""#)
        .fetch_one(traced!(tx, "verify.moment"))
        .await
}

/// Ends every further statement of the transaction that takes longer than this.
pub async fn limit_statements(tx: &mut SystemTx, milliseconds: i64) -> sqlx::Result<()> {
    sqlx::query!(
        r#"select set_config('statement_timeout', $1, true) as "timeout""#,
        milliseconds.to_string(),
    )
    .fetch_one(traced!(tx, "verify.limit_statements"))
    .await?;
    Ok(())
}

/// Turns `name: query;` into functions that look for what breaks an invariant. A query gives
/// (subject, id, found), each text; `$1` is the workspace and `$2` the number of examples.
macro_rules! finders {
    ($($name:ident $(($argument:expr))? : $query:tt;)+) => {$(
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
                $(&$argument(scope),)?
            )
            .fetch_all(crate::store::traced!(tx, "verify"))
            .await
        }
    )+};
}
use finders;

/// A few of those that break the invariant, each with how many there are in all.
///
/// # Errors
/// When the database fails, or the query takes longer than [`limit_statements`] lets it.
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
        Invariant::LeasesWithinDeadline => attempts::leases_within_deadline(tx, scope).await,
        Invariant::KeptForAgents => attempts::kept_for_agents(tx, scope).await,
        Invariant::DoneByOneAttempt => endings::done_by_one_attempt(tx, scope).await,
        Invariant::EndingsAnswered => endings::answered(tx, scope).await,
        Invariant::EvidenceGiven => endings::evidence_given(tx, scope).await,
        Invariant::EndedAtTheEnd => endings::ended_at_the_end(tx, scope).await,
        Invariant::GoalCounters => goals::counters(tx, scope).await,
        Invariant::GoalEndsWithTasks => goals::ends_with_tasks(tx, scope).await,
        Invariant::CompletedGoalIsDone => goals::completed_is_done(tx, scope).await,
        Invariant::EndedGoalIsQuiet => goals::ended_is_quiet(tx, scope).await,
        Invariant::OnePlanApplied => goals::one_plan_applied(tx, scope).await,
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
        Invariant::AnswersCloseRules => approvals::answers_close_rules(tx, scope).await,
        Invariant::JournalEndsWithHead => journal::ends_with_head(tx, scope).await,
        Invariant::LeasesSwept => times::leases_swept(tx, scope).await,
        Invariant::PromotedInTime => times::promoted_in_time(tx, scope).await,
        Invariant::DeadlinesEnforced => times::deadlines_enforced(tx, scope).await,
    }
}

/// When what an argument of a query says is due.
fn due(scope: Scope) -> DateTime<Utc> {
    scope.due
}

/// The transitions that events may show.
fn steps(_: Scope) -> Vec<String> {
    transitions::all()
}
